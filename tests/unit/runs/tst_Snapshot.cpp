// Source snapshots: what travels, what is kept, what git says, what a hostile folder cannot do.
#include <sys/stat.h>
#include <unistd.h>

#include <QProcess>
#include <QTemporaryDir>
#include <QTest>
#include <filesystem>
#include <fstream>

#include "core/base/Hash.h"
#include "core/runs/Git.h"
#include "core/runs/Inputs.h"
#include "core/runs/Snapshot.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;

namespace {

void put(const base::Path& file, const std::string& text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
}

bool git(const QString& folder, const QStringList& arguments) {
    QProcess process;
    process.setWorkingDirectory(folder);
    process.start(QStringLiteral("git"), QStringList{QStringLiteral("-c"), QStringLiteral("user.name=A"),
                                                     QStringLiteral("-c"), QStringLiteral("user.email=a@b"),
                                                     QStringLiteral("-c"), QStringLiteral("commit.gpgsign=false")} +
                                             arguments);
    return process.waitForFinished(20'000) && process.exitCode() == 0;
}

}  // namespace

class TestSnapshot : public QObject {
    Q_OBJECT

    QTemporaryDir m_home;

    struct Place {
        QTemporaryDir folder;
        base::Path source = base::Path(folder.path().toStdString()) / "source";
        wire::WorkspaceLayout layout{base::Path(folder.path().toStdString()) / "workspace"};
        Place() { std::filesystem::create_directories(source); }
    };

private Q_SLOTS:
    void initTestCase() { qputenv("XDG_CACHE_HOME", m_home.path().toUtf8()); }

    void keepsEveryFileOnceAndReadsBack() {
        Place place;
        put(place.source / "train.py", "print(1)\n");
        put(place.source / "lib/same.py", "print(1)\n");
        put(place.source / "run.sh", "#!/bin/sh\n");
        ::chmod((place.source / "run.sh").c_str(), 0755);
        const auto taken = runs::takeSnapshot(place.layout, place.source);
        QVERIFY2(taken.ok(), taken.ok() ? "" : taken.error().message.c_str());
        QCOMPARE(taken->files.size(), std::size_t{3});
        QCOMPARE(taken->files[0].path, "lib/same.py");
        QVERIFY(taken->files[1].executable);
        QCOMPARE(taken->files[0].sha256, taken->files[2].sha256);
        QCOMPARE(*base::readFile(taken->files[2].local), std::string("print(1)\n"));
        const base::RunId run = base::RunId::make();
        std::filesystem::create_directories(place.layout.run(run));
        QVERIFY(runs::writeSnapshot(place.layout, run, *taken).ok());
        const auto back = runs::readSnapshot(place.layout, run);
        QVERIFY(back.ok());
        QCOMPARE(back->sha256, taken->sha256);
        QCOMPARE(back->files.size(), std::size_t{3});
        QVERIFY(runs::compareSnapshots(*taken, *back).empty());

        put(place.source / "train.py", "print(2)\n");
        put(place.source / "new.py", "");
        std::filesystem::remove(place.source / "run.sh");
        const auto later = runs::takeSnapshot(place.layout, place.source);
        QVERIFY(later.ok());
        QVERIFY(later->sha256 != taken->sha256);
        const auto changes = runs::compareSnapshots(*taken, *later);
        QCOMPARE(changes.size(), std::size_t{3});
        QCOMPARE(changes[0].path, "new.py");
        QVERIFY(changes[0].kind == runs::SnapshotChange::Kind::Added);
        QVERIFY(changes[1].kind == runs::SnapshotChange::Kind::Removed);
        QVERIFY(changes[2].kind == runs::SnapshotChange::Kind::Changed);
    }

