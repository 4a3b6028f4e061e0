#pragma once
// objects/<sha256>: contents by their hash, each once. Files appear whole; an object is never changed.
#include <cstdint>
#include <functional>
#include <string>

#include "core/base/Files.h"
#include "core/base/Result.h"
#include "core/wire/Layout.h"

namespace trainyard::registry {

/// Told the bytes done within one call; false: stop ("canceled").
using ByteProgress = std::function<bool(std::int64_t done)>;

struct StoredObject {
    std::string sha256;
    std::int64_t size = 0;
};

/// Calls block and may be made from any thread and process at once.
class Objects {
public:
    explicit Objects(wire::WorkspaceLayout layout) : m_layout(std::move(layout)) {}

    /// Takes a file in. An object that is there already is hashed again, and replaced when it is damaged. The file is
    /// read twice: `progress` goes to twice its size.
    [[nodiscard]] base::Result<StoredObject> store(const base::Path& file, const ByteProgress& progress = {}) const;
    /// Where the object lies, after its content was hashed: "model.object_missing", "model.object_damaged".
    [[nodiscard]] base::Result<base::Path> verified(const std::string& sha256, const ByteProgress& progress = {}) const;
    /// Copies an object to `to` and hashes the copy; `to` is gone again when it is not what it should be.
    [[nodiscard]] base::Status copyOut(const std::string& sha256, const base::Path& to,
                                       const ByteProgress& progress = {}) const;
    /// Bytes that were freed; 0 when it was not there.
    [[nodiscard]] base::Result<std::int64_t> remove(const std::string& sha256) const;

private:
    wire::WorkspaceLayout m_layout;
};

/// 64 characters 0-9 a-f: whatever else a card says is no object's name.
[[nodiscard]] bool isSha256(const std::string& text);

}  // namespace trainyard::registry
