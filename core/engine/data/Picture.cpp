#include "core/engine/data/Picture.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <optional>

#if TRAINYARD_HAVE_JPEG
#include <jpeglib.h>

#include <jerror.h>
#endif
#if TRAINYARD_HAVE_PNG
#include <png.h>
#endif

namespace trainyard::engine {

namespace {

using base::Error;
using base::Result;
using base::Status;

constexpr std::int64_t kMaxPixels = 178'956'970;
constexpr int kMaxSide = 65'535;

Error damagedPicture(const std::string& what) { return {"picture.damaged", "it is damaged: " + what}; }

bool isJpeg(std::string_view bytes) { return bytes.starts_with("\xFF\xD8\xFF"); }
bool isPng(std::string_view bytes) { return bytes.starts_with("\x89PNG\r\n\x1a\n"); }

// What the codecs share is maybe_unused: a build may have neither.
[[maybe_unused]] Status checkSize(std::int64_t width, std::int64_t height) {
    if (width < 1 || height < 1) {
        return damagedPicture("it has no pixels");
    }
    if (width > kMaxSide || height > kMaxSide || width * height > kMaxPixels) {
        return Error{"picture.large", "its " + std::to_string(width) + " × " + std::to_string(height) +
                                          " pixels are more than a picture may have"};
    }
    return {};
}

/// Where a pixel of the turned picture lies in the stored one (EXIF 2.3, tag 0x0112).
[[maybe_unused]] Picture turned(Picture from, int turn) {
    if (turn == 1) {
        return from;
    }
    const bool swaps = turn >= 5;
    Picture to{swaps ? from.height : from.width, swaps ? from.width : from.height, {}};
    to.pixels.resize(from.pixels.size());
    for (int y = 0; y < to.height; ++y) {
        for (int x = 0; x < to.width; ++x) {
            int sourceX = swaps ? y : x;
            int sourceY = swaps ? x : y;
            if (turn == 2 || turn == 3 || turn == 7 || turn == 8) {
                sourceX = from.width - 1 - sourceX;
            }
            if (turn == 3 || turn == 4 || turn == 6 || turn == 7) {
                sourceY = from.height - 1 - sourceY;
            }
            std::copy_n(from.pixels.data() + (static_cast<std::ptrdiff_t>(sourceY) * from.width + sourceX) * 3, 3,
                        to.pixels.data() + (static_cast<std::ptrdiff_t>(y) * to.width + x) * 3);
        }
    }
    return to;
}

/// A box of the turned picture in the stored one of the given size.
[[maybe_unused]] Box storedBox(const Box& box, int width, int height, int turn) {
    Box to = turn >= 5 ? Box{box.top, box.left, box.height, box.width} : box;
    if (turn == 2 || turn == 3 || turn == 7 || turn == 8) {
        to.left = width - to.left - to.width;
    }
    if (turn == 3 || turn == 4 || turn == 6 || turn == 7) {
        to.top = height - to.top - to.height;
    }
    return to;
}

/// The other way round.
[[maybe_unused]] Box turnedBox(Box box, int width, int height, int turn) {
    if (turn == 2 || turn == 3 || turn == 7 || turn == 8) {
        box.left = width - box.left - box.width;
    }
    if (turn == 3 || turn == 4 || turn == 6 || turn == 7) {
        box.top = height - box.top - box.height;
    }
    return turn >= 5 ? Box{box.top, box.left, box.height, box.width} : box;
}

/// The orientation that Exif data name, 1 when there is none that makes sense.
[[maybe_unused]] int exifTurn(std::string_view tiff) {
    if (tiff.size() < 8) {
        return 1;
    }
    const bool little = tiff[0] == 'I';
    const auto number = [&](std::size_t at, std::size_t bytes) -> std::size_t {
        std::size_t value = 0;
        for (std::size_t i = 0; i < bytes; ++i) {
            value = value << 8 | static_cast<unsigned char>(tiff[little ? at + bytes - 1 - i : at + i]);
        }
        return value;
    };
    const std::size_t folder = number(4, 4);
    if (folder > tiff.size() - 2) {
        return 1;
    }
    const std::size_t entries = number(folder, 2);
    for (std::size_t i = 0; i < entries; ++i) {
        const std::size_t at = folder + 2 + 12 * i;
        if (at + 12 > tiff.size()) {
            return 1;
        }
        if (number(at, 2) == 0x0112) {
            const std::size_t turn = number(at + 8, 2);
            return turn >= 1 && turn <= 8 ? static_cast<int>(turn) : 1;
        }
    }
    return 1;
}

#if TRAINYARD_HAVE_JPEG

/// libjpeg reports by longjmp, so nothing with a destructor may be made between setjmp and the last call: everything
/// that the decoding needs is a member of this.
class JpegReader {
public:
    explicit JpegReader(std::string_view bytes) : m_bytes(bytes) {
        m_jpeg.err = jpeg_std_error(&m_errors.base);
        m_errors.base.error_exit = [](j_common_ptr jpeg) {
            auto* errors = reinterpret_cast<Errors*>(jpeg->err);
            errors->base.format_message(jpeg, errors->text);
            std::longjmp(errors->jump, 1);
        };
        m_errors.base.emit_message = [](j_common_ptr jpeg, int level) {
            if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF) {
                reinterpret_cast<Errors*>(jpeg->err)->cutOff = true;
            }
        };
        m_errors.base.output_message = [](j_common_ptr) {};
    }
    JpegReader(const JpegReader&) = delete;
    JpegReader& operator=(const JpegReader&) = delete;
    ~JpegReader() {
        if (m_made) {
            jpeg_destroy_decompress(&m_jpeg);
        }
    }

