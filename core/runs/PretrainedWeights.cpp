#include "core/runs/PretrainedWeights.h"

#include <QFile>
#include <QThread>
#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <system_error>
#include <utility>

#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/datasets/Fetch.h"
#include "core/runs/HashCache.h"
#include "core/spec/ImageNormal.h"

// Outside every namespace, as Qt wants it: the library is static, and nothing else refers to its resources.
static void loadWeightsResource() { Q_INIT_RESOURCE(weights); }

namespace trainyard::runs {

using base::Error;
using base::Json;
using base::Path;
using base::Result;
using base::Status;

namespace {

constexpr int kFetchLookMillis = 100;
constexpr std::int64_t kMostListBytes = 4 << 20;

bool isHex(const std::string& text) { return text.find_first_not_of("0123456789abcdef") == std::string::npos; }

bool isAddress(const std::string& text) {
    const bool web = text.starts_with("http://") || text.starts_with("https://");
    return web && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c != 0x7f; });
}

bool isPlainName(const std::string& text) {
    return !text.empty() && text.size() <= 200 && text.front() != '.' &&
           std::all_of(text.begin(), text.end(),
                       [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'; });
}

/// Weights see pictures as training gives them, or not at all: an entry that names other numbers is none to start from.
void checkNormal(const Json& entry, const char* key, const std::array<double, 3>& trained, base::ObjectReader& reader) {
    const auto named = entry.find(key);
    if (named != entry.end() && *named != Json(trained)) {
        reader.fail("json.value", key,
                    "Training normalises pictures by " + base::dumpJson(Json(trained)) +
                        "; weights that expect other values cannot be used.");
    }
}

Result<std::vector<PretrainedWeights>> listFrom(std::string_view text) {
    auto json = base::parseJson(text);
    if (!json.ok()) {
        return json.error();
    }
    TRAINYARD_TRY(base::checkFormat(*json, kPretrainedFormat, kPretrainedVersion));
    base::ObjectReader document(*json, "");
    std::vector<PretrainedWeights> all;
    for (const Json& item : document.array("weights")) {
        base::ObjectReader reader(item, "weights." + std::to_string(all.size()));
        PretrainedWeights one;
        one.id = reader.string("id");
        one.family = reader.string("family");
        one.address = reader.string("address");
        one.fileName = one.address.substr(one.address.rfind('/') + 1);
        one.sha256Prefix = reader.string("sha256_prefix");
        one.entry = item;
        if (!isPlainName(one.id)) {
            reader.fail("json.value", "id", "An id has letters, digits, '.', '_' and '-'.");
        }
        if (!isAddress(one.address) || !isPlainName(one.fileName)) {
            reader.fail("json.value", "address",
                        "An address begins with http:// or https:// and ends with a file's name.");
        }
        if (one.sha256Prefix.size() < 8 || one.sha256Prefix.size() > 64 || !isHex(one.sha256Prefix)) {
            reader.fail("json.value", "sha256_prefix", "8 to 64 hex digits are expected.");
        }
        checkNormal(item, "mean", spec::kImageMean, reader);
        checkNormal(item, "std", spec::kImageDeviation, reader);
        TRAINYARD_TRY(reader.status(/*rejectUnknown=*/false));
        all.push_back(std::move(one));
    }
    TRAINYARD_TRY(document.status(/*rejectUnknown=*/false));
    return all;
}

std::vector<PretrainedWeights> shippedWeights() {
    loadWeightsResource();
    QFile file(QStringLiteral(":/trainyard-weights/weights.json"));
    const QByteArray bytes = file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    auto all = listFrom(std::string_view(bytes.constData(), static_cast<std::size_t>(bytes.size())));
    assert(all.ok());  // A test reads it.
    return std::move(all).valueOr({});
}

std::int64_t sizeOf(const Path& file) {
    std::error_code error;
    const auto size = std::filesystem::file_size(file, error);
    return error ? 0 : static_cast<std::int64_t>(size);
}

Error fetchCanceled() { return {"canceled", "Fetching the weights was canceled."}; }

Error otherHash(const PretrainedWeights& weights, const std::string& what, const std::string& found) {
    return {"weights.hash", what + " is not " + weights.fileName + ": its SHA-256 begins with " +
                                found.substr(0, weights.sha256Prefix.size()) + ", not with " + weights.sha256Prefix +
                                "."};
}

/// The cache's lock; waits for another process that fetches the same.
Result<base::FileLock> lockCache(const PretrainedWeights& weights, const WeightsReport& report) {
    TRAINYARD_TRY(base::makeDirs(weights.file().parent_path()));
    const Path lock = weights.file().string() + ".lock";
    for (;;) {
        auto taken = base::FileLock::tryExclusive(lock);
        if (taken.ok() || taken.error().code != "lock.held") {
            return taken;
        }
        if (!report(sizeOf(weights.file().string() + ".part"), 0)) {
            return fetchCanceled();
        }
        QThread::msleep(kFetchLookMillis);
    }
}

}  // namespace

std::string PretrainedWeights::source() const {
    std::string base = qEnvironmentVariable(kWeightsBaseVariable).toStdString();
    if (base.empty()) {
        return address;
    }
    return base.back() == '/' ? base + fileName : base + "/" + fileName;
}

Path PretrainedWeights::file() const { return base::xdgCacheHome() / "trainyard/weights" / fileName; }

std::vector<PretrainedWeights> pretrainedWeights(Error* problem) {
    std::vector<PretrainedWeights> all = shippedWeights();
    const Path list = base::xdgConfigHome() / "trainyard/weights.json";
    const auto text = base::readFile(list, kMostListBytes);
    if (!text.ok() && text.error().code == "file.missing") {
        return all;
    }
    auto own = text.ok() ? listFrom(*text) : Result<std::vector<PretrainedWeights>>(text.error());
    if (!own.ok()) {
        if (problem != nullptr) {
            *problem = {"weights.list", list.string() + ": " + own.error().message, own.error().field};
        }
        return all;
    }
    for (PretrainedWeights& one : *own) {
        const auto same =
            std::find_if(all.begin(), all.end(), [&](const PretrainedWeights& known) { return known.id == one.id; });
        if (same != all.end()) {
            *same = std::move(one);
        } else {
            all.push_back(std::move(one));
        }
    }
    return all;
}

Result<PretrainedWeights> findPretrained(const std::string& name, const std::string& field) {
    const std::string id = name.starts_with(kPretrainedPrefix) ? name.substr(kPretrainedPrefix.size()) : name;
    Error problem;
    std::string known;
    for (PretrainedWeights& one : pretrainedWeights(&problem)) {
        if (one.id == id) {
            return std::move(one);
        }
        known += (known.empty() ? "" : ", ") + one.id;
    }
    return Error{"weights.unknown",
                 "There are no pretrained weights \"" + base::stripControl(id) + "\". There are " + known + "." +
                     (problem.code.empty() ? "" : " " + problem.message),
                 field};
}

Result<std::string> checkPretrained(const PretrainedWeights& weights, const WeightsReport& report) {
    const Path file = weights.file();
    std::error_code error;
    if (!std::filesystem::exists(file, error)) {
        return Error{"weights.absent", weights.id + " has not been fetched yet."};
    }
    const std::int64_t size = sizeOf(file);
    auto found = HashCache::shared().sha256(file, [&](std::int64_t done) { return report(done, size); });
    if (found.ok() && !found->starts_with(weights.sha256Prefix)) {
        return otherHash(weights, file.string(), *found);
    }
    return found;
}

Result<Path> fetchPretrained(const PretrainedWeights& weights, const WeightsReport& report) {
    const Path file = weights.file();
    if (checkPretrained(weights, report).ok()) {
        return file;
    }
    if (!isAddress(weights.source())) {
        return Error{"weights.address",
                     "\"" + weights.source() + "\" is no http or https address; look at " + kWeightsBaseVariable + "."};
    }
    const auto lock = lockCache(weights, report);
    if (!lock.ok()) {
        return lock.error();
    }
    if (checkPretrained(weights, report).ok()) {
        return file;  // Another process has fetched it meanwhile.
    }
    const Path part = file.string() + ".part";
    if (const Status came = datasets::fetchNow({weights.source(), {}}, part, report); !came.ok()) {
        if (came.error().code == "canceled") {
            return fetchCanceled();
        }
        return Error{"weights.fetch", came.error().message + " Without a network, fetch it elsewhere and put it into " +
                                          file.parent_path().string() + ", or set " + kWeightsBaseVariable +
                                          " to a server that has it."};
    }
    const std::int64_t size = sizeOf(part);
    const auto hash = base::sha256File(part, [&](std::int64_t done) { return report(done, size); });
    if (!hash.ok()) {
        return hash.error();
    }
    if (!hash->starts_with(weights.sha256Prefix)) {
        TRAINYARD_TRY(base::removeTree(part));
        return otherHash(weights, "What came from " + weights.source(), *hash);
    }
    std::error_code error;
    std::filesystem::rename(part, file, error);
    if (error) {
        return Error{"file.io", "Cannot rename " + part.string() + ": " + error.message() + "."};
    }
    return file;
}

Result<Path> takePretrained(const PretrainedWeights& weights, const Path& file, const WeightsReport& report) {
    const std::int64_t size = sizeOf(file);
    const auto hash = base::sha256File(file, [&](std::int64_t done) { return report(done / 2, size); });
    if (!hash.ok()) {
        return hash.error();
    }
    if (!hash->starts_with(weights.sha256Prefix)) {
        return otherHash(weights, file.string(), *hash);
    }
    const auto lock = lockCache(weights, report);
    if (!lock.ok()) {
        return lock.error();
    }
    TRAINYARD_TRY(
        base::copyFile(file, weights.file(), [&](std::int64_t done) { return report(size / 2 + done / 2, size); }));
    const auto kept = checkPretrained(weights, report);
    return kept.ok() ? Result<Path>(weights.file()) : Result<Path>(kept.error());
}

}  // namespace trainyard::runs
