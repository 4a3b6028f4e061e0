#pragma once
// What a trained model says about itself: model.json beside model.pt. Text: resources/docs/protocol/model.md.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/engine/data/Dataset.h"
#include "core/spec/models/LayerTable.h"

namespace trainyard::engine {

inline constexpr const char* kModelCardFormat = "trainyard.model-card";
inline constexpr int kModelCardVersion = 1;

struct ModelCard {
    std::string family;
    base::Json options = base::Json::object();
    std::vector<std::int64_t> inputShape;  ///< {C, H, W}
    std::int64_t classes = 0;
    std::vector<std::string> classNames;  ///< May be empty.
    Normalization normalization;
    std::vector<Normalization> channels;  ///< One a channel, instead of `normalization`, where they differ.
    std::int64_t resize = 0;  ///< Pictures: short side in pixels before the centre is cut out; 0: the card is older.
    std::string dataset;
    std::int64_t trainSamples = 0;
    std::int64_t valSamples = 0;
    std::int64_t parameters = 0;
    std::int64_t multiplyAdds = 0;
    base::Json metrics = base::Json::object();  ///< {"last": {…}, "best": {…}}
    std::int64_t epochs = 0;
    std::int64_t steps = 0;
    std::int64_t seed = 0;
    std::string runId;
    std::string engineVersion;
    std::string libtorchVersion;
};

[[nodiscard]] base::Json toJson(const ModelCard& card);
/// Members that are missing get their defaults; wrong types and newer versions are errors.
[[nodiscard]] base::Result<ModelCard> modelCardFromJson(const base::Json& json);
[[nodiscard]] base::Status writeModelCard(const ModelCard& card, const base::Path& path);
/// The card beside a model: "<stem>.json".
[[nodiscard]] base::Result<ModelCard> readModelCardOf(const base::Path& model);

}  // namespace trainyard::engine
