#include <QCheckBox>
#include <QComboBox>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QSignalSpy>
#include <QtTest>

#include "core/spec/RunSpec.h"
#include "tests/gui/WindowRig.h"
#include "ui/forms/FieldEditors.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using ui::FieldRow;
using ui::FormDocument;
using ui::FormView;

class FormsTest : public QObject {
    Q_OBJECT

private:
    struct Rig {
        Rig() : document(spec::runSpecFields(), &spec::validateRunSpec), view(document, &questions) {
            document.setDocument(spec::defaultRunSpecDocument());
            view.resize(420, 2400);
            view.show();
        }
        ui::PreparedQuestions questions;
        FormDocument document;
        FormView view;
        template <class W>
        W* input(const char* path) {
            FieldRow* row = view.row(QString::fromLatin1(path));
            return row ? qobject_cast<W*>(row->input()) : nullptr;
        }
    };

private Q_SLOTS:
    void wrongText_isToldAtItsFieldAndGoesAway() {
        Rig rig;
        auto* line = rig.input<QLineEdit>("task.epochs");
        QVERIFY(line);
        line->clear();
        QTest::keyClicks(line, QStringLiteral("many"));
        FieldRow* row = rig.view.row(QStringLiteral("task.epochs"));
        QVERIFY(test::waitFor([&] { return !row->errorText().isEmpty(); }, 2000));
        QCOMPARE(*spec::valueAt(rig.document.document(), "task.epochs"), Json("many"));
        QVERIFY(line->accessibleDescription() == row->errorText());
        line->clear();
        QTest::keyClicks(line, QStringLiteral("7"));
        QVERIFY(test::waitFor([&] { return row->errorText().isEmpty(); }, 2000));
        QCOMPARE(*spec::valueAt(rig.document.document(), "task.epochs"), Json(7));
    }

    void choices_canBeNarrowed() {
        Rig rig;
        rig.document.setValue(QStringLiteral("distribution.kind"), "mpi");
        const QString path = QStringLiteral("distribution.launcher");
        FieldRow* row = rig.view.row(path);
        QVERIFY(row);
        auto* combo = qobject_cast<QComboBox*>(row->input());
        auto* segments = qobject_cast<ui::SegmentedControl*>(row->input());
        const auto count = [&] { return combo ? combo->count() : segments->count(); };
        QCOMPARE(count(), 3);
        rig.view.offer(path, {"auto", "srun"});
        QCOMPARE(count(), 2);
        // What the document has is shown even where it is not offered.
        rig.document.setValue(path, "mpirun");
        QCOMPARE(count(), 3);
        rig.document.setValue(path, "srun");
        QCOMPARE(count(), 2);
        rig.view.offer(path, {});
        QCOMPARE(count(), 3);
        QCOMPARE(rig.document.value(path), Json("srun"));
    }

    void outOfRange_isTold() {
        Rig rig;
        rig.document.setValue(QStringLiteral("task.epochs"), 0);
        QVERIFY(test::waitFor([&] { return !rig.document.errorText(QStringLiteral("task.epochs")).isEmpty(); }, 2000));
        const auto& errors = rig.document.errors();
        QVERIFY(std::any_of(errors.begin(), errors.end(), [](const base::Error& error) {
            return error.field == "task.epochs" && error.code == "spec.range";
        }));
    }

    void crossFieldError_standsAtItsPath() {
        Rig rig;
        for (const char* path : {"train_images", "train_labels", "val_images", "val_labels"}) {
            rig.document.setValue(QStringLiteral("task.dataset.") + QString::fromLatin1(path), "/tmp/x");
        }
        rig.document.setValue(QStringLiteral("distribution.processes"), 4);
        rig.document.validateNow();
        QVERIFY(!rig.document.errors().empty());
        QVERIFY(!rig.document.errorText(QString::fromStdString(rig.document.errors().front().field)).isEmpty());
    }

    void emptyRequired_isSaidOnlyWhenAskedOrTouched() {
        Rig rig;
        const QString path = QStringLiteral("task.dataset.train_images");
        QVERIFY(!rig.document.validateNow().empty());
        QVERIFY(rig.document.errorText(path).isEmpty());
        rig.document.showAllErrors();
        QVERIFY(!rig.document.errorText(path).isEmpty());
        QVERIFY(!rig.view.row(path)->errorText().isEmpty());
    }

