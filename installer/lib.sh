# shellcheck shell=bash
# What installer/run and tests/run share. Sourced, never run.

ty_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
fail() { printf 'trainyard: %s\n' "$*" >&2; exit 1; }

# Packages of the named groups that are not installed, one a line.
missing_packages() {
    local group package command status
    while read -r group package _; do
        case $group in ''|'#'*) continue ;; esac
        [[ " $* " == *" $group "* ]] || continue
        command=${package#*=}
        if [[ $package == *=* ]]; then
            package=${package%%=*}
            command -v "$command" >/dev/null 2>&1 && continue
        fi
        # shellcheck disable=SC2016  # dpkg-query's own format
        status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) || status=
        [[ $status == ii* ]] || printf '%s\n' "$package"
    done <"$ty_root/installer/packages"
}

# Installs the packages of the named groups: says what and how much first. As root, through sudo, or not at all when
# nothing is missing; otherwise prints the one command an administrator has to run.
install_packages() {
    local missing sudo=() plan
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        if command -v sudo >/dev/null 2>&1 && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
            sudo=(sudo)
        else
            say "These packages are missing and this user cannot install them. An administrator has to run:"
            say ""
            say "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
            say ""
            fail "then run this again; it goes on from here."
        fi
    fi
    command -v apt-get >/dev/null 2>&1 || fail "this system has no apt-get. Debian 12 is what Trainyard is built for; install by hand: ${missing[*]}"
    say "Packages to install: ${missing[*]}"
    if ! plan=$(apt-get install --no-install-recommends -s "${missing[@]}" 2>/dev/null); then
        say "Reading the list of packages…"
        "${sudo[@]}" apt-get -qq update || fail "apt-get update failed; is the network there?"
        plan=$(apt-get install --no-install-recommends -s "${missing[@]}") || fail "apt-get cannot install these packages (see above)."
    fi
    say "With what they need: $(grep -c '^Inst ' <<<"$plan") packages."
    # --print-uris names each archive with its size in bytes: what will be downloaded.
    local bytes
    bytes=$(apt-get install --no-install-recommends -qq --print-uris "${missing[@]}" 2>/dev/null | awk '{s += $3} END {printf "%.0f", s / 1e6}')
    say "Download: ${bytes} MB."
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 ||
        { "${sudo[@]}" apt-get -qq update && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2; } ||
        fail "apt-get could not install the packages (see above). Run this again when that is mended; it goes on from here."
}

# How many compilers side by side: one a core, and 2 GiB of memory each (libtorch's headers).
build_jobs() {
    local cores memory
    cores=$(nproc)
    memory=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
    ((memory < 1)) && memory=1
    echo $((cores < memory ? cores : memory))
}

# configure_and_build PRESET [cmake option…]: ninja goes on where an interrupted build stopped.
configure_and_build() {
    local preset=$1
    shift
    (cd "$ty_root" && cmake --preset "$preset" "$@" >"$ty_root/build/$preset.configure.log" 2>&1) || {
        cat "$ty_root/build/$preset.configure.log" >&2
        fail "the build could not be configured (see above)."
    }
    cmake --build "$ty_root/build/$preset" -j "$(build_jobs)" >&2 || fail "the build failed (see above)."
}
