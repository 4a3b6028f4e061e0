#pragma once
// MNIST's IDX format, gzipped or not: two zero bytes, a type byte, the number of dimensions, each dimension as
// big-endian uint32, then the values. Only unsigned bytes are taken. No libtorch here.
#include <cstdint>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::engine {

using base::Error;
using base::Path;
using base::Result;
using base::Status;

/// The content of an IDX file: `values` holds the product of `shape` bytes, last dimension fastest.
struct IdxArray {
    std::vector<std::int64_t> shape;
    std::vector<std::uint8_t> values;
};

enum class IdxContent { Images, Labels };

/// Limits that keep a damaged or hostile header from asking for all memory.
inline constexpr std::int64_t kMaxIdxBytes = std::int64_t{8} << 30;
inline constexpr std::int64_t kMaxImageSide = 4096;

/// Reads a whole file; gzip is recognised by its first bytes, not by the name. Images have shape {N, H, W}, labels {N}.
/// Every error names the file and the byte (of the unpacked content) it was found at:
/// "file.missing", "file.denied", "file.kind", "idx.empty", "idx.magic", "idx.swapped" (labels where images are wanted
/// or the other way round), "idx.type", "idx.size", "idx.truncated", "idx.oversized" (bytes after the last value),
/// "idx.gzip" (damaged compression). Thread-safe.
[[nodiscard]] Result<IdxArray> readIdxFile(const Path& path, IdxContent content);

}  // namespace trainyard::engine
