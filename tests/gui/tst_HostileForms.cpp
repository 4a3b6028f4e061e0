// What is pasted into a form: each hostile value stands in the document byte for byte, or its field says what is wrong
// with it.
#include <QClipboard>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <filesystem>

#include "core/spec/RunSpec.h"
#include "core/spec/TargetSpec.h"
#include "tests/gui/WindowRig.h"
#include "tests/helpers/Hostile.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/FormView.h"
#include "ui/runs/NewRunPage.h"
#include "ui/targets/TargetForm.h"
#include "ui/targets/TargetsPage.h"
#include "ui/widgets/Basics.h"

using namespace trainyard;
using base::Json;
using test::waitFor;
using test::WindowRig;

class HostileFormsTest : public QObject {
    Q_OBJECT

private:
    /// As a person does who copies it from somewhere.
    static void paste(QWidget* input, const std::string& value) {
        QGuiApplication::clipboard()->setText(QString::fromStdString(value));
        input->setFocus();
        QTest::keyClick(input, Qt::Key_A, Qt::ControlModifier);
        QTest::keyClick(input, Qt::Key_Delete);
        QTest::keyClick(input, Qt::Key_V, Qt::ControlModifier);
    }
    static bool hasError(const std::vector<base::Error>& errors, const std::string& path) {
        return std::any_of(errors.begin(), errors.end(), [&](const base::Error& error) {
            return error.field == path || error.field.starts_with(path + ".");
        });
    }
    void check(ui::FormDocument& document, ui::FormView& view, const std::vector<spec::Field>& fields, int& tried) {
        const std::string canary = (m_rig->scratch() / "canary").string();
        for (const spec::Field& field : fields) {
            const bool list = field.type == spec::FieldType::TextList;
            const bool text = field.type == spec::FieldType::Text || field.type == spec::FieldType::File ||
                              field.type == spec::FieldType::Folder || field.type == spec::FieldType::MultilineText;
            if ((!text && !list) || !document.applies(field)) continue;
            const QString path = QString::fromStdString(field.path);
            if (!view.focusField(path)) continue;
            ui::FieldRow* row = view.row(path);
            QWidget* input = row->input();
            if (list) {
                if (row->findChild<QLineEdit*>() == nullptr)
                    QTest::mouseClick(row->findChild<ui::LinkButton*>(), Qt::LeftButton);
                input = row->findChild<QLineEdit*>();
            }
            if (qobject_cast<QLineEdit*>(input) == nullptr && qobject_cast<QPlainTextEdit*>(input) == nullptr) continue;
            for (const test::HostileValue& hostile : test::hostileValues(canary)) {
                // An editor of several lines ends each with one line feed, as every editor does.
                if (qobject_cast<QPlainTextEdit*>(input) != nullptr && hostile.value.find('\r') != std::string::npos)
                    continue;
                paste(input, hostile.value);
                const Json value = document.value(path);
                const Json wanted =
                    list ? (hostile.value.empty() ? Json::array() : Json::array({hostile.value})) : Json(hostile.value);
                const std::string what = field.path + ", " + hostile.name + ": " + base::dumpJson(value);
                const auto& errors = document.validateNow();
                if (value != wanted) {
                    // A line of a form takes no more than one line's length.
                    QVERIFY2(static_cast<int>(QString::fromStdString(hostile.value).size()) > field.maxLength,
                             what.c_str());
                    continue;
                }
                if (hasError(errors, field.path) && !hostile.value.empty()) {
                    QVERIFY2(waitFor([&] { return !row->errorText().isEmpty(); }, 5000), what.c_str());
                }
                ++tried;
            }
            document.reset(path);
        }
        QVERIFY(!std::filesystem::exists(canary));
    }

private Q_SLOTS:
    void initTestCase() { m_rig = std::make_unique<WindowRig>(WindowRig::Fill::Nothing); }
    void cleanupTestCase() { m_rig.reset(); }

    void newRun_script() {
        auto* page = m_rig->go<ui::NewRunPage>(QStringLiteral("new"));
        QVERIFY(page);
        page->document().setValue(QStringLiteral("task.kind"), "command");
        int tried = 0;
        for (ui::FormView* view : page->findChildren<ui::FormView*>())
            check(page->document(), *view, spec::runSpecFields(), tried);
        QVERIFY2(tried > 200, qPrintable(QString::number(tried)));
    }

    void target_allKinds() {
        auto* page = m_rig->go<ui::TargetsPage>(QStringLiteral("targets?q=new"));
        QVERIFY(page);
        auto* form = page->findChild<ui::TargetForm*>();
        auto* view = form->findChild<ui::FormView*>();
        auto* document = form->findChild<ui::FormDocument*>();
        QVERIFY(document);
        for (const char* kind : {"ssh", "slurm"}) {
            document->setValue(QStringLiteral("kind"), kind);
            int tried = 0;
            check(*document, *view, spec::targetSpecFields(), tried);
            QVERIFY2(tried > 100, qPrintable(QString::number(tried)));
        }
    }

    void hosts_standInTheDefinitionOrAreRefused() {
        auto* page = m_rig->go<ui::TargetsPage>(QStringLiteral("targets?q=new"));
        auto* form = page->findChild<ui::TargetForm*>();
        auto* document = form->findChild<ui::FormDocument*>();
        document->setValue(QStringLiteral("kind"), "ssh");
        auto* host = m_rig->visible<QLineEdit>(QStringLiteral("hostInput1"));
        QVERIFY(host);
        for (const test::HostileValue& hostile : test::hostileValues((m_rig->scratch() / "canary").string())) {
            if (hostile.value.empty()) continue;
            paste(host, hostile.value);
            const Json hosts = document->value(QStringLiteral("hosts"));
            QVERIFY2(hosts.is_array() && hosts.size() == 1, hostile.name);
            QCOMPARE(hosts.front().at("destination").get<std::string>(), hostile.value);
            page->primaryAction()->trigger();
            // What ssh could take for something else than a host is named at its line; nothing was saved.
            const bool refused = !spec::checkDestination(hostile.value, "hosts.0").ok();
            QCOMPARE(host->property("invalid").toBool(), refused);
            std::error_code none;
            QVERIFY(!std::filesystem::exists(m_rig->layout().root / "targets", none) ||
                    std::filesystem::is_empty(m_rig->layout().root / "targets", none));
        }
        QVERIFY(!std::filesystem::exists(m_rig->scratch() / "canary"));
    }

private:
    std::unique_ptr<WindowRig> m_rig;
};

TRAINYARD_GUI_TEST(HostileFormsTest)
#include "tst_HostileForms.moc"
