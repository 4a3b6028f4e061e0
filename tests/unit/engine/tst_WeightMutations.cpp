// A deterministic mutation loop over the readers of weights: state_dicts, pickles, their archives and safetensors. As
// tests/fuzz/tst_Mutations does for everything that needs no libtorch.
#include <ATen/ATen.h>

#include <QtTest>

#include "core/base/Files.h"
#include "core/engine/model/SafeTensors.h"
#include "core/engine/weights/StateDict.h"
#include "core/engine/weights/WeightFile.h"
#include "tests/fuzz/Mutate.h"
#include "tests/fuzz/WeightTargets.h"
#include "tests/helpers/Scratch.h"

using namespace trainyard;
using namespace trainyard::engine;

namespace {

const std::vector<std::string>& tokens() {
    using namespace std::string_literals;
    static const std::vector<std::string> all = {"("s,
                                                 "t"s,
                                                 "R"s,
                                                 "Q"s,
                                                 "."s,
                                                 "0"s,
                                                 "}"s,
                                                 "]"s,
                                                 "a"s,
                                                 "b"s,
                                                 "s"s,
                                                 "u"s,
                                                 "e"s,
                                                 "2"s,
                                                 "N"s,
                                                 "\x80\x04"s,
                                                 "\x85"s,
                                                 "\x86"s,
                                                 "\x87"s,
                                                 "\x8f"s,
                                                 "\x90"s,
                                                 "\x93"s,
                                                 "\x94"s,
                                                 "\x95\xff\xff\xff\xff\xff\xff\xff\xff"s,
                                                 "J\xff\xff\xff\x7f"s,
                                                 "J\xff\xff\xff\xff"s,
                                                 "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"s,
                                                 "X\xff\xff\xff\xff"s,
                                                 "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"s,
                                                 "\x8b\xff\xff\xff\x7f"s,
                                                 "h\x00"s,
                                                 "q\x00"s,
                                                 "j\xff\xff\xff\xff"s,
                                                 "r\xff\xff\xff\xff"s,
                                                 "cposix\nsystem\n"s,
                                                 "ctorch._utils\n_rebuild_tensor_v2\n"s,
                                                 "ctorch\nFloatStorage\n"s,
                                                 "ccollections\nOrderedDict\n"s,
                                                 ")R"s,
                                                 ")\x81"s,
                                                 "PK\x01\x02"s,
                                                 "PK\x05\x06"s,
                                                 "PK\x06\x06"s,
                                                 "\xff\xff\xff\xff"s,
                                                 "\xff\xff\xff\xff\xff\xff\xff\x7f"s,
                                                 "\0\0\0\0"s,
                                                 "{"s,
                                                 "\"dtype\":\"F32\""s,
                                                 "\"shape\":[9223372036854775807,2]"s,
                                                 "\"data_offsets\":[0,18446744073709551615]"s,
                                                 "[-1]"s,
                                                 "1e99"s,
                                                 "\"__metadata__\":"s,
                                                 "null"s};
    return all;
}

NamedTensors someTensors() {
    return {{"conv.weight", at::arange(24, at::kFloat).view({2, 3, 2, 2})},
            {"bn.num_batches_tracked", at::zeros({}, at::kLong)},
            {"half", at::ones({3}, at::kHalf)},
            {"empty", at::empty({0, 4}, at::kFloat)}};
}

}  // namespace

class TestWeightMutations : public QObject {
    Q_OBJECT

    test::Scratch m_scratch;
    std::vector<std::string> m_pickles;
    std::vector<std::string> m_archives;
    std::vector<std::string> m_safe;

    [[nodiscard]] base::Path put(const std::string& bytes) const { return m_scratch.write("input", bytes); }

    /// Whole files, as a person hands them over.
    std::string weightFile(const std::string& bytes) const {
        const auto read = readWeightFile(put(bytes));
        if (!read.ok()) {
            return read.error().message.empty() || !base::isValidUtf8(read.error().message) ? "an error says nothing"
                                                                                            : "";
        }
        for (const auto& [name, tensor] : read->tensors) {
            if (!tensor.defined() || !tensor.is_cpu() || !tensor.is_contiguous()) {
                return "a tensor is not as promised: " + name;
            }
        }
        return read->tensors.empty() ? "a file without tensors was read" : "";
    }

