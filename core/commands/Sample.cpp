#include "core/commands/Sample.h"

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/spec/Field.h"
#include "core/spec/RunSpec.h"

namespace trainyard::commands {

using base::Error;
using base::Json;
using base::Path;
using base::Result;

namespace {

constexpr const char* kDebianFolder = "/usr/share/datasets/fashion-mnist";

Path imagesFolder() {
    const char* chosen = std::getenv("TRAINYARD_FASHION_MNIST");
    return chosen != nullptr && *chosen != '\0' ? Path(chosen) : Path(kDebianFolder);
}

}  // namespace

Result<Json> makeSample(const wire::WorkspaceLayout& layout, SampleFiles which) {
    const Path draftFile = layout.drafts() / "fashion-mnist.json";
    const Path datasetFile = layout.datasets() / "fashion-mnist.json";
    const Json result{{"draft", draftFile.string()}, {"dataset", datasetFile.string()}};
    const auto wanted = [which](const Path& file) {
        std::error_code error;
        return which == SampleFiles::All || !std::filesystem::exists(file, error);
    };
    if (!wanted(draftFile) && !wanted(datasetFile)) {
        return result;
    }
    const Path folder = imagesFolder();
    const std::pair<const char*, const char*> files[] = {
        {"train_images", "train-images-idx3-ubyte.gz"},
        {"train_labels", "train-labels-idx1-ubyte.gz"},
        {"val_images", "t10k-images-idx3-ubyte.gz"},
        {"val_labels", "t10k-labels-idx1-ubyte.gz"},
    };
    Json dataset{{"kind", "idx"}, {"name", "Fashion-MNIST"}};
    for (const auto& [key, name] : files) {
        const Path file = folder / name;
        std::error_code error;
        if (!std::filesystem::is_regular_file(file, error)) {
            return Error{"sample.missing", file.string() +
                                               " is not there. Install the package dataset-fashion-mnist, or "
                                               "name the folder of its files in TRAINYARD_FASHION_MNIST."};
        }
        dataset[key] = file.string();
    }
    dataset["class_names"] = Json::array(
        {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"});
    Json spec = spec::defaultRunSpecDocument();
    spec::setValueAt(spec, "experiment", "fashion-mnist");
    spec::setValueAt(spec, "description", "A small CNN on 60,000 pictures of clothes.");
    for (const auto& [key, value] : dataset.items()) {
        spec::setValueAt(spec, "task.dataset." + key, value);
    }
    TRAINYARD_TRY(base::makeDirs(layout.drafts()));
    TRAINYARD_TRY(base::makeDirs(layout.datasets()));
    if (wanted(datasetFile)) {
        TRAINYARD_TRY(base::writeFileAtomically(
            datasetFile,
            base::dumpJsonPretty(Json{{"format", kDatasetFormat},
                                      {"version", kDatasetVersion},
                                      {"name", "Fashion-MNIST"},
                                      {"description", "60,000 and 10,000 pictures of clothes, 28×28, 10 classes."},
                                      {"dataset", dataset}})));
    }
    if (wanted(draftFile)) {
        TRAINYARD_TRY(base::writeFileAtomically(
            draftFile,
            base::dumpJsonPretty(Json{{"format", kDraftFormat},
                                      {"version", kDraftVersion},
                                      {"id", "fashion-mnist"},
                                      {"title", "Fashion-MNIST"},
                                      {"description", "Trains a small CNN to tell ten kinds of clothes apart."},
                                      {"spec", std::move(spec)}})));
    }
    return result;
}

Result<Json> listDrafts(const wire::WorkspaceLayout& layout) {
    std::vector<Json> drafts;
    Json problems = Json::array();
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(layout.drafts(), error)) {
        if (entry.path().extension() != ".json") {
            continue;
        }
        const auto refuse = [&](const Error& why) {
            problems.push_back(Json{{"file", entry.path().string()}, {"code", why.code}, {"message", why.message}});
        };
        const Result<std::string> text = base::readFile(entry.path());
        if (!text.ok()) {
            refuse(text.error());
            continue;
        }
        const Result<Json> json = base::parseJson(*text);
        if (!json.ok()) {
            refuse(json.error());
            continue;
        }
        if (const base::Status format = base::checkFormat(*json, kDraftFormat, kDraftVersion); !format.ok()) {
            refuse(format.error());
            continue;
        }
        base::ObjectReader reader(*json, "");
        Json draft{{"id", reader.string("id", entry.path().stem().string())},
                   {"title", reader.string("title", entry.path().stem().string())},
                   {"description", reader.string("description")},
                   {"file", entry.path().string()},
                   {"spec", reader.object("spec")}};
        if (const base::Status well = reader.status(false); !well.ok()) {
            refuse(well.error());
            continue;
        }
        drafts.push_back(std::move(draft));
    }
    std::sort(drafts.begin(), drafts.end(), [](const Json& left, const Json& right) {
        return left.at("title").get<std::string>() < right.at("title").get<std::string>();
    });
    return Json{{"drafts", drafts}, {"problems", std::move(problems)}};
}

}  // namespace trainyard::commands
