#pragma once
// Writes TensorBoard's event files as TensorFlow does, for tests: the messages of event.proto and summary.proto by
// hand.
#include <bit>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/agent/TfEvents.h"

namespace trainyard::test {

class EventWriter {
public:
    static std::string varint(std::uint64_t value) {
        std::string bytes;
        while (value >= 0x80) {
            bytes += static_cast<char>(value | 0x80);
            value >>= 7;
        }
        return bytes + static_cast<char>(value);
    }
    static std::string little(std::uint64_t value, int size) {
        std::string bytes;
        for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
        return bytes;
    }
    static std::string whole(int field, std::uint64_t value) {
        return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
    }
    static std::string text(int field, std::string_view bytes) {
        return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(bytes.size()) + std::string(bytes);
    }
    static std::string real(int field, double value) {
        return varint(static_cast<std::uint64_t>(field) << 3 | 1) + little(std::bit_cast<std::uint64_t>(value), 8);
    }
    static std::string single(int field, float value) {
        return varint(static_cast<std::uint64_t>(field) << 3 | 5) + little(std::bit_cast<std::uint32_t>(value), 4);
    }
    static std::string reals(int field, const std::vector<double>& values) {
        std::string packed;
        for (const double value : values) packed += little(std::bit_cast<std::uint64_t>(value), 8);
        return text(field, packed);
    }

    /// An event of one summary value.
    static std::string event(std::int64_t step, const std::string& value, double time = 1'795'400'000.5) {
        return real(1, time) + whole(2, static_cast<std::uint64_t>(step)) + text(5, text(1, value));
    }
    static std::string scalar(const std::string& tag, float value) { return text(1, tag) + single(2, value); }
    static std::string plugin(const std::string& name) { return text(9, text(1, text(1, name))); }
    static std::string shape(const std::vector<int>& sizes) {
        std::string bytes;
        for (const int size : sizes) bytes += text(2, whole(1, static_cast<std::uint64_t>(size)));
        return text(2, bytes);
    }

    static std::string framed(const std::string& data) {
        const std::string length = little(data.size(), 8);
        return length + little(agent::maskedCrc32c(length), 4) + data + little(agent::maskedCrc32c(data), 4);
    }
    static std::string version() { return framed(real(1, 1'795'400'000.0) + text(3, "brain.Event:2")); }
};

}  // namespace trainyard::test
