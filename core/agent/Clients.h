#pragma once
// The client modules that scripts import travel inside the agent (resources/clients) and are unpacked where it runs.
#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/Files.h"
#include "core/base/Result.h"

namespace trainyard::agent {

struct ClientFile {
    const char* path;  ///< "python/trainyard.py"
    const char* bytes;
    std::size_t size;
};
/// Generated from resources/clients when the agent is built.
extern const ClientFile kClientFiles[];
extern const std::size_t kClientFileCount;

/// SHA-256 over names and contents.
[[nodiscard]] const std::string& clientsHash();
/// Puts the files into `folder`/<hash>/ unless they are there, unchanged, and returns that folder. Appears as a whole;
/// several agents may do it at once.
[[nodiscard]] base::Result<base::Path> unpackClients(const base::Path& folder);

}  // namespace trainyard::agent
