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

# apt-get and sudo stand in for the real ones, which would change the machine; they note what they are asked.
mkdir -p "$scratch/bin"
cat >"$scratch/bin/apt-get" <<'END'
#!/bin/sh
case " $* " in
*" -s "*) printf 'Inst one (1)\nInst two (1)\nConf one (1)\n' ;;
*" --print-uris "*) printf "'file:/one' one.deb 12000000 SHA256:0\n'file:/two' two.deb 30500000 SHA256:0\n" ;;
*) echo "apt-get $*" >>"$NOTED"; exit 1 ;;
esac
END
cat >"$scratch/bin/sudo" <<'END'
#!/bin/sh
[ "$1" = -n ] && exit 0
echo "sudo $*" >>"$NOTED"
exit 1
END
chmod 755 "$scratch/bin/apt-get" "$scratch/bin/sudo"
: >"$scratch/noted"
chmod 666 "$scratch/noted"
check "a user with sudo is told what and how much, and apt-get runs under sudo" bash -c '
    out=$(setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH="$2" HOME=/nonexistent NOTED="$3" \
        bash "$1/installer/run" --headless 2>&1) && exit 1
    [[ $out == *"trainyard-no-such-package"*"2 packages."*"Download: 42 MB."* ]] || { echo "$out"; exit 1; }
    grep -q "^sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y .*trainyard-no-such-package" "$3" || { cat "$3"; exit 1; }
    ! grep -q "^apt-get" "$3"' _ "$tree" "$scratch/bin:/usr/bin:/bin" "$scratch/noted"
: >"$scratch/noted"
check "root installs without sudo" bash -c '
    ((EUID == 0)) || exit 0
    out=$(env -i PATH="$2" HOME=/nonexistent NOTED="$3" bash "$1/installer/run" --headless 2>&1) && exit 1
    grep -q "^apt-get install -y .*trainyard-no-such-package" "$3" && ! grep -q "^sudo" "$3" || { echo "$out"; cat "$3"; exit 1; }' \
    _ "$tree" "$scratch/bin:/usr/bin:/bin" "$scratch/noted"

((failures == 0)) || { echo "$failures failed"; exit 1; }
