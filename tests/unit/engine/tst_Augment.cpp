// Each random change of training pictures against torchvision's function of the same name, and how it is drawn against
// torchvision's ranges.
#include <torch/torch.h>

#include <QtTest>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/engine/data/ImageLoader.h"
#include "core/engine/data/Picture.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

using namespace trainyard;
using namespace trainyard::engine;
using base::Json;

namespace {

constexpr int kSide = 96;
constexpr int kResize = 110;

constexpr const char* kMakePicture = R"(
import sys
from PIL import Image, ImageFilter
def band(k):
    noise = Image.effect_noise((233, 171), 90).filter(ImageFilter.GaussianBlur(2))
    return noise.point(lambda v: max(0, min(255, int((v - 128) * 2.5) + 90 + 35 * k)))
bands = [band(k) for k in range(3)]
Image.merge("RGB", bands).save(sys.argv[1] + "/p.png")
)";

/// Does to the picture what each case names, with torchvision, and writes all results one after another.
constexpr const char* kReference = R"(
import sys, json
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode
from PIL import Image
root, size, resize = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
picture = Image.open(root + "/p.png").convert("RGB")
out = open(root + "/reference", "wb")
for case in json.load(open(root + "/cases.json")):
    if case["box"]:
        left, top, width, height = case["box"]
        x = F.resized_crop(picture, top, left, height, width, [size, size], InterpolationMode.BILINEAR)
    else:
        x = F.center_crop(F.resize(picture, resize), [size, size])
    for colour in case["colours"]:
        change = case["change"][colour]
        if change != [1, 1, 1, 0][colour]:
            x = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue][colour](x, change)
    x = F.rotate(x, case["rotation"])
    if case["flip"]: x = F.hflip(x)
    if case["vertical_flip"]: x = F.vflip(x)
    t = F.to_tensor(x)
    if case["erased"]:
        left, top, width, height = case["erased"]
        t = F.erase(t, top, left, height, width, 0)
    out.write(t.contiguous().numpy().tobytes())
)";

Json orderOf(const ImageChange& change) {
    Json order = Json::array();
    for (const ColourChange colour : change.colours) {
        order.push_back(static_cast<int>(colour));
    }
    return order;
}

Json boxOf(const Box& box) { return Json::array({box.left, box.top, box.width, box.height}); }

}  // namespace

class TestAugment : public QObject {
    Q_OBJECT

    test::Scratch m_scratch;
    bool m_made = false;
    std::vector<ImageFile> m_files;

    static test::ProgramResult python(const char* code, std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"-c", code});
        test::ProgramOptions options;
        options.timeoutMillis = 100'000;
        return test::runProgram("/usr/bin/python3", arguments, options);
    }
    /// As it is trained on, but not normalised: {3, side, side} of 0–1.
    at::Tensor loaded(const spec::AugmentSpec& augmentation, std::int64_t epoch) const {
        ImageLoaderOptions options;
        options.augment = true;
        options.augmentation = augmentation;
        options.size = kSide;
        options.resize = kResize;
        options.seed = 7;
        ImageLoader loader(m_scratch.path(), m_files, options);
        loader.plan({{0}}, epoch);
        return loader.next().images[0].clone();
    }

