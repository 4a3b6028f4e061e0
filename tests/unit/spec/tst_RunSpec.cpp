#include <QtTest>
#include <set>

#include "core/base/Ids.h"
#include "core/spec/RunSpec.h"
#include "core/spec/RunState.h"
#include "core/spec/models/LayerTable.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard::spec;
using trainyard::base::dumpJson;
using trainyard::base::parseJson;

namespace {

/// The least that a training needs.
Json training() {
    return *parseJson(
        R"({"format":"trainyard.run-spec","version":1,"task":{"dataset":{"train_images":"/d/ti","train_labels":"/d/tl",
                          "val_images":"/d/vi","val_labels":"/d/vl"}}})");
}

Json command() {
    return *parseJson(R"({"format":"trainyard.run-spec","version":1,"task":{"kind":"command","command":["true"]}})");
}

Json with(Json document, std::string_view path, Json value) {
    setValueAt(document, path, std::move(value));
    return document;
}

RunSpec otherThanDefault() {
    RunSpec spec;
    spec.experiment = "birds";
    spec.name = "first";
    spec.description = "two\nlines";
    DatasetSpec& data = spec.train.dataset;
    data.name = "Birds";
    data.trainImages = "/a";
    data.trainLabels = "/b";
    data.valImages = "/c";
    data.valLabels = "/d";
    data.trainLimit = 1000;
    data.valLimit = 500;
    data.classNames = {"hen", "duck"};
    spec.train.model.family = "mlp";
    spec.train.optimizer = {"adamw", 0.25, 0.5, false, 0.125, 0.75, 0.875, 1e-6};
    spec.train.schedule = {"multi_step", 0.5, 7, 0.25, 0.125, {3, 5}, 2, "rest"};
    data.folder = "/e";
    data.valFraction = 0.375;
    data.splitSeed = 4;
    data.imageSize = 96;
    data.resizeSize = 112;
    data.cacheMiB = 64;
    data.maxBadFraction = 0.25;
    spec.train.augmentation = {false, 0.5, 1.5, 0.25, 0.125, 15, 0.25, 0.5, 0.75, 0.3125, 0.375};
    spec.train.model.weights = {"/w.pth", true, 3, 0.125};
    spec.train.clipNorm = 2.5;
    spec.train.decayNorms = false;
    spec.train.patience = 6;
    spec.train.accumulation = 4;
    spec.train.classWeights = "list";
    spec.train.classWeightList = {0.1, 3};
    spec.train.sampling = "weighted";
    spec.train.samplingWeights = {0, 1.25e-3};
    spec.train.memoryFormat = "channels_last";
    spec.train.syncBatchNorm = true;
    spec.train.epochs = 9;
    spec.train.batchSize = 32;
    spec.train.seed = 77;
    spec.train.device = "cuda";
    spec.train.threads = 3;
    spec.train.logEverySteps = 4;
    spec.train.checkpointEveryEpochs = 2;
    spec.train.normalize = false;
    spec.train.augment = true;
    spec.train.labelSmoothing = 0.1;
    spec.target = "lab-2.x";
    spec.distribution = {"pytorch", "nccl", "mpirun", 4, 2, 8};
    spec.limits = {60, 7, 3, 5};
    spec.priority = -5;
    spec.tags = {{"b", "1"}, {"a", "x y"}};
    spec.variables = {{"OMP_NUM_THREADS", "2"}, {"A_B", "multi\nline"}};
    spec.inputs = {{"more_2", "/data/a b"}, {"There", "target:/srv/x#sha256=" + std::string(64, 'a')}};
    spec.resumeFrom = trainyard::base::newUuid7();
    return spec;
}

void collectLeaves(const Json& value, const std::string& path, std::vector<std::string>& out) {
    if (!value.is_object()) {
        out.push_back(path);
        return;
    }
    for (const auto& [name, item] : value.items()) {
        collectLeaves(item, path.empty() ? name : path + "." + name, out);
    }
}

}  // namespace

