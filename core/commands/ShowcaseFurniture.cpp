#include "core/commands/ShowcaseFurniture.h"

#include <zlib.h>

#include <array>
#include <random>
#include <string_view>

#include "core/base/Files.h"
#include "core/base/Hash.h"
#include "core/registry/Registry.h"
#include "core/spec/EnvironmentSpec.h"
#include "core/spec/TargetSpec.h"

namespace trainyard::commands {
namespace {

using base::Json;
using base::Path;
using base::Status;

constexpr std::int64_t kFurnitureMinute = 60'000'000;

std::string bytes(std::size_t size, unsigned seed) {
    std::mt19937 random(seed);
    std::string made(size, '\0');
    for (char& c : made) c = static_cast<char>(random() & 0xff);
    return made;
}

void put(std::string& into, std::uint64_t number, int size) {
    for (int i = 0; i < size; ++i) into += static_cast<char>((number >> (8 * i)) & 0xff);
}

/// Laid out as torch.jit.save does, a zip archive whose members are stored; the weights in it are noise.
std::string scriptFile(std::size_t size, unsigned seed) {
    using namespace std::string_literals;
    const std::array<std::pair<const char*, std::string>, 5> members{
        {{"model/data.pkl", "\x80\x02}."s},
         {"model/constants.pkl", "\x80\x02)."s},
         {"model/version", "3\n"s},
         {"model/code/__torch__.py", "class Model(Module):\n  pass\n"s},
         {"model/data/0", bytes(size, seed)}}};
    std::string archive, directory;
    for (const auto& [name, content] : members) {
        const auto* data = reinterpret_cast<const Bytef*>(content.data());
        std::string facts;  // What a member's own head and the directory's entry have in common.
        put(facts, 20, 2);  // Version that can read it.
        put(facts, 0, 2);
        put(facts, 0, 2);  // Stored.
        put(facts, 0, 4);
        put(facts, crc32(0, data, static_cast<uInt>(content.size())), 4);
        put(facts, content.size(), 4);
        put(facts, content.size(), 4);
        put(facts, std::string_view(name).size(), 2);
        put(facts, 0, 2);
        directory += "PK\x01\x02\x14"s + '\0' + facts;
        put(directory, 0, 2);
        put(directory, 0, 2);
        put(directory, 0, 2);
        put(directory, 0, 4);
        put(directory, archive.size(), 4);
        directory += name;
        archive += "PK\x03\x04"s + facts + name + content;
    }
    const std::size_t begin = archive.size();
    archive += directory + "PK\x05\x06"s;
    put(archive, 0, 4);
    put(archive, members.size(), 2);
    put(archive, members.size(), 2);
    put(archive, directory.size(), 4);
    put(archive, begin, 4);
    put(archive, 0, 2);
    return archive;
}

Json metric(const char* name, double first, double last, double min, std::int64_t minStep, double max,
            std::int64_t maxStep) {
    return Json{{"name", name},   {"rank", 0},           {"count", 188}, {"non_finite", 0},
                {"first", first}, {"first_step", 1},     {"last", last}, {"last_step", 1876},
                {"min", min},     {"min_step", minStep}, {"max", max},   {"max_step", maxStep}};
}

Json artifactCard(const char* family, std::int64_t parameters) {
    return Json{
        {"format", "trainyard.model-card"},
        {"version", 1},
        {"family", family},
        {"input_shape", {1, 28, 28}},
        {"classes", 10},
        {"class_names",
         {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}},
        {"normalization", {{"mean", {0.286}}, {"std", {0.353}}}},
        {"dataset", {{"name", "Fashion-MNIST"}, {"train_samples", 60000}, {"val_samples", 10000}}},
        {"parameters", parameters},
        {"engine", TRAINYARD_VERSION},
        {"libtorch", "1.13.1"}};
}

Json proof(const std::string& modelHash, const std::string& onnxHash, std::int64_t at) {
    Json cases = Json::array();
    constexpr std::array<std::tuple<const char*, int, double>, 7> kCases{{{"real samples", 1, 4.1e-7},
                                                                          {"real samples", 32, 9.5e-7},
                                                                          {"normal", 1, 3.6e-7},
                                                                          {"normal", 7, 7.2e-7},
                                                                          {"normal", 32, 1.2e-6},
                                                                          {"normal x 4", 3, 2.9e-6},
                                                                          {"zeros", 1, 1.2e-7}}};
    for (const auto& [input, batch, difference] : kCases) {
        cases.push_back({{"input", input},
                         {"batch", batch},
                         {"max_abs_diff", difference},
                         {"max_rel_diff", difference / 12},
                         {"max_abs_output", 14.2},
                         {"allowed", 1.4e-3},
                         {"argmax_equal", true}});
    }
    return Json{
        {"format", "trainyard.export-proof"},
        {"version", 1},
        {"passed", true},
        {"reasons", Json::array()},
        {"model", {{"name", "model.pt"}, {"sha256", modelHash}}},
        {"onnx", {{"name", "model.onnx"}, {"sha256", onnxHash}}},
        {"checker", {{"name", "libonnx"}, {"version", "1.12.0"}, {"ok", true}}},
        {"reference", {{"name", "libtorch"}, {"version", "1.13.1"}}},
        {"runtime", {{"name", "ONNX Runtime"}, {"version", "1.20.1"}, {"through", "Node.js"}, {"seconds", 0.41}}},
        {"parameters", {{"compared", 8}, {"equal", 8}, {"values", 421'642}, {"stored", 8}}},
        {"real_samples", 32},
        {"cases", cases},
        {"max_abs_diff", 2.9e-6},
        {"max_rel_diff", 2.4e-7},
        {"opset", 17},
        {"dynamic_batch", true},
        {"input_shape", {1, 28, 28}},
        {"at", at},
        {"seconds", 1.8},
        {"engine_version", TRAINYARD_VERSION}};
}

/// As the engine answers: what it was right in, and the figures of each class.
Json evaluation(const char* dataset, const char* split, std::int64_t samples, double accuracy) {
    Json classes = Json::array();
    const Json names = artifactCard("cnn", 0).at("class_names");
    for (std::size_t i = 0; i < names.size(); ++i) {
        const double right = accuracy + 0.012 * (static_cast<double>(i % 5) - 2);
        classes.push_back({{"label", i},
                           {"name", names.at(i)},
                           {"samples", samples / 10},
                           {"correct", static_cast<std::int64_t>(right * static_cast<double>(samples / 10))},
                           {"predicted", samples / 10},
                           {"precision", right - 0.006},
                           {"recall", right},
                           {"f1", right - 0.003}});
    }
    return Json{{"dataset", dataset},
                {"split", split},
                {"samples", samples},
                {"loss", 2.9 * (1 - accuracy)},
                {"accuracy", accuracy},
                {"top5", 1 - (1 - accuracy) / 28},
                {"classes", std::move(classes)},
                {"bad_count", 0},
                {"device", "cpu"},
                {"seconds", 0.00021 * static_cast<double>(samples)}};
}

/// A folder that goes with what is in it.
struct Workshop {
    Path folder;
    ~Workshop() {
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }
};

Json line(const char* id, const char* title, const char* host, const char* finding, const char* text,
          const char* remedy = "") {
    return Json{{"id", id},         {"title", title},          {"host", host}, {"finding", finding}, {"text", text},
                {"remedy", remedy}, {"values", Json::object()}};
}

Status writeTarget(const wire::WorkspaceLayout& layout, const spec::TargetSpec& target, const Json& doctor) {
    TRAINYARD_TRY(base::makeDirs(layout.target(target.name, 1).parent_path()));
    TRAINYARD_TRY(base::writeFileAtomically(layout.target(target.name, 1), base::dumpJsonPretty(spec::toJson(target))));
    if (doctor.is_null()) return {};
    return base::writeFileAtomically(layout.targetDoctor(target.name), base::dumpJsonPretty(doctor));
}

}  // namespace

Status addShowcaseModels(const wire::WorkspaceLayout& layout, const std::vector<base::RunId>& runs, std::int64_t now) {
    const registry::Registry models(layout);
    struct Entry {
        const char* name;
        std::size_t run;  ///< Number.
        const char* family;
        double accuracy;
        const char* description;
        registry::Strings tags;
        bool exported;
    };
    const std::array<Entry, 5> entries{{
        {"fashion-cnn", 1, "cnn", 0.9098, "The first one.", {}, false},
        {"fashion-cnn", 2, "cnn", 0.9152, "", {{"sweep", "lr"}}, false},
        {"fashion-cnn",
         4,
         "cnn",
         0.9187,
         "The one that the shop's tablet uses. Trained on two processes; wants pictures of 28 by 28.",
         {{"stage", "production"}, {"owner", "vision"}},
         true},
        {"fashion-mlp", 3, "mlp", 0.8846, "Small enough for the camera's own processor.", {}, false},
        {"a-name-as-long-as-names-may-be-for-the-comparison-of-schedules-1",
         5,
         "cnn",
         0.9110,
         "",
         {{"comparison", "learning rate schedules with and without warm-up"}},
         false},
    }};
    const Workshop workshop{layout.root / ("models-" + base::newUuid7())};
    TRAINYARD_TRY(base::makeDirs(workshop.folder));
    for (const Entry& entry : entries) {
        if (entry.run > runs.size()) continue;
        const base::RunId& run = runs[entry.run - 1];
        const std::string weights = scriptFile(180'000 + entry.run * 1000, static_cast<unsigned>(entry.run));
        TRAINYARD_TRY(base::writeFileAtomically(workshop.folder / "model.pt", weights));
        TRAINYARD_TRY(base::writeFileAtomically(workshop.folder / "model.safetensors",
                                                bytes(170'000, static_cast<unsigned>(50 + entry.run))));
        TRAINYARD_TRY(base::writeFileAtomically(
            workshop.folder / "model.json",
            base::dumpJsonPretty(artifactCard(entry.family, entry.family == std::string("mlp") ? 109'386 : 421'642))));
        TRAINYARD_TRY(base::writeFileAtomically(workshop.folder / "samples.safetensors", bytes(100'440, 7)));
        registry::NewVersion version;
        version.name = entry.name;
        version.description = entry.description;
        version.tags = entry.tags;
        version.run = run.str();
        version.runNumber = static_cast<std::int64_t>(entry.run);
        version.experiment = "fashion-mnist";
        version.metrics =
            Json::array({metric("train/loss", 2.31, 0.231, 0.214, 1790, 2.36, 1),
                         metric("val/accuracy", 0.79, entry.accuracy - 0.0006, 0.79, 469, entry.accuracy, 1876),
                         metric("val/loss", 0.56, 0.247, 0.245, 1407, 0.56, 469)});
        if (const auto text = base::readFile(layout.spec(run)); text.ok()) {
            if (auto document = base::parseJson(*text); document.ok()) {
                if (const auto name = document->find("name"); name != document->end() && name->is_string())
                    version.runName = name->get<std::string>();
                version.configuration = std::move(*document);
            }
        }
        for (const char* file : {"model.pt", "model.safetensors", "model.json", "samples.safetensors"})
            version.files.push_back({workshop.folder / file, file, {}});
        const auto added = models.add(version);
        if (!added.ok()) return added.error();
        if (!entry.exported) continue;
        const std::string onnx = bytes(176'300, 99);
        TRAINYARD_TRY(base::writeFileAtomically(workshop.folder / "model.onnx", onnx));
        const auto record = models.addExport(*added, workshop.folder / "model.onnx",
                                             {{"opset", 17},
                                              {"input_shape", {1, 28, 28}},
                                              {"dynamic_batch", true},
                                              {"batch", nullptr},
                                              {"nodes", 11},
                                              {"export_seconds", 0.6}},
                                             proof(base::sha256Hex(weights), base::sha256Hex(onnx), now));
        if (!record.ok()) return record.error();
        for (const Json& found : {evaluation("own", "validation", 10'000, entry.accuracy),
                                  evaluation("/data/photographs-of-the-shop", "all", 640, 0.8234)}) {
            if (const auto kept = models.addEvaluation(*added, found); !kept.ok()) return kept.error();
        }
        if (const auto named = models.edit(*added, {{}, {}, {}, std::vector<std::string>{"production"}, {}});
            !named.ok())
            return named.error();
    }
    return {};
}

Status addShowcaseTargets(const wire::WorkspaceLayout& layout, std::int64_t now) {
    spec::TargetSpec rig;
    rig.name = "two-gpu-rig";
    rig.description = "The two machines under the desk, one GPU each.";
    rig.hosts = {{"ada@rig-1", 0, "10.0.0.11", "eth0"}, {"ada@rig-2", 0, "10.0.0.12", "eth0"}};
    rig.workFolder = "/data/trainyard";
    const Json rigDoctor{
        {"t", now - 25 * kFurnitureMinute},
        {"lines",
         {line("reach", "Can be reached", "rig-1", "ok", "OpenSSH 9.2, answered in 4 ms"),
          line("reach", "Can be reached", "rig-2", "ok", "OpenSSH 9.2, answered in 5 ms"),
          line("disk", "Room in the work folder", "rig-2", "failure",
               "1.1 GiB of 470 GiB are free in /data/trainyard; runs need 5 GiB",
               "Clear the cache below, or choose another work folder."),
          line("gpus", "GPUs", "rig-1", "ok", "NVIDIA GeForce RTX 3090, 24 GiB, driver 535.183"),
          line("gpus", "GPUs", "rig-2", "ok", "NVIDIA GeForce RTX 3090, 24 GiB, driver 535.183"),
          line("containers", "Containers", "rig-1", "warning", "podman 4.3 is there, but has no range of user ids",
               "As root on rig-1: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ada"),
          line("pair", "The nodes reach each other", "", "ok", "rig-1 and rig-2 exchange 940 Mbit/s over eth0"),
          line("nccl", "NCCL", "rig-2", "unknown", "could not be looked at: the probe ran out of time",
               "Examine again when the machine is less busy.")}}};
    TRAINYARD_TRY(writeTarget(layout, rig, rigDoctor));
    spec::TargetSpec cluster;
    cluster.name = "university-cluster";
    cluster.kind = spec::TargetKind::Slurm;
    cluster.description = "Only for runs of more than an hour.";
    cluster.slurm.login = "login.cluster.example";
    cluster.slurm.partition = "gpu";
    cluster.slurm.maxNodes = 4;
    const Json clusterDoctor{
        {"t", now - 26 * 60 * kFurnitureMinute},
        {"lines",
         {line("reach", "Can be reached", "login.cluster.example", "ok", "OpenSSH 8.7, answered in 21 ms"),
          line("slurm", "Slurm", "", "ok", "22.05.8"),
          line("partition", "Partition", "", "ok", "gpu: 24 nodes, at most 2 days, 4 A100 a node"),
          line("write", "The work folder is seen by all nodes", "", "ok",
               "written on the login host, read on node gpu-017 after 0.4 s")}}};
    TRAINYARD_TRY(writeTarget(layout, cluster, clusterDoctor));
    spec::TargetSpec old;
    old.name = "a-machine-with-a-very-long-name-in-the-basement-of-the-old-house";
    old.description = "Switched off over the summer.";
    old.disabled = true;
    old.hosts = {{"someone-with-a-long-user-name@machine-in-the-basement.of-the-old-house.example.org", 2222, "", ""}};
    return writeTarget(layout, old, Json());
}

Status addShowcaseEnvironments(const wire::WorkspaceLayout& layout) {
    const auto write = [&layout](int version, const spec::EnvironmentSpec& environment) -> Status {
        const Path file = layout.environmentVersion(environment.name, version);
        TRAINYARD_TRY(base::makeDirs(file.parent_path()));
        return base::writeFileAtomically(file, base::dumpJsonPretty(spec::toJson(environment)));
    };
    spec::EnvironmentSpec vision;
    vision.name = "vision";
    vision.description = "What the scripts of the vision group import.";
    vision.venv.systemSitePackages = true;
    vision.venv.requirements = {"torchvision==0.14.1", "numpy>=1.24"};
    TRAINYARD_TRY(write(1, vision));
    vision.venv.requirements = {"torchvision==0.14.1", "numpy>=1.24,<2", "albumentations==1.3.1", "tensorboard"};
    vision.variables = {{"OMP_NUM_THREADS", "4"}};
    vision.secrets = {{"HF_TOKEN", "file:~/.config/hub-token"}};
    TRAINYARD_TRY(write(2, vision));
    spec::EnvironmentSpec language;
    language.name = "language-conda";
    language.kind = spec::EnvironmentKind::Conda;
    language.conda.channels = {"conda-forge"};
    language.conda.dependencies = {"python=3.11", "pytorch=2.6", "pip"};
    language.conda.pip = {"sentencepiece==0.2.0"};
    TRAINYARD_TRY(write(1, language));
    spec::EnvironmentSpec container;
    container.name = "an-environment-with-a-name-as-long-as-a-name-may-be-for-pictures";
    container.kind = spec::EnvironmentKind::Container;
    container.label = "Not verified on the cluster";
    container.description = "Built from a text; its second step takes a quarter of an hour on the old machines, so do "
                            "not change what stands above it.";
    container.container.source = "containerfile";
    container.container.containerfile =
        "FROM docker.example/pytorch:2.6-cuda12\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends libturbojpeg0\n"
        "RUN pip install --no-cache-dir lightning==2.4 webdataset\n";
    container.container.gpus = true;
    container.container.mounts = {"/data/pictures-of-the-last-ten-years:/pictures:ro"};
    return write(1, container);
}

}  // namespace trainyard::commands
