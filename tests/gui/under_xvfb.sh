#!/bin/bash
# Runs a GUI test on a display of its own with a window manager: under_xvfb.sh PROGRAM [ARGUMENT...]
# Offscreen nothing maps, raises, focuses or closes windows but the program itself; here openbox does.
set -u
for tool in xvfb-run openbox xdotool; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is missing; installer/packages names it" >&2
        exit 1
    fi
done
if [ "${TRAINYARD_UNDER_XVFB:-}" != yes ]; then
    TRAINYARD_UNDER_XVFB=yes exec xvfb-run -a -s "-screen 0 1600x1000x24" "$0" "$@"
fi
openbox --sm-disable &
manager=$!
trap 'kill "$manager" 2>/dev/null; wait "$manager" 2>/dev/null' EXIT
for _ in $(seq 100); do
    # A window manager owns this property of the root window.
    xdotool get_desktop >/dev/null 2>&1 && break
    sleep 0.1
done
if ! xdotool get_desktop >/dev/null 2>&1; then
    echo "openbox did not start within ten seconds" >&2
    exit 1
fi
QT_QPA_PLATFORM=xcb "$@"
