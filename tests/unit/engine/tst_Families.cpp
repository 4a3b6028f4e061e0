// The families with torchvision's names: the same first weights, names, counts and outputs as torchvision's own.
#include <torch/torch.h>

#include <QtTest>

#include <filesystem>

#include "core/engine/model/Network.h"
#include "core/engine/model/TorchScript.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;

namespace {

constexpr std::int64_t kClasses = 7;
constexpr std::int64_t kSide = 32;
constexpr int kSeed = 5;

spec::LayerTable tableOf(const std::string& family, const Json& options = Json::object(), std::int64_t side = kSide) {
    auto table = spec::buildLayerTable(family, options, {3, side, side}, kClasses);
    if (!table) {
        qFatal("%s", table.error().message.c_str());
    }
    return *table;
}

/// Loads our file without our code, and holds it against the reference that was made with the same seed.
constexpr const char* kCompare = R"(
import sys, json, torch, torchvision
family, path, seed, classes, side = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(2)
torch.manual_seed(seed)
reference = getattr(torchvision.models, family)(weights=None, num_classes=classes)
ours = torch.jit.load(path)
a, b = reference.state_dict(), ours.state_dict()
torch.manual_seed(99)
x = torch.randn(4, 3, side, side)
answer = {
    "keys": list(a.keys()) == list(b.keys()),
    "weights": all(torch.equal(a[k], b[k]) for k in a if k in b),
    "parameters": sum(p.numel() for p in reference.parameters()),
}
# Running statistics of ones and zeros would hide a wrong use of them, and dropout is drawn alike on neither side.
with torch.no_grad():
    for module in reference.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1); module.running_var.uniform_(0.5, 1.5)
            module.weight.uniform_(0.5, 1.5); module.bias.normal_(0, 0.1)
reference.eval(); ours.eval()
answer["loaded"] = str(ours.load_state_dict(reference.state_dict()))
with torch.no_grad():
    y, z = reference(x), ours(x)
answer["largest"] = float(y.abs().max())
answer["difference"] = float((y - z).abs().max())
for model in (reference, ours):
    model.train()
    for module in model.modules():
        if type(module).__name__ == "Dropout": module.p = 0.0
    model.zero_grad()
if not family.startswith("mobilenet"):
    for model in (reference, ours):
        torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 3])).backward()
    g = {k: p.grad for k, p in reference.named_parameters()}
    h = {k: p.grad for k, p in ours.named_parameters()}
    answer["gradients"] = max(float((g[k] - h[k]).abs().max() / (g[k].abs().max() + 1e-12)) for k in g)
    s, t = reference.state_dict(), ours.state_dict()
    answer["statistics"] = max(float((s[k].double() - t[k].double()).abs().max()) for k in s if "running" in k or "batches" in k)
print(json.dumps(answer))
)";

}  // namespace

class TestFamilies : public QObject {
    Q_OBJECT

    static void addFamilies() {
        QTest::addColumn<QString>("family");
        for (const char* family :
             {"resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v3_small", "mobilenet_v3_large"}) {
            QTest::newRow(family) << QString::fromLatin1(family);
        }
    }

private Q_SLOTS:
    void initTestCase() { at::set_num_threads(2); }

    void family_isTorchvisions_data() { addFamilies(); }
    void family_isTorchvisions() {
        QFETCH(QString, family);
        test::Scratch scratch;
        at::manual_seed(kSeed);
        const spec::LayerTable table = tableOf(family.toStdString());
        const Network network(table);
        const auto file = scratch / "model.pt";
        QVERIFY(saveTorchScript(network, file).ok());
        test::ProgramOptions options;
        options.timeoutMillis = 100'000;
        const auto answer = test::runProgram("/usr/bin/python3",
                                             {"-c", kCompare, family.toStdString(), file.string(),
                                              std::to_string(kSeed), std::to_string(kClasses), std::to_string(kSide)},
                                             options);
        if (answer.exitCode != 0 && answer.err.find("No module named") != std::string::npos) {
            TRAINYARD_SKIP("python3-torchvision is not installed");
        }
        QVERIFY2(answer.exitCode == 0, answer.err.c_str());
        const Json compared = *base::parseJson(answer.out);
        QVERIFY2(compared["keys"] == true, answer.out.c_str());
        QVERIFY2(compared["weights"] == true, answer.out.c_str());
        QCOMPARE(compared["loaded"].get<std::string>(), std::string("<All keys matched successfully>"));
        QCOMPARE(table.parameters(), compared["parameters"].get<std::int64_t>());
        QVERIFY2(compared["largest"].get<double>() > 1e-4, answer.out.c_str());
        QVERIFY2(compared["difference"].get<double>() <= 1e-5 * compared["largest"].get<double>(), answer.out.c_str());
        if (compared.contains("gradients")) {
            QVERIFY2(compared["gradients"].get<double>() < 1e-4, answer.out.c_str());
            QVERIFY2(compared["statistics"].get<double>() < 1e-5, answer.out.c_str());
        }
    }

