#include "ui/datasets/Thumbnails.h"

#include <QCoreApplication>
#include <QFile>
#include <QFileInfo>
#include <QImageReader>
#include <QMutex>
#include <QPointer>
#include <QSet>
#include <QThreadPool>
#include <algorithm>

#include "ui/runs/Pictures.h"

namespace trainyard::ui {

namespace {

constexpr int kThumbnailThreads = 2;
/// What is not JPEG is decoded whole before it is made small.
constexpr qint64 kMostThumbnailPixels = 100'000'000;
/// A strip of ten thousand by ten pixels must not become a strip of a million by a thousand.
constexpr int kMostThumbnailStretch = 8;
constexpr qsizetype kThumbnailOverhead = 256;
constexpr qint64 kPngStart = 16;
constexpr qint64 kPngEnd = 4096;  ///< Some programs write a little behind a picture's end.

QString thumbnailText(const char* source) { return QCoreApplication::translate("trainyard::ui::Thumbnails", source); }

QString thumbnailReason(const QString& path, QImageReader::ImageReaderError error) {
    const QFileInfo file(path);
    if (!file.exists())
        return thumbnailText(QT_TRANSLATE_NOOP("trainyard::ui::Thumbnails", "The file is not there any more"));
    if (!file.isReadable())
        return thumbnailText(QT_TRANSLATE_NOOP("trainyard::ui::Thumbnails", "The file may not be read"));
    if (file.size() == 0) return thumbnailText(QT_TRANSLATE_NOOP("trainyard::ui::Thumbnails", "The file is empty"));
    if (error == QImageReader::UnsupportedFormatError)
        return thumbnailText(QT_TRANSLATE_NOOP("trainyard::ui::Thumbnails", "No picture that can be read"));
    return thumbnailText(QT_TRANSLATE_NOOP("trainyard::ui::Thumbnails", "The picture is damaged"));
}

}  // namespace

Thumbnail readThumbnail(const QString& path, int side) {
    QFile file(path);
    if (file.open(QIODevice::ReadOnly)) {
        const QByteArray start = file.peek(kPngStart);
        if (file.seek(std::max<qint64>(0, file.size() - kPngEnd)) && isCutPng(start, file.read(kPngEnd)))
            return {{}, thumbnailReason(path, QImageReader::InvalidDataError)};
        file.close();
    }
    QImageReader reader(path);
    reader.setDecideFormatFromContent(true);
    reader.setAutoTransform(true);
    const QSize whole = reader.size();
    if (whole.isValid()) {
        if (reader.format() != "jpeg" && qint64(whole.width()) * whole.height() > kMostThumbnailPixels) {
            return {{},
                    thumbnailText(QT_TRANSLATE_NOOP("trainyard::ui::Thumbnails", "Too large to be shown: %1 × %2"))
                        .arg(whole.width())
                        .arg(whole.height())};
        }
        const QSize scaled = whole.scaled(side, side, Qt::KeepAspectRatioByExpanding);
        // A small picture is enlarged where it is painted.
        if (scaled.width() < whole.width() && scaled.width() > 0 && scaled.height() > 0) {
            reader.setScaledSize(scaled.boundedTo(QSize(kMostThumbnailStretch * side, kMostThumbnailStretch * side)));
        }
    }
    QImage image = reader.read();
    if (image.isNull()) return {{}, thumbnailReason(path, reader.error())};
    const int square = std::min({image.width(), image.height(), side});
    image = image.copy((image.width() - square) / 2, (image.height() - square) / 2, square, square);
    image.convertTo(image.hasAlphaChannel() ? QImage::Format_ARGB32_Premultiplied : QImage::Format_RGB32);
    return {std::move(image), {}};
}

/// What crosses to the threads.
struct Thumbnails::Queue {
    QMutex mutex;
    QStringList waiting;
    QSet<QString> busy;
    int side = 0;
    int workers = 0;
};

Thumbnails::Thumbnails(qint64 byteLimit, QObject* parent)
    : QObject(parent), m_cache(byteLimit), m_queue(std::make_shared<Queue>()), m_pool(new QThreadPool(this)) {
    m_pool->setMaxThreadCount(kThumbnailThreads);
}

Thumbnails::~Thumbnails() {
    {
        const QMutexLocker lock(&m_queue->mutex);
        m_queue->waiting.clear();
    }
    m_pool->waitForDone();
}

void Thumbnails::want(const QStringList& paths, int side) {
    if (side != m_side) {
        m_side = side;
        m_cache.clear();
    }
    int missing = 0;
    {
        const QMutexLocker lock(&m_queue->mutex);
        m_queue->side = side;
        m_queue->waiting.clear();
        for (const QString& path : paths) {
            if (!m_cache.contains(path) && !m_queue->busy.contains(path)) m_queue->waiting << path;
        }
        missing = std::min<int>(kThumbnailThreads - m_queue->workers, static_cast<int>(m_queue->waiting.size()));
        m_queue->workers += std::max(0, missing);
    }
    for (int i = 0; i < missing; ++i) work();
}

void Thumbnails::work() {
    m_pool->start([queue = m_queue, guard = QPointer<Thumbnails>(this)] {
        for (;;) {
            QString path;
            int side = 0;
            {
                const QMutexLocker lock(&queue->mutex);
                if (queue->waiting.isEmpty()) {
                    --queue->workers;
                    return;
                }
                path = queue->waiting.takeFirst();
                queue->busy.insert(path);
                side = queue->side;
            }
            Thumbnail made = readThumbnail(path, side);
            // The destructor waits for the pool, so the object is there while this runs.
            QMetaObject::invokeMethod(
                guard.data(),
                [guard, queue, path, side, made = std::move(made)] {
                    {
                        const QMutexLocker lock(&queue->mutex);
                        queue->busy.remove(path);
                    }
                    if (!guard || side != guard->m_side) return;
                    const qsizetype cost = made.image.sizeInBytes() + kThumbnailOverhead;
                    guard->m_cache.insert(path, new Thumbnail(made), cost);
                    Q_EMIT guard->ready(path);
                },
                Qt::QueuedConnection);
        }
    });
}

}  // namespace trainyard::ui
