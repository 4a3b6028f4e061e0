// What ssh asks, answered above the page: a real sshd that takes a password, and several questions at once.
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <filesystem>

#include "core/spec/TargetSpec.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/Lab.h"
#include "tests/helpers/Skip.h"
#include "ui/shell/QuestionBar.h"

using namespace trainyard;
using base::Json;
using base::Result;
using test::waitFor;
using test::WindowRig;
using Question = targets::Question;

class QuestionBarTest : public QObject {
    Q_OBJECT

private:
    QLineEdit* line() const { return m_rig->visible<QLineEdit>(QStringLiteral("questionLine")); }
    void press(const char* button) const {
        QTest::mouseClick(m_rig->visible<QPushButton>(QString::fromLatin1(button)), Qt::LeftButton);
    }
    QString title() const {
        auto* label = m_rig->visible<QLabel>(QStringLiteral("questionTitleLabel"));
        return label ? label->text() : QString();
    }
    static Question question(Question::Kind kind, const char* target) {
        Question what;
        what.kind = kind;
        what.target = target;
        what.host = target;
        what.text = "what ssh says";
        what.fingerprint = "SHA256:abc";
        what.keyType = "ED25519";
        return what;
    }

private Q_SLOTS:
    void initTestCase() { m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing); }
    void cleanupTestCase() {
        m_rig.reset();
        m_lab.reset();
    }

    void severalQuestions_comeOneAfterTheOther() {
        commands::Session& session = m_rig->session();
        Q_EMIT session.questionAsked(9001, question(Question::Kind::HostKey, "alpha"));
        Q_EMIT session.questionAsked(9002, question(Question::Kind::Passphrase, "beta"));
        QVERIFY(title().contains(QStringLiteral("alpha")));
        QVERIFY(!line());
        QCOMPARE(m_rig->visible<QLabel>(QStringLiteral("questionFingerprintLabel"))->text(),
                 QStringLiteral("SHA256:abc"));
        // Enter must not trust a key by itself: the answer that has the focus is no.
        QCOMPARE(QApplication::focusWidget()->objectName(), QStringLiteral("questionRefuseButton"));
        press("questionRefuseButton");
        QVERIFY(title().contains(QStringLiteral("beta")));
        QVERIFY(line());
        QCOMPARE(line()->echoMode(), QLineEdit::Password);
        // Given up over there: it is no question any more.
        targets::Reach reach;
        reach.state = targets::Reach::State::Unreachable;
        Q_EMIT session.targetReachChanged(QStringLiteral("beta"), reach);
        QVERIFY(title().isEmpty());
    }

    void password_isAskedAndReachesTheHost() {
        if (const std::string missing = test::Lab::missing(); !missing.empty()) TRAINYARD_SKIP(missing.c_str());
        m_lab = std::make_unique<test::Lab>(test::LabOptions{1, false, true});
        QVERIFY2(m_lab->up(), m_lab->error().c_str());
        const auto config = base::readFile(m_lab->sshConfig());
        QVERIFY(config.ok());
        QVERIFY(base::writeFileAtomically(m_lab->sshConfig(),
                                          "Host *\n  PreferredAuthentications password\n  NumberOfPasswordPrompts 1\n" +
                                              *config)
                    .ok());
        const Json spec{{"format", spec::kTargetSpecFormat},
                        {"version", spec::kTargetSpecVersion},
                        {"name", "vault"},
                        {"kind", "ssh"},
                        {"hosts", Json::array({"node1"})},
                        {"connect_seconds", 5}};
        std::optional<Result<Json>> added;
        m_rig->session().start("target.add", Json{{"spec", spec}}, this,
                               [&](const Result<Json>& result) { added = result; });
        QVERIFY(waitFor([&] { return added.has_value(); }, 10'000));
        QVERIFY2(added->ok(), added->ok() ? "" : added->error().message.c_str());
        for (const bool right : {false, true}) {
            std::optional<Result<Json>> reached;
            m_rig->session().start("target.wait", {{"target", "vault"}, {"seconds", 40}}, this,
                                   [&](const Result<Json>& result) { reached = result; });
            QVERIFY(waitFor([&] { return line() != nullptr; }, 30'000));
            QVERIFY2(title().contains(QStringLiteral("Password")), qPrintable(title()));
            QCOMPARE(line()->echoMode(), QLineEdit::Password);
            auto* send = m_rig->visible<QPushButton>(QStringLiteral("questionAgreeButton"));
            QVERIFY(!send->isEnabled());
            if (!right) m_rig->picture(QStringLiteral("question-password"));
            QTest::keyClicks(line(), right ? QStringLiteral("open sesame") : QStringLiteral("wrong"));
            QVERIFY(send->isEnabled());
            QTest::keyClick(line(), Qt::Key_Return);
            QVERIFY(waitFor([&] { return reached.has_value(); }, 60'000));
            QVERIFY2(reached->ok() == right, reached->ok() ? "" : reached->error().message.c_str());
            QVERIFY(title().isEmpty());
            // What was typed is nowhere in the window any more.
            QVERIFY(m_rig->window().findChild<QLineEdit*>(QStringLiteral("questionLine"))->text().isEmpty());
        }
    }

    void closedWorkspace_asksNothing() {
        Q_EMIT m_rig->session().questionAsked(9003, question(Question::Kind::Other, "gamma"));
        QVERIFY(line());
        QCOMPARE(line()->echoMode(), QLineEdit::Normal);
        m_rig->session().closeWorkspace();
        QVERIFY(waitFor([&] { return title().isEmpty(); }, 10'000));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
    std::unique_ptr<test::Lab> m_lab;
};

TRAINYARD_GUI_TEST(QuestionBarTest)
#include "tst_QuestionBar.moc"
