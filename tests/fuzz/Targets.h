#pragma once
// What must hold for any bytes at all. Each function returns an empty text, or what did not hold. Used by the mutation
// loop (tst_Mutations) and by libFuzzer (Fuzzer.cpp, tests/fuzz/run).
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Text.h"
#include "core/spec/RunSpec.h"
#include "core/wire/ClientLine.h"
#include "core/wire/EngineProtocol.h"
#include "core/wire/Plan.h"
#include "core/wire/RunStream.h"

namespace trainyard::fuzz {

using base::Json;

inline std::string json(std::string_view bytes) {
    const auto first = base::parseJson(bytes);
    if (!first.ok()) {
        return base::isValidUtf8(first.error().message) ? "" : "the message is no UTF-8";
    }
    const std::string text = base::dumpJson(*first);
    const auto second = base::parseJson(text);
    if (!second.ok()) {
        return "what was written cannot be read: " + second.error().message;
    }
    return base::dumpJson(*second) == text ? "" : "read and written again it differs";
}

/// All that a decoder says of the bytes, fed in pieces of the given size (0: at once).
inline std::string decoded(std::string_view bytes, std::size_t piece) {
    wire::StreamDecoder decoder;
    std::string said;
    std::size_t fed = 0;
    const auto drain = [&] {
        while (const auto entry = decoder.next()) {
            said +=
                std::to_string(entry->offset) + "+" + std::to_string(entry->length) + " " + wire::encode(entry->record);
        }
    };
    while (fed < bytes.size()) {
        const std::size_t size = piece == 0 ? bytes.size() : std::min(piece, bytes.size() - fed);
        decoder.feed(bytes.substr(fed, size));
        fed += size;
        drain();
        if (decoder.cursor().offset + decoder.pendingBytes() != static_cast<std::int64_t>(fed)) {
            return "the cursor and the bytes that wait are not what was fed";
        }
    }
    decoder.finish();
    drain();
    for (const wire::DamagedLine& damaged : decoder.takeDamaged()) {
        said += "damaged " + std::to_string(damaged.offset) + "+" + std::to_string(damaged.length) + " " +
                damaged.error.code + "\n";
    }
    if (!decoder.refused() && decoder.pendingBytes() != 0) {
        return "a finished decoder still waits for bytes";
    }
    return said + std::to_string(decoder.cursor().offset) + " " + std::to_string(decoder.cursor().lastSeq);
}

inline std::string stream(std::string_view bytes) {
    const std::string whole = decoded(bytes, 0);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{64}}) {
        if (decoded(bytes, piece) != whole) {
            return "cut into pieces of " + std::to_string(piece) + " it reads differently";
        }
    }
    return whole.starts_with("the cursor") || whole.starts_with("a finished") ? whole : "";
}

inline std::string record(std::string_view bytes) {
    const auto read = wire::decode(bytes);
    if (!read.ok()) {
        return "";
    }
    const std::string line = wire::encode(*read);
    const auto again = wire::decode(line);
    if (!again.ok()) {
        return "a record that was read cannot be written: " + again.error().message;
    }
    const auto series = wire::metricsFromBody(read->body, read->t);
    if (series.ok() && !wire::metricsFromBody(wire::metricsBody(*series, read->t), read->t).ok()) {
        return "metrics that were read cannot be written";
    }
    return wire::encode(*again) == line ? "" : "a record differs when written again";
}

inline std::string clientLine(std::string_view bytes) {
    wire::ClientLineTranslator translator;
    for (int i = 0; i < 2; ++i) {
        auto said = translator.translate(1, bytes, 1000);
        if (!said.ok()) {
            continue;
        }
        said->seq = 1;
        if (said->rank != 1 || !wire::decode(wire::encode(*said)).ok()) {
            return "a rank's line makes a record that cannot be read";
        }
        if (said->kind == wire::kind::kMetrics && !wire::metricsFromBody(said->body, said->t).ok()) {
            return "a rank's metrics make a record that cannot be read";
        }
        if (said->kind == wire::kind::kEnded || said->kind == wire::kind::kState) {
            return "a rank speaks for the agent";
        }
    }
    return "";
}

inline std::string spec(std::string_view bytes) {
    const auto document = base::parseJson(bytes);
    if (!document.ok()) {
        return "";
    }
    const auto errors = spec::validateRunSpec(*document);
    const auto read = spec::runSpecFromJson(*document);
    if (read.ok() != errors.empty()) {
        return "validation and reading disagree";
    }
    for (const base::Error& error : errors) {
        if (error.code.empty() || error.message.empty()) {
            return "an error says nothing";
        }
    }
    if (!read.ok()) {
        return "";
    }
    const Json written = spec::toJson(*read);
    const auto again = spec::runSpecFromJson(written);
    if (!again.ok()) {
        return "a spec that was read cannot be written: " + again.error().message;
    }
    return base::dumpJson(spec::toJson(*again)) == base::dumpJson(written) ? "" : "a spec differs when written again";
}

inline std::string plan(std::string_view bytes) {
    const auto document = base::parseJson(bytes);
    const auto read = document.ok() ? wire::planFromJson(*document) : base::Result<wire::Plan>(document.error());
    if (!read.ok()) {
        return "";
    }
    const auto again = wire::planFromJson(wire::toJson(*read));
    return again.ok() && base::dumpJson(wire::toJson(*again)) == base::dumpJson(wire::toJson(*read))
               ? ""
               : "a plan differs when written again";
}

inline std::string engineLine(std::string_view bytes) {
    const auto message = wire::decodeEngineLine(bytes);
    return message.ok() || message.error().code == "engine.line" ? "" : "another error than engine.line";
}

inline std::string text(std::string_view bytes) {
    const std::string valid = base::toValidUtf8(bytes);
    if (!base::isValidUtf8(valid) || base::toValidUtf8(valid) != valid) {
        return "made valid it is not";
    }
    const std::string shown = base::stripControl(valid);
    if (!base::isValidUtf8(shown)) {
        return "without controls it is no UTF-8";
    }
    const bool hasControl = std::ranges::any_of(
        shown, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == '\x7f'; });
    return hasControl ? "controls are left" : "";
}

struct Target {
    const char* name;
    std::string (*check)(std::string_view);
};
inline constexpr std::array kTargets = {
    Target{"json", json}, Target{"stream", stream}, Target{"record", record},         Target{"clientLine", clientLine},
    Target{"spec", spec}, Target{"plan", plan},     Target{"engineLine", engineLine}, Target{"text", text},
};

}  // namespace trainyard::fuzz
