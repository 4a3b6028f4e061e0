#include "core/engine/model/MaxPool.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "core/engine/model/PoolKernel.h"

namespace trainyard::engine {

namespace {

/// Planes a thread takes at least, so that one has some ten thousand values to do.
std::int64_t grainOf(const PoolShape& shape) {
    return std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, shape.height * shape.width));
}

at::Tensor pool(const at::Tensor& x, at::Tensor* place) {
    const PoolShape shape{x.size(2), x.size(3)};
    const at::Tensor out =
        at::empty({x.size(0), x.size(1), shape.outHeight(), shape.outWidth()}, x.options().requires_grad(false));
    if (place != nullptr) {
        *place = at::empty(out.sizes(), out.options().dtype(at::kByte));
    }
    const float* from = x.data_ptr<float>();
    float* to = out.data_ptr<float>();
    std::uint8_t* places = place != nullptr ? place->data_ptr<std::uint8_t>() : nullptr;
    const std::int64_t inSize = shape.height * shape.width;
    const std::int64_t outSize = shape.outHeight() * shape.outWidth();
    at::parallel_for(0, x.size(0) * x.size(1), grainOf(shape), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            poolPlane(shape, from + i * inSize, to + i * outSize, places != nullptr ? places + i * outSize : nullptr);
        }
    });
    return out;
}

class MaxPoolFunction : public torch::autograd::Function<MaxPoolFunction> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
        at::Tensor place;
        const at::Tensor out = pool(x, &place);
        context->saved_data["height"] = x.size(2);
        context->saved_data["width"] = x.size(3);
        context->save_for_backward({place});
        return out;
    }

    static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::tensor_list gradients) {
        const at::Tensor place = context->get_saved_variables()[0];
        const at::Tensor gradient = gradients[0].contiguous();
        const PoolShape shape{context->saved_data["height"].toInt(), context->saved_data["width"].toInt()};
        const at::Tensor result =
            at::empty({gradient.size(0), gradient.size(1), shape.height, shape.width}, gradient.options());
        const float* from = gradient.data_ptr<float>();
        const std::uint8_t* places = place.data_ptr<std::uint8_t>();
        float* to = result.data_ptr<float>();
        const std::int64_t inSize = shape.height * shape.width;
        const std::int64_t outSize = shape.outHeight() * shape.outWidth();
        at::parallel_for(0, gradient.size(0) * gradient.size(1), grainOf(shape),
                         [&](std::int64_t begin, std::int64_t end) {
                             for (std::int64_t i = begin; i < end; ++i) {
                                 unpoolPlane(shape, from + i * outSize, places + i * outSize, to + i * inSize);
                             }
                         });
        return {result};
    }
};

}  // namespace

at::Tensor maxPool2x2(const at::Tensor& x) {
    const bool fits = x.is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4 && x.is_contiguous() && x.numel() > 0;
    if (!fits) {
        return at::max_pool2d(x, {2, 2}, {2, 2});
    }
    return at::GradMode::is_enabled() && x.requires_grad() ? MaxPoolFunction::apply(x) : pool(x, nullptr);
}

}  // namespace trainyard::engine
