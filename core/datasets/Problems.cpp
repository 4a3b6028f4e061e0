#include "core/datasets/Problems.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>

#include "core/base/Text.h"

namespace trainyard::datasets {

using base::Json;

namespace {

constexpr std::size_t kNamedFiles = 20;
constexpr std::int64_t kFewSamples = 10;     // Below this a class is hardly learnt.
constexpr std::int64_t kNotedImbalance = 3;  // Largest class by smallest.
constexpr std::int64_t kLargeImbalance = 10;
constexpr double kMostUnreadable = 0.05;  // What a run allows unless it says otherwise.

const char* const kError = "error";
const char* const kWarning = "warning";
const char* const kInfo = "info";

std::string counted(std::int64_t count, const char* one, const char* many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}
std::string quoted(const std::string& name) { return "\"" + base::stripControl(name) + "\""; }

std::string listed(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size() && i < 5; ++i) {
        text += (i == 0 ? "" : ", ") + quoted(names[i]);
    }
    return names.size() > 5 ? text + " and " + std::to_string(names.size() - 5) + " more" : text;
}

void add(std::vector<Problem>& all, const char* kind, const char* severity, std::int64_t count, std::string text,
         std::vector<std::string> files = {}, std::vector<std::string> reasons = {}) {
    files.resize(std::min(files.size(), kNamedFiles));
    reasons.resize(std::min(reasons.size(), kNamedFiles));
    all.push_back({kind, severity, count, std::move(text), std::move(files), std::move(reasons)});
}

void addUnreadable(std::vector<Problem>& all, const Dataset& dataset, const Json& answer) {
    base::ObjectReader reader(answer, "");
    const std::int64_t count = reader.integer("unreadable_count");
    if (count == 0) {
        return;
    }
    std::vector<std::string> files;
    std::vector<std::string> reasons;
    for (const Json& item : reader.array("unreadable")) {
        base::ObjectReader one(item, "");
        files.push_back(one.string("path"));
        reasons.push_back(one.string("why"));
    }
    const auto total = static_cast<double>(dataset.training() + dataset.validation() + count);
    const bool most = static_cast<double>(count) > kMostUnreadable * total;
    add(all, "unreadable", most ? kError : kWarning, count,
        counted(count, "file cannot", "files cannot") + " be read as a picture and " + (count == 1 ? "is" : "are") +
            " left out." + (most ? " That is more than 5 %, at which a run stops." : ""),
        std::move(files), std::move(reasons));
}

void addClasses(std::vector<Problem>& all, const Dataset& dataset, const Place& place) {
    std::vector<std::string> empty;
    std::vector<std::string> unknown;
    std::vector<std::string> small;
    std::vector<std::string> untested;
    std::int64_t fewest = 0;
    std::int64_t most = 0;
    std::int64_t real = 0;
    for (const ClassCount& one : dataset.classes) {
        const bool inTraining =
            dataset.kind == "idx" || std::ranges::find(place.classFolders, one.name) != place.classFolders.end();
        if (!inTraining) {
            unknown.push_back(one.name);
            continue;
        }
        ++real;
        if (one.training == 0) {
            empty.push_back(one.name);
            continue;
        }
        fewest = fewest == 0 ? one.training : std::min(fewest, one.training);
        most = std::max(most, one.training);
        if (one.training < kFewSamples) {
            small.push_back(one.name);
        }
        if (one.validation == 0) {
            untested.push_back(one.name);
        }
    }
    if (real < 2) {
        add(all, "one_class", kError, real,
            "There is one class alone, " + quoted(dataset.classes.empty() ? "" : dataset.classes.front().name) +
                "; a classifier needs two. The pictures of each class belong into a folder of their own.");
    }
    if (!empty.empty()) {
        add(all, "empty_class", kError, static_cast<std::int64_t>(empty.size()),
            "No picture to learn from in " + listed(empty) + ". Fill or remove " +
                (empty.size() == 1 ? "this class." : "these classes."));
    }
    if (!unknown.empty()) {
        add(all, "unknown_class", kError, static_cast<std::int64_t>(unknown.size()),
            listed(unknown) + (unknown.size() == 1 ? " is" : " are") + " in " + dataset.layout.validation +
                "/ but not in " + dataset.layout.train + "/, so the model could never learn " +
                (unknown.size() == 1 ? "it." : "them."));
    }
    if (!untested.empty()) {
        add(all, "untested_class", dataset.validation() == 0 ? kError : kWarning,
            static_cast<std::int64_t>(untested.size()),
            "Nothing to judge the model by in " + listed(untested) + ": no picture is left for validation.");
    }
    if (!small.empty()) {
        add(all, "small_class", kWarning, static_cast<std::int64_t>(small.size()),
            "Fewer than " + std::to_string(kFewSamples) + " training pictures in " + listed(small) + ".");
    }
    if (fewest > 0 && most >= kNotedImbalance * fewest) {
        add(all, "imbalance", most >= kLargeImbalance * fewest ? kWarning : kInfo, most / fewest,
            "The largest class has " + std::to_string(most / fewest) +
                " times as many training pictures as the smallest (" + std::to_string(most) + " and " +
                std::to_string(fewest) + ").");
    }
}

/// Pictures of the same bytes: across the splits, under two classes, or merely twice.
void addCopies(std::vector<Problem>& all, const SampleList& list) {
    std::unordered_map<std::string_view, std::vector<const Sample*>> byHash;
    for (const Sample& sample : list.samples) {
        if (sample.readable) {
            byHash[sample.sha256].push_back(&sample);
        }
    }
    std::vector<std::string> leaks;
    std::vector<std::string> conflicts;
    std::vector<std::string> twice;
    std::vector<std::string> leakReasons;
    std::vector<std::string> conflictReasons;
    std::vector<std::string> twiceReasons;
    for (const Sample& sample : list.samples) {
        const auto found = byHash.find(sample.sha256);
        if (!sample.readable || found->second.size() < 2) {
            continue;
        }
        const auto& copies = found->second;
        const auto other = [&](auto&& fits) {
            const auto one =
                std::ranges::find_if(copies, [&](const Sample* copy) { return copy != &sample && fits(*copy); });
            return one == copies.end() ? nullptr : *one;
        };
        if (const Sample* copy = other([&](const Sample& o) { return sample.validation && !o.validation; })) {
            leaks.push_back(sample.path);
            leakReasons.push_back("the same as " + copy->path);
        }
        if (const Sample* copy = other([&](const Sample& o) { return o.label != sample.label; })) {
            conflicts.push_back(sample.path);
            conflictReasons.push_back("the same as " + copy->path);
        }
        // The first of each set of copies is the original.
        if (const Sample* copy = copies.front();
            copy != &sample && copy->label == sample.label && copy->validation == sample.validation) {
            twice.push_back(sample.path);
            twiceReasons.push_back("the same as " + copy->path);
        }
    }
    // Counted before they are moved: arguments are evaluated in no fixed order.
    const auto leaking = static_cast<std::int64_t>(leaks.size());
    const auto conflicting = static_cast<std::int64_t>(conflicts.size());
    const auto doubled = static_cast<std::int64_t>(twice.size());
    if (leaking > 0) {
        add(all, "leak", kWarning, leaking,
            counted(leaking, "validation picture is", "validation pictures are") +
                " also used for training, so the measured accuracy is better than the model.",
            std::move(leaks), std::move(leakReasons));
    }
    if (conflicting > 0) {
        add(all, "label_conflict", kWarning, conflicting,
            counted(conflicting, "picture lies", "pictures lie") + " under more than one class.", std::move(conflicts),
            std::move(conflictReasons));
    }
    if (doubled > 0) {
        add(all, "duplicate", kInfo, doubled,
            counted(doubled, "picture is", "pictures are") + " there more than once in the same class and split.",
            std::move(twice), std::move(twiceReasons));
    }
}

}  // namespace

