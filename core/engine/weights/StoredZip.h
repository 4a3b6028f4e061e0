#pragma once
// The zip archives that torch.save writes: members stored without compression, so that they can be read where they lie.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::engine {

/// A read-only view of a file in memory; pages come in when they are read. Not copyable.
class MappedFile {
public:
    /// "file.*"; an empty file is "file.io".
    [[nodiscard]] static base::Result<MappedFile> open(const base::Path& path);
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();
    [[nodiscard]] std::string_view bytes() const { return {static_cast<const char*>(m_data), m_size}; }

private:
    MappedFile(void* data, std::size_t size) : m_data(data), m_size(size) {}
    void* m_data = nullptr;
    std::size_t m_size = 0;
};

/// Members by name, as views into `bytes`; of one that is compressed (TorchScript's code) or encrypted the name alone,
/// with a view whose data() is null. Zip64 included. "weights.zip" when the directory is damaged or a member lies
/// outside the file.
[[nodiscard]] base::Result<std::map<std::string, std::string_view>> readStoredZip(std::string_view bytes);

}  // namespace trainyard::engine
