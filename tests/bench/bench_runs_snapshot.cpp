// A source folder of 5,000 files (--files N) that has not changed since its last snapshot: how long the next one takes;
// and when one file has changed.
#include <QCoreApplication>
#include <QTemporaryDir>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "core/base/Clock.h"
#include "core/runs/Snapshot.h"
#include "core/runs/Workspace.h"

using namespace trainyard;

namespace {

[[noreturn]] void stop(const std::string& why) {
    std::fprintf(stderr, "bench_runs_snapshot: %s\n", why.c_str());
    std::exit(1);
}

double take(const runs::Workspace& workspace, const base::Path& source, std::size_t files) {
    const std::int64_t begin = base::monotonicNanos();
    const auto snapshot = runs::takeSnapshot(workspace.layout, source);
    const double took = static_cast<double>(base::monotonicNanos() - begin) / 1e9;
    if (!snapshot.ok()) {
        stop(snapshot.error().message);
    }
    if (snapshot->files.size() != files) {
        stop(std::to_string(snapshot->files.size()) + " files were found.");
    }
    return took;
}

base::Json spread(std::vector<double> values) {
    base::Json all = values;
    std::sort(values.begin(), values.end());
    return {
        {"median", values[values.size() / 2]}, {"lowest", values.front()}, {"highest", values.back()}, {"all", all}};
}

}  // namespace

int main(int argc, char** argv) {
    const QCoreApplication application(argc, argv);
    const QStringList words = application.arguments();
    const bool json = words.contains(QStringLiteral("--json"));
    const auto at = words.indexOf(QStringLiteral("--files"));
    const int files = at > 0 && at + 1 < words.size() ? words.at(at + 1).toInt() : 5000;
    const QTemporaryDir folder(QStringLiteral("/var/tmp/ty-bench-XXXXXX"));
    const base::Path scratch = folder.path().toStdString();
    qputenv("XDG_CACHE_HOME", QByteArray::fromStdString((scratch / "cache").string()));
    const auto workspace = runs::initWorkspace(scratch / "workspace", "");
    if (!workspace.ok()) {
        stop(workspace.error().message);
    }
    // As a repository of a project has them: 50 files a folder, 200 B to 20 KB.
    const base::Path source = scratch / "source";
    for (int i = 0; i < files; ++i) {
        const base::Path file = source / ("package" + std::to_string(i / 500)) /
                                ("part" + std::to_string(i / 50 % 10)) / ("module" + std::to_string(i) + ".py");
        if (!base::makeDirs(file.parent_path()).ok() ||
            !base::writeFileAtomically(
                 file, std::string(200 + static_cast<std::size_t>(i * 37 % 20'000), static_cast<char>('a' + i % 26)) +
                           std::to_string(i))
                 .ok()) {
            stop("cannot write " + file.string());
        }
    }
    const auto count = static_cast<std::size_t>(files);
    const double first = take(*workspace, source, count);
    std::vector<double> unchanged;
    std::vector<double> oneChanged;
    for (int i = 0; i < 9; ++i) {
        unchanged.push_back(take(*workspace, source, count));
        if (!base::writeFileAtomically(source / "package0/part0/module0.py", "changed " + std::to_string(i)).ok()) {
            stop("cannot write a file");
        }
        oneChanged.push_back(take(*workspace, source, count));
    }
    const base::Json result{{"bench", "runs_snapshot"},
                            {"files", files},
                            {"first_seconds", first},
                            {"unchanged_seconds", spread(unchanged)},
                            {"one_changed_seconds", spread(oneChanged)}};
    if (json) {
        std::printf("%s\n", base::dumpJson(result).c_str());
    } else {
        std::printf("%d files: first %.2f s, unchanged %.3f s, one changed %.3f s\n", files, first,
                    result.at("unchanged_seconds").at("median").get<double>(),
                    result.at("one_changed_seconds").at("median").get<double>());
    }
    return 0;
}
