#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::engine {

/// Reads files whole into memory of its own that is used again. A picture that is cut short while it is read is a short
/// read here; behind a mapping it would be a signal that ends the process. One thread.
class FileReader {
public:
    /// No picture is larger; what claims to be is not read.
    static constexpr std::int64_t kMost = std::int64_t{1} << 30;

    /// The file's first `most` bytes, or all there are; valid until the next call. "file.*"; an empty file is
    /// "file.io", one above kMost whose whole is wanted is "file.large".
    [[nodiscard]] base::Result<std::string_view> read(const base::Path& path, std::int64_t most = kMost);

private:
    std::unique_ptr<char[]> m_bytes;
    std::size_t m_capacity = 0;
};

}  // namespace trainyard::engine
