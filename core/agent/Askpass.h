#pragma once
// SSH_ASKPASS of the workbench's ssh: hands ssh's question back to the workbench over its socket and prints the answer.
#include <string>

namespace trainyard::agent {

/// True when the workbench started this program for that: TRAINYARD_ASKPASS_SOCKET is set and ssh gave one argument.
[[nodiscard]] bool isAskpass(int argc);
/// The program's exit status: 0 with the answer on standard output, 1 when there is none. Waits as long as a person
/// takes: the workbench has the time limit, and its end is the socket's.
[[nodiscard]] int askpassMain(const std::string& prompt);

}  // namespace trainyard::agent
