#pragma once
// Reads a Python pickle (protocols 0 to 5, the opcodes that torch.save and its users write) into plain values. Nothing
// in the file is ever executed: a class or function is a name, calling one makes a value that only says what would have
// been called. Needs no libtorch.
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Result.h"

namespace trainyard::engine {

struct PickleValue;
/// Owned by the PickleRead that it came with.
using PicklePtr = PickleValue*;

/// One value. Containers may share parts with each other, and a damaged file may make them contain themselves or nest a
/// million deep: walk them with a limit of depth.
struct PickleValue {
    enum class Kind {
        None,
        Bool,
        Integer,
        Real,
        Text,   ///< Also bytes.
        List,   ///< Also set and frozenset; `items`.
        Tuple,  ///< `items`
        Dict,   ///< `pairs`, in file order.
        Name,   ///< A class or function: "module name" in `text`.
        Call,   ///< callable = items[0], arguments = items[1] (a tuple); state, when it was set, in items[2]. `pairs`:
                ///< items set on it.
        Persistent,  ///< items[0] is the id that the file gives to what lies outside the pickle.
        Mark
    };
    Kind kind = Kind::None;
    bool boolean = false;
    std::int64_t integer = 0;  ///< Integers beyond 64 bits are kept as Text of their little-endian bytes.
    double real = 0;
    std::string text;
    std::vector<PicklePtr> items;
    std::vector<std::pair<PicklePtr, PicklePtr>> pairs;

    /// The value of a text key, or nullptr; for Dict, and for Call with items set on it (an OrderedDict).
    [[nodiscard]] const PickleValue* find(std::string_view key) const;
    [[nodiscard]] bool isCallOf(std::string_view name) const;
};

/// Where a reading ended: for files that hold several pickles one after another.
struct PickleRead {
    std::shared_ptr<std::deque<PickleValue>> values;  ///< All of them, so that none has to free another.
    PicklePtr value = nullptr;
    std::size_t end = 0;  ///< Offset after STOP.
};

/// Errors: "weights.pickle" with the offset and what is wrong (unknown opcode, stack too small, cut off, too large).
[[nodiscard]] base::Result<PickleRead> readPickle(std::string_view bytes, std::size_t offset = 0);

}  // namespace trainyard::engine
