#!/bin/bash
# First process of one compute node: slurm-node.sh FOLDER NODE. Runs in PID, UTS and mount namespaces of its own.
set -eu
lab=$1 node=$2
mount --make-rprivate /
mount -t proc proc /proc
mkdir -p "$lab/$node/tmp" "$lab/$node/spool"
chmod 1777 "$lab/$node/tmp"
mount --bind "$lab/$node/tmp" /tmp # pmix folders of two slurmds would meet there
mount --bind "$lab/hosts" /etc/hosts
hostname "$node"
slurmd -D -N "$node" -f "$lab/slurm.conf" &
trap 'kill -9 -1; exit 0' TERM
# Reaps orphans, as a first process must; ends with slurmd.
daemon=$!
while kill -0 "$daemon" 2> /dev/null; do
    wait -n || sleep 0.2
done
kill -9 -1 || true
