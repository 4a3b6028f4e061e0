#!/usr/bin/env bash
# Engine and agent build from these sources in a bare root of Debian without Qt 6, SQLite, libonnx, libjpeg, libpng, libzstd, http-parser
# and libarchive (preset engine-only), on Debian 12 (libtorch 1.13) and 13 (2.6), with warnings for errors; the engine trains there, the
# agent starts and names what it lacks.
#   engine_only.sh SOURCEFOLDER [suite…]     suites: bookworm trixie. JOBS: compilers side by side (1)
# Takes eight minutes a release with one compiler, so it is not a part of tests/run.
set -euo pipefail
# shellcheck source=tests/package/roots.sh
. "$(dirname "$0")/roots.sh"
source=$(cd "$1" && pwd)
shift
suites=("$@")
((${#suites[@]})) || suites=(bookworm trixie)
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
for suite in "${suites[@]}"; do
    root=$work/$suite
    make_root "$suite" "$root"
    packages=(g++ cmake ninja-build nlohmann-json3-dev libssl-dev zlib1g-dev libgloo-dev libtorch-dev libopenblas0-pthread)
    # What Debian 12's libtorch asks for in its CMake files.
    [[ $suite == bookworm ]] && packages+=(libgflags-dev libgoogle-glog-dev libprotobuf-dev protobuf-compiler)
    install_in "$root" "${packages[@]}"
    for absent in x86_64-linux-gnu/qt6 sqlite3.h onnx archive.h http_parser.h zstd.h jpeglib.h png.h; do
        [[ ! -e $root/usr/include/$absent ]] || fail "$absent is there, so this proves nothing"
    done
    mkdir -p "$root/root/tree"
    tar -C "$source" --exclude=./build --exclude=./.git -cf - . | tar -C "$root/root/tree" -xf -
    in_root "$root" sh -c "cd /root/tree && cmake --preset engine-only -DTRAINYARD_WERROR=ON >configure.log 2>&1 || { cat configure.log; exit 1; }
        nice -n 10 ninja -C build/engine-only -j ${JOBS:-1}" || fail "engine and agent do not build on $suite"
    engine=/root/tree/build/engine-only/bin/trainyard-engine
    in_root "$root" "$engine" inspect >"$work/inspect.json"
    grep -q '"export":{"available":false' "$work/inspect.json" || { cat "$work/inspect.json"; fail "ONNX export should be absent"; }
    in_root "$root" sh -c "echo '{}' >/tmp/request.json; ! $engine export --request /tmp/request.json" >"$work/export.json"
    grep -q '"code":"export.unavailable"' "$work/export.json" || { cat "$work/export.json"; fail "export without libonnx"; }
    in_root "$root" /root/tree/build/engine-only/bin/trainyard-agent info | tee "$work/agent.txt"
    for part in libzstd http-parser libarchive; do
        grep -q "^without $part" "$work/agent.txt" || fail "the agent on $suite does not say that it lacks $part"
    done
    write_job "$root/job"
    in_root_alone "$root" sh /job/job.sh /job "$engine" || fail "the engine built on $suite does not train"
    losses "$root/job" >/dev/null
    echo "$suite: built and trained with libtorch $(sed -n 's/.*"libtorch":"\([^"]*\)".*/\1/p' "$work/inspect.json")"
    rm -rf --one-file-system "$root"
done
echo "PASS: engine and agent build without Qt, SQLite and libonnx on ${suites[*]}"
