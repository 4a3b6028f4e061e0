// Export of whole models, what the proof must notice, and what must be refused.
#include <onnx/onnx_pb.h>
#include <torch/script.h>

#include <QProcess>
#include <QTest>
#include <algorithm>
#include <fstream>
#include <set>

#include "core/engine/export/Verbs.h"
#include "core/engine/model/Network.h"
#include "core/engine/model/SafeTensors.h"
#include "core/engine/model/TorchScript.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using base::Json;
using base::Path;

namespace {

const engine::VerbProgress kQuiet = [](const Json&) {};

/// A module with one weight matrix and the given forward().
Path saveScript(const test::Scratch& scratch, const std::string& name, const std::string& forward) {
    torch::jit::Module module("Probe");
    module.register_attribute("training", c10::BoolType::get(), true);
    module.register_parameter("weight", torch::randn({6, 12}), false);
    module.register_parameter("kernel", torch::randn({4, 3, 3, 3}), false);
    module.register_buffer("mean", torch::randn({3}));
    module.register_buffer("variance", torch::rand({3}) + 0.5);
    module.define(forward);
    const Path path = scratch / name;
    module.save(path.string());
    return path;
}

void rewrite(const Path& file, const std::function<void(onnx::ModelProto&)>& change) {
    onnx::ModelProto model;
    std::ifstream in(file, std::ios::binary);
    QVERIFY(model.ParseFromIstream(&in));
    in.close();
    change(model);
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    QVERIFY(model.SerializeToOstream(&out));
}

std::vector<std::string> reasonsOf(const Json& proof) {
    std::vector<std::string> codes;
    for (const Json& reason : proof["reasons"]) {
        codes.push_back(reason["code"].get<std::string>());
    }
    return codes;
}

bool contains(const std::vector<std::string>& codes, const char* code) {
    return std::find(codes.begin(), codes.end(), code) != codes.end();
}

std::string text(const Json& json) { return base::dumpJsonPretty(json); }

}  // namespace

class OnnxExportTest : public QObject {
    Q_OBJECT

private:
    struct Exported {
        Path model;
        Path onnx;
        Path samples;
        Json request;
    };

    /// Saves a model of the family with statistics that differ from fresh ones, exports it, and keeps its samples.
    Exported exportFamily(const test::Scratch& scratch, const std::string& family, Json extra = Json::object()) {
        torch::manual_seed(7);
        auto table = spec::buildLayerTable(family, Json::object(), {1, 28, 28}, 10);
        [&] { QVERIFY2(table.ok(), table.ok() ? "" : table.error().message.c_str()); }();
        engine::Network network(*table);
        {
            torch::NoGradGuard noGrad;
            network.train(true);
            for (int i = 0; i < 3; ++i) {
                (void) network.forward(torch::randn({16, 1, 28, 28}) * 2.0 + 0.5);
            }
        }
        Exported out;
        out.model = scratch / (family + ".pt");
        out.onnx = scratch / (family + ".onnx");
        out.samples = scratch / "samples.safetensors";
        [&] {
            QVERIFY(engine::saveTorchScript(network, out.model).ok());
            QVERIFY(
                engine::writeSafeTensors(
                    {{{"images", torch::rand({32, 1, 28, 28})}, {"labels", torch::arange(32) % 10}}, {}}, out.samples)
                    .ok());
        }();
        out.request = {{"model", out.model.string()}, {"output", out.onnx.string()}, {"input_shape", {1, 28, 28}}};
        for (const auto& [key, value] : extra.items()) {
            out.request[key] = value;
        }
        const auto result = engine::runExportVerb(out.request, kQuiet);
        [&] { QVERIFY2(result.ok(), result.ok() ? "" : result.error().message.c_str()); }();
        return out;
    }

