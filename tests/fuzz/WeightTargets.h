#pragma once
// Rules that the readers of weights must keep for any bytes, of which libtorch is no part. A check gives back what is
// wrong, or nothing.
#include <array>
#include <string>
#include <string_view>

#include "core/base/Text.h"
#include "core/engine/weights/Pickle.h"
#include "core/engine/weights/StoredZip.h"

namespace trainyard::fuzz {

inline std::string soundError(const base::Error& error, std::string_view code) {
    return error.code == code && !error.message.empty() && base::isValidUtf8(error.message)
               ? ""
               : "an error that is none: " + error.code;
}

/// Counts values down to a depth, with a limit: a file may nest a value in itself.
inline void walk(const engine::PickleValue& value, int depth, std::size_t& seen) {
    if (depth > 20 || ++seen > 10'000) {
        return;
    }
    for (const engine::PicklePtr item : value.items) {
        walk(*item, depth + 1, seen);
    }
    for (const auto& [key, held] : value.pairs) {
        walk(*key, depth + 1, seen);
        walk(*held, depth + 1, seen);
    }
}

inline std::string pickle(std::string_view bytes) {
    const auto read = engine::readPickle(bytes);
    if (!read.ok()) {
        return soundError(read.error(), "weights.pickle");
    }
    if (read->value == nullptr || read->end > bytes.size() || bytes[read->end - 1] != '.') {
        return "a pickle ends where no STOP is";
    }
    std::size_t seen = 0;
    walk(*read->value, 0, seen);
    // What came before the end is all that counts.
    const auto again = engine::readPickle(bytes.substr(0, read->end));
    return again.ok() && again->end == read->end && again->value->kind == read->value->kind ? ""
                                                                                            : "read again it differs";
}

inline std::string zip(std::string_view bytes) {
    const auto members = engine::readStoredZip(bytes);
    if (!members.ok()) {
        return soundError(members.error(), "weights.zip");
    }
    for (const auto& [name, view] : *members) {
        if (view.data() != nullptr &&
            (view.data() < bytes.data() || view.data() + view.size() > bytes.data() + bytes.size())) {
            return "a member lies outside the file";
        }
    }
    return "";
}

struct WeightTarget {
    const char* name;
    std::string (*check)(std::string_view);
};
inline constexpr std::array kWeightTargets = {WeightTarget{"pickle", pickle}, WeightTarget{"zip", zip}};

}  // namespace trainyard::fuzz
