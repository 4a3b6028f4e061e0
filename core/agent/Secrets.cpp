#include "core/agent/Secrets.h"

#include <cstdlib>

#include "core/base/Files.h"

namespace trainyard::agent {

namespace {

constexpr std::int64_t kMostSecretBytes = 64 << 10;

base::Result<std::string> valueOf(const wire::PlanSecret& secret) {
    const std::string what = "The secret " + secret.variable + " is not to be had: ";
    const auto error = [&](const std::string& why) { return base::Error{"environment.secret", what + why}; };
    if (!secret.fromVariable.empty()) {
        const char* value = std::getenv(secret.fromVariable.c_str());
        if (!value) return error("the variable " + secret.fromVariable + " is not set on this machine.");
        return std::string(value);
    }
    const base::Path path =
        secret.file.starts_with("~/") ? base::homeFolder() / secret.file.substr(2) : base::Path(secret.file);
    auto text = base::readFile(path, kMostSecretBytes);
    if (!text.ok()) return error(text.error().message);
    if (text->ends_with('\n')) text->pop_back();
    if (text->ends_with('\r')) text->pop_back();
    if (text->find('\0') != std::string::npos)
        return error(path.string() + " has zero bytes in it, which no variable can hold.");
    return std::move(*text);
}

}  // namespace

base::Result<std::vector<std::pair<std::string, std::string>>> readSecrets(const wire::PlanEnvironment& environment) {
    std::vector<std::pair<std::string, std::string>> values;
    for (const wire::PlanSecret& secret : environment.secrets) {
        auto value = valueOf(secret);
        if (!value.ok()) return value.error();
        values.emplace_back(secret.variable, std::move(*value));
    }
    return values;
}

}  // namespace trainyard::agent
