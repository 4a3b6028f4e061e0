#include "core/store/Connection.h"

#include <cerrno>
#include <cmath>
#include <fcntl.h>
#include <limits>
#include <sqlite3.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "core/base/Clock.h"
#include "core/store/Fold.h"
#include "core/store/Schema.h"

namespace trainyard::store {
namespace {

using base::Error;

/// A file: URI for paths with any characters.
std::string fileUri(const Path& file, std::string_view parameters) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string uri = "file:";
    for (const char c : std::filesystem::absolute(file).string()) {
        if (c == '%' || c == '?' || c == '#') {
            const auto byte = static_cast<unsigned char>(c);
            uri += '%';
            uri += kHex[byte >> 4];
            uri += kHex[byte & 15];
        } else {
            uri += c;
        }
    }
    return uri + "?" + std::string(parameters);
}

bool writable(const Path& path) { return ::access(path.c_str(), W_OK) == 0; }

Error readOnlyError(const Path& file) {
    return {"store.readonly", "The history " + file.string() +
                                  " cannot be written: the file or its folder is read-only for you. It can be looked "
                                  "at, but nothing new is recorded until you have the right to write."};
}

/// The file appears with mode 0600; SQLite gives the same mode to the files beside it.
Status makeEmpty(const Path& file) {
    TRAINYARD_TRY(base::makeDirs(file.parent_path()));
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        if (errno == EROFS || errno == EACCES || errno == EPERM) return readOnlyError(file);
        return base::errnoError(errno, "make the history", file);
    }
    ::close(fd);
    return {};
}

/// Changing to WAL wants the file for itself for a moment, and SQLite does not wait for that by itself.
void enterWal(SQLite::Database& db, std::int64_t lockMillis) {
    const auto deadline = base::Deadline::inMillis(lockMillis);
    for (;;) {
        try {
            db.exec("PRAGMA journal_mode=WAL");
            return;
        } catch (const SQLite::Exception& exception) {
            const int code = exception.getErrorCode();
            if ((code != SQLITE_BUSY && code != SQLITE_LOCKED) || deadline.passed()) throw;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }
}

/// ty_fold(text): the text without regard to case.
void foldInSql(sqlite3_context* context, int, sqlite3_value** values) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(values[0]));
    if (text == nullptr) {
        sqlite3_result_null(context);
        return;
    }
    const std::string folded = foldCase({text, static_cast<std::size_t>(sqlite3_value_bytes(values[0]))});
    sqlite3_result_text(context, folded.data(), static_cast<int>(folded.size()), SQLITE_TRANSIENT);
}

std::unique_ptr<SQLite::Database> openDatabase(const Path& file, Connection::Mode mode, const OpenOptions& options) {
    const int wait = static_cast<int>(options.lockMillis);
    if (mode == Connection::Mode::Write)
        return std::make_unique<SQLite::Database>(file.string(), SQLite::OPEN_READWRITE, wait);
    // With the right to write even where nothing is written: what a killed writer left must be put in order before
    // it can be read.
    const bool mayWrite = writable(file) && writable(file.parent_path());
    auto db = std::make_unique<SQLite::Database>(file.string(),
                                                 mayWrite ? SQLite::OPEN_READWRITE : SQLite::OPEN_READONLY, wait);
    try {
        db->execAndGet("SELECT count(*) FROM sqlite_master");
        return db;
    } catch (const SQLite::Exception& exception) {
        const int code = exception.getErrorCode();
        const Path wal = file.string() + "-wal";
        std::error_code ignored;
        const bool walIsEmpty = !std::filesystem::exists(wal, ignored) || std::filesystem::file_size(wal, ignored) == 0;
        // On a medium that cannot be written SQLite cannot make the shared memory of WAL; without a log to read there
        // is nothing to share.
        if ((code == SQLITE_CANTOPEN || code == SQLITE_READONLY) && !writable(file.parent_path()) && walIsEmpty)
            return std::make_unique<SQLite::Database>(fileUri(file, "immutable=1"),
                                                      SQLite::OPEN_READONLY | SQLite::OPEN_URI, wait);
        throw;
    }
}

}  // namespace

Error corruptError(const Path& file, std::string_view what) {
    return {"store.corrupt", "The history " + file.string() + " is damaged (" + std::string(what) +
                                 "). Rebuild it from the workspace: everything in it comes from there."};
}

