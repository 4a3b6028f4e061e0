// The ignore rules against git itself: git is asked about the same trees.
#include <QProcess>
#include <QTemporaryDir>
#include <QTest>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "core/runs/Ignore.h"
#include "core/runs/Snapshot.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using runs::globMatches;

namespace {

void put(const base::Path& file, const std::string& text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
}

QByteArray git(const QString& folder, const QStringList& arguments) {
    QProcess process;
    process.setWorkingDirectory(folder);
    process.start(QStringLiteral("git"), arguments);
    if (!process.waitForFinished(20'000)) {
        return {};
    }
    return process.readAllStandardOutput();
}

std::set<std::string> travelling(const base::Path& root) {
    const auto list = runs::listSource(root);
    std::set<std::string> paths;
    if (list.ok()) {
        for (const auto& file : list->files) {
            paths.insert(file.path);
        }
    } else {
        paths.insert(list.error().message);
    }
    return paths;
}

std::set<std::string> byGit(const QString& folder) {
    std::set<std::string> paths;
    for (const QByteArray& path :
         git(folder, {QStringLiteral("ls-files"), QStringLiteral("-z"), QStringLiteral("--cached"),
                      QStringLiteral("--others"), QStringLiteral("--exclude-standard")})
             .split('\0')) {
        if (!path.isEmpty()) {
            paths.insert(path.toStdString());
        }
    }
    return paths;
}

}  // namespace

class TestIgnore : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void globs_data() {
        QTest::addColumn<QString>("glob");
        QTest::addColumn<QString>("text");
        QTest::addColumn<bool>("matches");
        const auto row = [](const char* glob, const char* text, bool matches) {
            QTest::addRow("%s on %s", glob, text) << QString::fromLatin1(glob) << QString::fromLatin1(text) << matches;
        };
        row("*.o", "a.o", true);
        row("*.o", "d/a.o", false);
        row("a/**/b", "a/b", true);
        row("a/**/b", "a/x/y/b", true);
        row("a/**/b", "a/xb", false);
        row("**/foo", "foo", true);
        row("**/foo", "x/y/foo", true);
        row("foo/**", "foo/x/y", true);
        row("foo/**", "foo", false);
        row("a?c", "abc", true);
        row("a?c", "a/c", false);
        row("[a-c]x", "bx", true);
        row("[!a-c]x", "bx", false);
        row("[!a-c]x", "/x", false);
        row("[]-]x", "]x", true);
        row("[[:digit:]]x", "7x", true);
        row("[[:digit:]]x", "ax", false);
        row("\\*x", "*x", true);
        row("\\*x", "ax", false);
        row("[ab", "[ab", false);
    }
    void globs() {
        QFETCH(QString, glob);
        QFETCH(QString, text);
        QFETCH(bool, matches);
        QCOMPARE(globMatches(glob.toStdString(), text.toStdString()), matches);
    }

    void glob_ofManyStarsEnds() {
        std::string glob;
        for (int i = 0; i < 40; ++i) {
            glob += "*a";
        }
        QVERIFY(!globMatches(glob + "b", std::string(200, 'a')));
    }

    /// Random trees with random rules, nested and negated: what travels is what git would track.
    void trees_asGitSeesThem() {
        if (git(QStringLiteral("/"), {QStringLiteral("--version")}).isEmpty()) {
            TRAINYARD_SKIP("git is not here");
        }
        std::mt19937 random(20261123);
        const auto pick = [&](const std::vector<std::string>& of) { return of[random() % of.size()]; };
        const std::vector<std::string> names = {"a",  "b.txt", "c.py", "data",  "x y",   "build",
                                                "#h", "!n",    "deep", "e.log", "f.Log", "z[1]"};
        const std::vector<std::string> patterns = {
            "*.txt",  "build/",  "/data",    "!b.txt",    "**/deep", "a/**",      "deep/*", "!deep/c.py", "x\\ y",
            "\\#h",   "\\!n",    "*.[lL]og", "data/**/a", "!*.py",   "# comment", "",       "a/b.txt",    "/build/*",
            "z[[]1]", "e.log  ", "**",       "!*/",       "c.py/",   "*/a",       "d*p"};
        for (int tree = 0; tree < 60; ++tree) {
            QTemporaryDir folder;
            const base::Path root = folder.path().toStdString();
            git(folder.path(), {QStringLiteral("init"), QStringLiteral("-q")});
            for (int i = 0; i < 40; ++i) {
                base::Path path = root;
                const int depth = 1 + static_cast<int>(random() % 4);
                for (int level = 0; level < depth; ++level) {
                    path /= pick(names);
                    std::error_code error;
                    if (std::filesystem::is_regular_file(path, error)) {
                        break;
                    }
                }
                std::error_code error;
                if (!std::filesystem::exists(path, error)) {
                    put(path, "x");
                }
            }
            std::vector<base::Path> folders{root};
            for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
                if (entry.is_directory() && entry.path().string().find("/.git") == std::string::npos) {
                    folders.push_back(entry.path());
                }
            }
            std::string rules;
            for (int file = 0; file < 3; ++file) {
                std::string text;
                for (int line = 0; line < 4; ++line) {
                    text += pick(patterns) + (random() % 8 == 0 ? "\r\n" : "\n");
                }
                const base::Path where = (file == 0 ? root : folders[random() % folders.size()]) / ".gitignore";
                put(where, text);
                rules += where.string() + ":\n" + text;
            }
            const auto ours = travelling(root);
            const auto theirs = byGit(folder.path());
            std::vector<std::string> difference;
            std::ranges::set_symmetric_difference(ours, theirs, std::back_inserter(difference));
            QVERIFY2(difference.empty(), (difference.empty() ? "" : difference.front() + "\n" + rules).c_str());
            QVERIFY(!ours.empty() || theirs.empty());
        }
    }

    void folderInsideARepository_followsItsRules() {
        QTemporaryDir folder;
        const base::Path root = folder.path().toStdString();
        git(folder.path(), {QStringLiteral("init"), QStringLiteral("-q")});
        put(root / ".gitignore", "/project/cache\n*.bin\n");
        put(root / ".git/info/exclude", "local.txt\n");
        put(root / "project/cache/x", "");
        put(root / "project/a.bin", "");
        put(root / "project/local.txt", "");
        put(root / "project/train.py", "");
        QCOMPARE(travelling(root / "project"), (std::set<std::string>{"train.py"}));
    }

    void ownFileComesBeforeAzuresBeforeGits() {
        QTemporaryDir folder;
        const base::Path root = folder.path().toStdString();
        put(root / "a", "");
        put(root / "b", "");
        put(root / "c", "");
        put(root / ".gitignore", "a\n.*\n");
        QCOMPARE(travelling(root), (std::set<std::string>{"b", "c"}));
        put(root / ".amlignore", "b\n.*\n");
        QCOMPARE(travelling(root), (std::set<std::string>{"a", "c"}));
        put(root / ".trainyardignore", "c\n.*\n");
        QCOMPARE(travelling(root), (std::set<std::string>{"a", "b"}));
    }
};

QTEST_GUILESS_MAIN(TestIgnore)
#include "tst_Ignore.moc"
