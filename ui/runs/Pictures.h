#pragma once
#include <QByteArray>
#include <QImage>

#include "core/base/Result.h"

namespace trainyard::ui {

/// Files and records larger than this are not decoded, bytes.
inline constexpr std::int64_t kMostPictureBytes = 32 << 20;

/// Whether the bytes begin as a picture does that Qt can decode, whatever its name says.
[[nodiscard]] bool looksLikePicture(const QByteArray& start);
/// Whether the bytes begin as a PNG file but do not end as one; `end` are its last ones, some hundred at least. Asked
/// before decoding: libpng writes to the terminal about such a file.
[[nodiscard]] bool isCutPng(const QByteArray& start, const QByteArray& end);
/// Turned as the camera noted. Scaled down while decoding when a side is longer than 4096 pixels. Any thread.
/// "picture.large", "picture.damaged", in words for people.
[[nodiscard]] base::Result<QImage> decodePicture(QByteArray bytes);

}  // namespace trainyard::ui
