# shellcheck shell=bash
# Bare Debian roots for the package tests. Sourced, never run.

fail() { printf 'FAIL: %s\n' "$*"; exit 1; }
((EUID == 0)) || fail "this test needs root (debootstrap, chroot)"

# The same mirror as this machine's, so that one is named in one place only: the machine's own configuration.
mirror() {
    # shellcheck disable=SC2016  # apt-get's own format
    apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk '$2 == "bookworm" && !found++ {print $1}'
}

# make_root SUITE FOLDER [COMPONENT…]
make_root() {
    local suite=$1 folder=$2 from log
    shift 2
    from=$(mirror)
    [[ -n $from ]] || fail "no source of Debian 12 is configured"
    log=$(mktemp)
    if ! debootstrap --variant=minbase --include=ca-certificates "$suite" "$folder" "$from" >"$log" 2>&1; then
        tail -20 "$log"
        fail "no root of $suite"
    fi
    rm -f "$log"
    echo "deb $from $suite main $*" >"$folder/etc/apt/sources.list"
    cp -r /etc/apt/apt.conf.d /etc/apt/trusted.gpg.d "$folder/etc/apt/" 2>/dev/null || true
    cp /etc/resolv.conf "$folder/etc/resolv.conf"
}

# in_root FOLDER command…: in namespaces of its own, so that mounts and processes go with it, however it ends.
in_root() {
    # shellcheck disable=SC2016  # a small program of its own
    unshare --mount --pid --fork --kill-child bash -c '
        set -e
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"' _ "$@"
}

# in_root_alone FOLDER command…: without a network but its own loopback.
in_root_alone() {
    # shellcheck disable=SC2016  # a small program of its own
    unshare --net bash -c 'ip link set lo up; source "$1"; shift; in_root "$@"' _ "${BASH_SOURCE[0]}" "$@"
}

# install_in FOLDER package…
install_in() {
    local folder=$1 log
    shift
    log=$(mktemp)
    if ! in_root "$folder" sh -c 'apt-get -qq update && apt-get install -y -qq --no-install-recommends "$@" && apt-get clean' _ "$@" >"$log" 2>&1; then
        tail -40 "$log"
        fail "packages cannot be installed: $*"
    fi
    rm -f "$log"
}

# write_job FOLDER: Fashion-MNIST, a spec of 20 steps and job.sh, which trains it with two processes and tests the engine
# itself: job.sh FOLDER ENGINE.
write_job() {
    local data=/usr/share/datasets/fashion-mnist name
    [[ -e $data/train-images-idx3-ubyte.gz ]] || fail "$data is missing (dataset-fashion-mnist)"
    mkdir -p "$1"
    for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
        cp -L "$data/$name-ubyte.gz" "$1/"
    done
    cat >"$1/spec.json" <<'JSON'
{"format": "trainyard.run-spec", "version": 1, "name": "twenty",
 "distribution": {"kind": "pytorch", "processes": 2},
 "task": {"kind": "train", "epochs": 1, "batch_size": 64, "seed": 1, "device": "cpu", "threads": 1, "log_every_steps": 1,
  "model": {"family": "cnn"},
  "dataset": {"kind": "idx", "train_limit": 1280, "val_limit": 256,
   "train_images": "$TRAINYARD_INPUT_DATASET/train-images-idx3-ubyte.gz",
   "train_labels": "$TRAINYARD_INPUT_DATASET/train-labels-idx1-ubyte.gz",
   "val_images": "$TRAINYARD_INPUT_DATASET/t10k-images-idx3-ubyte.gz",
   "val_labels": "$TRAINYARD_INPUT_DATASET/t10k-labels-idx1-ubyte.gz"}}}
JSON
    cat >"$1/job.sh" <<'JOB'
set -eu
cd "$1"
rm -rf out
mkdir -m 700 out
export TRAINYARD_INPUT_DATASET="$1" TRAINYARD_RENDEZVOUS="$1/out/rendezvous.json" WORLD_SIZE=2 LOCAL_WORLD_SIZE=2
pids=
for rank in 1 0; do
    RANK=$rank LOCAL_RANK=$rank TRAINYARD_OUTPUTS="$1/out" TRAINYARD_STREAM="$1/out/stream.$rank" \
        "$2" train --spec spec.json >"out/log.$rank" 2>&1 &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid" || { cat out/log.*; exit 1; }; done
unset WORLD_SIZE LOCAL_WORLD_SIZE TRAINYARD_RENDEZVOUS
"$2" selftest >out/selftest.json
for file in model.pt model.safetensors checkpoints/last.ckpt; do test -s "out/$file" || { echo "no $file"; exit 1; }; done
JOB
}

# The losses that a job reported, a step a line; 20 at least.
losses() {
    grep -o '"name":"train/loss","step":\[[0-9]*\],"value":\[[^]]*\]' "$1/out/stream.0" >"$1/out/losses" || true
    (($(wc -l <"$1/out/losses") >= 20)) || { head -c 2000 "$1/out/stream.0"; fail "fewer than 20 steps were reported in $1"; }
    cat "$1/out/losses"
}
