#!/bin/sh
# Builds trainyard-engine on this machine against a libtorch that is here, into WORK/engines/KEY, once: KEY is made of
# these sources' hash and of the libtorch. Prints what it does; the last line is "RESULT " and one JSON object.
set -u
umask 077
LC_ALL=C
export LC_ALL

usage() {
    cat <<'TXT'
usage: build-engine.sh --work FOLDER [option…]
  --work FOLDER     the work folder; the engine goes to FOLDER/engines/KEY
  --sources HASH    SHA-256 of the archive that these sources came in (else computed from them)
  --torch FOLDER    a libtorch: has include/torch and lib/; a Python's torch folder; or a Python interpreter that has torch
  --python PROGRAM  interpreter to ask for a torch, when --torch is not given (python3)
  --cuda            only a libtorch with CUDA will do
  --jobs N          compilers side by side (one a core, and 2 GiB of memory each)
  --probe           say which libtorch would be used, and stop
TXT
}

fail() { # CODE MESSAGE: the workbench reads the line.
    printf 'ERROR %s %s\n' "$1" "$2"
    exit 1
}
say() { printf '%s\n' "$*"; }

work='' sources='' torch='' python=python3 cuda='' jobs='' probe=''
while [ $# -gt 0 ]; do
    case $1 in
    --cuda) cuda=1 ;;
    --probe) probe=1 ;;
    --help | -h) usage; exit 0 ;;
    --work | --sources | --torch | --python | --jobs)
        [ $# -gt 1 ] || { usage >&2; exit 2; }
        case $1 in
        --work) work=$2 ;;
        --sources) sources=$2 ;;
        --torch) torch=$2 ;;
        --python) python=$2 ;;
        --jobs) jobs=$2 ;;
        esac
        shift
        ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
[ -n "$work" ] || { usage >&2; exit 2; }
case $jobs in *[!0-9]*) usage >&2; exit 2 ;; esac
here=$(cd "$(dirname "$0")" && pwd -P) || exit 1
began=$(date +%s)

# ---- which libtorch ----------------------------------------------------------------------------------------------
version_header=torch/csrc/api/include/torch/version.h

is_torch() { [ -e "$1/include/$version_header" ] && torch_library "$1" torch_cpu >/dev/null; }
torch_library() { # ROOT NAME
    for file in "$1/lib/lib$2.so" "$1"/lib/*-linux-gnu/"lib$2.so"; do
        [ -e "$file" ] && { printf '%s\n' "$file"; return 0; }
    done
    return 1
}
has_cuda() { torch_library "$1" torch_cuda >/dev/null; }
# The folder of the torch that a Python imports; Debian's keeps headers and libraries in /usr.
torch_of_python() {
    "$1" -c 'import importlib.util as u, os
found = u.find_spec("torch")
print(os.path.dirname(found.origin) if found and found.origin else "")' 2>/dev/null </dev/null
}

seen='' root='' only_cuda=1
consider() {
    [ -n "$root" ] && return
    if ! is_torch "$1"; then
        return
    fi
    if [ -n "$only_cuda" ] && ! has_cuda "$1"; then
        seen="$seen $1 (without CUDA);"
        return
    fi
    root=$(cd "$1" && pwd -P)
}
consider_python() {
    folder=$(torch_of_python "$1") || return
    [ -n "$folder" ] || return
    consider "$folder"
    case $folder in /usr/lib/python3/*) consider /usr ;; esac
}
look() {
    if [ -n "$torch" ]; then
        places=$torch
        if [ -f "$torch" ] && [ -x "$torch" ]; then
            consider_python "$torch"
        else
            consider "$torch"
            consider "$torch/libtorch"
            consider "$torch/torch"
            [ -x "$torch/bin/python3" ] && consider_python "$torch/bin/python3"
        fi
        return
    fi
    places="the packages of $python, $work/libtorch, ~/libtorch, /opt/libtorch, /usr/local and /usr"
    consider_python "$python"
    [ -n "${VIRTUAL_ENV:-}" ] && consider_python "$VIRTUAL_ENV/bin/python3"
    [ -n "${CONDA_PREFIX:-}" ] && consider_python "$CONDA_PREFIX/bin/python3"
    for folder in "$work/libtorch" "$HOME/libtorch" /opt/libtorch /usr/local/libtorch /usr/local /usr; do
        consider "$folder"
    done
}
# One with CUDA is taken before any other.
look
if [ -z "$root" ] && [ -z "$cuda" ]; then
    only_cuda=''
    look
fi
[ -n "$root" ] || fail engine.torch "No libtorch${cuda:+ with CUDA} was found in $places.${seen:+ Seen:$seen} Install torch for a Python there, or unpack a libtorch (a folder with include/torch and lib/libtorch_cpu.so), and name it in the target's definition (torch)."

number() { sed -n "s/^#define TORCH_VERSION_$1 \\([0-9]*\\).*/\\1/p" "$root/include/$version_header"; }
version=$(number MAJOR).$(number MINOR).$(number PATCH)
case $version in [12].*) ;; *) fail engine.torch "$root/include/$version_header says libtorch $version; 1.13 and 2.x are supported." ;; esac
if has_cuda "$root"; then with_cuda=true; else with_cuda=false; fi

