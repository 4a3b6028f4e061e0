#pragma once
// Follows TensorBoard's event files below the folders in which training scripts put them, and turns what they say into
// records. Each record names file and range in `src`, as those of rank files do, so a restarted agent goes on where it
// was.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/agent/Masker.h"
#include "core/agent/StreamSink.h"
#include "core/agent/TfEvents.h"
#include "core/base/Files.h"
#include "core/wire/ClientLine.h"

namespace trainyard::agent {

struct EventFolder {
    std::string label;  ///< "outputs", "logs", "runs": part of the source's name, and says how series are named.
    base::Path path;    ///< May not be there yet.
};

class EventFiles {
public:
    /// `rank`: whose records they become. Files that were last changed before `since` (microseconds UTC) are an earlier
    /// run's and are left alone, unless `offsets` (source name → bytes taken) knows them.
    EventFiles(std::vector<EventFolder> folders, int rank, std::int64_t since,
               std::map<std::string, std::int64_t> offsets);
    EventFiles(EventFiles&&) noexcept;
    EventFiles& operator=(EventFiles&&) noexcept;
    ~EventFiles();

    /// Must outlive this.
    void maskWith(const Masker* masker) { m_masker = masker; }
    /// Looks for new files when it is time to, and reads what is new, a bounded amount. True when more is waiting.
    bool drain(StreamSink& sink, wire::ClientLineTranslator& translator);
    /// The ranks have ended: the last look. True when everything was read; otherwise call it again.
    bool finish(StreamSink& sink, wire::ClientLineTranslator& translator);

    static constexpr std::size_t kMaxFiles = 512;
    static constexpr std::size_t kMaxEntries = 20'000;  ///< Folders and files that one look passes.
    static constexpr std::size_t kMaxInlineImage = 4 << 20;

private:
    struct File;
    void look(StreamSink& sink);
    void take(const base::Path& path, const std::string& source, const std::string& prefix, StreamSink& sink);
    bool read(File& file, StreamSink& sink, wire::ClientLineTranslator& translator);
    void put(File& file, const TfEvent& event, std::int64_t from, StreamSink& sink,
             wire::ClientLineTranslator& translator);
    void flush(File& file, StreamSink& sink);
    void reportDamage(File& file, StreamSink& sink, bool final);

    [[nodiscard]] std::string shown(const std::string& text) const;

    std::vector<EventFolder> m_folders;
    const Masker* m_masker = nullptr;
    int m_rank = 0;
    std::int64_t m_since = 0;
    std::map<std::string, std::int64_t> m_offsets;
    std::vector<std::unique_ptr<File>> m_files;
    std::int64_t m_nextLook = 0;  ///< Monotonic ns.
    bool m_lastLookDone = false;
    bool m_toldTooMany = false;
    bool m_toldNames = false;
};

}  // namespace trainyard::agent