class tst_RunSpec : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void fields_areDescribed();
    void fields_areToldInTheGuide();
    void fields_defaultsAreValid();
    void fields_shareAPathOnlyWhenTheyExclude();
    void default_asksOnlyForTheData();
    void roundTrip_everyMember();
    void roundTrip_command();
    void roundTrip_defaultsOfStructAndTableAgree();
    void read_fillsInDefaultsByCondition();
    void read_dropsOptionsOfOtherFamilies();
    void read_leftOversOfOtherKindsDoNotMatter();
    void validate_data();
    void validate();
    void validate_reportsAllInFieldOrder();
    void validate_crossRulesBesideMissingFields();
    void upgrade_tooNew();
    void upgrade_tooOld();
    void upgrade_otherFormat();
    void schema_equalsTheFile();
    void schema_agreesWithValidation();
    void differences_namePaths();
    void states_names();
    void states_mayFollow();
};

/// Under their paths, or for those of a group by the last part, as the group says where they lie.
void tst_RunSpec::fields_areToldInTheGuide() {
    const auto guide = trainyard::base::readFile(trainyard::test::sourceFolder() / "resources/docs/guide/new-run.md");
    QVERIFY(guide.ok());
    QStringList missing;
    for (const Field& field : runSpecFields()) {
        const std::string last = field.path.substr(field.path.rfind('.') + 1);
        if (guide->find('`' + field.path + '`') == std::string::npos &&
            guide->find('`' + last + '`') == std::string::npos)
            missing << QString::fromStdString(field.path);
    }
    QVERIFY2(missing.isEmpty(), qPrintable(missing.join(u' ')));
}

void tst_RunSpec::fields_areDescribed() {
    const std::set<std::string> groups = {"Run",      "Data",     "Model", "Optimizer", "Augmentation",
                                          "Schedule", "Training", "Where", "Limits",    "Script"};
    for (const Field& field : runSpecFields()) {
        QVERIFY2(!field.label.empty(), field.path.c_str());
        QVERIFY2(!field.help.empty() && field.help.ends_with("."), field.path.c_str());
        QVERIFY2(groups.contains(field.group), field.path.c_str());
        QVERIFY2(!field.defaultValue.is_null(), field.path.c_str());
        QVERIFY2(field.type != FieldType::Choice || !field.choices.empty(), field.path.c_str());
        const bool isNumber = field.type == FieldType::Integer || field.type == FieldType::Number;
        QVERIFY2(!isNumber || (std::isfinite(field.minimum) && std::isfinite(field.maximum)), field.path.c_str());
    }
}

void tst_RunSpec::fields_defaultsAreValid() {
    for (const Field& field : runSpecFields()) {
        const auto error = checkValue(field, &field.defaultValue);
        QVERIFY2(!error || (field.required && error->code == "spec.required"), field.path.c_str());
    }
}

void tst_RunSpec::fields_shareAPathOnlyWhenTheyExclude() {
    const auto& fields = runSpecFields();
    const auto exclude = [](const Field& a, const Field& b) {
        for (const Condition& one : a.onlyWhen) {
            for (const Condition& other : b.onlyWhen) {
                if (one.path == other.path && std::ranges::none_of(one.values, [&](const std::string& value) {
                        return std::ranges::find(other.values, value) != other.values.end();
                    })) {
                    return true;
                }
            }
        }
        return false;
    };
    for (std::size_t i = 0; i < fields.size(); ++i) {
        for (std::size_t k = i + 1; k < fields.size(); ++k) {
            QVERIFY2(fields[i].path != fields[k].path || exclude(fields[i], fields[k]), fields[i].path.c_str());
        }
    }
}

void tst_RunSpec::default_asksOnlyForTheData() {
    std::vector<std::string> missing;
    for (const Error& error : validateRunSpec(defaultRunSpecDocument())) {
        QCOMPARE(error.code, std::string("spec.required"));
        missing.push_back(error.field);
    }
    QCOMPARE(missing, (std::vector<std::string>{"task.dataset.train_images", "task.dataset.train_labels",
                                                "task.dataset.val_images", "task.dataset.val_labels"}));
    QVERIFY(validateRunSpec(training()).empty());
    QVERIFY(validateRunSpec(command()).empty());
}

