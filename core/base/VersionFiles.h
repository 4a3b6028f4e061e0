#pragma once
// A folder of numbered versions: <folder>/<number>.json, each written once, and <folder>/last, the highest number that
// was ever given out. What names a version by its number never finds another one under it, also after a removal.
#include <string>
#include <utility>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"

namespace trainyard::base {

[[nodiscard]] Path versionFile(const Path& folder, int version);

/// The numbers that are there, rising; none where the folder is missing.
[[nodiscard]] std::vector<int> versionsIn(const Path& folder);

/// Which of these `wanted` means: 0 is the newest. 0 where it is not among them.
[[nodiscard]] int pickVersion(const std::vector<int>& versions, int wanted);

/// What `parse` makes of a version's document. It has a `name` of its own, which must be this one. Errors:
/// "<kind>.damaged" at the field `kind`, naming the file.
template <class Parse>
[[nodiscard]] auto readVersion(const Path& file, const std::string& kind, const std::string& name, const Parse& parse)
    -> decltype(parse(Json())) {
    const auto text = readFile(file);
    const auto json = text.ok() ? parseJson(*text) : Result<Json>(text.error());
    auto made = json.ok() ? parse(*json) : decltype(parse(Json()))(json.error());
    if (made.ok() && made->name != name) {
        made = Error{kind + ".damaged", "it names another " + kind + ", \"" + made->name + "\"."};
    }
    if (!made.ok()) {
        made = Error{kind + ".damaged", "The definition " + file.string() + " cannot be read: " + made.error().message,
                     kind};
    }
    return made;
}

/// Into `all` what could be read; why the rest could not into `problems`, where somebody asks.
template <class T>
void keepRead(Result<T> one, std::vector<T>& all, std::vector<Error>* problems) {
    if (one.ok()) {
        all.push_back(std::move(*one));
    } else if (problems != nullptr) {
        problems->push_back(one.error());
    }
}

/// Writes the next version, makes the folder where it is missing, and answers with the number. Two that write at once
/// get two numbers. Errors: file.*.
[[nodiscard]] Result<int> addVersion(const Path& folder, const Json& document);

/// Removes these versions; their numbers are not given out again. Errors: file.*.
[[nodiscard]] Status removeVersions(const Path& folder, const std::vector<int>& versions);

}  // namespace trainyard::base
