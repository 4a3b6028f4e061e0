#include "core/agent/LastWords.h"

#include "core/base/Json.h"
#include "core/base/Text.h"
#include "core/wire/ClientLine.h"

namespace trainyard::agent {

namespace {

constexpr std::size_t kMaxSentence = 1000;  // Bytes; it stands in lists and in one line of a terminal.

std::string sentenceOf(const base::Json& body) {
    const std::string text = base::jsonText(body, "message");
    std::string line(base::trim(std::string_view(text).substr(0, text.find('\n'))));
    if (line.size() > kMaxSentence) line = base::toValidUtf8(line.substr(0, kMaxSentence)) + "…";
    return line;
}

}  // namespace

void LastWords::take(const wire::Record& record) {
    if (record.kind == wire::kind::kConclusion) {
        conclusion = sentenceOf(record.body);
    } else if (record.kind == wire::kind::kWarning) {
        const auto fatal = record.body.find("fatal");
        if (fatal == record.body.end() || !fatal->is_boolean() || !fatal->get<bool>()) return;
        code = base::jsonText(record.body, "code");
        failure = sentenceOf(record.body);
    }
}

}  // namespace trainyard::agent