    Json prove(const Exported& exported, Json extra = Json::object()) {
        Json request{{"model", exported.model.string()},
                     {"onnx", exported.onnx.string()},
                     {"samples", exported.samples.string()},
                     {"input_shape", {1, 28, 28}},
                     {"runtime", "onnxruntime-node"}};
        for (const auto& [key, value] : extra.items()) {
            request[key] = value;
        }
        const auto proof = engine::runVerifyVerb(request, kQuiet);
        [&] { QVERIFY2(proof.ok(), proof.ok() ? "" : proof.error().message.c_str()); }();
        return proof.ok() ? *proof : Json{{"passed", false}, {"reasons", Json::array()}, {"cases", Json::array()}};
    }

private Q_SLOTS:
    void cleanup() {
        test::ChildGuard guard;
        QVERIFY2(guard.noneLeft(3000), guard.report().c_str());
    }

    void family_isProved_data() {
        QTest::addColumn<QString>("family");
        QTest::addColumn<int>("opset");
        for (const int opset : {11, 13, 17}) {
            QTest::addRow("mlp opset %d", opset) << QStringLiteral("mlp") << opset;
            QTest::addRow("cnn opset %d", opset) << QStringLiteral("cnn") << opset;
        }
    }
    void family_isProved() {
        QFETCH(QString, family);
        QFETCH(int, opset);
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, family.toStdString(), {{"opset", opset}});
        const Json proof = prove(exported, {{"opset", opset}});
        QVERIFY2(proof["passed"].get<bool>(), text(proof).c_str());
        QVERIFY2(proof["max_abs_diff"].get<double>() < 1e-5, text(proof["max_abs_diff"]).c_str());
        QCOMPARE(proof["runtime"]["name"].get<std::string>(), std::string("ONNX Runtime"));
        QVERIFY(!proof["runtime"]["version"].get<std::string>().empty());
        QVERIFY(!proof["checker"]["version"].get<std::string>().empty());
        QCOMPARE(proof["real_samples"].get<int>(), 32);
        QCOMPARE(proof["parameters"]["compared"].get<int>(), proof["parameters"]["equal"].get<int>());
        QVERIFY(proof["parameters"]["compared"].get<int>() >= 4);
        std::set<std::int64_t> batches;
        for (const Json& row : proof["cases"]) {
            batches.insert(row["batch"].get<std::int64_t>());
            QVERIFY(row["argmax_equal"].is_null() || row["argmax_equal"].get<bool>());
        }
        QCOMPARE(batches, (std::set<std::int64_t>{1, 3, 7, 32}));
    }

    void fixedBatch_isProved() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "cnn", {{"dynamic_batch", false}, {"batch", 2}});
        const Json proof = prove(exported, {{"dynamic_batch", false}});
        QVERIFY2(proof["passed"].get<bool>(), text(proof).c_str());
        for (const Json& row : proof["cases"]) {
            QCOMPARE(row["batch"].get<int>(), 2);
        }
    }

    void parameters_keepTheirNames() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "cnn");
        auto model = engine::ScriptedModel::load(exported.model);
        QVERIFY(model.ok());
        std::set<std::string> stored;
        rewrite(exported.onnx, [&](onnx::ModelProto& proto) {
            for (const auto& tensor : proto.graph().initializer()) {
                stored.insert(tensor.name());
            }
        });
        for (const auto& [name, tensor] : model->state()) {
            if (!name.ends_with("num_batches_tracked")) {
                QVERIFY2(stored.contains(name), name.c_str());
            }
        }
    }

    void pythonChecker_accepts() {
        const test::Scratch scratch;
        for (const char* family : {"mlp", "cnn"}) {
            const Exported exported = exportFamily(scratch, family);
            QProcess python;
            python.start(QStringLiteral("/usr/bin/python3"),
                         {QStringLiteral("-c"),
                          QStringLiteral(
                              "import onnx,sys\nm=onnx.load(sys.argv[1])\nonnx.checker.check_model(m,full_check=True)\n"
                              "print(m.producer_name, m.opset_import[0].version)"),
                          QString::fromStdString(exported.onnx.string())});
            QVERIFY2(python.waitForFinished(60'000), "python3-onnx did not answer");
            QVERIFY2(python.exitStatus() == QProcess::NormalExit && python.exitCode() == 0,
                     python.readAllStandardError().constData());
            QCOMPARE(python.readAllStandardOutput().trimmed(), QByteArray("trainyard 17"));
        }
    }

    // ---- what the proof must notice
    void oneWeightChanged_failsTheProof() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "cnn");
        rewrite(exported.onnx, [](onnx::ModelProto& model) {
            for (auto& tensor : *model.mutable_graph()->mutable_initializer()) {
                if (tensor.dims_size() == 4) {
                    auto* first = reinterpret_cast<float*>(tensor.mutable_raw_data()->data());
                    first[0] += 0.25F;
                    return;
                }
            }
            QFAIL("no convolution weight found");
        });
        const Json proof = prove(exported);
        QVERIFY(!proof["passed"].get<bool>());
        const auto reasons = reasonsOf(proof);
        QVERIFY2(contains(reasons, "verify.weights_differ"), text(proof).c_str());
        QVERIFY2(contains(reasons, "verify.outputs_differ"), text(proof).c_str());
        QVERIFY2(proof["reasons"][0]["message"].get<std::string>().find("1 of ") != std::string::npos,
                 text(proof).c_str());
    }

    void oneUlpChanged_failsTheProof() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp");
        rewrite(exported.onnx, [](onnx::ModelProto& model) {
            for (auto& tensor : *model.mutable_graph()->mutable_initializer()) {
                if (tensor.dims_size() == 2) {
                    (*tensor.mutable_raw_data())[0] ^= 1;
                    return;
                }
            }
            QFAIL("no weight found");
        });
        const Json proof = prove(exported);
        QVERIFY(!proof["passed"].get<bool>());
        QCOMPARE(reasonsOf(proof), std::vector<std::string>{"verify.weights_differ"});
    }

    void swappedClasses_failTheProof() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp");
        rewrite(exported.onnx, [](onnx::ModelProto& model) {
            auto* graph = model.mutable_graph();
            auto* order = graph->add_initializer();
            order->set_name("order");
            order->set_data_type(onnx::TensorProto::INT64);
            order->add_dims(10);
            const std::int64_t swapped[] = {0, 1, 7, 3, 4, 5, 6, 2, 8, 9};
            order->set_raw_data(swapped, sizeof swapped);
            // The last node is the Identity that names the output.
            auto* last = graph->mutable_node(graph->node_size() - 1);
            last->set_op_type("Gather");
            last->add_input("order");
            auto* axis = last->add_attribute();
            axis->set_name("axis");
            axis->set_type(onnx::AttributeProto::INT);
            axis->set_i(1);
        });
        const Json proof = prove(exported);
        QVERIFY(!proof["passed"].get<bool>());
        const auto reasons = reasonsOf(proof);
        QVERIFY2(contains(reasons, "verify.outputs_swapped"), text(proof).c_str());
        QVERIFY2(!contains(reasons, "verify.weights_differ"), text(proof).c_str());
        QVERIFY2(proof["reasons"][0]["message"].get<std::string>().find("2 and 7") != std::string::npos,
                 text(proof).c_str());
    }

    void swappedOutputs_failTheProof() {
        const test::Scratch scratch;
        Exported exported;
        exported.model = saveScript(scratch, "two.pt", R"(
def forward(self, x: Tensor):
    y = torch.linear(x, self.weight)
    return (torch.relu(y), torch.tanh(y))
)");
        exported.onnx = scratch / "two.onnx";
        const Json request{{"model", exported.model.string()},
                           {"output", exported.onnx.string()},
                           {"input_shape", {12}},
                           {"output_names", {"a", "b"}}};
        QVERIFY(engine::runExportVerb(request, kQuiet).ok());
        const Json extra{{"samples", ""}, {"input_shape", {12}}};
        QVERIFY2(prove(exported, extra)["passed"].get<bool>(), text(prove(exported, extra)).c_str());
        rewrite(exported.onnx,
                [](onnx::ModelProto& model) { model.mutable_graph()->mutable_output()->SwapElements(0, 1); });
        const Json proof = prove(exported, extra);
        QVERIFY(!proof["passed"].get<bool>());
        QVERIFY2(contains(reasonsOf(proof), "verify.outputs_swapped"), text(proof).c_str());
    }

    /// Outputs of 1e-8 must not slip through a tolerance made for outputs of 1.
    void tinyOutputs_areMeasuredAgainstTheirOwnSize() {
        const test::Scratch scratch;
        Exported exported;
        exported.model = saveScript(scratch, "tiny.pt",
                                    "def forward(self, x: Tensor):\n    return torch.linear(x, self.weight) * 1e-8\n");
        exported.onnx = scratch / "tiny.onnx";
        const Json request{
            {"model", exported.model.string()}, {"output", exported.onnx.string()}, {"input_shape", {12}}};
        QVERIFY(engine::runExportVerb(request, kQuiet).ok());
        const Json extra{{"samples", ""}, {"input_shape", {12}}};
        QVERIFY2(prove(exported, extra)["passed"].get<bool>(), text(prove(exported, extra)).c_str());
        rewrite(exported.onnx, [](onnx::ModelProto& model) {
            for (auto& tensor : *model.mutable_graph()->mutable_initializer()) {
                if (tensor.dims_size() == 0) {
                    *reinterpret_cast<float*>(tensor.mutable_raw_data()->data()) *= 1.01F;
                    return;
                }
            }
            QFAIL("no scalar found");
        });
        const Json proof = prove(exported, extra);
        QCOMPARE(reasonsOf(proof), std::vector<std::string>{"verify.outputs_differ"});
    }

    void batchFixedInTheInput_failsTheProof() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp");
        rewrite(exported.onnx, [](onnx::ModelProto& model) {
            for (auto* value : {model.mutable_graph()->mutable_input(0), model.mutable_graph()->mutable_output(0)}) {
                value->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_value(1);
            }
            model.mutable_graph()->clear_value_info();
        });
        const Json proof = prove(exported);
        QVERIFY(!proof["passed"].get<bool>());
        const auto reasons = reasonsOf(proof);
        QVERIFY2(contains(reasons, "verify.batch_fixed"), text(proof).c_str());
        QVERIFY2(contains(reasons, "verify.batch_failed"), text(proof).c_str());
    }

    void batchFixedInside_failsTheProof() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp");
        rewrite(exported.onnx, [](onnx::ModelProto& model) {
            auto* graph = model.mutable_graph();
            auto* shape = graph->add_initializer();
            shape->set_name("fixed");
            shape->set_data_type(onnx::TensorProto::INT64);
            shape->add_dims(2);
            const std::int64_t sizes[] = {1, 784};
            shape->set_raw_data(sizes, sizeof sizes);
            for (auto& node : *graph->mutable_node()) {
                if (node.op_type() == "Flatten") {
                    node.set_op_type("Reshape");
                    node.clear_attribute();
                    node.add_input("fixed");
                }
            }
            graph->clear_value_info();
            graph->mutable_output(0)
                ->mutable_type()
                ->mutable_tensor_type()
                ->mutable_shape()
                ->mutable_dim(0)
                ->clear_value();
        });
        const Json proof = prove(exported);
        QVERIFY(!proof["passed"].get<bool>());
        QVERIFY2(contains(reasonsOf(proof), "verify.batch_failed"), text(proof).c_str());
    }

    void damagedOnnx_failsTheProof() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp");
        std::filesystem::resize_file(exported.onnx, std::filesystem::file_size(exported.onnx) / 2);
        const Json proof = prove(exported);
        QVERIFY(!proof["passed"].get<bool>());
        QCOMPARE(reasonsOf(proof), std::vector<std::string>{"verify.checker"});
    }

    void wrongOpsetClaimed_failsTheProof() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp", {{"opset", 13}});
        QCOMPARE(reasonsOf(prove(exported, {{"opset", 17}})), std::vector<std::string>{"verify.opset"});
    }

    void openCv_provesToo() {
        const test::Scratch scratch;
        for (const char* family : {"mlp", "cnn"}) {
            const Exported exported = exportFamily(scratch, family, {{"opset", 13}});
            const Json proof = prove(exported, {{"runtime", "opencv"}});
            QVERIFY2(proof["passed"].get<bool>(), text(proof).c_str());
            QCOMPARE(proof["runtime"]["name"].get<std::string>(), std::string("OpenCV dnn"));
        }
    }

    void helperThatHangs_isStopped() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp");
        const auto proof = engine::runVerifyVerb({{"model", exported.model.string()},
                                                  {"onnx", exported.onnx.string()},
                                                  {"runtime", "onnxruntime-node"},
                                                  {"deadline_ms", 1}},
                                                 kQuiet);
        QVERIFY(!proof.ok());
        QCOMPARE(proof.error().code, std::string("verify.runtime"));
    }

    void unknownRuntime_isNamed() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp");
        const auto proof = engine::runVerifyVerb(
            {{"model", exported.model.string()}, {"onnx", exported.onnx.string()}, {"runtime", "crystal ball"}},
            kQuiet);
        QVERIFY(!proof.ok());
        QCOMPARE(proof.error().code, std::string("verify.no_runtime"));
        QCOMPARE(proof.error().field, std::string("runtime"));
    }

    // ---- what must be refused
    void bad_isRefused_data() {
        QTest::addColumn<QString>("forward");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("says");
        const auto row = [](const char* name, const char* forward, const char* code, const char* says) {
            QTest::newRow(name) << QString::fromUtf8(forward) << QString::fromUtf8(code) << QString::fromUtf8(says);
        };
        row("unknown operator", "def forward(self, x: Tensor):\n    return torch.cumsum(torch.relu(x), 1)\n",
            "export.operator", "aten::cumsum at the model's forward()");
        row("data-dependent",
            "def forward(self, x: Tensor):\n    if bool(x.sum() > 0):\n        x = x * 2\n    return x\n",
            "export.data_dependent", "depends on the input's values");
        row("batch-dependent",
            "def forward(self, x: Tensor):\n    if x.size(0) > 5:\n        x = x * 2\n    return x\n",
            "export.data_dependent", "batch size");
        row("batch in the numbers", "def forward(self, x: Tensor):\n    return x * x.size(0)\n", "export.dynamic",
            "batch size");
        row("training dropout", "def forward(self, x: Tensor):\n    return torch.dropout(x, 0.5, True)\n",
            "export.unsupported", "training mode");
        row("training batch norm",
            "def forward(self, x: Tensor):\n    return torch.batch_norm(x, None, None, self.mean, self.variance, True, "
            "0.1, 1e-5, False)\n",
            "export.unsupported", "training mode");
        row("random", "def forward(self, x: Tensor):\n    return x + torch.rand([1])\n", "export.", "");
        row("own state", "def forward(self, x: Tensor):\n    self.mean.add_(1)\n    return x\n", "export.in_place",
            "own state");
        row("stale view",
            "def forward(self, x: Tensor):\n    y = x * 1\n    z = y.view([-1, 3, 64])\n    y.relu_()\n    return z\n",
            "export.in_place", "in place");
        row("does not fit", "def forward(self, x: Tensor):\n    return torch.linear(x, self.weight)\n", "export.raises",
            "");
        row("two inputs", "def forward(self, x: Tensor, y: Tensor):\n    return x + y\n", "export.signature",
            "one tensor");
        row("no tensor", "def forward(self, x: Tensor):\n    return 1\n", "export.signature", "");
    }
    void bad_isRefused() {
        QFETCH(QString, forward);
        QFETCH(QString, code);
        QFETCH(QString, says);
        const test::Scratch scratch;
        const Path model = saveScript(scratch, "bad.pt", forward.toStdString());
        const Path output = scratch / "bad.onnx";
        const auto result = engine::runExportVerb(
            {{"model", model.string()}, {"output", output.string()}, {"input_shape", {3, 8, 8}}}, kQuiet);
        QVERIFY(!result.ok());
        QVERIFY2(QString::fromStdString(result.error().code).startsWith(code),
                 (result.error().code + ": " + result.error().message).c_str());
        QVERIFY2(result.error().message.find(says.toStdString()) != std::string::npos, result.error().message.c_str());
        QVERIFY(!std::filesystem::exists(output));
    }

    void missingOperator_isNamedWithItsPlace() {
        const test::Scratch scratch;
        torch::jit::Module inner("Inner");
        inner.define("def forward(self, x: Tensor) -> Tensor:\n    return torch.cumsum(x, 1)\n");
        torch::jit::Module middle("Middle");
        middle.register_module("sums", inner);
        middle.define("def forward(self, x: Tensor) -> Tensor:\n    return self.sums.forward(torch.relu(x))\n");
        torch::jit::Module outer("Outer");
        outer.register_module("head", middle);
        outer.define("def forward(self, x: Tensor) -> Tensor:\n    return self.head.forward(x)\n");
        const Path model = scratch / "nested.pt";
        outer.save(model.string());
        const auto result = engine::runExportVerb(
            {{"model", model.string()}, {"output", (scratch / "n.onnx").string()}, {"input_shape", {4}}}, kQuiet);
        QVERIFY(!result.ok());
        QCOMPARE(result.error().code, std::string("export.operator"));
        QVERIFY2(result.error().message.find("aten::cumsum at head.sums") != std::string::npos,
                 result.error().message.c_str());
    }

    void badRequest_namesItsField_data() {
        QTest::addColumn<QString>("change");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("field");
        const auto row = [](const char* name, const char* change, const char* code, const char* field) {
            QTest::newRow(name) << QString::fromUtf8(change) << QString::fromUtf8(code) << QString::fromUtf8(field);
        };
        row("opset too low", R"({"opset": 10})", "export.opset", "opset");
        row("opset too high", R"({"opset": 99})", "export.opset", "opset");
        row("opset enormous", R"({"opset": 9000000000})", "export.opset", "opset");
        row("no shape", R"({"input_shape": []})", "export.input_shape", "input_shape");
        row("zero size", R"({"input_shape": [3, 0, 8]})", "export.input_shape", "input_shape");
        row("negative size", R"({"input_shape": [-3, 8, 8]})", "export.input_shape", "input_shape");
        row("size in words", R"({"input_shape": ["three"]})", "json.type", "input_shape");
        row("zero batch", R"({"dynamic_batch": false, "batch": 0})", "export.batch", "batch");
        row("unknown member", R"({"colour": "red"})", "json.unknown", "colour");
        row("missing model", R"({"model": "/nowhere/model.pt"})", "file.missing", "");
        row("one output name too many", R"({"output_names": ["a", "b"]})", "export.name", "output_names");
    }
    void badRequest_namesItsField() {
        QFETCH(QString, change);
        QFETCH(QString, code);
        QFETCH(QString, field);
        const test::Scratch scratch;
        const Path model = saveScript(scratch, "m.pt", "def forward(self, x: Tensor):\n    return torch.relu(x)\n");
        Json request{{"model", model.string()}, {"output", (scratch / "m.onnx").string()}, {"input_shape", {3, 8, 8}}};
        const auto changes = base::parseJson(change.toStdString());
        QVERIFY(changes.ok());
        for (const auto& [key, value] : changes->items()) {
            request[key] = value;
        }
        const auto result = engine::runExportVerb(request, kQuiet);
        QVERIFY(!result.ok());
        QVERIFY2(result.error().code == code.toStdString(),
                 (result.error().code + ": " + result.error().message).c_str());
        if (!field.isEmpty()) {
            QCOMPARE(QString::fromStdString(result.error().field), field);
        }
        QVERIFY(!std::filesystem::exists(scratch / "m.onnx"));
    }

    void brokenModel_isRefused() {
        const test::Scratch scratch;
        const Exported exported = exportFamily(scratch, "mlp");
        std::filesystem::resize_file(exported.model, 1000);
        const Path noise = scratch.write("noise.pt", "this is not a model");
        for (const Path& model : {exported.model, noise}) {
            Json request = exported.request;
            request["model"] = model.string();
            const auto before = scratch.read("mlp.onnx");
            const auto result = engine::runExportVerb(request, kQuiet);
            QVERIFY(!result.ok());
            QCOMPARE(result.error().code, std::string("export.model"));
            QCOMPARE(scratch.read("mlp.onnx"), before);
        }
    }
};

QTEST_GUILESS_MAIN(OnnxExportTest)
#include "tst_OnnxExport.moc"
