#include "ui/runs/FilterCompleter.h"

#include <QAbstractItemView>
#include <QCompleter>
#include <QKeyEvent>
#include <QLineEdit>
#include <QStringListModel>

namespace trainyard::ui {

namespace {

/// Begin of the term at `cursor`: after the last blank that stands outside double quotes.
int termStart(const QString& text, int cursor) {
    int start = 0;
    bool quoted = false;
    for (int i = 0; i < cursor && i < text.size(); ++i) {
        if (text[i] == u'"') quoted = !quoted;
        if (text[i] == u' ' && !quoted) start = i + 1;
    }
    if (start < text.size() && text[start] == u'-') ++start;
    return start;
}

QString quotedIfNeeded(const QString& text) { return text.contains(u' ') ? u'"' + text + u'"' : text; }

}  // namespace

FilterCompleter::FilterCompleter(QLineEdit* edit)
    : QObject(edit), m_edit(edit), m_model(new QStringListModel(this)), m_completer(new QCompleter(m_model, this)) {
    m_completer->setWidget(edit);
    m_completer->setCompletionMode(QCompleter::UnfilteredPopupCompletion);
    m_completer->setMaxVisibleItems(10);
    m_completer->popup()->setAccessibleName(tr("Completions of the filter"));
    connect(edit, &QLineEdit::textEdited, this, &FilterCompleter::offer);
    connect(m_completer, qOverload<const QString&>(&QCompleter::activated), this, &FilterCompleter::take);
    edit->installEventFilter(this);
}

void FilterCompleter::setExperiments(const QStringList& names) { m_experiments = names; }
void FilterCompleter::setMetrics(const QStringList& names) { m_metrics = names; }
void FilterCompleter::setTags(const QStringList& tags) { m_tags = tags; }

QStringList FilterCompleter::candidates(const QString& text, int cursor) const {
    const QString term = text.mid(termStart(text, cursor), cursor - termStart(text, cursor));
    QStringList all;
    const auto values = [&](const QString& head, const QStringList& names) {
        if (!term.startsWith(head, Qt::CaseInsensitive)) return false;
        const QString typed = term.mid(head.size()).remove(u'"');
        for (const QString& name : names) {
            if (name.startsWith(typed, Qt::CaseInsensitive) && name != typed) all << head + quotedIfNeeded(name);
        }
        return true;
    };
    if (values(QStringLiteral("state:"),
               {QStringLiteral("running"), QStringLiteral("queued"), QStringLiteral("preparing"),
                QStringLiteral("completed"), QStringLiteral("failed"), QStringLiteral("canceled"),
                QStringLiteral("lost")}) ||
        values(QStringLiteral("experiment:"), m_experiments) || values(QStringLiteral("tag:"), m_tags) ||
        values(QStringLiteral("model:"), {QStringLiteral("cnn"), QStringLiteral("mlp")}) ||
        values(QStringLiteral("task:"), {QStringLiteral("train"), QStringLiteral("command")}) ||
        values(QStringLiteral("created>"),
               {QStringLiteral("1h"), QStringLiteral("1d"), QStringLiteral("7d"), QStringLiteral("30d")}) ||
        values(QStringLiteral("duration>"),
               {QStringLiteral("10s"), QStringLiteral("1m"), QStringLiteral("10m"), QStringLiteral("1h")})) {
        return all;
    }
    if (term.isEmpty()) return {};
    QStringList heads{QStringLiteral("state:"),   QStringLiteral("experiment:"), QStringLiteral("tag:"),
                      QStringLiteral("name:"),    QStringLiteral("notes:"),      QStringLiteral("model:"),
                      QStringLiteral("target:"),  QStringLiteral("task:"),       QStringLiteral("duration>"),
                      QStringLiteral("created>"), QStringLiteral("param.")};
    for (const QString& metric : m_metrics) {
        heads << metric + u'>' << metric + u'<';
        if (term.startsWith(metric) && term.size() > metric.size())
            heads << metric + QStringLiteral(".max>") << metric + QStringLiteral(".min<");
    }
    for (const QString& head : heads) {
        if (head.startsWith(term, Qt::CaseInsensitive) && head != term) all << head;
    }
    return all;
}

void FilterCompleter::offer() {
    const QStringList found = candidates(m_edit->text(), m_edit->cursorPosition());
    m_model->setStringList(found);
    if (found.isEmpty()) {
        m_completer->popup()->hide();
        return;
    }
    QRect at = m_edit->inputMethodQuery(Qt::ImCursorRectangle).toRect();
    at.setWidth(240);
    m_completer->complete(at);
}

void FilterCompleter::take(const QString& completion) {
    const int cursor = m_edit->cursorPosition();
    const int start = termStart(m_edit->text(), cursor);
    const bool whole = !completion.endsWith(u':') && !completion.endsWith(u'>') && !completion.endsWith(u'<') &&
                       !completion.endsWith(u'.');
    QString text = m_edit->text();
    text.replace(start, cursor - start, completion + (whole ? QStringLiteral(" ") : QString()));
    m_edit->setText(text);
    m_edit->setCursorPosition(start + static_cast<int>(completion.size()) + (whole ? 1 : 0));
    Q_EMIT m_edit->textEdited(text);
}

bool FilterCompleter::eventFilter(QObject* watched, QEvent* event) {
    if (event->type() == QEvent::KeyPress) {
        const auto* key = static_cast<QKeyEvent*>(event);
        // Tab takes the first offer instead of leaving the line, as in a shell.
        if (key->key() == Qt::Key_Tab && m_completer->popup()->isVisible() && m_model->rowCount() > 0) {
            const QModelIndex chosen = m_completer->popup()->currentIndex();
            const QString text = (chosen.isValid() ? chosen : m_model->index(0, 0)).data().toString();
            m_completer->popup()->hide();
            take(text);
            return true;
        }
        if (key->key() == Qt::Key_Space && key->modifiers() == Qt::ControlModifier) {
            offer();
            return true;
        }
    }
    return QObject::eventFilter(watched, event);
}

}  // namespace trainyard::ui
