// The models behind the tables of the window that have no test of their own, under Qt's own tester.
#include <QtTest>

#include <QAbstractItemModelTester>

#include "ui/datasets/DatasetPanels.h"
#include "ui/runs/RecordTable.h"

using namespace trainyard::ui;

class TestTableModels : public QObject {
    Q_OBJECT

    static constexpr auto kReport = QAbstractItemModelTester::FailureReportingMode::QtTest;

    static QStringList texts(const QAbstractItemModel& model, int column) {
        QStringList all;
        for (int row = 0; row < model.rowCount(); ++row) all << model.index(row, column).data().toString();
        return all;
    }

private Q_SLOTS:
    void classes_areSound() {
        ClassModel model;
        QAbstractItemModelTester tester(&model, kReport);
        model.setClasses({{QStringLiteral("bee"), 5, 1}, {QStringLiteral("ant"), 9, 0}, {QStringLiteral("cat"), 1, 4}});
        const QPersistentModelIndex chosen(model.index(0, ClassModel::Name));
        model.sort(ClassModel::Training, Qt::DescendingOrder);
        QCOMPARE(texts(model, ClassModel::Name),
                 (QStringList{QStringLiteral("ant"), QStringLiteral("bee"), QStringLiteral("cat")}));
        QCOMPARE(chosen.data().toString(), QStringLiteral("bee"));
        model.sort(ClassModel::Validation, Qt::DescendingOrder);
        QCOMPARE(texts(model, ClassModel::Name),
                 (QStringList{QStringLiteral("cat"), QStringLiteral("bee"), QStringLiteral("ant")}));
        QCOMPARE(chosen.data().toString(), QStringLiteral("bee"));
        QVERIFY(!model.data(QModelIndex(), Qt::DisplayRole).isValid());
        model.setClasses({});
        QCOMPARE(model.rowCount(), 0);
        QVERIFY(!chosen.isValid());
    }

    void records_areSound() {
        RecordTableModel model;
        QAbstractItemModelTester tester(&model, kReport);
        const auto cell = [](const char* text, double number, bool isNumber) {
            TableCell made;
            made.text = QString::fromLatin1(text);
            made.number = number;
            made.isNumber = isNumber;
            return made;
        };
        auto table = std::make_shared<TableContent>();
        table->columns = {QStringLiteral("class"), QStringLiteral("recall")};
        table->rows = {{cell("bee", 0, false), cell("0.5", 0.5, true)},
                       {cell("ant", 0, false), cell("", 0, false)},
                       {cell("cat", 0, false), cell("0.25", 0.25, true)}};
        model.setTable(table);
        const QPersistentModelIndex chosen(model.index(2, 0));
        model.sort(1, Qt::AscendingOrder);
        QCOMPARE(texts(model, 0), (QStringList{QStringLiteral("cat"), QStringLiteral("bee"), QStringLiteral("ant")}));
        QCOMPARE(chosen.row(), 0);
        model.sort(1, Qt::DescendingOrder);
        // What is empty stays behind.
        QCOMPARE(texts(model, 0), (QStringList{QStringLiteral("bee"), QStringLiteral("cat"), QStringLiteral("ant")}));
        model.sort(-1, Qt::AscendingOrder);
        QCOMPARE(texts(model, 0), (QStringList{QStringLiteral("bee"), QStringLiteral("ant"), QStringLiteral("cat")}));
        QCOMPARE(chosen.data().toString(), QStringLiteral("cat"));
        model.setTable(std::make_shared<TableContent>());
        QCOMPARE(model.rowCount(), 0);
    }
};

QTEST_MAIN(TestTableModels)
#include "tst_TableModels.moc"
