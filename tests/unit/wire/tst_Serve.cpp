#include <QtTest>

#include <random>

#include "core/wire/Serve.h"

using namespace trainyard;
using base::Json;
using wire::ServeDecoder;

namespace {

std::string frameOf(const Json& header, std::string_view payload = {}) {
    return wire::encodeServeFrame(header, payload).value();
}

std::string lengths(std::uint32_t header, std::uint32_t payload) {
    std::string text;
    for (const std::uint32_t number : {header, payload}) {
        for (const int shift : {24, 16, 8, 0}) text += static_cast<char>(number >> shift & 0xff);
    }
    return text;
}

}  // namespace

class TestServe : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void frames_comeBackWhateverThePieces() {
        std::string all(wire::kServeGreeting);
        std::vector<std::pair<Json, std::string>> sent;
        std::mt19937 random(7);
        for (int i = 0; i < 50; ++i) {
            std::string payload(random() % 3000, '\0');
            for (char& c : payload) c = static_cast<char>(random());
            sent.emplace_back(Json{{"id", i}, {"text", "ä\n\"" + std::string(random() % 50, 'x')}}, payload);
            all += frameOf(sent.back().first, payload);
        }
        for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, all.size()}) {
            ServeDecoder decoder(true);
            std::size_t got = 0;
            for (std::size_t at = 0; at < all.size(); at += piece) {
                decoder.feed(std::string_view(all).substr(at, piece));
                while (true) {
                    auto frame = decoder.next();
                    QVERIFY(frame.ok());
                    if (!*frame) break;
                    QVERIFY(got < sent.size());
                    QVERIFY((*frame)->header == sent[got].first);
                    QCOMPARE((*frame)->payload, sent[got].second);
                    ++got;
                }
            }
            QCOMPARE(got, sent.size());

            // The same bytes read into the decoder's own memory, and payloads that stay there.
            ServeDecoder direct(true);
            got = 0;
            for (std::size_t at = 0; at < all.size(); at += piece) {
                const std::string_view part = std::string_view(all).substr(at, piece);
                const std::span<char> room = direct.room(part.size());
                QVERIFY(room.size() >= part.size());
                std::copy(part.begin(), part.end(), room.begin());
                direct.took(part.size());
                while (true) {
                    const auto frame = direct.nextView();
                    QVERIFY(frame.ok());
                    if (!*frame) break;
                    QVERIFY(got < sent.size());
                    QVERIFY((*frame)->header == sent[got].first);
                    QVERIFY((*frame)->payload == sent[got].second);
                    ++got;
                }
            }
            QCOMPARE(got, sent.size());
        }
    }

    void banner_isSkippedAndKeptForMessages() {
        ServeDecoder decoder(true);
        decoder.feed("Welcome to node 7!\r\nNo newline at its end: ");
        QVERIFY(decoder.next().ok());
        QVERIFY(!decoder.greeted());
        decoder.feed(std::string(wire::kServeGreeting) + frameOf({{"id", 1}}));
        auto frame = decoder.next();
        QVERIFY(frame.ok() && frame->has_value());
        QVERIFY(decoder.greeted());
        QVERIFY(decoder.banner().starts_with("Welcome to node 7!"));
    }

    void bannerWithoutEnd_isAnError() {
        ServeDecoder decoder(true);
        decoder.feed("This account is not available.\n" + std::string(wire::kServeGreetingSearch + 1, 'x'));
        const auto frame = decoder.next();
        QVERIFY(!frame.ok());
        QCOMPARE(frame.error().code, std::string("serve.greeting"));
        QVERIFY(frame.error().message.find("not available") != std::string::npos);
        decoder.feed(std::string(wire::kServeGreeting) + frameOf({{"id", 1}}));
        QVERIFY(!decoder.next().ok());  // After an error it gives nothing more.
    }

    void hugeLengths_areRefusedBeforeTheyAreWaitedFor() {
        for (const auto& [header, payload] :
             {std::pair{0xffffffffU, 0U}, std::pair{2U, 0xffffffffU}, std::pair{1048577U, 0U}}) {
            ServeDecoder decoder(false);
            decoder.feed(lengths(header, payload));
            const auto frame = decoder.next();
            QVERIFY(!frame.ok());
            QCOMPARE(frame.error().code, std::string("serve.too_large"));
        }
        QCOMPARE(wire::encodeServeFrame({{"id", 1}}, std::string(wire::kServeMaxPayload + 1, 'x')).error().code,
                 std::string("serve.too_large"));
        QVERIFY(wire::encodeServeFrame({{"id", 1}}, std::string(wire::kServeMaxPayload, 'x')).ok());
    }

    void headersThatAreNoObject_areErrors() {
        for (const std::string text : {"[1]", "{\"id\":1", "{\"id\":1,\"id\":2}", "", "\xff\xfe", "null"}) {
            ServeDecoder decoder(false);
            decoder.feed(lengths(static_cast<std::uint32_t>(text.size()), 0) + text);
            const auto frame = decoder.next();
            QVERIFY2(!frame.ok(), text.c_str());
            QCOMPARE(frame.error().code, std::string("serve.json"));
        }
    }

    void garbage_neverCrashes() {
        std::mt19937 random(1);
        for (int round = 0; round < 2000; ++round) {
            std::string bytes = frameOf({{"id", round}}, "payload") + frameOf({{"verb", "look"}});
            for (int flips = 0; flips < 4; ++flips) bytes[random() % bytes.size()] = static_cast<char>(random());
            ServeDecoder decoder(false);
            decoder.feed(bytes);
            int frames = 0;
            while (true) {
                const auto frame = decoder.next();
                if (!frame.ok() || !*frame) break;
                ++frames;
            }
            QVERIFY(frames <= 2);
        }
    }
};

QTEST_APPLESS_MAIN(TestServe)
#include "tst_Serve.moc"
