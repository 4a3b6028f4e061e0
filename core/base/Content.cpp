#include "core/base/Content.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "core/base/Hash.h"
#include "core/base/Text.h"

namespace trainyard::base {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kLongestPath = 4096;
constexpr std::size_t kLongestName = 255;

bool isInside(const Path& path, const Path& folder) {
    const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return end == folder.end();
}

/// What a link inside `root` (canonical) leads to, as long as it is a regular file inside it.
Result<std::int64_t> linkedFile(const Path& link, const Path& root, const std::string& shown) {
    std::error_code error;
    const Path end = fs::canonical(link, error);
    if (error) return Error{"content.link", "The link " + shown + " leads nowhere. Remove it or mend it."};
    if (!isInside(end, root)) {
        return Error{"content.link", "The link " + shown + " leads out of the folder, to " + toValidUtf8(end.string()) +
                                         ". Put a copy in its place."};
    }
    struct stat info {};
    if (::stat(end.c_str(), &info) != 0) return errnoError(errno, "look at", end);
    if (!S_ISREG(info.st_mode)) {
        return Error{"content.link",
                     "The link " + shown + " leads to a folder. Links to files are taken, to folders not."};
    }
    return static_cast<std::int64_t>(info.st_size);
}

}  // namespace

bool isPlainRelativePath(std::string_view path) {
    if (path.empty() || path.size() > kLongestPath || !isValidUtf8(path)) return false;
    if (std::any_of(path.begin(), path.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; })) {
        return false;
    }
    const auto names = split(path, '/');
    return std::all_of(names.begin(), names.end(), [](const std::string& name) {
        return !name.empty() && name != "." && name != ".." && name.size() <= kLongestName;
    });
}

std::string contentHash(std::vector<ContentFile> files) {
    std::sort(files.begin(), files.end(), [](const ContentFile& a, const ContentFile& b) { return a.path < b.path; });
    Sha256 hash;
    for (const ContentFile& file : files) {
        hash.add(file.sha256 + " " + std::to_string(file.size) + " " + file.path + "\n");
    }
    return hash.hex();
}

Result<std::vector<ContentFile>> listContent(const Path& folder) {
    std::error_code error;
    const Path root = fs::canonical(folder, error);
    if (error) return errnoError(error.value(), "open", folder);
    std::vector<ContentFile> files;
    fs::recursive_directory_iterator it(root, fs::directory_options::none, error);
    for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
        const std::string relative = it->path().lexically_relative(root).generic_string();
        const std::string shown = toValidUtf8(relative);
        if (!isPlainRelativePath(relative)) {
            return Error{"content.name", "The name \"" + stripControl(shown) +
                                             "\" is no UTF-8, holds control characters or "
                                             "is too long. Rename it."};
        }
        struct stat info {};
        if (::lstat(it->path().c_str(), &info) != 0) return errnoError(errno, "look at", it->path());
        if (S_ISDIR(info.st_mode)) continue;
        std::int64_t size = info.st_size;
        if (S_ISLNK(info.st_mode)) {
            const auto linked = linkedFile(it->path(), root, shown);
            if (!linked.ok()) return linked.error();
            size = *linked;
        } else if (!S_ISREG(info.st_mode)) {
            return Error{"content.kind", shown + " is a device, socket or pipe. Data consists of files."};
        }
        files.push_back({relative, {}, size});
    }
    if (error) return errnoError(error.value(), "read", it == fs::recursive_directory_iterator() ? root : it->path());
    std::sort(files.begin(), files.end(), [](const ContentFile& a, const ContentFile& b) { return a.path < b.path; });
    return files;
}

Result<Content> readContent(const Path& path, const ContentProgress& progress) {
    std::error_code error;
    const Path root = fs::canonical(path, error);
    if (error) return errnoError(error.value(), "open", path);
    Content content;
    content.isFolder = fs::is_directory(root, error);
    if (content.isFolder) {
        auto files = listContent(root);
        if (!files.ok()) return files.error();
        content.files = std::move(files).value();
    } else {
        struct stat info {};
        if (::stat(root.c_str(), &info) != 0) return errnoError(errno, "look at", root);
        content.files.push_back({root.filename().string(), {}, static_cast<std::int64_t>(info.st_size)});
    }
    std::int64_t total = 0;
    for (const ContentFile& file : content.files) total += file.size;
    for (ContentFile& file : content.files) {
        std::int64_t got = 0;
        auto hash = sha256File(content.isFolder ? root / file.path : root, [&](std::int64_t bytes) {
            got = bytes;
            return !progress || progress(content.size + bytes, total);
        });
        if (!hash.ok()) return hash.error();
        if (got != file.size) {
            return Error{"content.changed", toValidUtf8(file.path) +
                                                " changed while it was read. Try again when nothing "
                                                "writes to it."};
        }
        file.sha256 = std::move(hash).value();
        content.size += got;
    }
    content.sha256 = content.isFolder ? contentHash(content.files) : content.files.front().sha256;
    return content;
}

}  // namespace trainyard::base
