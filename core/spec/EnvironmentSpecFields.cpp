// The table that the form, the command line's help, the JSON schema and validation of environments all read.
#include "core/spec/EnvironmentSpec.h"
#include "core/spec/FieldTable.h"

namespace trainyard::spec {

namespace {

constexpr int kLongText = 65536;

std::vector<Condition> when(const char* kind) { return {{"kind", {kind}}}; }

void addVenv(FieldTable& table) {
    table.group("Packages", when("venv"));
    table.add("venv.python", "Python", FieldType::Text, "",
              "That the environment is made with, on the target: a name or a path. Empty: the target's Python.");
    table.add(
        "venv.system_site_packages", "See the system's packages", FieldType::Boolean, false,
        "What is installed for the Python itself can be imported too: a PyTorch that is there need not be fetched.");
    table.add("venv.requirements", "Requirements", FieldType::TextList, Json::array(),
              "One a row, as in requirements.txt: torch==2.6.0, numpy>=1.24; python_version >= \"3.9\"");
    table.add("venv.wheel_folder", "Wheel folder", FieldType::Text, "",
              "A folder on the target with wheels. Packages come from there alone; nothing is fetched.");
    table
        .add("venv.constraints", "Constraints", FieldType::TextList, Json::array(),
             "Versions that packages must have if they are installed at all.")
        .advanced = true;
    table.add("venv.index_url", "Package index", FieldType::Text, "", "Empty: as pip is set up on the target.")
        .advanced = true;
    table.add("venv.extra_index_urls", "More package indexes", FieldType::TextList, Json::array(), "Looked in as well.")
        .advanced = true;
    table
        .add("venv.find_links", "More places of packages", FieldType::TextList, Json::array(),
             "Addresses of pages, or folders on the target, with package files.")
        .advanced = true;
}

void addConda(FieldTable& table) {
    table.group("Packages", when("conda"));
    table.add("conda.channels", "Channels", FieldType::TextList, Json::array(),
              "In the order in which they are looked in: conda-forge");
    table.add("conda.dependencies", "Dependencies", FieldType::TextList, Json::array(),
              "One a row: python=3.11, pytorch=2.6");
    table.add("conda.pip", "From pip", FieldType::TextList, Json::array(),
              "Installed with pip after the dependencies, of which python and pip must be two.");
    table
        .choice("conda.tool", "Program", "auto",
                {{"auto", "What is there", "micromamba before mamba before conda."},
                 {"conda", "conda", ""},
                 {"mamba", "mamba", ""},
                 {"micromamba", "micromamba", ""}},
                "What builds the environment on the target.")
        .advanced = true;
}

void addContainer(FieldTable& table) {
    const EnvironmentSpec::Container defaults;
    table.group("Container", when("container"));
    table.choice("container.source", "From", defaults.source,
                 {{"image", "Image", "One that is there or can be fetched."},
                  {"containerfile", "Containerfile", "Built on the target."}},
                 "Where the container's files come from.");
    table.group("Container", {{"kind", {"container"}}, {"container.source", {"image"}}});
    Field& image = table.add("container.image", "Image", FieldType::Text, "",
                             "As its engine names it: registry/name:tag, localhost/name.");
    image.required = true;
    image.maxLength = 512;
    table.add("container.requirements", "Requirements", FieldType::TextList, Json::array(),
              "Packages that pip puts on top of the image, one a row.");
    table.group("Container", {{"kind", {"container"}}, {"container.source", {"containerfile"}}});
    Field& file = table.add("container.containerfile", "Containerfile", FieldType::MultilineText, "",
                            "Built on the target. No files of yours are there to be copied into it.");
    file.required = true;
    file.maxLength = kLongText;
    table.group("Container", when("container"));
    table.add("container.python", "Python", FieldType::Text, defaults.python,
              "What runs scripts inside the container.");
    table.add("container.gpus", "GPUs", FieldType::Boolean, defaults.gpus,
              "The container sees the GPUs that the run was given. Not verified with every engine.");
    table.add("container.mounts", "More folders", FieldType::TextList, Json::array(),
              "Of the target, to be seen inside: /data:/data:ro. The run's own folders are always there.");
    table
        .choice("container.engine", "Container engine", defaults.engine,
                {{"auto", "What is there", "podman before docker before apptainer."},
                 {"podman", "podman", ""},
                 {"docker", "docker", ""},
                 {"apptainer", "apptainer", "Cannot build a Containerfile."}},
                "What runs the container.")
        .advanced = true;
}

void addSetup(FieldTable& table) {
    const EnvironmentSpec::Setup defaults;
    table.group("Setup", when("setup"));
    Field& script = table.add("setup.script", "Script", FieldType::MultilineText, "",
                              "Run once on the target, in the environment's own folder, $TRAINYARD_ENVIRONMENT; what "
                              "it installs belongs there. "
                              "Its folder bin is put before PATH.");
    script.required = true;
    script.maxLength = kLongText;
    table.choice("setup.shell", "Shell", defaults.shell, {{"bash", "bash", ""}, {"sh", "sh", ""}},
                 "What runs the script.");
    table.add("setup.python", "Python", FieldType::Text, "",
              "What runs scripts afterwards: a path in the environment's folder (bin/python), or an absolute one. "
              "Empty: the target's.");
}

}  // namespace

const std::vector<Field>& environmentSpecFields() {
    static const std::vector<Field> fields = [] {
        FieldTable table;
        table.group("Environment");
        Field& name =
            table.add("name", "Name", FieldType::Text, "", "Small letters, digits, dots, dashes and underscores.");
        name.required = true;
        name.maxLength = 64;
        table.choice("kind", "Kind", "venv",
                     {{"venv", "Virtual environment", "Made with a Python of the target and filled by pip."},
                      {"conda", "Conda", "Made by conda, mamba or micromamba on the target."},
                      {"container", "Container", "An image, run by podman, docker or apptainer."},
                      {"interpreter", "What is there",
                       "An interpreter or an environment that the target has; nothing is built."},
                      {"setup", "Setup script", "A script of yours that installs what is needed."},
                      {"engine", "Trainyard engine", "Trainyard's own training programs."}},
                     "Where the software comes from.");
        table.add("description", "Description", FieldType::MultilineText, "", "For people.");
        Field& label = table.add("label", "Label", FieldType::Text, "", "A few words that are shown beside the name.");
        label.advanced = true;
        label.maxLength = 40;
        table.group("Engine", when("engine"));
        table.add("engine.cuda", "CUDA", FieldType::Boolean, false,
                  "Needs an engine that was built with CUDA; never falls back.");
        table.group("Interpreter", when("interpreter"));
        table.add("interpreter.program", "Program", FieldType::Text, "",
                  "On the target: a name or a path. Empty: the target's Python.");
        table.add("interpreter.folder", "Environment's folder", FieldType::Text, "",
                  "Of a virtual or conda environment that is on the target; the Python in it is taken.");
        table.add("interpreter.needs", "Modules", FieldType::TextList, Json::array(), "That must be there: torch")
            .advanced = true;
        table
            .add("interpreter.is_python", "Is Python", FieldType::Boolean, true,
                 "No for a shell and the like, of which nothing is asked.")
            .advanced = true;
        addVenv(table);
        addConda(table);
        addContainer(table);
        addSetup(table);
        table.group("Variables");
        table.add("variables", "Environment variables", FieldType::TextMap, Json::object(),
                  "For every process of a run.");
        table.add("secrets", "Secrets", FieldType::TextMap, Json::object(),
                  "Variables whose value is read on the target and kept nowhere else: file:~/token or variable:NAME. "
                  "Masked in logs.");
        table.group("Building", {{"kind", {"venv", "conda", "container", "setup"}}});
        table
            .add("build_variables", "Variables while building", FieldType::TextMap, Json::object(),
                 "For the steps of the build.")
            .advanced = true;
        table
            .integer("need_mib", "Free disk", 0, 0, 16'777'216, "MiB",
                     "That a build must find on the target; 0: estimated.")
            .advanced = true;
        return table.take();
    }();
    return fields;
}

}  // namespace trainyard::spec
