#pragma once
// Room-internal: one SQLite connection with its cached statements, and the only place that turns SQLite's errors into
// ours.
#include <SQLiteCpp/SQLiteCpp.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <unordered_map>

#include "core/store/Types.h"

namespace trainyard::store {

/// A file whose content contradicts itself; becomes "store.corrupt" at the room's boundary.
struct CorruptIndex {
    std::string what;
};

class Connection {
public:
    enum class Mode { Read, Write };

    /// Opens the file and checks whose it is and which version it has. Write makes and upgrades it when needed.
    [[nodiscard]] static Result<std::unique_ptr<Connection>> open(const Path& file, Mode mode,
                                                                  const OpenOptions& options);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    [[nodiscard]] SQLite::Database& db() { return *m_db; }
    [[nodiscard]] sqlite3* handle() const { return m_db->getHandle(); }
    [[nodiscard]] const Path& file() const { return m_file; }
    /// The path names another file than the one that is open, or none.
    [[nodiscard]] bool fileReplaced() const;
    [[nodiscard]] bool wasCreated() const { return m_created; }

    /// A statement kept from call to call. `sql` must be a literal.
    [[nodiscard]] SQLite::Statement& cached(const char* sql);

private:
    /// How long another process's transaction is waited for.
    struct Patience {
        std::int64_t lockMillis = 0;
        std::int64_t until = 0;  ///< Monotonic ns; set anew by each wait.
    };
    static int waitForOthers(void* patience, int tries);
    Connection(Path file, std::unique_ptr<SQLite::Database> db, const OpenOptions& options);
    Path m_file;
    Patience m_patience;
    std::unique_ptr<SQLite::Database> m_db;
    std::unordered_map<const char*, std::unique_ptr<SQLite::Statement>> m_statements;
    dev_t m_device = 0;
    ino_t m_inode = 0;
    bool m_created = false;
};

/// A cached statement in use: values are bound in order, and it is reset at the end of the scope. A NaN is stored as
/// NULL.
class Query {
public:
    template <class... Values>
    Query(Connection& connection, const char* sql, const Values&... values) : m_statement(connection.cached(sql)) {
        bindAll(values...);
    }
    ~Query() { m_statement.tryReset(); }
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;

    template <class... Values>
    void bindAll(const Values&... values) {
        int index = 0;
        (bindOne(++index, values), ...);
    }
    /// Runs a statement that gives no rows; returns the number of rows it changed.
    int run() { return m_statement.exec(); }
    /// Runs it again with other values.
    template <class... Values>
    int runWith(const Values&... values) {
        m_statement.reset();
        bindAll(values...);
        return m_statement.exec();
    }
    bool next() { return m_statement.executeStep(); }
    [[nodiscard]] std::int64_t integer(int column) const { return m_statement.getColumn(column).getInt64(); }
    [[nodiscard]] int small(int column) const { return m_statement.getColumn(column).getInt(); }
    [[nodiscard]] std::string text(int column) const { return m_statement.getColumn(column).getString(); }
    [[nodiscard]] bool isNull(int column) const { return m_statement.getColumn(column).isNull(); }
    /// NULL reads as NaN.
    [[nodiscard]] double real(int column) const;
    /// Valid until the next step.
    [[nodiscard]] std::string_view bytes(int column) const;

private:
    struct Blob;
    void bindOne(int index, std::int64_t value) { m_statement.bind(index, value); }
    void bindOne(int index, int value) { m_statement.bind(index, value); }
    void bindOne(int index, bool value) { m_statement.bind(index, value ? 1 : 0); }
    void bindOne(int index, double value) { m_statement.bind(index, value); }
    void bindOne(int index, const std::string& value) { m_statement.bind(index, value); }
    void bindOne(int index, const char* value) { m_statement.bind(index, value); }
    void bindOne(int index, std::nullptr_t) { m_statement.bind(index); }
    void bindOne(int index, const std::vector<unsigned char>& value) {
        m_statement.bind(index, value.data(), static_cast<int>(value.size()));
    }
    template <class T>
    void bindOne(int index, const std::optional<T>& value) {
        value ? bindOne(index, *value) : bindOne(index, nullptr);
    }
    SQLite::Statement& m_statement;
};

/// The error of a failed SQLite call.
[[nodiscard]] base::Error toError(const SQLite::Exception& exception, const Path& file, sqlite3* handle = nullptr);
[[nodiscard]] base::Error corruptError(const Path& file, std::string_view what);

/// Runs `body` and turns whatever it throws into an Error.
template <class Body>
auto guarded(const Path& file, sqlite3* handle, Body&& body) -> decltype(body()) {
    try {
        return body();
    } catch (const SQLite::Exception& exception) {
        return toError(exception, file, handle);
    } catch (const CorruptIndex& corrupt) {
        return corruptError(file, corrupt.what);
    } catch (const std::exception& exception) {
        return base::Error{"store.internal", "The history could not be used: " + std::string(exception.what()) + "."};
    }
}

}  // namespace trainyard::store
