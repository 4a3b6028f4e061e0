// The agent is fully static, so libcrypto cannot load providers there: the block functions are called directly.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/base/Hash.h"

#include <cerrno>
#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace trainyard::base {

struct Sha256::State {
    SHA256_CTX context;
};

Sha256::Sha256() : m_state(std::make_unique<State>()) { SHA256_Init(&m_state->context); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::add(std::string_view bytes) { SHA256_Update(&m_state->context, bytes.data(), bytes.size()); }

std::string Sha256::hex() {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256_Final(digest.data(), &m_state->context);
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(digest.size() * 2);
    for (const unsigned char byte : digest) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

std::string sha256Hex(std::string_view bytes) {
    Sha256 hash;
    hash.add(bytes);
    return hash.hex();
}

Result<std::string> sha256File(const Path& path, const std::function<bool(std::int64_t)>& progress) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid()) {
        return errnoError(errno, "open", path);
    }
    struct stat info {};
    if (fstat(fd.get(), &info) != 0) {
        return errnoError(errno, "look at", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return Error{"file.kind", path.string() + " is not a regular file."};
    }
    Sha256 hash;
    std::vector<char> buffer(1 << 20);
    std::int64_t done = 0;
    for (;;) {
        const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errnoError(errno, "read", path);
        }
        if (got == 0) {
            return hash.hex();
        }
        hash.add({buffer.data(), static_cast<std::size_t>(got)});
        done += got;
        if (progress && !progress(done)) {
            return Error{"canceled", "Hashing " + path.string() + " was canceled."};
        }
    }
}

}  // namespace trainyard::base