    void resetArrow_showsAndGoesBack() {
        Rig rig;
        auto* line = rig.input<QLineEdit>("task.batch_size");
        auto* reset = rig.view.findChild<QWidget*>(QStringLiteral("task.batch_sizeResetButton"));
        QVERIFY(line && reset);
        QVERIFY(!reset->isVisible());
        line->clear();
        QTest::keyClicks(line, QStringLiteral("64"));
        QVERIFY(reset->isVisible());
        QTest::mouseClick(reset, Qt::LeftButton);
        QCOMPARE(line->text(), QStringLiteral("128"));
        QVERIFY(!reset->isVisible());
    }

    void conditions_bringTheirFieldsAndDefaults() {
        Rig rig;
        QVERIFY(rig.input<QLineEdit>("task.optimizer.momentum")->isVisible());
        QCOMPARE(rig.input<QLineEdit>("task.optimizer.learning_rate")->text(), QStringLiteral("0.1"));
        rig.document.setValue(QStringLiteral("task.optimizer.kind"), "adam");
        QCOMPARE(rig.input<QLineEdit>("task.optimizer.learning_rate")->text(), QStringLiteral("0.001"));
        QVERIFY(!rig.view.row(QStringLiteral("task.optimizer.momentum")));
        // A rate that a person chose stays theirs.
        rig.document.setValue(QStringLiteral("task.optimizer.learning_rate"), 0.02);
        rig.document.setValue(QStringLiteral("task.optimizer.kind"), "sgd");
        QCOMPARE(rig.input<QLineEdit>("task.optimizer.learning_rate")->text(), QStringLiteral("0.02"));
    }

    void advanced_isFoldedUntilWrong() {
        Rig rig;
        auto* line = rig.input<QLineEdit>("task.log_every_steps");
        QVERIFY(line && !line->isVisible());
        rig.document.setValue(QStringLiteral("task.log_every_steps"), -1);
        rig.document.validateNow();
        QVERIFY(line->isVisible());
    }

    void focusField_unfolds() {
        Rig rig;
        QVERIFY(rig.view.focusField(QStringLiteral("limits.max_seconds")));
        QVERIFY(rig.input<QLineEdit>("limits.max_seconds")->isVisible());
        QVERIFY(!rig.view.focusField(QStringLiteral("no.such.field")));
    }

    void listAndMap_areOneEntryARow() {
        Rig rig;
        rig.view.setUnfolded({QStringLiteral("Data"), QStringLiteral("Run")});
        FieldRow* names = rig.view.row(QStringLiteral("task.dataset.class_names"));
        QVERIFY(names);
        qobject_cast<QAbstractButton*>(names->input())->click();
        QLineEdit* one = names->findChildren<QLineEdit*>().value(0);
        QVERIFY(one);
        QTest::keyClicks(one, QStringLiteral("cat"));
        // Enter begins the next entry; blanks belong to it, and an empty row is none.
        QTest::keyClick(one, Qt::Key_Return);
        QCOMPARE(names->findChildren<QLineEdit*>().size(), 2);
        QCOMPARE(*spec::valueAt(rig.document.document(), "task.dataset.class_names"), Json::array({"cat"}));
        QTest::keyClicks(names->findChildren<QLineEdit*>().at(1), QStringLiteral(" dog "));
        QCOMPARE(*spec::valueAt(rig.document.document(), "task.dataset.class_names"), Json::array({"cat", " dog "}));

        rig.document.setValue(QStringLiteral("tags"), Json{{"a", "1"}, {"b", ""}});
        FieldRow* row = rig.view.row(QStringLiteral("tags"));
        QCOMPARE(row->findChildren<QLineEdit*>().size(), 4);
        auto* first = row->findChildren<QLineEdit*>().at(1);
        first->clear();
        QTest::keyClicks(first, QStringLiteral("x"));
        QCOMPARE(*spec::valueAt(rig.document.document(), "tags"), (Json{{"a", "x"}, {"b", ""}}));
    }