    void linksThatLeaveAreLeftOutAndNamed() {
        Place place;
        put(place.folder.path().toStdString() + "/secret.txt", "secret");
        put(place.source / "real.txt", "real");
        std::filesystem::create_symlink("../secret.txt", place.source / "out");
        std::filesystem::create_symlink("/etc/passwd", place.source / "absolute");
        std::filesystem::create_symlink("real.txt", place.source / "inside");
        std::filesystem::create_symlink("nowhere", place.source / "dangling");
        std::filesystem::create_symlink("..", place.source / "up");
        QVERIFY(::mkfifo((place.source / "pipe").c_str(), 0600) == 0);
        const auto taken = runs::takeSnapshot(place.layout, place.source);
        QVERIFY(taken.ok());
        QCOMPARE(taken->files.size(), std::size_t{2});
        QCOMPARE(taken->files[0].path, "inside");
        QCOMPARE(taken->files[0].sha256, base::sha256Hex("real"));
        QCOMPARE(taken->warnings.size(), std::size_t{2});
        QVERIFY(taken->warnings[0].find("absolute, dangling, out, up") == 0);
        QVERIFY(taken->warnings[1].find("pipe") == 0);
    }

    void warnsOfSecretsAndSize() {
        Place place;
        put(place.source / ".env", "KEY=1");
        put(place.source / "big", "");
        std::filesystem::resize_file(place.source / "big", 300'000'001);
        for (int i = 0; i < 2'001; ++i) {
            put(place.source / "many" / std::to_string(i), "");
        }
        const auto list = runs::listSource(place.source);
        QVERIFY(list.ok());
        QCOMPARE(list->warnings.size(), std::size_t{3});
        QVERIFY(list->warnings[0].find(".env") == 0);
        QVERIFY(list->warnings[1].find("300 MB") != std::string::npos);
        QVERIFY(list->warnings[2].find("2003 files") != std::string::npos);
    }

    void badFoldersAreNamed() {
        Place place;
        QCOMPARE(runs::listSource(place.source / "none").error().code, "snapshot.folder");
        put(place.source / "bad\nname", "");
        QCOMPARE(runs::listSource(place.source).error().code, "snapshot.name");
        QCOMPARE(runs::listSource(place.source, [](std::int64_t) { return false; }).error().code, "canceled");
    }

    void workspaceInsideTheSourceDoesNotTravel() {
        Place place;
        put(place.source / "train.py", "");
        put(place.source / "ws/trainyard.json", "{}");
        put(place.source / "ws/runs/x", "");
        const auto list = runs::listSource(place.source);
        QVERIFY(list.ok());
        QCOMPARE(list->files.size(), std::size_t{1});
        QVERIFY(list->warnings.front().find("ws") == 0);
    }

    void damagedListIsRefused() {
        Place place;
        const base::RunId run = base::RunId::make();
        QCOMPARE(runs::readSnapshot(place.layout, run).error().code, "snapshot.none");
        put(place.layout.snapshot(run),
            "{\"format\":\"trainyard.snapshot\",\"version\":1,\"files\":[{\"path\":\"../x\",\"sha256\":\"\"}]}");
        QCOMPARE(runs::readSnapshot(place.layout, run).error().code, "snapshot.damaged");
        put(place.layout.snapshot(run), "{");
        QCOMPARE(runs::readSnapshot(place.layout, run).error().code, "snapshot.damaged");
    }

