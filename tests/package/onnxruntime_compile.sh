#!/usr/bin/env bash
# Compiles trainyard-onnx-runtime, which Debian 12 has no library for, against Debian 13's ONNX Runtime with warnings for
# errors, and lets it run a small model: good inputs, a wrong shape, a broken file.
#   onnxruntime_compile.sh [ROOTFOLDER]     ROOTFOLDER is made (150 MB of downloads, 0.8 GB on disk) or used again
set -euo pipefail
# shellcheck source=tests/package/roots.sh
. "$(dirname "$0")/roots.sh"
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=${1:-$work/root}
[[ -x $root/usr/bin/dpkg ]] || make_root trixie "$root"
if ! ls "$root"/usr/bin/ninja "$root"/usr/include/nlohmann/json.hpp "$root"/usr/lib/*/libonnxruntime.so >/dev/null 2>&1; then
    install_in "$root" g++ cmake ninja-build libonnxruntime-dev nlohmann-json3-dev libssl-dev
fi

rm -rf "$root/root/helper"
mkdir -p "$root/root/helper/app" "$root/root/helper/core"
cp -r "$here/core/base" "$root/root/helper/core/"
cp -r "$here/app/onnx-helper" "$root/root/helper/app/"
cat >"$root/root/helper/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(helper CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(Threads REQUIRED)
file(GLOB base core/base/*.cpp)
add_library(trainyard_base STATIC ${base})
target_include_directories(trainyard_base PUBLIC "${PROJECT_SOURCE_DIR}")
target_compile_definitions(trainyard_base PUBLIC JSON_USE_IMPLICIT_CONVERSIONS=0)
target_link_libraries(trainyard_base PUBLIC nlohmann_json::nlohmann_json OpenSSL::Crypto Threads::Threads)
add_compile_options(-Wall -Wextra -Wpedantic -Werror)
add_subdirectory(app/onnx-helper)
CMAKE
in_root "$root" cmake -S /root/helper -B /root/helper/build -G Ninja -DCMAKE_BUILD_TYPE=Release >"$work/configure.log" ||
    { cat "$work/configure.log"; fail "it cannot be configured"; }
in_root "$root" nice -n 10 ninja -C /root/helper/build -j "${JOBS:-1}" trainyard-onnx-runtime

# y = Relu(x), x {N, 3} of float32, opset 13.
base64 -d >"$root/root/relu.onnx" <<'B64'
CAg6PQoMCgF4EgF5IgRSZWx1EgFnWhQKAXgSDwoNCAESCQoDEgFOCgIIA2IUCgF5Eg8KDQgBEgkKAxIBTgoCCANCBAoAEA0=
B64
printf '\000\000\200\277\000\000\000\000\000\000\000\100' >"$root/root/x.bin"    # -1, 0, 2
printf 'no model' >"$root/root/broken.onnx"
request() {
    cat >"$root/root/request.json" <<JSON
{"format": "trainyard.onnx-request", "version": 1, "model": "/root/$1", "folder": "/root", "outputs": ["y"], "result": "result.json",
 "cases": [{"name": "good", "input": {"name": "x", "type": "float32", "dims": [1, 3], "file": "x.bin"}, "output_prefix": "good-"},
           {"name": "wrong", "input": {"name": "x", "type": "float32", "dims": [1, 7], "file": "x.bin"}, "output_prefix": "wrong-"}]}
JSON
    rm -f "$root/root/result.json"
    in_root_alone "$root" /root/helper/build/lib/trainyard/trainyard-onnx-runtime --request /root/request.json
    cat "$root/root/result.json"
}
result=$(request relu.onnx)
grep -q '"name":"good","error":"","outputs":\[{"name":"y","type":"float32","dims":\[1,3\],"file":"good-0.bin"}\]' <<<"$result" || fail "$result"
grep -q '"name":"wrong","error":"[^"]' <<<"$result" || fail "a wrong shape is taken: $result"
cmp <(printf '\000\000\000\000\000\000\000\000\000\000\000\100') "$root/root/good-0.bin" || fail "the outputs are wrong"
grep -q '"error":"[^"].*"cases":\[\]' <<<"$(request broken.onnx)" || fail "a broken file is taken"
echo "PASS: $(sed -n 's/.*"name":"\(ONNX Runtime\)","version":"\([^"]*\)".*/\1 \2/p' <<<"$result")"