void tst_RunSpec::roundTrip_everyMember() {
    RunSpec spec = otherThanDefault();
    // Options as the family gives them, each moved away from its default.
    for (const ModelFamily& family : modelFamilies()) {
        if (family.id == spec.train.model.family) {
            for (const Field& option : family.options) {
                Json value = option.defaultValue;
                if (option.type == FieldType::Integer) {
                    value = value.get<std::int64_t>() + (value.get<double>() < option.maximum ? 1 : -1);
                } else if (option.type == FieldType::Number) {
                    value = (option.minimum + option.maximum) / 2;
                } else if (option.type == FieldType::Boolean) {
                    value = !value.get<bool>();
                }
                spec.train.model.options[option.path] = value;
            }
        }
    }
    const Json json = toJson(spec);
    const auto back = runSpecFromJson(*parseJson(dumpJson(json)));
    QVERIFY2(back.ok(), back.ok() ? "" : back.error().message.c_str());
    QCOMPARE(dumpJson(toJson(*back)), dumpJson(json));

    // Every member differs from the default: one that is not carried would show above. What has one choice only is
    // named.
    const Json defaults = toJson(RunSpec());
    std::vector<std::string> leaves;
    collectLeaves(json, "", leaves);
    const std::set<std::string> single = {"format", "version", "task.kind", "task.dataset.kind", "environment"};
    for (const std::string& path : leaves) {
        const Json* before = valueAt(defaults, path);
        QVERIFY2(single.contains(path) || before == nullptr || *before != *valueAt(json, path), path.c_str());
    }
    // And every field of the table is a member of the struct's document, or belongs to another family or task.
    for (const Field& field : runSpecFields()) {
        if (applies(field, json)) {
            QVERIFY2(valueAt(json, field.path) != nullptr, field.path.c_str());
        }
    }
}

void tst_RunSpec::roundTrip_command() {
    RunSpec spec;
    spec.taskKind = TaskKind::Command;
    spec.command.command = {"/bin/sh", "-c", "echo $RANK\n", ""};
    spec.command.workingFolder = "/somewhere";
    spec.distribution = {"mpi", "auto", "srun", 2, 1, 1};
    const auto back = runSpecFromJson(toJson(spec));
    QVERIFY2(back.ok(), back.ok() ? "" : back.error().message.c_str());
    QVERIFY(back->taskKind == TaskKind::Command);
    QCOMPARE(back->command.command, spec.command.command);
    QCOMPARE(back->command.workingFolder, spec.command.workingFolder);
    QCOMPARE(dumpJson(toJson(*back)), dumpJson(toJson(spec)));

    RunSpec script;
    script.taskKind = TaskKind::Command;
    script.command = {"/my/source", "sub/train.py", "none",    {"--name", "a b", "$RANK", "", "-oProxyCommand=x"},
                      {},           "sub",          {"@keras"}};
    const auto again = runSpecFromJson(toJson(script));
    QVERIFY2(again.ok(), again.ok() ? "" : again.error().message.c_str());
    QCOMPARE(again->command.sourceFolder, script.command.sourceFolder);
    QCOMPARE(again->command.script, script.command.script);
    QCOMPARE(again->command.interpreter, script.command.interpreter);
    QCOMPARE(again->command.arguments, script.command.arguments);
    QCOMPARE(again->command.workingFolder, script.command.workingFolder);
    QCOMPARE(dumpJson(toJson(*again)), dumpJson(toJson(script)));
}

void tst_RunSpec::roundTrip_defaultsOfStructAndTableAgree() {
    const auto read = runSpecFromJson(training());
    RunSpec plain;
    plain.train.dataset.trainImages = "/d/ti";
    plain.train.dataset.trainLabels = "/d/tl";
    plain.train.dataset.valImages = "/d/vi";
    plain.train.dataset.valLabels = "/d/vl";
    plain.train.model.options = read->train.model.options;
    QCOMPARE(dumpJson(toJson(*read)), dumpJson(toJson(plain)));
}

void tst_RunSpec::read_fillsInDefaultsByCondition() {
    QCOMPARE(runSpecFromJson(training())->train.optimizer.learningRate, 0.1);
    const auto adam = runSpecFromJson(with(training(), "task.optimizer.kind", "adam"));
    QCOMPARE(adam->train.optimizer.learningRate, 0.001);
    QCOMPARE(adam->train.optimizer.weightDecay, 0.0);
    QCOMPARE(runSpecFromJson(with(training(), "task.epochs", 3.0))->train.epochs, std::int64_t{3});
    QVERIFY(!runSpecFromJson(training())->train.model.options.empty());
}

