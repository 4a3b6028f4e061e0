#!/usr/bin/env bash
# Compiles every line of the engine against libtorch 2.6 with CUDA and NCCL, in a root of Debian 13 (contrib and non-free), so
# that the code for GPUs is never left uncompiled on machines without one. Then, without a GPU: the program starts, its
# self-test passes on the processor, it names CUDA and NCCL among what it has, and a run on "cuda" is refused, not moved.
#   cuda_compile.sh BUILDFOLDER [ROOTFOLDER]     ROOTFOLDER is made (2.5 GB of downloads, 10 GB on disk) or used again
# Not a part of tests/run for its size. cuDNN is not in Debian and not needed for compiling: an empty stand-in lets the
# program start.
set -euo pipefail
# shellcheck source=tests/package/roots.sh
. "$(dirname "$0")/roots.sh"
build=$(cd "$1" && pwd)
sources=$build/bundles/trainyard-engine-src.tar.gz
[[ -e $sources ]] || fail "$sources is missing (target trainyard_engine_sources)"
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=${2:-$work/root}
inside() { in_root "$root" "$@"; }
[[ -x $root/usr/bin/dpkg ]] || make_root trixie "$root" contrib non-free
if [[ ! -e $root/usr/include/nccl.h || ! -e $root/usr/lib/x86_64-linux-gnu/libtorch_cuda.so ]]; then
    inside apt-get -qq update
    # nvidia-cudnn fetches cuDNN from elsewhere when it is configured, and fails without that; headers and libraries of all
    # others are there all the same.
    inside apt-get install -y -qq --no-install-recommends g++ cmake ninja-build libssl-dev zlib1g-dev libgloo-cuda-dev \
        libopenblas0-pthread libtorch-cuda-dev libnccl-dev || true
    inside apt-get clean
fi
for file in usr/include/nccl.h usr/include/cuda_runtime_api.h usr/lib/x86_64-linux-gnu/libtorch_cuda.so usr/bin/ninja; do
    [[ -e $root/$file ]] || fail "$root/$file is missing"
done

# Anew: the files in the archive have no times to tell what changed.
rm -rf "$root/root/engine" "$root/root/engine-build"
mkdir -p "$root/root/engine"
tar -xzf "$sources" -C "$root/root/engine"
# What build-engine.sh does, with warnings for errors.
inside cmake -S /root/engine -B /root/engine-build -G Ninja -DCMAKE_BUILD_TYPE=Release -DTRAINYARD_TORCH_ROOT=/usr \
    -DTRAINYARD_WERROR=ON -DCMAKE_DISABLE_FIND_PACKAGE_Protobuf=ON >"$work/configure.log" || { cat "$work/configure.log"; exit 1; }
inside nice -n 10 ninja -C /root/engine-build -j "${JOBS:-1}"
# Everything of it is linked: a file that was left out would leave its symbols out.
symbols=$(nm -C "$root/root/engine-build/bin/trainyard-engine")
for symbol in 'c10d::ProcessGroupNCCL::ProcessGroupNCCL' 'c10d::ProcessGroupGloo::ProcessGroupGloo' 'engine::checkGpu'; do
    grep -qF "$symbol" <<<"$symbols" || fail "the program has no $symbol"
done

# shellcheck disable=SC2016  # a small program of its own
inside sh -c 'mkdir -p /root/stand-in
    nm -D --undefined-only /usr/lib/x86_64-linux-gnu/libtorch_cuda.so | sed -n "s/^ *U \(cudnn[A-Za-z0-9_]*\).*/\1/p" | sort -u >/root/stand-in/names
    sed "s/.*/int &(void) { return 0; }/" /root/stand-in/names >/root/stand-in/cudnn.c
    echo "libcudnn.so.9 { global: *; };" >/root/stand-in/versions
    gcc -w -shared -fPIC -fno-builtin -Wl,-soname,libcudnn.so.9 -Wl,--version-script=/root/stand-in/versions \
        /root/stand-in/cudnn.c -o /root/stand-in/libcudnn.so.9'
engine() { inside env LD_LIBRARY_PATH=/root/stand-in "$@"; }
engine /root/engine-build/bin/trainyard-engine inspect >"$work/inspect.json"
grep -q '"backends":\["gloo","nccl"\]' "$work/inspect.json" || { cat "$work/inspect.json"; fail "NCCL is not named"; }
engine /root/engine-build/bin/trainyard-engine selftest || fail "the self-test fails"
if engine /root/engine-build/bin/trainyard-engine selftest --gpu; then
    [[ -e /dev/nvidia0 ]] || fail "the self-test of the GPU passes without one"
fi
cat >"$root/root/spec.json" <<'JSON'
{"format": "trainyard.run-spec", "version": 1, "name": "cuda",
 "task": {"kind": "train", "device": "cuda", "dataset": {"kind": "idx", "train_images": "/none", "train_labels": "/none",
  "val_images": "/none", "val_labels": "/none"}}}
JSON
if [[ ! -e /dev/nvidia0 ]]; then
    # shellcheck disable=SC2016  # a small program of its own
    engine TRAINYARD_OUTPUTS=/root/out TRAINYARD_STREAM=/root/stream sh -c '
        rm -f /root/stream; ! /root/engine-build/bin/trainyard-engine train --spec /root/spec.json >/root/log 2>&1'
    grep -q 'finds no NVIDIA GPU' "$root/root/stream" || { cat "$root/root/stream" "$root/root/log"; fail "a run on cuda is not refused"; }
fi
echo "PASS: compiled with CUDA and NCCL against libtorch $(sed -n 's/.*"libtorch":"\([^"]*\)".*/\1/p' "$work/inspect.json")"
