#include "core/engine/weights/StateDict.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>

#include <optional>

namespace trainyard::engine {

namespace {

std::optional<const char*> storageOf(at::ScalarType type) {
    switch (type) {
    case at::kFloat: return "FloatStorage";
    case at::kDouble: return "DoubleStorage";
    case at::kHalf: return "HalfStorage";
    case at::kBFloat16: return "BFloat16Storage";
    case at::kLong: return "LongStorage";
    case at::kInt: return "IntStorage";
    case at::kShort: return "ShortStorage";
    case at::kChar: return "CharStorage";
    case at::kByte: return "ByteStorage";
    case at::kBool: return "BoolStorage";
    default: return std::nullopt;
    }
}

/// The few opcodes of pickle protocol 2 that a state_dict needs.
class PickleWriter {
public:
    PickleWriter() { m_bytes = "\x80\x02"; }
    void op(char opcode) { m_bytes.push_back(opcode); }
    void global(const char* module, const char* name) { m_bytes += std::string("c") + module + "\n" + name + "\n"; }
    void text(const std::string& value) {
        op('X');
        littleEndian(value.size(), 4);
        m_bytes += value;
    }
    void integer(std::int64_t value) {
        if (value <= 0x7FFFFFFF) {
            op('J');
            littleEndian(static_cast<std::uint64_t>(value), 4);
        } else {
            m_bytes += "\x8a\x08";
            littleEndian(static_cast<std::uint64_t>(value), 8);
        }
    }
    void tuple(at::IntArrayRef values) {
        op('(');
        for (const std::int64_t value : values) {
            integer(value);
        }
        op('t');
    }
    void emptyOrderedDict() {
        global("collections", "OrderedDict");
        m_bytes += ")R";
    }
    [[nodiscard]] const std::string& bytes() const { return m_bytes; }

private:
    void littleEndian(std::uint64_t value, int size) {
        for (int i = 0; i < size; ++i) {
            m_bytes.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
        }
    }

    std::string m_bytes;
};

void putTensor(PickleWriter& out, const at::Tensor& tensor, const char* storage, const std::string& key) {
    out.global("torch._utils", "_rebuild_tensor_v2");
    out.op('(');
    out.op('(');
    out.text("storage");
    out.global("torch", storage);
    out.text(key);
    out.text("cpu");
    out.integer(tensor.numel());
    out.op('t');
    out.op('Q');  // What lies outside the pickle, by the tuple on top.
    out.integer(0);
    out.tuple(tensor.sizes());
    out.tuple(tensor.strides());
    out.op('\x89');  // No gradient is asked for.
    out.emptyOrderedDict();
    out.op('t');
    out.op('R');
}

}  // namespace

Status writeStateDict(const NamedTensors& tensors, const base::Path& path) {
    return guarded("writing \"" + path.string() + "\"", [&]() -> Status {
        PickleWriter pickle;
        pickle.emptyOrderedDict();
        pickle.op('(');
        std::vector<at::Tensor> plain;
        for (const auto& [name, tensor] : tensors) {
            const auto storage = storageOf(tensor.scalar_type());
            if (!storage) {
                return Error{"weights.type",
                             "The tensor \"" + name + "\" has a type that a state_dict of plain numbers cannot hold."};
            }
            plain.push_back(tensor.detach().to(at::kCPU).contiguous());
            pickle.text(name);
            putTensor(pickle, plain.back(), *storage, std::to_string(plain.size() - 1));
        }
        pickle.op('u');
        pickle.op('.');
        std::string bytes;
        {
            caffe2::serialize::PyTorchStreamWriter archive([&bytes](const void* from, std::size_t size) {
                bytes.append(static_cast<const char*>(from), size);
                return size;
            });
            archive.writeRecord("data.pkl", pickle.bytes().data(), pickle.bytes().size());
            for (std::size_t i = 0; i < plain.size(); ++i) {
                archive.writeRecord("data/" + std::to_string(i), plain[i].data_ptr(), plain[i].nbytes());
            }
            archive.writeEndOfFile();
        }
        return base::writeFileAtomically(path, bytes);
    });
}

}  // namespace trainyard::engine
