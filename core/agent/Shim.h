#pragma once
// `trainyard-agent shim NODEFOLDER RANK`: the parent of one rank. It lives in its own session, so neither the end of
// the agent nor that of a terminal reaches it, and it is the subreaper of everything the rank starts, so nothing
// escapes.
//
// Order of events, each safe to be killed after:
//   1. takes r<k>.lock; if another shim of this rank has it, or one has been here before, ends without a word
//   2. forks the rank, which waits; writes r<k>.shim.json; lets the rank go on to exec
//   3. waits; SIGTERM to the shim asks the rank's process group and all descendants to end, SIGKILL after the grace
//   time
//   4. when the rank has ended, ends what it left running, then writes r<k>.exit.json
// So r<k>.exit.json says that nothing of the rank runs any more. The rank has PR_SET_PDEATHSIG = SIGKILL: a shim that
// is killed itself takes its rank along, since nobody could tell the rank's exit status any more.
#include "core/agent/RankFiles.h"

namespace trainyard::agent {

/// Runs as the shim until its rank has ended; returns the process's exit status. Single-threaded.
[[nodiscard]] int runShim(const NodeLayout& layout, int rank);
/// The same as a process of MPI's launcher, which learns the rank's end from our exit status (128 + signal).
[[nodiscard]] int runMpiShim(const NodeLayout& layout, int rank);

}  // namespace trainyard::agent