Error toError(const SQLite::Exception& exception, const Path& file, sqlite3* handle) {
    const std::string detail = exception.what();
    switch (exception.getErrorCode() & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return {"store.locked", "The history " + file.string() +
                                    " is being written by another program for longer than expected. Try again; if it "
                                    "stays so, close the other program."};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return readOnlyError(file);
    case SQLITE_CANTOPEN:
        if (!writable(file.parent_path()) || (::access(file.c_str(), F_OK) == 0 && !writable(file)))
            return readOnlyError(file);
        return {"store.io", "The history " + file.string() + " cannot be opened: " + detail + "."};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH: return corruptError(file, detail);
    case SQLITE_ERROR:
        if (detail.starts_with("no such table") || detail.starts_with("no such column"))
            return corruptError(file, detail);
        return {"store.internal", "The history " + file.string() + " could not be asked: " + detail + "."};
    case SQLITE_FULL:
        return {"store.full", "The disk with the history " + file.string() +
                                  " is full. Free some space; nothing is lost "
                                  "meanwhile, because the history is read from the workspace's files."};
    case SQLITE_INTERRUPT: return {"canceled", "The query was stopped."};
    case SQLITE_IOERR:
        if (handle != nullptr && sqlite3_system_errno(handle) == ENOSPC)
            return {"store.full", "The disk with the history " + file.string() +
                                      " is full. Free some space; nothing is "
                                      "lost meanwhile, because the history is read from the workspace's files."};
        [[fallthrough]];
    default: return {"store.io", "The history " + file.string() + " cannot be used: " + detail + "."};
    }
}

/// SQLite's own waiting looks ten times a second in the end and would miss the short gaps that a busy writer leaves.
int Connection::waitForOthers(void* patience, int tries) {
    auto& wait = *static_cast<Patience*>(patience);
    const std::int64_t now = base::monotonicNanos();
    if (tries == 0) wait.until = now + wait.lockMillis * 1'000'000;
    if (now >= wait.until) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return 1;
}

Connection::Connection(Path file, std::unique_ptr<SQLite::Database> db, const OpenOptions& options)
    : m_file(std::move(file)), m_patience{options.lockMillis}, m_db(std::move(db)) {
    sqlite3_busy_handler(m_db->getHandle(), &Connection::waitForOthers, &m_patience);
    struct stat info {};
    if (::stat(m_file.c_str(), &info) == 0) {
        m_device = info.st_dev;
        m_inode = info.st_ino;
    }
}

Result<std::unique_ptr<Connection>> Connection::open(const Path& file, Mode mode, const OpenOptions& options) {
    using Opened = Result<std::unique_ptr<Connection>>;
    std::error_code ignored;
    const bool exists = std::filesystem::exists(file, ignored);
    if (mode == Mode::Read && !exists)
        return Error{"store.missing", "There is no history at " + file.string() + " yet."};
    if (mode == Mode::Write && !exists) TRAINYARD_TRY(makeEmpty(file));
    return guarded(file, nullptr, [&]() -> Opened {
        std::unique_ptr<Connection> connection(new Connection(file, openDatabase(file, mode, options), options));
        SQLite::Database& db = connection->db();
        if (mode == Mode::Write) {
            if (sqlite3_db_readonly(db.getHandle(), "main") == 1) return readOnlyError(file);
            const auto prepared = prepareForWriting(db, file);
            if (!prepared) return prepared.error();
            connection->m_created = *prepared;
            enterWal(db, options.lockMillis);
            db.exec("PRAGMA synchronous=NORMAL");
            db.exec("PRAGMA foreign_keys=OFF");
        } else {
            TRAINYARD_TRY(checkForReading(db, file));
            db.exec("PRAGMA query_only=ON");
            db.createFunction("ty_fold", 1, true, nullptr, &foldInSql, nullptr, nullptr, nullptr);
        }
        db.exec("PRAGMA temp_store=MEMORY");
        db.exec("PRAGMA cache_size=-16384");
        return connection;
    });
}

bool Connection::fileReplaced() const {
    struct stat info {};
    return ::stat(m_file.c_str(), &info) != 0 || info.st_dev != m_device || info.st_ino != m_inode;
}

SQLite::Statement& Connection::cached(const char* sql) {
    auto& slot = m_statements[sql];
    if (!slot) slot = std::make_unique<SQLite::Statement>(*m_db, sql);
    return *slot;
}

double Query::real(int column) const {
    const auto value = m_statement.getColumn(column);
    return value.isNull() ? std::numeric_limits<double>::quiet_NaN() : value.getDouble();
}

std::string_view Query::bytes(int column) const {
    const auto value = m_statement.getColumn(column);
    const void* data = value.getBlob();
    return {static_cast<const char*>(data), static_cast<std::size_t>(value.getBytes())};
}

}  // namespace trainyard::store