base::Status takeLook(Dataset& dataset, const Json& answer) {
    base::ObjectReader reader(answer, "");
    dataset.classes.clear();
    std::vector<base::Error> wrong;
    const auto check = [&](const base::ObjectReader& one) {
        const std::vector<base::Error> errors = one.errors(/*rejectUnknown=*/false);
        wrong.insert(wrong.end(), errors.begin(), errors.end());
    };
    for (const Json& item : reader.array("classes")) {
        base::ObjectReader one(item, "classes");
        dataset.classes.push_back(
            {one.string("name"), one.integer("train"), one.integer("val"), one.integer("unreadable")});
        check(one);
    }
    dataset.unreadable.clear();
    for (const Json& item : reader.array("unreadable")) {
        base::ObjectReader one(item, "unreadable");
        dataset.unreadable.push_back(one.string("path"));
        check(one);
    }
    dataset.ignored = reader.integer("ignored");
    dataset.channels = reader.integer("channels", 3);
    dataset.sizes = reader.raw("sizes");
    dataset.statistics = reader.raw("statistics");
    check(reader);
    if (!wrong.empty()) {
        return base::Error{"engine.protocol", "The engine's answer cannot be read: " + wrong.front().message};
    }
    return {};
}

std::vector<Problem> findProblems(const Dataset& dataset, const Place& place, const SampleList& samples,
                                  const Json& answer) {
    std::vector<Problem> all;
    addUnreadable(all, dataset, answer);
    addClasses(all, dataset, place);
    addCopies(all, samples);
    base::ObjectReader reader(answer, "");
    if (const std::int64_t leaks = reader.integer("leaks"); leaks > 0) {
        add(all, "leak", kWarning, leaks,
            counted(leaks, "validation sample is", "validation samples are") +
                " also used for training, so the measured accuracy is better than the model.");
    }
    if (dataset.ignored > 0) {
        add(all, "ignored", kInfo, dataset.ignored,
            counted(dataset.ignored, "file is", "files are") +
                " no JPEG or PNG by name, or in no class's folder, and " + (dataset.ignored == 1 ? "is" : "are") +
                " not looked at.");
    }
    const auto rank = [](const Problem& problem) {
        return problem.severity == kError ? 0 : problem.severity == kWarning ? 1 : 2;
    };
    std::ranges::stable_sort(all, {}, rank);
    return all;
}

}  // namespace trainyard::datasets
