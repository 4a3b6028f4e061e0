#!/usr/bin/env bash
# The engine is built from its archive as a target does it, in a bare root of Debian 13 (libtorch 2.6): what is missing is named,
# a libtorch without CUDA is refused where CUDA is asked for, a build that is ended leaves nothing, one that is done is found
# again at once, and the engine trains.
#   build_engine.sh BUILDFOLDER [suite]
# Takes five minutes with one compiler (JOBS), so it is not a part of tests/run.
set -euo pipefail
# shellcheck source=tests/package/roots.sh
. "$(dirname "$0")/roots.sh"
build=$(cd "$1" && pwd)
suite=${2:-trixie}
archive=$build/bundles/trainyard-engine-src.tar.gz
[[ -e $archive ]] || fail "$archive is missing (target trainyard_engine_sources)"
(($(stat -c %s "$archive") < 2000000)) || fail "the archive has 2 MB or more"
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
make_root "$suite" "$root"
mkdir -p "$root/root/sources"
tar -xzf "$archive" -C "$root/root/sources"
hash=$(sha256sum "$archive" | cut -d ' ' -f 1)
in_build() { in_root "$root" sh /root/sources/build-engine.sh --work "/root/the work" --sources "$hash" "$@"; }
# refuses CODE WORD… -- ARGUMENT…
refuses() {
    local code=$1 said words=()
    shift
    while [[ $1 != -- ]]; do words+=("$1"); shift; done
    shift
    if said=$(in_build "$@" 2>&1); then fail "build-engine.sh should have refused: $*"; fi
    [[ $said == *"ERROR $code "* ]] || { echo "$said"; fail "no error $code"; }
    for word in "${words[@]}"; do [[ $said == *"$word"* ]] || { echo "$said"; fail "the error does not say '$word'"; }; done
}

refuses engine.torch 'No libtorch was found' --
refuses engine.torch '/nowhere' -- --torch /nowhere
install_in "$root" libtorch-dev
refuses engine.torch 'with CUDA' '/usr (without CUDA)' -- --cuda
refuses engine.tools cmake ninja 'C++20 compiler' --
install_in "$root" g++ cmake ninja-build
refuses engine.tools libcrypto libssl-dev --
install_in "$root" libssl-dev zlib1g-dev libgloo-dev libopenblas0-pthread

# Ended in the middle: nothing is left, nothing goes on.
in_build --jobs 1 >"$work/cancel.log" 2>&1 &
builder=$!
for _ in $(seq 300); do grep -q '^\[[0-9]*/' "$work/cancel.log" && break; sleep 0.2; done
grep -q '^\[[0-9]*/' "$work/cancel.log" || { cat "$work/cancel.log"; fail "the build did not begin"; }
script=$(pgrep -P "$(pgrep -P "$builder" | sed -n 1p)" | sed -n 1p)
kill -TERM "${script:-$builder}"
for _ in $(seq 100); do kill -0 "$builder" 2>/dev/null || break; sleep 0.1; done
kill -0 "$builder" 2>/dev/null && fail "the build goes on after SIGTERM"
wait "$builder" && fail "a build that was ended says it succeeded"
[[ -z $(find "$root/root/the work/build" "$root/root/the work/engines" -mindepth 1) ]] || fail "an ended build left something"

began=$SECONDS
in_root_alone "$root" nice -n 10 sh /root/sources/build-engine.sh --work "/root/the work" --sources "$hash" --jobs "${JOBS:-1}" >"$work/build.log" 2>&1 ||
    { grep -B 1 "error:" "$work/build.log" | head -40; tail -10 "$work/build.log"; fail "the engine cannot be built"; }
took=$((SECONDS - began))
result=$(sed -n 's/^RESULT //p' "$work/build.log")
key=$(sed -n 's/.*"key":"\([^"]*\)".*/\1/p' <<<"$result")
[[ $result == *'"built":true'* && -n $key ]] || { tail "$work/build.log"; fail "no result"; }
[[ $(in_build) == *'It is built already'*"$key"*'"built":false'* ]] || fail "a second build does not find the first"
[[ -z $(find "$root/root/the work/build" -mindepth 1) ]] || fail "the build left something"
write_job "$root/job"
in_root_alone "$root" sh /job/job.sh /job "/root/the work/engines/$key/bin/trainyard-engine" || fail "the engine does not train"
losses "$root/job" >/dev/null
echo "PASS: the engine is built from its sources on $suite in $took s: $result"
