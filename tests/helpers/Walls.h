#pragma once
// The walls of the house, as tests/contract/rooms.json draws them: who may include whom, and what programs may need.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::test {

class Walls {
public:
    /// Ends the test program when the table cannot be read.
    static Walls fromTable(const base::Path& roomsJson);

    /// Looks at every .h and .cpp below core/, ui/ and app/ of `root`. A line for each wrong include:
    /// "core/spec/X.cpp:7: …".
    [[nodiscard]] std::vector<std::string> checkIncludes(const base::Path& root) const;

    struct Binary {
        std::vector<std::string> needed;  ///< Direct NEEDED entries.
        bool hasInterpreter = false;      ///< False for a static program.
        std::int64_t bytes = 0;
    };
    /// What is wrong with a program's needs; empty when the table allows them or does not know the program.
    [[nodiscard]] std::vector<std::string> checkBinary(const std::string& program, const Binary& binary) const;
    [[nodiscard]] std::vector<std::string> programs() const;

private:
    [[nodiscard]] std::string libraryOf(const std::string& text, const char* pattern) const;
    [[nodiscard]] const base::Json* roomOf(const std::string& file) const;
    base::Json m_table;
};

/// Through readelf; ends the test program when that fails.
[[nodiscard]] Walls::Binary readBinary(const base::Path& program);

}  // namespace trainyard::test
