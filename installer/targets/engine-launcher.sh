#!/bin/sh
# Starts the engine with the loader and the libraries beside it, so that this machine's libc does not matter.
lib=$(cd "${0%/*}/../lib" && pwd -P) || exit 127
# A library preloaded into every program here was built for another libc.
unset LD_PRELOAD LD_LIBRARY_PATH
# How OpenMP's threads wait: see core/engine/Runtime.h. The program cannot start itself anew under this loader.
[ -n "${GOMP_SPINCOUNT+x}${OMP_WAIT_POLICY+x}" ] || export GOMP_SPINCOUNT=1000
export TRAINYARD_ENGINE_LAUNCHER="${lib%/lib}/bin/trainyard-engine"
exec "$lib/ld-linux-x86-64.so.2" --inhibit-cache --library-path "$lib" --argv0 trainyard-engine "$lib/trainyard-engine" "$@"
