#pragma once
// Small pictures of files, decoded in worker threads and kept within a limit of bytes.
#include <QCache>
#include <QImage>
#include <QObject>
#include <QString>
#include <QStringList>

#include <memory>

class QThreadPool;

namespace trainyard::ui {

/// The middle square of a picture, turned as its EXIF says, or why there is none.
struct Thumbnail {
    QImage image{};
    QString reason{};  ///< Empty while the image is good.
};

/// Reads one picture: JPEG scaled while it is decoded. `side` in device pixels. Any thread.
[[nodiscard]] Thumbnail readThumbnail(const QString& path, int side);

/// Main thread; the decoding is done by two threads of its own. Paths may come in any number and any order.
class Thumbnails : public QObject {
    Q_OBJECT

public:
    explicit Thumbnails(qint64 byteLimit, QObject* parent);
    /// Waits for at most two pictures that are being decoded.
    ~Thumbnails() override;

    /// Null while it is not known. Legal until the next event.
    [[nodiscard]] const Thumbnail* find(const QString& path) const { return m_cache.object(path); }
    /// What is to be decoded, the most wanted first. What was asked for before and has not begun is dropped, so a list
    /// that is scrolled through fast decodes only where it stops. Another `side` forgets what is kept.
    void want(const QStringList& paths, int side);
    /// Bytes of the pictures that are kept.
    [[nodiscard]] qint64 bytes() const { return m_cache.totalCost(); }

Q_SIGNALS:
    void ready(const QString& path);

private:
    struct Queue;
    void work();

    QCache<QString, Thumbnail> m_cache;
    std::shared_ptr<Queue> m_queue;
    QThreadPool* m_pool;
    int m_side = 0;
};

}  // namespace trainyard::ui
