#include <QApplication>
#include <QDialog>
#include <QFileDialog>
#include <QLineEdit>
#include <QPushButton>
#include <QtTest>

#include "tests/helpers/Scratch.h"
#include "tests/helpers/Wait.h"
#include "ui/seams/Questions.h"
#include "ui/shell/Theme.h"

using namespace trainyard::ui;
using trainyard::test::Scratch;
using trainyard::test::waitFor;

class TestQuestions : public QObject {
    Q_OBJECT
    std::unique_ptr<QWidget> m_window;
    DialogQuestions m_questions;
    QStringList m_answers;

    std::function<void(const QString&)> take() {
        return [this](const QString& answer) { m_answers << answer; };
    }
    Question deletion() {
        return Question{QStringLiteral("run.delete"),
                        QStringLiteral("Delete 3 runs?"),
                        QStringLiteral("1.2 GiB are freed."),
                        {{QStringLiteral("delete"), QStringLiteral("Delete"), true}}};
    }
    QDialog* dialog() {
        QDialog* found = nullptr;
        (void) waitFor([&] {
            for (QWidget* widget : QApplication::topLevelWidgets()) {
                if (auto* one = qobject_cast<QDialog*>(widget); one != nullptr && one->isVisible()) found = one;
            }
            return found != nullptr;
        });
        return found;
    }

private Q_SLOTS:
    void initTestCase() { Theme::install(*qApp); }
    void init() {
        m_answers.clear();
        m_window = std::make_unique<QWidget>();
        m_window->resize(800, 600);
        m_window->show();
    }

    void ask_givesTheButtonsId() {
        m_questions.ask(m_window.get(), deletion(), take());
        QVERIFY(m_answers.isEmpty());  // Never inside the call.
        QDialog* asked = dialog();
        QVERIFY(asked != nullptr);
        QCOMPARE(asked->objectName(), QStringLiteral("run.deleteDialog"));
        QTest::mouseClick(asked->findChild<QPushButton*>(QStringLiteral("deleteButton")), Qt::LeftButton);
        QVERIFY(waitFor([&] { return m_answers.size() == 1; }));
        QCOMPARE(m_answers[0], QStringLiteral("delete"));
    }

    void ask_enterNeverDestroys() {
        m_questions.ask(m_window.get(), deletion(), take());
        QDialog* asked = dialog();
        QVERIFY(asked != nullptr);
        QTest::keyClick(asked, Qt::Key_Return);
        QVERIFY(waitFor([&] { return m_answers.size() == 1; }));
        QCOMPARE(m_answers[0], QString());
    }

    void ask_escapeIsCancel() {
        Question harmless{QStringLiteral("q"),
                          QStringLiteral("Go on?"),
                          QString(),
                          {{QStringLiteral("go"), QStringLiteral("Go on"), false}}};
        m_questions.ask(m_window.get(), harmless, take());
        QTest::keyClick(dialog(), Qt::Key_Escape);
        QVERIFY(waitFor([&] { return m_answers.size() == 1; }));
        QCOMPARE(m_answers[0], QString());
        m_questions.ask(m_window.get(), harmless, take());
        QTest::keyClick(dialog(), Qt::Key_Return);
        QVERIFY(waitFor([&] { return m_answers.size() == 2; }));
        QCOMPARE(m_answers[1], QStringLiteral("go"));
    }

    void ask_isForgottenWithItsContext() {
        auto page = std::make_unique<QWidget>(m_window.get());
        page->show();
        m_questions.ask(page.get(), deletion(), take());
        QDialog* asked = dialog();
        QVERIFY(asked != nullptr);
        page.reset();
        asked->reject();
        QTest::qWait(50);
        QVERIFY(m_answers.isEmpty());
    }

    void askText_checksWhileTyping() {
        m_questions.askText(
            m_window.get(), QStringLiteral("Rename"), QStringLiteral("Name"), QStringLiteral("old"),
            [](const QString& text) { return text.isEmpty() ? QStringLiteral("Give a name.") : QString(); }, take());
        QDialog* asked = dialog();
        QVERIFY(asked != nullptr);
        auto* edit = asked->findChild<QLineEdit*>();
        auto* accept = asked->findChild<QPushButton*>(QStringLiteral("okButton"));
        edit->clear();
        QVERIFY(!accept->isEnabled());
        QTest::keyClicks(edit, QStringLiteral("new"));
        QVERIFY(accept->isEnabled());
        QTest::keyClick(edit, Qt::Key_Return);
        QVERIFY(waitFor([&] { return m_answers.size() == 1; }));
        QCOMPARE(m_answers[0], QStringLiteral("new"));
    }

    void chooseSaveFile_givesThePath() {
        const Scratch scratch;
        const QString wanted = QString::fromStdString((scratch / "chart.png").string());
        m_questions.chooseSaveFile(m_window.get(), QStringLiteral("Export"), wanted, {QStringLiteral("PNG (*.png)")},
                                   take());
        auto* asked = qobject_cast<QFileDialog*>(dialog());
        QVERIFY(asked != nullptr);
        QVERIFY(asked->testOption(QFileDialog::DontUseNativeDialog));
        QTest::keyClick(asked->findChild<QLineEdit*>(), Qt::Key_Return);
        QVERIFY(waitFor([&] { return m_answers.size() == 1; }));
        QCOMPARE(m_answers[0], wanted);
    }

    void chooseFolder_canBeCanceled() {
        m_questions.chooseFolder(m_window.get(), QStringLiteral("Open"), QStringLiteral("/"), take());
        QDialog* asked = dialog();
        QVERIFY(asked != nullptr);
        asked->reject();
        QVERIFY(waitFor([&] { return m_answers.size() == 1; }));
        QCOMPARE(m_answers[0], QString());
    }
};

QTEST_MAIN(TestQuestions)
#include "tst_Questions.moc"
