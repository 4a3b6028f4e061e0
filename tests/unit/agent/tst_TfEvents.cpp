// Event files of TensorBoard, byte by byte: framing, checksums, messages, damage.
#include <QtTest>

#include <cmath>
#include <random>

#include "tests/unit/agent/EventWriter.h"

using namespace trainyard::agent;
using W = trainyard::test::EventWriter;

namespace {

std::vector<std::string> recordsIn(TfRecordCutter& cutter) {
    std::vector<std::string> records;
    while (const auto record = cutter.next()) records.emplace_back(*record);
    return records;
}

TfValue onlyValue(TfEventReader& reader, const std::string& bytes) {
    const auto event = reader.read(bytes);
    return event && event->values.size() == 1 ? event->values.front() : TfValue{};
}

}  // namespace

class TestTfEvents : public QObject {
    Q_OBJECT

private Q_SLOTS:
    /// RFC 3720, appendix B.4.
    void checksum_isCrc32c() {
        QCOMPARE(crc32c("123456789"), 0xe3069283U);
        QCOMPARE(crc32c(std::string(32, '\0')), 0x8a9136aaU);
        QCOMPARE(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
        QCOMPARE(crc32c(""), 0U);
    }

    /// What add_scalar("loss", 0.5, 3) writes.
    void framing_ofOneRealRecord() {
        const std::string data = W::event(3, W::scalar("loss", 0.5F));
        TfRecordCutter cutter;
        cutter.feed(W::framed(data));
        QCOMPARE(recordsIn(cutter), std::vector<std::string>{data});
        QCOMPARE(cutter.damaged(), std::int64_t(0));
        TfEventReader reader;
        const auto event = reader.read(data);
        QVERIFY(event);
        QCOMPARE(event->step, std::int64_t(3));
        QCOMPARE(event->wallTime, 1'795'400'000.5);
        QCOMPARE(event->values.front().tag, std::string("loss"));
        QCOMPARE(*event->values.front().scalar, 0.5);
    }

    void anyCut_givesTheSameRecords() {
        std::string bytes = W::version();
        std::vector<std::string> expected{bytes.substr(12, bytes.size() - 16)};
        for (int i = 0; i < 50; ++i) {
            expected.push_back(W::event(i, W::scalar("a" + std::to_string(i), static_cast<float>(i))));
            bytes += W::framed(expected.back());
        }
        for (const std::size_t piece : {1U, 3U, 11U, 64U, 1000U}) {
            TfRecordCutter cutter;
            std::vector<std::string> got;
            for (std::size_t at = 0; at < bytes.size(); at += piece) {
                cutter.feed(std::string_view(bytes).substr(at, piece));
                for (std::string& record : recordsIn(cutter)) got.push_back(std::move(record));
            }
            QCOMPARE(got, expected);
            QCOMPARE(cutter.at(), static_cast<std::int64_t>(bytes.size()));
            QVERIFY(!cutter.hasRest());
        }
    }

    void damage_costsOnlyWhatItHit_data() {
        QTest::addColumn<int>("offset");  // Inside the second of three records.
        QTest::newRow("length") << 2;
        QTest::newRow("checksum of the length") << 9;
        QTest::newRow("data") << 20;
        QTest::newRow("checksum of the data") << -2;
    }
    void damage_costsOnlyWhatItHit() {
        QFETCH(int, offset);
        const std::string one = W::framed(W::event(1, W::scalar("a", 1)));
        const std::string two = W::framed(W::event(2, W::scalar("a", 2)));
        const std::string three = W::framed(W::event(3, W::scalar("a", 3)));
        std::string bytes = one + two + three;
        bytes[one.size() + static_cast<std::size_t>(offset < 0 ? static_cast<int>(two.size()) + offset : offset)] ^=
            0x55;
        TfRecordCutter cutter;
        cutter.feed(bytes);
        QCOMPARE(recordsIn(cutter).size(), std::size_t(2));
        QCOMPARE(cutter.damaged(), std::int64_t(1));
        QCOMPARE(cutter.at(), static_cast<std::int64_t>(bytes.size()));
    }

    void zerosAtTheEnd_areWaitedFor() {
        const std::string one = W::framed(W::event(1, W::scalar("a", 1)));
        TfRecordCutter cutter;
        cutter.feed(one + std::string(500, '\0'));
        QCOMPARE(recordsIn(cutter).size(), std::size_t(1));
        QCOMPARE(cutter.damaged(), std::int64_t(0));
        QVERIFY(cutter.hasRest());
    }

    void garbage_neverGivesARecordAndNeverStops() {
        std::mt19937 random(7);
        for (int round = 0; round < 200; ++round) {
            std::string bytes(random() % 4096, '\0');
            for (char& c : bytes) c = static_cast<char>(random());
            TfRecordCutter cutter;
            cutter.feed(bytes);
            QVERIFY(recordsIn(cutter).empty());
            TfEventReader reader;
            (void) reader.read(bytes);
        }
        // Right frames around wrong messages.
        std::string message = W::event(3, W::scalar("loss", 0.5F));
        TfEventReader reader;
        for (std::size_t i = 0; i < message.size(); ++i) {
            for (int bit = 0; bit < 8; ++bit) {
                std::string changed = message;
                changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
                (void) reader.read(changed);
                (void) reader.read(std::string_view(changed).substr(0, i));
            }
        }
    }

    void tensors_asTensorFlow2WritesThem() {
        TfEventReader reader;
        const std::string content = W::little(std::bit_cast<std::uint32_t>(0.25F), 4);
        const auto first =
            onlyValue(reader, W::event(1, W::text(1, "loss") + W::text(8, W::whole(1, 1) + W::text(4, content)) +
                                              W::plugin("scalars")));
        QCOMPARE(*first.scalar, 0.25);
        // Only the first value of a tag says of which kind it is.
        const auto text =
            onlyValue(reader, W::event(1, W::text(1, "note/text_summary") +
                                              W::text(8, W::whole(1, 7) + W::text(8, "hello")) + W::plugin("text")));
        QCOMPARE(*text.text, std::string("hello"));
        const auto more = onlyValue(
            reader, W::event(2, W::text(1, "note/text_summary") + W::text(8, W::whole(1, 7) + W::text(8, "again"))));
        QCOMPARE(*more.text, std::string("again"));
        const auto picture = onlyValue(
            reader,
            W::event(1, W::text(1, "p") +
                            W::text(8, W::whole(1, 7) + W::text(8, "4") + W::text(8, "4") + W::text(8, "\x89PNG...")) +
                            W::plugin("images")));
        QCOMPARE(picture.images.size(), std::size_t(1));
        std::string rows;
        for (const double value : {0.0, 1.0, 5.0, 1.0, 2.0, 7.0})
            rows += W::little(std::bit_cast<std::uint64_t>(value), 8);
        const auto bins = onlyValue(
            reader, W::event(1, W::text(1, "h") + W::text(8, W::whole(1, 2) + W::shape({2, 3}) + W::text(4, rows)) +
                                    W::plugin("histograms")));
        QCOMPARE(bins.histogram->edges, (std::vector<double>{0, 1, 2}));
        QCOMPARE(bins.histogram->counts, (std::vector<double>{5, 7}));
        const auto half =
            onlyValue(reader, W::event(1, W::text(1, "q") + W::text(8, W::whole(1, 19) + W::whole(13, 0x3800))));
        QCOMPARE(*half.scalar, 0.5);
    }

    void histogram_asPyTorchWritesIt() {
        TfEventReader reader;
        const std::string histogram = W::real(1, -0.5) + W::real(2, 1.5) + W::real(3, 6) + W::real(4, 3) +
                                      W::real(5, 4) + W::reals(6, {-1, 0, 1, 1.7976931348623157e308}) +
                                      W::reals(7, {0, 2, 3, 1});
        const auto value = onlyValue(reader, W::event(1, W::text(1, "weights") + W::text(5, histogram)));
        QCOMPARE(value.histogram->edges, (std::vector<double>{-0.5, 0, 1, 1.5}));
        QCOMPARE(value.histogram->counts, (std::vector<double>{2, 3, 1}));
        QCOMPARE(value.histogram->number, 6.0);
    }
};

QTEST_APPLESS_MAIN(TestTfEvents)
#include "tst_TfEvents.moc"
