#include "core/engine/weights/WeightFile.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>

#include "core/base/Text.h"
#include "core/engine/model/SafeTensors.h"
#include "core/engine/model/TorchScript.h"
#include "core/engine/weights/Pickle.h"
#include "core/engine/weights/StoredZip.h"

namespace trainyard::engine {

namespace {

using base::Json;
using base::Path;
using Kind = PickleValue::Kind;

constexpr int kMaxDepth = 64;
constexpr std::int64_t kMaxTensorBytes = std::int64_t{64} << 30;

Error pickleError(const std::string& what) { return {"weights.pickle", "The weights are damaged: " + what + "."}; }

std::optional<at::ScalarType> typeOfStorage(const std::string& name) {
    static constexpr std::pair<const char*, at::ScalarType> kTypes[] = {
        {"FloatStorage", at::kFloat},       {"DoubleStorage", at::kDouble}, {"HalfStorage", at::kHalf},
        {"BFloat16Storage", at::kBFloat16}, {"LongStorage", at::kLong},     {"IntStorage", at::kInt},
        {"ShortStorage", at::kShort},       {"CharStorage", at::kChar},     {"ByteStorage", at::kByte},
        {"BoolStorage", at::kBool}};
    for (const auto& [known, type] : kTypes) {
        if (name == std::string("torch ") + known || name == std::string("torch.cuda ") + known) {
            return type;
        }
    }
    return std::nullopt;
}

std::optional<at::ScalarType> typeOfDtype(const std::string& name) {
    static constexpr std::pair<const char*, at::ScalarType> kTypes[] = {
        {"torch float32", at::kFloat},     {"torch float64", at::kDouble}, {"torch float16", at::kHalf},
        {"torch bfloat16", at::kBFloat16}, {"torch int64", at::kLong},     {"torch int32", at::kInt},
        {"torch int16", at::kShort},       {"torch int8", at::kChar},      {"torch uint8", at::kByte},
        {"torch bool", at::kBool}};
    for (const auto& [known, type] : kTypes) {
        if (name == known) {
            return type;
        }
    }
    return std::nullopt;
}

/// Calls that weights and what commonly lies beside them are made of. They are recognised, never carried out.
bool isHarmless(const std::string& callable) {
    static const std::set<std::string> known{"collections OrderedDict",
                                             "collections defaultdict",
                                             "collections Counter",
                                             "collections deque",
                                             "torch._utils _rebuild_tensor",
                                             "torch._utils _rebuild_tensor_v2",
                                             "torch._utils _rebuild_tensor_v3",
                                             "torch._utils _rebuild_parameter",
                                             "torch._utils _rebuild_parameter_with_state",
                                             "torch Size",
                                             "torch device",
                                             "torch dtype",
                                             "torch.serialization _get_layout",
                                             "torch._tensor _rebuild_from_type_v2",
                                             "torch.nn.parameter Parameter",
                                             "numpy.core.multiarray scalar",
                                             "numpy._core.multiarray scalar",
                                             "numpy.core.multiarray _reconstruct",
                                             "numpy._core.multiarray _reconstruct",
                                             "numpy dtype",
                                             "numpy ndarray",
                                             "_codecs encode",
                                             "builtins set",
                                             "builtins frozenset",
                                             "builtins list",
                                             "builtins dict",
                                             "builtins tuple",
                                             "builtins bytearray",
                                             "builtins complex",
                                             "builtins slice",
                                             "__builtin__ set",
                                             "copy_reg _reconstructor",
                                             "copyreg _reconstructor",
                                             "argparse Namespace",
                                             "pathlib PosixPath",
                                             "pathlib PurePosixPath",
                                             "datetime datetime",
                                             "datetime date",
                                             "torch.storage _load_from_bytes"};
    return known.contains(callable);
}

/// Builds tensors from what a pickle says. `storage` finds the bytes of a storage's key.
class TensorBuilder {
public:
    using Storage = std::function<Result<std::string_view>(const std::string& key)>;
    explicit TensorBuilder(Storage storage) : m_storage(std::move(storage)) {}

