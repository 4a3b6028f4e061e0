#include <QLabel>
#include <QPushButton>
#include <QSignalSpy>
#include <QtTest>

#include <csignal>

#include "ui/runs/FailurePanel.h"
#include "ui/shell/Theme.h"

using namespace trainyard;
using namespace trainyard::ui;

namespace {

/// A failed run of one rank that said nothing yet.
RunDetail failedRun(const std::string& reason) {
    RunDetail detail;
    detail.row.state = spec::RunState::Failed;
    detail.row.stateReason = reason;
    detail.row.attempts = 1;
    store::RankRow rank;
    rank.attempt = 1;
    rank.exitStatus = 1;
    detail.ranks.push_back(rank);
    detail.failedRank = 0;
    return detail;
}

void addLine(RunDetail& detail, const char* text) {
    store::LogLine line;
    line.text = text;
    detail.lastLines.push_back(line);
}

const QString kNothingKnown = QStringLiteral("Read the log of the rank that failed");

}  // namespace

class TestFailurePanel : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void ruleOfWords_data() {
        QTest::addColumn<QString>("line");
        QTest::addColumn<QString>("advice");  ///< Its beginning.
        const auto row = [](const char* line, const char* advice) {
            QTest::newRow(line) << QString::fromUtf8(line) << QString::fromUtf8(advice);
        };
        row("terminate called after throwing an instance of 'std::bad_alloc'", "Memory ran out");
        row("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", "Memory ran out");
        row("slurmstepd: error: Detected 1 OOM kill event in StepId=4.0", "Memory ran out");
        row("OSError: [Errno 28] No space left on device", "The disk is full");
        row("sh: 1: trainer: command not found", "A file is missing");
        row("FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'", "A file is missing");
        row("RuntimeError: CUDA error: device-side assert triggered", "The GPU could not be used");
        row("CANCELLED AT 2026-11-23T10:00:00 DUE TO TIME LIMIT", "The time limit was reached");
        row("ModuleNotFoundError: No module named 'einops'", "A Python module is missing");
        row("the loss is NaN at step 12", "The loss left the numbers");
        row("\x1b[31mloss: nan\x1b[0m", "The loss left the numbers");
        // What only looks like it.
        row("reading train-images-idx3-ubyte.gz", "Read the log");
        row("hello from nancy, room-nan-3, nan_policy=keep", "Read the log");
        row("zoom and bloom", "Read the log");
        row("", "Read the log");
    }
    void ruleOfWords() {
        QFETCH(QString, line);
        QFETCH(QString, advice);
        RunDetail byLog = failedRun("It ended with exit status 1.");
        addLine(byLog, line.toUtf8().constData());
        QVERIFY2(adviceFor(byLog).first().startsWith(advice), qPrintable(adviceFor(byLog).join(u'\n')));
        QCOMPARE(adviceFor(byLog).size(), 1);
        if (line.contains(u'\x1b')) return;
        const RunDetail byReason = failedRun(line.toStdString());
        QVERIFY2(adviceFor(byReason).first().startsWith(advice), qPrintable(adviceFor(byReason).join(u'\n')));
    }

    void ruleOfCodes_data() {
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("advice");
        QTest::newRow("nan") << QStringLiteral("train.nan") << QStringLiteral("The loss left the numbers");
        QTest::newRow("val nan") << QStringLiteral("train.val_nan") << QStringLiteral("The loss left the numbers");
        QTest::newRow("full") << QStringLiteral("file.full") << QStringLiteral("The disk is full");
        QTest::newRow("missing") << QStringLiteral("file.missing") << QStringLiteral("A file is missing");
        QTest::newRow("idx") << QStringLiteral("idx.truncated") << QStringLiteral("A data file is damaged");
        QTest::newRow("data") << QStringLiteral("data.labels") << QStringLiteral("A data file is damaged");
        QTest::newRow("unknown") << QStringLiteral("something.else") << kNothingKnown;
        QTest::newRow("no prefix") << QStringLiteral("train.nanny") << kNothingKnown;
    }
    void ruleOfCodes() {
        QFETCH(QString, code);
        QFETCH(QString, advice);
        RunDetail detail = failedRun("It ended with exit status 3.");
        store::WarningRow warning;
        warning.code = code.toStdString();
        warning.message = "as the code says";
        detail.warnings.push_back(warning);
        QVERIFY2(adviceFor(detail).first().startsWith(advice), qPrintable(adviceFor(detail).join(u'\n')));
    }

    void killedMeansMemoryUnlessItSaidSo() {
        RunDetail killed = failedRun("Rank 0 was ended by signal 9.");
        killed.ranks.front().exitStatus.reset();
        killed.ranks.front().signal = SIGKILL;
        QVERIFY(adviceFor(killed).first().startsWith(u"A process was killed from outside"));
        addLine(killed, "std::bad_alloc");
        QVERIFY(adviceFor(killed).first().startsWith(u"Memory ran out"));
        QCOMPARE(adviceFor(killed).size(), 1);
        // A rank of an attempt before says nothing of this one.
        RunDetail older = failedRun("It ended with exit status 1.");
        older.row.attempts = 2;
        older.ranks.front().signal = SIGKILL;
        QVERIFY(adviceFor(older).first().startsWith(kNothingKnown));
    }

    /// There is no rank whose log could be read.
    void nothingBegun_saysSo() {
        RunDetail refused =
            failedRun("On node1, 20 GiB are to be put into /work, and 1 GiB are free there. Make room.");
        refused.ranks.clear();
        refused.failedRank = -1;
        QVERIFY2(adviceFor(refused).first().startsWith(u"No process was started"),
                 qPrintable(adviceFor(refused).join(u'\n')));
        RunDetail unbuilt =
            failedRun("Building wheels:1 failed at \"packages\" (step 2 of 3): exit status 1: no wheel for torch.");
        unbuilt.ranks.clear();
        QVERIFY2(adviceFor(unbuilt).first().startsWith(u"The environment could not be built"),
                 qPrintable(adviceFor(unbuilt).join(u'\n')));
        QCOMPARE(adviceFor(unbuilt).size(), 1);
    }

    void severalCausesStandInOrderAndCheckpointsAreOffered() {
        RunDetail detail = failedRun("CUDA out of memory");
        addLine(detail, "loss is nan");
        store::OutputRow checkpoint;
        checkpoint.path = "checkpoints/last.ckpt";
        detail.outputs.push_back(checkpoint);
        const QStringList advice = adviceFor(detail);
        QCOMPARE(advice.size(), 3);
        QVERIFY(advice[0].startsWith(u"Memory ran out"));
        QVERIFY(advice[1].startsWith(u"The loss left the numbers"));
        QVERIFY(advice[2].startsWith(u"Resume goes on"));
        detail.outputs.front().path = "model.pt";
        QVERIFY(!hasCheckpoint(detail));
    }

    void panelShowsWhatItKnowsAndActs() {
        FailurePanel panel(nullptr);
        RunDetail detail = failedRun("The loss became NaN at step 590.");
        detail.failedRank = 2;
        detail.ranks.front().rank = 2;
        detail.ranks.front().host = "node-b";
        store::OutputRow checkpoint;
        checkpoint.path = "checkpoints/last.ckpt";
        detail.outputs.push_back(checkpoint);
        panel.setDetail(detail);
        panel.resize(900, 600);
        panel.show();
        QCOMPARE(panel.findChild<QLabel*>(QStringLiteral("failureReasonLabel"))->text(),
                 QStringLiteral("The loss became NaN at step 590."));
        const auto says = [&panel](const QString& wanted) {
            const QList<QLabel*> labels = panel.findChildren<QLabel*>();
            return std::any_of(labels.begin(), labels.end(), [&](const QLabel* label) {
                return label->isVisible() && label->text().contains(wanted);
            });
        };
        QVERIFY(says(QStringLiteral("rank 2")) && says(QStringLiteral("node-b")) &&
                says(QStringLiteral("exit status 1")));
        QTRY_VERIFY(says(QStringLiteral("The loss left the numbers")));

        QSignalSpy resume(&panel, &FailurePanel::resumeRequested);
        auto* button = panel.findChild<QPushButton*>(QStringLiteral("failureResumeButton"));
        QVERIFY(button->isVisible());
        QTest::mouseClick(button, Qt::LeftButton);
        QCOMPARE(resume.count(), 1);
        QSignalSpy duplicate(&panel, &FailurePanel::duplicateRequested);
        QTest::mouseClick(panel.findChild<QPushButton*>(QStringLiteral("failureDuplicateButton")), Qt::LeftButton);
        QCOMPARE(duplicate.count(), 1);

        // What is shown next leaves nothing of what was shown before.
        RunDetail plain = failedRun("");
        plain.failedRank = -1;
        panel.setDetail(plain);
        QVERIFY(!button->isVisible());
        QTRY_VERIFY(!says(QStringLiteral("The loss left the numbers")) && says(kNothingKnown));
        QVERIFY(says(QStringLiteral("left no message")));
    }
};

int main(int argc, char** argv) {
    QApplication application(argc, argv);
    Theme::install(application);
    TestFailurePanel test;
    return QTest::qExec(&test, argc, argv);
}
#include "tst_FailurePanel.moc"
