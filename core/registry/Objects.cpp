#include "core/registry/Objects.h"

#include <algorithm>

#include "core/base/Hash.h"

namespace trainyard::registry {

namespace {

base::Error missing(const std::string& sha256) {
    return {"model.object_missing",
            "The workspace's object " + sha256.substr(0, 12) +
                "… is gone, so this model's file cannot be "
                "given out. Restore it from a copy of the workspace, or register the run again."};
}

base::Error damaged(const std::string& sha256) {
    return {"model.object_damaged",
            "The workspace's object " + sha256.substr(0, 12) +
                "… is damaged: its content no longer has "
                "that SHA-256. Restore it from a copy of the workspace, or register the run again."};
}

}  // namespace

bool isSha256(const std::string& text) {
    return text.size() == 64 && std::all_of(text.begin(), text.end(),
                                            [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

base::Result<StoredObject> Objects::store(const base::Path& file, const ByteProgress& progress) const {
    const auto first = [&](std::int64_t done) { return !progress || progress(done); };
    auto hash = base::sha256File(file, first);
    if (!hash.ok()) {
        return hash.error();
    }
    std::error_code error;
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(file, error));
    if (error) {
        return base::errnoError(error.value(), "reading", file);
    }
    const auto second = [&](std::int64_t done) { return !progress || progress(size + done); };
    TRAINYARD_TRY(base::makeDirs(m_layout.objects()));
    const auto there = verified(*hash, second);
    if (there.ok()) {
        return StoredObject{*hash, size};
    }
    if (there.error().code == "canceled") {
        return there.error();
    }
    TRAINYARD_TRY(base::copyFile(file, m_layout.object(*hash), second));
    // The file may have changed between the two readings.
    const auto copied = base::sha256File(m_layout.object(*hash));
    if (!copied.ok() || *copied != *hash) {
        TRAINYARD_TRY(base::removeTree(m_layout.object(*hash)));
        return copied.ok() ? base::Error{"model.changed", "The file " + file.string() + " changed while it was read."}
                           : copied.error();
    }
    return StoredObject{*hash, size};
}

base::Result<base::Path> Objects::verified(const std::string& sha256, const ByteProgress& progress) const {
    if (!isSha256(sha256)) {
        return base::Error{"model.card", "A model's card names the object \"" + sha256 + "\", which is no SHA-256."};
    }
    const base::Path path = m_layout.object(sha256);
    const auto hash = base::sha256File(path, progress);
    if (!hash.ok()) {
        return hash.error().code == "file.missing" ? missing(sha256) : hash.error();
    }
    if (*hash != sha256) {
        return damaged(sha256);
    }
    return path;
}

base::Status Objects::copyOut(const std::string& sha256, const base::Path& to, const ByteProgress& progress) const {
    if (!isSha256(sha256)) {
        return base::Error{"model.card", "A model's card names the object \"" + sha256 + "\", which is no SHA-256."};
    }
    // Beside its target first, so that what stands there is replaced by a whole and proper file or not at all.
    const base::Path temp = to.parent_path() / ("." + to.filename().string() + ".part");
    const auto undo = [&](base::Error error) {
        const base::Status removed = base::removeTree(temp);
        return removed.ok() ? error : removed.error();
    };
    if (const base::Status copied = base::copyFile(m_layout.object(sha256), temp, progress); !copied.ok()) {
        return undo(copied.error().code == "file.missing" ? missing(sha256) : copied.error());
    }
    const auto hash = base::sha256File(temp);
    if (!hash.ok() || *hash != sha256) {
        return undo(hash.ok() ? damaged(sha256) : hash.error());
    }
    std::error_code error;
    std::filesystem::rename(temp, to, error);
    if (error) {
        return undo(base::errnoError(error.value(), "writing", to));
    }
    return {};
}

base::Result<std::int64_t> Objects::remove(const std::string& sha256) const {
    std::error_code error;
    const base::Path path = m_layout.object(sha256);
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
    if (error) {
        return std::int64_t{0};
    }
    if (const base::Status removed = base::removeTree(path); !removed.ok()) {
        return removed.error();
    }
    return size;
}

}  // namespace trainyard::registry
