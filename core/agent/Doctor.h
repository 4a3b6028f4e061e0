#pragma once
// The doctor's probes on the target itself. Each looks for real: no line is ok where its probe could not run. All
// block, so they run in a process of their own (ServeWorker).
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::agent {

enum class Finding { Ok, Warning, Failure, Unknown };

struct DoctorLine {
    std::string id;
    std::string title;
    Finding finding = Finding::Unknown;
    std::string text;
    std::string remedy;  ///< Empty when ok.
    base::Json values = base::Json::object();
};

struct DoctorQuestion {
    base::Path work;
    base::Path slots;
    std::string python = "python3";  ///< The interpreter that scripts get.
    std::set<std::string> names;     ///< Ids of the lines that are wanted; empty: all.
    std::set<std::string> need;      ///< Ids of what must be there: its absence is a failure.
    std::int64_t clientTime = 0;     ///< Microseconds UTC when the question was asked; 0: not told.
    std::int64_t askedAt = 0;        ///< Microseconds UTC when it came in here.
    std::vector<std::pair<std::string, std::string>> peers;  ///< The other nodes: name, numeric address.
};

/// Tells each line as it is found; `tell` returns false to stop.
void runDoctor(const DoctorQuestion& question, const std::function<bool(const DoctorLine&)>& tell);

[[nodiscard]] base::Json toJson(const DoctorLine& line);

/// The probes, for runDoctor alone: of the machine (Doctor.cpp) and of programs (DoctorPrograms.cpp).
namespace probes {
[[nodiscard]] DoctorLine gpus(const DoctorQuestion& question);
[[nodiscard]] DoctorLine cuda(const DoctorQuestion& question);
[[nodiscard]] DoctorLine nccl(const DoctorQuestion& question);
[[nodiscard]] DoctorLine mpi(const DoctorQuestion& question);
[[nodiscard]] DoctorLine containers(const DoctorQuestion& question);
[[nodiscard]] DoctorLine conda(const DoctorQuestion& question);
[[nodiscard]] DoctorLine python(const DoctorQuestion& question);
[[nodiscard]] DoctorLine torch(const DoctorQuestion& question);
[[nodiscard]] DoctorLine slurm(const DoctorQuestion& question);
}  // namespace probes

}  // namespace trainyard::agent