private Q_SLOTS:
    void initTestCase() {
        at::set_num_threads(1);
        const auto made = python(kMakePicture, {m_scratch.path().string()});
        m_made = made.exitCode == 0;
        if (!m_made && made.err.find("No module named") == std::string::npos) {
            QFAIL(made.err.c_str());
        }
        if (m_made) {
            const auto info = readPictureInfo(base::readFile(m_scratch / "p.png").valueOr({}));
            QVERIFY(info.ok());
            m_files = {{"p.png", 0, *info}};
        }
    }

    void changes_areTorchvisions() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
        struct Case {
            const char* name;
            std::function<void(spec::AugmentSpec&)> set;
            double most;   ///< Of 255, anywhere.
            double share;  ///< Of values that differ at all.
        };
        // Pillow blends in single precision and cuts off, so that a value may fall to the next lower one; a turned
        // pixel's centre may lie on the border of two.
        constexpr double kBlended = 0.01;
        constexpr double kTurned = 0.002;
        const std::vector<Case> cases{{"none", [](spec::AugmentSpec&) {}, 0, 0},
                                      {"random resized crop", [](spec::AugmentSpec& a) { a.crop = true; }, 0, 0},
                                      {"flip", [](spec::AugmentSpec& a) { a.flip = 1; }, 0, 0},
                                      {"vertical flip", [](spec::AugmentSpec& a) { a.verticalFlip = 1; }, 0, 0},
                                      {"brightness", [](spec::AugmentSpec& a) { a.brightness = 0.6; }, 1, kBlended},
                                      {"contrast", [](spec::AugmentSpec& a) { a.contrast = 0.7; }, 1, kBlended},
                                      {"saturation", [](spec::AugmentSpec& a) { a.saturation = 0.8; }, 1, kBlended},
                                      {"hue", [](spec::AugmentSpec& a) { a.hue = 0.5; }, 1, kBlended},
                                      {"rotation", [](spec::AugmentSpec& a) { a.rotation = 45; }, 255, kTurned},
                                      {"erasing", [](spec::AugmentSpec& a) { a.erase = 1; }, 0, 0},
                                      {"all",
                                       [](spec::AugmentSpec& a) {
                                           a.crop = true;
                                           a.flip = a.verticalFlip = a.erase = 0.5;
                                           a.rotation = 30;
                                           a.brightness = a.contrast = a.saturation = 0.4;
                                           a.hue = 0.1;
                                       },
                                       255, 5 * kBlended + kTurned}};
        constexpr int kEpochs = 6;
        std::vector<at::Tensor> own;
        Json list = Json::array();
        for (const Case& one : cases) {
            spec::AugmentSpec augmentation;
            augmentation.crop = false;
            augmentation.flip = 0;
            one.set(augmentation);
            for (int epoch = 0; epoch < kEpochs; ++epoch) {
                const ImageChange change = changeOf(augmentation, m_files[0].info, kSide, 7, epoch, 0);
                list.push_back({{"box", augmentation.crop ? boxOf(change.box) : Json()},
                                {"flip", change.flip},
                                {"vertical_flip", change.verticalFlip},
                                {"rotation", change.rotation},
                                {"colours", orderOf(change)},
                                {"change", {change.brightness, change.contrast, change.saturation, change.hue}},
                                {"erased", change.erase ? boxOf(change.erased) : Json()}});
                own.push_back(loaded(augmentation, epoch));
            }
        }
        QVERIFY(base::writeFileAtomically(m_scratch / "cases.json", base::dumpJson(list)).ok());
        const auto ran =
            python(kReference, {m_scratch.path().string(), std::to_string(kSide), std::to_string(kResize)});
        if (ran.exitCode != 0 && ran.err.find("No module named") != std::string::npos) {
            TRAINYARD_SKIP("python3-torchvision is not installed");
        }
        QVERIFY2(ran.exitCode == 0, ran.err.c_str());
        std::string bytes = base::readFile(m_scratch / "reference").valueOr({});
        const auto shape = std::vector<std::int64_t>{static_cast<std::int64_t>(own.size()), 3, kSide, kSide};
        QCOMPARE(bytes.size(), own.size() * 3 * kSide * kSide * sizeof(float));
        const at::Tensor reference = torch::from_blob(bytes.data(), shape, at::kFloat);
        const at::Tensor plain = loaded(
            [] {
                spec::AugmentSpec augmentation;
                augmentation.crop = false;
                augmentation.flip = 0;
                return augmentation;
            }(),
            0);
        std::vector<int> changed(cases.size());
        for (std::size_t i = 0; i < own.size(); ++i) {
            const Case& one = cases[i / kEpochs];
            const at::Tensor apart = (own[i] - reference[static_cast<std::int64_t>(i)]).abs().mul(255).round();
            const double most = apart.max().item<double>();
            const double share = apart.gt(0).to(at::kFloat).mean().item<double>();
            const QByteArray told = QByteArray(one.name) + ", " + QByteArray::number(static_cast<int>(i % kEpochs)) +
                                    ": " + QByteArray::number(most) + ", share " + QByteArray::number(share);
            QVERIFY2(most <= one.most && share <= one.share, told.constData());
            changed[i / kEpochs] += own[i].equal(plain) ? 0 : 1;
        }
        // And they do change the picture: a draw may be next to nothing, not most of them.
        QCOMPARE(changed.front(), 0);
        QVERIFY(std::ranges::all_of(std::next(changed.begin()), changed.end(),
                                    [](int count) { return count > kEpochs / 2; }));
    }

    void draws_areWithinTorchvisionsRanges() {
        constexpr int kDraws = 4000;
        const PictureInfo info{400, 300, 1, true};
        spec::AugmentSpec augmentation;
        augmentation.verticalFlip = 0.25;
        augmentation.rotation = 30;
        augmentation.brightness = 0.4;
        augmentation.contrast = 0.3;
        augmentation.saturation = 1;
        augmentation.hue = 0.2;
        augmentation.erase = 0.3;
        struct Range {
            double low = 1e9;
            double high = -1e9;
            double sum = 0;
            int count = 0;
            void add(double value) {
                low = std::min(low, value);
                high = std::max(high, value);
                sum += value;
                ++count;
            }
            /// Uniform between the two, as far as its ends and its mean say.
            [[nodiscard]] bool spans(double from, double to) const {
                const double width = to - from;
                return low >= from && high <= to && low < from + 0.01 * width && high > to - 0.01 * width &&
                       std::abs(sum / count - (from + to) / 2) < 0.02 * width;
            }
        };
        Range rotation;
        Range brightness;
        Range contrast;
        Range saturation;
        Range hue;
        std::map<std::array<ColourChange, 4>, int> orders;
        Range area;
        Range ratio;
        int flips = 0;
        int vertical = 0;
        for (int i = 0; i < kDraws; ++i) {
            const ImageChange change = changeOf(augmentation, info, 224, 3, i % 5, i);
            flips += change.flip ? 1 : 0;
            vertical += change.verticalFlip ? 1 : 0;
            rotation.add(change.rotation);
            brightness.add(change.brightness);
            contrast.add(change.contrast);
            saturation.add(change.saturation);
            hue.add(change.hue);
            ++orders[change.colours];
            if (change.erase) {
                const Box& box = change.erased;
                QVERIFY(box.left >= 0 && box.top >= 0 && box.left + box.width <= 224 && box.top + box.height <= 224);
                area.add(static_cast<double>(box.width) * box.height / (224.0 * 224.0));
                ratio.add(std::log(static_cast<double>(box.height) / box.width));
            }
        }
        QVERIFY(rotation.spans(-30, 30));
        QVERIFY(brightness.spans(0.6, 1.4));
        QVERIFY(contrast.spans(0.7, 1.3));
        QVERIFY(saturation.spans(0, 2));
        QVERIFY(hue.spans(-0.2, 0.2));
        // ColorJitter's changes come in any order, each as often as another: 4,000 / 24 = 167.
        QCOMPARE(orders.size(), std::size_t{24});
        for (const auto& [order, count] : orders) {
            QVERIFY2(count > 100 && count < 240, std::to_string(count).c_str());
        }
        QVERIFY(std::abs(flips - kDraws / 2) < 150);
        QVERIFY(std::abs(vertical - kDraws / 4) < 150);
        // RandomErasing's own: scale 0.02–0.33, ratio 0.3–3.3, both rounded to whole pixels.
        QVERIFY2(std::abs(area.count - 0.3 * kDraws) < 120, std::to_string(area.count).c_str());
        QVERIFY2(area.low > 0.018 && area.low < 0.03 && area.high > 0.31 && area.high < 0.335,
                 std::to_string(area.high).c_str());
        QVERIFY2(std::abs(area.sum / area.count - 0.175) < 0.02, std::to_string(area.sum / area.count).c_str());
        QVERIFY(ratio.low > std::log(0.27) && ratio.low < std::log(0.36));
        QVERIFY(ratio.high < std::log(3.6) && ratio.high > std::log(2.9));
    }
};

QTEST_GUILESS_MAIN(TestAugment)
#include "tst_Augment.moc"
