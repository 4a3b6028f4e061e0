// Entry point for libFuzzer; built by tests/fuzz/run, not by CMake. The first byte of an input chooses the target.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/Targets.h"
#include "tests/fuzz/WeightTargets.h"

namespace {

template <class Target>
void check(const Target& target, std::string_view bytes) {
    const std::string wrong = target.check(bytes);
    if (!wrong.empty()) {
        std::fprintf(stderr, "%s: %s\n", target.name, wrong.c_str());
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    using trainyard::fuzz::kTargets;
    using trainyard::fuzz::kWeightTargets;
    const std::size_t chosen = data[0] % (kTargets.size() + kWeightTargets.size());
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (chosen < kTargets.size()) {
        check(kTargets[chosen], bytes);
    } else {
        check(kWeightTargets[chosen - kTargets.size()], bytes);
    }
    return 0;
}
