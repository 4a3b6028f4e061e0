#include "core/runs/Collection.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/wire/RunStream.h"

namespace trainyard::runs {

using base::Json;
using base::Result;

JournalEntry collectedEntry(int attempt, const std::vector<targets::OutputFile>& brought,
                            const std::set<int>& nodesLeft) {
    Json files = Json::array();
    for (const targets::OutputFile& file : brought) {
        files.push_back(Json{{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}});
    }
    Json body{{"attempt", attempt}, {"outputs", std::move(files)}};
    if (!nodesLeft.empty()) {
        body["left"] = nodesLeft;
    }
    return {wire::kind::kCollected, std::move(body)};
}

std::string nodesText(const std::set<int>& nodes) {
    std::string text;
    for (auto node = nodes.begin(); node != nodes.end(); ++node) {
        text += node == nodes.begin() ? "" : std::next(node) == nodes.end() ? " and " : ", ";
        text += std::to_string(*node);
    }
    return (nodes.size() == 1 ? "node " : "nodes ") + text;
}

bool areNodesLeft(const store::Reader& reader, const base::RunId& run) {
    const auto collected = reader.events(run, wire::kind::kCollected, 1);
    return collected.ok() && !collected->empty() && collected->back().body.contains("left");
}

targets::OperationPtr startRegistering(const RegisterModels& work, const store::Reader& reader, store::Writer& writer,
                                       const base::RunId& run, const std::vector<targets::OutputFile>& here,
                                       std::function<void(std::vector<JournalEntry>)> done) {
    const auto asked = reader.items(run, wire::kind::kModel, 1);
    if (!work || (asked.ok() && asked->empty())) {
        return nullptr;
    }
    using Entries = std::vector<JournalEntry>;
    return std::make_unique<targets::ThreadOperation<Entries>>(
        [work, run, here](const targets::KeepGoing& report) -> Result<Entries> { return work(run, here, report); },
        std::function<void(std::int64_t)>{},
        [&writer, done = std::move(done)](const Result<Entries>& entries) {
            const auto call = done;
            for (const JournalEntry& entry : *entries) {
                if (entry.kind == wire::kind::kRegistered) {
                    base::ObjectReader one(entry.body, "");
                    // The card is the truth: an index that cannot be written now catches up later.
                    [[maybe_unused]] const base::Status applied =
                        writer.applyModel(one.string("model"), static_cast<int>(one.integer("number")));
                }
            }
            call(*entries);
        });
}

}  // namespace trainyard::runs
