#include "core/store/Models.h"

#include <algorithm>
#include <charconv>

#include "core/store/BodyReading.h"

namespace trainyard::store {

ModelVersionRow modelRow(const std::string& name, int version, Json card) {
    ModelVersionRow row;
    row.name = name;
    row.version = version;
    row.run = textAt(card, "run");
    row.createdAt = integerAt(card, "created_at");
    row.description = textAt(card, "description");
    row.size = integerAt(card, "size");
    row.archived = truthAt(card, "archived");
    if (const auto tags = card.find("tags"); tags != card.end() && tags->is_object()) {
        for (const auto& [tag, value] : tags->items())
            row.tags.emplace_back(tag, value.is_string() ? value.get<std::string>() : base::dumpJson(value));
        std::sort(row.tags.begin(), row.tags.end());
    }
    if (const auto aliases = card.find("aliases"); aliases != card.end() && aliases->is_array()) {
        for (const Json& alias : *aliases) {
            if (alias.is_string()) row.aliases.push_back(alias.get<std::string>());
        }
    }
    row.card = std::move(card);
    return row;
}

Status takeModelCard(Connection& connection, const wire::WorkspaceLayout& layout, const std::string& name,
                     int version) {
    const Path file = layout.modelCard(name, version);
    const auto bytes = base::readFile(file);
    if (!bytes) {
        if (bytes.error().code != "file.missing") return bytes.error();
        Query(connection, "DELETE FROM models WHERE name = ? AND version = ?", name, version).run();
        return {};
    }
    auto card = base::parseJson(*bytes);
    if (!card || !card->is_object())
        return base::Error{"store.model_card", "The model card " + file.string() + " cannot be read" +
                                                   (card ? ": it is no JSON object." : ": " + card.error().message)};
    const ModelVersionRow row = modelRow(name, version, std::move(*card));
    // Written only when it changed, so that catching up does not wake every reader.
    Query(connection,
          "INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name, version) DO UPDATE SET "
          "run = excluded.run, created_at = excluded.created_at, description = excluded.description, "
          "size = excluded.size, archived = excluded.archived, card = excluded.card WHERE card <> excluded.card",
          name, version, row.run, row.createdAt, row.description, row.size, row.archived, base::dumpJson(row.card))
        .run();
    return {};
}

std::vector<std::pair<std::string, int>> modelCardsOnDisk(const wire::WorkspaceLayout& layout) {
    std::vector<std::pair<std::string, int>> found;
    std::error_code ignored;
    for (const auto& model : std::filesystem::directory_iterator(layout.models(), ignored)) {
        const std::string name = model.path().filename().string();
        for (const auto& folder : std::filesystem::directory_iterator(model.path(), ignored)) {
            const std::string text = folder.path().filename().string();
            int version = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
            if (error == std::errc() && end == text.data() + text.size() && version > 0 &&
                std::filesystem::exists(layout.modelCard(name, version), ignored))
                found.emplace_back(name, version);
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

}  // namespace trainyard::store
