#pragma once
#include <string>

namespace trainyard::workbench {

struct RenderJob {
    std::string workspace;  ///< Empty: the one opened last.
    std::string run;        ///< Number, id, unique beginning of one, or name.
    std::string out;        ///< .png, .svg or .pdf
    std::string size;       ///< "1280x900" or empty.
};

/// Draws the charts of a run with the window's own chart code and returns the exit status; errors go to stderr. Needs a
/// QApplication with its theme.
[[nodiscard]] int renderRun(const RenderJob& job);

}  // namespace trainyard::workbench
