// Entry point for libFuzzer; built by tests/fuzz/run, not by CMake. The first byte of an input chooses the target.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/Targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const auto& target = trainyard::fuzz::kTargets[data[0] % trainyard::fuzz::kTargets.size()];
    const std::string wrong = target.check({reinterpret_cast<const char*>(data) + 1, size - 1});
    if (!wrong.empty()) {
        std::fprintf(stderr, "%s: %s\n", target.name, wrong.c_str());
        std::abort();
    }
    return 0;
}
