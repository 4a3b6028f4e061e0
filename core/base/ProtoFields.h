#pragma once
// The fields of one message of a protocol buffer, wherever its bytes lie. After protobuf's page "Encoding"; groups,
// which nobody writes any more, are refused.
#include <cstdint>

namespace trainyard::base {

struct ProtoField {
    enum class Kind { Varint, Fixed64, Bytes, Fixed32 };

    Kind kind = Kind::Varint;
    std::uint64_t number = 0;
    std::uint64_t value = 0;  ///< Of whole numbers and fixed ones.
    std::uint64_t at = 0;     ///< Of text, bytes, messages: where they begin and end in the source.
    std::uint64_t end = 0;

    [[nodiscard]] bool hasBytes() const { return kind == Kind::Bytes; }
};

/// Walks the bytes [at, end) of `source`, which outlives it and has
///     bool number(std::uint64_t at, int bytes, std::uint64_t& value)
/// for whole numbers of 1, 4 or 8 bytes, lowest byte first; false where they cannot be had. Inside [at, end) alone it
/// is asked.
template <class Source>
class ProtoFields {
public:
    ProtoFields(Source& source, std::uint64_t at, std::uint64_t end) : m_source(source), m_at(at), m_end(end) {}

    /// False behind the last one, and at bytes that are no field.
    bool next(ProtoField& field) {
        if (m_at >= m_end) return false;
        std::uint64_t key = 0;
        if (!varint(key) || key >> 3 == 0 || key >> 3 > kMostNumber) return fail();
        field.number = key >> 3;
        field.value = field.at = field.end = 0;
        switch (key & 7) {
        case 0: field.kind = ProtoField::Kind::Varint; return varint(field.value) || fail();
        case 1: field.kind = ProtoField::Kind::Fixed64; return fixed(8, field.value) || fail();
        case 5: field.kind = ProtoField::Kind::Fixed32; return fixed(4, field.value) || fail();
        case 2: {
            std::uint64_t length = 0;
            if (!varint(length) || length > m_end - m_at) return fail();
            field.kind = ProtoField::Kind::Bytes;
            field.at = m_at;
            field.end = m_at += length;
            return true;
        }
        default: return fail();
        }
    }
    [[nodiscard]] bool broken() const { return m_broken; }

private:
    static constexpr std::uint64_t kMostNumber = 0x1fffffff;

    bool fail() {
        m_broken = true;
        m_at = m_end;
        return false;
    }
    bool varint(std::uint64_t& value) {
        value = 0;
        for (unsigned shift = 0; shift < 64 && m_at < m_end; shift += 7) {
            std::uint64_t byte = 0;
            if (!m_source.number(m_at++, 1, byte)) return false;
            value |= (byte & 0x7f) << shift;
            if ((byte & 0x80) == 0) return true;
        }
        return false;
    }
    bool fixed(int bytes, std::uint64_t& value) {
        const std::uint64_t at = m_at;
        if (static_cast<std::uint64_t>(bytes) > m_end - at) return false;
        m_at += static_cast<std::uint64_t>(bytes);
        return m_source.number(at, bytes, value);
    }

    Source& m_source;
    std::uint64_t m_at;
    std::uint64_t m_end;
    bool m_broken = false;
};

}  // namespace trainyard::base
