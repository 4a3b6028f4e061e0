#include "core/engine/model/SafeTensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::engine {

namespace {

using base::Json;

constexpr std::int64_t kMaxHeaderBytes = 100 << 20;
constexpr std::int64_t kMostSafeTensorsBytes = std::int64_t{64} << 30;

constexpr std::array<std::pair<const char*, at::ScalarType>, 9> kTypes{{{"F32", at::kFloat},
                                                                        {"F64", at::kDouble},
                                                                        {"F16", at::kHalf},
                                                                        {"BF16", at::kBFloat16},
                                                                        {"I64", at::kLong},
                                                                        {"I32", at::kInt},
                                                                        {"I16", at::kShort},
                                                                        {"U8", at::kByte},
                                                                        {"BOOL", at::kBool}}};

std::optional<std::string> typeName(at::ScalarType type) {
    for (const auto& [name, known] : kTypes) {
        if (known == type) {
            return name;
        }
    }
    return type == at::kChar ? std::optional<std::string>("I8") : std::nullopt;
}

std::optional<at::ScalarType> typeOf(const std::string& name) {
    for (const auto& [known, type] : kTypes) {
        if (name == known) {
            return type;
        }
    }
    return name == "I8" ? std::optional(at::kChar) : std::nullopt;
}

Error formatError(const Path& path, const std::string& what) {
    return {"weights.format", "\"" + path.string() + "\" is not a sound safetensors file: " + what + "."};
}

/// One tensor from its header entry; `data` is what follows the header.
Result<at::Tensor> readTensor(const Path& path, const std::string& name, const Json& entry, std::string_view data) {
    const auto wrong = [&](const std::string& what) { return formatError(path, "tensor \"" + name + "\" " + what); };
    if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() || !entry.contains("shape") ||
        !entry["shape"].is_array() || !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
        entry["data_offsets"].size() != 2) {
        return wrong("has no type, shape or offsets");
    }
    const auto type = typeOf(entry["dtype"].get<std::string>());
    if (!type) {
        return wrong("has the unknown type " + entry["dtype"].get<std::string>());
    }
    for (const Json& offset : entry["data_offsets"]) {
        if (!offset.is_number_integer() || offset < 0) {
            return wrong("has offsets that are no whole numbers");
        }
    }
    const auto begin = entry["data_offsets"][0].get<std::uint64_t>();
    const auto end = entry["data_offsets"][1].get<std::uint64_t>();
    if (begin > end || end > data.size()) {
        return wrong("lies outside the file");
    }
    std::uint64_t bytes = c10::elementSize(*type);
    std::vector<std::int64_t> shape;
    for (const Json& size : entry["shape"]) {
        if (!size.is_number_integer() || size < 0 || shape.size() >= 64) {
            return wrong("has a shape that cannot be");
        }
        const auto n = size.get<std::uint64_t>();
        if (n != 0 && bytes > std::uint64_t{kMostSafeTensorsBytes} / n) {
            return wrong("has a shape larger than any file");
        }
        bytes *= n;
        shape.push_back(static_cast<std::int64_t>(n));
    }
    if (bytes != end - begin) {
        return wrong("has " + std::to_string(end - begin) + " bytes, its shape needs " + std::to_string(bytes));
    }
    at::Tensor tensor = at::empty(shape, *type);
    if (bytes > 0) {
        std::memcpy(tensor.data_ptr(), data.data() + begin, bytes);
    }
    return tensor;
}

}  // namespace

const at::Tensor* SafeTensors::find(const std::string& name) const {
    const auto found = std::ranges::find(tensors, name, &NamedTensors::value_type::first);
    return found == tensors.end() ? nullptr : &found->second;
}

const std::string* SafeTensors::meta(const std::string& key) const {
    const auto found = std::ranges::find(metadata, key, &std::pair<std::string, std::string>::first);
    return found == metadata.end() ? nullptr : &found->second;
}

Status writeSafeTensors(const SafeTensors& content, const Path& path) {
    return guarded("writing \"" + path.string() + "\"", [&]() -> Status {
        Json header = Json::object();
        if (!content.metadata.empty()) {
            Json meta = Json::object();
            for (const auto& [key, value] : content.metadata) {
                meta[key] = value;
            }
            header["__metadata__"] = std::move(meta);
        }
        std::uint64_t offset = 0;
        for (const auto& [name, tensor] : content.tensors) {
            const auto type = typeName(tensor.scalar_type());
            if (!type) {
                return Error{"weights.type", "The tensor \"" + name + "\" has a type that safetensors cannot hold."};
            }
            const std::uint64_t bytes = tensor.nbytes();
            header[name] =
                Json{{"dtype", *type}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, offset + bytes}}};
            offset += bytes;
        }
        std::string text = base::dumpJson(header);
        text.resize((text.size() + 7) / 8 * 8, ' ');  // Values begin on an 8-byte boundary, as the format recommends.
        std::string bytes;
        bytes.reserve(8 + text.size() + offset);
        const std::uint64_t length = text.size();
        for (int shift = 0; shift < 64; shift += 8) {
            bytes.push_back(static_cast<char>((length >> shift) & 0xFF));
        }
        bytes += text;
        for (const auto& [name, tensor] : content.tensors) {
            const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
            bytes.append(static_cast<const char*>(plain.data_ptr()), plain.nbytes());
        }
        return base::writeFileAtomically(path, bytes);
    });
}

Result<SafeTensors> readSafeTensors(const Path& path) {
    auto read = base::readFile(path, kMostSafeTensorsBytes);
    if (!read) {
        return read.error();
    }
    const std::string bytes = std::move(read).value();
    if (bytes.size() < 8) {
        return formatError(path, "it is shorter than its header's length");
    }
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) {
        length = (length << 8) | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    }
    if (length > std::uint64_t{kMaxHeaderBytes} || length > bytes.size() - 8) {
        return formatError(path, "its header of " + std::to_string(length) + " bytes does not fit in the file");
    }
    auto header = base::parseJson(std::string_view(bytes).substr(8, length));
    if (!header || !header->is_object()) {
        return formatError(path, "its header is no JSON object");
    }
    return guarded("reading \"" + path.string() + "\"", [&]() -> Result<SafeTensors> {
        SafeTensors content;
        const std::string_view data = std::string_view(bytes).substr(8 + length);
        for (const auto& [name, entry] : header->items()) {
            if (name == "__metadata__") {
                for (const auto& [key, value] : entry.items()) {
                    if (!value.is_string()) {
                        return formatError(path, "its metadata holds something that is no text");
                    }
                    content.metadata.emplace_back(key, value.get<std::string>());
                }
                continue;
            }
            auto tensor = readTensor(path, name, entry, data);
            if (!tensor) {
                return tensor.error();
            }
            content.tensors.emplace_back(name, std::move(*tensor));
        }
        return content;
    });
}

}  // namespace trainyard::engine
