#include "core/engine/distributed/SharedFile.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "core/base/Hash.h"

namespace trainyard::engine {

namespace {

using base::Path;

constexpr std::int64_t kMaxFileBytes = std::int64_t{64} << 30;
constexpr std::int64_t kPieceBytes = std::int64_t{16} << 20;
constexpr std::size_t kHashWords = 8;

/// What rank 0 says of the file, as numbers that a sum over the ranks brings to everyone (the others add zeros).
struct Word {
    enum : std::size_t { Found, Failed, Size, Hash };
};
constexpr std::size_t kWords = Word::Hash + kHashWords;

bool isThere(const Path& path) {
    std::error_code missing;
    return !path.empty() && std::filesystem::exists(path, missing);
}

/// 32 bits of a SHA-256 a number, which a double holds exactly.
std::vector<double> hashWords(const std::string& hex) {
    std::vector<double> words;
    for (std::size_t i = 0; i < kHashWords; ++i) {
        words.push_back(static_cast<double>(std::stoul(hex.substr(i * 8, 8), nullptr, 16)));
    }
    return words;
}

/// Whether the file at `path` is the one that rank 0 spoke of.
bool isSame(const Path& path, const std::vector<double>& words) {
    std::error_code missing;
    if (path.empty() || std::filesystem::file_size(path, missing) != static_cast<std::uintmax_t>(words[Word::Size]) ||
        missing) {
        return false;
    }
    const auto hash = base::sha256File(path);
    return hash.ok() &&
           std::ranges::equal(hashWords(*hash), std::vector<double>(words.begin() + Word::Hash, words.end()));
}

/// Rank 0's bytes to everyone, piece by piece.
Status sendBytes(ProcessGroup& group, std::string& bytes) {
    for (std::int64_t begin = 0; begin < static_cast<std::int64_t>(bytes.size()); begin += kPieceBytes) {
        const std::int64_t size = std::min(kPieceBytes, static_cast<std::int64_t>(bytes.size()) - begin);
        const at::Tensor piece = at::empty({size}, at::kByte);
        if (group.rank() == 0) {
            std::memcpy(piece.data_ptr(), bytes.data() + begin, static_cast<std::size_t>(size));
        }
        const at::Tensor there = piece.to(group.device());
        TRAINYARD_TRY(group.broadcast({there}));
        if (group.rank() != 0) {
            const at::Tensor here = there.to(at::kCPU);
            std::memcpy(bytes.data() + begin, here.data_ptr(), static_cast<std::size_t>(size));
        }
    }
    return {};
}

}  // namespace

Result<Path> shareFile(ProcessGroup& group, const std::vector<Path>& candidates, const Path& copy) {
    const auto found = std::ranges::find_if(candidates, isThere);
    const Path own = found == candidates.end() ? Path() : *found;
    if (group.world() == 1) {
        return own;
    }
    std::vector<double> words(kWords, 0.0);
    Status readable;
    if (group.rank() == 0 && !own.empty()) {
        const auto hash = base::sha256File(own);
        std::error_code failed;
        const auto size = std::filesystem::file_size(own, failed);
        if (!hash) {
            readable = hash.error();
        } else if (failed) {
            readable = base::errnoError(failed.value(), "look at", own);
        } else {
            words[Word::Found] = 1;
            words[Word::Size] = static_cast<double>(size);
            std::ranges::copy(hashWords(*hash), words.begin() + Word::Hash);
        }
        words[Word::Failed] = readable.ok() ? 0 : 1;
    }
    TRAINYARD_TRY(group.sum(words));
    if (words[Word::Failed] > 0) {
        return readable.ok() ? Error{"resume.missing", "Rank 0 could not read the checkpoint; see its log."}
                             : readable.error();
    }
    if (words[Word::Found] == 0) {
        return Path();
    }
    Path mine;
    for (const Path& candidate : candidates) {
        if (mine.empty() && (group.rank() == 0 ? candidate == own : isSame(candidate, words))) {
            mine = candidate;
        }
    }
    std::vector<double> lacking{mine.empty() ? 1.0 : 0.0};
    TRAINYARD_TRY(group.sum(lacking));
    if (lacking[0] == 0) {
        return mine;
    }
    std::string bytes;
    std::vector<double> unread{0.0};
    if (group.rank() == 0) {
        auto read = base::readFile(own, kMaxFileBytes);
        if (read.ok() && static_cast<double>(read->size()) == words[Word::Size]) {
            bytes = std::move(*read);
        } else {
            readable = read.ok() ? Error{"resume.missing", own.string() + " changed while it was read."} : read.error();
            unread[0] = 1;
        }
    } else {
        bytes.resize(static_cast<std::size_t>(words[Word::Size]));
    }
    TRAINYARD_TRY(group.sum(unread));
    if (unread[0] > 0) {
        return readable.ok() ? Error{"resume.missing", "Rank 0 could not read the checkpoint; see its log."}
                             : readable.error();
    }
    TRAINYARD_TRY(sendBytes(group, bytes));
    if (!mine.empty()) {
        return mine;
    }
    TRAINYARD_TRY(base::makeDirs(copy.parent_path()));
    TRAINYARD_TRY(base::writeFileAtomically(copy, bytes));
    return copy;
}

}  // namespace trainyard::engine