    void words_areShownAsAShellWritesThem() {
        QCOMPARE(ui::quotedWords(Json::array({"python3", "--lr=0.1", "two words", "it's", "$HOME", ""})),
                 QStringLiteral("python3 --lr=0.1 'two words' 'it'\\''s' $HOME ''"));
    }

    void arrows_stepNumbers() {
        Rig rig;
        auto* line = rig.input<QLineEdit>("task.epochs");
        QTest::keyClick(line, Qt::Key_Up);
        QCOMPARE(line->text(), QStringLiteral("5"));
        QTest::keyClick(line, Qt::Key_PageDown);
        QCOMPARE(line->text(), QStringLiteral("1"));
        QCOMPARE(*spec::valueAt(rig.document.document(), "task.epochs"), Json(1));
        auto* rate = rig.input<QLineEdit>("task.optimizer.learning_rate");
        QTest::keyClick(rate, Qt::Key_Down);
        QCOMPARE(rate->text(), QStringLiteral("0.09"));
    }

    void segments_moveByArrows() {
        ui::SegmentedControl control;
        control.addSegment(QStringLiteral("One"));
        control.addSegment(QStringLiteral("Two"));
        control.show();
        QSignalSpy picked(&control, &ui::SegmentedControl::picked);
        QTest::keyClick(&control, Qt::Key_Right);
        QCOMPARE(control.current(), 1);
        QTest::keyClick(&control, Qt::Key_Right);
        QCOMPARE(picked.size(), 1);
        QTest::mouseClick(&control, Qt::LeftButton, {}, QPoint(10, control.height() / 2));
        QCOMPARE(control.current(), 0);
    }

    void documentEdited_tellsEditsOnly() {
        Rig rig;
        QSignalSpy edits(&rig.document, &FormDocument::documentEdited);
        rig.document.setDocument(spec::defaultRunSpecDocument());
        QCOMPARE(edits.size(), 0);
        rig.document.setValue(QStringLiteral("task.epochs"), 9);
        QCOMPARE(edits.size(), 1);
        rig.document.setValue(QStringLiteral("task.epochs"), 9);
        QCOMPARE(edits.size(), 1);
        Json other = spec::defaultRunSpecDocument();
        spec::setValueAt(other, "task.epochs", 3);
        rig.document.setDocument(other);
        QCOMPARE(rig.input<QLineEdit>("task.epochs")->text(), QStringLiteral("3"));
    }

    void picker_asksForAFile() {
        Rig rig;
        rig.questions.setNextAnswer(QStringLiteral("/data/train-images"));
        auto* line = rig.input<QLineEdit>("task.dataset.train_images");
        QVERIFY(line && !line->actions().isEmpty());
        line->actions().constFirst()->trigger();
        QVERIFY(test::waitFor([&] { return line->text() == QStringLiteral("/data/train-images"); }, 2000));
        QCOMPARE(*spec::valueAt(rig.document.document(), "task.dataset.train_images"), Json("/data/train-images"));
    }

    void everyInput_isNamedByItsLabel() {
        Rig rig;
        int seen = 0;
        for (FieldRow* row : rig.view.findChildren<FieldRow*>()) {
            QVERIFY2(row->input()->accessibleName().startsWith(QString::fromStdString(row->field().label)),
                     qPrintable(row->path()));
            QVERIFY2(row->toolTip().contains(QString::fromStdString(row->field().label).toHtmlEscaped()),
                     qPrintable(row->path()));
            ++seen;
        }
        QVERIFY(seen > 40);
    }

    void numbers_keepTheirDigits() {
        QCOMPARE(ui::numberText(Json(0.0005)), QStringLiteral("0.0005"));
        QCOMPARE(ui::numberText(Json(1e-8)), QStringLiteral("1e-08"));
        QCOMPARE(ui::numberText(Json(128)), QStringLiteral("128"));
        QCOMPARE(ui::numberText(Json("x")), QStringLiteral("x"));
    }
};

TRAINYARD_GUI_TEST(FormsTest)
#include "tst_Forms.moc"
