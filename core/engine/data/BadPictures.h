#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace trainyard::engine {

/// Pictures that could not be read in mid-run, of both splits, by the numbers of their files. Those that other ranks
/// met are told to it, so that the limit holds for the whole run and a file counts once. Thread-safe.
class BadPictures {
public:
    /// More than `most` of `files` end the run.
    BadPictures(std::size_t files, std::size_t most) : m_known(files, false), m_most(most) {}

    /// One that this rank met; true the first time that anyone did.
    bool add(std::size_t file);
    /// Those that this rank met since the last call of this.
    [[nodiscard]] std::vector<std::int64_t> takeNews();
    /// Those that all ranks met.
    void learn(const std::vector<std::int64_t>& files);
    [[nodiscard]] std::size_t count() const;
    [[nodiscard]] bool tooMany() const { return count() > m_most; }

private:
    mutable std::mutex m_mutex;
    std::vector<bool> m_known;
    std::vector<std::int64_t> m_news;
    std::size_t m_count = 0;
    const std::size_t m_most;
};

}  // namespace trainyard::engine
