// Pillow's arithmetic (ImageEnhance.py, src/libImaging/Convert.c, HPND licence), written anew from its description.
#include "core/engine/data/ColourJitter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

namespace trainyard::engine {

namespace {

std::uint8_t clip(double value) { return static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)); }

int greyOf(const std::uint8_t* pixel) {
    // Pillow's L: ITU-R 601-2 in 16 bits.
    return static_cast<int>((pixel[0] * 19595U + pixel[1] * 38470U + pixel[2] * 7471U + 0x8000U) >> 16);
}

void brighten(std::vector<std::uint8_t>& pixels, double factor) {
    for (std::uint8_t& value : pixels) {
        value = clip(value * factor);
    }
}

void contrast(std::vector<std::uint8_t>& pixels, double factor) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < pixels.size(); i += 3) {
        sum += greyOf(pixels.data() + i);
    }
    const double mean = std::floor(static_cast<double>(sum) / (static_cast<double>(pixels.size()) / 3.0) + 0.5);
    for (std::uint8_t& value : pixels) {
        value = clip(mean + (value - mean) * factor);
    }
}

void saturate(std::vector<std::uint8_t>& pixels, double factor) {
    for (std::size_t i = 0; i < pixels.size(); i += 3) {
        const double grey = greyOf(pixels.data() + i);
        for (std::size_t c = 0; c < 3; ++c) {
            pixels[i + c] = clip(grey + (pixels[i + c] - grey) * factor);
        }
    }
}

/// Where a colour stands on the circle of 255 steps, and how far from grey.
struct Hsv {
    int hue = 0;
    int saturation = 0;
    int value = 0;
};

Hsv hsvOf(const std::uint8_t* rgb) {
    const int red = rgb[0];
    const int green = rgb[1];
    const int blue = rgb[2];
    const int most = std::max({red, green, blue});
    const int least = std::min({red, green, blue});
    if (most == least) {
        return {0, 0, most};
    }
    const auto range = static_cast<float>(most - least);
    const auto below = [&](int channel) { return static_cast<float>(most - channel) / range; };
    float place = 0;
    if (red == most) {
        place = below(blue) - below(green);
    } else if (green == most) {
        place = static_cast<float>(2.0 + below(red) - below(blue));
    } else {
        place = static_cast<float>(4.0 + below(green) - below(red));
    }
    const auto turn = static_cast<float>(std::fmod(place / 6.0 + 1.0, 1.0));
    const float distance = range / static_cast<float>(most);
    return {static_cast<int>(turn * 255.0), static_cast<int>(distance * 255.0), most};
}

void toRgb(const Hsv& hsv, std::uint8_t* rgb) {
    const auto whole = static_cast<std::uint8_t>(hsv.value);
    if (hsv.saturation == 0) {
        std::fill_n(rgb, 3, whole);
        return;
    }
    const double sixths = static_cast<float>(hsv.hue) * 6.0 / 255.0;
    const int sector = static_cast<int>(std::floor(sixths));
    const auto rest = static_cast<float>(sixths - static_cast<float>(sector));
    const auto distance = static_cast<float>(static_cast<float>(hsv.saturation) / 255.0);
    const auto part = [&](double share) {
        return static_cast<std::uint8_t>(std::clamp(std::lround(static_cast<float>(hsv.value) * share), 0L, 255L));
    };
    const std::uint8_t low = part(1.0 - distance);
    const std::uint8_t falling = part(1.0 - static_cast<double>(distance * rest));
    const std::uint8_t rising = part(1.0 - distance * (1.0 - rest));
    const std::array<std::array<std::uint8_t, 3>, 6> sectors{{{whole, rising, low},
                                                              {falling, whole, low},
                                                              {low, whole, rising},
                                                              {low, falling, whole},
                                                              {rising, low, whole},
                                                              {whole, low, falling}}};
    std::copy_n(sectors[static_cast<std::size_t>(sector % 6)].data(), 3, rgb);
}

/// The circle has 256 steps when it is turned and 255 when it is read: so torchvision has it.
void turnHue(std::vector<std::uint8_t>& pixels, double share) {
    const int steps = static_cast<int>(share * 255);
    if (steps == 0) {
        return;
    }
    for (std::size_t i = 0; i < pixels.size(); i += 3) {
        Hsv hsv = hsvOf(pixels.data() + i);
        hsv.hue = (hsv.hue + steps) & 0xFF;
        toRgb(hsv, pixels.data() + i);
    }
}

}  // namespace

void jitterColours(std::vector<std::uint8_t>& pixels, const ImageChange& change) {
    for (const ColourChange colour : change.colours) {
        if (colour == ColourChange::Brightness && change.brightness != 1) {
            brighten(pixels, change.brightness);
        } else if (colour == ColourChange::Contrast && change.contrast != 1) {
            contrast(pixels, change.contrast);
        } else if (colour == ColourChange::Saturation && change.saturation != 1) {
            saturate(pixels, change.saturation);
        } else if (colour == ColourChange::Hue && change.hue != 0) {
            turnHue(pixels, change.hue);
        }
    }
}

}  // namespace trainyard::engine
