#pragma once
// Follows the text files that a script writes into `logs` folders, as they grow, are rotated and emptied. A file is
// known by its inode, so one that is renamed is not read again; what the folders held before the ranks began is not
// told.
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/agent/Masker.h"
#include "core/agent/RankTail.h"
#include "core/agent/StreamSink.h"

namespace trainyard::agent {

/// Where reading goes on, by the file's inode as text.
using FolderOffsets = std::map<std::string, std::int64_t>;

class FolderTail {
public:
    static constexpr std::size_t kMostFiles = 256;
    static constexpr int kMostDepth = 8;
    static constexpr std::int64_t kMostFileBytes = 64 << 20;

    /// Folders that are the same one, or lie in another one, are taken once. `ranks`: of the whole run.
    FolderTail(std::vector<base::Path> folders, int ranks) : m_folders(std::move(folders)), m_ranks(ranks) {}

    void maskWith(const Masker* masker) { m_masker = masker; }
    /// What is there now, and how long it is.
    [[nodiscard]] FolderOffsets measure() const;
    /// Where an earlier look ended, and what the files were called then.
    void resumeAt(FolderOffsets offsets, std::map<std::string, std::string> names) {
        m_offsets = std::move(offsets);
        m_names = std::move(names);
    }
    /// Finds new files once a second, reads what is new in all. True when more is waiting.
    bool drain(StreamSink& sink, bool dropLogs);
    /// The ranks have ended: everything to the end. False: more is waiting, call again.
    bool finish(StreamSink& sink, bool dropLogs);

private:
    struct File {
        LogTail tail;
        std::string name;
        std::int64_t read = 0;
        bool full = false;  ///< Reached its limit.
    };
    struct Found {
        base::Path path;
        std::string name;  ///< "logs/…"
        std::string inode;
        std::int64_t size = 0;
        std::int64_t modified = 0;  ///< ns.
    };
    [[nodiscard]] std::vector<Found> list() const;
    void scan(StreamSink& sink);
    bool readAll(StreamSink& sink, bool dropLogs, bool final);
    bool read(File& file, StreamSink& sink, bool dropLogs, bool final);
    [[nodiscard]] int rankIn(const std::string& name) const;

    std::vector<base::Path> m_folders;
    int m_ranks = 1;
    const Masker* m_masker = nullptr;
    FolderOffsets m_offsets;
    std::map<std::string, std::string> m_names;
    std::map<std::string, File> m_files;  ///< By inode; one that is no text has a full entry.
    std::vector<std::string> m_order;     ///< Of m_files: what was written to a file before it was rotated comes first.
    std::int64_t m_lastScan = 0;          ///< Monotonic ns.
    std::int64_t m_lastRead = 0;
    bool m_tooMany = false;
    bool m_finished = false;
};

}  // namespace trainyard::agent
