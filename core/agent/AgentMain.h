#pragma once
// trainyard-agent's command line.
//   run NODEFOLDER [--detach] [--disk-full-seconds N]     carry out NODEFOLDER/plan.json
//   shim NODEFOLDER RANK                                  internal: watch over one rank
//   serve [--work FOLDER] [--slots FOLDER]                talk to a workbench (resources/docs/protocol/serve.md)
//   info [--json]                                         what this machine and this agent are
namespace trainyard::agent {

/// Exit statuses of trainyard-agent.
namespace exitStatus {
inline constexpr int kDone = 0;  ///< Carried out, whatever the run's outcome; with --detach: at work.
inline constexpr int kError = 1;
inline constexpr int kUsage = 2;
inline constexpr int kHeld = 3;  ///< Another agent is at work on that folder.
}  // namespace exitStatus

[[nodiscard]] int agentMain(int argc, char** argv);

}  // namespace trainyard::agent
