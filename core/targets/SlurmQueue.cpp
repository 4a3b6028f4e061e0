#include "core/targets/SlurmQueue.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "core/base/Text.h"

namespace trainyard::targets {
namespace {

using base::Error;
using base::Result;
using base::split;
using base::trim;
using State = SchedulerLook::State;

std::int64_t number(std::string_view text, std::int64_t fallback = 0) {
    text = trim(text);
    std::int64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    return parsed.ec == std::errc{} ? value : fallback;
}

bool isNumber(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

double decimal(std::string_view text) {
    double value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    return parsed.ec == std::errc{} ? value : 0;
}

std::string_view fieldOf(const std::map<std::string, std::string, std::less<>>& fields, std::string_view key) {
    const auto found = fields.find(key);
    return found == fields.end() ? std::string_view{} : std::string_view(found->second);
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return out;
}

/// "1000M", "4G", "4000" (MiB) → bytes.
std::int64_t memoryBytes(std::string_view text) {
    std::int64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc{}) {
        return 0;
    }
    const char unit = parsed.ptr == text.data() + text.size() ? 'M' : *parsed.ptr;
    return unit == 'K' ? value << 10 : unit == 'G' ? value << 30 : unit == 'T' ? value << 40 : value << 20;
}

/// A word that begins a new Key=Value: a letter, then what Slurm's keys are made of, then '='.
bool beginsField(std::string_view word) {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0 || !(word[0] >= 'A' && word[0] <= 'Z')) {
        return false;
    }
    return std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == ':' ||
               c == '_';
    });
}

constexpr std::size_t kSqueueFields = 5;
constexpr std::size_t kQueueFields = 7;

/// The first `count - 1` fields end with '|'; the last takes the rest, whatever stands in it.
std::vector<std::string> fieldsOfLine(std::string_view line, std::size_t count) {
    std::vector<std::string> out;
    while (out.size() + 1 < count) {
        const std::size_t bar = line.find('|');
        if (bar == std::string_view::npos) {
            return {};
        }
        out.emplace_back(trim(line.substr(0, bar)));
        line.remove_prefix(bar + 1);
    }
    out.emplace_back(trim(line));
    return out;
}

std::string cleanReason(std::string_view reason) {
    reason = trim(reason);
    if (reason.size() >= 2 && reason.front() == '(' && reason.back() == ')') {
        reason = reason.substr(1, reason.size() - 2);
    }
    return reason == "None" || reason == "null" || reason == "(null)" ? std::string()
                                                                      : base::stripControl(base::toValidUtf8(reason));
}

}  // namespace

const std::vector<std::pair<std::string, std::string>>& slurmReadingEnvironment() {
    static const std::vector<std::pair<std::string, std::string>> environment{{"TZ", "UTC0"}, {"LC_ALL", "C"}};
    return environment;
}

State slurmState(std::string_view word) {
    word = trim(word);
    const std::string_view first = word.substr(0, word.find_first_of(" +"));
    struct Row {
        std::string_view name;
        State state;
    };
    static constexpr std::array kRows{
        Row{"PENDING", State::Pending},          Row{"CONFIGURING", State::Pending},
        Row{"REQUEUED", State::Pending},         Row{"REQUEUE_HOLD", State::Pending},
        Row{"REQUEUE_FED", State::Pending},      Row{"SPECIAL_EXIT", State::Pending},
        Row{"RESV_DEL_HOLD", State::Pending},    Row{"RUNNING", State::Running},
        Row{"SUSPENDED", State::Running},        Row{"STOPPED", State::Running},
        Row{"RESIZING", State::Running},         Row{"SIGNALING", State::Running},
        Row{"COMPLETING", State::Ending},        Row{"STAGE_OUT", State::Ending},
        Row{"COMPLETED", State::Completed},      Row{"FAILED", State::Failed},
        Row{"BOOT_FAIL", State::NodeFailed},     Row{"LAUNCH_FAILED", State::Failed},
        Row{"RECONFIG_FAIL", State::NodeFailed}, Row{"CANCELLED", State::Canceled},
        Row{"REVOKED", State::Canceled},         Row{"TIMEOUT", State::TimeLimit},
        Row{"DEADLINE", State::TimeLimit},       Row{"NODE_FAIL", State::NodeFailed},
        Row{"PREEMPTED", State::Preempted},      Row{"OUT_OF_MEMORY", State::OutOfMemory},
    };
    for (const Row& row : kRows) {
        // sacct cuts long words to its column.
        if (row.name == first || (first.size() >= 8 && row.name.starts_with(first))) {
            return row.state;
        }
    }
    return State::Unknown;
}

