#include "ui/forms/FormView.h"

#include <QVBoxLayout>
#include <algorithm>

#include "ui/forms/FieldRow.h"
#include "ui/forms/FormDocument.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {

FormView::FormView(FormDocument& document, Questions* questions, const Filter& filter, QWidget* parent)
    : QWidget(parent), m_document(document) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(theme.space(2));

    std::vector<std::vector<QVBoxLayout*>> fieldLayouts;
    for (const spec::Field& field : document.fields()) {
        if (filter && !filter(field)) continue;
        const QString name = QString::fromStdString(field.group);
        auto at =
            std::find_if(m_groups.begin(), m_groups.end(), [&](const Group& known) { return known.name == name; });
        if (at == m_groups.end()) {
            Group made;
            made.name = name;
            made.card = name.isEmpty() ? new Card(this) : new Card(name, this);
            QVBoxLayout* body = made.card->body();
            body->setSpacing(theme.space(1));
            made.header = new QVBoxLayout;
            auto* plain = new QVBoxLayout;
            auto* advanced = new QVBoxLayout;
            made.footer = new QVBoxLayout;
            made.more = new LinkButton({}, made.card);
            for (QVBoxLayout* part : {made.header, plain, advanced, made.footer}) part->setSpacing(theme.space(1));
            body->addLayout(made.header);
            body->addLayout(plain);
            body->addWidget(made.more, 0, Qt::AlignLeft);
            body->addLayout(advanced);
            body->addLayout(made.footer);
            fieldLayouts.push_back({plain, advanced});
            column->addWidget(made.card);
            const std::size_t index = m_groups.size();
            connect(made.more, &LinkButton::clicked, this, [this, index] {
                m_groups[index].open = !m_groups[index].open;
                arrange();
            });
            m_groups.push_back(std::move(made));
            at = m_groups.end() - 1;
        }
        auto* row = new FieldRow(field, document, questions, at->card);
        fieldLayouts[static_cast<std::size_t>(at - m_groups.begin())][field.advanced ? 1 : 0]->addWidget(row);
        at->rows.push_back(row);
        m_rows.insert(row->path(), row);
    }
    column->addStretch(1);

    connect(&document, &FormDocument::valueChanged, this, &FormView::refreshRow);
    connect(&document, &FormDocument::documentReplaced, this, &FormView::refreshAll);
    connect(&document, &FormDocument::errorsChanged, this, &FormView::unfoldErrors);
    arrange();
}

const FormView::Group* FormView::group(const QString& name) const {
    for (const Group& known : m_groups) {
        if (known.name == name) return &known;
    }
    return nullptr;
}

QVBoxLayout* FormView::groupHeader(const QString& name) const {
    const Group* found = group(name);
    return found ? found->header : nullptr;
}

QVBoxLayout* FormView::groupFooter(const QString& name) const {
    const Group* found = group(name);
    return found ? found->footer : nullptr;
}

Card* FormView::groupCard(const QString& name) const {
    const Group* found = group(name);
    return found ? found->card : nullptr;
}

FieldRow* FormView::row(const QString& path) const {
    const QList<FieldRow*> rows = m_rows.values(path);
    for (FieldRow* one : rows) {
        if (m_document.applies(one->field())) return one;
    }
    return nullptr;
}

void FormView::offer(const QString& path, const std::vector<std::string>& values) {
    const QList<FieldRow*> rows = m_rows.values(path);
    for (FieldRow* row : rows) row->offer(values);
}

void FormView::refreshRow(const QString& path) {
    const QList<FieldRow*> rows = m_rows.values(path);
    for (FieldRow* row : rows) row->refresh();
    arrange();
}

void FormView::refreshAll() {
    for (FieldRow* row : std::as_const(m_rows)) row->refresh();
    arrange();
}

void FormView::arrange() {
    for (Group& one : m_groups) {
        int folded = 0;
        bool any = false;
        for (FieldRow* row : one.rows) {
            const bool applies = m_document.applies(row->field());
            if (applies && row->field().advanced) ++folded;
            any = any || applies;
            row->setVisible(applies && (!row->field().advanced || one.open));
        }
        one.more->setVisible(folded > 0);
        one.more->setText(one.open ? tr("Fewer settings") : tr("%n more setting(s)", nullptr, folded));
        one.more->setObjectName(one.name + QStringLiteral("MoreButton"));
        one.more->setAccessibleDescription(one.name);
        one.card->setVisible(any);
    }
}

void FormView::unfoldErrors() {
    bool opened = false;
    for (Group& one : m_groups) {
        if (one.open) continue;
        for (FieldRow* row : one.rows) {
            if (!row->field().advanced || !m_document.applies(row->field())) continue;
            if (m_document.errorText(row->path()).isEmpty()) continue;
            one.open = true;
            opened = true;
        }
    }
    if (opened) arrange();
}

bool FormView::focusField(const QString& path) {
    for (Group& one : m_groups) {
        for (FieldRow* row : one.rows) {
            const bool exact = row->path() == path;
            if (!exact && !path.startsWith(row->path() + u'.')) continue;
            if (!m_document.applies(row->field())) continue;
            if (row->field().advanced && !one.open) {
                one.open = true;
                arrange();
            }
            row->input()->setFocus(Qt::ShortcutFocusReason);
            return true;
        }
    }
    return false;
}

QStringList FormView::unfolded() const {
    QStringList names;
    for (const Group& one : m_groups) {
        if (one.open) names << one.name;
    }
    return names;
}

void FormView::setUnfolded(const QStringList& groups) {
    for (Group& one : m_groups) one.open = groups.contains(one.name);
    arrange();
}

}  // namespace trainyard::ui
