#pragma once
#include <QTemporaryDir>
#include <QTest>
#include <string>

#include "tests/helpers/Program.h"
#include "tests/helpers/Skip.h"

namespace trainyard::test {

/// Whether this machine can run containers, asked of the kernel through runc alone: a bundle of a shell and its
/// libraries, with what "runc spec" writes, says a word. So a podman that fails where this works is a fault, and not
/// the machine's limit.
struct ContainerProbe {
    bool installed = false;  ///< podman and runc are there.
    bool possible = false;   ///< The bundle ran.
    std::string probed;      ///< For people: what was tried and what it said.
};

inline ContainerProbe probeContainers() {
    static constexpr const char* kScript =
        "set -e; at='copying a shell with its libraries'; trap '[ $? = 0 ] || echo \"it failed at: $at\" >&2' EXIT\n"
        "root=$1/rootfs; mkdir -p $root/bin $root/proc $root/dev $root/sys; cp \"$(command -v dash)\" $root/bin/sh\n"
        "for l in $(ldd $root/bin/sh | grep -o '/[^ ]*' | sort -u); do mkdir -p $root$(dirname $l); cp -L $l $root$l; "
        "done\n"
        "cd $1; at='runc spec'; runc spec; sed -i 's/\"terminal\": true/\"terminal\": false/' config.json\n"
        "at='runc run (namespaces, mounts, cgroups of a container)'; echo 'echo fine' | runc --root $1/state run "
        "trainyard-probe-$$\n";
    ContainerProbe probe;
    const auto there = runProgram("/bin/sh", {"-c", "command -v podman && command -v runc"});
    probe.installed = there.exitCode == 0;
    if (!probe.installed) {
        probe.probed =
            "looked for podman and runc in PATH; found: " + (there.out.empty() ? std::string("neither") : there.out);
        return probe;
    }
    // Not below /tmp, which may be an overlay itself.
    const QTemporaryDir folder(QStringLiteral("/var/tmp/trainyard-probe-XXXXXX"));
    const auto ran = runProgram("/bin/sh", {"-c", kScript, "sh", folder.path().toStdString()});
    probe.possible = ran.exitCode == 0 && ran.out == "fine\n";
    probe.probed = "ran a bundle of a shell by runc, without podman: exit status " + std::to_string(ran.exitCode) +
                   ", it said \"" + ran.out + ran.err + "\"";
    return probe;
}

}  // namespace trainyard::test

/// Goes on where containers run. Skips where the probe shows that the machine runs none, which CI may not be able to
/// help; fails in CI where programs are missing.
#define TRAINYARD_NEED_CONTAINERS(probe)                                                                               \
    do {                                                                                                               \
        if (!(probe).installed) {                                                                                      \
            TRAINYARD_SKIP(("podman or runc is missing: " + (probe).probed).c_str());                                  \
        }                                                                                                              \
        if (!(probe).possible) {                                                                                       \
            QSKIP(("this machine runs no containers: " + (probe).probed).c_str());                                     \
        }                                                                                                              \
    } while (false)

/// A step of the tests' own that failed although containers run here.
#define TRAINYARD_CONTAINER_STEP(probe, what, result)                                                                  \
    QVERIFY2((result).exitCode == 0,                                                                                   \
             (std::string(what) + " failed, although containers run here (" + (probe).probed + "): " + (result).err)   \
                 .c_str())