bool slurmStateIsFinal(State state) {
    return state != State::Pending && state != State::Running && state != State::Ending && state != State::Unknown;
}

std::int64_t slurmTime(std::string_view text) {
    text = trim(text);
    std::tm parts{};
    if (text.size() < 19 ||
        ::strptime(std::string(text.substr(0, 19)).c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) {
        return 0;
    }
    const std::time_t seconds = ::timegm(&parts);
    return seconds <= 0 ? 0 : std::int64_t{seconds} * 1'000'000;
}

std::optional<std::int64_t> slurmSeconds(std::string_view text) {
    text = trim(text);
    const std::string word = lower(text);
    if (word == "unlimited" || word == "infinite" || word == "none" || word == "n/a" || word == "partition_limit") {
        return 0;
    }
    std::int64_t days = 0;
    const std::size_t dash = text.find('-');
    if (dash != std::string_view::npos) {
        if (!isNumber(text.substr(0, dash))) {
            return std::nullopt;
        }
        days = number(text.substr(0, dash));
        text.remove_prefix(dash + 1);
    }
    const std::vector<std::string> parts = split(text, ':');
    if (parts.empty() || parts.size() > 3 ||
        !std::all_of(parts.begin(), parts.end(), [](const std::string& p) { return isNumber(p); })) {
        return std::nullopt;
    }
    std::array<std::int64_t, 3> values{};  // hours, minutes, seconds
    // "1-02" begins with hours, "1-02:30" too; without days "45" is minutes and "45:00" minutes and seconds.
    const std::size_t first = dash != std::string_view::npos || parts.size() == 3 ? 0 : 1;
    for (std::size_t i = 0; i < parts.size() && first + i < values.size(); ++i) {
        values[first + i] = number(parts[i]);
    }
    return days * 86'400 + values[0] * 3600 + values[1] * 60 + values[2];
}

std::map<std::string, std::string, std::less<>> slurmFields(std::string_view line) {
    std::map<std::string, std::string, std::less<>> out;
    std::string key;
    std::string value;
    const auto flush = [&] {
        if (!key.empty()) {
            out.emplace(key, std::string(trim(value)));
        }
    };
    for (const std::string& word : split(line, ' ')) {
        if (beginsField(word)) {
            flush();
            key = word.substr(0, word.find('='));
            value = word.substr(word.find('=') + 1);
        } else if (!word.empty()) {
            value += (value.empty() ? "" : " ") + word;
        }
    }
    flush();
    return out;
}

Result<SchedulerLook> slurmJobFromScontrol(std::string_view output) {
    const auto fields = slurmFields(output.substr(0, output.find('\n')));
    SchedulerLook look;
    look.job = fieldOf(fields, "JobId");
    look.state = slurmState(fieldOf(fields, "JobState"));
    if (!isNumber(look.job) || fieldOf(fields, "JobState").empty()) {
        return Error{"slurm.answer", "scontrol said nothing that could be read of the job: " +
                                         base::stripControl(base::toValidUtf8(output)).substr(0, 200)};
    }
    look.reason = cleanReason(fieldOf(fields, "Reason"));
    look.restarts = static_cast<int>(number(fieldOf(fields, "Restarts")));
    if (look.state == State::Pending) {
        look.estimatedStart = slurmTime(fieldOf(fields, "StartTime"));
    }
    return look;
}

std::vector<std::string> squeueByName(const std::string& name) {
    return {"squeue", "--noheader", "--states=all", "--name=" + name, "--sort=i", "--format=%i|%T|%S|%D|%r"};
}

std::vector<SchedulerLook> slurmJobsFromSqueue(std::string_view output) {
    std::vector<SchedulerLook> out;
    for (const std::string& line : split(output, '\n')) {
        const std::vector<std::string> fields = fieldsOfLine(line, kSqueueFields);
        if (fields.empty() || !isNumber(fields[0])) {
            continue;
        }
        SchedulerLook look;
        look.job = fields[0];
        look.state = slurmState(fields[1]);
        look.estimatedStart = look.state == State::Pending ? slurmTime(fields[2]) : 0;
        look.reason = cleanReason(fields[4]);
        out.push_back(std::move(look));
    }
    return out;
}

std::vector<std::string> sacctOfJob(const std::string& job, bool fromCompletionLog) {
    if (fromCompletionLog) {
        return {"sacct", "--completion", "--noheader", "--parsable2", "--jobs=" + job, "--format=jobid,state"};
    }
    return {"sacct", "--allocations", "--noheader", "--parsable2", "--jobs=" + job, "--format=JobID,State"};
}

std::optional<SchedulerLook> slurmJobFromSacct(std::string_view output, const std::string& job) {
    std::optional<SchedulerLook> last;
    for (const std::string& line : split(output, '\n')) {
        const std::vector<std::string> fields = fieldsOfLine(line, 2);
        if (!fields.empty() && fields[0] == job) {
            SchedulerLook look;
            look.job = job;
            look.state = slurmState(fields[1]);
            last = look;
        }
    }
    return last;
}

Result<std::string> slurmJobNumber(std::string_view sbatchOutput) {
    // A site's own messages may stand before the number.
    std::string job;
    for (const std::string& line : split(sbatchOutput, '\n')) {
        const std::string_view first = trim(std::string_view(line).substr(0, line.find(';')));
        if (isNumber(first)) {
            job = first;
        }
    }
    if (job.empty()) {
        return Error{"slurm.answer", "sbatch did not say the job's number but: " +
                                         base::stripControl(base::toValidUtf8(sbatchOutput)).substr(0, 200)};
    }
    return job;
}

std::int64_t slurmTestedStart(std::string_view sbatchErrors) {
    constexpr std::string_view kWords = " to start at ";
    const std::size_t at = sbatchErrors.find(kWords);
    return at == std::string_view::npos ? 0 : slurmTime(sbatchErrors.substr(at + kWords.size(), 19));
}

Error slurmComplaint(std::string_view program, std::string_view errors) {
    struct Row {
        std::string_view words;  ///< In lower case.
        const char* code;
        const char* field;
        const char* advice;
    };
    static constexpr std::array kRows{
        Row{"unable to contact slurm controller", "target.unreachable", "", "Slurm's controller does not answer."},
        Row{"socket timed out", "target.unreachable", "", "Slurm's controller does not answer in time."},
        Row{"slurm backup controller in standby", "target.unreachable", "", "Slurm's controller is changing over."},
        Row{"unable to establish configuration source", "target.program", "",
            "Slurm's commands find no configuration on this machine."},
        Row{"invalid partition", "slurm.partition", "slurm.partition", "The cluster has no such partition."},
        Row{"required partition not available", "slurm.partition", "slurm.partition",
            "The partition is closed at present."},
        Row{"group not permitted to use this partition", "slurm.partition", "slurm.partition",
            "You may not use this partition."},
        Row{"access/permission denied", "slurm.policy", "slurm.account", "The cluster does not let you do this."},
        Row{"invalid account", "slurm.account", "slurm.account",
            "The cluster does not know this account, or not with this partition."},
        Row{"invalid qos", "slurm.qos", "slurm.qos", "The cluster does not know this QOS, or you may not use it."},
        Row{"invalid feature", "slurm.constraint", "slurm.constraint", "No node has what the constraint asks for."},
        Row{"invalid constraint", "slurm.constraint", "slurm.constraint", "No node has what the constraint asks for."},
        Row{"invalid generic resource", "slurm.gpus", "distribution.gpus", "The cluster has no such GPUs."},
        Row{"violates accounting/qos policy", "slurm.policy", "slurm.account",
            "The account's or QOS' limits do not allow this job."},
        Row{"time limit", "slurm.time", "limits.max_seconds", "The time limit is more than the partition allows."},
        Row{"node count", "slurm.nodes", "distribution.nodes", "So many nodes cannot be had."},
        Row{"cpu count per node", "slurm.cores", "distribution.processes", "No node has so many cores."},
        Row{"more processors requested", "slurm.cores", "distribution.processes", "No node has so many cores."},
        Row{"memory specification", "slurm.policy", "slurm.extra_lines", "So much memory cannot be had."},
        Row{"requested node configuration is not available", "slurm.nodes", "distribution.nodes",
            "No node of the partition has what one node of the run asks for (cores, GPUs, memory)."},
        Row{"unrecognized option", "slurm.line", "slurm.extra_lines",
            "This Slurm does not know an option of the extra lines."},
        Row{"invalid option", "slurm.line", "slurm.extra_lines",
            "This Slurm does not know an option of the extra lines."},
        Row{"requires an argument", "slurm.line", "slurm.extra_lines", "An option of the extra lines lacks its value."},
        Row{"reservation", "slurm.policy", "slurm.extra_lines", "The reservation cannot be used."},
        Row{"no space left on device", "target.disk_full", "", "A disk of the cluster is full."},
    };
    std::string said;
    const std::string prefix = std::string(program) + ": ";
    for (const std::string& line : split(errors, '\n')) {
        std::string_view words = trim(line);
        if (words.starts_with(prefix)) {
            words.remove_prefix(prefix.size());
        }
        if (words.starts_with("error: ")) {
            words.remove_prefix(7);
        }
        if (!words.empty() && !words.starts_with("Try \"") && !words.starts_with("Try '")) {
            said += (said.empty() ? "" : "; ") + base::stripControl(base::toValidUtf8(words));
        }
    }
    said = said.substr(0, 600);
    const std::string known = lower(said);
    for (const Row& row : kRows) {
        if (known.find(row.words) != std::string::npos) {
            return {row.code, std::string(row.advice) + " Slurm says: " + said, row.field};
        }
    }
    return {"slurm.refused", std::string(program) + " failed: " + (said.empty() ? "it did not say why." : said)};
}

std::string slurmReasonText(std::string_view reason) {
    struct Row {
        std::string_view word;
        const char* text;
    };
    static constexpr std::array kRows{
        Row{"Resources", "waits until enough nodes are free"},
        Row{"Priority", "other jobs go first"},
        Row{"Dependency", "waits for another job"},
        Row{"JobHeldUser", "held back; scontrol release lets it go"},
        Row{"JobHeldAdmin", "held back by the cluster's administrator"},
        Row{"BeginTime", "may not start yet: a job that was put back into the queue waits a little"},
        Row{"PartitionDown", "the partition is closed at present"},
        Row{"PartitionInactive", "the partition is closed at present"},
        Row{"PartitionTimeLimit", "the time limit is more than the partition allows; the job will not start"},
        Row{"PartitionNodeLimit", "the partition does not allow so many nodes; the job will not start"},
        Row{"PartitionConfig", "the partition cannot give what the job asks for; it will not start"},
        Row{"ReqNodeNotAvail", "a node that it needs is down, drained or reserved"},
        Row{"NodeDown", "a node that it needs is down"},
        Row{"BadConstraints", "nothing has what the job asks for; it will not start"},
        Row{"Licenses", "waits for a licence"},
        Row{"Reservation", "waits for its reservation"},
        Row{"launch failed requeued held",
            "its start failed on a node, and Slurm holds it back; scontrol release lets it go"},
        Row{"Nodes required for job are DOWN", "the nodes it needs are down, drained or reserved"},
        Row{"QOSMax", "a limit of the QOS is reached"},
        Row{"AssocMax", "a limit of the account is reached"},
        Row{"AssocGrp", "a limit of the account is reached"},
        Row{"QOSGrp", "a limit of the QOS is reached"},
        Row{"Cleaning", "the job before is still being cleaned up"},
    };
    for (const Row& row : kRows) {
        if (reason.starts_with(row.word)) {
            return row.text;
        }
    }
    return {};
}

std::vector<SlurmPartition> slurmPartitions(std::string_view output) {
    std::vector<SlurmPartition> out;
    for (const std::string& line : split(output, '\n')) {
        const auto fields = slurmFields(line);
        if (fieldOf(fields, "PartitionName").empty()) {
            continue;
        }
        SlurmPartition partition;
        partition.name = fieldOf(fields, "PartitionName");
        partition.isDefault = fieldOf(fields, "Default") == "YES";
        partition.up = fieldOf(fields, "State") == "UP";
        partition.maxSeconds = slurmSeconds(fieldOf(fields, "MaxTime")).value_or(0);
        partition.defaultSeconds = slurmSeconds(fieldOf(fields, "DefaultTime")).value_or(0);
        partition.maxNodes = static_cast<int>(number(fieldOf(fields, "MaxNodes")));
        partition.nodes = static_cast<int>(number(fieldOf(fields, "TotalNodes")));
        partition.priorityTier = static_cast<int>(number(fieldOf(fields, "PriorityTier")));
        out.push_back(std::move(partition));
    }
    return out;
}

bool SlurmNode::usable() const {
    if (state.find('*') != std::string::npos) {
        return false;  // does not answer
    }
    const std::vector<std::string> words = split(state, '+');
    const bool cloud = std::find(words.begin(), words.end(), "CLOUD") != words.end();  // started when a job wants it
    return std::none_of(words.begin(), words.end(), [cloud](const std::string& word) {
        return word == "DOWN" || word == "DRAIN" || word == "DRAINED" || word == "DRAINING" || word == "FAIL" ||
               word == "FAILING" || word == "MAINT" || word == "UNKNOWN" || word == "NOT_RESPONDING" ||
               word == "FUTURE" ||
               (!cloud && (word == "POWERED_DOWN" || word == "POWERING_DOWN" || word == "POWER_DOWN"));
    });
}

std::vector<SlurmNode> slurmNodes(std::string_view output) {
    std::vector<SlurmNode> out;
    for (const std::string& line : split(output, '\n')) {
        const auto fields = slurmFields(line);
        if (fieldOf(fields, "NodeName").empty()) {
            continue;
        }
        SlurmNode node;
        node.name = fieldOf(fields, "NodeName");
        node.state = fieldOf(fields, "State");
        node.cores = static_cast<int>(number(fieldOf(fields, "CPUTot")));
        node.coresBusy = static_cast<int>(number(fieldOf(fields, "CPUAlloc")));
        node.memoryBytes = number(fieldOf(fields, "RealMemory")) << 20;
        node.memoryBusyBytes = number(fieldOf(fields, "AllocMem")) << 20;
        node.load = decimal(fieldOf(fields, "CPULoad"));
        node.gpusByType = slurmGpus(fieldOf(fields, "Gres"));
        for (const auto& [type, count] : node.gpusByType) {
            node.gpus += count;
        }
        for (const auto& [type, count] : slurmGpus(fieldOf(fields, "GresUsed"))) {
            node.gpusBusy += count;
        }
        // AllocTRES=cpu=2,mem=1000M,gres/gpu=1,gres/gpu:tesla=1: the count without a type is the sum.
        for (const std::string& item : split(fieldOf(fields, "AllocTRES"), ',')) {
            constexpr std::string_view kGpu = "gres/gpu=";
            constexpr std::string_view kMemory = "mem=";
            if (item.starts_with(kGpu) && node.gpusBusy == 0) {
                node.gpusBusy = static_cast<int>(number(std::string_view(item).substr(kGpu.size())));
            } else if (item.starts_with(kMemory) && node.memoryBusyBytes == 0) {
                node.memoryBusyBytes = memoryBytes(std::string_view(item).substr(kMemory.size()));
            }
        }
        for (const std::string& partition : split(fieldOf(fields, "Partitions"), ',')) {
            if (!partition.empty()) {
                node.partitions.push_back(partition);
            }
        }
        out.push_back(std::move(node));
    }
    return out;
}

std::map<std::string, int> slurmGpus(std::string_view gres) {
    std::map<std::string, int> out;
    std::string plain;  // "(S:0-1)" and "(IDX:0,2)" say where they are
    int depth = 0;
    for (const char c : gres) {
        depth += c == '(' ? 1 : 0;
        if (depth == 0) {
            plain += c;
        }
        depth -= c == ')' && depth > 0 ? 1 : 0;
    }
    for (const std::string& item : split(plain, ',')) {
        const std::vector<std::string> parts = split(item, ':');
        if (parts.empty() || parts[0] != "gpu") {
            continue;
        }
        const bool counted = parts.size() > 1 && isNumber(parts.back());
        const std::string type = parts.size() > (counted ? 2U : 1U) ? parts[1] : "";
        out[type] += counted ? static_cast<int>(number(parts.back())) : 1;
    }
    return out;
}

std::optional<std::pair<int, int>> slurmVersion(std::string_view text) {
    const std::size_t digit = text.find_first_of("0123456789");
    if (digit == std::string_view::npos) {
        return std::nullopt;
    }
    const std::vector<std::string> parts = split(trim(text.substr(digit)), '.');
    if (parts.size() < 2 || !isNumber(parts[0]) || !isNumber(parts[1])) {
        return std::nullopt;
    }
    return std::pair(static_cast<int>(number(parts[0])), static_cast<int>(number(parts[1])));
}

std::vector<std::string> squeueOfPartition(const std::string& partition) {
    std::vector<std::string> argv{"squeue", "--noheader", "--states=PENDING,RUNNING", "--sort=-t,-p,i",
                                  "--format=%i|%u|%T|%D|%S|%r|%j"};
    if (!partition.empty()) {
        argv.push_back("--partition=" + partition);
    }
    return argv;
}

std::vector<SlurmQueued> slurmQueue(std::string_view output) {
    std::vector<SlurmQueued> out;
    for (const std::string& line : split(output, '\n')) {
        const std::vector<std::string> fields = fieldsOfLine(line, kQueueFields);
        if (fields.empty()) {
            continue;
        }
        SlurmQueued queued;
        queued.job = fields[0];
        queued.user = fields[1];
        queued.state = slurmState(fields[2]);
        queued.nodes = static_cast<int>(number(fields[3]));
        queued.start = slurmTime(fields[4]);
        queued.reason = cleanReason(fields[5]);
        queued.name = base::stripControl(base::toValidUtf8(fields[6]));
        out.push_back(std::move(queued));
    }
    return out;
}

}  // namespace trainyard::targets
