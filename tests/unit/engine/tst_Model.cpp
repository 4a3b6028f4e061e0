// Layer tables, networks, TorchScript files and weights: all hold the same model.
#include <torch/torch.h>

#include <QtTest>

#include "core/engine/model/MaxPool.h"
#include "core/engine/model/ModelCard.h"
#include "core/engine/model/Network.h"
#include "core/engine/model/SafeTensors.h"
#include "core/engine/model/TorchScript.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;

namespace {

const std::vector<std::int64_t> kShape{1, 28, 28};

spec::LayerTable tableOf(const std::string& family, const Json& options = Json::object()) {
    auto table = spec::buildLayerTable(family, options, kShape, 10);
    if (!table) {
        qFatal("%s", table.error().message.c_str());
    }
    return *table;
}

test::ProgramResult python(const std::string& code, const std::vector<std::string>& arguments) {
    test::ProgramOptions options;
    options.timeoutMillis = 60000;
    std::vector<std::string> all{"-c", code};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return test::runProgram("/usr/bin/python3", all, options);
}

bool pythonHasTorch() {
    static const bool has = python("import torch", {}).exitCode == 0;
    return has;
}

}  // namespace

class TestModel : public QObject {
    Q_OBJECT

    static void addModels() {
        QTest::addColumn<QString>("family");
        QTest::addColumn<QString>("options");
        const auto row = [](const char* name, const char* family, const char* options) {
            QTest::newRow(name) << QString::fromLatin1(family) << QString::fromLatin1(options);
        };
        row("cnn default", "cnn", "{}");
        row("cnn without batch norm", "cnn", R"({"batch_norm": false, "width": 4})");
        row("cnn with hidden layer and dropout", "cnn", R"({"hidden": 32, "dropout": 0.5, "width": 4, "blocks": 3})");
        row("mlp default", "mlp", "{}");
        row("mlp with dropout", "mlp", R"({"dropout": 0.25, "hidden2": 0})");
        row("linear", "mlp", R"({"hidden1": 0, "hidden2": 0})");
    }
    static spec::LayerTable fetchTable() {
        QFETCH(QString, family);
        QFETCH(QString, options);
        return tableOf(family.toStdString(), *base::parseJson(options.toStdString()));
    }

private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void table_agreesWithNetwork_data() { addModels(); }
    void table_agreesWithNetwork() {
        const spec::LayerTable table = fetchTable();
        Network network(table);
        std::int64_t elements = 0;
        for (const at::Tensor& parameter : network.parameters()) {
            elements += parameter.numel();
        }
        QCOMPARE(table.parameters(), elements);
        QCOMPARE(network.forward(at::randn({3, 1, 28, 28})).sizes().vec(), (std::vector<std::int64_t>{3, 10}));
        QCOMPARE(table.layers.back().outShape, (std::vector<std::int64_t>{10}));
    }

    void table_errors() {
        const auto code = [](const char* family, const char* options, std::vector<std::int64_t> shape,
                             std::int64_t classes) {
            const auto table = spec::buildLayerTable(family, *base::parseJson(options), shape, classes);
            return table.ok() ? std::string("none") : table.error().code + " " + table.error().field;
        };
        QCOMPARE(code("resnet", "{}", kShape, 10), std::string("model.family family"));
        QCOMPARE(code("cnn", R"({"width": 0})", kShape, 10), std::string("spec.range options.width"));
        QCOMPARE(code("cnn", R"({"width": "a"})", kShape, 10), std::string("spec.type options.width"));
        QCOMPARE(code("cnn", R"({"wide": 3})", kShape, 10), std::string("spec.unknown options.wide"));
        QCOMPARE(code("cnn", R"({"hidden1": 3})", kShape, 10), std::string("none"));  // The other family's.
        QCOMPARE(code("cnn", R"({"blocks": 5})", kShape, 10), std::string("model.empty options.blocks"));
        QCOMPARE(code("cnn", "{}", {1, 28}, 10), std::string("model.input input_shape"));
        QCOMPARE(code("mlp", "{}", kShape, 1), std::string("model.classes classes"));
    }

