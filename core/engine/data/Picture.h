#pragma once
// JPEG and PNG files as pixels, and the resizing that image training is done with. Pure functions, any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/Result.h"

namespace trainyard::engine {

/// 8-bit RGB, interleaved, rows from the top.
struct Picture {
    int width = 0;
    int height = 0;
    std::vector<std::uint8_t> pixels;  ///< height × width × 3
};

/// A part of a picture in pixels.
struct Box {
    int left = 0;
    int top = 0;
    int width = 0;
    int height = 0;
    bool operator==(const Box&) const = default;
};

/// What a file's header says, without reading its pixels. Width and height are those after the EXIF turn.
struct PictureInfo {
    int width = 0;
    int height = 0;
    int turn = 1;  ///< EXIF orientation, 1 to 8.
    bool jpeg = false;
    bool operator==(const PictureInfo&) const = default;
};

/// Codecs that this engine was built with: "jpeg", "png".
[[nodiscard]] std::vector<std::string> pictureCodecs();

/// Errors: "picture.kind" (neither JPEG nor PNG, or a codec that was left out), "picture.damaged", "picture.large"
/// (over 179 million pixels, the limit of Pillow, or a side over 65,535).
[[nodiscard]] base::Result<PictureInfo> readPictureInfo(std::string_view bytes);

/// The whole picture, turned as EXIF says, grey, CMYK, palette and 16-bit (its upper byte) made RGB, transparency
/// dropped and colours taken as they stand, whatever profile or gamma the file names, as in Pillow. What is cut off is
/// "picture.damaged".
[[nodiscard]] base::Result<Picture> decodePicture(std::string_view bytes);

/// The picture as a PNG file, written quickly rather than small. "picture.kind" without libpng.
[[nodiscard]] base::Result<std::string> encodePng(const Picture& picture);

/// A part of a picture.
struct DecodedPart {
    Picture picture;
    Box box;  ///< The wanted part inside `picture`, in its own (perhaps scaled) pixels.
};
/// The part `box` of the picture alone; `part`'s memory is used again. Rows and blocks outside are not decoded; where
/// the box is at least twice as large as `target` in both directions the decoder itself scales down by 2, 4 or 8 first.
/// Only of JPEG is that quicker than the whole.
[[nodiscard]] base::Status decodePart(std::string_view bytes, const PictureInfo& info, const Box& box, int target,
                                      DecodedPart& part);
[[nodiscard]] base::Result<DecodedPart> decodePart(std::string_view bytes, const PictureInfo& info, const Box& box,
                                                   int target);

/// `box` of `from`, resized to width × height as Resizer does it.
[[nodiscard]] Picture resized(const Picture& from, const Box& box, int width, int height);

}  // namespace trainyard::engine
