#include "ui/runs/ConfigurationTab.h"

#include <QCheckBox>
#include <QEvent>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QScrollArea>
#include <QTimer>
#include <QVBoxLayout>
#include <algorithm>

#include "core/spec/RunSpec.h"
#include "ui/forms/FieldEditors.h"
#include "ui/runs/RunActions.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Chips.h"
#include "ui/widgets/FlowLayout.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;

namespace {

QString shownValue(const spec::Field& field, const Json* value) {
    if (!value || value->is_null()) return QStringLiteral("–");
    if (value->is_boolean()) return value->get<bool>() ? ConfigurationTab::tr("on") : ConfigurationTab::tr("off");
    if (value->is_array() || value->is_object()) {
        QStringList parts;
        for (const auto& [key, entry] : value->items()) {
            parts << (value->is_object() ? fromUtf8(key) + u'=' + numberText(entry) : numberText(entry));
        }
        return parts.isEmpty() ? QStringLiteral("–")
                               : parts.join(value->is_object() ? QStringLiteral("\n") : QStringLiteral(" "));
    }
    QString text = numberText(*value);
    for (const spec::Choice& choice : field.choices) {
        if (fromUtf8(choice.value) == text) text = fromUtf8(choice.label);
    }
    if (text.isEmpty()) return QStringLiteral("–");
    return field.unit.empty() ? text : text + u' ' + fromUtf8(field.unit);
}

}  // namespace

ConfigurationTab::ConfigurationTab(QWidget* parent) : QWidget(parent) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    auto* bar = new QWidget(content);
    auto* flow = new FlowLayout(bar, theme.space(2), theme.space(0));
    m_against = new SegmentedControl(bar);
    m_against->setAccessibleName(tr("Compare with"));
    m_against->addSegment(tr("Against defaults"));
    m_against->addSegment(tr("Against its parent"));
    m_against->setFixedWidth(300);
    flow->addWidget(m_against);
    m_only = new QCheckBox(tr("Only what differs"), bar);
    m_only->setMinimumHeight(theme.controlHeight());
    flow->addWidget(m_only);
    m_summary = new TextLabel({}, TextStyle::Secondary, Role::Muted, bar);
    m_summary->setMinimumHeight(theme.controlHeight());
    flow->addWidget(m_summary);
    m_openParent = new LinkButton({}, bar);
    flow->addWidget(m_openParent);
    column->addWidget(bar);
    m_groups = new QWidget(content);
    m_groupsLayout = new QVBoxLayout(m_groups);
    m_groupsLayout->setContentsMargins(0, 0, 0, 0);
    m_groupsLayout->setSpacing(theme.space(2));
    column->addWidget(m_groups);
    auto* json = new Card(tr("As JSON"), content);
    m_json = new CopyField(tr("Configuration as JSON"), json);
    m_json->setMultiline(true);
    m_json->setMinimumHeight(240);
    json->body()->addWidget(m_json);
    column->addWidget(json);
    column->addStretch(1);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 1100, this));
    connect(m_against, &SegmentedControl::picked, this, &ConfigurationTab::rebuild);
    connect(m_only, &QCheckBox::toggled, this, &ConfigurationTab::rebuild);
    connect(m_openParent, &LinkButton::clicked, this, [this] { Q_EMIT parentRequested(m_parentRun); });
}

void ConfigurationTab::setDetail(const RunDetail& detail) {
    if (detail.row.id == m_run && detail.spec == m_spec && detail.parentSpec == m_parent) return;
    const bool other = detail.row.id != m_run;
    m_run = detail.row.id;
    m_spec = detail.spec;
    m_parent = detail.parentSpec;
    m_parentRun = detail.parent ? detail.parent->id : base::RunId();
    m_parentNumber = detail.parent ? detail.parent->number : 0;
    m_against->setVisible(m_parent.is_object());
    if (other) m_against->setCurrent(m_parent.is_object() ? 1 : 0);
    m_openParent->setVisible(m_parent.is_object());
    m_openParent->setText(tr("Goes on from run #%1").arg(m_parentNumber));
    m_json->setText(m_spec.is_object() ? fromUtf8(base::dumpJsonPretty(m_spec)) : QString());
    rebuild();
}

