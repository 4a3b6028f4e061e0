// The queue folder as all users of a machine share it: races of real second users, and what a hostile one puts there.
#include <QtTest>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <limits>
#include <new>

#include "core/agent/Slots.h"
#include "core/base/Clock.h"
#include "core/base/Json.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"
#include "tests/helpers/Wait.h"

using namespace trainyard;
using agent::SlotRequest;
using agent::Slots;
using base::Path;

namespace {

constexpr uid_t kSomebody = 12'345;
constexpr uid_t kSomebodyElse = 12'346;

SlotRequest request(const std::string& name, int cores, std::int64_t since = 1, std::int64_t priority = 0) {
    SlotRequest made;
    made.ticket = name;
    made.label = name;
    made.cores = cores;
    made.since = since;
    made.priority = priority;
    return made;
}

/// A folder as /var/tmp: other users may make the queue in it too.
class OpenFolder {
public:
    OpenFolder() {
        char name[] = "/var/tmp/trainyard-test-XXXXXX";
        m_path = ::mkdtemp(name);
        ::chmod(m_path.c_str(), 01777);
    }
    OpenFolder(const OpenFolder&) = delete;
    OpenFolder& operator=(const OpenFolder&) = delete;
    ~OpenFolder() { std::filesystem::remove_all(m_path); }
    [[nodiscard]] Path slots() const { return m_path / "slots"; }

private:
    Path m_path;
};

/// Does something as another user in a child; its exit status. The umask is the agent's.
template <class Work>
pid_t asUser(uid_t user, Work work) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::umask(077);
    if (::setgid(user) != 0 || ::setuid(user) != 0) ::_exit(99);
    ::_exit(work());
}

int statusOf(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

struct Shared {
    std::atomic<int> holders{0};
    std::atomic<int> most{0};
    std::atomic<int> turns{0};
};

Shared* sharedMemory() {
    void* const at = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return new (at) Shared;
}

}  // namespace

