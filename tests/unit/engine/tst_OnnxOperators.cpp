// Every operator of the table, in small modules, at the lowest and the highest opset, through ONNX Runtime.
#include <torch/script.h>

#include <QProcess>
#include <QTest>
#include <set>

#include "core/engine/export/Verbs.h"
#include "core/engine/model/Network.h"
#include "core/engine/model/TorchScript.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using base::Json;
using base::Path;

namespace {

const engine::VerbProgress kQuiet = [](const Json&) {};

struct Row {
    const char* name;
    std::vector<std::int64_t> shape;  ///< Of one sample.
    const char* body;                 ///< Lines of forward(self, x), the last one returns.
};

/// Parameters that the bodies use: `w{rows}x{columns}`-like names say their shapes.
torch::jit::Module moduleOf(const std::string& body) {
    torch::manual_seed(11);
    torch::jit::Module module("Probe");
    module.register_attribute("training", c10::BoolType::get(), true);
    const auto parameter = [&](const char* name, at::IntArrayRef sizes) {
        module.register_parameter(name, torch::randn(sizes) * 0.5, false);
    };
    parameter("w6x12", {6, 12});
    parameter("b6", {6});
    parameter("b8", {8});
    parameter("g8", {8});
    parameter("k1", {8, 4, 3});
    parameter("k2", {8, 4, 3, 3});
    parameter("depthwise", {4, 1, 3, 3});
    parameter("up", {4, 3, 2, 2});
    parameter("g4", {4});
    parameter("b4", {4});
    parameter("g16", {16});
    parameter("b16", {16});
    parameter("slope", {4});
    parameter("token", {1, 1, 12});
    parameter("m16x8", {16, 8});
    module.register_buffer("mean4", torch::randn({4}));
    module.register_buffer("var4", torch::rand({4}) + 0.5);
    module.register_buffer("table", torch::randn({10, 5}));
    std::string source = "def forward(self, x: Tensor):\n";
    std::size_t from = 0;
    while (from < body.size()) {
        const std::size_t end = std::min(body.find('\n', from), body.size());
        source += "    " + body.substr(from, end - from) + "\n";
        from = end + 1;
    }
    module.define(source);
    return module;
}

const std::vector<Row>& rows() {
    static const std::vector<Row> kRows{
        {"convolutions",
         {4, 9, 9},
         "a = torch.conv2d(x, self.k2, self.b8, [1, 1], [1, 1], [1, 1], 1)\n"
         "b = torch.conv2d(x, self.k2, None, [2, 2], [0, 0], [2, 2], 1)\n"
         "c = torch.conv2d(x, self.depthwise, self.b4, [1, 1], [1, 1], [1, 1], 4)\n"
         "d = torch.conv2d(x, self.k2, self.b8, [1, 1], \"same\", [1, 1], 1)\n"
         "e = torch.conv2d(x, self.k2, self.b8, [1, 1], \"valid\", [1, 1], 1)\n"
         "f = torch.conv_transpose2d(x, self.up, None, [2, 2], [0, 0], [0, 0], 1, [1, 1])\n"
         "g = torch._convolution(x, self.k2, self.b8, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, False, False, True, "
         "True)\n"
         "return (a, b, c, d, e, f, g)"},
        {"convolution 1d", {4, 20}, "return torch.conv1d(x, self.k1, self.b8, [2], [1], [1], 1)"},
        {"linear of matrices",
         {12},
         "a = torch.linear(x, self.w6x12, self.b6)\n"
         "b = torch.linear(x, self.w6x12)\n"
         "c = torch.addmm(self.b6, x, self.w6x12.t())\n"
         "d = torch.addmm(self.b6, x, self.w6x12.t(), beta=0.5, alpha=2)\n"
         "e = torch.mm(x, self.w6x12.t())\n"
         "f = torch.matmul(x, self.w6x12.t())\n"
         "return (a, b, c, d, e, f)"},
        {"linear of sequences",
         {5, 12},
         "a = torch.linear(x, self.w6x12, self.b6)\n"
         "b = torch.bmm(a, a.transpose(1, 2))\n"
         "c = torch.softmax(b / 2.5, -1)\n"
         "d = torch.matmul(c, a)\n"
         "e = torch.cat([self.token.expand([x.size(0), -1, -1]), x], 1)\n"
         "f = torch.layer_norm(e[:, :, 0:8], [8], self.g8, self.b8, 1e-5)\n"
         "g = torch.layer_norm(x, [5, 12], None, None, 1e-5)\n"
         "return (a, b, c, d, e, f, g)"},
        {"pooling",
         {4, 13, 13},
         "a = torch.max_pool2d(x, [3, 3], [2, 2], [1, 1], [1, 1], False)\n"
         "b = torch.max_pool2d(x, [2, 2])\n"
         "c = torch.avg_pool2d(x, [3, 3], [2, 2], [1, 1], False, True)\n"
         "d = torch.avg_pool2d(x, [3, 3], [2, 2], [1, 1], False, False)\n"
         "e = torch.adaptive_avg_pool2d(x, [1, 1])\n"
         "f = torch.adaptive_avg_pool2d(x, [13, 13])\n"
         "g = torch.max_pool2d(x, [3, 3], [2, 2], [0, 0], [1, 1], True)\n"
         "return (a, b, c, d, e, f, g)"},
        {"adaptive pooling in windows", {4, 12, 8}, "return torch.adaptive_avg_pool2d(x, [3, 4])"},
        {"pooling 1d",
         {4, 12},
         "return (torch.max_pool1d(x, [2]), torch.avg_pool1d(x, [3]), torch.adaptive_avg_pool1d(x, [1]))"},
        {"resizing",
         {4, 5, 6},
         "a = torch.upsample_nearest2d(x, [10, 12])\n"
         "b = torch.upsample_bilinear2d(x, [10, 12], False)\n"
         "c = torch.upsample_bilinear2d(x, [9, 11], True)\n"
         "return (a, b, c)"},
        {"activations",
         {4, 6},
         "a = torch.relu(x)\nb = torch.sigmoid(x)\nc = torch.tanh(x)\nd = torch.relu6(x * 4)\ne = torch.hardtanh(x, "
         "-0.5, 0.75)\n"
         "f = torch.hardswish(x * 3)\ng = torch.hardsigmoid(x * 3)\nh = torch.silu(x)\ni = torch.gelu(x)\nj = "
         "torch.mish(x)\n"
         "k = torch.softplus(x)\nl = torch.leaky_relu(x, 0.2)\nm = torch.elu(x, 0.7)\nn = torch.prelu(x, self.slope)\n"
         "o = torch.gelu(x, approximate=\"tanh\")\n"
         "return (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)"},
        {"functions",
         {4, 6},
         "y = torch.abs(x) + 0.5\n"
         "return (torch.exp(x), torch.log(y), torch.sqrt(y), torch.neg(x), torch.erf(x), torch.floor(x), torch.ceil(x),"
         " torch.sin(x), torch.cos(x), torch.rsqrt(y), torch.reciprocal(y), torch.clamp(x, -0.3, 0.4), torch.clamp(x, "
         "min=0.1),"
         " torch.clamp_min(x, 0.2))"},
        {"softmax along any dimension",
         {3, 4, 5},
         "return (torch.softmax(x, 1), torch.softmax(x, -1), torch.softmax(x, 2), torch.log_softmax(x, 1), "
         "torch.log_softmax(x, 3))"},
        {"arithmetic",
         {4, 6},
         "y = x * 2 + 1\n"
         "return (x + y, x - y, x * y, x / (torch.abs(y) + 1), torch.add(x, y, alpha=3), torch.sub(x, y, alpha=2), 1 - "
         "x, x / 3,"
         " x ** 2, torch.abs(x) ** 1.5, torch.maximum(x, y), torch.minimum(x, y), torch.where(x > 0.1, x, y),"
         " torch.where(x < y, x, y), torch.div(x, 0.3, rounding_mode=\"floor\"), x + self.b6)"},
        {"normalisation",
         {4, 6, 6},
         "a = torch.batch_norm(x, self.g4, self.b4, self.mean4, self.var4, self.training, 0.1, 1e-5, False)\n"
         "b = torch.batch_norm(x, None, None, self.mean4, self.var4, False, 0.1, 1e-3, False)\n"
         "c = torch.group_norm(x, 2, self.g4, self.b4, 1e-5)\n"
         "return (a, b, c)"},
        {"batch norm of vectors",
         {4},
         "return torch.batch_norm(x, self.g4, self.b4, self.mean4, self.var4, self.training, 0.1, 1e-5, False)"},
        {"shapes",
         {4, 6, 5},
         "a = torch.flatten(x, 1)\nb = torch.flatten(x, 2)\nc = x.view([x.size(0), 4, 30])\nd = x.reshape([-1, 30])\n"
         "e = x.permute([0, 2, 3, 1])\nf = x.transpose(1, 3)\ng = torch.unsqueeze(x, 1)\nh = torch.squeeze(g, 1)\n"
         "i = x.view([x.size(0) * 4, -1])\nj = torch.flatten(x, 0, 1)\nk = torch.unsqueeze(x, -1)\n"
         "return (a, b, c, d, e, f, g, h, i, j, k)"},
        {"two sizes that follow the batch",
         {4, 6},
         "return x.transpose(0, 1).reshape([2, 2 * x.size(0), 6]).transpose(0, 1)"},
        {"parts",
         {6, 8},
         "a, b = torch.chunk(x, 2, 1)\nc, d, e = torch.split(x, [1, 2, 5], 2)\nf = x[:, 1:5:2]\ng = x[:, :, -1]\nh = "
         "x[:, 2]\n"
         "i = torch.cat([a, b, x], 1)\nj = torch.stack([a, b], 1)\nk = torch.constant_pad_nd(x, [1, 2, 0, 3], 0.5)\n"
         "return (a, b, c, d, e, f, g, h, i, j, k)"},
        {"reductions",
         {4, 6, 5},
         "return (torch.mean(x, [2, 3]), torch.mean(x, [1], True), torch.sum(x, [1, 2]), torch.sum(x, [-1], True),"
         " torch.amax(x, [1]), torch.amin(x, [2], True), torch.argmax(x, 1))"},
        {"element types", {4, 6}, "y = torch.gt(x, 0.1).to(6)\nz = x.to(7) * 2\nreturn (y, z, y.type_as(x))"},
        {"lists, branches and loops",
         {4, 6},
         "parts = [x]\n"
         "for i in range(3):\n    parts.append(torch.relu(parts[i]) + i)\n"
         "y = torch.cat(parts, 1)\n"
         "if self.training:\n    y = y * 100\n"
         "if y.dim() == 3 and y.size(1) == 16:\n    y = y + 1\nelse:\n    y = y - 1\n"
         "return y"},
        {"in place",
         {4, 6},
         "y = x * 1\ny.relu_()\ny.add_(self.b6)\ny += x\nreturn torch.dropout(y, 0.5, self.training)"},
        {"constants that follow the batch",
         {4},
         "return torch.cat([x, torch.zeros([x.size(0), 3]), torch.ones_like(x)], 1)"},
        {"folded constants", {8}, "return torch.linear(x, torch.relu(self.m16x8) * 2, self.b16 + self.g16)"},
        {"a dictionary of vectors",
         {3},
         "i = torch.clamp(x * 2, 0.0, 9.0).to(4)\nreturn torch.embedding(self.table, i)"},
    };
    return kRows;
}

}  // namespace

