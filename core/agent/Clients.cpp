#include "core/agent/Clients.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/base/Hash.h"

namespace trainyard::agent {

namespace {

bool isWhole(const base::Path& folder) {
    for (std::size_t i = 0; i < kClientFileCount; ++i) {
        const ClientFile& file = kClientFiles[i];
        const auto bytes = base::readFile(folder / file.path);
        if (!bytes.ok() || *bytes != std::string_view(file.bytes, file.size)) return false;
    }
    return true;
}

base::Status writeAt(const base::Path& folder) {
    for (std::size_t i = 0; i < kClientFileCount; ++i) {
        const ClientFile& file = kClientFiles[i];
        const base::Path path = folder / file.path;
        TRAINYARD_TRY(base::makeDirs(path.parent_path()));
        TRAINYARD_TRY(base::writeFileAtomically(path, {file.bytes, file.size}));
    }
    return {};
}

}  // namespace

const std::string& clientsHash() {
    static const std::string hash = [] {
        base::Sha256 sum;
        for (std::size_t i = 0; i < kClientFileCount; ++i) {
            sum.add(std::string(kClientFiles[i].path) + '\0' + std::to_string(kClientFiles[i].size) + '\0');
            sum.add({kClientFiles[i].bytes, kClientFiles[i].size});
        }
        return sum.hex();
    }();
    return hash;
}

base::Result<base::Path> unpackClients(const base::Path& folder) {
    const base::Path place = folder / clientsHash();
    std::error_code error;
    if (std::filesystem::exists(place, error)) {
        if (isWhole(place)) return place;
        TRAINYARD_TRY(writeAt(place));  // Somebody changed a file; each is replaced as a whole.
        return place;
    }
    TRAINYARD_TRY(base::makeDirs(folder));
    const base::Path temporary = place.string() + "." + std::to_string(::getpid()) + ".part";
    if (const auto written = writeAt(temporary); !written.ok()) {
        (void) base::removeTree(temporary);
        return written.error();
    }
    if (::rename(temporary.c_str(), place.c_str()) != 0) {
        const int why = errno;
        (void) base::removeTree(temporary);
        // Another agent was faster.
        if (!isWhole(place)) return base::errnoError(why, "The clients cannot be unpacked", place);
    }
    return place;
}

}  // namespace trainyard::agent
