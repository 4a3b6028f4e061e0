#pragma once
#include <QTest>

/// Skips a test function for want of a tool or a right. In CI (CI=true) it fails instead: what is missing there is a
/// mistake of the installation, and a skipped test would hide it.
#define TRAINYARD_SKIP(reason)                                                                                         \
    do {                                                                                                               \
        if (qEnvironmentVariable("CI") == QLatin1String("true")) {                                                     \
            QFAIL(reason);                                                                                             \
        }                                                                                                              \
        QSKIP(reason);                                                                                                 \
    } while (false)
