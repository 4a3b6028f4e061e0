#pragma once
// Room-internal: model cards as rows.
#include <string>
#include <vector>

#include "core/store/Connection.h"
#include "core/wire/Layout.h"

namespace trainyard::store {

/// Takes models/<name>/<version>/card.json, or removes the row when the file is gone. Throws for SQLite alone.
[[nodiscard]] Status takeModelCard(Connection& connection, const wire::WorkspaceLayout& layout, const std::string& name,
                                   int version);
/// Every (name, version) folder with a card, by name and version.
[[nodiscard]] std::vector<std::pair<std::string, int>> modelCardsOnDisk(const wire::WorkspaceLayout& layout);
[[nodiscard]] ModelVersionRow modelRow(const std::string& name, int version, Json card);

}  // namespace trainyard::store