hash_of() { sha256sum | cut -c 1-"$1"; }
if [ -z "$sources" ]; then
    sources=$(cd "$here" && find . -type f -exec sha256sum {} + | sort | hash_of 64)
fi
# A libtorch that was replaced in its place is another one.
stamp=$(stat -L -c '%s %Y' "$(torch_library "$root" torch_cpu)")
key=$(printf '%s' "$sources" | cut -c 1-24)-$(printf '%s\n' "$root" "$version" "$with_cuda" "$stamp" | hash_of 24)
engine=$work/engines/$key
say "libtorch $version in $root, $([ $with_cuda = true ] && echo with || echo without) CUDA"

quoted() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }
result() {
    printf 'RESULT {"key":"%s","libtorch":"%s","cuda":%s,"nccl":%s,"torch":"%s","seconds":%s,"built":%s}\n' \
        "$key" "$version" "$with_cuda" "$1" "$(quoted "$root")" $(($(date +%s) - began)) "$2"
}
if [ -n "$probe" ]; then
    result false false
    exit 0
fi
if [ -x "$engine/bin/trainyard-engine" ] && [ -f "$engine/engine.json" ]; then
    say "It is built already."
    case $(cat "$engine/engine.json") in *'"nccl":true'*) result true false ;; *) result false false ;; esac
    exit 0
fi

