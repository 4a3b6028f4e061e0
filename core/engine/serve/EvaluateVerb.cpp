#include "core/engine/serve/EvaluateVerb.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "core/base/Clock.h"
#include "core/base/Text.h"
#include "core/engine/Runtime.h"
#include "core/engine/data/Batch.h"
#include "core/engine/data/FileReader.h"
#include "core/engine/data/ImageFolder.h"
#include "core/engine/serve/ServedModel.h"
#include "core/engine/serve/Tally.h"

namespace trainyard::engine {

namespace {

using base::Json;

constexpr std::size_t kMostNamedBad = 200;

struct EvaluateRequest {
    ModelChoice choice;
    spec::DatasetSpec dataset;
    std::string split;
    std::int64_t batchSize = 0;
    std::size_t mistakes = 0;

    [[nodiscard]] bool wantsTraining() const { return split != "validation"; }
    [[nodiscard]] bool wantsValidation() const { return split != "training"; }
};

Result<EvaluateRequest> requestFrom(const Json& request) {
    base::ObjectReader reader(request, "");
    reader.require("dataset");
    EvaluateRequest made;
    made.choice = modelChoiceFrom(reader);
    made.split = reader.string("split", "validation");
    made.batchSize = std::clamp<std::int64_t>(reader.integer("batch_size", 64), 1, 65536);
    made.mistakes = static_cast<std::size_t>(std::clamp<std::int64_t>(reader.integer("mistakes", 48), 0, 1000));
    base::ObjectReader dataset(reader.object("dataset"), "dataset");
    spec::DatasetSpec& spec = made.dataset;
    spec.kind = dataset.string("kind", spec.kind);
    spec.folder = dataset.string("folder");
    spec.trainImages = dataset.string("train_images");
    spec.trainLabels = dataset.string("train_labels");
    spec.valImages = dataset.string("val_images");
    spec.valLabels = dataset.string("val_labels");
    spec.trainLimit = dataset.integer("train_limit");
    spec.valLimit = dataset.integer("val_limit");
    spec.valFraction = dataset.number("val_fraction", spec.valFraction);
    spec.splitSeed = dataset.integer("split_seed", spec.splitSeed);
    spec.maxBadFraction = 1;  // They are counted and named.
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    TRAINYARD_TRY(dataset.status(/*rejectUnknown=*/false));
    if (made.split != "validation" && made.split != "training" && made.split != "all") {
        return Error{"evaluate.split", "The part of the data is \"validation\", \"training\" or \"all\".", "split"};
    }
    return made;
}

/// The errors of the data's readers speak of a run's task.
Error renamed(Error error) {
    constexpr std::string_view kTask = "task.";
    if (error.field.starts_with(kTask)) {
        error.field.erase(0, kTask.size());
    }
    return error;
}

/// Tells how far it is, four times a second at most.
class Progress {
public:
    Progress(const VerbProgress& tell, std::int64_t total) : m_tell(tell), m_total(total) {}
    void done(std::int64_t count) {
        constexpr std::int64_t kEvery = 250'000'000;
        if (const std::int64_t now = base::monotonicNanos(); now - m_last > kEvery) {
            m_last = now;
            m_tell({{"stage", "evaluate"}, {"done", count}, {"total", m_total}, {"unit", "samples"}});
        }
    }

private:
    const VerbProgress& m_tell;
    std::int64_t m_total;
    std::int64_t m_last = 0;
};

/// What both kinds of data fill.
struct Outcome {
    explicit Outcome(std::int64_t classes) : tally(classes) {}
    Tally tally;
    std::vector<BadFile> bad;
};

Json mistakeRow(const ServedModel& model, const Tally::Mistake& mistake) {
    return {{"file", ""},
            {"index", mistake.sample},
            {"label", mistake.label},
            {"name", model.nameOf(mistake.label)},
            {"predicted", mistake.predicted},
            {"predicted_name", model.nameOf(mistake.predicted)},
            {"probability", base::numberToJson(mistake.probability)},
            {"true_probability", base::numberToJson(mistake.trueProbability)}};
}

/// The model's label of each class of a folder.
Result<std::vector<std::int64_t>> labelsOf(const ServedModel& model, const std::vector<std::string>& classes) {
    const auto& known = model.card().classNames;
    std::vector<std::int64_t> labels;
    std::string unknown;
    std::size_t missing = 0;
    for (const std::string& name : classes) {
        const auto found = std::ranges::find(known, name);
        labels.push_back(found - known.begin());
        if (found == known.end() && ++missing <= 5) {
            unknown += (unknown.empty() ? "\"" : ", \"") + base::stripControl(name) + "\"";
        }
    }
    if (missing > 0) {
        return Error{
            "evaluate.classes",
            "The model does not know " + std::to_string(missing) + (missing == 1 ? " class" : " classes") +
                " of this data: " + unknown + (missing > 5 ? " and others" : "") + "." +
                (known.empty() ? " Its card names no classes, so a folder's cannot be matched with them." : ""),
            "dataset"};
    }
    return labels;
}

Result<Json> evaluatePictures(const EvaluateRequest& request, ServedModel& model, const VerbProgress& progress,
                              Outcome& outcome) {
    const int threads = static_cast<int>(usableCores());
    auto folder = scanImageFolder(request.dataset, threads);
    if (!folder) {
        return renamed(std::move(folder).error());
    }
    outcome.bad = std::move(folder->bad);
    std::vector<ImageFile> files;
    if (request.wantsTraining()) {
        files = std::move(folder->training);
    }
    if (request.wantsValidation()) {
        files.insert(files.end(), folder->validation.begin(), folder->validation.end());
    }
    const auto labels = labelsOf(model, folder->classes);
    if (!labels) {
        return labels.error();
    }
    const auto& shape = model.card().inputShape;
    Progress told(progress, static_cast<std::int64_t>(files.size()));
    const auto batchSize = static_cast<std::size_t>(request.batchSize);
    const at::Tensor images = at::empty({request.batchSize, shape[0], shape[1], shape[2]}, at::kFloat);
    for (std::size_t begin = 0; begin < files.size(); begin += batchSize) {
        const std::size_t count = std::min(batchSize, files.size() - begin);
        std::vector<std::string> wrong(count);
        std::atomic<std::size_t> next{0};
        const auto work = [&] {
            FileReader reader;
            for (std::size_t i = next++; i < count; i = next++) {
                // Nothing may leave a thread as an exception.
                const Status made = guarded("reading a picture", [&]() -> Status {
                    const auto bytes = reader.read(folder->root / files[begin + i].path);
                    if (!bytes) {
                        return bytes.error();
                    }
                    float* to = images.data_ptr<float>() + static_cast<std::int64_t>(i) * model.inputSize();
                    return model.prepareInto(*bytes, to);
                });
                wrong[i] = made ? std::string() : made.error().message;
            }
        };
        {
            std::vector<std::jthread> helpers;
            for (int i = 1; i < threads; ++i) {
                helpers.emplace_back(work);
            }
            work();
        }
        std::vector<std::int64_t> samples;
        std::vector<std::int64_t> rows;
        std::vector<std::int64_t> truths;
        for (std::size_t i = 0; i < count; ++i) {
            const ImageFile& file = files[begin + i];
            if (!wrong[i].empty()) {
                outcome.bad.push_back({file.path, wrong[i]});
                continue;
            }
            samples.push_back(static_cast<std::int64_t>(begin + i));
            rows.push_back(static_cast<std::int64_t>(i));
            truths.push_back((*labels)[static_cast<std::size_t>(file.label)]);
        }
        if (!samples.empty()) {
            const at::Tensor whole = images.narrow(0, 0, static_cast<std::int64_t>(count));
            auto logits =
                model.logits(rows.size() == count ? whole : whole.index_select(0, at::tensor(rows, at::kLong)));
            if (!logits) {
                return logits.error();
            }
            outcome.tally.add(*logits, at::tensor(truths, at::kLong), samples);
        }
        told.done(static_cast<std::int64_t>(begin + count));
    }
    Json mistakes = Json::array();
    for (const Tally::Mistake& mistake : outcome.tally.worst(request.mistakes)) {
        Json row = mistakeRow(model, mistake);
        row["file"] = (folder->root / files[static_cast<std::size_t>(mistake.sample)].path).string();
        mistakes.push_back(std::move(row));
    }
    return mistakes;
}

/// One split of IDX files; its worst mistakes are added to `mistakes`.
Status evaluateSet(const EvaluateRequest& request, ServedModel& model, bool validation, const VerbProgress& progress,
                   Outcome& outcome, Json& mistakes) {
    const spec::DatasetSpec& spec = request.dataset;
    const std::string field = validation ? "dataset.val_images" : "dataset.train_images";
    auto set = validation ? loadValidationSet(spec) : loadTrainingSet(spec);
    if (!set) {
        return renamed(std::move(set).error());
    }
    const auto sizes = [](const std::vector<std::int64_t>& shape) {
        return std::to_string(shape[2]) + " × " + std::to_string(shape[1]) + " pixels in " + std::to_string(shape[0]) +
               (shape[0] == 1 ? " channel" : " channels");
    };
    const ModelCard& card = model.card();
    if (set->sampleShape() != card.inputShape) {
        return Error{
            "evaluate.shape",
            "The images are " + sizes(set->sampleShape()) + ", the model takes " + sizes(card.inputShape) + ".", field};
    }
    if (std::ranges::any_of(set->labels, [&](std::uint8_t label) { return label >= card.classes; })) {
        return Error{"data.label",
                     "\"" + (validation ? spec.valLabels : spec.trainLabels) +
                         "\" has labels that the model has no class for.",
                     validation ? "dataset.val_labels" : "dataset.train_labels"};
    }
    BatchCutter cutter(*set, card.normalization, at::kCPU);
    Progress told(progress, set->count);
    Tally own(card.classes);
    for (std::int64_t begin = 0; begin < set->count; begin += request.batchSize) {
        const std::int64_t end = std::min(begin + request.batchSize, set->count);
        const Batch& batch = cutter.cutRange(begin, end);
        auto logits = model.logits(batch.images);
        if (!logits) {
            return logits.error();
        }
        std::vector<std::int64_t> samples(static_cast<std::size_t>(end - begin));
        std::iota(samples.begin(), samples.end(), begin);
        outcome.tally.add(*logits, batch.labels, samples);
        own.add(*logits, batch.labels, samples);
        told.done(end);
    }
    for (const Tally::Mistake& mistake : own.worst(request.mistakes)) {
        Json row = mistakeRow(model, mistake);
        row["file"] = validation ? spec.valImages : spec.trainImages;
        const auto size = static_cast<std::size_t>(set->pixelsPerSample());
        const auto* pixels =
            reinterpret_cast<const char*>(set->pixels.data()) + static_cast<std::size_t>(mistake.sample) * size;
        row["pixels"] = {{"width", set->width},
                         {"height", set->height},
                         {"channels", set->channels},
                         {"data", base::base64({pixels, size})}};
        mistakes.push_back(std::move(row));
    }
    return {};
}

Result<Json> evaluateIdx(const EvaluateRequest& request, ServedModel& model, const VerbProgress& progress,
                         Outcome& outcome) {
    Json mistakes = Json::array();
    if (request.wantsTraining()) {
        TRAINYARD_TRY(evaluateSet(request, model, false, progress, outcome, mistakes));
    }
    if (request.wantsValidation()) {
        TRAINYARD_TRY(evaluateSet(request, model, true, progress, outcome, mistakes));
    }
    std::stable_sort(mistakes.begin(), mistakes.end(), [](const Json& a, const Json& b) {
        return base::jsonToNumber(a["true_probability"]).value_or(-1) <
               base::jsonToNumber(b["true_probability"]).value_or(-1);
    });
    if (mistakes.size() > request.mistakes) {
        mistakes.erase(mistakes.begin() + static_cast<std::ptrdiff_t>(request.mistakes), mistakes.end());
    }
    return mistakes;
}

}  // namespace

Result<Json> runEvaluateVerb(const Json& document, const VerbProgress& progress) {
    auto request = requestFrom(document);
    if (!request) {
        return request.error();
    }
    auto model = ServedModel::open(request->choice);
    if (!model) {
        return model.error();
    }
    return guarded("evaluating the model", [&]() -> Result<Json> {
        const std::int64_t begin = base::monotonicNanos();
        Outcome outcome(model->card().classes);
        auto mistakes = request->dataset.kind == "images" ? evaluatePictures(*request, *model, progress, outcome)
                                                          : evaluateIdx(*request, *model, progress, outcome);
        if (!mistakes) {
            return mistakes.error();
        }
        const Tally& tally = outcome.tally;
        if (tally.samples() == 0) {
            return Error{"evaluate.empty",
                         "No sample of this data could be read." +
                             (outcome.bad.empty() ? std::string()
                                                  : " The first: \"" + base::stripControl(outcome.bad[0].path) +
                                                        "\", " + outcome.bad[0].why + "."),
                         "dataset"};
        }
        Json classes = tally.classes();
        for (Json& row : classes) {
            row["name"] = model->nameOf(row["label"].get<std::int64_t>());
        }
        Json bad = Json::array();
        for (std::size_t i = 0; i < std::min(outcome.bad.size(), kMostNamedBad); ++i) {
            bad.push_back({{"file", outcome.bad[i].path}, {"why", outcome.bad[i].why}});
        }
        return Json{{"samples", tally.samples()},
                    {"loss", base::numberToJson(tally.loss())},
                    {"accuracy", tally.accuracy()},
                    {"top5", tally.top5()},
                    {"classes", std::move(classes)},
                    {"confusion", tally.confusion()},
                    {"mistakes", std::move(*mistakes)},
                    {"bad", std::move(bad)},
                    {"bad_count", outcome.bad.size()},
                    {"device", model->device().str()},
                    {"seconds", static_cast<double>(base::monotonicNanos() - begin) * 1e-9}};
    });
}

}  // namespace trainyard::engine
