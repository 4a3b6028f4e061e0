#include <QtTest>

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "core/agent/EventLoop.h"
#include "core/base/Clock.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using agent::EventLoop;

class TestEventLoop : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void quiet_waitsItsTime() {
        auto loop = EventLoop::create();
        QVERIFY(loop.ok());
        const auto started = base::monotonicNanos();
        const auto events = loop->wait(60);
        QVERIFY(base::monotonicNanos() - started >= 59'000'000);
        QVERIFY(!events.ranks && !events.control && !events.slots && !events.child && !events.terminate);
    }

    void files_areTold_andTicketsAlone() {
        test::Scratch scratch;
        for (const char* name : {"ranks", "control", "slots"}) QVERIFY(base::makeDirs(scratch / name).ok());
        auto loop = EventLoop::create();
        QVERIFY(loop.ok());
        loop->watchRanks(scratch / "ranks");
        loop->watchControl(scratch / "control");
        loop->watchSlots(scratch / "slots");
        std::ofstream(scratch / "ranks/r0.out") << "x";
        auto events = loop->wait(20'000);
        QVERIFY(events.ranks && !events.notes && !events.control && !events.slots);
        std::filesystem::rename(scratch / "ranks/r0.out", scratch / "ranks/r0.exit.json");
        QVERIFY(loop->wait(20'000).notes);
        std::ofstream(scratch / "control/cancel") << "";
        QVERIFY(loop->wait(20'000).control);
        std::ofstream(scratch / "slots/slots.lock") << "";
        QVERIFY(!loop->wait(20).slots);
        std::ofstream(scratch / "slots/a.ticket") << "";
        QVERIFY(loop->wait(20'000).slots);
        loop->unwatchSlots();
        (void) loop->wait(0);
        std::ofstream(scratch / "slots/b.ticket") << "";
        QVERIFY(!loop->wait(20).slots);
    }

    void withoutInotify_itLooksByTheClock() {
        // No descriptor is left for inotify, as when the user's instances are used up.
        const int next = ::dup(0);
        ::close(next);
        rlimit before{};
        QVERIFY(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        rlimit tight = before;
        tight.rlim_cur = static_cast<rlim_t>(next) + 1;
        QVERIFY(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
        auto loop = EventLoop::create();
        QVERIFY(::setrlimit(RLIMIT_NOFILE, &before) == 0);
        QVERIFY(loop.ok());
        test::Scratch scratch;
        loop->watchRanks(scratch.path());
        const auto started = base::monotonicNanos();
        const auto events = loop->wait(10'000);
        QVERIFY(base::monotonicNanos() - started < 9'000'000'000);
        QVERIFY(events.ranks && events.notes && events.control && events.slots && !events.terminate);
    }

    void signals_areEvents() {
        auto loop = EventLoop::create();
        QVERIFY(loop.ok());
        ::raise(SIGTERM);  // To this thread: the test library has one that does not block it.
        QVERIFY(loop->wait(20'000).terminate);
        ::raise(SIGHUP);  // Ignored.
        QVERIFY(!loop->wait(20).terminate);
    }
};

QTEST_GUILESS_MAIN(TestEventLoop)
#include "tst_EventLoop.moc"
