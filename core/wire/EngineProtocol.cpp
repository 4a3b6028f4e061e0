#include "core/wire/EngineProtocol.h"

#include "core/base/Text.h"

namespace trainyard::wire {

using base::Error;
using base::Json;
using base::Result;

namespace {

std::string encodeLine(const char* kind, const Json& body) {
    Json line = {{"kind", kind}};
    for (const auto& [name, value] : body.items()) {
        if (name != "kind") {
            line[name] = value;
        }
    }
    return base::dumpJson(line) + "\n";
}

}  // namespace

Result<EngineMessage> decodeEngineLine(std::string_view line) {
    const auto unreadable = [](const std::string& why) {
        return Error{"engine.line", "The engine answered with a line that " + why + "."};
    };
    Result<Json> parsed = base::parseJson(base::trim(line));
    if (!parsed.ok()) {
        return unreadable("is no JSON: " + parsed.error().message);
    }
    base::ObjectReader reader(*parsed, "");
    const std::string kind = reader.string("kind");
    EngineMessage message;
    if (kind == "error") {
        message.kind = EngineMessage::Kind::Failure;
        reader.require("code");
        reader.require("message");
        message.error = {reader.string("code"), reader.string("message"), reader.string("field")};
        if (const base::Status status = reader.status(false); !status.ok()) {
            return unreadable("is an error without a code or message");
        }
        return message;
    }
    if (kind != "progress" && kind != "result") {
        return unreadable("has no known kind");
    }
    message.kind = kind == "result" ? EngineMessage::Kind::Result : EngineMessage::Kind::Progress;
    message.body = std::move(*parsed);
    message.body.erase("kind");
    return message;
}

std::string encodeEngineProgress(const Json& body) { return encodeLine("progress", body); }

std::string encodeEngineResult(const Json& body) { return encodeLine("result", body); }

std::string encodeEngineError(const Error& error) {
    Json body = {{"code", error.code}, {"message", error.message}};
    if (!error.field.empty()) {
        body["field"] = error.field;
    }
    return encodeLine("error", body);
}

}  // namespace trainyard::wire