    /// nullopt when `value` is no tensor.
    Result<std::optional<at::Tensor>> tensor(const PickleValue& value, int depth = 0) {
        if (depth > kMaxDepth || value.kind != Kind::Call || value.items.size() < 2 ||
            value.items[0]->kind != Kind::Name || value.items[1]->kind != Kind::Tuple) {
            return std::optional<at::Tensor>();
        }
        const std::string& name = value.items[0]->text;
        const std::vector<PicklePtr>& arguments = value.items[1]->items;
        if (name == "torch._utils _rebuild_parameter" || name == "torch._utils _rebuild_parameter_with_state" ||
            name == "torch.nn.parameter Parameter") {
            return arguments.empty() ? std::optional<at::Tensor>() : tensor(*arguments[0], depth + 1);
        }
        if (name == "torch._tensor _rebuild_from_type_v2" && arguments.size() >= 3 &&
            arguments[2]->kind == Kind::Tuple && arguments[0]->kind == Kind::Name) {
            return rebuild(arguments[0]->text, arguments[2]->items);
        }
        return rebuild(name, arguments);
    }

private:
    Result<std::optional<at::Tensor>> rebuild(const std::string& name, const std::vector<PicklePtr>& arguments) {
        if (!name.starts_with("torch._utils _rebuild_tensor") || arguments.size() < 4) {
            return std::optional<at::Tensor>();
        }
        const PickleValue& id = *arguments[0];
        if (id.kind != Kind::Persistent || id.items.empty() || id.items[0]->kind != Kind::Tuple ||
            id.items[0]->items.size() < 5) {
            return pickleError("a tensor has no storage");
        }
        const std::vector<PicklePtr>& storage = id.items[0]->items;
        if (storage[0]->text != "storage" || storage[1]->kind != Kind::Name || storage[2]->kind != Kind::Text) {
            return pickleError("a storage is described in an unknown way");
        }
        auto type = typeOfStorage(storage[1]->text);
        if (arguments.size() >= 7 && arguments[6]->kind == Kind::Name) {
            type = typeOfDtype(arguments[6]->text);
        }
        if (!type) {
            return Error{"weights.type", "The file has tensors of the type \"" +
                                             base::stripControl(base::toValidUtf8(storage[1]->text)) +
                                             "\", which are no plain numbers. Save them as float32 or float16."};
        }
        auto bytes = m_storage(storage[2]->text);
        if (!bytes) {
            return bytes.error();
        }
        return view(*bytes, *type, *arguments[1], *arguments[2], *arguments[3]);
    }

    static Result<std::optional<at::Tensor>> view(std::string_view bytes, at::ScalarType type,
                                                  const PickleValue& offset, const PickleValue& sizes,
                                                  const PickleValue& strides) {
        const auto element = static_cast<std::int64_t>(c10::elementSize(type));
        const auto available = static_cast<std::int64_t>(bytes.size()) / element;
        if (offset.kind != Kind::Integer || offset.integer < 0 || offset.integer > available ||
            sizes.items.size() > 64 || sizes.items.size() != strides.items.size()) {
            return pickleError("a tensor's shape makes no sense");
        }
        std::vector<std::int64_t> shape;
        std::vector<std::int64_t> steps;
        std::int64_t last = offset.integer;
        std::int64_t elements = 1;
        for (std::size_t i = 0; i < sizes.items.size(); ++i) {
            const std::int64_t size = sizes.items[i]->integer;
            const std::int64_t stride = strides.items[i]->integer;
            if (sizes.items[i]->kind != Kind::Integer || strides.items[i]->kind != Kind::Integer || size < 0 ||
                stride < 0 || (size > 1 && stride > (std::numeric_limits<std::int64_t>::max() - last) / (size - 1)) ||
                (size > 0 && elements > kMaxTensorBytes / element / size)) {
                return pickleError("a tensor's shape makes no sense");
            }
            last += size > 1 ? stride * (size - 1) : 0;
            elements *= size;
            shape.push_back(size);
            steps.push_back(stride);
        }
        // A stride of 0 repeats elements; a file may say so for more than its own size many times over.
        if ((elements > 0 && last >= available) || elements > 16 * std::max<std::int64_t>(available, 1)) {
            return pickleError("a tensor reaches past the end of its storage");
        }
        if (elements == 0) {
            return std::optional(at::empty(shape, type));
        }
        // The bytes may lie at any address; a tensor's may not.
        const auto span = static_cast<std::size_t>((last - offset.integer + 1) * element);
        const at::Tensor raw = at::empty({last - offset.integer + 1}, type);
        std::memcpy(raw.data_ptr(), bytes.data() + offset.integer * element, span);
        return std::optional(raw.as_strided(shape, steps).contiguous());
    }

