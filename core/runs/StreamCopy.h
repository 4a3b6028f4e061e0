#pragma once
// The workspace's copy of one agent stream, byte for byte. Its length is the truth about what has been brought here.
#include <cstdint>
#include <string_view>

#include "core/base/Files.h"
#include "core/base/Result.h"

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

}  // namespace trainyard::runs
