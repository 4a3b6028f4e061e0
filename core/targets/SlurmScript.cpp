#include "core/targets/SlurmScript.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "core/base/Text.h"

namespace trainyard::targets {
namespace {

using base::Error;
using base::Result;
using base::Status;

constexpr std::size_t kLongestValue = 256;
constexpr std::size_t kLongestLine = 1024;
constexpr std::int64_t kLongestSignal = 65'535;  ///< sbatch's own limit, seconds.
/// Time between the request to be queued again and the limit itself; the request must still reach the controller.
constexpr std::int64_t kRequeueMarginSeconds = 15;

bool isWordCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool hasControl(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// A name in Slurm's own tables, or an expression of such names: letters, digits and `more`.
Status checkName(const std::string& value, std::string_view more, const std::string& field, const std::string& what) {
    if (value.empty()) {
        return {};
    }
    const bool plain = std::all_of(value.begin(), value.end(), [more](char c) {
        return isWordCharacter(c) || more.find(c) != std::string_view::npos;
    });
    if (!plain || value.front() == '-' || value.size() > kLongestValue) {
        return Error{"slurm.value",
                     what + " \"" + base::stripControl(base::toValidUtf8(value)).substr(0, 80) +
                         "\" cannot be: letters, digits and " + std::string(more) + " may stand in it, no '-' first.",
                     field};
    }
    return {};
}

/// Options that the form's own fields or the way a run is carried out decide.
struct Owned {
    std::string_view name;
    char letter;
    std::string_view why;
};
constexpr std::string_view kForm = "has a field of its own";
constexpr std::string_view kOurs = "is set by the run itself";
constexpr std::array kOwned{
    Owned{"partition", 'p', kForm},
    Owned{"account", 'A', kForm},
    Owned{"qos", 'q', kForm},
    Owned{"constraint", 'C', kForm},
    Owned{"time", 't', kForm},
    Owned{"nodes", 'N', kForm},
    Owned{"ntasks", 'n', kOurs},
    Owned{"ntasks-per-node", 0, kOurs},
    Owned{"cpus-per-task", 'c', kForm},
    Owned{"gres", 0, kForm},
    Owned{"gpus-per-node", 0, kForm},
    Owned{"gpus", 'G', kForm},
    Owned{"requeue", 0, kOurs},
    Owned{"no-requeue", 0, kOurs},
    Owned{"signal", 0, kForm},
    Owned{"job-name", 'J', kOurs},
    Owned{"output", 'o', kOurs},
    Owned{"error", 'e', kOurs},
    Owned{"input", 'i', kOurs},
    Owned{"open-mode", 0, kOurs},
    Owned{"chdir", 'D', kOurs},
    Owned{"array", 'a', kOurs},
    Owned{"wrap", 0, kOurs},
    Owned{"export", 0, "belongs to the run's variables"},
    Owned{"export-file", 0, "belongs to the run's variables"},
    Owned{"parsable", 0, kOurs},
    Owned{"test-only", 0, kOurs},
    Owned{"wait", 'W', kOurs},
    Owned{"uid", 0, kOurs},
    Owned{"gid", 0, kOurs},
    Owned{"clusters", 'M', kOurs},
    Owned{"version", 'V', kOurs},
    Owned{"help", 'h', kOurs},
    Owned{"usage", 0, kOurs},
    Owned{"quiet", 'Q', kOurs},
};

const Owned* ownedOption(std::string_view word) {
    const bool isLong = word.starts_with("--");
    const std::string_view name =
        isLong ? word.substr(2, word.find('=') == std::string_view::npos ? std::string_view::npos : word.find('=') - 2)
               : word.substr(1);
    for (const Owned& owned : kOwned) {
        // sbatch takes any unambiguous beginning of a long option for the option.
        const bool hit = isLong ? !name.empty() && owned.name.starts_with(name)
                                : owned.letter != 0 && !name.empty() && name.front() == owned.letter;
        if (hit) {
            return &owned;
        }
    }
    return nullptr;
}

Status checkLine(const std::string& line) {
    const std::string field = "slurm.extra_lines";
    const std::string shown = "\"" + base::stripControl(base::toValidUtf8(line)).substr(0, 80) + "\"";
    if (!line.starts_with('-') || line.size() < 2 || line.size() > kLongestLine) {
        return Error{"slurm.line", "The line " + shown + " is no option: it must begin with '-', as in --exclusive.",
                     field};
    }
    if (hasControl(line) || !base::isValidUtf8(line)) {
        return Error{"slurm.line",
                     "The line " + shown + " has a line break, another control character or broken text in it.", field};
    }
    for (const std::string& word : base::split(line, ' ')) {
        if (word == "--") {
            return Error{"slurm.line", "The line " + shown + " would end the options of sbatch.", field};
        }
        if (!word.starts_with('-') || word.size() < 2) {
            continue;
        }
        if (const Owned* owned = ownedOption(word)) {
            return Error{"slurm.line",
                         "The line " + shown + " cannot be: --" + std::string(owned->name) + " " +
                             std::string(owned->why) + ".",
                         field};
        }
    }
    return {};
}

/// A path as it may stand in an "#SBATCH" line between double quotes, whose reader knows '"' and '\\'.
Status checkPath(const std::string& path) {
    if (path.empty() || path.front() != '/' || hasControl(path) || path.find_first_of("\"\\") != std::string::npos) {
        return Error{"slurm.path",
                     "The work folder \"" + base::stripControl(base::toValidUtf8(path)) +
                         "\" cannot be used with Slurm: it must be absolute, without quotes, backslashes and control "
                         "characters.",
                     "work_folder"};
    }
    return {};
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

/// "%" begins a pattern in names of output files.
std::string withoutPatterns(const std::string& path) {
    std::string out;
    for (const char c : path) {
        out.append(c == '%' ? 2 : 1, c);
    }
    return out;
}

std::string directive(const std::string& option) { return "#SBATCH " + option + "\n"; }

}  // namespace

std::string slurmJobName(const base::RunId& run) { return "trainyard-" + run.str(); }

std::string slurmPartition(const spec::SlurmSpec& slurm) {
    return slurm.lowPriority && !slurm.lowPriorityPartition.empty() ? slurm.lowPriorityPartition : slurm.partition;
}

std::string slurmQos(const spec::SlurmSpec& slurm) {
    return slurm.lowPriority && !slurm.lowPriorityQos.empty() ? slurm.lowPriorityQos : slurm.qos;
}

Status checkSlurmSpec(const spec::SlurmSpec& slurm) {
    constexpr std::string_view kNames = "_.-+@:/";
    constexpr std::string_view kLists = "_.-+@:/,";
    TRAINYARD_TRY(checkName(slurm.partition, kLists, "slurm.partition", "The partition"));
    TRAINYARD_TRY(checkName(slurm.account, kNames, "slurm.account", "The account"));
    TRAINYARD_TRY(checkName(slurm.qos, kNames, "slurm.qos", "The QOS"));
    TRAINYARD_TRY(checkName(slurm.constraint, "_.-+@:/,&|[]()*=", "slurm.constraint", "The constraint"));
    TRAINYARD_TRY(checkName(slurm.gpuType, "_.-", "slurm.gpu_type", "The type of GPU"));
    TRAINYARD_TRY(checkName(slurm.lowPriorityPartition, kLists, "slurm.low_priority_partition", "The partition"));
    TRAINYARD_TRY(checkName(slurm.lowPriorityQos, kNames, "slurm.low_priority_qos", "The QOS"));
    if (slurm.signalSeconds < 0 || slurm.signalSeconds > kLongestSignal) {
        return Error{"slurm.value", "The warning before the time limit must be 0 to 65535 seconds.",
                     "slurm.signal_seconds"};
    }
    if (slurm.timeLimitMinutes < 0) {
        return Error{"slurm.value", "The time limit cannot be negative.", "slurm.time_limit_minutes"};
    }
    if (slurm.minNodes < 1 || slurm.maxNodes < slurm.minNodes) {
        return Error{"slurm.value", "The most nodes must be at least the fewest, and those at least 1.",
                     "slurm.max_nodes"};
    }
    for (const std::string& line : slurm.extraLines) {
        TRAINYARD_TRY(checkLine(line));
    }
    return {};
}

std::vector<std::string> slurmPlace(const spec::SlurmSpec& slurm) {
    std::vector<std::string> options;
    const auto add = [&options](const char* name, const std::string& value) {
        if (!value.empty()) {
            options.push_back(std::string(name) + value);
        }
    };
    add("--partition=", slurmPartition(slurm));
    add("--account=", slurm.account);
    add("--qos=", slurmQos(slurm));
    add("--constraint=", slurm.constraint);
    return options;
}

Result<std::string> slurmScript(const spec::SlurmSpec& slurm, const SlurmJob& job) {
    TRAINYARD_TRY(checkSlurmSpec(slurm));
    TRAINYARD_TRY(checkPath(job.runFolder));
    TRAINYARD_TRY(checkPath(job.agent));
    if (job.nodes < slurm.minNodes || job.nodes > slurm.maxNodes) {
        const std::string range = slurm.minNodes == slurm.maxNodes
                                      ? std::to_string(slurm.minNodes)
                                      : std::to_string(slurm.minNodes) + " to " + std::to_string(slurm.maxNodes);
        return Error{"slurm.nodes",
                     "The run asks for " + std::to_string(job.nodes) + " nodes; the target allows " + range + ".",
                     "distribution.nodes"};
    }
    const std::string nodes = std::to_string(job.nodes);
    const std::string cores = std::to_string(std::max(1, job.cores));
    const std::int64_t minutes = job.minutes > 0 ? job.minutes : slurm.timeLimitMinutes;

    std::string text = "#!/bin/bash\n# Trainyard run " + job.run.str() + "\n";
    text += directive("--job-name=" + slurmJobName(job.run));
    for (const std::string& option : slurmPlace(slurm)) {
        const std::size_t value = option.find('=') + 1;
        text += directive(option.substr(0, value) + quoted(option.substr(value)));
    }
    text += directive("--nodes=" + nodes);
    text += directive("--ntasks=" + nodes);
    text += directive("--ntasks-per-node=1");
    text += directive("--cpus-per-task=" + cores);
    if (job.gpus > 0) {
        text +=
            directive("--gres=gpu:" + (slurm.gpuType.empty() ? "" : slurm.gpuType + ":") + std::to_string(job.gpus));
    }
    if (minutes > 0) {
        text += directive("--time=" + std::to_string(minutes));
    }
    text += directive("--requeue");
    text += directive("--open-mode=append");
    if (slurm.lowPriority && slurm.lowPriorityPartition.empty() && slurm.lowPriorityQos.empty()) {
        text += directive("--nice=10000");
    }
    if (slurm.signalSeconds > 0) {
        text += directive("--signal=B:USR1@" + std::to_string(slurm.signalSeconds));
    }
    text += directive("--chdir=" + quoted(job.runFolder));
    text += directive("--output=" + quoted(withoutPatterns(job.runFolder) + "/slurm-%j.out"));
    for (const std::string& line : slurm.extraLines) {
        text += directive(line);
    }
    text += "\numask 077\n";
    text += "run=" + base::shellQuote(job.runFolder) + "\n";
    text += "agent=" + base::shellQuote(job.agent) + "\n";
    text += "attempt=$((${SLURM_RESTART_COUNT:-0} + 1))\n";
    text += R"SH(
# One job carries out this run: the first that writes its number here. A repeated submission ends at once.
if ! (set -o noclobber; echo "$SLURM_JOB_ID" > "$run/job") 2> /dev/null; then
    if [ "$(cat "$run/job")" != "$SLURM_JOB_ID" ]; then
        echo "Job $(cat "$run/job") carries out this run; job $SLURM_JOB_ID ends."
        exit 0
    fi
fi
)SH";
    if (slurm.signalSeconds > 0) {
        text += R"SH(
# The time limit is near: each node is asked for a checkpoint.
warned() {
    for node in "$run/a$attempt"/n*; do
        [ -d "$node" ] || continue
        mkdir -p "$node/control" && : > "$node/control/.checkpoint" && mv "$node/control/.checkpoint" "$node/control/checkpoint"
    done
    mkdir -p "$run/a$attempt" && : > "$run/a$attempt/warned"
)SH";
        if (slurm.requeueAtLimit) {
            const std::int64_t wait = std::max<std::int64_t>(1, slurm.signalSeconds - kRequeueMarginSeconds);
            text += "    (\n"
                    "        for ((second = 0; second < " +
                    std::to_string(wait) +
                    "; second++)); do\n"
                    "            [ \"$run/outputs/checkpoints/last.ckpt\" -nt \"$run/a$attempt/warned\" ] && break\n"
                    "            sleep 1\n"
                    "        done\n"
                    "        scontrol requeue \"$SLURM_JOB_ID\"\n"
                    "    ) &\n";
        }
        text += "}\ntrap warned USR1\n";
    }
    text += "trap : TERM\n\n";
    text += "srun --nodes=" + nodes + " --ntasks=" + nodes + " --ntasks-per-node=1 --cpus-per-task=" + cores +
            " --overlap --mpi=none \\\n"
            "    --kill-on-bad-exit=0 --wait=0 --input=none \"$agent\" run --scheduler \"$run\" &\n";
    text += R"SH(step=$!
wait "$step"
status=$?
while kill -0 "$step" 2> /dev/null; do
    wait "$step"
    status=$?
done
exit "$status"
)SH";
    return text;
}

const std::vector<std::string>& slurmHiddenVariables() {
    static const std::vector<std::string> names{
        "SBATCH_PARTITION",  "SBATCH_ACCOUNT",  "SBATCH_QOS",        "SBATCH_CONSTRAINT",   "SBATCH_JOB_NAME",
        "SBATCH_TIMELIMIT",  "SBATCH_REQUEUE",  "SBATCH_NO_REQUEUE", "SBATCH_SIGNAL",       "SBATCH_OPEN_MODE",
        "SBATCH_ARRAY_INX",  "SBATCH_WAIT",     "SBATCH_EXPORT",     "SBATCH_GPUS",         "SBATCH_GPUS_PER_NODE",
        "SBATCH_GRES",       "SBATCH_CLUSTERS", "SLURM_CLUSTERS",    "SQUEUE_PARTITION",    "SQUEUE_ACCOUNT",
        "SQUEUE_STATES",     "SQUEUE_FORMAT",   "SQUEUE_FORMAT2",    "SQUEUE_USERS",        "SQUEUE_QOS",
        "SQUEUE_SORT",       "SINFO_PARTITION", "SINFO_FORMAT",      "SINFO_SORT",          "SACCT_FEDERATION",
        "SLURM_TIME_FORMAT", "SLURM_JOB_ID",    "SLURM_JOBID",       "SLURM_RESTART_COUNT", "SRUN_EXPORT_ENV",
        "SLURM_EXPORT_ENV"};
    return names;
}

std::vector<std::string> slurmCommand(std::vector<std::string> argv) {
    std::vector<std::string> all{"env"};
    for (const std::string& name : slurmHiddenVariables()) {
        all.push_back("-u");
        all.push_back(name);
    }
    all.insert(all.end(), std::make_move_iterator(argv.begin()), std::make_move_iterator(argv.end()));
    return all;
}

}  // namespace trainyard::targets
