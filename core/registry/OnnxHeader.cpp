#include "core/registry/OnnxHeader.h"

#include <algorithm>
#include <functional>
#include <string>

#include "core/base/ProtoFields.h"
#include "core/base/Text.h"

namespace trainyard::registry {

namespace {

constexpr int kMostFields = 4'000'000;
constexpr std::size_t kMostNames = 64;
constexpr std::size_t kMostText = 200;

using base::ProtoField;

/// Walks the fields of messages, all of them together within one limit.
class Reader {
public:
    using Take = std::function<bool(const ProtoField&)>;

    explicit Reader(FileBytes& file) : m_file(file) {}

    /// False when a field reaches out of the message, is of no known type, or `take` says no.
    bool eachOfAll(const Take& take) { return each(0, m_file.size(), take); }
    bool each(const ProtoField& message, const Take& take) { return each(message.at, message.end, take); }

    std::string text(const ProtoField& field) {
        return base::toValidUtf8(base::stripControl(
            m_file.text(field.at, static_cast<std::size_t>(std::min<std::uint64_t>(field.end - field.at, kMostText)))));
    }

private:
    bool each(std::uint64_t at, std::uint64_t end, const Take& take) {
        base::ProtoFields fields(m_file, at, end);
        ProtoField field;
        while (fields.next(field)) {
            if (++m_fields > kMostFields || !take(field)) {
                return false;
            }
        }
        return !fields.broken();
    }

    FileBytes& m_file;
    int m_fields = 0;
};

/// Takes the name (field 1) of a ValueInfoProto.
bool addName(Reader& reader, const ProtoField& message, base::Json& names) {
    return reader.each(message, [&](const ProtoField& field) {
        if (field.number == 1 && field.hasBytes() && names.size() < kMostNames) {
            names.push_back(reader.text(field));
        }
        return true;
    });
}

}  // namespace

std::optional<base::Json> readOnnxHeader(FileBytes& file) {
    constexpr std::uint64_t kMostIrVersion = 1000;
    Reader reader(file);
    std::uint64_t irVersion = 0;
    std::uint64_t opset = 0;
    std::string producer;
    base::Json inputs = base::Json::array();
    base::Json outputs = base::Json::array();
    std::int64_t nodes = 0;
    std::int64_t initializers = 0;
    bool external = false;
    int graphs = 0;
    int opsets = 0;
    const auto takeTensor = [&](const ProtoField& field) {
        external = external || (field.number == 14 && field.value == 1);
        return true;
    };
    const auto takeGraph = [&](const ProtoField& field) {
        if (field.number == 1 && field.hasBytes()) {
            ++nodes;
        } else if (field.number == 5 && field.hasBytes()) {
            ++initializers;
            return reader.each(field, takeTensor);
        } else if (field.number == 11 && field.hasBytes()) {
            return addName(reader, field, inputs);
        } else if (field.number == 12 && field.hasBytes()) {
            return addName(reader, field, outputs);
        }
        return true;
    };
    const auto takeOpset = [&](const ProtoField& message) {
        std::string domain;
        std::uint64_t version = 0;
        const bool whole = reader.each(message, [&](const ProtoField& field) {
            if (field.number == 1 && field.hasBytes()) {
                domain = reader.text(field);
            } else if (field.number == 2) {
                version = field.value;
            }
            return true;
        });
        if (domain.empty() || domain == "ai.onnx") {
            opset = version;
        }
        ++opsets;
        return whole;
    };
    const bool whole = reader.eachOfAll([&](const ProtoField& field) {
        switch (field.number) {
        case 1: irVersion = field.value; return !field.hasBytes();
        case 2: producer = field.hasBytes() ? reader.text(field) : std::string(); return field.hasBytes();
        case 7: ++graphs; return field.hasBytes() && reader.each(field, takeGraph);
        case 8: return field.hasBytes() && takeOpset(field);
        default: return true;
        }
    });
    if (!whole || graphs != 1 || opsets == 0 || irVersion == 0 || irVersion > kMostIrVersion || outputs.empty()) {
        return std::nullopt;
    }
    return base::Json{{"ir_version", irVersion},       {"opset", opset},
                      {"producer", producer},          {"inputs", std::move(inputs)},
                      {"outputs", std::move(outputs)}, {"nodes", nodes},
                      {"initializers", initializers},  {"external_data", external}};
}

}  // namespace trainyard::registry
