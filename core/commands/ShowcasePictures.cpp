#include "core/commands/ShowcasePictures.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Hash.h"
#include "core/base/Ids.h"
#include "core/datasets/Content.h"
#include "core/datasets/DatasetBook.h"

namespace trainyard::commands {
namespace {

using base::Json;
using base::Path;
using base::Status;

constexpr std::int64_t kMicrosAMinute = 60'000'000;
constexpr int kFlowerSide = 96;

using FlowerColour = std::array<double, 3>;

struct FlowerLook {
    int petals;
    double depth;  ///< How far the petals are cut in, 0…1.
    FlowerColour petal;
    FlowerColour middle;
};
constexpr std::array<FlowerLook, 5> kFlowers{{{13, 0.35, {245, 245, 238}, {240, 190, 40}},
                                              {4, 0.30, {214, 52, 40}, {38, 30, 34}},
                                              {21, 0.22, {246, 190, 24}, {96, 56, 24}},
                                              {5, 0.55, {120, 104, 206}, {240, 220, 120}},
                                              {6, 0.62, {240, 140, 180}, {250, 236, 150}}}};

FlowerColour mixColours(const FlowerColour& a, const FlowerColour& b, double share) {
    FlowerColour made{};
    for (std::size_t i = 0; i < 3; ++i) made[i] = a[i] + (b[i] - a[i]) * share;
    return made;
}

void putBigEndian(std::string& into, std::uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) into += static_cast<char>((number >> shift) & 0xff);
}

void putChunk(std::string& file, const std::string& type, const std::string& content) {
    putBigEndian(file, static_cast<std::uint32_t>(content.size()));
    const std::string body = type + content;
    file += body;
    putBigEndian(file, static_cast<std::uint32_t>(
                           crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()))));
}

std::string pngFile(const std::string& rows, int side) {
    std::string packed(compressBound(static_cast<uLong>(rows.size())), '\0');
    auto length = static_cast<uLongf>(packed.size());
    // Cannot fail: the room is what zlib asked for.
    compress2(reinterpret_cast<Bytef*>(packed.data()), &length, reinterpret_cast<const Bytef*>(rows.data()),
              static_cast<uLong>(rows.size()), 1);
    packed.resize(length);
    std::string head;
    putBigEndian(head, static_cast<std::uint32_t>(side));
    putBigEndian(head, static_cast<std::uint32_t>(side));
    head += std::string("\x08\x02\x00\x00\x00", 5);  // Eight bits, RGB.
    std::string file = "\x89PNG\r\n\x1a\n";
    putChunk(file, "IHDR", head);
    putChunk(file, "IDAT", packed);
    putChunk(file, "IEND", {});
    return file;
}

/// A folder that goes with what is in it.
struct PictureWorkshop {
    Path folder;
    ~PictureWorkshop() {
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }
};

struct FlowerClass {
    const char* name;
    int kind;
    int training;
    int validation;
};

struct FlowerPlan {
    const char* name;
    const char* source;
    std::vector<FlowerClass> classes;
    std::vector<datasets::Problem> problems;
    std::int64_t minutesAgo;
    bool broken = false;  ///< One of its pictures cannot be read.
};

Status addFlowers(const wire::WorkspaceLayout& layout, const FlowerPlan& plan, std::int64_t now) {
    const PictureWorkshop workshop{layout.root / ("datasets-" + base::newUuid7())};
    unsigned variant = 0;
    datasets::Dataset made;
    for (const FlowerClass& one : plan.classes) {
        for (const bool training : {true, false}) {
            const Path folder = workshop.folder / (training ? "train" : "val") / one.name;
            TRAINYARD_TRY(base::makeDirs(folder));
            for (int i = 0; i < (training ? one.training : one.validation); ++i) {
                ++variant;
                std::string number = std::to_string(1000 + i).substr(1);
                TRAINYARD_TRY(base::writeFileAtomically(folder / ("IMG_" + number + ".png"),
                                                        drawFlower(one.kind, variant, kFlowerSide)));
            }
        }
        made.classes.push_back({one.name, one.training, one.validation, 0});
    }
    if (plan.broken) {
        const Path bad = workshop.folder / "train" / plan.classes.front().name / "IMG_000.png";
        TRAINYARD_TRY(base::writeFileAtomically(bad, drawFlower(0, 1, kFlowerSide).substr(0, 700)));
    }
    const auto place = datasets::findPlace(workshop.folder);
    if (!place) return place.error();
    const auto files = datasets::readPlace(
        *place, [](const Path& file, const datasets::Report&) { return base::sha256File(file); },
        [](std::int64_t) { return true; });
    if (!files) return files.error();
    made.name = plan.name;
    made.kind = place->kind;
    made.layout = place->layout;
    made.managed = true;
    made.source = plan.source;
    made.sha256 = files->sha256;
    made.path = datasets::dataFolder(layout, files->sha256);
    made.bytes = files->bytes;
    const auto size = [](int width, int height) { return Json{{"width", width}, {"height", height}}; };
    made.sizes = {{"min", size(kFlowerSide, kFlowerSide)},
                  {"median", size(kFlowerSide, kFlowerSide)},
                  {"max", size(kFlowerSide, kFlowerSide)}};
    made.statistics = {{"mean", {0.418, 0.446, 0.291}}, {"std", {0.254, 0.201, 0.223}}};
    made.problems = plan.problems;
    made.createdAt = now - plan.minutesAgo * kMicrosAMinute;
    TRAINYARD_TRY(base::makeDirs(made.path.parent_path()));
    std::error_code failed;
    std::filesystem::rename(workshop.folder, made.path, failed);
    if (failed) return base::errnoError(failed.value(), "cannot move", made.path);
    const auto written = datasets::writeDataset(layout, made, files->files);
    if (!written) return written.error();
    return {};
}

}  // namespace