class OnnxOperatorsTest : public QObject {
    Q_OBJECT

private:
    void exportAndProve(const Path& model, const Path& onnx, const std::vector<std::int64_t>& shape, int opset) {
        const auto exported = engine::runExportVerb(
            {{"model", model.string()}, {"output", onnx.string()}, {"input_shape", shape}, {"opset", opset}}, kQuiet);
        QVERIFY2(exported.ok(), exported.ok() ? "" : exported.error().message.c_str());
        const auto proof = engine::runVerifyVerb({{"model", model.string()},
                                                  {"onnx", onnx.string()},
                                                  {"input_shape", shape},
                                                  {"runtime", "onnxruntime-node"}},
                                                 kQuiet);
        QVERIFY2(proof.ok(), proof.ok() ? "" : proof.error().message.c_str());
        QVERIFY2((*proof)["passed"].get<bool>(), base::dumpJsonPretty((*proof)["reasons"]).c_str());
    }

private Q_SLOTS:
    void operators_areProved_data() {
        QTest::addColumn<int>("row");
        QTest::addColumn<int>("opset");
        for (int i = 0; i < static_cast<int>(rows().size()); ++i) {
            const Row& probe = rows()[static_cast<std::size_t>(i)];
            // Between 13 and 17 only these two are written differently.
            const bool differs = std::string(probe.body).find("layer_norm") != std::string::npos ||
                                 std::string(probe.body).find("hardswish") != std::string::npos;
            for (const int opset : differs ? std::vector{11, 13, 17} : std::vector{11, 17}) {
                QTest::addRow("%s, opset %d", probe.name, opset) << i << opset;
            }
        }
    }
    void operators_areProved() {
        QFETCH(int, row);
        QFETCH(int, opset);
        const Row& probe = rows()[static_cast<std::size_t>(row)];
        const test::Scratch scratch;
        const Path model = scratch / "probe.pt";
        moduleOf(probe.body).save(model.string());
        exportAndProve(model, scratch / "probe.onnx", probe.shape, opset);
    }

