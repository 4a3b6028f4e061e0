#!/usr/bin/env bash
# The engine's CPU bundle trains on releases of Debian whose libc is older and newer than the one it was built with: unpacked
# into a bare root (debootstrap), 20 steps of a CNN on Fashion-MNIST with two processes, the same losses as here, the self-test.
#   bundle_roots.sh BUILDFOLDER [suite…]     suites: bullseye trixie
set -euo pipefail
# shellcheck source=tests/package/roots.sh
. "$(dirname "$0")/roots.sh"
# shellcheck source=tests/package/container_base.sh
. "$(dirname "$0")/container_base.sh"
build=$(cd "$1" && pwd)
shift
suites=("$@")
((${#suites[@]})) || suites=(bullseye trixie)
bundle=$build/bundles/trainyard-engine-cpu.tar.zst
[[ -e $bundle ]] || fail "$bundle is missing (target trainyard_engine_bundle)"
size=$(stat -c %s "$bundle")
((size < 70000000)) || fail "the bundle has $size bytes, 70,000,000 are allowed"
(cd "$(dirname "$bundle")" && sha256sum --quiet -c "$(basename "$bundle").sha256") || fail "the hash beside the bundle is not its own"
echo "bundle: $size bytes"

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
write_job "$work/job"
zstd -qdc "$bundle" | tar -x -C "$work/job"
# Links would lead elsewhere on a target, and the agent refuses them.
[[ -z $(find "$work/job" -type l) ]] || fail "the bundle holds links"
# Nothing of this machine's environment (OPENBLAS_CORETYPE) may choose other kernels.
env -i PATH=/usr/bin:/bin HOME="$work" LC_ALL=C.UTF-8 sh "$work/job/job.sh" "$work/job" "$work/job/bin/trainyard-engine"
losses "$work/job" >"$work/here"

for suite in "${suites[@]}"; do
    root=$work/$suite
    make_root "$suite" "$root"
    rm -rf "$work/job/out"
    cp -a "$work/job" "$root/job"
    in_root_alone "$root" sh /job/job.sh /job /job/bin/trainyard-engine || fail "the bundle does not run on $suite"
    losses "$root/job" | cmp - "$work/here" || fail "$suite computes other losses than this machine"
    grep -q '"kind":"result","passed":true' "$root/job/out/selftest.json" || { cat "$root/job/out/selftest.json"; fail "the self-test on $suite"; }
    libc=$(chroot "$root" ldd --version | sed -n 1p)
    echo "$suite ($libc): 20 steps on two processes, losses equal to this machine's"
    [[ $suite != "${suites[-1]}" ]] || container_base "$build" "$root" "$work" "$suite"
    rm -rf --one-file-system "$root"
done
echo "PASS: the bundle runs on ${suites[*]}"
