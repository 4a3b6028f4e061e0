#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "core/engine/train/StepMeter.h"
#include "core/wire/ClientLine.h"

namespace trainyard::engine {

/// What a rank says while it trains: records to its stream, lines for people to stdout. One thread. A rank that does
/// not lead reports its own throughput and warnings only.
class Reporter {
public:
    Reporter(wire::ClientWriter writer, bool leads) : m_writer(std::move(writer)), m_leads(leads) {}

    struct Position {
        std::int64_t epoch = 1;  ///< From 1, as people count.
        std::int64_t epochs = 0;
        std::int64_t step = 0;
        std::int64_t steps = 0;
    };

    void params(const base::Json& values);
    /// Points of one step in one record.
    void metrics(std::int64_t step, const std::vector<std::pair<std::string, double>>& values);
    /// A record of the kind `text` under a name, of one step. Of the lead only.
    void note(std::string_view name, std::int64_t step, const std::string& text);
    /// A record of the kind `table` under a name, of one step. Of the lead only.
    void table(std::string_view name, std::int64_t step, base::Json body);
    void warning(std::string_view code, std::string_view message);
    /// Why this rank is about to end with an error.
    void failure(std::string_view code, std::string_view message);
    /// What the training came to, in one sentence. Of the lead only.
    void conclusion(std::string_view message);
    /// `stage` is "prepare", "train", "validate" or "save"; `rate` in steps a second and `etaNanos` are left out when
    /// 0. At most four a second, except where the stage changes.
    void progress(std::string_view stage, const Position& position, double rate = 0, std::int64_t etaNanos = 0);
    /// A line on stdout, flushed. Of the lead only.
    void say(const std::string& line);
    [[nodiscard]] bool leads() const { return m_leads; }

private:
    wire::ClientWriter m_writer;
    bool m_leads;
    std::string m_lastStage;
    std::int64_t m_lastProgress = 0;
};

}  // namespace trainyard::engine
