#pragma once
// The content hash of data: what names an input or a dataset everywhere, whatever it is called and wherever it lies.
// One file: the SHA-256 of its bytes. A folder: the SHA-256 of a text of one line a file, sorted by the bytes of the
// path:
// "<sha256> <size> <path>\n".
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::base {

struct ContentFile {
    std::string path;  ///< Relative to the folder, '/' between names, no "..", UTF-8 without control characters.
    std::string sha256;
    std::int64_t size = 0;  ///< Bytes.

    bool operator==(const ContentFile&) const = default;
};

/// The hash of a folder that holds these files; their order does not matter.
[[nodiscard]] std::string contentHash(std::vector<ContentFile> files);

struct Content {
    bool isFolder = false;
    std::string sha256;              ///< The content hash.
    std::int64_t size = 0;           ///< Bytes of all files.
    std::vector<ContentFile> files;  ///< By path; of one file: its own name.
};

/// Bytes done and bytes in all; false cancels. Called every MiB or so.
using ContentProgress = std::function<bool(std::int64_t, std::int64_t)>;

/// Regular files under `folder` by path, without hashes. A link to a regular file inside the folder counts as that
/// file. Errors: "content.link" (a link that leaves the folder, leads nowhere or to a folder), "content.kind" (a
/// device, socket or pipe), "content.name" (no UTF-8, or a control character), file.*.
[[nodiscard]] Result<std::vector<ContentFile>> listContent(const Path& folder);

/// Walks a file or folder and hashes it. A link as `path` itself is followed: the person named it. Errors: those of
/// listContent, "canceled", "content.changed" (a file's size changed while it was read).
[[nodiscard]] Result<Content> readContent(const Path& path, const ContentProgress& progress = {});

/// A path as it may stand in a content list or in a request: not empty, relative, '/' between names, no empty name,
/// ".", ".." or control character, UTF-8, at most 4096 bytes and 255 a name.
[[nodiscard]] bool isPlainRelativePath(std::string_view path);

}  // namespace trainyard::base
