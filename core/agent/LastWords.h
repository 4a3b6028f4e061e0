#pragma once
// What a rank said about its own end: more useful to people than an exit status.
#include <string>

#include "core/wire/RunStream.h"

namespace trainyard::agent {

struct LastWords {
    std::string code;        ///< Of the warning it called fatal; dotted, may be empty.
    std::string failure;     ///< That warning's first line; empty when there was none.
    std::string conclusion;  ///< First line of what it said of its success.

    /// Takes what `record` says of the rank's end; other records change nothing. What is said later counts.
    void take(const wire::Record& record);
};

}  // namespace trainyard::agent
