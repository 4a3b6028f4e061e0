// Kinds of model files: real ones as PyTorch and ONNX write them, and ones that were cut off, damaged or made to
// deceive.
#include <sys/stat.h>
#include <unistd.h>

#include <QTest>
#include <random>

#include "core/base/Hash.h"
#include "core/registry/FileKind.h"
#include "core/registry/Registry.h"
#include "core/registry/VersionKind.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using base::Json;
using base::Path;
using registry::FileKind;

namespace {

constexpr const char* kMakeFiles = R"(
import collections, datetime, io, json, os, pickle, struct, sys, zipfile
import numpy, onnx, torch
from onnx import TensorProto, helper
os.chdir(sys.argv[1])
torch.manual_seed(1)
net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.BatchNorm2d(2))
optimizer = torch.optim.Adam(net.parameters())
net(torch.zeros(2, 1, 5, 5)).sum().backward()
optimizer.step()
torch.jit.script(net).save('scripted')
torch.jit.trace(net.eval(), torch.zeros(1, 1, 5, 5)).save('traced')
state = net.state_dict()
torch.save(state, 'state')
torch.save(dict(state), 'state_plain')
torch.save(state, 'state_old', _use_new_zipfile_serialization=False)
torch.save(state, 'state_protocol4', pickle_protocol=4)
torch.save({'epoch': 3, 'model': state, 'optimizer': optimizer.state_dict()}, 'checkpoint')
torch.save(net, 'module')
torch.save(net, 'module_old', _use_new_zipfile_serialization=False)
torch.save(net, 'module_protocol4', pickle_protocol=4)
torch.save({'epoch': 3, 'net': net}, 'module_in_dict')
pickle.dump(net, open('module_pickled', 'wb'))
pickle.dump(net, open('module_protocol0', 'wb'), protocol=0)
class Own(torch.nn.Module):
    pass
torch.save(Own(), 'module_own')
torch.save(torch.zeros(3), 'tensor')
torch.save({'a': 1}, 'numbers')
pickle.dump(datetime.date(2020, 1, 2), open('date', 'wb'))
graph = helper.make_graph([helper.make_node('Relu', ['x'], ['y'])], 'g',
    [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3])], [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 3])],
    [helper.make_tensor('w', TensorProto.FLOAT, [2], [1.0, 2.0])])
onnx.save(helper.make_model(graph, producer_name='maker', opset_imports=[helper.make_opsetid('', 13)]), 'onnx')
header = json.dumps({'__metadata__': {'format': 'pt'}, 'w': {'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [0, 24]},
                     'b': {'dtype': 'F32', 'shape': [3], 'data_offsets': [24, 36]}}).encode()
open('safetensors', 'wb').write(struct.pack('<Q', len(header)) + header + bytes(36))
json.dump({'format': 'trainyard.model-card', 'version': 1, 'family': 'resnet18'}, open('model.json', 'w'), indent=1)
json.dump([{'epochs': 3}], open('settings.json', 'w'))
numpy.savez('arrays.npz', a=numpy.zeros(3))
os.rename('arrays.npz', 'arrays')
numpy.save('array.npy', numpy.zeros(3))
os.rename('array.npy', 'array')
class Evil:
    def __reduce__(self):
        return (os.system, ('touch ' + os.path.join(sys.argv[1], 'canary'),))
torch.save({'w': torch.zeros(1), 'evil': Evil()}, 'evil')
torch.save(Evil(), 'evil_alone')
pickle.dump(Evil(), open('evil_pickle', 'wb'))
with zipfile.ZipFile('bomb', 'w', zipfile.ZIP_DEFLATED) as bomb:
    for name in ('model/data.pkl', 'model/constants.pkl', 'model/version', 'model/code/__torch__.py'):
        bomb.writestr(name, bytes(50_000_000))
with zipfile.ZipFile('archive', 'w') as plain:
    plain.writestr('readme.txt', 'x')
)";

void setNumber(std::string& bytes, std::size_t at, std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) {
        bytes[at + static_cast<std::size_t>(i)] = static_cast<char>(value >> (8 * i));
    }
}

}  // namespace

class FileKindTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() {
        test::ProgramOptions options;
        options.timeoutMillis = 120'000;
        const auto made = test::runProgram("/usr/bin/python3", {"-c", kMakeFiles, m_scratch.path().string()}, options);
        if (made.err.find("No module named") != std::string::npos || !made.started) {
            TRAINYARD_SKIP("Needs python3-torch, python3-onnx and python3-numpy.");
        }
        QVERIFY2(made.exitCode == 0, made.err.c_str());
    }

    void realFiles_areTold_data() {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("kind");
        QTest::addColumn<QString>("told");
        const auto row = [](const char* file, const char* kind, const char* told) {
            QTest::newRow(file) << QString::fromLatin1(file) << QString::fromLatin1(kind) << QString::fromLatin1(told);
        };
        row("scripted", "torchscript", "constants.pkl");
        row("traced", "torchscript", "constants.pkl");
        row("state", "state_dict", "zip archive by torch.save that holds a dictionary");
        row("state_plain", "state_dict", "dictionary");
        row("state_old", "state_dict", "before version 1.6");
        row("state_protocol4", "state_dict", "dictionary");
        row("checkpoint", "state_dict", "dictionary");
        row("module", "module", "torch.nn.modules.container.Sequential");
        row("module_old", "module", "before version 1.6");
        row("module_protocol4", "module", "torch.nn.modules.container.Sequential");
        row("module_in_dict", "module", "dictionary that holds");
        row("module_pickled", "module", "Python pickle");
        row("module_protocol0", "module", "Python pickle");
        row("module_own", "module", "__main__.Own");
        row("onnx", "onnx", "ModelProto");
        row("safetensors", "safetensors", "fill the file");
        row("tensor", "other", "in no dictionary");
        row("numbers", "other", "plain values");
        row("date", "other", "datetime.date");
        row("arrays", "other", "NumPy");
        row("array", "other", "NumPy");
        row("archive", "other", "zip archive of 1 member");
        row("evil", "other", "imports");
        row("evil_alone", "other", "system");
        row("evil_pickle", "other", "system");
        row("bomb", "other", "damaged");
        row("model.json", "other", "model.safetensors");
        row("settings.json", "other", "JSON");
    }
    void realFiles_areTold() {
        QFETCH(QString, file);
        QFETCH(QString, kind);
        QFETCH(QString, told);
        const auto facts = registry::examineFile(m_scratch / file.toStdString());
        QVERIFY2(facts.ok(), facts.ok() ? "" : facts.error().message.c_str());
        QVERIFY2(registry::toString(facts->kind) == kind.toStdString(), facts->told.c_str());
        QVERIFY2(QString::fromStdString(facts->told).contains(told), facts->told.c_str());
        QVERIFY(facts->details.is_object());
        QVERIFY(!std::filesystem::exists(m_scratch / "canary"));
    }

    void details_sayWhatIsInside() {
        const auto evil = registry::examineFile(m_scratch / "evil");
        QVERIFY(evil->details.at("globals").dump().find("posix.system") != std::string::npos);
        const auto graph = registry::examineFile(m_scratch / "onnx");
        QCOMPARE(graph->details.at("opset").get<int>(), 13);
        QCOMPARE(graph->details.at("producer").get<std::string>(), std::string("maker"));
        QCOMPARE(graph->details.at("inputs"), Json::array({"x"}));
        QCOMPARE(graph->details.at("outputs"), Json::array({"y"}));
        QCOMPARE(graph->details.at("nodes").get<int>(), 1);
        QCOMPARE(graph->details.at("initializers").get<int>(), 1);
        const auto weights = registry::examineFile(m_scratch / "safetensors");
        QVERIFY2(weights->details.contains("tensors"), weights->told.c_str());
        QCOMPARE(weights->details.at("tensors").get<int>(), 2);
        QCOMPARE(weights->details.at("parameters").get<int>(), 9);
    }

    void cutFiles_areNeverTakenForWhole_data() {
        QTest::addColumn<QString>("file");
        for (const char* file :
             {"scripted", "state", "state_protocol4", "module", "module_pickled", "onnx", "safetensors", "bomb"}) {
            QTest::newRow(file) << QString::fromLatin1(file);
        }
    }
    void cutFiles_areNeverTakenForWhole() {
        QFETCH(QString, file);
        const std::string whole = m_scratch.read(file.toStdString());
        QVERIFY(whole.size() > 40);
        const std::size_t step = std::max<std::size_t>(1, whole.size() / 200);
        for (std::size_t length = 0; length < whole.size(); length += step) {
            const auto facts = registry::examineFile(m_scratch.write("cut", whole.substr(0, length)));
            QVERIFY(facts.ok());
            QVERIFY2(facts->kind == FileKind::Other, std::to_string(length).c_str());
        }
        QVERIFY(registry::examineFile(m_scratch.write("cut", whole.substr(0, whole.size() - 1)))->kind ==
                FileKind::Other);
    }

    void damagedFiles_doNoHarm() {
        std::mt19937 random(7);
        for (const char* file : {"scripted", "state", "state_old", "module_pickled", "onnx", "safetensors", "arrays"}) {
            const std::string whole = m_scratch.read(file);
            for (int i = 0; i < 150; ++i) {
                std::string bytes = whole;
                for (int flips = 0; flips < 1 + i % 8; ++flips) {
                    bytes[random() % bytes.size()] = static_cast<char>(random());
                }
                QVERIFY(registry::examineFile(m_scratch.write("damaged", bytes)).ok());
            }
        }
        QVERIFY(!std::filesystem::exists(m_scratch / "canary"));
    }

    void hostileFiles_areOther_data() {
        QTest::addColumn<QByteArray>("bytes");
        const auto row = [](const char* name, const std::string& bytes) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes);
        };
        std::string header(64, ' ');
        header[8] = '{';
        setNumber(header, 0, 0xFFFFFFFFULL, 8);
        row("safetensors, header of 4 GB", header);
        setNumber(header, 0, ~0ULL, 8);
        row("safetensors, header of 2^64", header);
        setNumber(header, 0, 48, 8);
        row("safetensors, header that is no JSON", header);
        const std::string overflow =
            R"({"w":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,0]}})";
        std::string wide(8, '\0');
        setNumber(wide, 0, overflow.size(), 8);
        row("safetensors, a shape beyond counting", wide + overflow);
        std::string end("PK\x05\x06", 4);
        end += std::string(18, '\0');
        setNumber(end, 10, 0xFFFE, 2);
        setNumber(end, 12, 0x7FFFFFFF, 4);
        row("zip, directory outside the file", "PK\x03\x04" + std::string(40, 'x') + end);
        std::string claims = end;
        setNumber(claims, 12, 0, 4);
        row("zip, members that are not there", "PK\x03\x04" + std::string(40, 'x') + claims);
        row("zip, nothing else", std::string("PK\x05\x06", 4) + std::string(18, '\0'));
        row("pickle, text of 2^63 bytes", std::string("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", 12));
        row("pickle without end", "\x80\x02" + std::string(100'000, 'N'));
        row("pickle, a name put together", std::string("\x80\x04\x8c\x05posix\x8c\x06sys") + "temNN00\x93.");
        row("pickle, line without end", "\x80\x02"
                                        "c" +
                                            std::string(100'000, 'a'));
        row("onnx, graph longer than the file", std::string("\x08\x07\x3a\xff\xff\xff\xff\x0f", 8));
        row("onnx, a number without end", "\x08" + std::string(40, '\xff'));
        row("empty", "");
        row("one byte", "P");
        row("text", "Hello there, this is text.\n");
        row("JSON without end", "{\"format\": \"trainyard.model-card\"");
        row("JSON, brackets without end", std::string(500'000, '['));
    }
    void hostileFiles_areOther() {
        QFETCH(QByteArray, bytes);
        const auto facts = registry::examineFile(m_scratch.write("hostile", bytes.toStdString()));
        QVERIFY2(facts.ok(), facts.ok() ? "" : facts.error().message.c_str());
        QVERIFY2(facts->kind == FileKind::Other, facts->told.c_str());
        QVERIFY(!facts->told.empty());
    }

    void whatIsNoFile_isAnError() {
        const Path pipe = m_scratch / "pipe";
        QCOMPARE(::mkfifo(pipe.c_str(), 0600), 0);
        QCOMPARE(registry::examineFile(pipe).error().code, std::string("file.kind"));
        QCOMPARE(registry::examineFile(m_scratch.path()).error().code, std::string("file.kind"));
        QVERIFY(!registry::examineFile(m_scratch / "nothing").ok());
        std::filesystem::create_symlink(m_scratch / "state", m_scratch / "link");
        QVERIFY(!registry::examineFile(m_scratch / "link").ok());
    }

    void card_saysKindAndExport() {
        const registry::Registry models{wire::WorkspaceLayout(m_scratch / "workspace")};
        const auto add = [&](std::vector<std::string> files) {
            registry::NewVersion version;
            version.name = "m";
            for (const std::string& file : files) {
                version.files.push_back({m_scratch / file, "out/" + file, ""});
            }
            const auto id = models.add(version);
            return id.ok() ? *models.card(*id) : Json();
        };
        const Json weights = add({"state"});
        QCOMPARE(weights.at("kind").get<std::string>(), std::string("state_dict"));
        QCOMPARE(weights.at("main").get<std::string>(), std::string("out/state"));
        QCOMPARE(weights.at("sha256").get<std::string>(), *base::sha256File(m_scratch / "state"));
        QVERIFY(!registry::exportabilityOf(weights).possible);
        QVERIFY(registry::exportabilityOf(weights).instead.find("torch.jit.script(model)") != std::string::npos);
        for (const char* file : {"module", "safetensors", "date", "evil"}) {
            const auto answer = registry::exportabilityOf(add({file}));
            QVERIFY2(!answer.possible && !answer.reason.empty() && !answer.instead.empty(), file);
        }
        const auto already = registry::exportabilityOf(add({"onnx"}));
        QVERIFY(!already.possible && already.instead.empty() && already.reason.find("already") != std::string::npos);
        const auto script = registry::exportabilityOf(add({"traced"}));
        QVERIFY(script.possible);
        QCOMPARE(script.file, std::string("out/traced"));
        const Json folder = add({"scripted", "safetensors", "archive"});
        QCOMPARE(folder.at("kind").get<std::string>(), std::string("folder"));
        QCOMPARE(registry::exportabilityOf(folder).file, std::string("out/scripted"));
        const Json several = add({"scripted", "traced"});
        QCOMPARE(several.at("main").get<std::string>(), std::string());
        QVERIFY(registry::exportabilityOf(several).reason.find("several") != std::string::npos);
        test::ProgramOptions options;
        options.folder = m_scratch.path();
        const auto sums =
            test::runProgram("/bin/sh", {"-c", "ln -s . out; sha256sum out/scripted out/traced | sha256sum"}, options);
        QCOMPARE(several.at("sha256").get<std::string>(), sums.out.substr(0, 64));
    }

    void links_areRefused() {
        const registry::Registry models{wire::WorkspaceLayout(m_scratch / "linked")};
        m_scratch.write("run/real/model.pt", "x");
        m_scratch.write("outside/secret", "secret");
        std::filesystem::create_symlink(m_scratch / "outside/secret", m_scratch / "run/file");
        std::filesystem::create_directory_symlink(m_scratch / "outside", m_scratch / "run/folder");
        const auto codeOf = [&](const char* path) {
            registry::NewVersion version;
            version.name = "m";
            version.root = m_scratch / "run";
            version.files = {{m_scratch / "run" / path, path, ""}};
            const auto id = models.add(version);
            return id.ok() ? std::string() : id.error().code;
        };
        QCOMPARE(codeOf("file"), std::string("model.link"));
        QCOMPARE(codeOf("folder/secret"), std::string("model.link"));
        QCOMPARE(codeOf("real"), std::string("model.link"));
        QCOMPARE(codeOf("nothing"), std::string("file.missing"));
        QCOMPARE(codeOf("real/model.pt"), std::string());
    }

    void download_takesFolders() {
        const registry::Registry models{wire::WorkspaceLayout(m_scratch / "folders")};
        registry::NewVersion version;
        version.name = "m";
        for (const char* path : {"a/one", "a/b/two", "ab/three"}) {
            version.files.push_back({m_scratch.write(std::string("tree/") + path, path), path, ""});
        }
        const auto id = models.add(version);
        QVERIFY(id.ok());
        const auto part = models.download(*id, m_scratch / "part", {"a"}, false);
        QVERIFY(part.ok());
        QCOMPARE(part->files, (std::vector<std::string>{"a/one", "a/b/two"}));
        QVERIFY(!std::filesystem::exists(m_scratch / "part/ab"));
        QCOMPARE(models.download(*id, m_scratch / "part", {"c"}, false).error().code,
                 std::string("model.file_unknown"));
        const auto all = models.download(*id, m_scratch / "all", {}, false);
        QVERIFY(all.ok());
        QCOMPARE(m_scratch.read("all/ab/three"), std::string("ab/three"));
        QCOMPARE(m_scratch.read("all/a/b/two"), std::string("a/b/two"));
    }

private:
    test::Scratch m_scratch;
};

QTEST_GUILESS_MAIN(FileKindTest)
#include "tst_FileKind.moc"
