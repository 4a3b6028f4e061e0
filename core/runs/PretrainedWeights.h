#pragma once
// Weights that others have trained and published, named in resources/curated/weights.json and in the user's own list
// ($XDG_CONFIG_HOME/trainyard/weights.json, the same format). They lie in $XDG_CACHE_HOME/trainyard/weights, checked
// against their hash each time they are given out. Everything here may block: call it in a worker thread. Several
// processes may fetch at once.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"

namespace trainyard::runs {

inline constexpr const char* kPretrainedFormat = "trainyard.pretrained-weights";
inline constexpr int kPretrainedVersion = 1;
/// How a run's specification names them: "pretrained:resnet18-imagenet".
inline constexpr std::string_view kPretrainedPrefix = "pretrained:";
/// Where the files are fetched from instead: an address that the file's name is put behind.
inline constexpr const char* kWeightsBaseVariable = "TRAINYARD_WEIGHTS_BASE";

struct PretrainedWeights {
    std::string id;
    std::string family;        ///< Of core/spec/models.
    std::string address;       ///< As published.
    std::string fileName;      ///< Its last part; also in the cache.
    std::string sha256Prefix;  ///< 8 to 64 hex digits: what the file's SHA-256 begins with.
    base::Json entry;          ///< All that the list says: title, classes, preprocessing, licence, …

    /// Where it is fetched from here.
    [[nodiscard]] std::string source() const;
    /// Where it lies or would lie.
    [[nodiscard]] base::Path file() const;
};

/// The shipped ones, then the user's own; of equal ids the user's counts. What is wrong with the user's list is told in
/// `problem`.
[[nodiscard]] std::vector<PretrainedWeights> pretrainedWeights(base::Error* problem = nullptr);
/// With or without the prefix. "weights.unknown", with the field.
[[nodiscard]] base::Result<PretrainedWeights> findPretrained(const std::string& name, const std::string& field);

/// Told bytes done and in all (0: not known); false: stop ("canceled").
using WeightsReport = std::function<bool(std::int64_t done, std::int64_t total)>;

/// The SHA-256 of the file in the cache. "weights.absent" (not fetched yet), "weights.hash" (another file lies there),
/// file.*.
[[nodiscard]] base::Result<std::string> checkPretrained(const PretrainedWeights& weights, const WeightsReport& report);
/// The file in the cache, fetched where it is not there or damaged; gone on with after a break. The curl program does
/// it. Errors: "weights.address", "weights.fetch" (with what curl said and what else can be done), "weights.hash"
/// (other bytes came; they are thrown away), "canceled", file.*.
[[nodiscard]] base::Result<base::Path> fetchPretrained(const PretrainedWeights& weights, const WeightsReport& report);
/// Takes a file that was brought by hand. "weights.hash" when it is another one; nothing is kept then.
[[nodiscard]] base::Result<base::Path> takePretrained(const PretrainedWeights& weights, const base::Path& file,
                                                      const WeightsReport& report);

}  // namespace trainyard::runs
