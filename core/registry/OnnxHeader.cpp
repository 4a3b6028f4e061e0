#include "core/registry/OnnxHeader.h"

#include <algorithm>
#include <functional>
#include <string>

#include "core/base/Text.h"

namespace trainyard::registry {

namespace {

constexpr int kMostFields = 4'000'000;
constexpr std::size_t kMostNames = 64;
constexpr std::size_t kMostText = 200;

struct Message {
    std::uint64_t at = 0;
    std::uint64_t end = 0;
};

struct ProtoField {
    std::uint64_t number = 0;
    std::uint64_t value = 0;   ///< Of a whole number.
    Message inside;            ///< Of text, bytes, messages; empty for the rest.
    bool hasInside = false;
};

/// Walks the fields of messages, all of them together within one limit.
class Reader {
public:
    explicit Reader(FileBytes& file) : m_file(file) {}

    /// False when a field reaches out of the message, is of no known type, or `take` says no.
    bool each(Message message, const std::function<bool(const ProtoField&)>& take) {
        while (message.at < message.end) {
            ProtoField field;
            std::uint64_t key = 0;
            if (++m_fields > kMostFields || !varint(message, key) || key >> 3 == 0) {
                return false;
            }
            field.number = key >> 3;
            switch (key & 7) {
                case 0:
                    if (!varint(message, field.value)) {
                        return false;
                    }
                    break;
                case 1:
                case 5: {
                    const std::uint64_t bytes = (key & 7) == 1 ? 8 : 4;
                    if (bytes > message.end - message.at) {
                        return false;
                    }
                    message.at += bytes;
                    break;
                }
                case 2: {
                    std::uint64_t bytes = 0;
                    if (!varint(message, bytes) || bytes > message.end - message.at) {
                        return false;
                    }
                    field.inside = {message.at, message.at + bytes};
                    field.hasInside = true;
                    message.at += bytes;
                    break;
                }
                default: return false;
            }
            if (!take(field)) {
                return false;
            }
        }
        return true;
    }

    std::string text(const Message& message) {
        return base::toValidUtf8(base::stripControl(
            m_file.text(message.at, static_cast<std::size_t>(std::min<std::uint64_t>(message.end - message.at, kMostText)))));
    }

private:
    bool varint(Message& message, std::uint64_t& value) {
        value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            std::uint64_t byte = 0;
            if (message.at >= message.end || !m_file.number(message.at++, 1, byte)) {
                return false;
            }
            value |= (byte & 0x7f) << shift;
            if ((byte & 0x80) == 0) {
                return true;
            }
        }
        return false;
    }

    FileBytes& m_file;
    int m_fields = 0;
};

/// Takes the name (field 1) of a ValueInfoProto.
bool addName(Reader& reader, const Message& message, base::Json& names) {
    return reader.each(message, [&](const ProtoField& field) {
        if (field.number == 1 && field.hasInside && names.size() < kMostNames) {
            names.push_back(reader.text(field.inside));
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
        if (field.number == 1 && field.hasInside) {
            ++nodes;
        } else if (field.number == 5 && field.hasInside) {
            ++initializers;
            return reader.each(field.inside, takeTensor);
        } else if (field.number == 11 && field.hasInside) {
            return addName(reader, field.inside, inputs);
        } else if (field.number == 12 && field.hasInside) {
            return addName(reader, field.inside, outputs);
        }
        return true;
    };
    const auto takeOpset = [&](const Message& message) {
        std::string domain;
        std::uint64_t version = 0;
        const bool whole = reader.each(message, [&](const ProtoField& field) {
            if (field.number == 1 && field.hasInside) {
                domain = reader.text(field.inside);
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
    const bool whole = reader.each({0, file.size()}, [&](const ProtoField& field) {
        switch (field.number) {
            case 1: irVersion = field.value; return !field.hasInside;
            case 2:
                producer = field.hasInside ? reader.text(field.inside) : std::string();
                return field.hasInside;
            case 7: ++graphs; return field.hasInside && reader.each(field.inside, takeGraph);
            case 8: return field.hasInside && takeOpset(field.inside);
            default: return true;
        }
    });
    if (!whole || graphs != 1 || opsets == 0 || irVersion == 0 || irVersion > kMostIrVersion || outputs.empty()) {
        return std::nullopt;
    }
    return base::Json{{"ir_version", irVersion}, {"opset", opset},         {"producer", producer},           {"inputs", std::move(inputs)},
                      {"outputs", std::move(outputs)}, {"nodes", nodes}, {"initializers", initializers}, {"external_data", external}};
}

}  // namespace trainyard::registry
