// Pictures as Pillow and torchvision see them, folders of them, and the loader's batches.
#include <torch/torch.h>

#include <QtTest>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <random>
#include <set>

#include "core/base/Files.h"
#include "core/engine/data/ImageFolder.h"
#include "core/engine/data/ImageLoader.h"
#include "core/engine/data/Picture.h"
#include "core/engine/data/PictureResize.h"
#include "core/engine/model/SafeTensors.h"
#include "tests/helpers/Program.h"
#include "tests/helpers/Scratch.h"
#include "tests/helpers/Skip.h"

#include <jpeglib.h>

using namespace trainyard;
using namespace trainyard::engine;
using base::Path;

namespace {

/// Pictures of every kind, and beside each what Pillow reads in it: width, height, RGB.
constexpr const char* kMakePictures = R"(
import sys, os, io, random, struct, zlib
from PIL import Image, ImageOps, ImageFilter
from PIL.PngImagePlugin import PngInfo
root = sys.argv[1]
random.seed(3)
noise = Image.effect_noise((233, 171), 90).filter(ImageFilter.GaussianBlur(2))
def colour(w, h):
    parts = [Image.effect_noise((w, h), 80).filter(ImageFilter.GaussianBlur(3)) for _ in range(3)]
    return Image.merge("RGB", parts)
p = colour(233, 171)
p.save(root + "/plain.jpg", quality=90)
p.save(root + "/progressive.jpg", quality=85, progressive=True)
p.save(root + "/full.jpg", quality=92, subsampling=0)
noise.save(root + "/grey.jpg", quality=90)
p.convert("CMYK").save(root + "/cmyk.jpg", quality=95)
for turn in range(1, 9):
    exif = Image.Exif(); exif[0x0112] = turn
    p.save(root + "/turn%d.jpg" % turn, quality=95, exif=exif.tobytes())
p.save(root + "/plain.png")
noise.save(root + "/grey.png")
p.quantize(32).save(root + "/palette.png")
p.quantize(7).save(root + "/palette4.png", bits=4, transparency=2)
noise.convert("1").save(root + "/bits.png")
Image.merge("LA", (noise, noise.rotate(90).resize(noise.size))).save(root + "/grey_alpha.png")
for turn in (3, 6):
    exif = Image.Exif(); exif[0x0112] = turn
    p.save(root + "/turn%d.png" % turn, exif=exif.tobytes())
gamma = PngInfo(); gamma.add(b"gAMA", struct.pack(">I", 100000))
p.save(root + "/gamma.png", pnginfo=gamma)
def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
def png(name, size, depth, kind, pixel, interlaced=False):
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(x0, size[0], dx)) for x0, y0, dx, dy in passes for y in range(y0, size[1], dy))
    open(root + "/" + name, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, int(interlaced))) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