    /// `turn` asks for the EXIF turn too.
    Status readHeader(bool turn) {
        if (setjmp(m_errors.jump) != 0) {
            return damagedPicture(m_errors.text);
        }
        jpeg_create_decompress(&m_jpeg);
        m_made = true;
        if (turn) {
            jpeg_save_markers(&m_jpeg, JPEG_APP0 + 1, 0xFFFF);
        }
        jpeg_mem_src(&m_jpeg, reinterpret_cast<const unsigned char*>(m_bytes.data()), m_bytes.size());
        jpeg_read_header(&m_jpeg, TRUE);
        for (jpeg_saved_marker_ptr marker = m_jpeg.marker_list; marker != nullptr; marker = marker->next) {
            constexpr std::string_view kExif("Exif\0\0", 6);
            const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
            if (marker->marker == JPEG_APP0 + 1 && m_turn == 1 && data.starts_with(kExif)) {
                m_turn = exifTurn(data.substr(kExif.size()));
            }
        }
        return {};
    }

    [[nodiscard]] int width() const { return static_cast<int>(m_jpeg.image_width); }
    [[nodiscard]] int height() const { return static_cast<int>(m_jpeg.image_height); }
    [[nodiscard]] int turn() const { return m_turn; }

    /// `box` in stored pixels; `part` gets it, with a margin for the filter that spreads colour.
    Status decode(const Box& box, int target, DecodedPart& part) {
        m_part = &part;
        int shrink = 1;
        while (shrink < 8 && box.width >= target * shrink * 2 && box.height >= target * shrink * 2) {
            shrink *= 2;
        }
        m_jpeg.scale_num = 1;
        m_jpeg.scale_denom = static_cast<unsigned>(shrink);
        m_cmyk = m_jpeg.jpeg_color_space == JCS_CMYK || m_jpeg.jpeg_color_space == JCS_YCCK;
        m_jpeg.out_color_space = m_cmyk ? JCS_CMYK : JCS_RGB;
        const bool whole = box == Box{0, 0, width(), height()};
        part.box = {box.left / shrink, box.top / shrink, std::max(1, box.width / shrink),
                    std::max(1, box.height / shrink)};
        TRAINYARD_TRY(readRows(whole));
        return m_errors.cutOff ? Status(damagedPicture("it is cut off")) : Status();
    }

private:
    struct Errors {
        jpeg_error_mgr base{};
        std::jmp_buf jump{};
        char text[JMSG_LENGTH_MAX]{};
        bool cutOff = false;
    };

