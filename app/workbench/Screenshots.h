#pragma once
#include <string>

namespace trainyard::workbench {

/// Fills a scratch workspace with made-up runs and pictures every page and state of the window into `folder`, in light
/// and dark, at 1280×720 and 2560×1440, and at 2560×1440 with 200 % scaling. Makes its own QApplication, one process a
/// scaling. `only`: names of pictures, between commas, or their beginnings up to a dash; empty for all. Returns the
/// exit status.
[[nodiscard]] int takeScreenshots(int argc, char** argv, const std::string& folder, const std::string& only);

/// Makes a workspace of made-up runs, small ones, so that a history of any length is there in seconds.
[[nodiscard]] int makeShowcaseWorkspace(const std::string& folder, int runs);

}  // namespace trainyard::workbench
