#include "ui/shell/SettingsPage.h"

#include <QBoxLayout>
#include <QButtonGroup>
#include <QCheckBox>
#include <QDir>
#include <QLineEdit>
#include <QRadioButton>
#include <QScrollArea>

#include "ui/seams/Questions.h"
#include "ui/shell/Settings.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {
namespace {

TextLabel* hint(const QString& text, QWidget* parent) {
    auto* label = new TextLabel(text, TextStyle::Secondary, Role::Muted, parent);
    label->setWordWrap(true);
    return label;
}

template <class Value, class Set>
void addChoices(QVBoxLayout* column, const QString& name, const std::vector<std::pair<Value, QString>>& choices,
                Value present, QWidget* parent, Set set) {
    column->addWidget(new TextLabel(name, TextStyle::Body, Role::Text, parent));
    auto* line = new QHBoxLayout;
    line->setSpacing(Theme::current().space(3));
    auto* group = new QButtonGroup(parent);
    for (const auto& [value, label] : choices) {
        auto* button = new QRadioButton(label, parent);
        button->setAccessibleName(QStringLiteral("%1: %2").arg(name, label));
        button->setChecked(value == present);
        group->addButton(button);
        line->addWidget(button);
        QObject::connect(button, &QRadioButton::toggled, parent, [set, chosen = value](bool on) {
            if (on) set(chosen);
        });
    }
    line->addStretch();
    column->addLayout(line);
}

}  // namespace

SettingsPage::SettingsPage(Shell& shell, Settings& settings, QWidget* parent)
    : Page(QStringLiteral("settings"), parent) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget;
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(4), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(3));

    auto* look = new Card(tr("Appearance"), content);
    addChoices<Theme::Choice>(look->body(), tr("Theme"),
                              {{Theme::Choice::System, tr("As the system")},
                               {Theme::Choice::Light, tr("Light")},
                               {Theme::Choice::Dark, tr("Dark")}},
                              settings.theme(), look, [&settings](Theme::Choice choice) { settings.setTheme(choice); });
    look->body()->addSpacing(theme.space(1));
    addChoices<Theme::Density>(
        look->body(), tr("Density"),
        {{Theme::Density::Comfortable, tr("Comfortable")}, {Theme::Density::Compact, tr("Compact")}},
        settings.density(), look, [&settings](Theme::Density density) { settings.setDensity(density); });
    column->addWidget(look);

    auto* runs = new Card(tr("While runs work"), content);
    auto* notify = new QCheckBox(tr("Tell the desktop when a run ends, fails or meets NaN"), runs);
    notify->setObjectName(QStringLiteral("notificationsCheckBox"));
    notify->setChecked(settings.notifications());
    connect(notify, &QCheckBox::toggled, this, [&settings](bool on) { settings.setNotifications(on); });
    runs->body()->addWidget(notify);
    auto* awake = new QCheckBox(tr("Hold off sleep while a run works on this machine"), runs);
    awake->setObjectName(QStringLiteral("sleepCheckBox"));
    awake->setChecked(settings.holdOffSleep());
    connect(awake, &QCheckBox::toggled, this, [&settings](bool on) { settings.setHoldOffSleep(on); });
    runs->body()->addWidget(awake);
    runs->body()->addWidget(hint(tr("Both need a desktop that offers them; without one nothing happens."), runs));
    column->addWidget(runs);

    auto* folders = new Card(tr("Workspaces"), content);
    folders->body()->addWidget(new TextLabel(tr("Folder for new workspaces"), TextStyle::Body, Role::Text, folders));
    auto* line = new QHBoxLayout;
    auto* edit = new QLineEdit(settings.workspaceFolder(), folders);
    edit->setObjectName(QStringLiteral("workspaceFolderEdit"));
    edit->setAccessibleName(tr("Folder for new workspaces"));
    edit->setPlaceholderText(QDir::homePath());
    line->addWidget(edit, 1);
    auto* browse = new QuietButton(tr("Browse…"), QStringLiteral("folder"), folders);
    line->addWidget(browse);
    folders->body()->addLayout(line);
    auto* wrong = new TextLabel({}, TextStyle::Secondary, Role::Danger, folders);
    wrong->hide();
    folders->body()->addWidget(wrong);
    const auto take = [&settings, edit, wrong] {
        const QString folder = edit->text().trimmed();
        const bool good = folder.isEmpty() || QDir(folder).exists();
        edit->setProperty("invalid", !good);
        edit->update();
        wrong->setVisible(!good);
        wrong->setText(good ? QString() : tr("There is no folder %1.").arg(folder));
        if (good) settings.setWorkspaceFolder(folder);
    };
    connect(edit, &QLineEdit::editingFinished, this, take);
    connect(browse, &QPushButton::clicked, this, [this, &shell, edit, take] {
        shell.questions().chooseFolder(this, tr("Folder for new workspaces"), edit->text(),
                                       [edit, take](const QString& folder) {
                                           if (folder.isEmpty()) return;
                                           edit->setText(folder);
                                           take();
                                       });
    });
    column->addWidget(folders);

    auto* about = new Card(tr("About"), content);
    auto* facts = new KeyValueGrid(about);
    facts->add(tr("Version"), QStringLiteral(TRAINYARD_VERSION));
    facts->add(tr("Qt"), QString::fromLatin1(qVersion()));
    facts->add(tr("Licence"),
               tr("MIT for Trainyard's own code; the built workbench is under GPL-3.0, since it links Qt Charts"));
    about->body()->addWidget(facts);
    column->addWidget(about);
    column->addStretch(1);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 760, this));
}

}  // namespace trainyard::ui
