#pragma once
// A small data set and the trainings that the real program makes of it.
#include <QProcess>
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Json.h"
#include "core/engine/model/SafeTensors.h"
#include "core/spec/RunSpec.h"
#include "tests/helpers/Png.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"

namespace trainyard::test {

using base::Json;

/// Ten kinds of bright bars on noise; a small CNN learns them in a few hundred steps.
inline void writeBars(const Scratch& scratch, const std::string& name, std::uint32_t count, unsigned seed) {
    std::string images = std::string("\0\0\x08\x03", 4) + bigEndian(count) + bigEndian(20) + bigEndian(20);
    std::string labels = std::string("\0\0\x08\x01", 4) + bigEndian(count);
    unsigned state = seed;
    for (std::uint32_t i = 0; i < count; ++i) {
        const unsigned label = i * 7 % 10;
        labels.push_back(static_cast<char>(label));
        for (unsigned y = 0; y < 20; ++y) {
            for (unsigned x = 0; x < 20; ++x) {
                state = state * 1664525U + 1013904223U;
                images.push_back(static_cast<char>((y / 2 == label ? 120 : 0) + (state >> 24) % 100));
            }
        }
    }
    (void) scratch.write(name + "-images", images);
    (void) scratch.write(name + "-labels", labels);
}

/// Environment variables of a rank beside the usual ones, or in their place.
using RankVariables = std::function<std::vector<std::pair<std::string, std::string>>(int rank)>;

/// One folder of data and the runs made on it.
class Bench {
public:
    Bench() {
        writeBars(m_scratch, "train", 2005, 1);
        writeBars(m_scratch, "val", 301, 2);
    }
    const Scratch& scratch() const { return m_scratch; }

    Json spec() const {
        Json document = spec::defaultRunSpecDocument();
        const auto set = [&](const char* path, Json value) { spec::setValueAt(document, path, std::move(value)); };
        set("task.dataset.name", "Bars");
        set("task.dataset.train_images", (m_scratch / "train-images").string());
        set("task.dataset.train_labels", (m_scratch / "train-labels").string());
        set("task.dataset.val_images", (m_scratch / "val-images").string());
        set("task.dataset.val_labels", (m_scratch / "val-labels").string());
        set("task.model.options.width", 4);
        set("task.model.options.dropout", 0.2);
        set("task.augment", true);
        set("task.batch_size", 32);
        set("task.epochs", 4);
        set("task.threads", 1);
        set("task.optimizer.learning_rate", 0.02);
        return document;
    }

    base::Path folder(const std::string& run) const { return m_scratch / run; }

    /// Starts the ranks of a run; each has a stream of its own, outputs are shared.
    std::vector<std::unique_ptr<QProcess>> start(const std::string& run, const Json& document, int world = 1,
                                                 const std::string& shellBefore = {},
                                                 const RankVariables& variables = {}) const {
        (void) m_scratch.write(run + "/spec.json", base::dumpJson(document));
        (void) m_scratch.write(run + "/control/keep", "");
        std::vector<std::unique_ptr<QProcess>> ranks;
        for (int rank = 0; rank < world; ++rank) {
            auto process = std::make_unique<QProcess>();
            QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
            const auto set = [&](const char* name, const std::string& value) {
                environment.insert(QString::fromLatin1(name), QString::fromStdString(value));
            };
            set("RANK", std::to_string(rank));
            set("WORLD_SIZE", std::to_string(world));
            set("TRAINYARD_STREAM", (folder(run) / ("r" + std::to_string(rank) + ".stream")).string());
            set("TRAINYARD_OUTPUTS", (folder(run) / "outputs").string());
            set("TRAINYARD_CONTROL", (folder(run) / "control").string());
            set("TRAINYARD_RENDEZVOUS", (folder(run) / "rendezvous.json").string());
            set("TRAINYARD_PEER_TIMEOUT", "30");
            for (const auto& [name, value] :
                 variables ? variables(rank) : std::vector<std::pair<std::string, std::string>>()) {
                set(name.c_str(), value);
            }
            process->setProcessEnvironment(environment);
            const QString engine = QString::fromStdString(builtProgram("trainyard-engine").string());
            const QString spec = QString::fromStdString((folder(run) / "spec.json").string());
            if (shellBefore.empty()) {
                process->start(engine, {QStringLiteral("train"), QStringLiteral("--spec"), spec});
            } else {
                process->start(QStringLiteral("/bin/bash"),
                               {QStringLiteral("-c"),
                                QString::fromStdString(shellBefore + "; exec \"$0\" train --spec \"$1\""), engine,
                                spec});
            }
            ranks.push_back(std::move(process));
        }
        return ranks;
    }