std::string drawFlower(int kind, unsigned variant, int side) {
    const FlowerLook& look = kFlowers[static_cast<std::size_t>(kind) % kFlowers.size()];
    std::mt19937 random(variant * 7919U + static_cast<unsigned>(kind));
    const auto between = [&random](double low, double high) {
        return low + (high - low) * (static_cast<double>(random() % 10'000) / 10'000);
    };
    const double x0 = between(0.38, 0.62), y0 = between(0.36, 0.6), radius = between(0.26, 0.42), turn = between(0, 6),
                 light = between(0.78, 1.1);
    const FlowerColour far = mixColours({52, 92, 40}, {120, 160, 190}, between(0, 0.9));
    const FlowerColour near = mixColours({36, 70, 30}, {96, 110, 50}, between(0, 1));
    std::string rows;
    rows.reserve(static_cast<std::size_t>(side) * (3 * static_cast<std::size_t>(side) + 1));
    for (int py = 0; py < side; ++py) {
        rows += '\0';  // Rows as they are, without a filter.
        for (int px = 0; px < side; ++px) {
            const double x = (px + 0.5) / side - x0, y = (py + 0.5) / side - y0;
            const double distance = std::hypot(x, y), angle = std::atan2(y, x) + turn;
            FlowerColour colour = mixColours(far, near, std::clamp((py + 0.5) / side + between(-0.06, 0.06), 0.0, 1.0));
            // The stem, then the petals, then what they stand around.
            if (y > 0 && std::abs(x - 0.05 * std::sin(5 * y)) < 0.014) colour = {58, 116, 44};
            const double wave = std::abs(std::cos(angle * look.petals / 2));
            const double edge = radius * (1 - look.depth + look.depth * std::sqrt(wave));
            if (distance < edge)
                colour = mixColours(look.petal, mixColours(look.petal, {40, 20, 40}, 0.45),
                                    std::pow(distance / edge, 3) + 0.3 * (1 - wave));
            if (distance < radius * 0.26)
                colour = mixColours(look.middle, {30, 20, 10}, 0.5 * distance / (radius * 0.26));
            for (const double value : colour)
                rows += static_cast<char>(static_cast<unsigned char>(std::clamp(value * light, 0.0, 255.0)));
        }
    }
    return pngFile(rows, side);
}

Status addShowcaseDatasets(const wire::WorkspaceLayout& layout, std::int64_t now) {
    FlowerPlan garden{"garden-flowers",
                      "/home/ada/pictures/garden-flowers.zip",
                      {{"daisy", 0, 18, 6}, {"poppy", 1, 16, 5}, {"sunflower", 2, 20, 7}, {"violet", 3, 12, 4}},
                      {},
                      3 * 24 * 60};
    TRAINYARD_TRY(addFlowers(layout, garden, now));
    garden.classes.push_back({"anemone", 4, 5, 2});
    garden.problems = {{"imbalance",
                        "warning",
                        1,
                        "\"anemone\" has 5 training samples, \"sunflower\" 20: four times as many.",
                        {},
                        {}}};
    garden.minutesAgo = 95;
    TRAINYARD_TRY(addFlowers(layout, garden, now));
    const std::string longClass = "a flower that was seen at the edge of the field behind the old house in spring";
    FlowerPlan troubled{"a-data-set-with-a-name-as-long-as-the-names-of-data-sets-may-be",
                        "https://pictures.example.org/collections/field-studies/2026/spring/"
                        "flowers-of-the-field-behind-the-old-house.tar.gz",
                        {{longClass.c_str(), 3, 9, 3}, {"poppy", 1, 7, 2}, {"unknown", 0, 0, 0}},
                        {{"empty_class", "error", 1, "The class \"unknown\" has no pictures.", {"train/unknown"}, {}},
                         {"leak",
                          "warning",
                          2,
                          "2 pictures are in training and in validation.",
                          {"train/poppy/IMG_001.png", "val/poppy/IMG_000.png"},
                          {}},
                         {"unreadable",
                          "warning",
                          1,
                          "1 picture cannot be read.",
                          {"train/" + longClass + "/IMG_000.png"},
                          {"the file ends too early"}},
                         {"ignored",
                          "info",
                          3,
                          "3 files are no pictures and are left out.",
                          {"notes.txt", "train/poppy/Thumbs.db", "train/poppy/list.csv"},
                          {}}},
                        20 * 24 * 60,
                        true};
    return addFlowers(layout, troubled, now);
}

}  // namespace trainyard::commands