    void sharedParameter_isStoredOnce() {
        const test::Scratch scratch;
        const Path model = scratch / "shared.pt";
        moduleOf("return torch.linear(x, self.w6x12) + torch.linear(torch.relu(x), self.w6x12)").save(model.string());
        const auto exported = engine::runExportVerb(
            {{"model", model.string()}, {"output", (scratch / "s.onnx").string()}, {"input_shape", {12}}}, kQuiet);
        QVERIFY(exported.ok());
        QCOMPARE((*exported)["initializers"].get<int>(), 1);
    }

    void trainyards_isProved_data() {
        QTest::addColumn<QString>("family");
        for (const char* family :
             {"resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v3_small", "mobilenet_v3_large"}) {
            QTest::newRow(family) << QString::fromLatin1(family);
        }
    }
    /// As a run saves it, with statistics that are not fresh.
    void trainyards_isProved() {
        QFETCH(QString, family);
        const test::Scratch scratch;
        const auto table = spec::buildLayerTable(family.toStdString(), Json::object(), {3, 64, 64}, 7);
        QVERIFY(table.ok());
        torch::manual_seed(3);
        engine::Network network(*table);
        network.train(true);
        {
            const torch::NoGradGuard noGrad;
            (void) network.forward(torch::randn({4, 3, 64, 64}) * 2.0 + 0.5);
        }
        network.train(false);
        QVERIFY(engine::saveTorchScript(network, scratch / "model.pt").ok());
        exportAndProve(scratch / "model.pt", scratch / "model.onnx", {3, 64, 64}, 17);
    }