    void gitsWordIsKept() {
        Place place;
        const QString folder = QString::fromStdString(place.source.string());
        if (!git(folder,
                 {QStringLiteral("init"), QStringLiteral("-q"), QStringLiteral("-b"), QStringLiteral("topic")})) {
            TRAINYARD_SKIP("git is not here");
        }
        put(place.source / "train.py", "a\n");
        QVERIFY(git(folder, {QStringLiteral("add"), QStringLiteral(".")}));
        QVERIFY(git(folder, {QStringLiteral("commit"), QStringLiteral("-qm"), QStringLiteral("x")}));
        QVERIFY(git(folder, {QStringLiteral("remote"), QStringLiteral("add"), QStringLiteral("origin"),
                             QStringLiteral("https://me:token@host/x.git?k=1")}));
        auto state = runs::readGit(place.source, base::Deadline::inMillis(20'000));
        QVERIFY(state.repository);
        QCOMPARE(state.commit.size(), std::size_t{40});
        QCOMPARE(state.branch, "topic");
        QCOMPARE(state.remote, "https://host/x.git");
        QVERIFY(!state.dirty);
        put(place.source / "train.py", "b\n");
        const auto taken = runs::takeSnapshot(place.layout, place.source);
        QVERIFY(taken.ok());
        QVERIFY(taken->git.at("dirty").get<bool>());
        QVERIFY(taken->patch.find("+b") != std::string::npos);
        const base::RunId run = base::RunId::make();
        std::filesystem::create_directories(place.layout.run(run));
        QVERIFY(runs::writeSnapshot(place.layout, run, *taken).ok());
        QCOMPARE(*base::readFile(place.layout.patch(run)), taken->patch);
    }

    /// What a repository's configuration names must not be started.
    void hostileRepositoryStartsNothing() {
        Place place;
        const QString folder = QString::fromStdString(place.source.string());
        if (!git(folder, {QStringLiteral("init"), QStringLiteral("-q")})) {
            TRAINYARD_SKIP("git is not here");
        }
        put(place.source / "a.txt", "a\n");
        QVERIFY(git(folder, {QStringLiteral("add"), QStringLiteral(".")}));
        QVERIFY(git(folder, {QStringLiteral("commit"), QStringLiteral("-qm"), QStringLiteral("x")}));
        const base::Path canary = base::Path(place.folder.path().toStdString()) / "canary";
        const QString touch =
            QStringLiteral("touch ") + QString::fromStdString(canary.string()) + QStringLiteral("; cat");
        for (const char* key :
             {"filter.evil.clean", "filter.evil.process", "filter.evil.smudge", "diff.evil.textconv",
              "diff.evil.command", "diff.external", "core.fsmonitor", "core.pager", "core.sshCommand"}) {
            QVERIFY(git(folder, {QStringLiteral("config"), QLatin1String(key), touch}));
        }
        QVERIFY(
            git(folder, {QStringLiteral("config"), QStringLiteral("filter.evil.required"), QStringLiteral("true")}));
        put(place.source / ".gitattributes", "*.txt filter=evil diff=evil\n");
        put(place.source / "a.txt", "b\n");
        const auto state = runs::readGit(place.source, base::Deadline::inMillis(20'000));
        QVERIFY(state.repository);
        QVERIFY2(state.dirty, state.warning.c_str());
        QVERIFY(!std::filesystem::exists(canary));
    }

    void credentialsAreTakenOut() {
        QCOMPARE(runs::withoutCredentials("https://u:p@h/x?t=1#f"), "https://h/x");
        QCOMPARE(runs::withoutCredentials("ssh://git@h:22/x"), "ssh://h:22/x");
        QCOMPARE(runs::withoutCredentials("git@h:x.git"), "git@h:x.git");
        QCOMPARE(runs::withoutCredentials("https://u:p%40@h"), "https://h");
    }

    void inputsAreReadByTheirKind() {
        Place place;
        put(place.source / "d/a", "1");
        put(place.source / "one.bin", "data");
        spec::RunSpec spec;
        const std::string folder = (place.source / "d").string();
        spec.inputs = {{"photos", folder}, {"one", (place.source / "one.bin").string()}, {"there", "target:/data/x"}};
        const auto report = [](std::int64_t) { return true; };
        const auto sent = runs::resolveInputs(spec, false, report);
        QVERIFY2(sent.ok(), sent.ok() ? "" : sent.error().message.c_str());
        QCOMPARE(sent->size(), std::size_t{3});
        QVERIFY((*sent)[0].isFolder && (*sent)[0].sha256.size() == 64);
        QCOMPARE((*sent)[1].sha256, base::sha256Hex("data"));
        QVERIFY((*sent)[2].origin == targets::InputData::Origin::OnTarget);
        QCOMPARE((*sent)[2].location, "/data/x");
        const auto used = runs::resolveInputs(spec, true, report);
        QVERIFY(used.ok());
        QVERIFY((*used)[0].origin == targets::InputData::Origin::OnTarget);
        QCOMPARE((*used)[0].location, folder);
        spec.inputs = {{"photos", "/no/such/place"}};
        QCOMPARE(runs::resolveInputs(spec, true, report).error().code, "input.missing");
        QCOMPARE(runs::resolveInputs(spec, true, report).error().field, "inputs.photos");
    }
};

QTEST_GUILESS_MAIN(TestSnapshot)
#include "tst_Snapshot.moc"
