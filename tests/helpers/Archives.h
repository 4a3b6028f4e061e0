#pragma once
// Archives of every kind, honest and not, by libarchive.
#include <archive.h>
#include <archive_entry.h>

#include <string>
#include <vector>

#include "core/base/Files.h"

namespace trainyard::test {

struct ArchiveItem {
    std::string path;
    std::string bytes{};
    std::string link{};  ///< A symbolic link to this.
    std::string hardlink{};
    unsigned type = AE_IFREG;
};

/// `format`: "zip", "tar", "7zip"; `filter`: "", "gzip", "bzip2", "xz", "zstd", "lz4". False when libarchive could not.
inline bool writeArchive(const base::Path& file, const std::vector<ArchiveItem>& items, const std::string& format,
                         const std::string& filter = {}) {
    archive* out = ::archive_write_new();
    bool good = (format == "tar" ? ::archive_write_set_format_pax_restricted(out)
                                 : ::archive_write_set_format_by_name(out, format.c_str())) == ARCHIVE_OK;
    good = good && (filter.empty() || ::archive_write_add_filter_by_name(out, filter.c_str()) == ARCHIVE_OK);
    ::archive_write_set_options(out, "hdrcharset=UTF-8");
    good = good && ::archive_write_open_filename(out, file.c_str()) == ARCHIVE_OK;
    for (const ArchiveItem& item : items) {
        archive_entry* entry = ::archive_entry_new();
        ::archive_entry_set_pathname_utf8(entry, item.path.c_str());
        ::archive_entry_set_perm(entry, 0644);
        ::archive_entry_set_filetype(entry, item.link.empty() ? item.type : static_cast<unsigned>(AE_IFLNK));
        ::archive_entry_set_size(entry, static_cast<la_int64_t>(item.bytes.size()));
        if (!item.link.empty()) {
            ::archive_entry_set_symlink_utf8(entry, item.link.c_str());
        }
        if (!item.hardlink.empty()) {
            ::archive_entry_set_hardlink_utf8(entry, item.hardlink.c_str());
        }
        good = good && ::archive_write_header(out, entry) >= ARCHIVE_WARN;
        if (!item.bytes.empty()) {
            good = good && ::archive_write_data(out, item.bytes.data(), item.bytes.size()) ==
                               static_cast<la_ssize_t>(item.bytes.size());
        }
        ::archive_entry_free(entry);
    }
    good = ::archive_write_close(out) == ARCHIVE_OK && good;
    ::archive_write_free(out);
    return good;
}

}  // namespace trainyard::test
