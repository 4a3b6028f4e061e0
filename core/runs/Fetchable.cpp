#include "core/runs/Fetchable.h"

#include <QThread>
#include <system_error>
#include <utility>

#include "core/base/Hash.h"
#include "core/datasets/Content.h"
#include "core/datasets/DatasetBook.h"
#include "core/datasets/Fetch.h"
#include "core/runs/NamedData.h"
#include "core/unpack/Archive.h"

namespace trainyard::runs {

using base::Error;
using base::Path;
using base::Result;
using base::Status;
using targets::InputData;

namespace {

constexpr int kBringLookMillis = 100;
constexpr std::int64_t kBringReserveBytes = std::int64_t{1} << 30;

std::string lastNameOf(const std::string& address) {
    const std::string path = address.substr(0, address.find_first_of("?#"));
    const std::string name = path.substr(path.rfind('/') + 1);
    return name.empty() || name.front() == '.' || name.size() > 200 ? "data" : name;
}

/// Into `folder`/files; the caller holds the lock.
Status bringInto(const Path& folder, const InputData::Fetch& fetch, const InputReport& report) {
    const Path part = folder / "part";
    const Status came =
        datasets::fetchNow({fetch.address, {}}, part, [&](std::int64_t done, std::int64_t) { return report(done); });
    if (!came.ok()) {
        return Error{came.error().code == "canceled" ? "canceled" : "input.fetch", came.error().message};
    }
    const auto hash = base::sha256File(part, [&](std::int64_t done) { return report(done); });
    if (!hash.ok()) {
        return hash.error();
    }
    if (!hash->starts_with(fetch.sha256)) {
        TRAINYARD_TRY(base::removeTree(part));
        return Error{"input.hash", fetch.address + " has the SHA-256 " + *hash + ", not " + fetch.sha256 + "."};
    }
    const Path fresh = folder / "fresh";
    TRAINYARD_TRY(base::removeTree(fresh));
    TRAINYARD_TRY(base::makeDirs(fresh));
    std::error_code error;
    if (fetch.unpack) {
        unpack::ArchiveLimits limits;
        limits.reserve = kBringReserveBytes;
        const auto unpacked = unpack::unpackArchive(part, fresh, limits, report);
        if (!unpacked.ok()) {
            return unpacked.error();
        }
        TRAINYARD_TRY(base::removeTree(part));
    } else if (std::filesystem::rename(part, fresh / lastNameOf(fetch.address), error); error) {
        return base::errnoError(error.value(), "rename", part);
    }
    std::filesystem::rename(fresh, folder / "files", error);
    return error ? Status(base::errnoError(error.value(), "rename", fresh)) : Status();
}

}  // namespace

InputData addressInput(const std::string& name, InputData::Fetch fetch) {
    InputData data;
    data.name = name;
    data.origin = InputData::Origin::Address;
    data.location = fetch.address;
    data.sha256 = fetch.unpack || fetch.sha256.size() < 64 ? std::string() : fetch.sha256;
    data.isFolder = fetch.unpack;
    data.bringHere = [name, fetch](const std::function<bool(std::int64_t)>& report) {
        return bringHere(name, fetch, report);
    };
    data.fetch = std::move(fetch);
    return data;
}

std::map<std::string, InputData::Fetch> fetchableDatasets(const wire::WorkspaceLayout& layout,
                                                          const base::Json& document) {
    std::map<std::string, InputData::Fetch> all;
    for (const datasets::Dataset& dataset : namedDatasets(layout, document)) {
        if (!datasets::isAddress(dataset.source) || dataset.sourceSha256.size() != 64) {
            continue;
        }
        InputData::Fetch fetch{dataset.source, dataset.sourceSha256, true, {}};
        for (const auto& [member, path] : dataset.files) {
            fetch.only.push_back(path);
        }
        all.emplace(dataset.sha256, std::move(fetch));
    }
    return all;
}

Result<InputData> bringHere(const std::string& name, const InputData::Fetch& fetch, const InputReport& report) {
    const Path folder = base::xdgCacheHome() / "trainyard/fetched" / fetch.sha256;
    TRAINYARD_TRY(base::makeDirs(folder));
    for (;;) {
        const auto lock = base::FileLock::tryExclusive(folder / "lock");
        if (!lock.ok() && lock.error().code != "lock.held") {
            return lock.error();
        }
        std::error_code error;
        if (std::filesystem::is_directory(folder / "files", error)) {
            break;
        }
        if (lock.ok()) {
            TRAINYARD_TRY(bringInto(folder, fetch, report));
            break;
        }
        if (!report(0)) {
            return Error{"canceled", "The action was canceled."};
        }
        QThread::msleep(kBringLookMillis);
    }
    Path place = folder / "files";
    if (fetch.unpack) {
        const auto found = datasets::findPlace(place);
        return dataHere(name, found.ok() ? found->folder : place, report);
    }
    return dataHere(name, place / lastNameOf(fetch.address), report);
}

}  // namespace trainyard::runs
