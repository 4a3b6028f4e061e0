#include "ui/shell/Plurals.h"

namespace trainyard::ui {

QString Plurals::translate(const char*, const char* source, const char*, int n) const {
    if (n < 0 || source == nullptr) return {};
    const QString text = QString::fromUtf8(source);
    return text.contains(QLatin1String("s)")) ? resolve(text, n) : QString();
}

QString Plurals::resolve(QString text, int n) {
    text.replace(QStringLiteral("(es)"), n == 1 ? QString() : QStringLiteral("es"));
    text.replace(QStringLiteral("(s)"), n == 1 ? QString() : QStringLiteral("s"));
    return text;
}

}  // namespace trainyard::ui
