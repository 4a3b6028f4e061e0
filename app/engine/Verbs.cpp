#include "app/engine/Verbs.h"

#include <cstdio>
#include <optional>
#include <string>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/Runtime.h"
#include "core/engine/data/DatasetVerb.h"
#include "core/engine/data/PreviewVerb.h"
#include "core/engine/export/Verbs.h"
#include "core/engine/inspect/CheckVerb.h"
#include "core/engine/inspect/Inspect.h"
#include "core/engine/inspect/Probe.h"
#include "core/engine/inspect/SelfTest.h"
#include "core/engine/serve/EvaluateVerb.h"
#include "core/engine/serve/PredictVerb.h"
#include "core/engine/serve/ServeVerb.h"
#include "core/engine/train/Reporter.h"
#include "core/engine/train/Trainer.h"
#include "core/engine/weights/WeightsVerb.h"
#include "core/wire/EngineProtocol.h"

namespace trainyard::app {

namespace {

using base::Error;
using base::Json;
using base::Result;
using engine::VerbProgress;

/// Answers a request with a result; called with an empty object where the command line gave no request.
using RequestVerb = Result<Json> (*)(const Json& request, const VerbProgress& progress);

Result<Json> inspect(const Json& request, const VerbProgress&) {
    base::ObjectReader reader(request, "");
    const std::string model = reader.string("model");
    TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
    return model.empty() ? Result<Json>(engine::describeEngine()) : engine::describeModel(model);
}
Result<Json> weights(const Json& request, const VerbProgress&) { return engine::runWeightsVerb(request); }

struct Verb {
    std::string_view name;
    RequestVerb run;
    bool needsRequest;
    const char* help;
};

constexpr Verb kVerbs[] = {
    {"check", engine::runCheckVerb, true, "real steps of a run: memory, time, disk, the largest batch"},
    {"inspect", inspect, false, "versions, backends and devices, or a model file"},
    {"predict", engine::runPredictVerb, true, "the most probable classes of pictures"},
    {"serve", engine::runServeVerb, true, "predict or preview for requests on standard input, with model or data kept"},
    {"evaluate", engine::runEvaluateVerb, true, "what a model gets right and wrong on a dataset"},
    {"dataset", engine::runDatasetVerb, true, "classes, sizes and statistics of a dataset, and what cannot be read"},
    {"preview", engine::runPreviewVerb, true, "training samples as a run's augmentation makes them"},
    {"weights", weights, true, "which tensors of a file fit a model"},
    {"export", engine::runExportVerb, true, "TorchScript to ONNX"},
    {"verify", engine::runVerifyVerb, true, "prove an ONNX file against its model"},
};

void printHelp(std::FILE* to) {
    std::fputs("usage: trainyard-engine VERB [--request FILE]\n"
               "       trainyard-engine train --spec FILE\n"
               "       trainyard-engine selftest [--gpu]\n\n"
               "  train      train one rank of a run (inside a run; see resources/docs/protocol/engine.md)\n",
               to);
    for (const Verb& verb : kVerbs) {
        std::fprintf(to, "  %-10.*s %s\n", static_cast<int>(verb.name.size()), verb.name.data(), verb.help);
    }
    std::fputs("  selftest   small checks of this installation; with --gpu also of every GPU and of NCCL\n", to);
    std::fputs("\nAnswers are JSON Lines on standard output; the last line is the result or the error.\n"
               "Exit status: 0 done, 1 failed, 2 wrong command line; train also 3 loss not finite, 4 a peer is gone,\n"
               "5 writing failed, 6 out of memory, 143 stopped by SIGTERM after a checkpoint.\n",
               to);
}

void put(const std::string& line) {
    std::fwrite(line.data(), 1, line.size(), stdout);
    if (line.empty() || line.back() != '\n') {
        std::fputc('\n', stdout);
    }
    std::fflush(stdout);
}

Result<Json> readDocument(const base::Path& path) {
    auto text = base::readFile(path);
    if (!text) {
        return text.error();
    }
    auto json = base::parseJson(*text);
    if (!json) {
        return Error{json.error().code, "\"" + path.string() + "\": " + json.error().message};
    }
    return json;
}

int statusOf(const Error& error) {
    using namespace exit_status;
    const auto is = [&error](std::string_view code) { return error.code == code; };
    return is("train.nan")                        ? kNotFinite
           : is("train.peer")                     ? kPeer
           : is("file.full") || is("engine.disk") ? kDisk
           : is("engine.memory")                  ? kMemory
                                                  : kFailed;
}

int trainVerb(const base::Path& specFile) {
    engine::watchSignals();
    auto context = engine::RankContext::fromEnvironment();
    engine::Reporter reporter(wire::ClientWriter::fromEnvironment(), !context || context->leads());
    const auto fail = [&](const Error& error) {
        reporter.failure(error.code, error.message);
        return statusOf(error);
    };
    if (!context) {
        return fail(context.error());
    }
    auto document = readDocument(specFile);
    if (!document) {
        return fail(document.error());
    }
    auto request = engine::trainRequestFromJson(std::move(*document));
    if (!request) {
        return fail(request.error());
    }
    auto summary = engine::guarded("training", [&] { return engine::train(*request, *context, reporter); });
    if (!summary) {
        return fail(summary.error());
    }
    if (summary->stopped) {
        reporter.say("stopped at step " + std::to_string(summary->steps) + " after a checkpoint");
        return exit_status::kStopped;
    }
    char line[160];
    std::snprintf(line, sizeof line, "done: %lld steps in %.1f s, validation accuracy %.2f %%",
                  static_cast<long long>(summary->steps), summary->seconds, summary->valAccuracy * 100);
    reporter.say(line);
    const std::int64_t epochs = request->spec.train.epochs;
    std::snprintf(line, sizeof line, "Trained %lld epoch%s; validation accuracy %.1f %%.",
                  static_cast<long long>(epochs), epochs == 1 ? "" : "s", summary->valAccuracy * 100);
    reporter.conclusion(line);
    return exit_status::kDone;
}

int requestVerb(const Verb& verb, const std::optional<base::Path>& requestFile) {
    const auto answer = engine::guarded(std::string(verb.name), [&]() -> Result<Json> {
        Json request = Json::object();
        if (requestFile) {
            auto document = readDocument(*requestFile);
            if (!document) {
                return document.error();
            }
            request = std::move(*document);
        }
        return verb.run(request, [](const Json& body) { put(wire::encodeEngineProgress(body)); });
    });
    put(answer ? wire::encodeEngineResult(*answer) : wire::encodeEngineError(answer.error()));
    return answer ? exit_status::kDone : exit_status::kFailed;
}

/// The report for people goes to stderr as it grows, the result to stdout. A check that failed is exit status 1.
int selfTestVerb(bool gpu) {
    const auto tell = [](const Json& check) {
        const Json& passed = check["passed"];
        std::fprintf(stderr, "%-5s %-18s %s\n",
                     passed.is_null()     ? "-"
                     : passed.get<bool>() ? "ok"
                                          : "FAIL",
                     check["name"].get<std::string>().c_str(), check["detail"].get<std::string>().c_str());
    };
    const auto answer = engine::guarded("testing itself", [&] { return engine::runSelfTest(gpu, tell); });
    put(answer ? wire::encodeEngineResult(*answer) : wire::encodeEngineError(answer.error()));
    return answer.ok() && (*answer)["passed"].get<bool>() ? exit_status::kDone : exit_status::kFailed;
}

int usage(const std::string& message) {
    std::fprintf(stderr, "trainyard-engine: %s\n\n", message.c_str());
    printHelp(stderr);
    return exit_status::kUsage;
}

}  // namespace

int runEngine(const std::vector<std::string_view>& arguments) {
    if (arguments.empty()) {
        return usage("a verb is missing");
    }
    const std::string_view name = arguments[0];
    if (name == "--help" || name == "help" || name == "-h") {
        printHelp(stdout);
        return exit_status::kDone;
    }
    if (name == "--version") {
        std::puts("trainyard-engine " TRAINYARD_VERSION);
        return exit_status::kDone;
    }
    if (name == "selftest") {
        if (arguments.size() > 2 && arguments[1] == "--rank") {
            return engine::runSelfTestRank({arguments.begin() + 2, arguments.end()});
        }
        const bool gpu = arguments.size() == 2 && arguments[1] == "--gpu";
        return gpu || arguments.size() == 1 ? selfTestVerb(gpu) : usage("\"selftest\" takes --gpu and nothing else");
    }
    if (name == "check" && arguments.size() > 2 && arguments[1] == "--rank") {
        return engine::runProbeRank({arguments.begin() + 2, arguments.end()});
    }
    const std::string_view option = name == "train" ? "--spec" : "--request";
    std::optional<base::Path> file;
    if (arguments.size() == 3 && arguments[1] == option) {
        file = base::Path(arguments[2]);
    } else if (arguments.size() != 1) {
        return usage("\"" + std::string(name) + "\" takes " + std::string(option) + " FILE and nothing else");
    }
    if (name == "train") {
        return file ? trainVerb(*file) : usage("\"train\" needs --spec FILE");
    }
    for (const Verb& verb : kVerbs) {
        if (verb.name == name) {
            return verb.needsRequest && !file ? usage("\"" + std::string(name) + "\" needs --request FILE")
                                              : requestVerb(verb, file);
        }
    }
    return usage("there is no verb \"" + std::string(name) + "\"");
}

}  // namespace trainyard::app
