#!/bin/bash
# Slurm's daemons on one host of the lab: slurm-daemons.sh controller|compute. /run is the host's own.
set -eu
mount --bind /home/lab/.slurm /etc/slurm # what clients read without being told
mkdir -p /run/munge
chmod 755 /run/munge
cp /home/lab/.slurm/munge.key /run/munge/key
chown root: /run/munge/key
chmod 400 /run/munge/key
/usr/sbin/munged --force --key-file=/run/munge/key --socket=/run/munge/munge.socket.2 --pid-file=/run/munge/pid --log-file=/run/munge/log \
    --seed-file=/run/munge/seed --num-threads=2
if [ "$1" = controller ]; then
    /usr/sbin/slurmctld > /dev/null 2>&1
else
    for gpu in 0 1; do
        mknod "/run/gpu$gpu" c 1 3
        chmod 666 "/run/gpu$gpu"
    done
    /usr/sbin/slurmd > /dev/null 2>&1
fi
