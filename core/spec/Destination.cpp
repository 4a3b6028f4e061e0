// What ssh may be given as a destination.
#include <string>

#include "core/spec/TargetSpec.h"

namespace trainyard::spec {

base::Status checkDestination(const std::string& destination, const std::string& field) {
    const auto refuse = [&](const char* why) { return base::Error{"spec.destination", why, field}; };
    if (destination.empty()) {
        return refuse("A host has no name.");
    }
    if (destination.front() == '-') {
        return refuse("A host's name cannot begin with '-': ssh would take it for an option.");
    }
    if (destination.size() > 512) {
        return refuse("A host's name is too long.");
    }
    for (const char c : destination) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte == 0x7f) {
            return refuse("A host's name has a blank or a control character in it.");
        }
        if (c == '"' || c == '\'' || c == '`' || c == '\\') {
            return refuse("A host's name has a quote in it.");
        }
    }
    return {};
}

}  // namespace trainyard::spec
