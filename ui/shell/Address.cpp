#include "ui/shell/Address.h"

#include <QUrl>

namespace trainyard::ui {
namespace {
const QString kScheme = QStringLiteral("trainyard://");
}

QString Address::toString() const {
    QString text = kScheme + head;
    for (const QString& part : parts) {
        text += QLatin1Char('/') + QString::fromLatin1(QUrl::toPercentEncoding(part));
    }
    if (!query.isEmpty()) text += QStringLiteral("?q=") + QString::fromLatin1(QUrl::toPercentEncoding(query));
    return text;
}

std::optional<Address> Address::fromString(const QString& text) {
    const QString trimmed = text.trimmed();
    if (!trimmed.startsWith(kScheme, Qt::CaseInsensitive)) return std::nullopt;
    QString rest = trimmed.mid(kScheme.size());
    Address address;
    if (const auto mark = rest.indexOf(QStringLiteral("?q=")); mark >= 0) {
        address.query = QUrl::fromPercentEncoding(rest.mid(mark + 3).toUtf8());
        rest.truncate(mark);
    }
    const QStringList pieces = rest.split(QLatin1Char('/'), Qt::SkipEmptyParts);
    if (pieces.isEmpty()) return std::nullopt;
    address.head = pieces.first().toLower();
    for (qsizetype i = 1; i < pieces.size(); ++i) {
        address.parts << QUrl::fromPercentEncoding(pieces[i].toUtf8());
    }
    return address;
}

}  // namespace trainyard::ui
