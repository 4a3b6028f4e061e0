#include "core/engine/train/Reporter.h"

#include <cstdio>

#include "core/base/Clock.h"

namespace trainyard::engine {

namespace {
constexpr std::int64_t kProgressNanos = 250'000'000;
}

void Reporter::params(const base::Json& values) {
    if (m_leads) {
        m_writer.params(values);
    }
}

void Reporter::metrics(std::int64_t step, const std::vector<std::pair<std::string, double>>& values) {
    const std::int64_t now = base::wallMicros();
    std::vector<wire::SeriesPoints> series;
    series.reserve(values.size());
    for (const auto& [name, value] : values) {
        series.push_back({name, {step}, {value}, {now}});
    }
    m_writer.metrics(series);
}

void Reporter::note(std::string_view name, std::int64_t step, const std::string& text) {
    if (m_leads) {
        m_writer.write("text", {{"name", name}, {"text", text}, {"step", step}});
    }
}

void Reporter::table(std::string_view name, std::int64_t step, base::Json body) {
    if (m_leads) {
        body["name"] = name;
        body["step"] = step;
        m_writer.write("table", std::move(body));
    }
}

void Reporter::warning(std::string_view code, std::string_view message) {
    m_writer.warning(code, message);
    std::fprintf(stderr, "warning: %.*s\n", static_cast<int>(message.size()), message.data());
}

void Reporter::failure(std::string_view code, std::string_view message) {
    m_writer.failure(code, message);
    std::fprintf(stderr, "error: %.*s\n", static_cast<int>(message.size()), message.data());
}

void Reporter::conclusion(std::string_view message) {
    if (m_leads) {
        m_writer.conclusion(message);
    }
}

void Reporter::progress(std::string_view stage, const Position& position, double rate, std::int64_t etaNanos) {
    const std::int64_t now = base::monotonicNanos();
    if (!m_leads || (stage == m_lastStage && now - m_lastProgress < kProgressNanos)) {
        return;
    }
    m_lastStage = stage;
    m_lastProgress = now;
    base::Json body = {{"stage", stage},          {"epoch", position.epoch}, {"epochs", position.epochs},
                       {"step", position.step},   {"steps", position.steps}, {"done", position.step},
                       {"total", position.steps}, {"unit", "steps"}};
    if (rate > 0) {
        body["rate"] = rate;
        body["eta_ns"] = etaNanos;
    }
    m_writer.progress(body);
}

void Reporter::say(const std::string& line) {
    if (m_leads) {
        std::printf("%s\n", line.c_str());
        std::fflush(stdout);
    }
}

}  // namespace trainyard::engine