    Storage m_storage;
};

/// Finds the dictionary of tensors in what a file holds.
class StateFinder {
public:
    explicit StateFinder(TensorBuilder& tensors) : m_tensors(tensors) {}

    Result<WeightFile> find(const PickleValue& root) {
        WeightFile found;
        TRAINYARD_TRY(search(root, "", found, 0));
        if (found.tensors.empty()) {
            return Error{"weights.empty", "The file holds no tensors by name. Save model.state_dict()."};
        }
        return found;
    }

private:
    Status search(const PickleValue& value, const std::string& under, WeightFile& best, int depth) {
        if (depth > 3) {
            return {};
        }
        const PickleValue* state = moduleState(value);
        if (state != nullptr) {
            WeightFile module;
            module.kind = "module";
            module.under = under;
            TRAINYARD_TRY(walkModule(*state, "", module.tensors, 0));
            keepBetter(std::move(module), best);
            return {};
        }
        WeightFile here;
        here.kind = "state_dict";
        here.under = under;
        for (const auto& [key, item] : value.pairs) {
            if (key->kind != Kind::Text) {
                continue;
            }
            auto tensor = m_tensors.tensor(*item);
            if (!tensor) {
                return Error{tensor.error().code,
                             "\"" + base::stripControl(base::toValidUtf8(key->text)) + "\": " + tensor.error().message};
            }
            if (*tensor) {
                here.tensors.emplace_back(key->text, **tensor);
            }
        }
        keepBetter(std::move(here), best);
        for (const auto& [key, item] : value.pairs) {
            // An optimizer's state has tensors too, by number; it is never what is looked for.
            if (key->kind == Kind::Text && key->text.find("optim") == std::string::npos) {
                TRAINYARD_TRY(search(*item, under.empty() ? key->text : under + "." + key->text, best, depth + 1));
            }
        }
        return {};
    }

    /// The larger one; an exponential average beside the plain weights is not preferred.
    static void keepBetter(WeightFile candidate, WeightFile& best) {
        if (candidate.tensors.size() > best.tensors.size()) {
            best = std::move(candidate);
        }
    }

    /// The attributes of a pickled torch.nn.Module, or nullptr.
    static const PickleValue* moduleState(const PickleValue& value) {
        if (value.kind != Kind::Call || value.items.size() < 3) {
            return nullptr;
        }
        const PickleValue* state = value.items[2];
        return state->find("_parameters") != nullptr && state->find("_modules") != nullptr ? state : nullptr;
    }

