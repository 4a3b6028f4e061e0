#pragma once
// Room-internal: letters without regard to case, for filters and searches.
#include <string>
#include <string_view>

namespace trainyard::store {

/// Lower case of UTF-8 text by Unicode's simple mapping. Keeps the number of bytes, so that places found in the result
/// are places in the text: a letter whose lower case has another length stays as it is. Invalid bytes stay too.
[[nodiscard]] std::string foldCase(std::string_view text);

}  // namespace trainyard::store
