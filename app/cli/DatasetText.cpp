#include "app/cli/DatasetText.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "app/cli/JsonText.h"
#include "core/base/Text.h"

namespace trainyard::cli {

using base::Json;

namespace {

constexpr std::size_t kShownFiles = 5;

std::string datasetListText(const Json& result) {
    std::vector<std::vector<std::string>> rows{
        {"DATA SET", "VERSION", "KIND", "CLASSES", "SAMPLES", "SIZE", "PROBLEMS", "CREATED"}};
    for (const Json& one : memberOf(result, "datasets")) {
        rows.push_back({textOf(one, "name"), textOf(one, "version"), textOf(one, "kind"), textOf(one, "classes"),
                        textOf(one, "images"), base::formatBytes(integerOf(one, "bytes")), textOf(one, "problems"),
                        shortTime(textOf(one, "created"))});
    }
    std::string out = rows.size() == 1 ? "No data set yet; \"dataset add NAME SOURCE\" adds one.\n"
                                       : tableText(rows, {false, true, false, true, true, true, true, false});
    for (const Json& problem : memberOf(result, "problems")) {
        out += textOf(problem, "message") + "\n";
    }
    return out;
}

std::string channelsText(const Json& values) {
    std::string out;
    for (const Json& value : values) {
        char text[32];
        std::snprintf(text, sizeof text, "%s%.3f", out.empty() ? "" : " ",
                      value.is_number() ? value.get<double>() : 0.0);
        out += text;
    }
    return out;
}

std::string pixelsText(const Json& size) { return textOf(size, "width") + " x " + textOf(size, "height"); }

std::string problemsText(const Json& problems) {
    std::string out;
    for (const Json& problem : problems) {
        std::string severity = textOf(problem, "severity");
        severity.resize(std::max<std::size_t>(severity.size(), 9), ' ');
        out += severity + textOf(problem, "text") + "\n";
        const Json& files = memberOf(problem, "files");
        const Json& reasons = memberOf(problem, "reasons");
        for (std::size_t i = 0; i < files.size() && i < kShownFiles; ++i) {
            const auto text = [&](const Json& list) {
                return i < list.size() && list[i].is_string() ? base::stripControl(list[i].get<std::string>())
                                                              : std::string();
            };
            out += "         " + text(files) + (text(reasons).empty() ? "" : ": " + text(reasons)) + "\n";
        }
        if (const std::int64_t all = integerOf(problem, "count");
            !files.empty() && all > static_cast<std::int64_t>(std::min(files.size(), kShownFiles))) {
            out += "         and " +
                   std::to_string(all - static_cast<std::int64_t>(std::min(files.size(), kShownFiles))) + " more\n";
        }
    }
    return out;
}

std::string datasetShowText(const Json& result) {
    const std::string split = memberOf(result, "own_validation") == Json(true)
                                  ? "its own folder or files"
                                  : base::formatSignificant(numberOf(result, "split").value_or(0)) +
                                        " of each class, seed " + textOf(result, "split_seed");
    std::vector<std::vector<std::string>> facts{
        {"data set", textOf(result, "dataset")},
        {"kind", textOf(result, "kind")},
        {"path", textOf(result, "path") + (memberOf(result, "there") == Json(false) ? " (not there any more)" : "")},
        {"source", textOf(result, "source")},
        {"sha256", textOf(result, "sha256")},
        {"samples", textOf(result, "training") + " for training, " + textOf(result, "validation") + " for validation"},
        {"validation", split},
        {"size", base::formatBytes(integerOf(result, "bytes"))}};
    if (const Json& sizes = memberOf(result, "sizes"); sizes.is_object()) {
        facts.push_back({"pixels", pixelsText(memberOf(sizes, "min")) + " to " + pixelsText(memberOf(sizes, "max")) +
                                       ", median " + pixelsText(memberOf(sizes, "median"))});
    }
    if (const Json& statistics = memberOf(result, "statistics"); statistics.is_object()) {
        facts.push_back({"mean", channelsText(memberOf(statistics, "mean"))});
        facts.push_back({"deviation", channelsText(memberOf(statistics, "std"))});
    }
    std::vector<std::vector<std::string>> rows{{"CLASS", "TRAINING", "VALIDATION", "UNREADABLE"}};
    for (const Json& one : memberOf(result, "classes")) {
        rows.push_back({textOf(one, "name"), textOf(one, "train"), textOf(one, "val"), textOf(one, "unreadable")});
    }
    const std::string problems = problemsText(memberOf(result, "problems"));
    return tableText(facts, {false, false}) + "\n" + tableText(rows, {false, true, true, true}) +
           (problems.empty() ? "" : "\n" + problems);
}

std::string addedText(const Json& result) {
    if (memberOf(result, "changed") == Json(false)) {
        return textOf(result, "dataset") + " is the same already.\n";
    }
    const std::string problems = problemsText(memberOf(result, "problems"));
    const std::size_t classes = memberOf(result, "classes").size();
    return "Data set " + textOf(result, "dataset") + ": " + std::to_string(classes) +
           (classes == 1 ? " class, " : " classes, ") + textOf(result, "training") + " for training, " +
           textOf(result, "validation") + " for validation.\n" + problems;
}

std::string samplesText(const Json& result) {
    std::vector<std::vector<std::string>> rows{{"CLASS", "SPLIT", "SAMPLE"}};
    for (const Json& one : memberOf(result, "samples")) {
        const std::string path = textOf(one, "path");
        const std::string split = textOf(one, "split");
        rows.push_back(
            {textOf(one, "label"), split.empty() ? "unreadable" : split, path.empty() ? textOf(one, "index") : path});
    }
    const std::size_t shown = rows.size() - 1;
    return tableText(rows, {false, false, false}) + std::to_string(shown) + " of " + textOf(result, "total") + ".\n";
}

/// "flipped, turned by -12.3 degrees": what was drawn for one sample.
std::string changeText(const Json& change) {
    std::vector<std::string> parts;
    const auto number = [&](const char* key, double usual) { return numberOf(change, key).value_or(usual); };
    const auto text = [](const char* format, double value) {
        char buffer[64];
        std::snprintf(buffer, sizeof buffer, format, value);
        return std::string(buffer);
    };
    if (number("dx", 0) != 0 || number("dy", 0) != 0) {
        parts.push_back("shifted by " + text("%.0f", number("dx", 0)) + ", " + text("%.0f", number("dy", 0)));
    }
    if (const Json& box = memberOf(change, "box"); box.is_object()) {
        parts.push_back("part " + pixelsText(box) + " at " + textOf(box, "left") + ", " + textOf(box, "top"));
    }
    if (memberOf(change, "flip") == Json(true)) parts.emplace_back("flipped");
    if (memberOf(change, "vertical_flip") == Json(true)) parts.emplace_back("upside down");
    if (number("rotation", 0) != 0) parts.push_back("turned by " + text("%.1f", number("rotation", 0)) + " degrees");
    for (const char* factor : {"brightness", "contrast", "saturation"}) {
        if (number(factor, 1) != 1) parts.push_back(factor + text(" x%.2f", number(factor, 1)));
    }
    if (const double share = number("hue", 0); share != 0) {
        parts.push_back("hue turned by " + text("%.0f", share * 360) + " degrees");
    }
    if (memberOf(change, "erased").is_object()) parts.emplace_back("a part erased");
    std::string all;
    for (const std::string& part : parts) {
        all += (all.empty() ? "" : ", ") + part;
    }
    return all.empty() ? "as it is" : all;
}

std::string previewText(const Json& result) {
    std::vector<std::vector<std::string>> rows{{"CLASS", "SAMPLE", "CHANGE"}};
    for (const Json& one : memberOf(result, "samples")) {
        const std::string file = textOf(one, "file");
        const std::string problem = textOf(one, "problem");
        rows.push_back({textOf(one, "label"), file.empty() ? textOf(one, "index") : file,
                        problem.empty() ? changeText(memberOf(one, "change")) : "unreadable: " + problem});
    }
    const std::string file = textOf(result, "file");
    return tableText(rows, {false, false, false}) + "As epoch " + textOf(result, "epoch") + " with seed " +
           textOf(result, "seed") + " gets them" + (file.empty() ? "" : "; drawn into " + file) + ".\n";
}

std::string removedText(const Json& result) {
    std::string versions;
    for (const Json& version : memberOf(result, "removed")) {
        versions += (versions.empty() ? "" : ", ") + base::dumpJson(version);
    }
    const std::int64_t freed = integerOf(result, "freed_bytes");
    return "Data set " + textOf(result, "dataset") + " was removed (version " + versions + ")" +
           (freed > 0 ? ", freed " + base::formatBytes(freed) : "") + ".\n";
}

}  // namespace

std::optional<std::string> describeDataset(const std::string& action, const Json& result) {
    if (action == "dataset.list") return datasetListText(result);
    if (action == "dataset.show") return datasetShowText(result);
    if (action == "dataset.add") return addedText(result);
    if (action == "dataset.samples") return samplesText(result);
    if (action == "dataset.preview") return previewText(result);
    if (action == "dataset.remove") return removedText(result);
    return std::nullopt;
}

}  // namespace trainyard::cli
