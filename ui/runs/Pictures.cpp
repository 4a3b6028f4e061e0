#include "ui/runs/Pictures.h"

#include <QBuffer>
#include <QCoreApplication>
#include <QImageReader>

namespace trainyard::ui {

namespace {

constexpr int kMostPictureSide = 4096;
constexpr std::int64_t kMostPicturePixels = 100'000'000;  ///< Pixels that a decoder may make before they are scaled.

base::Error pictureError(const char* code, const QString& text) { return {code, text.toStdString(), {}}; }

}  // namespace

bool looksLikePicture(const QByteArray& start) {
    QByteArray bytes = start.left(64);
    QBuffer probe(&bytes);
    probe.open(QIODevice::ReadOnly);
    return !QImageReader::imageFormat(&probe).isEmpty();
}

bool isCutPng(const QByteArray& start, const QByteArray& end) {
    return start.startsWith("\x89PNG\r\n\x1a\n") && !end.contains("IEND");
}

base::Result<QImage> decodePicture(QByteArray bytes) {
    const auto tr = [](const char* text) { return QCoreApplication::translate("Pictures", text); };
    QBuffer device(&bytes);
    device.open(QIODevice::ReadOnly);
    QImageReader reader(&device);
    reader.setAutoTransform(true);
    const QSize size = reader.size();
    if (bytes.size() > kMostPictureBytes || !size.isValid() ||
        static_cast<std::int64_t>(size.width()) * size.height() > kMostPicturePixels)
        return pictureError("picture.large", tr("This picture is too large to be shown."));
    if (size.width() > kMostPictureSide || size.height() > kMostPictureSide)
        reader.setScaledSize(size.scaled(kMostPictureSide, kMostPictureSide, Qt::KeepAspectRatio));
    if (isCutPng(bytes, bytes)) return pictureError("picture.damaged", tr("This picture is cut off."));
    QImage picture = reader.read();
    if (picture.isNull())
        return pictureError("picture.damaged", tr("This picture cannot be read: %1").arg(reader.errorString()));
    return picture;
}

}  // namespace trainyard::ui