    static int finish(QProcess& process) {
        if (!process.waitForFinished(90000)) {
            process.kill();
            process.waitForFinished(5000);
            return -1;
        }
        return process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -2;
    }

    /// Runs to the end; the exit code of rank 0.
    int run(const std::string& name, const Json& document, int world = 1, const RankVariables& variables = {}) const {
        const auto ranks = start(name, document, world, {}, variables);
        int code = 0;
        for (auto rank = ranks.rbegin(); rank != ranks.rend(); ++rank) {
            code = finish(**rank);
        }
        return code;
    }

    std::vector<Json> stream(const std::string& run, int rank = 0) const {
        std::vector<Json> lines;
        const std::string text = m_scratch.read(run + "/r" + std::to_string(rank) + ".stream");
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            if (auto json = base::parseJson(std::string_view(text).substr(at, end - at)); json.ok()) {
                lines.push_back(std::move(*json));
            }
            at = end + 1;
        }
        return lines;
    }

    /// "name step value" of every point except those that measure time.
    std::vector<std::string> points(const std::string& run) const {
        std::vector<std::string> all;
        for (const Json& line : stream(run)) {
            if (line["kind"] != "metrics") {
                continue;
            }
            for (const Json& series : line["series"]) {
                const auto name = series["name"].get<std::string>();
                if (name != "train/samples_per_second" && !name.ends_with("_seconds")) {
                    all.push_back(series["name"].get<std::string>() + " " + base::dumpJson(series["step"]) + " " +
                                  base::dumpJson(series["value"]));
                }
            }
        }
        return all;
    }

    /// Bodies of the tables of that name.
    std::vector<Json> tables(const std::string& run, const std::string& name, int rank = 0) const {
        std::vector<Json> found;
        for (const Json& line : stream(run, rank)) {
            if (line["kind"] == "table" && line["name"] == name) {
                found.push_back(line);
            }
        }
        return found;
    }

    /// Values of a metric, in the order they were told.
    std::vector<double> values(const std::string& run, const std::string& name, int rank = 0) const {
        std::vector<double> found;
        for (const Json& line : stream(run, rank)) {
            if (line["kind"] == "metrics") {
                for (const Json& series : line["series"]) {
                    if (series["name"] == name) {
                        found.push_back(series["value"][0].get<double>());
                    }
                }
            }
        }
        return found;
    }

    std::int64_t lastStep(const std::string& run) const {
        std::int64_t step = 0;
        for (const Json& line : stream(run)) {
            if (line["kind"] == "metrics") {
                step = std::max(step, line["series"][0]["step"][0].get<std::int64_t>());
            }
        }
        return step;
    }

    bool warned(const std::string& run, const std::string& code, const std::string& part = {}, int rank = 0) const {
        for (const Json& line : stream(run, rank)) {
            if (line["kind"] == "warning" && line["code"] == code &&
                line["message"].get<std::string>().find(part) != std::string::npos) {
                return true;
            }
        }
        return false;
    }

    base::Result<engine::SafeTensors> last(const std::string& run) const {
        return engine::readSafeTensors(folder(run) / "outputs/checkpoints/last.ckpt");
    }

private:
    Scratch m_scratch;
};

}  // namespace trainyard::test
