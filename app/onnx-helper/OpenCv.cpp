// Runs an ONNX file with OpenCV's dnn module: trainyard-onnx-opencv --request FILE. A program of its own, so that the
// proof of an export shares no code with the exporter.
#include <opencv2/core/version.hpp>
#include <opencv2/dnn.hpp>
#include <stdexcept>

#include "app/onnx-helper/Helper.h"

namespace {

using trainyard::base::Json;
using trainyard::onnx::Tensor;

class OpenCv final : public trainyard::onnx::Runtime {
public:
    [[nodiscard]] Json describe() const override {
        return {{"name", "OpenCV dnn"}, {"version", CV_VERSION}, {"through", ""}};
    }

    void open(const std::string& model, const std::vector<std::string>& outputs) override {
        m_net = cv::dnn::readNetFromONNX(model);
        m_net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
        m_net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
        // OpenCV names outputs by the layers that compute them, and drops the Identity that names ours.
        const std::vector<cv::String> unconnected = m_net.getUnconnectedOutLayersNames();
        for (const std::string& name : outputs) {
            m_layers.push_back(m_net.getLayerId(name) >= 0 || unconnected.size() != outputs.size()
                                   ? name
                                   : unconnected[m_layers.size()]);
        }
    }

    [[nodiscard]] std::vector<Tensor> run(Tensor& input) override {
        if (input.type != "float32") {
            throw std::runtime_error("OpenCV takes float32 inputs only");
        }
        const std::vector<int> sizes(input.dims.begin(), input.dims.end());
        const cv::Mat blob(sizes, CV_32F, input.bytes.data());
        if (blob.total() * sizeof(float) != input.bytes.size()) {
            throw std::runtime_error("the input's size does not fit its shape");
        }
        m_net.setInput(blob.clone(), input.name);
        std::vector<cv::Mat> results;
        m_net.forward(results, m_layers);
        std::vector<Tensor> outputs;
        for (std::size_t i = 0; i < results.size(); ++i) {
            const cv::Mat result = results[i].isContinuous() ? results[i] : results[i].clone();
            if (result.type() != CV_32F) {
                throw std::runtime_error("an output is not float32");
            }
            outputs.push_back({m_layers[i],
                               "float32",
                               {result.size.p, result.size.p + result.dims},
                               {reinterpret_cast<const char*>(result.data), result.total() * sizeof(float)}});
        }
        return outputs;
    }

private:
    cv::dnn::Net m_net;
    std::vector<std::string> m_layers;
};

}  // namespace

int main(int argc, char** argv) {
    OpenCv runtime;
    return trainyard::onnx::runProgram(argc, argv, "trainyard-onnx-opencv", runtime);
}
