# shellcheck shell=bash
# A run in a container whose base is a bare Debian root made by debootstrap. Sourced after roots.sh, never run.

# container_base BUILD ROOT WORK CODENAME: podman takes the root as an image, an environment builds a Containerfile on it, and
# a run says from inside which Debian it found. Prints what it did, or why this machine runs no containers.
container_base() {
    local build=$1 root=$2 work=$3/containers codename=$4 said
    mkdir -p "$work/home" "$work/tmp"
    [[ -n $(command -v podman) && -n $(command -v runc) ]] || fail "podman or runc is missing"
    printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\nlog_driver = "k8s-file"\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >"$work/containers.conf"
    printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/store"\nrunroot = "%s/run"\n' "$work" "$work" >"$work/storage.conf"
    printf 'unqualified-search-registries = []\nshort-name-mode = "disabled"\n' >"$work/registries.conf"
    local settings=(CONTAINERS_CONF="$work/containers.conf" CONTAINERS_STORAGE_CONF="$work/storage.conf"
        CONTAINERS_REGISTRIES_CONF="$work/registries.conf" TMPDIR="$work/tmp" HOME="$work/home" XDG_DATA_HOME="$work/home/data"
        XDG_CONFIG_HOME="$work/home/config" XDG_CACHE_HOME="$work/home/cache" TRAINYARD_WORK="$work/work" TRAINYARD_BIN="$build/bin")
    # Device files are the engine's business.
    tar -C "$root" --exclude=./dev/* -c . | env "${settings[@]}" podman import -q - localhost/base:1 >/dev/null || fail "podman import"
    if ! said=$(env "${settings[@]}" podman run --rm --network=host localhost/base:1 /bin/echo fine 2>&1) && ! runs_bundles "$work"; then
        echo "this machine runs no containers: $said"
        return 0
    fi
    [[ $said == fine ]] || fail "podman run: $said"
    cat >"$work/box.json" <<'JSON'
{"format": "trainyard.environment", "version": 1, "name": "box", "kind": "container",
 "container": {"source": "containerfile", "engine": "podman", "python": "/bin/sh",
  "containerfile": "FROM localhost/base:1\nRUN dpkg-query -W base-files > /made-inside\n"}}
JSON
    in_workspace() { env "${settings[@]}" "$build/bin/trainyard-cli" --workspace "$work/space" "$@"; }
    env "${settings[@]}" "$build/bin/trainyard-cli" workspace init "$work/space" >/dev/null
    in_workspace environment create --file "$work/box.json" >/dev/null
    # shellcheck disable=SC2016  # for the shell in the container
    in_workspace run submit --set environment=box --wait -- /bin/sh -c '. /etc/os-release; echo "inside $VERSION_CODENAME, $(cut -f1 /made-inside)"' >"$work/said" 2>&1 ||
        { cat "$work/said"; in_workspace run logs 1; fail "no run in the container"; }
    said=$(in_workspace run logs 1)
    [[ $said == *"inside $codename, base-files"* ]] || fail "the container said: $said"
    in_workspace environment clear --yes local >/dev/null
    said=$(env "${settings[@]}" podman images --all --format '{{.Repository}}')
    [[ $said == localhost/base ]] || fail "images are left: $said"
    echo "a container on a root of $codename that debootstrap made: built, run, cleared"
}

# Whether runc itself can run a bundle: then a podman that fails is a fault.
runs_bundles() {
    local bundle=$1/bundle
    mkdir -p "$bundle/rootfs"
    cp -a "$root/." "$bundle/rootfs/"
    (cd "$bundle" && runc spec && sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"true"/' config.json && runc --root "$bundle/state" run "trainyard-base-$$") >/dev/null 2>&1
}
