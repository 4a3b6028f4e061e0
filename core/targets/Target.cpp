#include "core/targets/Target.h"

namespace trainyard::targets {

bool mayAnswerLater(const base::Error& error) {
    return error.code == "target.unreachable" || error.code == "target.deadline" || error.code == "target.refused";
}

std::string textOf(const std::vector<SilentHost>& silent) {
    std::string text;
    for (const SilentHost& one : silent) {
        const bool named = one.error.message.starts_with(one.host);
        text +=
            (text.empty() ? "" : " ") + (named ? std::string() : one.host + " cannot be reached: ") + one.error.message;
    }
    return text;
}

}  // namespace trainyard::targets
