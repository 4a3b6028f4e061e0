#include "ui/shell/Icons.h"

#include <QDir>
#include <QFile>
#include <QHash>
#include <QIconEngine>
#include <QPainter>
#include <QPixmapCache>
#include <QSvgRenderer>

namespace trainyard::ui {
namespace {

QString pathOf(const QString& name) { return QStringLiteral(":/trainyard/icons/%1.svg").arg(name); }

class TintedIcon final : public QIconEngine {
public:
    TintedIcon(QString name, Role role) : m_name(std::move(name)), m_role(role) {}

    void paint(QPainter* painter, const QRect& rect, QIcon::Mode mode, QIcon::State) override {
        const qreal ratio = painter->device()->devicePixelRatioF();
        QPixmap drawn = pixmapFor(rect.size() * ratio, mode);
        drawn.setDevicePixelRatio(ratio);
        painter->drawPixmap(rect.topLeft(), drawn);
    }

    QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State) override { return pixmapFor(size, mode); }
    QPixmap scaledPixmap(const QSize& size, QIcon::Mode mode, QIcon::State, qreal) override {
        return pixmapFor(size, mode);
    }
    QSize actualSize(const QSize& size, QIcon::Mode, QIcon::State) override { return size; }
    QString key() const override { return QStringLiteral("trainyard-tinted"); }
    QIconEngine* clone() const override { return new TintedIcon(m_name, m_role); }
    QString iconName() override { return m_name; }
    bool isNull() override { return false; }

private:
    QPixmap pixmapFor(const QSize& pixels, QIcon::Mode mode) const {
        QColor color = Theme::current().color(m_role);
        if (mode == QIcon::Disabled) color = Theme::blend(Theme::current().color(Role::Surface), color, 0.45);
        const QString key =
            QStringLiteral("ty:%1:%2:%3x%4").arg(m_name, color.name()).arg(pixels.width()).arg(pixels.height());
        QPixmap result;
        if (QPixmapCache::find(key, &result)) return result;
        QFile file(pathOf(m_name));
        QByteArray svg;
        if (file.open(QIODevice::ReadOnly)) svg = file.readAll();
        svg.replace("currentColor", color.name().toLatin1());
        QImage image(pixels, QImage::Format_ARGB32_Premultiplied);
        image.fill(Qt::transparent);
        QSvgRenderer renderer(svg);
        renderer.setAspectRatioMode(Qt::KeepAspectRatio);
        QPainter painter(&image);
        renderer.render(&painter, QRectF(QPointF(0, 0), QSizeF(pixels)));
        painter.end();
        result = QPixmap::fromImage(image);
        QPixmapCache::insert(key, result);
        return result;
    }

    QString m_name;
    Role m_role;
};

}  // namespace

QIcon icon(const QString& name, Role role) { return name.isEmpty() ? QIcon() : QIcon(new TintedIcon(name, role)); }

bool hasIcon(const QString& name) { return QFile::exists(pathOf(name)); }

QStringList iconNames() {
    QStringList names;
    for (const QString& file : QDir(QStringLiteral(":/trainyard/icons")).entryList(QDir::Files, QDir::Name)) {
        names << file.chopped(4);
    }
    return names;
}

}  // namespace trainyard::ui
