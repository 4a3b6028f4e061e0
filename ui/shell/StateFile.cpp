#include "ui/shell/StateFile.h"

#include <QThreadPool>

#include <condition_variable>
#include <mutex>

#include "core/spec/Field.h"

namespace trainyard::ui {
namespace {
constexpr int kDelayMillis = 300;
}

/// What a writing worker needs after the window is gone.
struct StateFile::Shared {
    std::mutex mutex;
    std::condition_variable idle;
    std::optional<std::string> due;  ///< Newest text not yet written.
    bool writing = false;
};

StateFile::StateFile(base::Path path, QString format, QObject* parent)
    : QObject(parent), m_shared(std::make_shared<Shared>()), m_path(std::move(path)), m_format(std::move(format)) {
    m_timer.setSingleShot(true);
    m_timer.setInterval(kDelayMillis);
    connect(&m_timer, &QTimer::timeout, this, &StateFile::write);
    const auto text = base::readFile(m_path, 16 << 20);
    if (!text.ok()) return;
    const auto parsed = base::parseJson(text.value());
    // A damaged file holds nothing worth more than starting anew; the atomic writes below never make one.
    if (!parsed.ok() || !parsed.value().is_object()) return;
    if (!base::checkFormat(parsed.value(), m_format.toStdString(), 1).ok()) {
        m_foreign = true;
        return;
    }
    if (const auto values = parsed.value().find("values"); values != parsed.value().end() && values->is_object()) {
        m_values = *values;
    }
}

StateFile::~StateFile() { flush(); }

base::Json StateFile::value(const QString& key) const {
    const base::Json* found = spec::valueAt(m_values, key.toStdString());
    return found != nullptr ? *found : base::Json();
}

void StateFile::setValue(const QString& key, const base::Json& value) {
    const std::string path = key.toStdString();
    const base::Json* old = spec::valueAt(m_values, path);
    if (old != nullptr && *old == value) return;
    spec::setValueAt(m_values, path, value);
    m_dirty = true;
    // Not restarted: constant typing must not put the write off for ever.
    if (!m_timer.isActive()) m_timer.start();
}

void StateFile::write() {
    if (!m_dirty || m_foreign) return;
    m_dirty = false;
    base::Json document = base::Json::object();
    document["format"] = m_format.toStdString();
    document["version"] = 1;
    document["values"] = m_values;
    const std::scoped_lock lock(m_shared->mutex);
    m_shared->due = base::dumpJsonPretty(document);
    if (m_shared->writing) return;
    m_shared->writing = true;
    QThreadPool::globalInstance()->start([shared = m_shared, path = m_path] {
        std::unique_lock held(shared->mutex);
        while (shared->due) {
            const std::string text = *std::exchange(shared->due, std::nullopt);
            held.unlock();
            // A state that cannot be kept (a full or read-only disk) costs only the state; what a person must know
            // about the disk, the session says.
            if (base::makeDirs(path.parent_path()).ok()) (void) base::writeFileAtomically(path, text);
            held.lock();
        }
        shared->writing = false;
        shared->idle.notify_all();
    });
}

bool StateFile::flush(int millis) {
    m_timer.stop();
    write();
    std::unique_lock held(m_shared->mutex);
    return m_shared->idle.wait_for(held, std::chrono::milliseconds(millis), [this] { return !m_shared->writing; });
}

}  // namespace trainyard::ui