    Status readRows(bool whole) {
        if (setjmp(m_errors.jump) != 0) {
            return damagedPicture(m_errors.text);
        }
        jpeg_start_decompress(&m_jpeg);
        m_left = 0;
        m_wide = m_jpeg.output_width;
        m_top = 0;
        m_rows = m_jpeg.output_height;
        Box& box = m_part->box;
        if (!whole) {
            // What spreads colour looks at one neighbour of half the width. Rows have theirs without asking.
            constexpr int kMargin = 2;
            const int left = std::max(0, box.left - kMargin);
            const int right = std::min(static_cast<int>(m_jpeg.output_width), box.left + box.width + kMargin);
            m_left = static_cast<JDIMENSION>(left);
            m_wide = static_cast<JDIMENSION>(right - left);
            jpeg_crop_scanline(&m_jpeg, &m_left, &m_wide);
            m_top = static_cast<JDIMENSION>(box.top);
            m_rows = static_cast<JDIMENSION>(std::min(static_cast<int>(m_jpeg.output_height), box.top + box.height) -
                                             box.top);
            if (m_top > 0) {
                jpeg_skip_scanlines(&m_jpeg, m_top);
            }
        }
        const std::size_t rowBytes = static_cast<std::size_t>(m_wide) * (m_cmyk ? 4 : 3);
        std::vector<std::uint8_t>& pixels = m_cmyk ? m_inks : m_part->picture.pixels;
        pixels.resize(rowBytes * m_rows);
        for (JDIMENSION y = 0; y < m_rows;) {
            constexpr JDIMENSION kRows = 4;  // The decoder gives one or two at a time.
            JSAMPROW rows[kRows];
            const JDIMENSION count = std::min(kRows, m_rows - y);
            for (JDIMENSION i = 0; i < count; ++i) {
                rows[i] = pixels.data() + (y + i) * rowBytes;
            }
            y += jpeg_read_scanlines(&m_jpeg, rows, count);
        }
        if (whole) {
            jpeg_finish_decompress(&m_jpeg);
        } else {
            jpeg_abort_decompress(&m_jpeg);
        }
        m_part->picture.width = static_cast<int>(m_wide);
        m_part->picture.height = static_cast<int>(m_rows);
        box.left -= static_cast<int>(m_left);
        box.top -= static_cast<int>(m_top);
        if (m_cmyk) {
            fromCmyk();
        }
        return {};
    }

    /// Adobe's files hold the inks inverted, which is what Pillow takes every CMYK file for.
    void fromCmyk() {
        std::vector<std::uint8_t>& pixels = m_part->picture.pixels;
        pixels.resize(m_inks.size() / 4 * 3);
        for (std::size_t i = 0; i < m_inks.size() / 4; ++i) {
            for (std::size_t c = 0; c < 3; ++c) {
                const unsigned ink = m_inks[4 * i + c];
                const unsigned black = m_inks[4 * i + 3];
                pixels[3 * i + c] = static_cast<std::uint8_t>((ink * black + 127) / 255);
            }
        }
    }

    std::string_view m_bytes;
    jpeg_decompress_struct m_jpeg{};
    Errors m_errors;
    bool m_made = false;
    bool m_cmyk = false;
    int m_turn = 1;
    DecodedPart* m_part = nullptr;
    std::vector<std::uint8_t> m_inks;
    JDIMENSION m_left = 0;
    JDIMENSION m_wide = 0;
    JDIMENSION m_top = 0;
    JDIMENSION m_rows = 0;
};

#endif

#if TRAINYARD_HAVE_PNG

/// Reports as libjpeg does, so the same holds for it. Not by libpng's simplified functions: they take 16-bit files for
/// linear light and make them far brighter.
class PngReader {
public:
    explicit PngReader(std::string_view bytes) : m_bytes(bytes) {}
    PngReader(const PngReader&) = delete;
    PngReader& operator=(const PngReader&) = delete;
    ~PngReader() {
        if (m_png != nullptr) {
            png_destroy_read_struct(&m_png, &m_info, nullptr);
        }
    }

