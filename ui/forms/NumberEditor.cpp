#include <QKeyEvent>
#include <QLocale>
#include <QPainter>
#include <QStyle>
#include <algorithm>
#include <cmath>

#include "ui/forms/FieldEditors.h"
#include "ui/shell/Theme.h"

namespace trainyard::ui {

using base::Json;

QString numberText(const Json& value) {
    if (value.is_number_integer()) return QString::number(value.get<std::int64_t>());
    if (value.is_number()) {
        const double number = value.get<double>();
        const bool plain = number == 0 || (std::abs(number) >= 1e-6 && std::abs(number) < 1e12);
        return QLocale::c().toString(number, plain ? 'f' : 'g', QLocale::FloatingPointShortest);
    }
    if (value.is_string()) return QString::fromStdString(value.get<std::string>());
    return {};
}

NumberLine::NumberLine(const spec::Field& field, QWidget* parent)
    : QLineEdit(parent), m_whole(field.type == spec::FieldType::Integer), m_minimum(field.minimum),
      m_maximum(field.maximum), m_unit(QString::fromStdString(field.unit)) {
    setAlignment(Qt::AlignRight | Qt::AlignAbsolute | Qt::AlignVCenter);
    setPlaceholderText(numberText(field.defaultValue));
    setInputMethodHints(m_whole ? Qt::ImhDigitsOnly : Qt::ImhFormattedNumbersOnly);
    reserveUnit();
}

void NumberLine::reserveUnit() {
    const int width = m_unit.isEmpty() ? 0 : fontMetrics().horizontalAdvance(m_unit) + 8;
    if (isRightToLeft()) {
        setTextMargins(width, 0, 0, 0);
    } else {
        setTextMargins(0, 0, width, 0);
    }
}

void NumberLine::changeEvent(QEvent* event) {
    QLineEdit::changeEvent(event);
    if (event->type() == QEvent::FontChange || event->type() == QEvent::StyleChange) reserveUnit();
}

void NumberLine::paintEvent(QPaintEvent* event) {
    QLineEdit::paintEvent(event);
    if (m_unit.isEmpty()) return;
    QPainter painter(this);
    painter.setPen(Theme::current().color(Role::Muted));
    const QRect area = rect().adjusted(10, 0, -10, 0);
    painter.drawText(area, Qt::AlignVCenter | Qt::AlignAbsolute | (isRightToLeft() ? Qt::AlignLeft : Qt::AlignRight),
                     m_unit);
}

void NumberLine::keyPressEvent(QKeyEvent* event) {
    const bool up = event->key() == Qt::Key_Up || event->key() == Qt::Key_PageUp;
    const bool down = event->key() == Qt::Key_Down || event->key() == Qt::Key_PageDown;
    if (!up && !down) {
        QLineEdit::keyPressEvent(event);
        return;
    }
    const bool large = event->key() == Qt::Key_PageUp || event->key() == Qt::Key_PageDown ||
                       event->modifiers().testFlag(Qt::ShiftModifier);
    step(up ? 1 : -1, large);
    event->accept();
}

void NumberLine::step(int direction, bool large) {
    const QString from = text().isEmpty() ? placeholderText() : text();
    bool ok = false;
    QString next;
    if (m_whole) {
        const qlonglong before = QLocale::c().toLongLong(from.trimmed(), &ok);
        if (!ok) return;
        const double after = static_cast<double>(before + direction * (large ? 10 : 1));
        next = QString::number(static_cast<qlonglong>(std::clamp(after, m_minimum, m_maximum)));
    } else {
        const double before = QLocale::c().toDouble(from.trimmed(), &ok);
        if (!ok) return;
        // A step is one unit of the second digit, so that 0.001 and 0.9 both move by what one would write.
        const double magnitude = before == 0 ? 0.01 : std::pow(10.0, std::floor(std::log10(std::abs(before))) - 1);
        const double unit = large ? magnitude * 10 : magnitude;
        const double after = std::clamp(std::round(before / unit + direction) * unit, m_minimum, m_maximum);
        // Six digits without the dust of the arithmetic, written without an exponent where people would.
        next = numberText(Json(QLocale::c().toDouble(QLocale::c().toString(after, 'g', 6))));
    }
    setText(next);
    Q_EMIT textEdited(next);
}

NumberEditor::NumberEditor(const spec::Field& field, QWidget* parent)
    : FieldEditor(parent), m_whole(field.type == spec::FieldType::Integer), m_line(new NumberLine(field, this)) {
    connect(m_line, &QLineEdit::textEdited, this, [this] { Q_EMIT edited(typed()); });
}

void NumberEditor::display(const Json& value) {
    if (typed() == value && !m_line->text().isEmpty()) return;
    m_line->setText(numberText(value));
}

Json NumberEditor::typed() const {
    const QString text = m_line->text().trimmed();
    if (text.isEmpty()) return nullptr;
    bool ok = false;
    if (m_whole) {
        const qlonglong number = QLocale::c().toLongLong(text, &ok);
        if (ok) return static_cast<std::int64_t>(number);
    }
    const double number = QLocale::c().toDouble(text, &ok);
    if (ok && std::isfinite(number) && !(m_whole && number == std::floor(number))) return number;
    return text.toStdString();
}

}  // namespace trainyard::ui
