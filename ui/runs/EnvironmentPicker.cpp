#include "ui/runs/EnvironmentPicker.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QVBoxLayout>
#include <algorithm>

#include "core/commands/Session.h"
#include "core/spec/Field.h"
#include "ui/forms/FieldRow.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

QString kindWord(const std::string& kind) {
    if (kind == "engine") return EnvironmentPicker::tr("Trainyard's engine");
    if (kind == "interpreter") return EnvironmentPicker::tr("an interpreter that is there");
    if (kind == "venv") return EnvironmentPicker::tr("Python packages");
    if (kind == "conda") return EnvironmentPicker::tr("Conda");
    if (kind == "container") return EnvironmentPicker::tr("a container");
    return kind == "setup" ? EnvironmentPicker::tr("commands of yours") : fromUtf8(kind);
}

std::string wordAt(const Json& document, std::string_view path) {
    const Json* value = spec::valueAt(document, path);
    return value && value->is_string() ? value->get<std::string>() : std::string();
}

}  // namespace

EnvironmentPicker::EnvironmentPicker(Shell& shell, QWidget* parent)
    : QWidget(parent), m_shell(shell), m_list(Json::array()), m_findings(Json::array()) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(0));
    auto* line = new QHBoxLayout;
    auto* label = new TextLabel(tr("Environment"), TextStyle::Body, Role::Text, this);
    label->setToolTip(tr("The software that the run finds on its target"));
    const auto combo = [this](const QString& name, const char* object, int characters) {
        auto* made = new QComboBox(this);
        made->setObjectName(QString::fromLatin1(object));
        made->setAccessibleName(name);
        made->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        made->setMinimumContentsLength(characters);
        return made;
    };
    m_name = combo(tr("Environment"), "environmentInput", 6);
    m_version = combo(tr("Version of the environment"), "environmentVersionInput", 3);
    label->setBuddy(m_name);
    auto* both = new QWidget(this);
    auto* inputs = new QHBoxLayout(both);
    inputs->setContentsMargins(0, 0, 0, 0);
    inputs->setSpacing(6);
    inputs->addWidget(m_name, 3);
    inputs->addWidget(m_version, 2);
    layFieldLine(line, label, nullptr, both);
    column->addLayout(line);
    m_facts = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_facts->setObjectName(QStringLiteral("environmentFactsLabel"));
    m_facts->setWordWrap(true);
    column->addWidget(m_facts);
    m_message = new InlineError(this);
    m_message->setObjectName(QStringLiteral("environmentAdvice"));
    m_message->clear();
    column->addWidget(m_message);
    connect(m_name, &QComboBox::activated, this,
            [this](int index) { Q_EMIT picked(m_name->itemData(index).toString()); });
    connect(m_version, &QComboBox::activated, this, [this](int index) {
        const int version = m_version->itemData(index).toInt();
        const QString name = m_environment.section(u':', 0, 0);
        Q_EMIT picked(version > 0 ? QStringLiteral("%1:%2").arg(name).arg(version) : name);
    });
    connect(shell.session(), &commands::Session::environmentsChanged, this, [this] {
        if (m_active) readList();
    });
    // What the doctor finds decides what is lacking.
    connect(shell.session(), &commands::Session::targetsChanged, this, [this] {
        if (m_active) check();
    });
}

void EnvironmentPicker::setActive(bool active) {
    m_active = active;
    if (active) readList();
}

void EnvironmentPicker::setDocument(const Json& document) {
    const QString environment = fromUtf8(wordAt(document, "environment"));
    const QString target = fromUtf8(wordAt(document, "target"));
    if (environment == m_environment && target == m_target) return;
    m_environment = environment;
    m_target = target;
    showList();
    check();
}

void EnvironmentPicker::setError(const QString& text) {
    m_error = text;
    showMessage();
}

void EnvironmentPicker::readList() {
    m_shell.session()->start("environment.list", Json::object(), this, [this](const Result<Json>& list) {
        if (!list) return;
        m_list = readArray(*list, "environments");
        showList();
        check();
    });
}

