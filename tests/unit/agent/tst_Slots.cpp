#include <QtTest>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "core/agent/Slots.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using agent::SlotRequest;
using agent::Slots;

namespace {

constexpr std::int64_t kMinute = 60'000'000;

SlotRequest request(const std::string& name, int cores, std::int64_t since, std::int64_t priority = 0, int gpus = 0) {
    SlotRequest made;
    made.ticket = name;
    made.label = name;
    made.cores = cores;
    made.gpus = gpus;
    made.since = since;
    made.priority = priority;
    return made;
}

class Queue {
public:
    explicit Queue(int cores, int gpus = 0) : m_cores(cores), m_gpus(gpus) {}
    Slots enter(const SlotRequest& wanted) {
        Slots slots = Slots::open(m_scratch / "slots", m_cores, m_gpus).value();
        const auto entered = slots.enter(wanted);
        if (!entered.ok()) qFatal("%s", entered.error().message.c_str());
        return slots;
    }
    base::Path folder() const { return m_scratch / "slots"; }

private:
    test::Scratch m_scratch;
    int m_cores;
    int m_gpus;
};

bool granted(Slots& slots, std::int64_t now = 0) { return slots.tryTake(now).value().granted; }
std::string reason(Slots& slots, std::int64_t now = 0) { return slots.tryTake(now).value().reason; }

}  // namespace

class TestSlots : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void free_isGrantedAtOnce() {
        Queue queue(4);
        Slots one = queue.enter(request("one", 4, 1));
        QVERIFY(granted(one));
        QVERIFY(granted(one));  // Asking again changes nothing.
    }

    void busy_saysWhoAndWhy() {
        Queue queue(4);
        Slots one = queue.enter(request("one", 3, 1));
        QVERIFY(granted(one));
        Slots two = queue.enter(request("two", 2, 2));
        QVERIFY(!granted(two));
        QCOMPARE(reason(two), std::string("3 of 4 cores are busy: run one (3 cores); this run asks for 2 cores"));
        one.leave();
        QVERIFY(granted(two));
    }

    void oldestFirst_andNobodyOvertakes() {
        Queue queue(4);
        Slots holder = queue.enter(request("holder", 3, 1));
        QVERIFY(granted(holder));
        Slots large = queue.enter(request("large", 4, 2));
        Slots small = queue.enter(request("small", 1, 3));
        QVERIFY(!granted(small));  // A core is free, but a large run would starve.
        QVERIFY(reason(small).find("waits behind 1 run: large") != std::string::npos);
        QVERIFY(!granted(large));
        holder.leave();
        QVERIFY(!granted(small));
        QVERIFY(granted(large));
        QVERIFY(!granted(small));
        large.leave();
        QVERIFY(granted(small));
    }

    void priority_comesFirst() {
        Queue queue(1);
        Slots holder = queue.enter(request("holder", 1, 1));
        QVERIFY(granted(holder));
        Slots old = queue.enter(request("old", 1, 2));
        Slots urgent = queue.enter(request("urgent", 1, 3, 5));
        holder.leave();
        QVERIFY(!granted(old, 4));
        QVERIFY(granted(urgent, 4));
    }

    void priority_agesSoThatNobodyStarves() {
        Queue queue(1);
        Slots holder = queue.enter(request("holder", 1, 0));
        QVERIFY(granted(holder));
        Slots old = queue.enter(request("old", 1, 0));
        const std::int64_t now = 100 * kMinute;  // 6 steps of 15 minutes
        Slots urgent = queue.enter(request("urgent", 1, now, 5));
        holder.leave();
        QVERIFY(!granted(urgent, now));
        QVERIFY(granted(old, now));
    }

    void gpus_areGivenByIndex() {
        Queue queue(8, 3);
        Slots one = queue.enter(request("one", 1, 1, 0, 1));
        QCOMPARE(one.tryTake(0).value().gpuIndices, std::vector<int>{0});
        Slots two = queue.enter(request("two", 1, 2, 0, 2));
        QCOMPARE(two.tryTake(0).value().gpuIndices, (std::vector<int>{1, 2}));
        Slots three = queue.enter(request("three", 1, 3, 0, 1));
        QVERIFY(!granted(three));
        one.leave();
        QCOMPARE(three.tryTake(0).value().gpuIndices, std::vector<int>{0});
    }

    void deadHolder_isReleasedByTheKernel() {
        Queue queue(1);
        int ready[2];
        QVERIFY(::pipe(ready) == 0);
        const pid_t child = ::fork();
        if (child == 0) {
            Slots held = queue.enter(request("dead", 1, 1));
            const char word = granted(held) ? 'y' : 'n';
            if (::write(ready[1], &word, 1) != 1) ::_exit(1);
            ::pause();
            ::_exit(0);
        }
        char word = 0;
        QCOMPARE(::read(ready[0], &word, 1), ssize_t(1));
        QCOMPARE(word, 'y');
        Slots waiting = queue.enter(request("waiting", 1, 2));
        QVERIFY(!granted(waiting));
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        QVERIFY(granted(waiting));
        ::close(ready[0]);
        ::close(ready[1]);
    }

    void inheritedTicket_outlivesTheAgent() {
        // As with shims: the descriptor lives on in a child while the agent that took the slots is gone.
        Queue queue(1);
        int copy = -1;
        {
            Slots agent = queue.enter(request("run", 1, 1));
            QVERIFY(granted(agent));
            copy = ::dup(agent.ticketFd());
        }
        Slots other = queue.enter(request("other", 1, 2));
        QVERIFY(!granted(other));
        {
            Slots restarted = Slots::open(queue.folder(), 1, 0).value();
            restarted.adopt(request("run", 1, 1), {});
            QVERIFY(!granted(other));
            restarted.leave();
        }
        QVERIFY(granted(other));
        ::close(copy);
    }

    void unreadableTicket_countsTheWholeMachine() {
        Queue queue(2);
        Slots one = queue.enter(request("one", 1, 1));
        Slots newer = queue.enter(request("newer", 1, 2));
        std::ofstream(queue.folder() / "newer.ticket") << R"({"format":"trainyard.slot-ticket","version":99})";
        QVERIFY(!granted(one));
        QVERIFY(reason(one).find("newer, whose ticket cannot be read") != std::string::npos);
        newer.leave();
        QVERIFY(granted(one));
    }

    void unwritableFolder_isAnError() {
        test::Scratch scratch;
        scratch.write("file", "x");
        const auto slots = Slots::open(scratch / "file", 1, 0);
        QVERIFY(!slots.ok());
        QCOMPARE(slots.error().code, std::string("slots.folder"));
    }
};

QTEST_GUILESS_MAIN(TestSlots)
#include "tst_Slots.moc"
