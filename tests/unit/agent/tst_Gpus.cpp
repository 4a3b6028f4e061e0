// GPUs: discovery, leases that keep off strangers, metrics, all against a stand-in for nvidia-smi.
#include "tests/unit/agent/AgentRig.h"
#include "tests/unit/agent/GpuStandIn.h"

#include "core/agent/GpuMonitor.h"
#include "core/agent/Gpus.h"
#include "core/agent/Slots.h"
#include "core/base/Text.h"

using namespace trainyard;
using agent::GpuMonitor;
using agent::SlotRequest;
using agent::Slots;
using base::Json;
using test::GpuStandIn;
using test::Variable;

namespace {

SlotRequest request(const std::string& name, int gpus) {
    SlotRequest made;
    made.ticket = name;
    made.label = name;
    made.gpus = gpus;
    made.since = 1;
    return made;
}

/// Asks until nvidia-smi has been heard.
agent::SlotAnswer answerOf(Slots& slots) {
    agent::SlotAnswer answer;
    (void) test::waitFor([&] {
        answer = slots.tryTake(2).value();
        return answer.granted || answer.reason.find("Looking") == std::string::npos;
    });
    return answer;
}

}  // namespace

class TestGpus : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void areFoundWithTheirProcesses() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        smi.write("processes", "GPU-1, 4711, /usr/bin/python3\n");
        const auto list = agent::findGpus();
        QCOMPARE(list.source, std::string("nvidia-smi"));
        QCOMPARE(list.gpus.size(), std::size_t{2});
        QCOMPARE(list.gpus[1].name, std::string("NVIDIA A100-SXM4-40GB"));
        QCOMPARE(list.gpus[1].memoryBytes, std::int64_t{40960} << 20);
        QCOMPARE(list.gpus[1].utilizationPercent, 15);
        QCOMPARE(list.processes.size(), std::size_t{1});
        QCOMPARE(list.processes[0].pid, pid_t{4711});
    }

    void odd_answersAreNoGpus_data() {
        QTest::addColumn<QString>("rows");
        QTest::addColumn<int>("gpus");
        QTest::addColumn<bool>("trouble");
        QTest::newRow("none") << QStringLiteral("No devices were found\n") << 0 << false;
        QTest::newRow("nothing") << QString() << 0 << false;
        QTest::newRow("garbage") << QStringLiteral("segfault at 0\n\x01\x02,,,,,,\n") << 0 << true;
        QTest::newRow("not supported") << QStringLiteral("0, Tesla K80, GPU-0, [N/A], [Not Supported], [N/A], 470.1\n")
                                       << 1 << false;
        QTest::newRow("far index") << QStringLiteral("99999999999, A, GPU-0, 1, 1, 1, 1\n") << 0 << true;
    }
    void odd_answersAreNoGpus() {
        QFETCH(QString, rows);
        QFETCH(int, gpus);
        QFETCH(bool, trouble);
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        smi.write("gpus", rows.toStdString());
        const auto list = agent::findGpus();
        QCOMPARE(static_cast<int>(list.gpus.size()), gpus);
        QCOMPARE(!list.trouble.empty(), trouble);
    }

    void brokenDriver_isSaid() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        smi.write("fail", "Failed to initialize NVML: Driver/library version mismatch\n");
        const auto list = agent::findGpus();
        QVERIFY2(list.trouble.find("version mismatch") != std::string::npos, list.trouble.c_str());
        QVERIFY(list.gpus.empty());
    }

    void once_asksOnceABoot() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        QCOMPARE(agent::findGpusOnce(scratch / "gpus.json").gpus.size(), std::size_t{2});
        smi.write("fail", "gone");
        const auto again = agent::findGpusOnce(scratch / "gpus.json");
        QCOMPARE(again.gpus.size(), std::size_t{2});
        QCOMPARE(again.gpus[0].uuid, std::string("GPU-0"));
    }

    void lease_passesOverAStrangersGpu() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        smi.write("processes", "GPU-0, 4711, /usr/bin/python3\n");
        Slots one = Slots::open(scratch / "slots", 8, 2).value();
        QVERIFY(one.enter(request("one", 1)).ok());
        const auto given = answerOf(one);
        QVERIFY(given.granted);
        QCOMPARE(given.gpuIndices, std::vector<int>{1});
        Slots two = Slots::open(scratch / "slots", 8, 2).value();
        QVERIFY(two.enter(request("two", 1)).ok());
        const auto waits = answerOf(two);
        QVERIFY(!waits.granted);
        QVERIFY2(waits.reason.find("GPU 0 is used by python3 (process 4711)") != std::string::npos,
                 waits.reason.c_str());
        // When the stranger goes the GPU is given; how soon depends on the age of what is known.
        smi.remove("processes");
        QVERIFY(test::waitFor([&] { return two.tryTake(2).value().granted; }, 8000));
        QCOMPARE(two.tryTake(2).value().gpuIndices, std::vector<int>{0});
    }

    void lease_withoutGpusAsksNobody() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        Slots one = Slots::open(scratch / "slots", 8, 2).value();
        QVERIFY(one.enter(request("one", 0)).ok());
        QVERIFY(one.tryTake(2).value().granted);
        QCOMPARE(smi.log(), std::string());
    }

    void load_showsLeaseAndStranger() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch, 3);
        const Variable path("PATH", smi.path());
        smi.write("processes", "GPU-1, 4711, python3\n");
        Slots holder = Slots::open(scratch / "slots", 8, 3).value();
        QVERIFY(holder.enter(request("mine", 1)).ok());
        QVERIFY(answerOf(holder).granted);
        Slots waiting = Slots::open(scratch / "slots", 8, 3).value();
        QVERIFY(waiting.enter(request("next", 3)).ok());
        test::ServeClient client(scratch / "work", {{"--slots", (scratch / "slots").string()}});
        const auto load = client.call("load");
        QVERIFY2(load.ok(), load.text().c_str());
        const Json& gpus = load.header["gpus"];
        QCOMPARE(gpus.size(), std::size_t{3});
        QCOMPARE(gpus[0]["lease"].get<std::string>(), std::string("mine"));
        QVERIFY(gpus[0]["stranger"].is_null());
        QCOMPARE(gpus[1]["stranger"]["pid"].get<int>(), 4711);
        QVERIFY(gpus[2]["lease"].is_null() && gpus[2]["stranger"].is_null());
        QCOMPARE(load.header["leases"].size(), std::size_t{1});
        QCOMPARE(load.header["waiting"][0]["gpus_wanted"].get<int>(), 3);
        const auto hello = client.call("hello");
        QCOMPARE(hello.header["gpus"].size(), std::size_t{3});
    }

    void monitor_tellsValuesAndTheRunsShare() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        smi.write("pmon", "    0       1001     C    40     9     -     -   512   python\n    0       2002     C    25 "
                          "    3     -     -   100   other\n"
                          "    1          -     -     -     -     -     -     -   -\n");
        GpuMonitor monitor({0, 1});
        Json values = Json::object();
        QVERIFY(test::waitFor([&] {
            values = Json::object();
            monitor.sample(values, {1001});
            return values.contains("gpu0_run_utilization_percent") && values.contains("gpu1_power_watts");
        }));
        QCOMPARE(values["gpu1_utilization_percent"].get<double>(), 15.0);
        QCOMPARE(values["gpu0_memory_bytes"].get<double>(), 1024.0 * (1 << 20));
        QCOMPARE(values["gpu1_power_watts"].get<double>(), 61.5);
        QCOMPARE(values["gpu1_temperature_celsius"].get<double>(), 41.0);
        QVERIFY(test::waitFor([&] {
            monitor.sample(values, {1001});
            return values["gpu0_run_utilization_percent"].get<double>() == 40.0 &&
                   values["gpu0_other_processes"].get<int>() == 1;
        }));
        QCOMPARE(values["gpu0_run_memory_bytes"].get<double>(), 512.0 * (1 << 20));
        QCOMPARE(values["gpu1_run_utilization_percent"].get<double>(), 0.0);
    }

    void monitor_startsItsProgramsAnewAndForgetsOldValues() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        GpuMonitor monitor({});
        Json values = Json::object();
        const auto seen = [&] {
            values = Json::object();
            monitor.sample(values, {});
            return values.contains("gpu0_utilization_percent");
        };
        QVERIFY(test::waitFor(seen));
        const auto calls = [&] { return base::split(smi.log(), '\n').size() - 1; };
        QVERIFY(test::waitFor([&] { return calls() == 2; }));
        smi.write("fail", "driver gone");
        for (const std::string& line : base::split(smi.log(), '\n')) {
            if (!line.empty()) ::kill(std::stoi(line), SIGKILL);
        }
        const auto from = base::monotonicNanos();
        QVERIFY(test::waitFor([&] { return !seen() && calls() >= 4; }, 8000));
        // With pauses of a second and more between two starts of each of the two.
        QVERIFY(static_cast<std::int64_t>(calls()) <= 6 + 2 * ((base::monotonicNanos() - from) / 1'000'000'000));
        smi.remove("fail");
        QVERIFY(test::waitFor(seen, 20'000));
    }

    void monitor_withoutTheProgram_saysNothing() {
        test::Scratch scratch;
        const test::FakePath empty(scratch, "empty");
        const Variable path("PATH", empty.alone());
        GpuMonitor monitor({0});
        Json values = Json::object();
        for (int i = 0; i < 3; ++i) monitor.sample(values, {});
        QVERIFY(values.empty());
    }

    void monitor_survivesGarbage() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        smi.write("use", std::string("x,y\n0, [N/A], nan, inf, -1e999, \xff, \n") + std::string(200'000, 'z') +
                             "\n1, 5, 5, 5, 5, 5, 5\n");
        smi.write("pmon", "#\n# pid\n1 2 3\n\n\xff\xfe -9 x\n");
        GpuMonitor monitor({});
        Json values = Json::object();
        QVERIFY(test::waitFor([&] {
            monitor.sample(values, {});
            return values.contains("gpu1_utilization_percent");
        }));
        QVERIFY(!base::dumpJson(values).empty());
    }

    void run_getsItsGpusAndTheirMetrics() {
        test::Scratch scratch;
        const GpuStandIn smi(scratch);
        const Variable path("PATH", smi.path());
        smi.write("processes", "GPU-0, 4711, python3\n");
        test::AgentRig rig(scratch);
        auto plan = rig.shellPlan("echo devices=$CUDA_VISIBLE_DEVICES order=$CUDA_DEVICE_ORDER; sleep 1");
        plan.gpus = 1;
        plan.systemIntervalMillis = 200;
        const auto layout = rig.place(plan);
        test::AgentProcess agent(layout);
        QCOMPARE(agent.wait(), 0);
        const auto records = test::recordsOf(layout);
        QVERIFY2(test::textOf(test::endedOf(records), "outcome") == "completed",
                 base::dumpJson(test::endedOf(records)).c_str());
        const auto lines = test::linesOf(records, 0, "stdout");
        QVERIFY2(lines == std::vector<std::string>{"devices=1 order=PCI_BUS_ID"},
                 lines.empty() ? "nothing" : lines[0].c_str());
        bool measured = false;
        for (const auto& record : test::ofKind(records, wire::kind::kSystem)) {
            measured = measured || record.body["values"].contains("gpu1_utilization_percent");
            QVERIFY(!record.body["values"].contains("gpu0_utilization_percent"));
        }
        QVERIFY(measured);
    }
};

QTEST_GUILESS_MAIN(TestGpus)
#include "tst_Gpus.moc"