# ---- what compiling needs ----------------------------------------------------------------------------------------
missing=''
need() { missing="${missing:+$missing; }$1"; }
cmake=''
python_folder=$(dirname "$(command -v "$python" 2>/dev/null || echo /nowhere/python)")
for program in cmake "$python_folder/cmake" cmake3; do
    if command -v "$program" >/dev/null 2>&1; then
        found=$("$program" --version 2>/dev/null | sed -n 's/^cmake[0-9]* version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
        major=${found% *} minor=${found#* }
        if [ -n "$found" ] && { [ "$major" -gt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -ge 18 ]; }; }; then
            cmake=$program
            break
        fi
    fi
done
[ -n "$cmake" ] || need "cmake, 3.18 or newer (Debian, Ubuntu: cmake; Red Hat, SUSE: cmake; or as a Python package)"
generator='' maker=''
if command -v ninja >/dev/null 2>&1; then
    generator=Ninja maker=ninja
elif command -v make >/dev/null 2>&1; then
    generator='Unix Makefiles' maker=make
else
    need "ninja or make"
fi
build=$work/build/$key.$$
mkdir -p "$build" "$work/engines" || fail target.denied "Cannot write into $work."
child=''
cleanup() {
    trap - EXIT HUP INT TERM
    [ -n "$child" ] && kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
    rm -rf "$build"
}
trap cleanup EXIT
trap 'cleanup; exit 143' HUP INT TERM

compiler=''
cat >"$build/probe.cpp" <<'CPP'
#include <charconv>
#include <concepts>
#include <numbers>
#include <version>
static_assert(__cplusplus >= 202002L && __cpp_concepts >= 201907L && __cpp_lib_to_chars >= 201611L);
int main() { return 0; }
CPP
for program in "${CXX:-g++}" g++ g++-14 g++-13 g++-12 g++-11 c++ clang++; do
    if command -v "$program" >/dev/null 2>&1 && "$program" -std=c++20 "$build/probe.cpp" -o "$build/probe" 2>/dev/null; then
        compiler=$program
        break
    fi
done
if [ -z "$compiler" ]; then
    need "a C++20 compiler: g++ 11 or newer"
else
    has_header() { printf '#include <%s>\nint main() {}\n' "$1" >"$build/probe.cpp" && "$compiler" -std=c++20 -fsyntax-only -I"$root/include" "$build/probe.cpp" 2>/dev/null; }
    has_header openssl/sha.h || need "libcrypto's headers (Debian, Ubuntu: libssl-dev; Red Hat: openssl-devel; SUSE: libopenssl-devel)"
    has_header zlib.h || need "zlib's headers (Debian, Ubuntu: zlib1g-dev; Red Hat, SUSE: zlib-devel)"
    # Debian 12's libtorch logs through glog, so its headers include glog's.
    if grep -q '^#define C10_USE_GLOG' "$root/include/c10/macros/cmake_macros.h" 2>/dev/null; then
        has_header glog/logging.h || need "glog's and gflags' headers, which this libtorch includes (libgoogle-glog-dev, libgflags-dev)"
    fi
    has_header gloo/algorithm.h ||
        say "Gloo's headers are not here (Debian: libgloo-dev): this engine will not train on several processes without GPUs."
fi
[ -z "$missing" ] || fail engine.tools "The engine cannot be compiled here. Missing: $missing"

if [ -z "$jobs" ]; then
    jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
    memory=$(awk '/^MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo 2>/dev/null)
    [ -n "$memory" ] && [ "$memory" -lt "$jobs" ] && jobs=$memory
    [ "$jobs" -ge 1 ] || jobs=1
fi
free=$(df -Pk "$work" | awk 'NR == 2 {print int($4 / 1024)}')
[ -z "$free" ] || [ "$free" -ge 1500 ] ||
    fail target.disk_full "Compiling the engine takes 1500 MiB in $work, and $free MiB are free there."

# ---- build -------------------------------------------------------------------------------------------------------
# Waits in a way that lets a signal through at once; the program gets it too.
run() {
    "$@" 2>&1 &
    child=$!
    wait "$child"
    status=$?
    child=''
    return $status
}
say "Configuring with $cmake, $generator, $compiler"
run "$cmake" -S "$here" -B "$build" -G "$generator" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" \
    -DTRAINYARD_TORCH_ROOT="$root" -DCMAKE_DISABLE_FIND_PACKAGE_Protobuf=ON -DTRAINYARD_CCACHE= ||
    fail engine.configure "The engine's build could not be configured; see the lines above."
say "Compiling with $jobs at a time"
if [ "$maker" = ninja ]; then
    run ninja -C "$build" -j "$jobs" trainyard-engine || fail engine.compile "The engine could not be compiled; see the lines above."
else
    run make -C "$build" -j "$jobs" trainyard-engine || fail engine.compile "The engine could not be compiled; see the lines above."
fi

say "Looking whether it works"
inspected=$("$build/bin/trainyard-engine" inspect 2>&1) || fail engine.start "The engine was compiled but does not start: $inspected"
case $inspected in *'"nccl"'*) nccl=true ;; *) nccl=false ;; esac
run "$build/bin/trainyard-engine" selftest || fail engine.selftest "The engine was compiled but computes something else than it should; see the line above."

fresh=$work/engines/.$key.$$
rm -rf "$fresh"
{ mkdir -p "$fresh/bin" &&
    { strip -o "$fresh/bin/trainyard-engine" "$build/bin/trainyard-engine" 2>/dev/null ||
        cp "$build/bin/trainyard-engine" "$fresh/bin/trainyard-engine"; } &&
    chmod 700 "$fresh/bin/trainyard-engine" &&
    printf '{"format":"trainyard.engine","version":1,"key":"%s","sources":"%s","libtorch":"%s","cuda":%s,"nccl":%s,"torch":"%s","bundle":false}\n' \
        "$key" "$sources" "$version" "$with_cuda" "$nccl" "$(quoted "$root")" >"$fresh/engine.json"; } ||
    { rm -rf "$fresh"; fail target.disk_full "Cannot write the engine into $work/engines."; }
# Another build of the same engine may have been quicker; both are the same. What is not whole makes room.
[ -f "$engine/engine.json" ] || rm -rf "$engine"
[ -e "$engine" ] || mv "$fresh" "$engine"
rm -rf "$fresh"
[ -x "$engine/bin/trainyard-engine" ] || fail file.io "Cannot move the engine into $engine."
result "$nccl" true
