#include "core/engine/serve/PredictVerb.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "core/base/Clock.h"
#include "core/engine/data/FileReader.h"
#include "core/engine/serve/ServedModel.h"

namespace trainyard::engine {

namespace {

using base::Json;

constexpr std::size_t kMostFiles = 100'000;

double secondsSince(std::int64_t begin) { return static_cast<double>(base::monotonicNanos() - begin) * 1e-9; }

bool hasPictureEnding(const base::Path& path) {
    std::string ending = path.extension().string();
    std::ranges::transform(ending, ending.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

/// Folders are replaced by the pictures in them and below, by name.
Result<std::vector<std::string>> picturesOf(const std::vector<std::string>& asked) {
    namespace fs = std::filesystem;
    const auto tooMany =
        Error{"predict.files", "More than " + std::to_string(kMostFiles) + " pictures at once.", "files"};
    std::vector<std::string> files;
    for (const std::string& path : asked) {
        std::error_code error;
        if (!fs::is_directory(path, error)) {
            files.push_back(path);
            continue;
        }
        std::vector<std::string> found;
        fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, error);
        for (; !error && at != fs::recursive_directory_iterator() && found.size() <= kMostFiles; at.increment(error)) {
            std::error_code unreadable;
            if (hasPictureEnding(at->path()) && at->is_regular_file(unreadable)) {
                found.push_back(at->path().string());
            }
        }
        if (error) {
            return Error{"predict.files", "\"" + path + "\" cannot be read: " + error.message() + ".", "files"};
        }
        if (found.empty()) {
            return Error{"predict.files", "\"" + path + "\" has no JPEG or PNG file in it.", "files"};
        }
        std::ranges::sort(found);
        files.insert(files.end(), found.begin(), found.end());
        if (files.size() > kMostFiles) {
            return tooMany;
        }
    }
    if (files.empty()) {
        return Error{"predict.files", "No picture is given.", "files"};
    }
    return files.size() > kMostFiles ? Result<std::vector<std::string>>(tooMany) : files;
}

Result<Json> topOf(ServedModel& model, const std::string& file, std::int64_t top) {
    FileReader reader;
    const auto bytes = reader.read(file);
    if (!bytes) {
        return bytes.error();
    }
    const auto& shape = model.card().inputShape;
    const at::Tensor image = at::empty({1, shape[0], shape[1], shape[2]}, at::kFloat);
    TRAINYARD_TRY(model.prepareInto(*bytes, image.data_ptr<float>()));
    auto logits = model.logits(image);
    if (!logits) {
        return logits.error();
    }
    const auto [values, labels] = logits->softmax(1)[0].topk(std::clamp<std::int64_t>(top, 1, model.card().classes));
    Json rows = Json::array();
    for (std::int64_t i = 0; i < values.size(0); ++i) {
        const auto label = labels[i].item<std::int64_t>();
        rows.push_back({{"label", model.nameOf(label)},
                        {"index", label},
                        {"probability", base::numberToJson(values[i].item<double>())}});
    }
    return rows;
}

}  // namespace

/// Only what is wrong with the request as a whole is an Error.
Result<Json> predictWith(ServedModel& model, const Json& request, const VerbProgress& progress) {
    base::ObjectReader reader(request, "");
    const auto asked = reader.strings("files");
    const std::int64_t top = reader.integer("top", 5);
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    const auto files = picturesOf(asked);
    if (!files) {
        return files.error();
    }
    constexpr std::int64_t kReportEvery = 250'000'000;
    std::int64_t reported = base::monotonicNanos();
    std::int64_t failed = 0;
    Json rows = Json::array();
    for (const std::string& file : *files) {
        const std::int64_t begin = base::monotonicNanos();
        Json row{{"file", file}};
        auto found = guarded("looking at a picture", [&] { return topOf(model, file, top); });
        if (found) {
            row["top"] = std::move(*found);
        } else if (found.error().field == "model" || found.error().code == "engine.memory") {
            return found.error();
        } else {
            ++failed;
            row["error"] = {{"code", found.error().code}, {"message", found.error().message}};
        }
        row["seconds"] = secondsSince(begin);
        rows.push_back(std::move(row));
        if (base::monotonicNanos() - reported > kReportEvery) {
            reported = base::monotonicNanos();
            progress({{"stage", "predict"}, {"done", rows.size()}, {"total", files->size()}, {"unit", "pictures"}});
        }
    }
    return Json{{"predictions", std::move(rows)}, {"failed", failed}, {"device", model.device().str()}};
}

Result<Json> runPredictVerb(const Json& request, const VerbProgress& progress) {
    base::ObjectReader reader(request, "");
    reader.require("files");
    const ModelChoice choice = modelChoiceFrom(reader);
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    const std::int64_t begin = base::monotonicNanos();
    auto model = ServedModel::open(choice);
    if (!model) {
        return model.error();
    }
    const double loading = secondsSince(begin);
    auto answer = predictWith(*model, request, progress);
    if (answer) {
        (*answer)["load_seconds"] = loading;
    }
    return answer;
}

}  // namespace trainyard::engine