    Status decode(Picture& picture) {
        TRAINYARD_TRY(readHeader());
        TRAINYARD_TRY(checkSize(m_width, m_height));
        picture.width = static_cast<int>(m_width);
        picture.height = static_cast<int>(m_height);
        const std::size_t rowBytes = std::size_t{m_width} * 3;
        picture.pixels.resize(rowBytes * m_height);
        m_rows.resize(m_height);
        for (std::size_t y = 0; y < m_rows.size(); ++y) {
            m_rows[y] = picture.pixels.data() + y * rowBytes;
        }
        return readRows(rowBytes);
    }

private:
    Status readHeader() {
        m_png = png_create_read_struct(
            PNG_LIBPNG_VER_STRING, this,
            [](png_structp png, png_const_charp text) {
                static_cast<PngReader*>(png_get_error_ptr(png))->m_text = text;
                png_longjmp(png, 1);
            },
            [](png_structp, png_const_charp) {});
        m_info = m_png != nullptr ? png_create_info_struct(m_png) : nullptr;
        if (m_info == nullptr) {
            return damagedPicture("there is no memory for it");
        }
        if (setjmp(png_jmpbuf(m_png)) != 0) {
            return damagedPicture(m_text);
        }
        png_set_benign_errors(m_png, 1);
        png_set_read_fn(m_png, this, [](png_structp png, png_bytep to, std::size_t count) {
            auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
            if (count > reader->m_bytes.size() - reader->m_at) {
                png_error(png, "it is cut off");
            }
            std::memcpy(to, reader->m_bytes.data() + reader->m_at, count);
            reader->m_at += count;
        });
        png_read_info(m_png, m_info);
        m_width = png_get_image_width(m_png, m_info);
        m_height = png_get_image_height(m_png, m_info);
        return {};
    }

    Status readRows(std::size_t rowBytes) {
        if (setjmp(png_jmpbuf(m_png)) != 0) {
            return damagedPicture(m_text);
        }
        const int kind = png_get_color_type(m_png, m_info);
        png_set_strip_16(m_png);
        if (kind == PNG_COLOR_TYPE_PALETTE) {
            png_set_palette_to_rgb(m_png);
        } else if ((kind & PNG_COLOR_MASK_COLOR) == 0) {
            png_set_expand_gray_1_2_4_to_8(m_png);
            png_set_gray_to_rgb(m_png);
        }
        png_set_strip_alpha(m_png);
        png_set_interlace_handling(m_png);
        png_read_update_info(m_png, m_info);
        if (png_get_rowbytes(m_png, m_info) != rowBytes) {
            png_error(m_png, "its rows have another length than its header says");
        }
        png_read_image(m_png, m_rows.data());
        return {};
    }

    std::string_view m_bytes;
    std::size_t m_at = 0;
    std::string m_text;
    png_structp m_png = nullptr;
    png_infop m_info = nullptr;
    png_uint_32 m_width = 0;
    png_uint_32 m_height = 0;
    std::vector<png_bytep> m_rows;
};

#endif

[[maybe_unused]] std::uint32_t bigEndian(std::string_view bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    }
    return value;
}

/// The orientation in an eXIf chunk, which is looked for before the pixels; nothing where `bytes` end before them.
[[maybe_unused]] std::optional<int> pngTurn(std::string_view bytes) {
    constexpr std::size_t kFirst = 8;
    constexpr std::size_t kHead = 8;  // Length and kind; a checksum follows the data.
    for (std::size_t at = kFirst; at + kHead <= bytes.size();) {
        const std::size_t length = bigEndian(bytes, at);
        const std::string_view kind = bytes.substr(at + 4, 4);
        if (kind == "IDAT") {
            return 1;
        }
        if (kind == "eXIf") {
            const std::string_view data = bytes.substr(at + kHead, length);
            return data.size() == length ? std::optional(exifTurn(data)) : std::nullopt;
        }
        at += kHead + length + 4;
    }
    return std::nullopt;
}

Error unknownKind(std::string_view bytes) {
    if (isJpeg(bytes) || isPng(bytes)) {
        return {"picture.kind", std::string("this engine was built without ") + (isJpeg(bytes) ? "libjpeg" : "libpng")};
    }
    return {"picture.kind", "it is neither a JPEG nor a PNG file, whatever its name says"};
}

}  // namespace

std::vector<std::string> pictureCodecs() {
    std::vector<std::string> codecs;
#if TRAINYARD_HAVE_JPEG
    codecs.emplace_back("jpeg");
#endif
#if TRAINYARD_HAVE_PNG
    codecs.emplace_back("png");
#endif
    return codecs;
}

