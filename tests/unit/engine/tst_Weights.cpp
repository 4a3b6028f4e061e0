// Weights from the files that people have, and from files that are damaged or mean harm.
#include <torch/torch.h>

#include <QtTest>

#include <cmath>
#include <filesystem>

#include "core/base/Files.h"
#include "core/engine/model/SafeTensors.h"
#include "core/engine/model/TorchScript.h"
#include "core/engine/weights/Pickle.h"
#include "core/engine/weights/StoredZip.h"
#include "core/engine/weights/WeightFile.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;

namespace {

/// One model saved in every way, and the sums of its tensors.
constexpr const char* kSave = R"(
import sys, json, torch, torchvision, collections, pickle, zipfile
root = sys.argv[1]
torch.manual_seed(11)
net = torchvision.models.mobilenet_v3_small(num_classes=5)
state = net.state_dict()
torch.save(state, root + "/zip.pth")
torch.save(state, root + "/legacy.pth", _use_new_zipfile_serialization=False)
torch.save(dict(state), root + "/plain_dict.pth")
torch.save(dict(state), root + "/legacy_dict.pth", _use_new_zipfile_serialization=False)
torch.save({"state_dict": {"module." + k: v for k, v in state.items()}}, root + "/legacy_parallel_checkpoint.pth", _use_new_zipfile_serialization=False)
torch.save(collections.OrderedDict(("module." + k, v) for k, v in state.items()), root + "/parallel.pth")
torch.save({"epoch": 3, "best_acc1": 71.5, "arch": "mobilenet", "state_dict": state, "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": []}}, root + "/checkpoint.pth")
torch.save({"epoch": 3, "state_dict": state}, root + "/legacy_checkpoint.pth", _use_new_zipfile_serialization=False)
torch.save(collections.OrderedDict((k, p) for k, p in net.named_parameters()), root + "/parameters.pth")
torch.save(net, root + "/module.pth")
torch.save(net, root + "/legacy_module.pth", _use_new_zipfile_serialization=False)
torch.save(collections.OrderedDict((k, v.half() if v.is_floating_point() else v) for k, v in state.items()), root + "/half.pth")
torch.save(collections.OrderedDict((k, v.t().contiguous().t() if v.dim() == 2 else v) for k, v in state.items()), root + "/strided.pth")
for protocol in (3, 4, 5):
    torch.save(state, root + "/protocol%d.pth" % protocol, pickle_protocol=protocol)
torch.jit.script(net).save(root + "/script.pt")
json.dump({k: [list(v.shape), float(v.double().sum())] for k, v in state.items()}, open(root + "/sums.json", "w"))

class Evil:
    def __init__(self, canary): self.canary = canary
    def __reduce__(self):
        import os
        return os.system, ("touch " + self.canary,)
torch.save({"weight": torch.ones(2, 2), "x": Evil(root + "/canary")}, root + "/evil.pth")
torch.save(Evil(root + "/canary"), root + "/evil_legacy.pth", _use_new_zipfile_serialization=False)
with zipfile.ZipFile(root + "/bomb.pth", "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("archive/data.pkl", b"\0" * 300_000_000)
torch.save({"a": 1, "b": "text"}, root + "/nothing.pth")
torch.save(torchvision.models.squeezenet1_0(num_classes=5).state_dict(), root + "/other.pth")
torch.save(torchvision.models.mobilenet_v3_small(num_classes=9).state_dict(), root + "/nine.pth")
)";

Network mobileNet(std::int64_t classes) {
    auto table = spec::buildLayerTable("mobilenet_v3_small", Json::object(), {3, 64, 64}, classes);
    if (!table) {
        qFatal("%s", table.error().message.c_str());
    }
    return Network(*table);
}

}  // namespace

class TestWeights : public QObject {
    Q_OBJECT