const Json* EnvironmentPicker::chosen() const {
    const std::string name = m_environment.section(u':', 0, 0).toStdString();
    const auto found = std::find_if(m_list.begin(), m_list.end(),
                                    [&](const Json& one) { return readText(one, "environment") == name; });
    return found == m_list.end() ? nullptr : &*found;
}

void EnvironmentPicker::showList() {
    const QString name = m_environment.section(u':', 0, 0);
    m_name->clear();
    for (const Json& one : m_list) {
        const QString id = readString(one, "environment");
        const QString title = readString(one, "label");
        m_name->addItem(title.isEmpty() || title == id ? id : tr("%1 (%2)").arg(title, id), id);
        m_name->setItemData(m_name->count() - 1, readString(one, "description"), Qt::ToolTipRole);
    }
    if (m_name->findData(name) < 0 && !name.isEmpty()) m_name->addItem(name, name);
    m_name->setCurrentIndex(m_name->findData(name));
    const Json* known = chosen();
    const int newest = known ? static_cast<int>(readInteger(*known, "version")) : 0;
    const int pinned = m_environment.section(u':', 1).toInt();
    m_version->clear();
    m_version->addItem(tr("Newest"), 0);
    std::vector<int> versions;
    if (known) {
        for (const Json& one : readArray(*known, "versions")) {
            if (one.is_number_integer()) versions.push_back(one.get<int>());
        }
    }
    if (pinned > 0 && std::find(versions.begin(), versions.end(), pinned) == versions.end()) versions.push_back(pinned);
    std::sort(versions.rbegin(), versions.rend());
    for (const int version : versions) m_version->addItem(tr("Version %1").arg(version), version);
    m_version->setCurrentIndex(std::max(0, m_version->findData(pinned)));
    m_version->setVisible(versions.size() > 1 || (pinned > 0 && pinned != newest));
    QStringList facts;
    if (known) {
        facts << kindWord(readText(*known, "kind"));
        if (const QString description = readString(*known, "description"); !description.isEmpty()) facts << description;
    }
    m_facts->setText(facts.join(QStringLiteral(" · ")));
    m_facts->setVisible(!facts.isEmpty());
}

void EnvironmentPicker::check() {
    if (m_checking) m_checking->cancel();
    m_findings = Json::array();
    showMessage();
    if (!m_active || m_environment.isEmpty() || m_target.isEmpty() || (!m_list.empty() && !chosen())) return;
    m_checking = m_shell.session()->start(
        "environment.check", {{"environment", m_environment.toStdString()}, {"target", m_target.toStdString()}});
    commands::Command* mine = m_checking;
    connect(mine, &commands::Command::finished, this, [this, mine](const Result<Json>& result) {
        if (m_checking != mine) return;
        m_checking = nullptr;
        if (result) {
            m_findings = readArray(*result, "findings");
        } else if (result.error().code != "canceled" && !result.error().code.starts_with("target.")) {
            // A target that is not known is told at its own field.
            m_findings = Json::array({Json{{"finding", "failure"}, {"message", result.error().message}}});
        }
        showMessage();
    });
}

void EnvironmentPicker::showMessage() {
    if (!m_error.isEmpty()) return m_message->setMessage(InlineError::Kind::Error, m_error);
    QStringList texts;
    bool serious = false;
    for (const Json& one : m_findings) {
        const std::string level = readText(one, "finding");
        if (level == "unknown") continue;
        serious = serious || level == "failure";
        QString text = readString(one, "message");
        if (const QString remedy = readString(one, "remedy"); !remedy.isEmpty()) text += u' ' + remedy;
        texts << text;
    }
    if (texts.isEmpty()) return m_message->clear();
    m_message->setMessage(serious ? InlineError::Kind::Error : InlineError::Kind::Warning, texts.join(u' '));
}

}  // namespace trainyard::ui
