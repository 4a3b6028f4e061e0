#include "core/registry/FileKind.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/Text.h"
#include "core/registry/FileBytes.h"
#include "core/registry/OnnxHeader.h"
#include "core/registry/PickleWalk.h"
#include "core/registry/ZipDirectory.h"

namespace trainyard::registry {

namespace {

using base::Json;

/// The safetensors library itself refuses more than 100 MB; no model needs a tenth of this.
constexpr std::uint64_t kMostSafetensorsHeader = 16 << 20;
constexpr std::size_t kMostNamed = 32;
/// The number that torch.save wrote before it wrote zip archives, as a pickle of protocol 2.
constexpr std::string_view kLegacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";

FileFacts other(std::string told) { return {FileKind::Other, std::move(told), Json::object()}; }

bool endsWith(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool beginsWith(std::string_view text, std::string_view begin) { return text.substr(0, begin.size()) == begin; }

// ------------------------------------------------------------------------------------------------------ pickles

/// What a dictionary of tensors and numbers needs; none of it is a class of the user's.
bool isPlainGlobal(const std::string& name) {
    static constexpr std::string_view kNames[] = {"collections.OrderedDict",
                                                  "collections.defaultdict",
                                                  "collections.Counter",
                                                  "torch.Size",
                                                  "torch.device",
                                                  "torch.Tensor",
                                                  "torch.nn.parameter.Parameter",
                                                  "torch.storage.UntypedStorage",
                                                  "torch.storage.TypedStorage",
                                                  "torch.serialization._get_layout",
                                                  "_codecs.encode",
                                                  "builtins.set",
                                                  "__builtin__.set",
                                                  "builtins.dict",
                                                  "__builtin__.dict",
                                                  "builtins.bytearray",
                                                  "numpy.core.multiarray.scalar",
                                                  "numpy.core.multiarray._reconstruct",
                                                  "numpy._core.multiarray.scalar",
                                                  "numpy._core.multiarray._reconstruct",
                                                  "numpy.ndarray",
                                                  "numpy.dtype",
                                                  "torch.bfloat16",
                                                  "torch.half",
                                                  "torch.bool"};
    static constexpr std::string_view kTypes[] = {"torch.float",   "torch.int",   "torch.uint",
                                                  "torch.complex", "torch.quint", "torch.qint"};
    if (beginsWith(name, "torch._utils._rebuild_") || name == "torch._tensor._rebuild_from_type_v2") {
        return true;
    }
    if (beginsWith(name, "torch.") && endsWith(name, "Storage") && name.find('.', 6) == std::string::npos) {
        return true;
    }
    if (std::any_of(std::begin(kTypes), std::end(kTypes), [&](std::string_view type) {
            return beginsWith(name, type) &&
                   std::all_of(name.begin() + static_cast<std::ptrdiff_t>(type.size()), name.end(),
                               [](char c) { return (c >= '0' && c <= '9') || c == 'x'; });
        })) {
        return true;
    }
    return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

FileFacts pickleFacts(const PickleFacts& pickle, const std::string& where) {
    const bool plain = !pickle.hides && std::all_of(pickle.globals.begin(), pickle.globals.end(), isPlainGlobal);
    const bool tensors = std::any_of(pickle.globals.begin(), pickle.globals.end(), [](const std::string& name) {
        return beginsWith(name, "torch._utils._rebuild_");
    });
    const bool modules = pickle.hasModuleMembers ||
                         std::any_of(pickle.globals.begin(), pickle.globals.end(),
                                     [](const std::string& name) { return beginsWith(name, "torch.nn.modules."); });
    Json names = Json::array();
    for (const std::string& name : pickle.globals) {
        if (names.size() < kMostNamed) {
            names.push_back(base::toValidUtf8(base::stripControl(name.substr(0, 200))));
        }
    }
    FileFacts facts;
    facts.details = Json{{"globals", std::move(names)}};
    const std::string first = base::toValidUtf8(base::stripControl(pickle.first.substr(0, 200)));
    if (plain && tensors && pickle.beginsWithDict) {
        facts.kind = FileKind::StateDict;
        facts.told = where + " that holds a dictionary and imports nothing but what tensors need.";
    } else if (modules) {
        facts.kind = FileKind::Module;
        facts.told = where + (pickle.beginsWithDict ? " of a dictionary that holds a torch.nn.Module."
                                                    : " of a torch.nn.Module: " + first + ".");
    } else if (pickle.hides) {
        facts.told = where + " that hides what it would import.";
    } else if (plain && tensors) {
        facts.told = where + " of tensors that are in no dictionary.";
    } else {
        facts.told = where + (first.empty() ? " of plain values." : " that imports " + first + ".");
    }
    return facts;
}

FileFacts examinePickle(FileBytes& file) {
    const auto pickle = walkPickle(file);
    return pickle.ok() ? pickleFacts(*pickle, "A Python pickle")
                       : other("It begins like a Python pickle, but " + pickle.error().message + ".");
}

/// Pickles one after the other: a magic number, the format's version, facts about the machine, the object, the tensors'
/// keys.
FileFacts examineLegacy(FileBytes& file) {
    constexpr int kPickles = 5;
    constexpr int kObject = 3;
    PickleFacts object;
    std::uint64_t at = 0;
    for (int i = 0; i < kPickles; ++i) {
        const auto pickle = walkPickle(file, at);
        if (!pickle.ok()) {
            return other("It begins as torch.save wrote before version 1.6, but " + pickle.error().message + ".");
        }
        if (i == kObject) {
            object = *pickle;
        }
        at = pickle->end;
    }
    return pickleFacts(object, "A pickle by torch.save from before version 1.6");
}

// --------------------------------------------------------------------------------------------------- zip archives

FileFacts examineZip(FileBytes& file) {
    const auto members = readZipDirectory(file);
    if (!members.ok()) {
        return other("It begins like a zip archive, but " + members.error().message + ".");
    }
    if (members->empty()) {
        return other("A zip archive without members.");
    }
    // PyTorch puts everything under one folder, whose name is free.
    const std::string root = members->front().name.substr(0, members->front().name.find('/') + 1);
    const auto find = [&](const std::string& name) {
        return std::find_if(members->begin(), members->end(),
                            [&](const ZipMember& member) { return member.name == root + name; });
    };
    const auto end = members->end();
    const bool hasCode = std::any_of(members->begin(), end,
                                     [&](const ZipMember& member) { return beginsWith(member.name, root + "code/"); });
    const auto data = find("data.pkl");
    if (!root.empty() && data != end && find("constants.pkl") != end && find("version") != end) {
        for (const char* name : {"data.pkl", "constants.pkl"}) {
            auto bytes = storedMember(file, *find(name));
            const auto pickle = bytes.ok() ? walkPickle(*bytes) : base::Result<PickleFacts>(bytes.error());
            if (!pickle.ok()) {
                return other("It is laid out like TorchScript, but its " + std::string(name) +
                             " is damaged: " + pickle.error().message + ".");
            }
        }
        FileFacts facts{FileKind::TorchScript,
                        "A zip archive with constants.pkl and data.pkl, as torch.jit.save writes it.", Json::object()};
        facts.details["code"] = hasCode;
        facts.details["bytecode"] = find("bytecode.pkl") != end;
        return facts;
    }
    if (!root.empty() && data != end) {
        auto bytes = storedMember(file, *data);
        const auto pickle = bytes.ok() ? walkPickle(*bytes) : base::Result<PickleFacts>(bytes.error());
        if (!pickle.ok()) {
            return other(
                "It is laid out as torch.save writes it, but its data.pkl is damaged: " + pickle.error().message + ".");
        }
        return pickleFacts(*pickle, "A zip archive by torch.save");
    }
    if (find(".data/extern_modules") != end) {
        return other("A zip archive by torch.package.");
    }
    if (std::any_of(members->begin(), end, [](const ZipMember& member) {
            return endsWith(member.name, "serialized_exported_program.json");
        })) {
        return other("A zip archive by torch.export.");
    }
    if (std::all_of(members->begin(), end, [](const ZipMember& member) { return endsWith(member.name, ".npy"); })) {
        return other("A zip archive of NumPy arrays.");
    }
    return other("A zip archive of " + base::formatCount(static_cast<std::int64_t>(members->size())) +
                 (members->size() == 1 ? " member." : " members."));
}

// ---------------------------------------------------------------------------------------------------- safetensors

bool isCount(const Json& value) {
    constexpr std::int64_t kMost = std::int64_t{1} << 50;
    return value.is_number_integer() && value.get<std::int64_t>() >= 0 && value.get<std::int64_t>() <= kMost;
}

/// Where one tensor's bytes end; nothing when its entry is none of a tensor.
std::optional<std::uint64_t> tensorEnd(const Json& tensor, std::int64_t& parameters) {
    const auto shape = tensor.is_object() ? tensor.find("shape") : tensor.end();
    const auto offsets = tensor.is_object() ? tensor.find("data_offsets") : tensor.end();
    if (!tensor.is_object() || shape == tensor.end() || offsets == tensor.end() || !shape->is_array() ||
        !offsets->is_array() || offsets->size() != 2 || !isCount((*offsets)[0]) || !isCount((*offsets)[1]) ||
        (*offsets)[0].get<std::int64_t>() > (*offsets)[1].get<std::int64_t>()) {
        return std::nullopt;
    }
    std::int64_t count = 1;
    for (const Json& size : *shape) {
        if (!isCount(size) || __builtin_mul_overflow(count, size.get<std::int64_t>(), &count)) {
            return std::nullopt;
        }
    }
    if (__builtin_add_overflow(parameters, count, &parameters)) {
        return std::nullopt;
    }
    return static_cast<std::uint64_t>((*offsets)[1].get<std::int64_t>());
}

FileFacts examineSafetensors(FileBytes& file, std::uint64_t headerBytes) {
    constexpr std::uint64_t kLengthBytes = 8;
    if (headerBytes > file.size() - kLengthBytes) {
        return other("It begins like safetensors, but its header is said to be longer than the file.");
    }
    if (headerBytes > kMostSafetensorsHeader) {
        return other("It begins like safetensors, but its header is larger than any model's.");
    }
    const auto header = base::parseJson(file.text(kLengthBytes, static_cast<std::size_t>(headerBytes)));
    if (!header.ok() || !header->is_object()) {
        return other("It begins like safetensors, but its header is no JSON object.");
    }
    std::int64_t tensors = 0;
    std::int64_t parameters = 0;
    std::uint64_t end = 0;
    for (const auto& [name, tensor] : header->items()) {
        if (name == "__metadata__") {
            continue;
        }
        const auto here = tensorEnd(tensor, parameters);
        if (!here) {
            return other("It begins like safetensors, but its header does not describe tensors.");
        }
        end = std::max(end, *here);
        ++tensors;
    }
    if (end != file.size() - kLengthBytes - headerBytes) {
        return other("It has a header of safetensors, but not as many bytes as that says: it was cut off or damaged.");
    }
    return {FileKind::Safetensors, "A safetensors header whose tensors fill the file exactly.",
            Json{{"tensors", tensors}, {"parameters", parameters}}};
}

// ---------------------------------------------------------------------------------------------------------- rest

struct Magic {
    std::size_t offset;
    std::string_view bytes;
    const char* told;
};

constexpr Magic kMagics[] = {{0, "\x89HDF\r\n\x1a\n", "An HDF5 file, as Keras writes it."},
                             {0, "GGUF", "A GGUF file, as llama.cpp reads it."},
                             {4, "TFL3", "A TensorFlow Lite file."},
                             {0, "\x93NUMPY", "A NumPy array."},
                             {0, "\x1f\x8b", "A gzip-compressed file."},
                             {0, "\x28\xb5\x2f\xfd", "A zstd-compressed file."},
                             {0, "BZh", "A bzip2-compressed file."},
                             {257, "ustar", "A tar archive."},
                             {0,
                              "\x7f"
                              "ELF",
                              "A program or library."}};

/// What a file of JSON text says; null for anything else, and for more of it than any description of a model has.
Json readJson(FileBytes& file) {
    constexpr std::uint64_t kMostJson = 1 << 20;
    if (file.size() > kMostJson) {
        return {};
    }
    const std::string text = file.text(0, static_cast<std::size_t>(file.size()));
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos || (text[first] != '{' && text[first] != '[')) {
        return {};
    }
    auto json = base::parseJson(text);
    return json.ok() ? std::move(*json) : Json();
}

/// Pickles before protocol 2 have no mark of their own; their first instruction is one of these.
bool mayBeOldPickle(char first) {
    return first == '(' || first == 'c' || first == '}' || first == ']' || first == 'I' || first == 'S' ||
           first == 'V' || first == 'F';
}

}  // namespace

std::string_view toString(FileKind kind) {
    switch (kind) {
    case FileKind::TorchScript: return "torchscript";
    case FileKind::Safetensors: return "safetensors";
    case FileKind::StateDict: return "state_dict";
    case FileKind::Module: return "module";
    case FileKind::Onnx: return "onnx";
    case FileKind::Other: break;
    }
    return "other";
}

base::Result<FileFacts> examineFile(const base::Path& path) {
    auto opened = FileBytes::open(path);
    if (!opened.ok()) {
        return opened.error();
    }
    FileBytes& file = *opened;
    constexpr std::size_t kHead = 512;
    const std::string head = file.text(0, kHead);
    if (file.size() == 0) {
        return other("An empty file.");
    }
    if (head.empty()) {
        return base::Error{"file.io", path.string() + " cannot be read."};
    }
    if (beginsWith(head, "PK\x03\x04") || beginsWith(head, "PK\x05\x06")) {
        return examineZip(file);
    }
    if (beginsWith(head, kLegacyMagic)) {
        return examineLegacy(file);
    }
    if (head[0] == '\x80' && head.size() > 1 && head[1] >= 2 && head[1] <= 5) {
        return examinePickle(file);
    }
    std::uint64_t headerBytes = 0;
    if (head.size() > 9 && file.number(0, 8, headerBytes) && head[8] == '{' && headerBytes > 1) {
        return examineSafetensors(file, headerBytes);
    }
    for (const Magic& magic : kMagics) {
        if (head.size() >= magic.offset + magic.bytes.size() &&
            std::string_view(head).substr(magic.offset, magic.bytes.size()) == magic.bytes) {
            return other(magic.told);
        }
    }
    if (auto onnx = readOnnxHeader(file)) {
        return FileFacts{FileKind::Onnx, "A protocol buffer of ONNX's ModelProto, with a graph that has outputs.",
                         std::move(*onnx)};
    }
    if (mayBeOldPickle(head[0])) {
        if (const auto pickle = walkPickle(file); pickle.ok() && pickle->end == file.size()) {
            return pickleFacts(*pickle, "A Python pickle");
        }
    }
    if (const auto json = readJson(file); json.is_object() || json.is_array()) {
        return other(base::jsonText(json, "format") == "trainyard.model-card"
                         ? "The card of a model, which describes it and holds no weights; model.pt and "
                           "model.safetensors, which lie beside it, are the model."
                         : "JSON text, which holds no weights.");
    }
    return other("No format that is known here.");
}

}  // namespace trainyard::registry
