#include "core/agent/Askpass.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::agent {
namespace {

constexpr const char* kSocket = "TRAINYARD_ASKPASS_SOCKET";
constexpr const char* kToken = "TRAINYARD_ASKPASS_TOKEN";
constexpr std::size_t kLongestAnswer = 65536;

}  // namespace

bool isAskpass(int argc) { return argc == 2 && std::getenv(kSocket) != nullptr; }

int askpassMain(const std::string& prompt) {
    const char* path = std::getenv(kSocket);
    const char* token = std::getenv(kToken);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (token == nullptr || std::strlen(path) >= sizeof address.sun_path) return 1;
    std::memcpy(address.sun_path, path, std::strlen(path));
    const base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid() || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        std::fprintf(stderr, "trainyard-agent: the workbench cannot be asked: %s\n", std::strerror(errno));
        return 1;
    }
    base::Json question = base::Json::object();
    question["token"] = token;
    question["prompt"] = prompt;
    if (!base::writeAll(fd.get(), base::dumpJson(question) + "\n", path).ok()) return 1;
    std::string answer;
    while (answer.find('\n') == std::string::npos && answer.size() < kLongestAnswer) {
        char buffer[4096];
        const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 1;
        answer.append(buffer, static_cast<std::size_t>(got));
    }
    const auto json = base::parseJson(answer.substr(0, answer.find('\n')));
    if (!json.ok() || !json->is_object() || !json->contains("answer") || !json->at("answer").is_string()) return 1;
    std::printf("%s\n", json->at("answer").get_ref<const std::string&>().c_str());
    return 0;
}

}  // namespace trainyard::agent