class TestSlotsShared : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init() {
        if (::geteuid() != 0) TRAINYARD_SKIP("another user needs root");
    }

    void twoUsersRace_andOnlyOneHoldsTheSlot() {
        const OpenFolder folder;
        Shared* const shared = sharedMemory();
        constexpr int kTurns = 12;
        std::vector<pid_t> racers;
        for (const uid_t user : {uid_t{0}, kSomebody, kSomebodyElse, kSomebody}) {
            const int number = static_cast<int>(racers.size());
            racers.push_back(asUser(user, [&] {
                for (int turn = 0; turn < kTurns; ++turn) {
                    auto slots = Slots::open(folder.slots(), 1, 0);
                    if (!slots.ok()) return 1;
                    const auto deadline = base::Deadline::inMillis(100'000);
                    const std::string name = "run" + std::to_string(number) + "-" + std::to_string(turn);
                    base::Status entered = slots->enter(request(name, 1, base::wallMicros()));
                    while (!entered.ok() && entered.error().code == "slots.busy" && !deadline.passed()) {
                        entered = slots->enter(request(name, 1, base::wallMicros()));
                    }
                    if (!entered.ok()) return 2;
                    while (true) {
                        const auto answer = slots->tryTake(base::wallMicros());
                        if (!answer.ok()) return 3;
                        if (answer->granted) break;
                        if (deadline.passed()) return 4;
                        ::usleep(500);
                    }
                    const int holders = ++shared->holders;
                    if (holders > shared->most) shared->most = holders;
                    ::usleep(2000);
                    --shared->holders;
                    ++shared->turns;
                    slots->leave();
                }
                return 0;
            }));
        }
        for (const pid_t racer : racers) QCOMPARE(statusOf(racer), 0);
        QCOMPARE(shared->turns.load(), kTurns * 4);
        QCOMPARE(shared->most.load(), 1);
        ::munmap(shared, sizeof(Shared));
    }

    void othersTickets_areShownWithTheirUser_andFreedByTheKernel() {
        const OpenFolder folder;
        Slots mine = Slots::open(folder.slots(), 2, 0).value();
        struct stat info {};
        QCOMPARE(::stat(folder.slots().c_str(), &info), 0);
        QCOMPARE(info.st_mode & 07777U, 01777U);
        int ready[2];
        QVERIFY(::pipe(ready) == 0);
        const pid_t holder = asUser(kSomebody, [&] {
            auto slots = Slots::open(folder.slots(), 2, 0);
            if (!slots.ok() || !slots->enter(request("theirs", 2)).ok() || !slots->tryTake(2)->granted) return 1;
            if (::write(ready[1], "y", 1) != 1) return 2;
            ::pause();
            return 0;
        });
        char word = 0;
        QCOMPARE(::read(ready[0], &word, 1), ssize_t(1));
        QVERIFY(mine.enter(request("mine", 1)).ok());
        const auto answer = mine.tryTake(3).value();
        QVERIFY(!answer.granted);
        QVERIFY2(answer.reason.find("run theirs of uid 12345 (2 cores)") != std::string::npos, answer.reason.c_str());
        const auto all = Slots::list(folder.slots(), 2).value();
        QCOMPARE(all.size(), std::size_t{2});
        QVERIFY(all[0].ours && !all[1].ours && all[1].holding);
        ::kill(holder, SIGKILL);
        QCOMPARE(statusOf(holder), 1000 + SIGKILL);
        QVERIFY(mine.tryTake(4).value().granted);
        ::close(ready[0]);
        ::close(ready[1]);
    }

    void claimingToHaveWaitedLong_doesNotHelpAgainstOthers() {
        const OpenFolder folder;
        Slots holder = Slots::open(folder.slots(), 1, 0).value();
        QVERIFY(holder.enter(request("holder", 1)).ok());
        QVERIFY(holder.tryTake(base::wallMicros()).value().granted);
        Slots honest = Slots::open(folder.slots(), 1, 0).value();
        QVERIFY(honest.enter(request("honest", 1, base::wallMicros() - 1'000'000)).ok());
        int ready[2];
        QVERIFY(::pipe(ready) == 0);
        const pid_t liar = asUser(kSomebody, [&] {
            auto slots = Slots::open(folder.slots(), 1, 0);
            // As if it had waited for 30 years, each 15 minutes of which count as a step of priority.
            if (!slots.ok() || !slots->enter(request("liar", 1, 1)).ok()) return 1;
            if (::write(ready[1], "y", 1) != 1) return 2;
            ::pause();
            return 0;
        });
        char word = 0;
        QCOMPARE(::read(ready[0], &word, 1), ssize_t(1));
        holder.leave();
        QVERIFY(honest.tryTake(base::wallMicros()).value().granted);
        ::kill(liar, SIGKILL);
        statusOf(liar);
        ::close(ready[0]);
        ::close(ready[1]);
    }

    void hostileContent_doesNoHarm() {
        const OpenFolder folder;
        test::Scratch scratch;
        scratch.write("secret", "keep");
        {
            const auto made = Slots::open(folder.slots(), 4, 0);
            QVERIFY(made.ok());
        }
        int ready[2];
        QVERIFY(::pipe(ready) == 0);
        const pid_t hostile = asUser(kSomebody, [&] {
            const std::string at = folder.slots().string() + "/";
            if (::symlink((scratch / "secret").c_str(), (at + "link.ticket").c_str()) != 0) return 1;
            if (::symlink("/dev/zero", (at + "zero.ticket").c_str()) != 0) return 1;
            if (::mkfifo((at + "pipe.ticket").c_str(), 0666) != 0) return 2;
            if (::mkdir((at + "folder.ticket").c_str(), 0777) != 0) return 3;
            // The name that a run of ours is going to use.
            std::ofstream(at + "run.ticket") << "x";
            std::vector<base::UniqueFd> held;
            const auto hold = [&](const std::string& name, const std::string& text) {
                std::ofstream(at + name) << text;
                ::chmod((at + name).c_str(), 0666);
                held.emplace_back(::open((at + name).c_str(), O_RDWR));
                return ::flock(held.back().get(), LOCK_EX | LOCK_NB) == 0;
            };
            base::Json ticket = {{"format", "trainyard.slot-ticket"},
                                 {"version", 1},
                                 {"state", "holding"},
                                 {"run", "\x1b[2J\nx"},
                                 {"cores", -9000},
                                 {"gpu_indices", {-1, 99999999999, "x"}},
                                 {"since", -5},
                                 {"priority", std::numeric_limits<std::int64_t>::max()}};
            if (!hold("a.ticket", base::dumpJson(ticket))) return 4;
            ticket["run"] = 7;
            if (!hold("b.ticket", base::dumpJson(ticket) + std::string(100, ' '))) return 5;
            if (::write(ready[1], "y", 1) != 1) return 6;
            ::pause();
            return 0;
        });
        char word = 0;
        QCOMPARE(::read(ready[0], &word, 1), ssize_t(1));
        const auto begun = base::monotonicNanos();
        auto slots = Slots::open(folder.slots(), 4, 0);
        QVERIFY(slots.ok());
        // Its own name is taken by somebody else's file, so it takes another.
        QVERIFY2(slots->enter(request("run", 2)).ok(), "enter");
        const auto answer = slots->tryTake(base::wallMicros());
        QVERIFY(answer.ok());
        // b's ticket cannot be read: it counts as the whole machine, and its user is named.
        QVERIFY(!answer->granted);
        QVERIFY2(answer->reason.find("b, whose ticket cannot be read of uid 12345") != std::string::npos,
                 answer->reason.c_str());
        QVERIFY(std::none_of(answer->reason.begin(), answer->reason.end(),
                             [](char c) { return static_cast<unsigned char>(c) < 32; }));
        QVERIFY(base::monotonicNanos() - begun < 30'000'000'000);
        QCOMPARE(scratch.read("secret"), std::string("keep"));
        ::kill(hostile, SIGKILL);
        statusOf(hostile);
        QVERIFY(slots->tryTake(base::wallMicros()).value().granted);
        ::close(ready[0]);
        ::close(ready[1]);
    }

    void lockHeldForEver_isWaitedForWithoutHanging() {
        const OpenFolder folder;
        Slots slots = Slots::open(folder.slots(), 1, 0).value();
        const base::UniqueFd lock(::open((folder.slots() / "slots.lock").c_str(), O_RDONLY | O_CLOEXEC));
        QCOMPARE(::flock(lock.get(), LOCK_EX), 0);
        const auto begun = base::monotonicNanos();
        QCOMPARE(slots.enter(request("run", 1)).error().code, std::string("slots.busy"));
        QVERIFY(base::monotonicNanos() - begun < 30'000'000'000);
        QCOMPARE(::flock(lock.get(), LOCK_UN), 0);
        QVERIFY(slots.enter(request("run", 1)).ok());
    }

    void folderThatIsALinkOrNotWritable_isRefusedWithARemedy() {
        const OpenFolder folder;
        std::filesystem::create_directory_symlink("/tmp", folder.slots());
        const auto link = Slots::open(folder.slots(), 1, 0);
        QCOMPARE(link.error().code, std::string("slots.folder"));
        std::filesystem::remove(folder.slots());
        std::filesystem::create_directory(folder.slots());
        ::chmod(folder.slots().c_str(), 0755);
        const pid_t other = asUser(kSomebody, [&] {
            const auto slots = Slots::open(folder.slots(), 1, 0);
            return !slots.ok() && slots.error().code == "slots.folder" &&
                           slots.error().message.find("user root") != std::string::npos
                       ? 0
                       : 1;
        });
        QCOMPARE(statusOf(other), 0);
    }
};

QTEST_GUILESS_MAIN(TestSlotsShared)
#include "tst_SlotsShared.moc"
