#!/usr/bin/env bash
# What installer/run does once everything is built: the whole job without a display, interrupted and begun again, from a
# path with spaces and non-ASCII letters. The build itself is left out: the programs of BUILDFOLDER stand in for it.
#   installer_run.sh BUILDFOLDER
# shellcheck disable=SC2016  # small programs of their own, in single quotes on purpose
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
scratch=$(mktemp -d)
job=
cleanup() {
    if [[ -n $job ]]; then kill -- "-$job" 2>/dev/null || true; fi
    if [[ -d $scratch/home/ws ]]; then
        "$build/bin/trainyard-cli" --workspace "$scratch/home/ws" run cancel 1 >/dev/null 2>&1 || true
    fi
    rm -rf "$scratch"
}
trap cleanup EXIT
fail() {
    echo "FAIL: $*"
    exit 1
}

tree="$scratch/a place/für Züge"
mkdir -p "$tree/build/release" "$scratch/tools" "$scratch/home"
cp -r "$source/installer" "$tree/"
ln -s "$build/bin" "$tree/build/release/bin"
ln -s "$source/build/onnxruntime" "$tree/build/onnxruntime"
printf '#!/bin/sh\nexit 0\n' >"$scratch/tools/cmake"
chmod 755 "$scratch/tools/cmake"

export PATH="$scratch/tools:$PATH" HOME="$scratch/home" XDG_RUNTIME_DIR="$scratch/home" TRAINYARD_WORK="$scratch/home/work"
unset DISPLAY WAYLAND_DISPLAY XDG_DATA_HOME XDG_CONFIG_HOME XDG_CACHE_HOME XDG_STATE_HOME
ws="$scratch/home/ws"
cli() { "$build/bin/trainyard-cli" --workspace "$ws" --json "$@"; }

# Interrupted in the middle of the training, as by a closed terminal.
setsid bash "$tree/installer/run" --headless --workspace "$ws" --epochs 60 >"$scratch/first.log" 2>&1 &
job=$!
for _ in $(seq 300); do
    [[ $(cli run show 1 2>/dev/null | jq -r '.result.state // empty') == Running ]] && break
    sleep 0.2
done
kill -KILL -- "-$job"
wait "$job" 2>/dev/null || true
job=
[[ $(cli run show 1 | jq -r .result.state) == Running ]] ||
    { cat "$scratch/first.log"; fail "the run does not go on without the installer"; }
cli run cancel 1 >/dev/null
cli run wait 1 >/dev/null || true
[[ $(cli run show 1 | jq -r .result.state) == Canceled ]] || fail "the run of the interrupted start was not canceled"

# Begun again, on a terminal, so that its progress is drawn.
TRAINYARD_TREE="$tree" TRAINYARD_WS="$ws" TRAINYARD_OUT="$scratch/out" timeout 240 \
    script -qec 'stty columns 160; bash "$TRAINYARD_TREE/installer/run" --headless --workspace "$TRAINYARD_WS" --epochs 2 \
        --limit 12000 --seed 7 --processes 2 >"$TRAINYARD_OUT"' /dev/null </dev/null >"$scratch/terminal" ||
    { tail -c 4000 "$scratch/terminal"; fail "the second start did not come to its end"; }
for part in 'epoch 1/2' 'epoch 2/2' 'step ' '[#' '/s' ' left' 'loss ' 'History:' 'Model:' 'ONNX:' 'Charts:'; do
    grep -aqF -- "$part" "$scratch/terminal" || { tail -c 4000 "$scratch/terminal"; fail "the terminal shows no '$part'"; }
done
[[ $(wc -l <"$scratch/out") == 1 ]] || { cat "$scratch/out"; fail "more than one line is the result"; }
jq -e '(.state == "Completed") and (.val_accuracy > 0.6) and (.onnx_max_abs_diff < 0.001) and (.seconds >= 1) and
    (keys == ["chart", "model", "onnx", "onnx_max_abs_diff", "run", "seconds", "state", "val_accuracy", "workspace"])' \
    "$scratch/out" >/dev/null || { cat "$scratch/out"; fail "the last line is not what it should be"; }
for file in model onnx chart; do
    path=$(jq -r ".$file" "$scratch/out")
    [[ -s $path ]] || fail "there is no $file at $path"
done
[[ $(head -c 8 "$(jq -r .chart "$scratch/out")" | od -An -tx1 | tr -d ' ') == 89504e470d0a1a0a ]] || fail "the chart is no PNG"
[[ $(cli run show 2 | jq -r '.result.spec.distribution.processes') == 2 ]] || fail "--processes was not heeded"
[[ $(cli run show 2 | jq -r '.result.spec.task.seed') == 7 ]] || fail "--seed was not heeded"

# What cannot work is said, and no result is printed.
if out=$(bash "$tree/installer/run" --headless --workspace /proc/none 2>"$scratch/err"); then fail "a place that cannot be was taken"; fi
[[ -z $out && -s $scratch/err ]] || { cat "$scratch/err"; fail "a start that failed printed a result, or said nothing"; }
echo "PASS: interrupted, begun again, trained on two processes, registered, exported and drawn"
