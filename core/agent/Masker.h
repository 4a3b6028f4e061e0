#pragma once
// Takes secrets out of what is shown: their values become "***". Pure.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/Json.h"

namespace trainyard::agent {

class Masker {
public:
    /// Shorter values are not looked for: they would blot out ordinary text.
    static constexpr std::size_t kLeast = 4;
    static constexpr std::string_view kMask = "***";

    /// Also each line of a value of several lines, and the value as it stands in JSON. False when it is too short.
    bool add(const std::string& secret);
    [[nodiscard]] bool isEmpty() const { return m_secrets.empty(); }

    /// Place and length of the first secret at or behind `from`; of two at one place, the longer.
    [[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>> find(std::string_view text,
                                                                          std::size_t from) const;
    /// How many bytes at the end of `text` may be the beginning of a secret that goes on in the bytes to come.
    [[nodiscard]] std::size_t undecided(std::string_view text) const;
    /// A whole text.
    [[nodiscard]] std::string mask(std::string_view text) const;
    /// All texts of a line that a rank reported, and the names that are its own. What the protocol needs to read it
    /// stays: its kind, its members' names, and the bytes of a picture, in whose base64 a short secret is found by
    /// chance.
    void maskLine(base::Json& line) const;
    /// All texts and names in it.
    void maskAll(base::Json& json) const;

private:
    void insert(std::string secret);
    void maskMembers(base::Json& object, bool ownNames) const;
    void renameMembers(base::Json& object, bool ownNames) const;
    std::vector<std::string> m_secrets;  ///< Longest first.
};

}  // namespace trainyard::agent
