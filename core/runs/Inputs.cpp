#include "core/runs/Inputs.h"

#include <system_error>
#include <utility>

#include "core/base/Content.h"
#include "core/runs/HashCache.h"

namespace trainyard::runs {

using base::Error;
using base::Result;

Result<targets::InputData> dataHere(const std::string& name, const base::Path& path, const InputReport& report) {
    targets::InputData data;
    data.name = name;
    std::error_code error;
    data.isFolder = std::filesystem::is_directory(path, error);
    std::vector<base::ContentFile> files{{path.filename().string(), {}, 0}};
    if (data.isFolder) {
        auto listed = base::listContent(path);
        if (!listed.ok()) {
            return listed.error();
        }
        files = std::move(*listed);
    }
    std::int64_t done = 0;
    for (base::ContentFile& file : files) {
        const base::Path local = data.isFolder ? path / file.path : path;
        auto hash = HashCache::shared().sha256(local, [&](std::int64_t bytes) { return report(done + bytes); });
        if (!hash.ok()) {
            return hash.error();
        }
        file.sha256 = std::move(*hash);
        file.size = static_cast<std::int64_t>(std::filesystem::file_size(local, error));
        done += file.size;
        data.files.push_back({file.path, file.sha256, file.size, local});
    }
    data.sha256 = data.isFolder ? base::contentHash(files) : files.front().sha256;
    return data;
}

Result<std::vector<targets::InputData>> resolveInputs(const spec::RunSpec& spec, bool thisMachine, const InputReport& report) {
    std::vector<targets::InputData> inputs;
    for (const auto& [name, text] : spec.inputs) {
        const std::string field = "inputs." + name;
        auto location = spec::parseInputLocation(text, field);
        if (!location.ok()) {
            return location.error();
        }
        using Kind = spec::InputLocation::Kind;
        targets::InputData data;
        data.name = name;
        data.location = location->location;
        data.sha256 = location->sha256;
        if (location->kind != Kind::Here) {
            data.origin = location->kind == Kind::OnTarget ? targets::InputData::Origin::OnTarget : targets::InputData::Origin::Address;
            data.isFolder = false;
            inputs.push_back(std::move(data));
            continue;
        }
        std::error_code error;
        if (!std::filesystem::exists(location->location, error)) {
            return Error{"input.missing", location->location + " is not there, or may not be read by you.", field};
        }
        if (thisMachine) {
            data.origin = targets::InputData::Origin::OnTarget;
            data.isFolder = std::filesystem::is_directory(location->location, error);
            inputs.push_back(std::move(data));
            continue;
        }
        auto here = dataHere(name, location->location, report);
        if (!here.ok()) {
            return Error{here.error().code, here.error().message, field};
        }
        inputs.push_back(std::move(*here));
    }
    return inputs;
}

}  // namespace trainyard::runs