    std::string safeTensors(const std::string& bytes) const {
        const auto read = readSafeTensors(put(bytes));
        if (!read.ok()) {
            return read.error().message.empty() || !base::isValidUtf8(read.error().message) ? "an error says nothing"
                                                                                            : "";
        }
        const base::Path copy = m_scratch / "copy";
        if (!writeSafeTensors(*read, copy).ok()) {
            return "what was read cannot be written";
        }
        const auto again = readSafeTensors(copy);
        if (!again.ok() || again->tensors.size() != read->tensors.size()) {
            return "what was written cannot be read";
        }
        for (const auto& [name, tensor] : read->tensors) {
            const at::Tensor* other = again->find(name);
            if (other == nullptr || other->sizes() != tensor.sizes() || other->scalar_type() != tensor.scalar_type()) {
                return "a tensor differs when written again: " + name;
            }
        }
        return "";
    }

    template <class Check>
    void loop(const std::vector<std::string>& pool, int inputs, Check check) {
        for (const std::string& seed : pool) {
            const std::string wrong = check(seed);
            QVERIFY2(wrong.empty(), wrong.c_str());
        }
        for (int i = 0; i < inputs; ++i) {
            fuzz::Random random(static_cast<std::uint64_t>(i) * 37 + pool.size());
            const std::string input = fuzz::mutated(pool[random.below(pool.size())], pool, tokens(), random);
            const std::string wrong = check(input);
            QVERIFY2(wrong.empty(),
                     (wrong + ": " + QByteArray::fromStdString(input).toPercentEncoding().toStdString()).c_str());
        }
    }

private Q_SLOTS:
    void initTestCase() {
        at::set_num_threads(1);
        using namespace std::string_literals;
        QVERIFY(writeStateDict(someTensors(), m_scratch / "state.pth").ok());
        QVERIFY(writeSafeTensors({someTensors(), {{"format", "pt"}}}, m_scratch / "state.safetensors").ok());
        m_archives = {m_scratch.read("state.pth")};
        m_safe = {m_scratch.read("state.safetensors"), "\x02\0\0\0\0\0\0\0{}"s};
        const auto members = readStoredZip(m_archives.front());
        QVERIFY(members.ok());
        for (const auto& [name, view] : *members) {
            if (name.ends_with("data.pkl")) {
                m_pickles.emplace_back(view);
            }
        }
        QCOMPARE(m_pickles.size(), std::size_t{1});
        m_pickles.push_back("\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94\x8c\x01"
                            "a\x94K\x01s."s);
        m_pickles.push_back("(dp0\nS'a'\np1\n(lp2\nI1\naL2L\naF0.5\nas."s);
        m_pickles.push_back("\x80\x02]q\x00h\x00"
                            "a."s);  // A list that holds itself.
    }

    void pickles() {
        loop(m_pickles, 60'000, [](const std::string& bytes) { return fuzz::pickle(bytes); });
    }
    void archives() {
        loop(m_archives, 20'000, [](const std::string& bytes) { return fuzz::zip(bytes); });
    }
    void stateDicts() {
        loop(m_archives, 1'200, [this](const std::string& bytes) { return weightFile(bytes); });
    }
    void safetensors() {
        loop(m_safe, 500, [this](const std::string& bytes) { return safeTensors(bytes); });
    }
    void safetensorsAsWeights() {
        loop({m_safe.front()}, 400, [this](const std::string& bytes) { return weightFile(bytes); });
    }

    void brokenRule_isSeen() {
        QVERIFY(!fuzz::soundError({"file.io", "x"}, "weights.pickle").empty());
        QVERIFY(fuzz::pickle("\x80\x02N.").empty());
        const auto state = readWeightFile(m_scratch / "state.pth");
        QVERIFY(state.ok());
        QCOMPARE(state->tensors.size(), someTensors().size());
        for (std::size_t i = 0; i < state->tensors.size(); ++i) {
            QCOMPARE(state->tensors[i].first, someTensors()[i].first);
            QVERIFY(at::equal(state->tensors[i].second, someTensors()[i].second));
        }
    }
};

QTEST_GUILESS_MAIN(TestWeightMutations)
#include "tst_WeightMutations.moc"
