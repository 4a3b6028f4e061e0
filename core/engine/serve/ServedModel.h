#pragma once
// A trained model ready to answer: its TorchScript file, and from its card how a picture becomes its input.
#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/model/ModelCard.h"
#include "core/engine/model/TorchScript.h"

namespace trainyard::engine {

/// Where a request says which model it means: {"model": path, "card"?: the card's document, "device"?: "auto", "cpu",
/// "cuda", "threads"?: 0}. Without "card" the card lies beside the model.
struct ModelChoice {
    base::Path model;
    base::Json card;
    std::string device = "auto";
    std::int64_t threads = 0;
};
/// Takes the members above from a request's reader.
[[nodiscard]] ModelChoice modelChoiceFrom(base::ObjectReader& reader);

/// Not thread-safe, except prepareInto().
class ServedModel {
public:
    /// Sets this process's number of threads. Errors, with the field "model": "model.card" (there is none, or it does
    /// not belong to this model), "model.foreign" (a TorchScript model that no family of ours made), "model.format",
    /// "file.*"; "engine.device".
    [[nodiscard]] static Result<ServedModel> open(const ModelChoice& choice);

    [[nodiscard]] const ModelCard& card() const { return m_card; }
    [[nodiscard]] at::Device device() const { return m_device; }
    /// The card's name of a class, else its number.
    [[nodiscard]] std::string nameOf(std::int64_t label) const;
    /// Floats of one prepared picture.
    [[nodiscard]] std::int64_t inputSize() const;

    /// A JPEG or PNG file's bytes as the model takes it, {C, H, W} in `to`: of a model trained on pictures as in
    /// validation, resized and cut out of the centre; else resized to the input's size, grey where the model takes one
    /// channel. Thread-safe. "picture.*".
    [[nodiscard]] Status prepareInto(std::string_view bytes, float* to) const;
    /// Images {N, C, H, W} → logits {N, classes} on the CPU, float32. Throws what libtorch throws; "model.card" when
    /// the model's classes are not the card's.
    [[nodiscard]] Result<at::Tensor> logits(const at::Tensor& images);

private:
    ServedModel(ModelCard card, ScriptedModel model, at::Device device);

    ModelCard m_card;
    ScriptedModel m_model;
    at::Device m_device;
    std::vector<std::array<float, 256>> m_tables;  ///< One a channel.
};

}  // namespace trainyard::engine
