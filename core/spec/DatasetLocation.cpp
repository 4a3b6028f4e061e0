#include "core/spec/DatasetLocation.h"

#include <charconv>

#include "core/base/Content.h"
#include "core/base/Text.h"
#include "core/spec/Reading.h"

namespace trainyard::spec {

using base::Error;
using base::Result;

Result<DatasetName> parseDatasetName(const std::string& text, const std::string& field) {
    DatasetName parsed;
    const std::size_t colon = text.find(':');
    parsed.name = text.substr(0, colon);
    bool fits = isTargetName(parsed.name);
    if (colon != std::string::npos) {
        const std::string version = text.substr(colon + 1);
        const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), parsed.version);
        fits = fits && error == std::errc{} && end == version.data() + version.size() && parsed.version > 0;
    }
    if (!fits) {
        return Error{"spec.name",
                     "\"" + base::stripControl(base::toValidUtf8(text.substr(0, 100))) +
                         "\" is no data set's name; write NAME or NAME:VERSION, the name in lower-case letters, "
                         "digits, -, _ and .",
                     field};
    }
    return parsed;
}

Result<DatasetLocation> parseDatasetLocation(const std::string& text, const std::string& field) {
    const std::string rest = text.substr(kDatasetPrefix.size());
    const std::size_t slash = rest.find('/');
    auto name = parseDatasetName(rest.substr(0, slash), field);
    if (!name.ok()) {
        return name.error();
    }
    DatasetLocation location{std::move(*name), slash == std::string::npos ? std::string() : rest.substr(slash + 1)};
    if (slash != std::string::npos && !base::isPlainRelativePath(location.path)) {
        return Error{"spec.path", "After the data set's name a path inside it is expected, without \"..\".", field};
    }
    return location;
}

}  // namespace trainyard::spec