    /// Scripted by Python from code that nobody wrote with this converter in mind.
    void torchvision_isProved() {
        const test::Scratch scratch;
        QProcess python;
        python.start(
            QStringLiteral("/usr/bin/python3"),
            {QStringLiteral("-c"),
             QStringLiteral("import sys, torch, torchvision\n"
                            "torch.manual_seed(1)\n"
                            "for name in ('resnet18', 'mobilenet_v3_small', 'squeezenet1_1', 'densenet121'):\n"
                            "    m = getattr(torchvision.models, name)(weights=None).eval()\n"
                            "    torch.jit.script(m).save(f'{sys.argv[1]}/{name}.pt')\n"
                            "m = torchvision.models.resnet18(weights=None).eval()\n"
                            "torch.jit.trace(m, torch.randn(2, 3, 64, 64)).save(f'{sys.argv[1]}/traced.pt')\n"),
             QString::fromStdString(scratch.path().string())});
        QVERIFY2(python.waitForFinished(120'000), "python3-torchvision did not answer");
        QVERIFY2(python.exitStatus() == QProcess::NormalExit && python.exitCode() == 0,
                 python.readAllStandardError().constData());
        for (const std::string name : {"resnet18", "mobilenet_v3_small", "squeezenet1_1", "densenet121", "traced"}) {
            exportAndProve(scratch / (name + ".pt"), scratch / (name + ".onnx"), {3, 64, 64}, 17);
            if (QTest::currentTestFailed()) {
                qWarning("in %s", name.c_str());
                return;
            }
        }
    }
};

QTEST_GUILESS_MAIN(OnnxOperatorsTest)
#include "tst_OnnxOperators.moc"
