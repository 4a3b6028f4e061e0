#pragma once
// The workspace's copies of the agents' streams, byte for byte. Their lengths are the truth about what has been brought
// here.
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Ids.h"
#include "core/base/Result.h"
#include "core/targets/Target.h"
#include "core/wire/Layout.h"

namespace trainyard::runs {

/// Used by one follower at a time, which holds the run's lock. Not thread-safe.
class StreamCopy {
public:
    /// Looks at what is there: goes on in the last segment.
    [[nodiscard]] static base::Result<StreamCopy> open(const base::Path& folder);

    [[nodiscard]] int segment() const { return m_segment; }
    [[nodiscard]] std::int64_t size() const { return m_size; }
    /// `offset` must be size() and `segment` be segment(), or "copy.position". On an error, size() is what was written.
    [[nodiscard]] base::Status append(int segment, std::int64_t offset, std::string_view bytes);
    /// The present segment is complete: syncs it and goes on with the next.
    [[nodiscard]] base::Status closeSegment();
    [[nodiscard]] base::Status sync();

private:
    [[nodiscard]] base::Status openSegment();

    base::Path m_folder;
    base::UniqueFd m_fd;
    int m_segment = 1;
    std::int64_t m_size = 0;
};

/// The copies of all streams of one run. As StreamCopy: one follower at a time, not thread-safe.
class RunCopies {
public:
    RunCopies(wire::WorkspaceLayout layout, base::RunId run) : m_layout(std::move(layout)), m_run(std::move(run)) {}

    /// Where reading of each stream that has a copy is to go on; looks at the files anew.
    [[nodiscard]] base::Result<std::vector<targets::StreamPosition>> positions();
    /// Errors: "copy.position" when the chunk does not follow what is here or names no stream that a run can have;
    /// file.*.
    [[nodiscard]] base::Status append(const targets::StreamChunk& chunk);
    [[nodiscard]] base::Status sync();
    /// Forgets what is open, so that the next call looks at the files anew.
    void close() { m_copies.clear(); }

private:
    [[nodiscard]] base::Result<StreamCopy*> copy(int attempt, int node);

    wire::WorkspaceLayout m_layout;
    base::RunId m_run;
    std::map<std::pair<int, int>, StreamCopy> m_copies;  ///< By attempt and node.
};

}  // namespace trainyard::runs
