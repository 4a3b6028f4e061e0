#!/usr/bin/env bash
# The shell scripts are clean, and installer/run behaves before anything is built: help, wrong options, missing packages
# without the right to install them, from a path with spaces and non-ASCII letters.
# shellcheck disable=SC2016  # the checks are small programs of their own, in single quotes on purpose
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
failures=0
check() { # check NAME command…
    local name=$1
    shift
    if "$@"; then echo "ok    $name"; else echo "FAIL  $name"; failures=$((failures + 1)); fi
}

mapfile -t scripts < <(cd "$source" && git ls-files -z | xargs -0 grep -lE '^#!.*(bash|/sh)$' --)
check "scripts were found" test "${#scripts[@]}" -ge 4
check "shellcheck" bash -c 'cd "$1" && shift && shellcheck -x -P SCRIPTDIR "$@"' _ "$source" "${scripts[@]}"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
tree="$scratch/a place/für Züge"
mkdir -p "$tree"
cp -r "$source/installer" "$tree/"
chmod -R a+rX "$scratch"

check "help names every option it takes" bash -c '
    help=$(bash "$1/installer/run" --help)
    for option in --headless --workspace --processes --epochs --limit --seed --build-only; do
        [[ $help == *$option* ]] || { echo "missing $option"; exit 1; }
    done' _ "$tree"
check "an unknown option is refused" bash -c '
    ! out=$(bash "$1/installer/run" --frobnicate 2>&1) && [[ $out == *"unknown option"* ]]' _ "$tree"
check "an option without its value is refused" bash -c '
    ! out=$(bash "$1/installer/run" --epochs 2>&1) && [[ $out == *"--epochs needs a value"* ]]' _ "$tree"
check "a value that is no number is refused" bash -c '
    ! out=$(bash "$1/installer/run" --epochs many 2>&1) && [[ $out == *"whole number"* ]]' _ "$tree"

echo 'build  trainyard-no-such-package  a package that is never there' >>"$tree/installer/packages"
check "without root and sudo it prints the one command" bash -c '
    out=$(setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH="$2" HOME=/nonexistent \
        bash "$1/installer/run" --headless 2>&1) && exit 1
    [[ $out == *"apt-get install -y --no-install-recommends"*trainyard-no-such-package* ]] || { echo "$out"; exit 1; }' \
    _ "$tree" "$scratch/bin:/usr/bin:/bin"

((failures == 0)) || { echo "$failures failed"; exit 1; }