    Status walkModule(const PickleValue& state, const std::string& prefix, NamedTensors& out, int depth) {
        if (depth > kMaxDepth) {
            return pickleError("its modules are nested too deep");
        }
        for (const char* members : {"_parameters", "_buffers"}) {
            const PickleValue* list = state.find(members);
            if (list == nullptr) {
                continue;
            }
            for (const auto& [key, item] : list->pairs) {
                auto tensor = m_tensors.tensor(*item);
                if (!tensor) {
                    return tensor.error();
                }
                if (*tensor) {
                    out.emplace_back(prefix + key->text, **tensor);
                }
            }
        }
        for (const auto& [key, item] : state.find("_modules")->pairs) {
            if (const PickleValue* child = moduleState(*item)) {
                TRAINYARD_TRY(walkModule(*child, prefix + key->text + ".", out, depth + 1));
            }
        }
        return {};
    }

    TensorBuilder& m_tensors;
};

/// Refuses a file that wants something called that weights never need. A module's own class is built, not called, and
/// so is let through: nothing of it is run here either.
Status checkCalls(const PickleRead& read) {
    std::set<const PickleValue*> modules;
    for (const PickleValue& value : *read.values) {
        if (value.kind == Kind::Call && value.items.size() >= 3 && value.items[2]->find("_modules") != nullptr) {
            modules.insert(&value);
        }
    }
    for (const PickleValue& value : *read.values) {
        if (value.kind != Kind::Call || value.items.empty() || modules.contains(&value) ||
            value.items[0]->kind != Kind::Name || isHarmless(value.items[0]->text)) {
            continue;
        }
        const std::string& name = value.items[0]->text;
        const bool library =
            name.starts_with("torch.nn.") || name.starts_with("torch.optim.") || name.starts_with("torchvision.");
        // A value with a state of its own and no arguments is an object of some class; anything else is a call.
        const bool object =
            value.items.size() >= 3 && (value.items[1]->items.empty() || value.items[1]->kind == Kind::None);
        if (!library && !object) {
            std::string shown = base::stripControl(base::toValidUtf8(name));
            std::ranges::replace(shown, ' ', '.');
            return Error{"weights.code", "The file wants to call " + shown +
                                             ", which no weights need. Nothing of it was run; do not open "
                                             "it with torch.load. Save model.state_dict() or a safetensors file."};
        }
    }
    return {};
}

Error compressedError(const std::string& name) {
    return {"weights.zip", "\"" + base::stripControl(base::toValidUtf8(name)) +
                               "\" in the archive is compressed or encrypted, which torch.save never does. "
                               "Save the weights again."};
}

Result<WeightFile> fromZip(const std::map<std::string, std::string_view>& members, const std::string& folder) {
    if (members.at(folder + "data.pkl").data() == nullptr) {
        return compressedError(folder + "data.pkl");
    }
    const auto order = members.find(folder + "byteorder");
    if (order != members.end() && order->second != "little") {
        return pickleError("its numbers are big-endian");
    }
    auto read = readPickle(members.at(folder + "data.pkl"));
    if (!read) {
        return read.error();
    }
    TRAINYARD_TRY(checkCalls(*read));
    TensorBuilder builder([&](const std::string& key) -> Result<std::string_view> {
        const auto found = members.find(folder + "data/" + key);
        if (found == members.end()) {
            return pickleError("the storage \"" + base::stripControl(base::toValidUtf8(key)) + "\" is missing");
        }
        if (found->second.data() == nullptr) {
            return compressedError(found->first);
        }
        return found->second;
    });
    return StateFinder(builder).find(*read->value);
}

constexpr std::string_view kLegacyMagic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);

/// The format before torch 1.6: five pickles, then each storage as a count and its bytes.
Result<WeightFile> fromLegacy(std::string_view bytes) {
    std::size_t at = 0;
    PickleRead parts[5];
    for (PickleRead& part : parts) {  // magic, protocol, machine, object, keys
        auto read = readPickle(bytes, at);
        if (!read) {
            return read.error();
        }
        at = read->end;
        part = std::move(*read);
    }
    if (parts[4].value->kind != Kind::List) {
        return pickleError("its list of storages is missing");
    }
    if (const PickleValue* little = parts[2].value->find("little_endian"); little != nullptr && !little->boolean) {
        return pickleError("its numbers are big-endian");
    }
    TRAINYARD_TRY(checkCalls(parts[3]));
    std::unordered_map<std::string, at::ScalarType> types;
    for (const PickleValue& value : *parts[3].values) {
        if (value.kind == Kind::Persistent && !value.items.empty() && value.items[0]->items.size() >= 5 &&
            value.items[0]->items[1]->kind == Kind::Name) {
            if (const auto type = typeOfStorage(value.items[0]->items[1]->text)) {
                types[value.items[0]->items[2]->text] = *type;
            }
        }
    }
    std::unordered_map<std::string, std::string_view> storages;
    for (const PicklePtr& key : parts[4].value->items) {
        std::int64_t count = 0;
        if (bytes.size() - at < sizeof count) {
            return pickleError("it is cut off");
        }
        std::memcpy(&count, bytes.data() + at, sizeof count);
        at += sizeof count;
        const auto type = types.find(key->text);
        const std::int64_t element =
            type == types.end() ? 1 : static_cast<std::int64_t>(c10::elementSize(type->second));
        if (count < 0 || count > static_cast<std::int64_t>(bytes.size() - at) / element) {
            return pickleError("it is cut off");
        }
        storages[key->text] = bytes.substr(at, static_cast<std::size_t>(count * element));
        at += static_cast<std::size_t>(count * element);
    }
    TensorBuilder builder([&](const std::string& key) -> Result<std::string_view> {
        const auto found = storages.find(key);
        if (found == storages.end()) {
            return pickleError("the storage \"" + base::stripControl(base::toValidUtf8(key)) + "\" is missing");
        }
        return found->second;
    });
    return StateFinder(builder).find(*parts[3].value);
}

/// Takes off what wrappers put before every name.
void stripPrefixes(WeightFile& file) {
    for (bool again = true; again;) {
        again = false;
        for (const std::string_view prefix : {"module.", "_orig_mod.", "model."}) {
            if (std::ranges::all_of(file.tensors, [&](const auto& item) { return item.first.starts_with(prefix); })) {
                for (auto& [name, tensor] : file.tensors) {
                    name.erase(0, prefix.size());
                }
                file.prefix += prefix;
                again = true;
            }
        }
    }
}

Result<WeightFile> readByContent(const Path& path) {
    auto mapped = MappedFile::open(path);
    if (!mapped) {
        return mapped.error();
    }
    const std::string_view bytes = mapped->bytes();
    if (bytes.starts_with(std::string_view("PK\x03\x04", 4))) {
        auto members = readStoredZip(bytes);
        if (!members) {
            return members.error();
        }
        for (const auto& [name, data] : *members) {
            if (name == "data.pkl" || (name.ends_with("/data.pkl") && std::ranges::count(name, '/') == 1)) {
                const std::string folder = name.substr(0, name.size() - std::string_view("data.pkl").size());
                if (members->contains(folder + "constants.pkl")) {
                    auto script = ScriptedModel::load(path, at::kCPU);
                    if (!script) {
                        return script.error();
                    }
                    return WeightFile{"torchscript", "", "", script->state()};
                }
                return fromZip(*members, folder);
            }
        }
        return Error{"weights.kind", "The archive has no data.pkl in it, so it was not written by torch.save."};
    }
    if (bytes.size() > 2 && bytes[0] == '\x80' && bytes.substr(2).starts_with(kLegacyMagic)) {
        return fromLegacy(bytes);
    }
    if (bytes.size() > 9 && bytes[8] == '{') {
        auto tensors = readSafeTensors(path);
        if (!tensors) {
            return tensors.error();
        }
        return WeightFile{"safetensors", "", "", std::move(tensors->tensors)};
    }
    if (const auto first = bytes.find_first_not_of(" \t\r\n"); first != bytes.npos && bytes[first] == '{') {
        return Error{"weights.kind",
                     "The file is JSON text, which describes a model at most and holds no weights. Take "
                     "model.safetensors, model.pt or weights.pth, which lie beside a model.json."};
    }
    return Error{"weights.kind", "The file is none of: torch.save's, safetensors, TorchScript."};
}

bool isCounter(const std::string& name) { return name.ends_with("num_batches_tracked"); }

Json listed(const std::vector<std::string>& names) {
    constexpr std::size_t kShown = 20;
    Json list = Json::array();
    for (std::size_t i = 0; i < std::min(kShown, names.size()); ++i) {
        list.push_back(base::stripControl(base::toValidUtf8(names[i])));
    }
    return {{"count", names.size()}, {"names", std::move(list)}};
}

}  // namespace

