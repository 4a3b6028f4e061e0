// The table that the form, the command line's help, the JSON schema and validation of compute targets all read.
#include "core/spec/FieldTable.h"
#include "core/spec/TargetSpec.h"

namespace trainyard::spec {

namespace {

const Condition kSsh = {"kind", {"ssh"}};
const Condition kSlurm = {"kind", {"slurm"}};
const Condition kElsewhere = {"kind", {"ssh", "slurm"}};

void addSlurm(FieldTable& table) {
    const SlurmSpec defaults;
    table.group("Slurm", {kSlurm});
    table.add("slurm.login", "Login node", FieldType::Text, "",
              "As given to ssh: an alias of your configuration, host, or user@host. Empty: Slurm's commands are on "
              "this machine.");
    table.integer("slurm.login_port", "Port", 0, 0, 65535, "", "0: as your ssh configuration says.").advanced = true;
    table.add("slurm.partition", "Partition", FieldType::Text, "", "Empty: the cluster's default.");
    table.add("slurm.account", "Account", FieldType::Text, "", "Who pays for the time; empty: your default.");
    table.add("slurm.qos", "Quality of service", FieldType::Text, "", "Empty: your default.").advanced = true;
    table.add("slurm.constraint", "Constraint", FieldType::Text, "", "Features that nodes must have.").advanced = true;
    table.integer("slurm.min_nodes", "Fewest nodes", defaults.minNodes, 1, 100'000, "nodes",
                  "A run asks for at least so many.");
    table.integer("slurm.max_nodes", "Most nodes", defaults.maxNodes, 1, 100'000, "nodes",
                  "A run asks for at most so many.");
    table
        .add("slurm.gpu_type", "GPU type", FieldType::Text, "",
             "Name of the GPUs in the cluster's configuration; empty: any.")
        .advanced = true;
    table.add("slurm.low_priority", "Low priority", FieldType::Boolean, defaults.lowPriority,
              "Cheaper nodes that may be taken away: the run is queued again and goes on from its checkpoint.");
    table.group("Slurm", {kSlurm, {"slurm.low_priority", {"true"}}});
    table.add("slurm.low_priority_partition", "Its partition", FieldType::Text, "", "Where jobs may be taken away.");
    table.add("slurm.low_priority_qos", "Its quality of service", FieldType::Text, "",
              "With which jobs may be taken away.");
    table.group("Slurm", {kSlurm});
    table.integer("slurm.time_limit_minutes", "Time limit", defaults.timeLimitMinutes, 0, 5'256'000, "minutes",
                  "When a run names none; 0: the partition's.");
    table
        .integer("slurm.signal_seconds", "Warning before the limit", defaults.signalSeconds, 0, 65535, "seconds",
                 "So long before its time limit a run is told to write a checkpoint; 0: never.")
        .advanced = true;
    table
        .add("slurm.requeue_at_limit", "Go on after the limit", FieldType::Boolean, defaults.requeueAtLimit,
             "At its time limit a run is queued again and goes on from its checkpoint.")
        .advanced = true;
    table
        .choice("slurm.launcher", "MPI launcher", defaults.launcher, {{"srun", "srun", ""}, {"mpirun", "mpirun", ""}},
                "What starts the ranks of MPI runs.")
        .advanced = true;
    table
        .add("slurm.extra_lines", "Extra sbatch lines", FieldType::TextList, Json::array(),
             "Each goes behind #SBATCH: --exclusive")
        .advanced = true;
}

}  // namespace

const std::vector<Field>& targetSpecFields() {
    static const std::vector<Field> fields = [] {
        const TargetSpec defaults;
        FieldTable table;
        table.group("Target");
        Field& name =
            table.add("name", "Name", FieldType::Text, "", "Small letters, digits, dots, dashes and underscores.");
        name.required = true;
        name.maxLength = 64;
        table.choice("kind", "Kind", "ssh",
                     {{"ssh", "SSH", "One host or several, reached with your own ssh configuration."},
                      {"slurm", "Slurm", "A cluster with a queue, here or through a login node."},
                      {"local", "This machine", "Settings of the computer that Trainyard runs on."}},
                     "How the machines are reached.");
        table.add("description", "Description", FieldType::MultilineText, "", "For people.");
        table.add("disabled", "Disabled", FieldType::Boolean, false,
                  "New runs are refused; those that are there go on.");
        addSlurm(table);
        table.group("Hosts", {kSsh});
        table
            .add("shared", "One work folder", FieldType::Boolean, false,
                 "All hosts see the same work folder (NFS and the like).")
            .advanced = true;
        table.group("Resources");
        table.integer("cores", "Cores", 0, 0, 65536, "cores", "Of each host, for runs; 0: all.").advanced = true;
        table.integer("max_gpus", "GPUs", -1, -1, 1024, "GPUs", "Of each host, for runs; -1: all.").advanced = true;
        table.add("work_folder", "Work folder", FieldType::Text, "",
                  "There; absolute or beginning with ~/. Empty: ~/.local/share/trainyard/work.");
        table
            .add("slots_folder", "Slots folder", FieldType::Text, "",
                 "Where all users of a machine share its cores and GPUs. Empty: /var/tmp/trainyard-slots.")
            .advanced = true;
        table.group("Software");
        table
            .add("engine", "Engine", FieldType::Text, defaults.engine,
                 "auto, bundle, built (there, from its sources), or the absolute path of an engine there.")
            .advanced = true;
        table
            .add("torch", "libtorch", FieldType::Text, "",
                 "Absolute path there, for building the engine; empty: looked for.")
            .advanced = true;
        table.add("python", "Python", FieldType::Text, defaults.python, "What runs scripts that name no interpreter.");
        table.add("variables", "Environment variables", FieldType::TextMap, Json::object(), "For every run there.")
            .advanced = true;
        table.group("Keeping", {});
        table
            .integer("data_cache_gib", "Data cache", 0, 0, 1'000'000, "GiB",
                     "Data that nothing uses goes above it; 0: no limit.")
            .advanced = true;
        table.choice(
            "retention", "Runs' folders", defaults.retention,
            {{"collected", "Remove once all is here", ""}, {"days", "Remove after days", ""}, {"keep", "Keep", ""}},
            "When a run's folder goes from the target.");
        table.group("Keeping", {{"retention", {"days"}}});
        table.integer("retention_days", "Days", defaults.retentionDays, 0, 36500, "days", "After the run's end.");
        table.group("Keeping", {kElsewhere});
        table
            .add(
                "fetch_here", "Fetch on this machine", FieldType::Boolean, defaults.fetchHere,
                "Data and weights that have an address are fetched on this machine and sent, for targets that reach no "
                "other network. Otherwise the target fetches them itself.")
            .advanced = true;
        table.group("Connection", {kElsewhere});
        table.integer("connect_seconds", "Time to connect", defaults.connectSeconds, 1, 600, "seconds", "For one try.")
            .advanced = true;
        table
            .integer("alive_seconds", "Sign of life", defaults.aliveSeconds, 1, 3600, "seconds",
                     "How often the connection is tried; three tries without an answer are a cut.")
            .advanced = true;
        return table.take();
    }();
    return fields;
}

}  // namespace trainyard::spec