void tst_RunSpec::read_dropsOptionsOfOtherFamilies() {
    const auto& families = modelFamilies();
    QVERIFY(families.size() >= 2);
    std::set<std::string> own;
    for (const Field& option : families[0].options) {
        own.insert(option.path);
    }
    Json document = with(training(), "task.model.family", families[0].id);
    std::string foreign;
    for (const Field& option : families[1].options) {
        if (!own.contains(option.path)) {
            foreign = option.path;
            setValueAt(document, "task.model.options." + option.path, "left over");
        }
    }
    QVERIFY(!foreign.empty());
    const auto spec = runSpecFromJson(document);
    QVERIFY2(spec.ok(), spec.ok() ? "" : spec.error().message.c_str());
    QVERIFY(!spec->train.model.options.contains(foreign));
    QCOMPARE(spec->train.model.options.size(), own.size());
}

void tst_RunSpec::read_leftOversOfOtherKindsDoNotMatter() {
    Json document = with(training(), "task.optimizer.kind", "adam");
    setValueAt(document, "task.optimizer.momentum", "heavy");
    setValueAt(document, "task.command", 5);
    const auto spec = runSpecFromJson(document);
    QVERIFY2(spec.ok(), spec.ok() ? "" : spec.error().message.c_str());
    QCOMPARE(spec->train.optimizer.momentum, 0.9);
}

