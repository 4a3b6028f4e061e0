// The registry against other processes, damage, and the index that is made from it.
#include <sys/wait.h>
#include <unistd.h>

#include <QTest>
#include <algorithm>
#include <set>

#include "core/base/Hash.h"
#include "core/registry/Registry.h"
#include "core/store/Reader.h"
#include "core/store/Writer.h"
#include "tests/helpers/Children.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using base::Json;
using base::Path;
using registry::ModelVersionId;
using registry::Registry;

namespace {

/// The code of an error, or "" for success.
template <class T>
std::string codeOf(const base::Result<T>& result) {
    return result.ok() ? std::string() : result.error().code;
}

std::string objectOf(const Registry& registry, const ModelVersionId& id, const std::string& path) {
    const auto card = registry.card(id);
    for (const Json& file : (*card)["files"]) {
        if (file["path"].get<std::string>() == path) {
            return file["sha256"].get<std::string>();
        }
    }
    return {};
}

}  // namespace

class RegistryTest : public QObject {
    Q_OBJECT

private:
    struct Fixture {
        test::Scratch scratch;
        wire::WorkspaceLayout layout{scratch / "workspace"};
        Registry registry{layout};

        registry::NewVersion version(const std::string& name, const std::string& weights) {
            registry::NewVersion out;
            out.name = name;
            out.description = "A model";
            out.tags = {{"stage", "trial"}};
            out.run = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
            out.runNumber = 12;
            out.metrics = Json::array({{{"name", "val/accuracy"}, {"last", 0.91}}});
            out.configuration = {{"experiment", "default"}};
            out.files = {{scratch.write("run/model.pt", weights), "model.pt", base::sha256Hex(weights)},
                         {scratch.write("run/model.json", R"({"format": "trainyard.model-card", "version": 1})"),
                          "model.json", ""}};
            return out;
        }
        ModelVersionId add(const std::string& name, const std::string& weights) {
            const auto id = registry.add(version(name, weights));
            [&] { QVERIFY2(id.ok(), id.ok() ? "" : id.error().message.c_str()); }();
            return id.ok() ? *id : ModelVersionId{};
        }
        Json proofFor(const ModelVersionId& id, const std::string& onnx) {
            return {{"format", "trainyard.export-proof"},
                    {"version", 1},
                    {"passed", true},
                    {"max_abs_diff", 1e-7},
                    {"model", {{"sha256", objectOf(registry, id, "model.pt")}}},
                    {"onnx", {{"sha256", base::sha256Hex(onnx)}}}};
        }
    };

private Q_SLOTS:
    void cleanup() {
        test::ChildGuard guard;
        QVERIFY2(guard.noneLeft(3000), guard.report().c_str());
    }

    void add_countsUp() {
        Fixture f;
        QCOMPARE(f.add("fashion", "one").number, 1);
        QCOMPARE(f.add("fashion", "two").number, 2);
        QCOMPARE(f.add("digits", "one").number, 1);
        QCOMPARE(f.registry.versions("fashion"), (std::vector<int>{1, 2}));
        QCOMPARE(f.registry.names(), (std::vector<std::string>{"digits", "fashion"}));
        const auto card = f.registry.card({"fashion", 2});
        QVERIFY(card.ok());
        QCOMPARE((*card)["run_number"].get<int>(), 12);
        QCOMPARE((*card)["tags"]["stage"].get<std::string>(), std::string("trial"));
        QCOMPARE((*card)["metrics"][0]["last"].get<double>(), 0.91);
        QCOMPARE((*card)["model"]["format"].get<std::string>(), std::string("trainyard.model-card"));
    }

    void sameContent_isStoredOnce() {
        Fixture f;
        f.add("a", "weights");
        f.add("b", "weights");
        std::size_t objects = 0;
        for (const auto& entry : std::filesystem::directory_iterator(f.layout.objects())) {
            QCOMPARE(*base::sha256File(entry.path()), entry.path().filename().string());
            ++objects;
        }
        QCOMPARE(objects, std::size_t{2});
    }

