#pragma once
// Changes to inputs that are the same each time, for readers of bytes from outside.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace trainyard::fuzz {

class Random {
public:
    explicit Random(std::uint64_t seed) : m_state(seed * 0x9E3779B97F4A7C15ULL + 1) {}
    std::size_t below(std::size_t bound) {
        m_state ^= m_state << 13;
        m_state ^= m_state >> 7;
        m_state ^= m_state << 17;
        return static_cast<std::size_t>(m_state % bound);
    }

private:
    std::uint64_t m_state;
};

/// One to four changes: bits, parts taken out, doubled, replaced by tokens or by parts of another input of the pool.
inline std::string mutated(std::string text, const std::vector<std::string>& pool,
                           const std::vector<std::string>& tokens, Random& random) {
    const std::size_t rounds = 1 + random.below(4);
    for (std::size_t i = 0; i < rounds; ++i) {
        const std::size_t at = random.below(text.size() + 1);
        const std::size_t length = std::min(text.size() - at, 1 + random.below(16));
        switch (random.below(6)) {
        case 0:
            if (at < text.size()) {
                text[at] = static_cast<char>(static_cast<unsigned char>(text[at]) ^ (1U << random.below(8)));
            }
            break;
        case 1: text.erase(at, length); break;
        case 2: text.insert(at, text.substr(at, length)); break;
        case 3: text.insert(at, tokens[random.below(tokens.size())]); break;
        case 4: text.replace(at, length, tokens[random.below(tokens.size())]); break;
        default: {
            const std::string& other = pool[random.below(pool.size())];
            const std::size_t from = random.below(other.size() + 1);
            text.replace(at, length, other.substr(from, random.below(64)));
        }
        }
    }
    return text;
}

}  // namespace trainyard::fuzz