void tst_RunSpec::validate_data() {
    QTest::addColumn<QByteArray>("base");
    QTest::addColumn<QByteArray>("changes");
    QTest::addColumn<QByteArray>("code");
    QTest::addColumn<QByteArray>("field");
    const auto row = [](const char* name, const char* base, const char* changes, const char* code, const char* field) {
        QTest::newRow(name) << QByteArray(base) << QByteArray(changes) << QByteArray(code) << QByteArray(field);
    };
    row("epochs 0", "train", R"({"task.epochs":0})", "spec.range", "task.epochs");
    row("epochs negative", "train", R"({"task.epochs":-3})", "spec.range", "task.epochs");
    row("epochs as word", "train", R"({"task.epochs":"many"})", "spec.type", "task.epochs");
    row("epochs null is the default", "train", R"({"task.epochs":null})", "", "");
    row("rate 0", "train", R"({"task.optimizer.learning_rate":0})", "spec.range", "task.optimizer.learning_rate");
    row("rate NaN", "train", R"({"task.optimizer.learning_rate":"NaN"})", "spec.type", "task.optimizer.learning_rate");
    row("unknown optimizer", "train", R"({"task.optimizer.kind":"lion"})", "spec.choice", "task.optimizer.kind");
    row("unknown family", "train", R"({"task.model.family":"gpt"})", "spec.choice", "task.model.family");
    row("unknown key", "train", R"({"task.epoch":3})", "spec.unknown", "task.epoch");
    row("unknown option", "train", R"({"task.model.options.no_such_option":3})", "spec.unknown",
        "task.model.options.no_such_option");
    row("task as text", "train", R"({"task":"train"})", "spec.type", "task");
    row("experiment blank", "train", R"({"experiment":"  "})", "spec.required", "experiment");
    row("name with escape", "train", R"({"name":"a\u001b[0m"})", "spec.control", "name");
    row("processes without distribution", "train", R"({"distribution.processes":2})", "spec.distribution",
        "distribution.processes");
    row("nodes without distribution", "command", R"({"distribution.nodes":2})", "spec.distribution",
        "distribution.nodes");
    row("two of this machine", "train", R"({"distribution.kind":"pytorch","distribution.nodes":2})", "spec.nodes",
        "distribution.nodes");
    row("batch below ranks", "train",
        R"({"distribution.kind":"pytorch","distribution.processes":4,"task.batch_size":3})", "spec.batch",
        "task.batch_size");
    row("batch equal to ranks", "train",
        R"({"distribution.kind":"pytorch","distribution.processes":4,"task.batch_size":4})", "", "");
    row("batch below its parts", "train", R"({"task.batch_size":4,"task.accumulation":5})", "spec.batch",
        "task.accumulation");
    row("batch below the parts of ranks", "train",
        R"({"distribution.kind":"pytorch","distribution.processes":4,"task.batch_size":15,"task.accumulation":4})",
        "spec.batch", "task.accumulation");
    row("batch of as many parts", "train",
        R"({"distribution.kind":"pytorch","distribution.processes":4,"task.batch_size":16,"task.accumulation":4})", "",
        "");
    row("class weights without a list", "train", R"({"task.class_weights":"list"})", "spec.required",
        "task.class_weight_list");
    row("class weights of one class", "train", R"({"task.class_weights":"list","task.class_weight_list":["2"]})",
        "spec.required", "task.class_weight_list");
    row("class weights", "train", R"({"task.class_weights":"list","task.class_weight_list":["2","0.5","1e-3"]})", "",
        "");
    for (const char* weight : {"0", "-1", "much", "nan", "inf", "1 ", ""}) {
        const std::string changes =
            R"({"task.class_weights":"list","task.class_weight_list":["2",)" + dumpJson(Json(weight)) + "]}";
        row(("class weight " + std::string(weight)).c_str(), "train", changes.c_str(), "spec.type",
            "task.class_weight_list");
    }
    row("class weights not asked for", "train", R"({"task.class_weight_list":["x"]})", "", "");
    row("shares with a class left out", "train", R"({"task.sampling":"weighted","task.sampling_weights":["0","1"]})",
        "", "");
    row("shares of nothing", "train", R"({"task.sampling":"weighted","task.sampling_weights":["0","0"]})",
        "spec.required", "task.sampling_weights");
    row("shares below nothing", "train", R"({"task.sampling":"weighted","task.sampling_weights":["1","-1"]})",
        "spec.type", "task.sampling_weights");
    row("unknown memory format", "train", R"({"task.memory_format":"nhwc"})", "spec.choice", "task.memory_format");
    row("unknown span", "train", R"({"task.schedule.span":"half"})", "spec.choice", "task.schedule.span");
    row("joint statistics of one process do not matter", "train", R"({"task.sync_batch_norm":true})", "", "");
    row("samples below ranks", "train",
        R"({"distribution.kind":"pytorch","distribution.processes":4,"task.dataset.train_limit":2})", "spec.limit",
        "task.dataset.train_limit");
    row("nccl on the processor", "train",
        R"({"distribution.kind":"pytorch","distribution.backend":"nccl","task.device":"cpu"})", "spec.backend",
        "distribution.backend");
    row("nccl on the GPU", "train",
        R"({"distribution.kind":"pytorch","distribution.backend":"nccl","task.device":"cuda"})", "", "");
    row("gloo on the GPU", "train",
        R"({"distribution.kind":"pytorch","distribution.backend":"gloo","task.device":"cuda"})", "", "");
    row("Nesterov without momentum", "train", R"({"task.optimizer.momentum":0})", "spec.nesterov",
        "task.optimizer.nesterov");
    row("resume from no id", "train", R"({"resume_from":"latest"})", "spec.id", "resume_from");
    row("variable of ours", "train", R"({"variables":{"TRAINYARD_STREAM":"/x"}})", "spec.variable", "variables");
    row("variable of torchrun", "command", R"({"variables":{"RANK":"1"}})", "spec.variable", "variables");
    row("variable with blank", "command", R"({"variables":{"A B":"1"}})", "spec.variable", "variables");
    row("variable as number", "command", R"({"variables":{"A":1}})", "", "");
    row("no command", "command", R"({"task.command":[]})", "spec.required", "task.command");
    row("empty program", "command", R"({"task.command":["","x"]})", "spec.required", "task.command");
    row("command as text", "command", R"({"task.command":"echo hi"})", "spec.type", "task.command");
    row("relative folder", "command", R"({"task.working_folder":"here"})", "spec.path", "task.working_folder");
    const char* both = R"({"task.source_folder":"/s","task.script":"a.py"})";
    row("script and command", "command", both, "spec.exclusive", "task.command");
    const auto script = [&](const char* name, const char* path, const char* code) {
        const std::string changes =
            std::string(R"({"task.command":[],"task.source_folder":"/s","task.script":)") + dumpJson(Json(path)) + "}";
        row(name, "command", changes.c_str(), code, "task.script");
    };
    script("script", "a.py", "");
    script("script below", "a b/$(x).py", "");
    script("script outside", "../a.py", "spec.path");
    script("script outside by a detour", "b/../../a.py", "spec.path");
    script("script absolute", "/etc/passwd", "spec.path");
    script("script as option", "-c", "spec.path");
    script("script a folder", "sub/", "spec.path");
    script("script with a newline", "a\nb.py", "spec.control");
    row("script without source", "command", R"({"task.command":[],"task.script":"a.py"})", "spec.required",
        "task.source_folder");
    row("source without anything to start", "command", R"({"task.command":[],"task.source_folder":"/s"})",
        "spec.required", "task.script");
    row("source relative", "command", R"({"task.source_folder":"s"})", "spec.path", "task.source_folder");
    row("command in the source", "command", R"({"task.source_folder":"/s","task.working_folder":"sub/x"})", "", "");
    row("folder out of the source", "command", R"({"task.source_folder":"/s","task.working_folder":"../x"})",
        "spec.path", "task.working_folder");
    row("interpreter as option", "command",
        R"({"task.command":[],"task.source_folder":"/s","task.script":"a","task.interpreter":"-c"})", "spec.path",
        "task.interpreter");
    row("train with mpi", "train", R"({"distribution.kind":"mpi"})", "spec.distribution", "distribution.kind");
    row("mpi of this machine", "command", R"({"distribution.kind":"mpi","distribution.processes":4})", "", "");
    row("fewer GPUs than processes", "train",
        R"({"distribution.kind":"pytorch","distribution.processes":4,"distribution.gpus":2,"task.device":"cuda"})",
        "spec.gpus", "distribution.gpus");
    row("GPUs for the processor", "train", R"({"distribution.gpus":1,"task.device":"cpu"})", "spec.gpus",
        "distribution.gpus");
    row("script's nccl without GPUs", "command", R"({"distribution.kind":"pytorch","distribution.backend":"nccl"})",
        "spec.backend", "distribution.backend");
    for (const char* target : {"a b", "-oProxyCommand=x", "../x", "a'b", "Lab", "a\nb", "\u00e4", ""}) {
        const std::string changes = std::string(R"({"target":)") + dumpJson(Json(target)) + "}";
        const bool control = std::string_view(target).find('\n') != std::string_view::npos;
        row(("target " + dumpJson(Json(target))).c_str(), "command", changes.c_str(),
            *target == '\0' ? "spec.required"
            : control       ? "spec.control"
                            : "spec.target",
            "target");
    }
    row("GPUs chosen by hand", "command", R"({"variables":{"CUDA_VISIBLE_DEVICES":"0"}})", "spec.variable",
        "variables");
    const auto input = [&](const char* name, const char* key, const std::string& value, const char* code) {
        Json changes = Json::object();
        changes["inputs"] = Json{{key, value}};
        row(name, "command", dumpJson(changes).c_str(), code, "inputs");
    };
    const std::string hash(64, 'f');
    input("input here", "a", "/x/$(touch y)", "");
    input("input relative", "a", "x", "spec.input");
    input("input upwards", "a", "/x/../y", "spec.input");
    input("input there", "a", "target:/x y", "");
    input("input there with hash", "a", "target:/x#sha256=" + hash, "");
    input("input there relative", "a", "target:x", "spec.input");
    input("input with a short hash", "a", "target:/x#sha256=ff", "spec.input");
    input("input from an address", "a", "https://example.org/d.zip#sha256=" + hash, "");
    input("input from an address without hash", "a", "https://example.org/d.zip", "spec.input");
    input("input with a password", "a", "https://u:p@example.org/d#sha256=" + hash, "spec.input");
    input("input from an option", "a", "https://-x/d#sha256=" + hash, "spec.input");
    input("input with a blank in its address", "a", "http://h/a b#sha256=" + hash, "spec.input");
    input("input by another scheme is no absolute path", "a", "file:///x", "spec.input");
    input("input with a newline", "a", "/x\ny", "spec.input");
    input("input's name with a dash", "a-b", "/x", "spec.input");
    input("input's name is kept", "resume", "/x", "spec.input");
    row("inputs of one variable", "command", R"({"inputs":{"a":"/x","A":"/y"}})", "spec.input", "inputs");
    row("a dataset of its own", "train", R"({"inputs":{"dataset":"/x"}})", "spec.input", "inputs");
    row("huge processes", "command", R"({"distribution.kind":"pytorch","distribution.processes":9223372036854775807})",
        "spec.range", "distribution.processes");
}

void tst_RunSpec::validate() {
    QFETCH(QByteArray, base);
    QFETCH(QByteArray, changes);
    QFETCH(QByteArray, code);
    QFETCH(QByteArray, field);
    Json document = base == "train" ? training() : command();
    const Json changed = *parseJson(changes.toStdString());
    for (const auto& [path, value] : changed.items()) {
        setValueAt(document, path, value);
    }
    const auto errors = validateRunSpec(document);
    const auto read = runSpecFromJson(document);
    QCOMPARE(read.ok(), code.isEmpty());
    if (code.isEmpty()) {
        QVERIFY(errors.empty());
        return;
    }
    QCOMPARE(errors.size(), std::size_t{1});
    QCOMPARE(QByteArray::fromStdString(errors[0].code), code);
    QCOMPARE(QByteArray::fromStdString(errors[0].field), field);
    QCOMPARE(read.error(), errors[0]);
}

void tst_RunSpec::validate_reportsAllInFieldOrder() {
    Json document = training();
    setValueAt(document, "limits.grace_seconds", -1);
    setValueAt(document, "experiment", "");
    setValueAt(document, "task.epochs", 0);
    setValueAt(document, "priorty", 0);
    std::vector<std::string> order;
    for (const Error& error : validateRunSpec(document)) {
        order.push_back(error.field);
    }
    QCOMPARE(order, (std::vector<std::string>{"experiment", "task.epochs", "limits.grace_seconds", "priorty"}));
}

void tst_RunSpec::validate_crossRulesBesideMissingFields() {
    Json document = defaultRunSpecDocument();
    setValueAt(document, "distribution.processes", 3);
    std::vector<std::string> codes;
    for (const Error& error : validateRunSpec(document)) {
        codes.push_back(error.code);
    }
    QCOMPARE(codes, (std::vector<std::string>{"spec.required", "spec.required", "spec.required", "spec.required",
                                              "spec.distribution"}));
}

void tst_RunSpec::upgrade_tooNew() {
    const auto spec = runSpecFromJson(with(training(), "version", kRunSpecVersion + 1));
    QCOMPARE(spec.error().code, std::string("format.newer"));
    QVERIFY(spec.error().message.find("version 2") != std::string::npos);
    QVERIFY(spec.error().message.find("version 1") != std::string::npos);
    QCOMPARE(validateRunSpec(with(training(), "version", 99)).front().code, std::string("format.newer"));
}

void tst_RunSpec::upgrade_tooOld() {
    QCOMPARE(runSpecFromJson(with(training(), "version", 0)).error().code, std::string("format.wrong"));
}

void tst_RunSpec::upgrade_otherFormat() {
    QCOMPARE(runSpecFromJson(with(training(), "format", "trainyard.plan")).error().code, std::string("format.wrong"));
    QCOMPARE(runSpecFromJson(Json::array()).error().code, std::string("format.wrong"));
}

void tst_RunSpec::schema_equalsTheFile() {
    const trainyard::base::Path file = trainyard::test::sourceFolder() / "resources/docs/protocol/run-spec.schema.json";
    const std::string schema = trainyard::base::dumpJsonPretty(runSpecJsonSchema());
    if (qEnvironmentVariableIntValue("UPDATE_GOLDEN") == 1) {
        QVERIFY(trainyard::base::writeFileAtomically(file, schema, 0644).ok());
    }
    QVERIFY2(trainyard::base::readFile(file).valueOr({}) == schema,
             "The schema has changed. Look at it, then run this test with UPDATE_GOLDEN=1 to write the file anew.");
}

void tst_RunSpec::schema_agreesWithValidation() {
    // Python's jsonschema, where it is there, judges the same documents as validation does.
    const auto probe = trainyard::test::runProgram("/usr/bin/python3", {"-c", "import jsonschema"});
    if (!probe.started || probe.exitCode != 0) {
        TRAINYARD_SKIP("python3-jsonschema is not installed.");
    }
    const trainyard::test::Scratch scratch;
    scratch.write("schema.json", dumpJson(runSpecJsonSchema()));
    Json cases = Json::array();
    const auto add = [&](const Json& document) {
        cases.push_back(Json{{"document", document}, {"valid", validateRunSpec(document).empty()}});
    };
    add(training());
    add(command());
    add(toJson(otherThanDefault()));
    add(defaultRunSpecDocument().is_object() ? with(training(), "task.epochs", 0) : Json());
    add(with(training(), "task.optimizer.kind", "adam"));
    add(with(with(training(), "task.optimizer.kind", "adam"), "task.optimizer.momentum", "left over"));
    add(with(training(), "task.optimizer.momentum", "heavy"));
    add(with(training(), "task.optimizer.learning_rate", 0));
    add(with(training(), "task.epoch", 3));
    add(with(training(), "task.model.family", "gpt"));
    add(with(training(), "tags", Json{{"a", Json::array()}}));
    add(with(training(), "version", 2));
    add(with(command(), "task.epochs", "left over"));
    add(with(command(), "experiment", ""));
    Json noData = training();
    noData["task"].erase("dataset");
    add(noData);
    scratch.write("cases.json", dumpJson(cases));
    const auto run = trainyard::test::runProgram(
        "/usr/bin/python3",
        {"-c", "import json, jsonschema, sys\n"
               "schema = json.load(open('schema.json'))\n"
               "jsonschema.Draft202012Validator.check_schema(schema)\n"
               "v = jsonschema.Draft202012Validator(schema)\n"
               "bad = [c for c in json.load(open('cases.json')) if v.is_valid(c['document']) != c['valid']]\n"
               "print(json.dumps(bad)); sys.exit(1 if bad else 0)\n"},
        {.folder = scratch.path()});
    QVERIFY2(run.exitCode == 0, (run.out + run.err).c_str());
}

void tst_RunSpec::differences_namePaths() {
    Json right = with(training(), "task.epochs", 7);
    right["task"]["dataset"].erase("val_labels");
    setValueAt(right, "tags.new", "x");
    const auto list = differences(training(), right);
    QCOMPARE(list.size(), std::size_t{3});
    QCOMPARE(list[0].path, std::string("task.dataset.val_labels"));
    QVERIFY(list[0].right.is_null());
    QCOMPARE(list[1].path, std::string("task.epochs"));
    QCOMPARE(list[1].right, Json(7));
    QCOMPARE(list[2].path, std::string("tags"));
    QVERIFY(differences(right, right).empty());
}

void tst_RunSpec::states_names() {
    for (int i = 0; i <= static_cast<int>(RunState::Lost); ++i) {
        const auto state = static_cast<RunState>(i);
        QVERIFY(runStateFromString(toString(state)) == state);
    }
    QCOMPARE(std::string(toString(RunState::Running)), std::string("Running"));
    QVERIFY(!runStateFromString("running") && !runStateFromString(""));
}

void tst_RunSpec::states_mayFollow() {
    using enum RunState;
    for (const RunState end : {Completed, Failed, Canceled}) {
        QVERIFY(isFinal(end));
        for (int i = 0; i <= static_cast<int>(Lost); ++i) {
            QVERIFY(!mayFollow(end, static_cast<RunState>(i)));
        }
        for (const RunState from : {Draft, Preparing, Queued, Running, Finalizing, Lost}) {
            QVERIFY(!isFinal(from));
            QVERIFY(mayFollow(from, end));
        }
    }
    QVERIFY(mayFollow(Draft, Preparing) && mayFollow(Preparing, Running) && mayFollow(Running, Finalizing));
    QVERIFY(!mayFollow(Running, Queued) && !mayFollow(Running, Running) && !mayFollow(Preparing, Draft));
    QVERIFY(mayFollow(Running, Lost) && mayFollow(Lost, Running) && mayFollow(Lost, Queued) && !mayFollow(Draft, Lost));
}

QTEST_GUILESS_MAIN(tst_RunSpec)
#include "tst_RunSpec.moc"