void ConfigurationTab::rebuild() {
    while (QLayoutItem* item = m_groupsLayout->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    if (!m_spec.is_object()) {
        auto* none = new InlineError(m_groups);
        none->setMessage(InlineError::Kind::Warning, tr("The configuration of this run cannot be read."));
        m_groupsLayout->addWidget(none);
        m_summary->clear();
        return;
    }
    const bool parent = m_parent.is_object() && m_against->current() == 1;
    const Json complete = spec::withDefaults(spec::runSpecFields(), m_spec);
    const Json other = parent ? spec::withDefaults(spec::runSpecFields(), m_parent) : Json();
    const Theme& theme = Theme::current();
    QString group;
    QGridLayout* grid = nullptr;
    int differing = 0;
    for (const spec::Field& field : spec::runSpecFields()) {
        if (!spec::applies(field, complete)) continue;
        const Json* value = spec::valueAt(complete, field.path);
        const Json* against = parent ? spec::valueAt(other, field.path) : &field.defaultValue;
        const bool differs = value && (!against || *value != *against);
        if (differs) ++differing;
        if (!differs && m_only->isChecked()) continue;
        if (!grid || group != fromUtf8(field.group)) {
            group = fromUtf8(field.group);
            auto* card = new Card(group, m_groups);
            auto* inner = new QWidget(card);
            grid = new QGridLayout(inner);
            grid->setContentsMargins(0, 0, 0, 0);
            grid->setHorizontalSpacing(theme.space(3));
            grid->setVerticalSpacing(theme.space(0));
            grid->setColumnMinimumWidth(0, 220);
            grid->setColumnStretch(1, 5);
            grid->setColumnStretch(2, 4);
            card->body()->addWidget(inner);
            m_groupsLayout->addWidget(card);
        }
        const int row = grid->rowCount();
        auto* label = new TextLabel(fromUtf8(field.label), TextStyle::Body, Role::Muted, grid->parentWidget());
        label->setToolTip(fromUtf8(field.path));
        label->setWordWrap(true);
        auto* text = new TextLabel(shownValue(field, value), differs ? TextStyle::BodyStrong : TextStyle::Body,
                                   Role::Text, grid->parentWidget());
        text->setWordWrap(true);
        text->setTextInteractionFlags(Qt::TextSelectableByMouse);
        grid->addWidget(label, row, 0, Qt::AlignTop);
        grid->addWidget(text, row, 1);
        if (!differs) continue;
        const QString before = shownValue(field, against);
        if (before == QStringLiteral("–")) continue;
        auto* was = new TextLabel(parent ? tr("was: %1").arg(before) : tr("default: %1").arg(before),
                                  TextStyle::Secondary, Role::Warning, grid->parentWidget());
        was->setWordWrap(true);
        grid->addWidget(was, row, 2, Qt::AlignTop);
    }
    m_summary->setText(parent ? tr("%n setting(s) differ from run #%1", nullptr, differing).arg(m_parentNumber)
                              : tr("%n setting(s) differ from the defaults", nullptr, differing));
    m_summary->adjustSize();
}

NotesTab::NotesTab(QWidget* parent) : QWidget(parent), m_pause(new QTimer(this)) {
    const Theme& theme = Theme::current();
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(theme.space(4), theme.space(2), theme.space(4), theme.space(4));
    column->setSpacing(theme.space(2));
    m_description = new TextLabel({}, TextStyle::Body, Role::Text, content);
    m_description->setWordWrap(true);
    column->addWidget(m_description);
    auto* tagCard = new Card(tr("Tags"), content);
    m_chips = new QWidget(tagCard);
    m_chipsLayout = new FlowLayout(m_chips, theme.space(1), theme.space(0));
    tagCard->body()->addWidget(m_chips);
    m_newTag = new QLineEdit(tagCard);
    m_newTag->setObjectName(QStringLiteral("newTagLine"));
    m_newTag->setPlaceholderText(tr("Add a tag: name or name=value, then Enter"));
    m_newTag->setAccessibleName(tr("New tag"));
    m_newTag->setMaxLength(200);
    tagCard->body()->addWidget(m_newTag);
    column->addWidget(tagCard);
    auto* notes = new Card(tr("Notes"), content);
    m_notes = new QPlainTextEdit(notes);
    m_notes->setObjectName(QStringLiteral("notesEdit"));
    m_notes->setAccessibleName(tr("Notes"));
    m_notes->setPlaceholderText(tr("What you tried, what you saw, what comes next."));
    m_notes->setTabChangesFocus(true);
    m_notes->setMinimumHeight(200);
    m_notes->installEventFilter(this);
    notes->body()->addWidget(m_notes, 1);
    m_state = new TextLabel({}, TextStyle::Secondary, Role::Muted, notes);
    notes->body()->addWidget(m_state);
    column->addWidget(notes, 1);
    auto* outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->addWidget(makeScrollPage(content, 900, this));

    m_pause->setSingleShot(true);
    m_pause->setInterval(700);
    connect(m_pause, &QTimer::timeout, this, &NotesTab::saveNotes);
    connect(m_notes, &QPlainTextEdit::textChanged, this, [this] {
        if (m_notes->toPlainText() == m_savedNotes) return;
        m_state->setText(tr("Saving…"));
        m_pause->start();
    });
    connect(m_newTag, &QLineEdit::returnPressed, this, [this] {
        store::Strings tags = m_tags;
        for (const auto& tag : tagsFromText(m_newTag->text())) {
            std::erase_if(tags, [&](const auto& known) { return known.first == tag.first; });
            tags.push_back(tag);
        }
        m_newTag->clear();
        Q_EMIT tagsEdited(tags);
    });
}

bool NotesTab::eventFilter(QObject* watched, QEvent* event) {
    if (watched == m_notes && event->type() == QEvent::FocusOut && m_pause->isActive()) saveNotes();
    return QWidget::eventFilter(watched, event);
}

void NotesTab::saveNotes() {
    m_pause->stop();
    m_savedNotes = m_notes->toPlainText();
    m_state->setText(tr("Saved"));
    Q_EMIT notesEdited(m_savedNotes);
}

void NotesTab::setDetail(const RunDetail& detail) {
    const bool other = detail.row.id != m_run;
    if (other && m_pause->isActive()) saveNotes();
    m_run = detail.row.id;
    m_description->setText(fromUtf8(detail.row.description));
    m_description->setVisible(!detail.row.description.empty());
    const QString notes = fromUtf8(detail.row.notes);
    // What is being typed here wins over what another window wrote meanwhile.
    if (other || (!m_pause->isActive() && !m_notes->hasFocus() && notes != m_notes->toPlainText())) {
        m_savedNotes = notes;
        m_notes->setPlainText(notes);
        m_state->clear();
    }
    if (other || detail.row.tags != m_tags) {
        m_tags = detail.row.tags;
        showTags();
    }
}

void NotesTab::showTags() {
    while (QLayoutItem* item = m_chipsLayout->takeAt(0)) {
        item->widget()->hide();
        item->widget()->deleteLater();
        delete item;
    }
    for (const auto& [name, value] : m_tags) {
        const QString text = value.empty() ? fromUtf8(name) : fromUtf8(name) + u'=' + fromUtf8(value);
        auto* chip = new Chip(text, m_chips);
        chip->setRemovable(true);
        chip->setAccessibleName(tr("Tag %1").arg(text));
        connect(chip, &Chip::removed, this, [this, tag = name] {
            store::Strings tags = m_tags;
            std::erase_if(tags, [&](const auto& known) { return known.first == tag; });
            Q_EMIT tagsEdited(tags);
        });
        m_chipsLayout->addWidget(chip);
    }
    m_chips->setVisible(!m_tags.empty());
}

}  // namespace trainyard::ui
