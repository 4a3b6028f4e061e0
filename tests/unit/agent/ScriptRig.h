#pragma once
// Runs Python scripts as ranks, with the Python that tests find.
#include "tests/helpers/Skip.h"
#include "tests/unit/agent/AgentRig.h"

namespace trainyard::test {

inline std::string testPython() {
    for (const char* program : {"/usr/bin/python3", "/usr/local/bin/python3"}) {
        if (::access(program, X_OK) == 0) return program;
    }
    return {};
}

inline std::string scriptFile(const std::string& name) {
    return (sourceFolder() / "tests/data/scripts" / name).string();
}

/// The last lines that ranks wrote to stderr; for messages of failing tests.
inline std::string errorsOf(const std::vector<Record>& records) {
    std::string text = textOf(endedOf(records), "reason");
    for (const std::string& line : linesOf(records, 0, "stderr")) text += "\n" + line;
    for (const Record& warning : ofKind(records, wire::kind::kWarning)) text += "\n" + textOf(warning.body, "message");
    return text;
}

/// The first record of a kind and name; null when there is none.
inline const Record* named(const std::vector<Record>& records, const char* kind, const std::string& name) {
    for (const Record& record : records) {
        if (record.kind == kind && textOf(record.body, "name") == name) return &record;
    }
    return nullptr;
}

/// Codes of all warnings.
inline std::string warningsOf(const std::vector<Record>& records) {
    std::string codes;
    for (const Record& record : ofKind(records, wire::kind::kWarning))
        codes += (codes.empty() ? "" : " ") + textOf(record.body, "code");
    return codes;
}

}  // namespace trainyard::test