    void initialWeights_equalPyTorchs() {
        // The same modules of torch::nn, made one after another, draw the same numbers.
        at::manual_seed(5);
        torch::nn::Linear first(784, 128);
        torch::nn::Linear second(128, 64);
        torch::nn::Linear third(64, 10);
        at::manual_seed(5);
        Network mlp(tableOf("mlp"));
        const std::vector<at::Tensor> expected{first->weight, first->bias,   second->weight,
                                               second->bias,  third->weight, third->bias};
        QCOMPARE(mlp.parameters().size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            QVERIFY(at::equal(mlp.parameters()[i], expected[i]));
        }
        at::manual_seed(5);
        torch::nn::Conv2d conv(torch::nn::Conv2dOptions(1, 8, 3).padding(1));
        at::manual_seed(5);
        Network cnn(tableOf("cnn", {{"batch_norm", false}, {"width", 8}}));
        QVERIFY(at::equal(cnn.parameters()[0], conv->weight));
        QVERIFY(at::equal(cnn.parameters()[1], conv->bias));
    }

    void maxPool_equalsLibtorchs_data() {
        QTest::addColumn<int>("height");
        QTest::addColumn<int>("width");
        QTest::newRow("28 x 28") << 28 << 28;
        QTest::newRow("odd") << 7 << 9;
        QTest::newRow("wider than one strip") << 6 << 301;
        QTest::newRow("smallest") << 2 << 2;
    }
    void maxPool_equalsLibtorchs() {
        QFETCH(int, height);
        QFETCH(int, width);
        // Many equal values, as after a ReLU, so that the choice among equals shows in the gradient; and a few NaN.
        at::Tensor x = at::relu(at::randn({5, 3, height, width}));
        x.view(-1)[3] = std::nanf("");
        x.view(-1)[x.numel() - 1] = std::nanf("");
        at::Tensor ours = x.clone().requires_grad_(true);
        at::Tensor theirs = x.clone().requires_grad_(true);
        const at::Tensor out = maxPool2x2(ours);
        const at::Tensor expected = at::max_pool2d(theirs, {2, 2}, {2, 2});
        const auto same = [](const at::Tensor& left, const at::Tensor& right) {
            return at::equal(left.contiguous().view(at::kInt), right.contiguous().view(at::kInt));
        };
        QVERIFY(same(out.detach(), expected.detach()));
        const at::Tensor gradient = at::randn(out.sizes());
        out.backward(gradient);
        expected.backward(gradient);
        QVERIFY(same(ours.grad(), theirs.grad()));
        const at::NoGradGuard noGrad;
        QVERIFY(same(maxPool2x2(x), expected.detach()));
        QVERIFY(same(maxPool2x2(x.transpose(2, 3)), at::max_pool2d(x.transpose(2, 3), {2, 2}, {2, 2})));
    }

    void torchScript_computesTheSame_data() { addModels(); }
    void torchScript_computesTheSame() {
        const test::Scratch scratch;
        at::manual_seed(3);
        Network network(fetchTable());
        const at::Tensor images = at::randn({5, 1, 28, 28});
        {
            const at::NoGradGuard noGrad;
            (void) network.forward(images);  // Moves the running statistics away from their start.
        }
        network.train(false);
        const at::NoGradGuard noGrad;
        const at::Tensor expected = network.forward(images);
        QVERIFY(saveTorchScript(network, scratch / "model.pt").ok());
        auto scripted = ScriptedModel::load(scratch / "model.pt");
        QVERIFY(scripted.ok());
        QVERIFY(at::equal(scripted->forward(images), expected));
        QVERIFY(at::equal(scripted->forward(images.slice(0, 0, 1)), network.forward(images.slice(0, 0, 1))));
        // Names are those of the network, so weights go both ways.
        std::set<std::string> ours;
        std::set<std::string> theirs;
        for (const auto& [name, tensor] : network.state()) {
            ours.insert(name);
        }
        for (const auto& [name, tensor] : scripted->state()) {
            theirs.insert(name);
        }
        QCOMPARE(theirs, ours);
        QCOMPARE(scripted->parameters(), network.table().parameters());

        // Training mode is live: dropout and batch statistics follow it.
        network.train(true);
        scripted->train(true);
        at::manual_seed(9);
        const at::Tensor trained = network.forward(images);
        at::manual_seed(9);
        QVERIFY(at::equal(scripted->forward(images), trained));
    }