Result<PictureInfo> readPictureInfo(std::string_view bytes) {
    PictureInfo info;
#if TRAINYARD_HAVE_JPEG
    if (isJpeg(bytes)) {
        JpegReader reader(bytes);
        TRAINYARD_TRY(reader.readHeader(true));
        TRAINYARD_TRY(checkSize(reader.width(), reader.height()));
        info.jpeg = true;
        info.turn = reader.turn();
        info.width = info.turn >= 5 ? reader.height() : reader.width();
        info.height = info.turn >= 5 ? reader.width() : reader.height();
        return info;
    }
#endif
#if TRAINYARD_HAVE_PNG
    if (isPng(bytes)) {
        if (bytes.size() < 33) {
            return damagedPicture("it is cut off");
        }
        const std::int64_t width = bigEndian(bytes, 16);
        const std::int64_t height = bigEndian(bytes, 20);
        TRAINYARD_TRY(checkSize(width, height));
        const auto turn = pngTurn(bytes);
        if (!turn) {
            return damagedPicture("it is cut off");
        }
        info.turn = *turn;
        info.width = static_cast<int>(info.turn >= 5 ? height : width);
        info.height = static_cast<int>(info.turn >= 5 ? width : height);
        return info;
    }
#endif
    return unknownKind(bytes);
}

Result<Picture> decodePicture(std::string_view bytes) {
#if TRAINYARD_HAVE_JPEG
    if (isJpeg(bytes)) {
        JpegReader reader(bytes);
        TRAINYARD_TRY(reader.readHeader(true));
        TRAINYARD_TRY(checkSize(reader.width(), reader.height()));
        DecodedPart part;
        TRAINYARD_TRY(reader.decode({0, 0, reader.width(), reader.height()}, kMaxSide, part));
        return turned(std::move(part.picture), reader.turn());
    }
#endif
#if TRAINYARD_HAVE_PNG
    if (isPng(bytes)) {
        PngReader reader(bytes);
        Picture picture;
        TRAINYARD_TRY(reader.decode(picture));
        return turned(std::move(picture), pngTurn(bytes).value_or(1));
    }
#endif
    return unknownKind(bytes);
}

Status decodePart(std::string_view bytes, const PictureInfo& info, const Box& box, [[maybe_unused]] int target,
                  DecodedPart& part) {
#if TRAINYARD_HAVE_JPEG
    if (info.jpeg) {
        JpegReader reader(bytes);
        TRAINYARD_TRY(reader.readHeader(false));
        const bool swaps = info.turn >= 5;
        if (reader.width() != (swaps ? info.height : info.width) ||
            reader.height() != (swaps ? info.width : info.height)) {
            return damagedPicture("it changed while it was read");
        }
        TRAINYARD_TRY(reader.decode(storedBox(box, reader.width(), reader.height(), info.turn), target, part));
        if (info.turn != 1) {
            part.box = turnedBox(part.box, part.picture.width, part.picture.height, info.turn);
            part.picture = turned(std::move(part.picture), info.turn);
        }
        return {};
    }
#endif
    auto whole = decodePicture(bytes);
    if (!whole) {
        return whole.error();
    }
    if (whole->width != info.width || whole->height != info.height) {
        return damagedPicture("it changed while it was read");
    }
    part.picture = std::move(*whole);
    part.box = box;
    return {};
}

Result<DecodedPart> decodePart(std::string_view bytes, const PictureInfo& info, const Box& box, int target) {
    DecodedPart part;
    TRAINYARD_TRY(decodePart(bytes, info, box, target, part));
    return part;
}

Result<std::string> encodePng(const Picture& picture) {
#if TRAINYARD_HAVE_PNG
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(picture.width);
    image.height = static_cast<png_uint_32>(picture.height);
    image.format = PNG_FORMAT_RGB;
    image.flags = PNG_IMAGE_FLAG_FAST;
    std::string bytes(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
    png_alloc_size_t size = bytes.size();
    if (png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.pixels.data(), 0, nullptr) == 0) {
        return Error{"picture.write", std::string("The picture cannot be written as PNG: ") + image.message};
    }
    bytes.resize(size);
    return bytes;
#else
    return Error{"picture.kind", "This engine was built without libpng, so it cannot write " +
                                     std::to_string(picture.width) + " × " + std::to_string(picture.height) +
                                     " pixels as PNG."};
#endif
}

}  // namespace trainyard::engine
