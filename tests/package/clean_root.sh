#!/usr/bin/env bash
# Builds the Debian package, checks it, installs it in a clean root (debootstrap) and does the main job there:
# start the window offscreen, train the sample on a subset, register, export.
#   clean_root.sh BUILDFOLDER
set -euo pipefail
build=$(cd "$1" && pwd)
work=$(mktemp -d)
root=$work/root
cleanup() {
    umount -l "$root/proc" "$root/dev" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
((EUID == 0)) || { echo "FAIL: this test needs root (debootstrap, chroot)"; exit 1; }

(cd "$build" && cpack -G DEB -B "$work/package" >"$work/cpack.log" 2>&1) || { cat "$work/cpack.log"; exit 1; }
deb=$(ls "$work"/package/*.deb)
dpkg-deb --info "$deb"
contents=$(dpkg-deb --contents "$deb")
# What other machines get of the engine travels with the package.
for file in trainyard-engine-cpu.tar.zst trainyard-engine-cpu.tar.zst.sha256 trainyard-engine-src.tar.gz trainyard-agent; do
    [[ $contents == *"./usr/lib/trainyard/$file"$'\n'* ]] || { echo "FAIL: the package has no $file"; exit 1; }
done
# Not lintian's business here: a changelog of a distribution, a released bug number, a hardened engine.
lintian --fail-on error --suppress-tags no-changelog,initial-upload-closes-no-bugs "$deb"

# The same sources as this machine's, so that a mirror is named in one place only: the machine's own configuration.
# shellcheck disable=SC2016  # apt-get's own format
read -r mirror suite < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
    awk '$2 == "bookworm" {print; exit}')
[[ -n ${mirror:-} ]] || { echo "FAIL: no source of Debian 12 is configured"; exit 1; }
debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
    { tail -30 "$work/debootstrap.log"; exit 1; }
cp -r /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/trusted.gpg.d "$root/etc/apt/" 2>/dev/null || true
rm -f "$root"/etc/apt/sources.list.d/nodesource* "$root"/etc/apt/sources.list.d/*.list
cp /etc/resolv.conf "$root/etc/resolv.conf"
for m in proc dev; do
    mount --rbind "/$m" "$root/$m"
    mount --make-rslave "$root/$m"
done
cp "$deb" "$root/tmp/trainyard.deb"
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }
in_root DEBIAN_FRONTEND=noninteractive sh -c 'apt-get -qq update && apt-get install -y -qq --no-install-recommends /tmp/trainyard.deb dataset-fashion-mnist' \
    >"$work/apt.log" 2>&1 || { tail -40 "$work/apt.log"; exit 1; }

in_root trainyard --version
in_root trainyard-cli --version
cat >"$root/tmp/job.sh" <<'JOB'
set -eu
export QT_QPA_PLATFORM=offscreen
W=/root/ws
trainyard-cli workspace init --sample "$W"
trainyard-cli --workspace "$W" run submit --draft fashion-mnist --set task.epochs=1 --set task.dataset.train_limit=2000 --set task.dataset.val_limit=500 --wait
trainyard-cli --workspace "$W" model register 1 --name sample
trainyard-cli --workspace "$W" model export sample:1 --out /tmp/model.onnx
test -s /tmp/model.onnx
trainyard --render 1 --out /tmp/charts.png "$W"
test -s /tmp/charts.png
trainyard "$W" &
window=$!
sleep 5
kill -0 "$window"
kill "$window"
JOB
in_root sh /tmp/job.sh
echo "PASS: the package installs in a clean root, opens its window, trains, registers and exports"