    test::Scratch m_scratch;
    bool m_made = false;
    Json m_sums;

private Q_SLOTS:
    void initTestCase() {
        at::set_num_threads(1);
        test::ProgramOptions options;
        options.timeoutMillis = 100'000;
        const auto made = test::runProgram("/usr/bin/python3", {"-c", kSave, m_scratch.path().string()}, options);
        m_made = made.exitCode == 0;
        if (!m_made && made.err.find("No module named") == std::string::npos) {
            QFAIL(made.err.c_str());
        }
        if (m_made) {
            m_sums = *base::parseJson(*base::readFile(m_scratch / "sums.json"));
        }
    }
    void init() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-torchvision is not installed");
        }
    }

    void file_isRead_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("kind");
        QTest::addColumn<QString>("prefix");
        QTest::addColumn<bool>("buffers");
        const auto row = [](const char* name, const char* kind, const char* prefix = "", bool buffers = true) {
            QTest::newRow(name) << QString::fromLatin1(name) << QString::fromLatin1(kind) << QString::fromLatin1(prefix)
                                << buffers;
        };
        row("zip.pth", "state_dict");
        row("legacy.pth", "state_dict");
        row("plain_dict.pth", "state_dict");
        row("legacy_dict.pth", "state_dict");
        row("legacy_parallel_checkpoint.pth", "state_dict", "module.");
        row("parallel.pth", "state_dict", "module.");
        row("checkpoint.pth", "state_dict");
        row("legacy_checkpoint.pth", "state_dict");
        row("parameters.pth", "state_dict", "", false);
        row("module.pth", "module");
        row("legacy_module.pth", "module");
        row("half.pth", "state_dict");
        row("strided.pth", "state_dict");
        row("protocol3.pth", "state_dict");
        row("protocol4.pth", "state_dict");
        row("protocol5.pth", "state_dict");
        row("script.pt", "torchscript");
    }
    void file_isRead() {
        QFETCH(QString, name);
        QFETCH(QString, kind);
        QFETCH(QString, prefix);
        QFETCH(bool, buffers);
        const auto file = readWeightFile(m_scratch / name.toStdString());
        QVERIFY2(file.ok(), file.ok() ? "" : file.error().message.c_str());
        QCOMPARE(QString::fromStdString(file->kind), kind);
        QCOMPARE(QString::fromStdString(file->prefix), prefix);
        QCOMPARE(QString::fromStdString(file->under),
                 name.contains(u"checkpoint") ? QStringLiteral("state_dict") : QString());
        std::size_t compared = 0;
        for (const auto& [tensorName, tensor] : file->tensors) {
            QVERIFY2(m_sums.contains(tensorName), tensorName.c_str());
            const Json& expected = m_sums[tensorName];
            QCOMPARE(tensor.sizes().vec(), expected[0].get<std::vector<std::int64_t>>());
            const double sum = tensor.to(at::kDouble).sum().item<double>();
            const double slack =
                name == u"half.pth" ? 1e-2 * std::max(1.0, static_cast<double>(tensor.numel()) / 100) : 1e-6;
            QVERIFY2(std::abs(sum - expected[1].get<double>()) <= slack, tensorName.c_str());
            ++compared;
        }
        if (buffers) {
            QCOMPARE(compared, m_sums.size());
        }
        Network network = mobileNet(5);
        const auto match = matchWeights(*file, network);
        QVERIFY(match.ok());
        QVERIFY(match->reinitialised.empty());
        QVERIFY(match->unused.empty());
        QCOMPARE(match->missing.empty(), buffers);
        QVERIFY(applyWeights(*file, *match, network).ok());
        for (const auto& [ownName, tensor] : network.state()) {
            if (name != u"half.pth" && (buffers || ownName.ends_with("weight"))) {
                QVERIFY2(std::abs(tensor.to(at::kDouble).sum().item<double>() - m_sums[ownName][1].get<double>()) <=
                             1e-6,
                         ownName.c_str());
            }
        }
    }

    void ownFiles_areRead() {
        test::Scratch scratch;
        Network network = mobileNet(4);
        QVERIFY(saveTorchScript(network, scratch / "model.pt").ok());
        QVERIFY(writeSafeTensors({network.state(), {}}, scratch / "model.safetensors").ok());
        for (const char* name : {"model.pt", "model.safetensors"}) {
            const auto file = readWeightFile(scratch / name);
            QVERIFY2(file.ok(), file.ok() ? "" : file.error().message.c_str());
            QCOMPARE(matchWeights(*file, network)->matched.size(), network.state().size());
        }
    }

    void otherHead_isReinitialised() {
        const auto file = readWeightFile(m_scratch / "nine.pth");
        QVERIFY(file.ok());
        Network network = mobileNet(5);
        const auto match = matchWeights(*file, network);
        QVERIFY(match.ok());
        QCOMPARE(match->reinitialised, (std::vector<std::string>{"classifier.3.weight", "classifier.3.bias"}));
        const at::Tensor before = network.state().back().second.clone();
        QVERIFY(applyWeights(*file, *match, network).ok());
        QVERIFY(network.state().back().second.equal(before));
        QCOMPARE(toJson(*file, *match)["reinitialised"]["count"].get<int>(), 2);
    }

    void otherArchitecture_isRefused() {
        const auto file = readWeightFile(m_scratch / "other.pth");
        QVERIFY(file.ok());
        const auto match = matchWeights(*file, mobileNet(5));
        QVERIFY(!match.ok());
        QCOMPARE(match.error().code, std::string("weights.other"));
        QCOMPARE(match.error().field, std::string("task.model.weights.source"));
    }

    void hostile_isRefusedAndNotRun() {
        for (const char* name : {"evil.pth", "evil_legacy.pth"}) {
            const auto file = readWeightFile(m_scratch / name);
            QVERIFY(!file.ok());
            QCOMPARE(file.error().code, std::string("weights.code"));
            QVERIFY2(file.error().message.find("system") != std::string::npos, file.error().message.c_str());
        }
        QVERIFY(!std::filesystem::exists(m_scratch / "canary"));
        QCOMPARE(readWeightFile(m_scratch / "bomb.pth").error().code, std::string("weights.zip"));
        QCOMPARE(readWeightFile(m_scratch / "nothing.pth").error().code, std::string("weights.empty"));
        QVERIFY(!readWeightFile(m_scratch / "nowhere.pth").ok());
        test::Scratch scratch;
        QVERIFY(base::writeFileAtomically(scratch / "text.pth", "these are no weights").ok());
        QCOMPARE(readWeightFile(scratch / "text.pth").error().code, std::string("weights.kind"));
        // A header of 4 GB that the file does not have.
        QVERIFY(
            base::writeFileAtomically(scratch / "long.safetensors", std::string("\0\0\0\0\1\0\0\0{\"a\":1}", 15)).ok());
        QCOMPARE(readWeightFile(scratch / "long.safetensors").error().code, std::string("weights.format"));
    }

    void damaged_neverCrashes() {
        test::Scratch scratch;
        std::size_t refused = 0;
        std::size_t tried = 0;
        for (const char* name : {"nothing.pth", "evil_legacy.pth", "parameters.pth"}) {
            const std::string sound = *base::readFile(m_scratch / name);
            const std::size_t step = std::max<std::size_t>(1, sound.size() / 150);
            for (std::size_t at = 0; at < sound.size(); at += step) {
                for (const bool cut : {true, false}) {
                    std::string bytes = cut ? sound.substr(0, at) : sound;
                    if (!cut) {
                        bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
                    }
                    refused += readWeightFile(scratch.write("x.pth", bytes)).ok() ? 0 : 1;
                    ++tried;
                }
            }
        }
        QVERIFY(refused > tried / 3);
    }

    void pickle_nestedDeep_isRead() {
        // A million tuples inside each other: nothing may recurse over them, least of all their end.
        std::string bytes("\x80\x02)", 3);
        bytes.append(1'000'000, '\x85');
        bytes += '.';
        const auto read = readPickle(bytes);
        QVERIFY(read.ok());
        QCOMPARE(read->values->size(), std::size_t{1'000'002});
        bytes.insert(bytes.size() - 1, 2'000'000, '\x85');
        QCOMPARE(readPickle(bytes).error().code, std::string("weights.pickle"));
    }

    void pickle_selfReference_ends() {
        // d = {}; d["a"] = d, under a name that is searched.
        const std::string bytes("\x80\x02}q\x00X\x0a\x00\x00\x00state_dicth\x00s.", 25);
        const auto read = readPickle(bytes);
        QVERIFY2(read.ok(), read.ok() ? "" : read.error().message.c_str());
        QCOMPARE(read->value->find("state_dict"), static_cast<const PickleValue*>(read->value));
    }
};

QTEST_GUILESS_MAIN(TestWeights)
#include "tst_Weights.moc"