    void manyProcesses_getEachNumberOnce() {
        Fixture f;
        constexpr int kProcesses = 6;
        constexpr int kEach = 8;
        std::vector<pid_t> children;
        for (int i = 0; i < kProcesses; ++i) {
            const auto version = f.version("shared", "weights of " + std::to_string(i));
            registry::NewVersion own = version;
            own.files[0].from =
                f.scratch.write("run" + std::to_string(i) + "/model.pt", "weights of " + std::to_string(i));
            const pid_t child = ::fork();
            if (child == 0) {
                int failed = 0;
                for (int j = 0; j < kEach; ++j) {
                    failed += f.registry.add(own).ok() ? 0 : 1;
                }
                ::_exit(failed);
            }
            QVERIFY(child > 0);
            children.push_back(child);
        }
        for (const pid_t child : children) {
            int status = 0;
            QCOMPARE(::waitpid(child, &status, 0), child);
            QVERIFY(WIFEXITED(status));
            QCOMPARE(WEXITSTATUS(status), 0);
        }
        const std::vector<int> numbers = f.registry.versions("shared");
        QCOMPARE(numbers.size(), std::size_t{kProcesses * kEach});
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            QCOMPARE(numbers[i], static_cast<int>(i) + 1);
            const auto card = f.registry.card({"shared", numbers[i]});
            QVERIFY(card.ok());
            QCOMPARE((*card)["number"].get<int>(), numbers[i]);
        }
        QVERIFY(std::filesystem::is_empty(f.layout.trash()));
    }

    void failedAdd_leavesNoGap() {
        Fixture f;
        f.add("m", "one");
        auto version = f.version("m", "two");
        version.files[0].sha256 = std::string(64, '1');
        QCOMPARE(codeOf(f.registry.add(version)), std::string("model.output_damaged"));
        version = f.version("m", "three");
        version.files[0].from = f.scratch / "nowhere";
        QCOMPARE(codeOf(f.registry.add(version)), std::string("file.missing"));
        QCOMPARE(codeOf(f.registry.add(f.version("m", "four"), [](std::int64_t, std::int64_t) { return false; })),
                 std::string("canceled"));
        QCOMPARE(f.add("m", "five").number, 2);
    }

    void names_areChecked_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<bool>("good");
        for (const char* good : {"a", "fashion-mnist", "Model_2.1", "9lives"}) {
            QTest::newRow(good) << QString::fromUtf8(good) << true;
        }
        int row = 0;
        for (const char* bad : {"", ".", "..", "../x", "a/b", "-a", ".a", "_a", "a.", "a b", "ä", "a:1", "a\n"}) {
            QTest::addRow("bad %d", ++row) << QString::fromUtf8(bad) << false;
        }
        QTest::newRow("64 long") << QString(64, u'a') << true;
        QTest::newRow("65 long") << QString(65, u'a') << false;
    }
    void names_areChecked() {
        QFETCH(QString, name);
        QFETCH(bool, good);
        QCOMPARE(registry::checkModelName(name.toStdString()).ok(), good);
        Fixture f;
        QCOMPARE(f.registry.add(f.version(name.toStdString(), "w")).ok(), good);
    }

    void nameThatDiffersByCase_isRefused() {
        Fixture f;
        f.add("Fashion", "w");
        QCOMPARE(codeOf(f.registry.add(f.version("fashion", "w"))), std::string("model.name"));
    }

    void anyText_givesAName() {
        QCOMPARE(registry::modelNameFrom("Fashion MNIST (CNN)"), std::string("fashion-mnist-cnn"));
        QCOMPARE(registry::modelNameFrom("…"), std::string("model"));
        QVERIFY(registry::checkModelName(registry::modelNameFrom("-.x" + std::string(200, 'y') + ".")).ok());
    }

    void find_knowsNumbersAndAliases() {
        Fixture f;
        f.add("m", "one");
        f.add("m", "two");
        const auto find = [&](const std::string& text) {
            const auto reference = registry::parseModelReference(text);
            return reference.ok() ? f.registry.find(*reference) : base::Result<ModelVersionId>(reference.error());
        };
        QCOMPARE(find("m")->number, 2);
        QCOMPARE(find("m:latest")->number, 2);
        QCOMPARE(find("m:1")->number, 1);
        QVERIFY(f.registry.edit({"m", 1}, {{}, {}, {}, std::vector<std::string>{"production"}, {}}).ok());
        QCOMPARE(find("m:production")->number, 1);
        for (const char* bad : {"m:3", "m:other", "x", "", ":", "m:", "../m", "m:../1"}) {
            QVERIFY2(codeOf(find(bad)) == "model.unknown", bad);
        }
    }

    void alias_movesBetweenVersions() {
        Fixture f;
        f.add("m", "one");
        f.add("m", "two");
        QVERIFY(f.registry.edit({"m", 1}, {{}, {}, {}, std::vector<std::string>{"production", "old"}, {}}).ok());
        const auto changed = f.registry.edit({"m", 2}, {{}, {}, {}, std::vector<std::string>{"production"}, {}});
        QVERIFY(changed.ok());
        QCOMPARE(changed->size(), std::size_t{2});
        QCOMPARE((*f.registry.card({"m", 1}))["aliases"], Json::array({"old"}));
        QCOMPARE((*f.registry.card({"m", 2}))["aliases"], Json::array({"production"}));
        for (const char* bad : {"3", "latest", "a b", ""}) {
            QCOMPARE(codeOf(f.registry.edit({"m", 2}, {{}, {}, {}, std::vector<std::string>{bad}, {}})),
                     std::string("model.alias"));
        }
    }

    void edit_changesOnlyWhatIsSet() {
        Fixture f;
        const auto id = f.add("m", "one");
        QVERIFY(f.registry.edit(id, {"Better words", {{"owner", "Ada"}}, {"stage"}, {}, true}).ok());
        const auto card = f.registry.card(id);
        QCOMPARE((*card)["description"].get<std::string>(), std::string("Better words"));
        QCOMPARE((*card)["tags"], (Json{{"owner", "Ada"}}));
        QVERIFY((*card)["archived"].get<bool>());
        QCOMPARE((*card)["metrics"][0]["last"].get<double>(), 0.91);
        QCOMPARE(codeOf(f.registry.edit({"m", 9}, {})), std::string("model.unknown"));
    }

    void editsOfManyProcesses_allStand() {
        Fixture f;
        const auto id = f.add("m", "one");
        std::vector<pid_t> children;
        for (int i = 0; i < 6; ++i) {
            const pid_t child = ::fork();
            if (child == 0) {
                registry::CardChange change;
                change.setTags = {{"tag" + std::to_string(i), "x"}};
                ::_exit(f.registry.edit(id, change).ok() ? 0 : 1);
            }
            children.push_back(child);
        }
        for (const pid_t child : children) {
            int status = 0;
            QCOMPARE(::waitpid(child, &status, 0), child);
            QCOMPARE(status, 0);
        }
        QCOMPARE((*f.registry.card(id))["tags"].size(), std::size_t{7});
    }

    // ---- download
    void download_copiesAndNeverOverwritesSilently() {
        Fixture f;
        const auto id = f.add("m", "weights");
        const Path folder = f.scratch / "out";
        const auto first = f.registry.download(id, folder, {}, false);
        QVERIFY(first.ok());
        QCOMPARE(first->files.size(), std::size_t{2});
        QCOMPARE(f.scratch.read("out/model.pt"), std::string("weights"));
        QVERIFY(f.registry.download(id, folder, {}, false).ok());
        f.scratch.write("out/model.pt", "something of mine");
        f.scratch.write("out/model.json", "mine too");
        QCOMPARE(codeOf(f.registry.download(id, folder, {}, false)), std::string("model.exists"));
        QCOMPARE(f.scratch.read("out/model.pt"), std::string("something of mine"));
        QVERIFY(f.registry.download(id, folder, {"model.pt"}, true).ok());
        QCOMPARE(f.scratch.read("out/model.pt"), std::string("weights"));
        QCOMPARE(f.scratch.read("out/model.json"), std::string("mine too"));
        QCOMPARE(codeOf(f.registry.download(id, folder, {"other"}, true)), std::string("model.file_unknown"));
    }

    void download_noticesDamage() {
        Fixture f;
        const auto id = f.add("m", "weights");
        const Path object = f.layout.object(objectOf(f.registry, id, "model.pt"));
        QVERIFY(base::writeFileAtomically(object, "Weights").ok());
        QCOMPARE(codeOf(f.registry.download(id, f.scratch / "out", {"model.pt"}, false)),
                 std::string("model.object_damaged"));
        QVERIFY(!std::filesystem::exists(f.scratch / "out/model.pt"));
        QVERIFY(std::filesystem::is_empty(f.scratch / "out"));
        QCOMPARE(codeOf(f.registry.verifiedFile(id, "model.pt")), std::string("model.object_damaged"));
        std::filesystem::remove(object);
        QCOMPARE(codeOf(f.registry.download(id, f.scratch / "out", {"model.pt"}, false)),
                 std::string("model.object_missing"));
        // Registering the same content again heals it.
        f.add("m", "weights");
        QVERIFY(f.registry.download(id, f.scratch / "out", {"model.pt"}, false).ok());
    }

    void download_canBeCanceled() {
        Fixture f;
        const auto id = f.add("m", std::string(20 << 20, 'w'));
        std::int64_t seen = 0;
        const auto result =
            f.registry.download(id, f.scratch / "out", {"model.pt"}, false, [&](std::int64_t done, std::int64_t total) {
                seen = std::max(seen, done);
                return done < total / 2;
            });
        QCOMPARE(codeOf(result), std::string("canceled"));
        QVERIFY(seen > 0);
        QVERIFY(std::filesystem::is_empty(f.scratch / "out"));
    }

    void evilCard_leadsNowhere() {
        Fixture f;
        const auto id = f.add("m", "weights");
        Json card = *f.registry.card(id);
        const Json hash = card["files"][0]["sha256"];
        card["files"] = Json::array({{{"path", "../escaped"}, {"size", 7}, {"sha256", hash}},
                                     {{"path", "/tmp/escaped"}, {"size", 7}, {"sha256", hash}},
                                     {{"path", "bad"}, {"size", 7}, {"sha256", "../../trainyard.json"}}});
        QVERIFY(base::writeFileAtomically(f.layout.modelCard("m", 1), base::dumpJson(card)).ok());
        const auto result = f.registry.download(id, f.scratch / "out", {}, true);
        QVERIFY(result.ok());
        QVERIFY(result->files.empty());
        QVERIFY(!std::filesystem::exists(f.scratch / "escaped"));
    }

    void card_thatIsNewer_isRefused() {
        Fixture f;
        const auto id = f.add("m", "weights");
        Json card = *f.registry.card(id);
        card["version"] = 2;
        QVERIFY(base::writeFileAtomically(f.layout.modelCard("m", 1), base::dumpJson(card)).ok());
        QCOMPARE(codeOf(f.registry.card(id)), std::string("format.newer"));
        QVERIFY(base::writeFileAtomically(f.layout.modelCard("m", 1), "{").ok());
        QCOMPARE(codeOf(f.registry.card(id)), std::string("model.card"));
    }

    // ---- exports
    void export_isKeptWithItsProof() {
        Fixture f;
        const auto id = f.add("m", "weights");
        const Path onnx = f.scratch.write("model.onnx", "onnx bytes");
        const auto record =
            f.registry.addExport(id, onnx, {{"opset", 17}, {"dynamic_batch", true}}, f.proofFor(id, "onnx bytes"));
        QVERIFY2(record.ok(), record.ok() ? "" : record.error().message.c_str());
        QCOMPARE(f.registry.exports(id)->size(), std::size_t{1});
        QCOMPARE((*f.registry.card(id))["exports"][0]["opset"].get<int>(), 17);
        QVERIFY((*f.registry.card(id))["exports"][0]["passed"].get<bool>());
        QVERIFY(f.registry.downloadExport(id, "", f.scratch / "copy.onnx", false).ok());
        QCOMPARE(f.scratch.read("copy.onnx"), std::string("onnx bytes"));
        f.scratch.write("copy.onnx", "mine");
        QCOMPARE(codeOf(f.registry.downloadExport(id, "", f.scratch / "copy.onnx", false)),
                 std::string("model.exists"));
        QCOMPARE(codeOf(f.registry.downloadExport(id, base::newUuid7(), f.scratch / "c", false)),
                 std::string("model.export_unknown"));
    }

    void export_withoutAProofOfItsOwn_isRefused() {
        Fixture f;
        const auto id = f.add("m", "weights");
        const Path onnx = f.scratch.write("model.onnx", "onnx bytes");
        Json failed = f.proofFor(id, "onnx bytes");
        failed["passed"] = false;
        Json otherFile = f.proofFor(id, "other bytes");
        Json otherModel = f.proofFor(id, "onnx bytes");
        otherModel["model"]["sha256"] = std::string(64, 'a');
        for (const Json& proof : {failed, otherFile, otherModel, Json::object(), Json()}) {
            QCOMPARE(codeOf(f.registry.addExport(id, onnx, Json::object(), proof)), std::string("model.proof"));
        }
        QVERIFY(f.registry.exports(id)->empty());
    }

    // ---- removal
    void removedNumber_isNotGivenAgain() {
        Fixture f;
        f.add("m", "one");
        const auto id = f.add("m", "two");
        QVERIFY(f.registry.remove(id).ok());
        QCOMPARE(f.registry.versions("m"), std::vector<int>{1});
        QCOMPARE(codeOf(f.registry.card(id)), std::string("model.unknown"));
        QCOMPARE(codeOf(f.registry.remove(id)), std::string("model.unknown"));
        QCOMPARE(f.add("m", "three").number, 3);
    }

    void remove_freesOnlyWhatNobodyUses() {
        Fixture f;
        const auto first = f.add("m", "shared weights");
        const auto second = f.add("m", "own weights");
        auto third = f.version("other", "shared weights");
        QVERIFY(f.registry.add(third).ok());
        const std::string shared = objectOf(f.registry, first, "model.pt");
        const std::string own = objectOf(f.registry, second, "model.pt");
        const Path onnx = f.scratch.write("model.onnx", "onnx bytes");
        QVERIFY(f.registry.addExport(second, onnx, Json::object(), f.proofFor(second, "onnx bytes")).ok());
        const auto freed = f.registry.remove(second);
        QVERIFY(freed.ok());
        QCOMPARE(*freed,
                 static_cast<std::int64_t>(std::string("own weights").size() + std::string("onnx bytes").size()));
        QVERIFY(!std::filesystem::exists(f.layout.object(own)));
        QVERIFY(!std::filesystem::exists(f.layout.object(base::sha256Hex("onnx bytes"))));
        QCOMPARE(*f.registry.remove(first), std::int64_t{0});
        QVERIFY(std::filesystem::exists(f.layout.object(shared)));
        QVERIFY(f.registry.download({"other", 1}, f.scratch / "out", {}, false).ok());
    }

    void remove_leavesSnapshotsAlone() {
        Fixture f;
        const auto id = f.add("m", "also a source file");
        const std::string hash = objectOf(f.registry, id, "model.pt");
        f.scratch.write("workspace/runs/aaaaaaaaaaaaaaaaaaaaaaaaaa/snapshot.json",
                        base::dumpJson({{"files", {{{"sha256", hash}}}}}));
        QVERIFY(f.registry.remove(id).ok());
        QVERIFY(std::filesystem::exists(f.layout.object(hash)));
    }

    // ---- the index
    void rebuiltIndex_isTheSame() {
        Fixture f;
        QVERIFY(base::makeDirs(f.layout.root).ok());
        const auto location = store::IndexLocation::of(f.layout.root);
        std::vector<std::string> before;
        {
            auto writer = store::Writer::open(location);
            QVERIFY2(writer.ok(), writer.ok() ? "" : writer.error().message.c_str());
            for (const char* weights : {"one", "two", "three"}) {
                const auto id = f.add("m", weights);
                QVERIFY(writer->applyModel(id.name, id.number).ok());
            }
            const auto changed =
                f.registry.edit({"m", 1}, {"Edited", {}, {}, std::vector<std::string>{"production"}, {}});
            QVERIFY(changed.ok());
            for (const auto& id : *changed) {
                QVERIFY(writer->applyModel(id.name, id.number).ok());
            }
            const Path onnx = f.scratch.write("model.onnx", "onnx bytes");
            QVERIFY(f.registry.addExport({"m", 3}, onnx, {{"opset", 17}}, f.proofFor({"m", 3}, "onnx bytes")).ok());
            QVERIFY(f.registry.remove({"m", 2}).ok());
            QVERIFY(writer->applyModel("m", 2).ok());
            QVERIFY(writer->applyModel("m", 3).ok());
        }
        const auto cards = [&] {
            std::vector<std::string> out;
            auto reader = store::Reader::open(location);
            [&] { QVERIFY2(reader.ok(), reader.ok() ? "" : reader.error().message.c_str()); }();
            const auto rows = reader->modelVersions("m");
            [&] { QVERIFY(rows.ok()); }();
            for (const auto& row : *rows) {
                out.push_back(std::to_string(row.version) + base::dumpJson(row.card));
            }
            return out;
        };
        before = cards();
        QCOMPARE(before.size(), std::size_t{2});
        QVERIFY(store::Writer::rebuild(location).ok());
        QCOMPARE(cards(), before);
        std::filesystem::remove(location.database);
        auto writer = store::Writer::open(location);
        QVERIFY(writer.ok());
        QVERIFY(writer->catchUp().ok());
        QCOMPARE(cards(), before);
    }
};

QTEST_GUILESS_MAIN(RegistryTest)
#include "tst_Registry.moc"