Result<WeightFile> readWeightFile(const Path& path) {
    auto file = guarded("reading the weights", [&] { return readByContent(path); });
    if (!file) {
        Error error = std::move(file).error();
        error.message = "\"" + base::stripControl(base::toValidUtf8(path.string())) + "\": " + error.message;
        return error;
    }
    if (file->tensors.empty()) {
        return Error{"weights.empty",
                     "\"" + base::stripControl(base::toValidUtf8(path.string())) + "\" holds no tensors."};
    }
    stripPrefixes(*file);
    return file;
}

Json toJson(const WeightFile& file, const WeightMatch& match) {
    return {{"kind", file.kind},
            {"under", base::stripControl(base::toValidUtf8(file.under))},
            {"prefix", file.prefix},
            {"tensors", file.tensors.size()},
            {"matched", listed(match.matched)},
            {"reinitialised", listed(match.reinitialised)},
            {"missing", listed(match.missing)},
            {"unused", listed(match.unused)}};
}

Result<WeightMatch> matchWeights(const WeightFile& file, const Network& network) {
    std::unordered_map<std::string, const at::Tensor*> theirs;
    for (const auto& [name, tensor] : file.tensors) {
        theirs[name] = &tensor;
    }
    WeightMatch match;
    std::size_t own = 0;
    std::size_t fitting = 0;
    for (const auto& [name, tensor] : network.state()) {
        const auto found = theirs.find(name);
        own += isCounter(name) ? 0 : 1;
        if (found == theirs.end()) {
            match.missing.push_back(name);
            continue;
        }
        const bool fits = found->second->sizes() == tensor.sizes();
        (fits ? match.matched : match.reinitialised).push_back(name);
        fitting += fits && !isCounter(name) ? 1 : 0;
        theirs.erase(found);
    }
    for (const auto& [name, tensor] : file.tensors) {
        if (theirs.contains(name)) {
            match.unused.push_back(name);
        }
    }
    if (fitting * 2 < own) {
        return Error{"weights.other",
                     "Only " + std::to_string(fitting) + " of the " + std::to_string(own) + " tensors of " +
                         network.table().family +
                         " are in the file with the same name and shape; the weights belong "
                         "to another model. The file begins with \"" +
                         base::stripControl(base::toValidUtf8(file.tensors.front().first)) + "\".",
                     "task.model.weights.source"};
    }
    return match;
}

Status applyWeights(const WeightFile& file, const WeightMatch& match, Network& network) {
    return guarded("taking up the weights", [&]() -> Status {
        const at::NoGradGuard noGrad;
        std::unordered_map<std::string, const at::Tensor*> theirs;
        for (const auto& [name, tensor] : file.tensors) {
            theirs[name] = &tensor;
        }
        const std::set<std::string> wanted(match.matched.begin(), match.matched.end());
        for (const auto& [name, tensor] : network.state()) {
            if (wanted.contains(name)) {
                at::Tensor(tensor).copy_(*theirs.at(name));
            }
        }
        return {};
    });
}

}  // namespace trainyard::engine
