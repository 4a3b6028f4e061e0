// The guide in the window: every page of it, every link between them.
#include <QDir>
#include <QFile>
#include <QRegularExpression>
#include <QTextBrowser>

#include "tests/gui/WindowRig.h"
#include "ui/shell/HelpPage.h"

using namespace trainyard;
using test::waitFor;
using test::WindowRig;

class HelpPageTest : public QObject {
    Q_OBJECT

private:
    static QDir guide() {
        return QDir(QString::fromStdString((test::sourceFolder() / "resources/docs/guide").string()));
    }

private Q_SLOTS:
    void initTestCase() { m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing); }
    void cleanupTestCase() { m_rig.reset(); }

    void everyPage_isShown() {
        const QStringList files = guide().entryList({QStringLiteral("*.md")}, QDir::Files);
        QVERIFY(files.size() > 10);
        for (const QString& file : files) {
            auto* page = m_rig->go<ui::HelpPage>(QStringLiteral("help/") + file);
            QVERIFY2(page, qPrintable(file));
            auto* text = page->findChild<QTextBrowser*>(QStringLiteral("guideText"));
            QFile source(guide().filePath(file));
            QVERIFY(source.open(QIODevice::ReadOnly));
            const QString title = QString::fromUtf8(source.readLine()).mid(2).trimmed();
            QVERIFY2(text->toPlainText().startsWith(title), qPrintable(file));
            QCOMPARE(page->address().parts, QStringList{file});
        }
    }

    void everyLink_leadsSomewhere() {
        static const QRegularExpression link(QStringLiteral("\\]\\(([^)#]+\\.md)(#[^)]*)?\\)"));
        int links = 0;
        for (const QString& file : guide().entryList({QStringLiteral("*.md")}, QDir::Files)) {
            QFile source(guide().filePath(file));
            QVERIFY(source.open(QIODevice::ReadOnly));
            auto found = link.globalMatch(QString::fromUtf8(source.readAll()));
            while (found.hasNext()) {
                const QString target = found.next().captured(1);
                if (target.contains(u'/')) continue;  // Outside the guide.
                QVERIFY2(guide().exists(target), qPrintable(file + QStringLiteral(" → ") + target));
                ++links;
            }
        }
        QVERIFY(links > 10);
    }

    void link_isFollowedInsideThePage() {
        auto* page = m_rig->go<ui::HelpPage>(QStringLiteral("help"));
        QVERIFY(page);
        auto* text = page->findChild<QTextBrowser*>(QStringLiteral("guideText"));
        Q_EMIT text->anchorClicked(QUrl(QStringLiteral("targets.md")));
        QCOMPARE(page->address().parts, QStringList{QStringLiteral("targets.md")});
        // Back is the window's.
        page->findChild<QAction*>(QStringLiteral("guideContentsAction"))->trigger();
        QCOMPARE(page->address().parts, QStringList{QStringLiteral("README.md")});
    }

    void nothingOutsideTheGuide_isOpened() {
        const QString secret = QString::fromStdString(m_rig->scratch().write("secret.md", "# 7f3a-outside").string());
        for (const QString& address :
             {QStringLiteral("../../../README.md"), secret, QStringLiteral("no-such-page.md")}) {
            auto* page = m_rig->go<ui::HelpPage>(QStringLiteral("help"));
            auto* text = page->findChild<QTextBrowser*>(QStringLiteral("guideText"));
            Q_EMIT text->anchorClicked(QUrl(address));
            QVERIFY2(!text->toPlainText().contains(QStringLiteral("7f3a-outside")), qPrintable(address));
            QVERIFY(!page->address().parts.first().contains(u'/'));
        }
    }

private:
    std::unique_ptr<WindowRig> m_rig;
};

TRAINYARD_GUI_TEST(HelpPageTest)
#include "tst_HelpPage.moc"