value = lambda x, y, c: (x * 977 + y * 3251 + c * 21001) % 65536
png("sixteen_rgb.png", (160, 120), 16, 2, lambda x, y: struct.pack(">HHH", *(value(x, y, c) for c in range(3))))
png("sixteen_rgba.png", (160, 120), 16, 6, lambda x, y: struct.pack(">HHHH", *(value(x, y, c) for c in range(4))))
png("sixteen_grey_alpha.png", (160, 120), 16, 4, lambda x, y: struct.pack(">HH", *(value(x, y, c) for c in range(2))))
png("interlaced.png", (160, 120), 8, 2, lambda x, y: bytes(value(x, y, c) // 256 for c in range(3)), True)
p.putalpha(noise.resize(p.size)); p.save(root + "/alpha.png")
big = colour(1500, 1100); big.save(root + "/large.jpg", quality=88)
for turn in range(2, 9):
    exif = Image.Exif(); exif[0x0112] = turn
    big.save(root + "/large%d.jpg" % turn, quality=88, exif=exif.tobytes())
for name in sorted(os.listdir(root)):
    image = ImageOps.exif_transpose(Image.open(root + "/" + name)).convert("RGB")
    open(root + "/" + name + ".rgb", "wb").write(struct.pack("<ii", *image.size) + image.tobytes())
w, h = 233, 171
sixteen = Image.new("I;16", (w, h)); sixteen.putdata([(i * 137) % 65536 for i in range(w * h)]); sixteen.save(root + "/sixteen.png")
open(root + "/sixteen.raw", "wb").write(bytes((i * 137) % 65536 // 256 for i in range(w * h)))
q = Image.open(root + "/plain.png").convert("RGB")
for k, (box, size) in enumerate([((0, 0, 233, 171), (224, 224)), ((11, 7, 190, 160), (64, 64)), ((100, 50, 120, 61), (96, 80)), ((0, 0, 233, 171), (233, 60))]):
    open(root + "/resize%d.rgb" % k, "wb").write(q.crop(box).resize(size, Image.BILINEAR).tobytes())
whole = open(root + "/plain.jpg", "rb").read()
open(root + "/cut.jpg", "wb").write(whole[:len(whole) // 2])
open(root + "/text.jpg", "w").write("no picture at all")
open(root + "/huge.png", "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
open(root + "/empty.jpg", "wb").close()
)";

constexpr const char* kReference = R"(
import sys, torch, torchvision.transforms as T, json
from PIL import Image
sys.path.insert(0, ".")
root, out, size, resize = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
t = T.Compose([T.Resize(resize), T.CenterCrop(size), T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
x = t(Image.open(root + "/plain.png").convert("RGB")).contiguous()
open(out, "wb").write(x.numpy().tobytes())
)";

/// Noise, dark in one class and light in the other; every other file a JPEG.
constexpr const char* kMakeFolder = R"(
import sys, os
from PIL import Image
root, side, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for k, (name, base) in enumerate([("hen", 60), ("turkey", 150)]):
    os.makedirs(root + "/" + name)
    for i in range(count):
        image = Image.effect_noise((side + i % 5, side + i % 3), 40).convert("RGB").point(lambda v: max(0, min(255, v - 128 + base)))
        image.save(root + "/%s/%03d.%s" % (name, i, "png" if i % 2 else "jpg"))
)";

/// What Adobe's programs write and Pillow cannot: inks, inverted, as luma, two colours and black. What `jpeg_…` reports
/// ends the program.
void writeYcck(const Path& file, int width, int height) {
    std::vector<std::uint8_t> inks(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 4);
    for (std::size_t i = 0; i < inks.size(); ++i) {
        const std::size_t x = i / 4 % static_cast<std::size_t>(width);
        const std::size_t y = i / 4 / static_cast<std::size_t>(width);
        inks[i] = static_cast<std::uint8_t>(60 + (x * (1 + i % 4) + y * (4 - i % 4)) % 190);
    }
    jpeg_compress_struct jpeg{};
    jpeg_error_mgr errors{};
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    unsigned char* bytes = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = static_cast<JDIMENSION>(width);
    jpeg.image_height = static_cast<JDIMENSION>(height);
    jpeg.input_components = 4;
    jpeg.in_color_space = JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, JCS_YCCK);
    jpeg_set_quality(&jpeg, 95, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = inks.data() + static_cast<std::size_t>(jpeg.next_scanline) * static_cast<std::size_t>(width) * 4;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    const auto written = base::writeFileAtomically(file, {reinterpret_cast<char*>(bytes), size});
    std::free(bytes);
    if (!written.ok()) {
        qFatal("%s", written.error().message.c_str());
    }
}

}  // namespace

class TestPictures : public QObject {
    Q_OBJECT

    test::Scratch m_scratch;
    bool m_made = false;

    static test::ProgramResult python(const char* code, std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"-c", code});
        test::ProgramOptions options;
        options.timeoutMillis = 100'000;
        return test::runProgram("/usr/bin/python3", arguments, options);
    }
    static bool isPartOf(const DecodedPart& part, const Picture& whole, const Box& box) {
        const auto rowOf = [](const Picture& picture, int left, int y) {
            return picture.pixels.data() + (static_cast<std::ptrdiff_t>(y) * picture.width + left) * 3;
        };
        for (int y = 0; y < box.height; ++y) {
            const std::uint8_t* row = rowOf(part.picture, part.box.left, part.box.top + y);
            if (!std::equal(row, row + box.width * 3, rowOf(whole, box.left, box.top + y))) {
                return false;
            }
        }
        return part.box.width == box.width && part.box.height == box.height;
    }
    [[nodiscard]] std::string bytesOf(const char* name) const { return base::readFile(m_scratch / name).valueOr({}); }

private Q_SLOTS:
    void initTestCase() {
        at::set_num_threads(1);
        writeYcck(m_scratch / "ycck.jpg", 233, 171);
        const auto made = python(kMakePictures, {m_scratch.path().string()});
        m_made = made.exitCode == 0;
        if (!m_made && made.err.find("No module named") == std::string::npos) {
            QFAIL(made.err.c_str());
        }
    }
    void init() {
        if (!m_made) {
            TRAINYARD_SKIP("python3-pil is not installed");
        }
    }

    void decoded_isPillows_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<double>("most");
        for (const char* name :
             {"plain.jpg", "progressive.jpg", "full.jpg", "grey.jpg", "cmyk.jpg", "ycck.jpg", "turn1.jpg", "turn2.jpg",
              "turn3.jpg", "turn4.jpg", "turn5.jpg", "turn6.jpg", "turn7.jpg", "turn8.jpg", "large.jpg"}) {
            QTest::newRow(name) << QString::fromLatin1(name) << 1.0;
        }
        for (const char* name : {"plain.png", "grey.png", "palette.png", "palette4.png", "bits.png", "alpha.png",
                                 "grey_alpha.png", "turn3.png", "turn6.png", "gamma.png", "interlaced.png",
                                 "sixteen_rgb.png", "sixteen_rgba.png", "sixteen_grey_alpha.png"}) {
            QTest::newRow(name) << QString::fromLatin1(name) << 0.0;
        }
    }
    void decoded_isPillows() {
        QFETCH(QString, name);
        QFETCH(double, most);
        const std::string bytes = bytesOf(name.toUtf8().constData());
        const std::string reference = bytesOf((name + QStringLiteral(".rgb")).toUtf8().constData());
        std::int32_t size[2];
        std::memcpy(size, reference.data(), sizeof size);
        const auto info = readPictureInfo(bytes);
        QVERIFY2(info.ok(), info.ok() ? "" : info.error().message.c_str());
        QCOMPARE(info->width, size[0]);
        QCOMPARE(info->height, size[1]);
        const auto picture = decodePicture(bytes);
        QVERIFY2(picture.ok(), picture.ok() ? "" : picture.error().message.c_str());
        QCOMPARE(picture->pixels.size(), reference.size() - sizeof size);
        double sum = 0;
        for (std::size_t i = 0; i < picture->pixels.size(); ++i) {
            sum += std::abs(static_cast<int>(picture->pixels[i]) -
                            static_cast<int>(static_cast<unsigned char>(reference[i + sizeof size])));
        }
        const double mean = sum / static_cast<double>(picture->pixels.size());
        QVERIFY2(mean <= most, std::to_string(mean).c_str());
        // A part decoded alone is that part of the whole, to the bit, wherever its edges lie.
        const int w = info->width;
        const int h = info->height;
        for (const Box& box :
             {Box{37, 21, 101, 83}, Box{0, 0, 50, 40}, Box{16, 16, 32, 32}, Box{15, 17, 33, 31}, Box{1, 0, w - 1, 1},
              Box{w - 65, h - 47, 65, 47}, Box{w - 1, h - 1, 1, 1}, Box{2, 33, w - 3, h - 34}}) {
            const auto part = decodePart(bytes, *info, box, 1000);
            QVERIFY(part.ok());
            QVERIFY2(isPartOf(*part, *picture, box), qPrintable(QStringLiteral("%1 %2").arg(box.left).arg(box.top)));
        }
    }

    void largePart_isScaledInTheDecoder_data() {
        QTest::addColumn<QString>("name");
        QTest::newRow("as it lies") << QStringLiteral("large.jpg");
        for (int turn = 2; turn <= 8; ++turn) {
            const QString name = QStringLiteral("large%1.jpg").arg(turn);
            QTest::newRow(qPrintable(name)) << name;
        }
    }
    void largePart_isScaledInTheDecoder() {
        QFETCH(QString, name);
        const std::string bytes = bytesOf(name.toUtf8().constData());
        const auto info = readPictureInfo(bytes);
        QVERIFY(info.ok());
        // In the turned picture, wherever its own corner lies.
        const bool swaps = info->turn >= 5;
        QCOMPARE(info->width, swaps ? 1100 : 1500);
        const Box box = swaps ? Box{80, 100, 900, 1000} : Box{100, 80, 1000, 900};
        const auto part = decodePart(bytes, *info, box, 224);
        QVERIFY(part.ok());
        QCOMPARE(part->box.width, box.width / 4);
        QCOMPARE(part->box.height, box.height / 4);
        QVERIFY(part->picture.width < 300 && part->picture.height < 300);
        const auto whole = decodePart(bytes, *info, {0, 0, info->width, info->height}, 224);
        QVERIFY(whole.ok());
        QCOMPARE(whole->picture.width, info->width / 4);
        QVERIFY(isPartOf(*part, whole->picture, {box.left / 4, box.top / 4, box.width / 4, box.height / 4}));
    }

    void resized_isPillowsToTheBit() {
        const auto picture = decodePicture(bytesOf("plain.png"));
        QVERIFY(picture.ok());
        const std::tuple<Box, int, int> cases[] = {{{0, 0, 233, 171}, 224, 224},
                                                   {{11, 7, 179, 153}, 64, 64},
                                                   {{100, 50, 20, 11}, 96, 80},
                                                   {{0, 0, 233, 171}, 233, 60}};
        for (int k = 0; k < 4; ++k) {
            const auto& [box, width, height] = cases[k];
            const std::string reference = bytesOf(("resize" + std::to_string(k) + ".rgb").c_str());
            for (const PixelKernels* kernels : kernelsHere()) {
                std::string own(reference.size(), '\0');
                Resizer(*kernels).resize(*picture, box, width, height, {0, 0, width, height}, false,
                                         reinterpret_cast<std::uint8_t*>(own.data()));
                QVERIFY2(own == reference, std::to_string(k).c_str());
            }
        }
    }

    /// What is cut out and mirrored is that of the whole; the loops for this processor give what the plain ones give.
    void resized_cutMirroredAndWide() {
        const auto picture = decodePicture(bytesOf("plain.png"));
        QVERIFY(picture.ok());
        std::mt19937 random(5);
        const auto below = [&](int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); };
        std::vector<std::unique_ptr<Resizer>> resizers;
        for (const PixelKernels* kernels : kernelsHere()) {
            resizers.push_back(std::make_unique<Resizer>(*kernels));
        }
        for (int round = 0; round < 400; ++round) {
            Box box{below(picture->width), below(picture->height), 0, 0};
            box.width = 1 + below(picture->width - box.left);
            box.height = 1 + below(picture->height - box.top);
            const int width = 1 + below(300);
            const int height = 1 + below(300);
            Box cut{below(width), below(height), 0, 0};
            cut.width = 1 + below(width - cut.left);
            cut.height = 1 + below(height - cut.top);
            const bool mirrored = round % 2 == 1;
            const std::size_t size = static_cast<std::size_t>(cut.width) * static_cast<std::size_t>(cut.height) * 3;
            std::vector<std::uint8_t> own(size);
            std::vector<std::uint8_t> other(size);
            for (std::size_t i = 0; i < resizers.size(); ++i) {
                resizers[i]->resize(*picture, box, width, height, cut, mirrored, i == 0 ? own.data() : other.data());
                QVERIFY2(i == 0 || own == other, std::to_string(i).c_str());
            }
            const Picture whole = resized(*picture, box, width, height);
            for (int y = 0; y < cut.height; ++y) {
                for (int x = 0; x < cut.width; ++x) {
                    const int from = cut.left + (mirrored ? cut.width - 1 - x : x);
                    const auto* wanted =
                        whole.pixels.data() + (static_cast<std::ptrdiff_t>(cut.top + y) * width + from) * 3;
                    QVERIFY(std::equal(wanted, wanted + 3,
                                       own.data() + (static_cast<std::ptrdiff_t>(y) * cut.width + x) * 3));
                }
            }
        }
    }

    void planes_areTheTables_data() {
        QTest::addColumn<double>("mean");
        QTest::addColumn<double>("deviation");
        QTest::newRow("none") << 0.0 << 1.0;
        QTest::newRow("ImageNet's red") << 0.485 << 0.229;
        QTest::newRow("small") << 0.2860405969887955 << 0.35302424451492237;
        QTest::newRow("nothing to divide by") << 0.5 << 0.0;
    }
    void planes_areTheTables() {
        QFETCH(double, mean);
        QFETCH(double, deviation);
        const std::array<Normalization, 3> normals{Normalization{mean, deviation}, {0.456, 0.224}, {0.406, 0.225}};
        std::array<std::array<float, 256>, 3> tables;
        std::array<float, 3> subtract{};
        std::array<float, 3> divide{};
        for (std::size_t c = 0; c < 3; ++c) {
            tables[c] = normals[c].table();
            subtract[c] = static_cast<float>(normals[c].mean);
            divide[c] = static_cast<float>(normals[c].deviation);
        }
        const PixelScale scale = pixelScale(tables, subtract, divide);
        QCOMPARE(scale.computes, kernelsHere().size() > 1 && deviation != 0);
        std::vector<std::uint8_t> pixels(300 * 3);
        for (std::size_t i = 0; i < pixels.size(); ++i) {
            pixels[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
        }
        for (const std::ptrdiff_t pixelCount : {1, 7, 8, 9, 11, 12, 33, 299, 300}) {
            const auto count = static_cast<std::size_t>(pixelCount);
            for (const PixelKernels* kernels : kernelsHere()) {
                std::vector<float> values(3 * count);
                kernels->planes(pixels.data(), pixelCount, scale, pixelCount, values.data());
                for (std::size_t i = 0; i < 3 * count; ++i) {
                    const float wanted = tables[i / count][pixels[i % count * 3 + i / count]];
                    QVERIFY(std::memcmp(&values[i], &wanted, sizeof wanted) == 0);
                }
            }
        }
    }

    /// With and without a turn before it.
    void flip_isTorchs() {
        const std::vector<ImageFile> files{{"plain.jpg", 0, *readPictureInfo(bytesOf("plain.jpg"))}};
        for (const double rotation : {0.0, 20.0}) {
            const auto imageOf = [&](double flip, double verticalFlip) {
                ImageLoaderOptions options;
                options.augment = true;
                options.augmentation.rotation = rotation;
                options.augmentation.flip = flip;
                options.augmentation.verticalFlip = verticalFlip;
                options.size = 60;
                options.normalization = imageNetNormalization();
                ImageLoader loader(m_scratch.path(), files, options);
                loader.plan({{0}}, 0);
                return loader.next().images[0].clone();
            };
            const at::Tensor plain = imageOf(0, 0);
            QVERIFY(imageOf(1, 0).equal(plain.flip({2})));
            QVERIFY(imageOf(0, 1).equal(plain.flip({1})));
            QVERIFY(imageOf(1, 1).equal(plain.flip({1, 2})));
            QVERIFY(!imageOf(1, 0).equal(plain));
        }
    }

    void bad_isSaid_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("code");
        QTest::newRow("cut off") << QStringLiteral("cut.jpg") << QStringLiteral("picture.damaged");
        QTest::newRow("text") << QStringLiteral("text.jpg") << QStringLiteral("picture.kind");
        QTest::newRow("60,000 a side") << QStringLiteral("huge.png") << QStringLiteral("picture.large");
        QTest::newRow("empty") << QStringLiteral("empty.jpg") << QStringLiteral("picture.kind");
    }
    void bad_isSaid() {
        QFETCH(QString, name);
        QFETCH(QString, code);
        const auto picture = decodePicture(bytesOf(name.toUtf8().constData()));
        QVERIFY(!picture.ok());
        QCOMPARE(QString::fromStdString(picture.error().code), code);
    }

    /// The upper byte, as of 16-bit colours; what Pillow makes of 16-bit grey is white above 255.
    void sixteenBitGrey_isItsUpperByte() {
        const auto picture = decodePicture(bytesOf("sixteen.png"));
        QVERIFY2(picture.ok(), picture.ok() ? "" : picture.error().message.c_str());
        const std::string upper = bytesOf("sixteen.raw");
        QCOMPARE(picture->pixels.size(), 3 * upper.size());
        for (std::size_t i = 0; i < picture->pixels.size(); ++i) {
            QCOMPARE(picture->pixels[i], static_cast<std::uint8_t>(upper[i / 3]));
        }
    }

    void damagedBytes_neverCrash() {
        for (const char* name :
             {"plain.jpg", "progressive.jpg", "ycck.jpg", "plain.png", "turn6.jpg", "turn6.png", "interlaced.png"}) {
            const std::string sound = bytesOf(name);
            for (std::size_t cut = 0; cut < sound.size(); cut += std::max<std::size_t>(1, sound.size() / 60)) {
                (void) decodePicture(std::string_view(sound).substr(0, cut));
                std::string changed = sound;
                changed[cut] = static_cast<char>(changed[cut] ^ 0x55);
                if (const auto info = readPictureInfo(changed); info.ok() && info->width > 3 && info->height > 3) {
                    const Box middle{info->width / 4, info->height / 4, info->width / 2, info->height / 2};
                    const auto part = decodePart(changed, *info, middle, 60);
                    QVERIFY(!part.ok() || part->box.left + part->box.width <= part->picture.width);
                    QVERIFY(!part.ok() || part->box.top + part->box.height <= part->picture.height);
                }
                const auto picture = decodePicture(changed);
                QVERIFY(!picture.ok() || picture->pixels.size() == static_cast<std::size_t>(picture->width) *
                                                                       static_cast<std::size_t>(picture->height) * 3);
            }
        }
    }

    void validationTensor_isTorchvisions() {
        test::Scratch scratch;
        const auto made = python(kReference, {m_scratch.path().string(), (scratch / "x").string(), "96", "112"});
        if (made.exitCode != 0 && made.err.find("No module named") != std::string::npos) {
            TRAINYARD_SKIP("python3-torchvision is not installed");
        }
        QVERIFY2(made.exitCode == 0, made.err.c_str());
        const std::vector<ImageFile> files{{"plain.png", 1, *readPictureInfo(bytesOf("plain.png"))}};
        ImageLoaderOptions options;
        options.size = 96;
        options.resize = 112;
        options.normalization = imageNetNormalization();
        ImageLoader loader(m_scratch.path(), files, options);
        loader.plan({{0}}, 0);
        const Batch& batch = loader.next();
        const std::string reference = base::readFile(scratch / "x").valueOr({});
        QCOMPARE(static_cast<std::size_t>(batch.images.numel()) * sizeof(float), reference.size());
        QVERIFY(std::memcmp(batch.images.data_ptr<float>(), reference.data(), reference.size()) == 0);
        QCOMPARE(batch.labels[0].item<std::int64_t>(), std::int64_t{1});
    }

    void folder_isScannedAndSplit() {
        test::Scratch scratch;
        QVERIFY(python(kMakeFolder, {(scratch / "birds").string(), "24", "20"}).exitCode == 0);
        spec::DatasetSpec spec;
        spec.folder = (scratch / "birds").string();
        auto folder = scanImageFolder(spec, 2);
        QVERIFY2(folder.ok(), folder.ok() ? "" : folder.error().message.c_str());
        QCOMPARE(folder->classes, (std::vector<std::string>{"hen", "turkey"}));
        QCOMPARE(folder->training.size(), std::size_t{32});
        QCOMPARE(folder->validation.size(), std::size_t{8});
        std::set<std::string> seen;
        for (const auto* files : {&folder->training, &folder->validation}) {
            for (const ImageFile& file : *files) {
                QVERIFY(seen.insert(file.path).second);
            }
        }
        const auto same = scanImageFolder(spec, 1);
        QCOMPARE(same->validation.front().path, folder->validation.front().path);
        spec.splitSeed = 2;
        const auto other = scanImageFolder(spec, 1);
        bool differs = false;
        for (std::size_t i = 0; i < other->validation.size(); ++i) {
            differs = differs || other->validation[i].path != folder->validation[i].path;
        }
        QVERIFY(differs);

        // A bad picture is left out and named; too many of them are an error.
        QVERIFY(base::writeFileAtomically(scratch / "birds/hen/zz.jpg", "no picture").ok());
        folder = scanImageFolder(spec, 2);
        QVERIFY(folder.ok());
        QCOMPARE(folder->bad.size(), std::size_t{1});
        QCOMPARE(folder->bad.front().path, std::string("hen/zz.jpg"));
        spec.maxBadFraction = 0.01;
        QCOMPARE(scanImageFolder(spec, 2).error().code, std::string("data.bad"));
        spec.maxBadFraction = 0.5;

        spec.trainLimit = 7;
        QCOMPARE(scanImageFolder(spec, 2)->training.size(), std::size_t{7});
        QVERIFY(base::makeDirs(scratch / "birds/empty").ok());
        QCOMPARE(scanImageFolder(spec, 2).error().code, std::string("data.empty"));
        spec.folder = (scratch / "birds/hen").string();
        QCOMPARE(scanImageFolder(spec, 2).error().code, std::string("data.classes"));
        spec.folder = (scratch / "nowhere").string();
        QCOMPARE(scanImageFolder(spec, 2).error().code, std::string("data.folder"));
    }

    void trainAndVal_areFolders() {
        test::Scratch scratch;
        QVERIFY(python(kMakeFolder, {(scratch / "d/train").string(), "20", "4"}).exitCode == 0);
        QVERIFY(python(kMakeFolder, {(scratch / "d/val").string(), "20", "2"}).exitCode == 0);
        spec::DatasetSpec spec;
        spec.folder = (scratch / "d").string();
        auto folder = scanImageFolder(spec, 2);
        QVERIFY(folder.ok());
        QCOMPARE(folder->training.size(), std::size_t{8});
        QCOMPARE(folder->validation.size(), std::size_t{4});
        std::filesystem::rename(scratch / "d/val/hen", scratch / "d/val/duck");
        QCOMPARE(scanImageFolder(spec, 2).error().code, std::string("data.empty"));
    }

    void batches_dependOnSeedEpochAndIndexAlone() {
        test::Scratch scratch;
        QVERIFY(python(kMakeFolder, {(scratch / "birds").string(), "40", "12"}).exitCode == 0);
        spec::DatasetSpec spec;
        spec.folder = (scratch / "birds").string();
        const auto folder = scanImageFolder(spec, 2);
        QVERIFY(folder.ok());
        const auto batchesOf = [&](int threads, bool cached, std::int64_t epoch) {
            ImageLoaderOptions options;
            options.augment = true;
            options.augmentation.rotation = 10;
            options.augmentation.brightness = 0.4;
            options.augmentation.contrast = 0.4;
            options.augmentation.saturation = 0.4;
            options.augmentation.hue = 0.3;
            options.augmentation.erase = 0.5;
            options.size = 32;
            options.resize = 36;
            options.threads = threads;
            options.normalization = imageNetNormalization();
            if (cached) {
                options.cache = std::make_shared<PictureCache>(folder->training.size());
            }
            ImageLoader loader(folder->root, folder->training, options);
            std::vector<at::Tensor> batches;
            for (int round = 0; round < 2; ++round) {  // The second from the cache.
                loader.plan({{0, 5, 7, 2}, {1, 3}, {11, 4, 6}, {8, 9, 10, 12, 13}, {14}}, epoch);
                batches.clear();
                for (int i = 0; i < 5; ++i) {
                    const Batch& batch = loader.next();
                    batches.push_back(batch.images.clone());
                    batches.push_back(batch.labels.clone());
                }
            }
            return batches;
        };
        const auto one = batchesOf(1, false, 3);
        const auto equalTo = [&](const std::vector<at::Tensor>& other) {
            return std::ranges::equal(one, other, [](const at::Tensor& a, const at::Tensor& b) { return a.equal(b); });
        };
        QVERIFY(equalTo(batchesOf(3, false, 3)));
        QVERIFY(equalTo(batchesOf(2, true, 3)));
        QVERIFY(!equalTo(batchesOf(2, true, 4)));
    }

    /// Kept decoded only where both splits fit into what is allowed, and decoded ahead of the trainer only so far.
    void memory_isBounded() {
        ImageFolder folder;
        folder.training = {{"a.jpg", 0, {1000, 1000, 1, true}}};
        folder.validation = {{"b.jpg", 0, {600, 100, 1, true}}};
        spec::TrainTask task;
        task.dataset.cacheMiB = 0;
        QVERIFY(!loaderOptions(task, folder).cache);
        task.dataset.cacheMiB = 3;  // 3,145,728 bytes, and the two have 3,180,000.
        QVERIFY(!loaderOptions(task, folder).cache);
        folder.validation.front().info.width = 400;
        QVERIFY(loaderOptions(task, folder).cache);

        test::Scratch scratch;
        QVERIFY(python(kMakeFolder, {(scratch / "birds").string(), "30", "20"}).exitCode == 0);
        spec::DatasetSpec spec;
        spec.folder = (scratch / "birds").string();
        const auto real = scanImageFolder(spec, 1);
        QVERIFY(real.ok());
        ImageLoaderOptions options;
        options.size = 24;
        options.resize = 28;
        options.threads = 4;
        options.cache = std::make_shared<PictureCache>(real->training.size());
        ImageLoader loader(real->root, real->training, options);
        std::vector<std::vector<std::int64_t>> batches;
        for (std::int64_t i = 0; i < 30; i += 2) {
            batches.push_back({i, i + 1});
        }
        loader.plan(batches, 0);
        const auto decoded = [&] {
            std::int64_t files = 0;
            for (std::size_t i = 0; i < real->training.size(); ++i) {
                files += options.cache->find(i) ? 1 : 0;
            }
            return files;
        };
        QTRY_COMPARE_WITH_TIMEOUT(decoded(), std::int64_t{6}, 20'000);  // Three batches ahead.
        QTest::qSleep(200);
        QCOMPARE(decoded(), std::int64_t{6});
        (void) loader.next();
        QTRY_COMPARE_WITH_TIMEOUT(decoded(), std::int64_t{8}, 20'000);
        QTest::qSleep(200);
        QCOMPARE(decoded(), std::int64_t{8});
    }

    void planAnew_dropsWhatWasPlanned() {
        test::Scratch scratch;
        QVERIFY(python(kMakeFolder, {(scratch / "birds").string(), "30", "10"}).exitCode == 0);
        spec::DatasetSpec spec;
        spec.folder = (scratch / "birds").string();
        const auto folder = scanImageFolder(spec, 2);
        ImageLoaderOptions options;
        options.size = 24;
        options.resize = 28;
        options.threads = 2;
        ImageLoader loader(folder->root, folder->training, options);
        for (int i = 0; i < 200; ++i) {
            loader.plan({{0, 1}, {2}, {3, 4, 5}, {6}}, 0);
            if (i % 3 != 0) {
                QCOMPARE(loader.next().labels.size(0), std::int64_t{2});
            }
        }
        loader.plan({{9}}, 0);
        QCOMPARE(loader.next().labels[0].item<std::int64_t>(), folder->training[9].label);
    }

    void vanishedPicture_isNamedAndStoodInFor() {
        test::Scratch scratch;
        QVERIFY(python(kMakeFolder, {(scratch / "birds").string(), "24", "10"}).exitCode == 0);
        spec::DatasetSpec spec;
        spec.folder = (scratch / "birds").string();
        const auto folder = scanImageFolder(spec, 2);
        std::filesystem::remove(folder->root / folder->training[2].path);
        std::mutex mutex;
        std::vector<std::string> named;
        ImageLoaderOptions options;
        options.size = 24;
        options.resize = 26;
        options.threads = 2;
        options.bad = std::make_shared<BadPictures>(folder->training.size(), 1);
        options.onBad = [&](const ImageFile& file, const std::string&) {
            const std::lock_guard lock(mutex);
            named.push_back(file.path);
        };
        {
            ImageLoader loader(folder->root, folder->training, options);
            loader.plan({{1, 2, 3}, {2}}, 0);
            const at::Tensor images = loader.next().images.clone();
            QVERIFY(images[1].equal(images[2]));
            QVERIFY(loader.next().images[0].equal(images[2]));
        }
        QCOMPARE(named, std::vector<std::string>{folder->training[2].path});
        // A whole folder that is gone ends the run with a reason, not a hang.
        std::filesystem::remove_all(scratch / "birds");
        ImageLoader gone(folder->root, folder->training, options);
        gone.plan({{0, 1}}, 0);
        QVERIFY_EXCEPTION_THROWN((void) gone.next(), std::runtime_error);
    }

    void crops_areTorchvisionsKind() {
        spec::AugmentSpec augment;
        const PictureInfo info{400, 300, 1, true};
        double area = 0;
        int flips = 0;
        constexpr int kDraws = 2000;
        for (int i = 0; i < kDraws; ++i) {
            const ImageChange change = changeOf(augment, info, 224, 1, 0, i);
            QVERIFY(change.box.left >= 0 && change.box.top >= 0 && change.box.left + change.box.width <= 400 &&
                    change.box.top + change.box.height <= 300);
            const double ratio = static_cast<double>(change.box.width) / change.box.height;
            QVERIFY2(ratio > 0.72 && ratio < 1.39, std::to_string(ratio).c_str());
            area += static_cast<double>(change.box.width) * change.box.height / (400.0 * 300.0);
            flips += change.flip ? 1 : 0;
        }
        // Torchvision's own mean for this shape, of 4,000 draws, is 0.435: the largest boxes do not fit and are drawn
        // again.
        QVERIFY2(std::abs(area / kDraws - 0.435) < 0.03, std::to_string(area / kDraws).c_str());
        QVERIFY(std::abs(flips - kDraws / 2) < 150);
    }
};

QTEST_GUILESS_MAIN(TestPictures)
#include "tst_Pictures.moc"