    void torchScript_opensInPython() {
        if (!pythonHasTorch()) {
            TRAINYARD_SKIP("no Python with torch on this machine");
        }
        const test::Scratch scratch;
        for (const char* family : {"cnn", "mlp"}) {
            at::manual_seed(4);
            Network network(tableOf(family, {{"dropout", 0.5}}));
            network.train(false);
            const at::NoGradGuard noGrad;
            const at::Tensor images = at::randn({6, 1, 28, 28});
            QVERIFY(saveTorchScript(network, scratch / "model.pt").ok());
            QVERIFY(writeSafeTensors({network.state(), {{"format", "pt"}}}, scratch / "model.safetensors").ok());
            QVERIFY(writeSafeTensors({{{"images", images}, {"expected", network.forward(images)}}, {}},
                                     scratch / "io.safetensors")
                        .ok());
            const auto result = python(R"(
import json, struct, sys, torch
def read(path):
    raw = open(path, 'rb').read()
    n = struct.unpack('<Q', raw[:8])[0]
    head = json.loads(raw[8:8 + n]); out = {}
    types = {'F32': torch.float32, 'I64': torch.int64}
    for name, e in head.items():
        if name == '__metadata__': continue
        a, b = e['data_offsets']
        data = bytearray(raw[8 + n + a:8 + n + b])
        out[name] = torch.frombuffer(data, dtype=types[e['dtype']]).reshape(e['shape'])
    return out
torch.set_num_threads(1)
model = torch.jit.load(sys.argv[1])
io = read(sys.argv[3])
with torch.no_grad():
    y = model(io['images'])
assert torch.equal(y, io['expected']), (y - io['expected']).abs().max()
state = model.state_dict(); weights = read(sys.argv[2])
assert set(state) == set(weights)
assert all(torch.equal(state[k], weights[k]) for k in state)
model.train()
assert not torch.equal(model(io['images']), y)      # dropout is live
loss = torch.nn.functional.cross_entropy(model(io['images']), torch.arange(6))
loss.backward()                                      # and it can be trained further
assert all(p.grad is not None for p in model.parameters())
print('same')
)",
                                       {(scratch / "model.pt").string(), (scratch / "model.safetensors").string(),
                                        (scratch / "io.safetensors").string()});
            QVERIFY2(result.exitCode == 0, result.err.c_str());
            QCOMPARE(result.out, std::string("same\n"));
        }
    }

    void torchScript_faults() {
        const test::Scratch scratch;
        QCOMPARE(ScriptedModel::load(scratch / "nowhere.pt").error().code, std::string("file.missing"));
        QCOMPARE(ScriptedModel::load(scratch.write("text.pt", "no model at all")).error().code,
                 std::string("model.format"));
        QCOMPARE(ScriptedModel::load(scratch.write("zip.pt", "PK\x03\x04 and then nothing")).error().code,
                 std::string("engine.torch"));
    }

    void safeTensors_roundTripAllTypes() {
        const test::Scratch scratch;
        SafeTensors content;
        content.metadata = {{"note", "äöü \" \\"}};
        for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                                at::kChar, at::kByte, at::kBool}) {
            content.tensors.emplace_back(c10::toString(type), at::arange(6, at::kInt).reshape({2, 3}).to(type));
        }
        content.tensors.emplace_back("scalar", at::scalar_tensor(7, at::kLong));
        content.tensors.emplace_back("empty", at::empty({0, 3}));
        content.tensors.emplace_back("strided", at::arange(6, at::kFloat).reshape({2, 3}).t());
        const base::Path file = scratch / "all.safetensors";
        QVERIFY(writeSafeTensors(content, file).ok());
        const auto back = readSafeTensors(file);
        QVERIFY2(back.ok(), back.ok() ? "" : back.error().message.c_str());
        QCOMPARE(back->tensors.size(), content.tensors.size());
        for (const auto& [name, tensor] : content.tensors) {
            const at::Tensor* other = back->find(name);
            QVERIFY(other != nullptr);
            QVERIFY(other->scalar_type() == tensor.scalar_type() && at::equal(*other, tensor));
        }
        QCOMPARE(*back->meta("note"), content.metadata[0].second);
        QVERIFY(back->find("nothing") == nullptr);
    }

    void safeTensors_damaged() {
        const test::Scratch scratch;
        const base::Path file = scratch / "f.safetensors";
        QVERIFY(writeSafeTensors({{{"w", at::ones({4})}}, {}}, file).ok());
        const std::string good = scratch.read("f.safetensors");
        const auto readBack = [&](const std::string& bytes) { return readSafeTensors(scratch.write("d", bytes)); };
        for (std::size_t cut = 0; cut < good.size(); ++cut) {
            QCOMPARE(readBack(good.substr(0, cut)).error().code, std::string("weights.format"));
        }
        for (const char* header : {R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,17]}})",
                                   R"({"w":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}})",
                                   R"({"w":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})",
                                   R"({"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}})",
                                   R"({"w":{"dtype":"F99","shape":[4],"data_offsets":[0,16]}})",
                                   R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", R"({"w":7})", R"([1])",
                                   R"({"__metadata__":{"a":1}})"}) {
            std::string bytes(8, '\0');
            bytes[0] = static_cast<char>(std::string_view(header).size());
            const auto result = readBack(bytes + header + std::string(16, 'x'));
            QVERIFY2(!result.ok(), header);
            QCOMPARE(result.error().code, std::string("weights.format"));
        }
        std::string huge = good;
        huge[6] = '\x7F';
        QCOMPARE(readBack(huge).error().code, std::string("weights.format"));
    }

    void network_refusesOtherWeights() {
        Network cnn(tableOf("cnn"));
        Network mlp(tableOf("mlp"));
        Network narrow(tableOf("cnn", {{"width", 8}}));
        QCOMPARE(cnn.load(mlp.state()).error().code, std::string("model.state"));
        QCOMPARE(cnn.load(narrow.state()).error().code, std::string("model.state"));
        Network other(tableOf("cnn"));
        QVERIFY(cnn.load(other.state()).ok());
        QVERIFY(at::equal(cnn.parameters()[0], other.parameters()[0]));
    }

    void card_roundTrip() {
        ModelCard card;
        card.family = "cnn";
        card.inputShape = {1, 28, 28};
        card.classes = 3;
        card.classNames = {"a", "b", "c"};
        card.normalization = {0.25, 0.5};
        card.metrics = {{"last", {{"val/accuracy", 0.9}}}};
        const auto back = modelCardFromJson(toJson(card));
        QVERIFY(back.ok());
        QCOMPARE(base::dumpJson(toJson(*back)), base::dumpJson(toJson(card)));
        Json newer = toJson(card);
        newer["version"] = 99;
        QCOMPARE(modelCardFromJson(newer).error().code, std::string("format.newer"));
        Json flat = toJson(card);
        flat["normalization"]["std"] = 0;
        QVERIFY(!modelCardFromJson(flat).ok());
    }
};

QTEST_GUILESS_MAIN(TestModel)
#include "tst_Model.moc"