    void scripted_isNetwork_data() { addFamilies(); }
    void scripted_isNetwork() {
        QFETCH(QString, family);
        test::Scratch scratch;
        const spec::LayerTable table = tableOf(family.toStdString());
        Network network(table);
        network.train(true);
        {
            const at::NoGradGuard noGrad;
            (void) network.forward(at::randn({4, 3, kSide, kSide}));
        }
        network.train(false);
        QVERIFY(saveTorchScript(network, scratch / "model.pt").ok());
        auto scripted = ScriptedModel::load(scratch / "model.pt", at::kCPU);
        QVERIFY(scripted.ok());
        const at::NoGradGuard noGrad;
        for (const std::int64_t batch : {1, 3}) {
            const at::Tensor images = at::randn({batch, 3, kSide, kSide});
            const at::Tensor own = network.forward(images);
            QCOMPARE(own.sizes().vec(), (std::vector<std::int64_t>{batch, kClasses}));
            QVERIFY(own.equal(scripted->forward(images)));
        }
        for (std::size_t i = 1; i < table.layers.size(); ++i) {
            for (const std::int64_t size : table.layers[i].outShape) {
                QVERIFY(size > 0);
            }
        }
    }

    void multiplyAdds_areThePublishedOnes() {
        // torchvision's own figures at 224 pixels and 1000 classes, in 10⁹; it does not count batch normalisation.
        const std::pair<const char*, double> published[] = {
            {"resnet18", 1.814},  {"resnet34", 3.664},           {"resnet50", 4.089},
            {"resnet101", 7.801}, {"mobilenet_v3_small", 0.057}, {"mobilenet_v3_large", 0.217}};
        for (const auto& [family, billions] : published) {
            const auto table = spec::buildLayerTable(family, Json::object(), {3, 224, 224}, 1000);
            QVERIFY(table.ok());
            double sum = 0;
            for (const spec::Layer& layer : table->layers) {
                sum += layer.op == spec::LayerOp::Conv2d || layer.op == spec::LayerOp::Linear
                           ? static_cast<double>(layer.multiplyAdds)
                           : 0.0;
            }
            QVERIFY2(std::abs(sum * 1e-9 - billions) < 0.01 * billions + 5e-4,
                     (std::string(family) + " " + std::to_string(sum)).c_str());
        }
    }

    void channelsLast_isTheLayoutAndComputesTheSame() {
        for (const char* family : {"resnet18", "mobilenet_v3_small"}) {
            at::manual_seed(kSeed);
            Network network(tableOf(family));
            network.train(false);
            const at::NoGradGuard noGrad;
            const at::Tensor images = at::randn({2, 3, kSide, kSide});
            const at::Tensor planes = network.forward(images);
            network.useChannelsLast();
            int turned = 0;
            for (const at::Tensor& parameter : network.parameters()) {
                QVERIFY(parameter.dim() != 4 || parameter.is_contiguous(at::MemoryFormat::ChannelsLast));
                turned += parameter.is_contiguous() ? 0 : 1;
            }
            QVERIFY(turned > 0);  // Kernels of one pixel or one channel lie either way.
            const at::Tensor last = network.forward(images);
            QVERIFY2(at::allclose(last, planes, 1e-4, 1e-6 * planes.abs().max().item<double>()), family);
        }
    }

    void smallStem_takesSmallImages() {
        const spec::LayerTable table = tableOf("resnet18", {{"small_stem", true}}, 28);
        QCOMPARE(table.layers[1].outShape, (std::vector<std::int64_t>{64, 28, 28}));
        Network network(table);
        QCOMPARE(network.forward(at::randn({2, 3, 28, 28})).sizes().vec(), (std::vector<std::int64_t>{2, kClasses}));
        const auto grey = spec::buildLayerTable("mobilenet_v3_small", Json::object(), {1, 28, 28}, 10);
        QVERIFY(grey.ok());
        QCOMPARE(Network(*grey).forward(at::randn({2, 1, 28, 28})).sizes().vec(), (std::vector<std::int64_t>{2, 10}));
    }
};

QTEST_GUILESS_MAIN(TestFamilies)
#include "tst_Families.moc"
