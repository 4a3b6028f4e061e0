#include "core/agent/Fetch.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

#include "core/agent/Child.h"
#include "core/agent/ServeStore.h"
#include "core/agent/ServeVerbs.h"
#include "core/base/Clock.h"
#include "core/base/Content.h"
#include "core/base/Hash.h"
#include "core/base/Text.h"
#include "core/unpack/Archive.h"

namespace trainyard::agent {

namespace fs = std::filesystem;

namespace {

constexpr int kFetchTries = 5;
constexpr int kIdleTries = 3;
constexpr int kFetchLookMillis = 100;
constexpr std::size_t kMaxSaid = 4096;
constexpr std::int64_t kMostHeaderBytes = 1 << 20;
constexpr std::int64_t kFetchSpareBytes = 64 << 20;  ///< Left free, so that runs can still write their streams.
constexpr std::size_t kLeastDigits = 8;
constexpr int kMostLookedThrough = 8;
constexpr std::int64_t kSayNanos = 200'000'000;

base::Error fetchCanceled() { return {"canceled", "The run was canceled while its data were fetched."}; }

base::Error noRoom(std::int64_t wanted, std::int64_t free, const Path& folder) {
    return {"file.full", base::formatBytes(wanted) + " are to be fetched into " + folder.string() + ", and " +
                             base::formatBytes(free) + " are free there."};
}

bool startsHash(const std::string& text) {
    return text.size() >= kLeastDigits && text.size() <= 64 &&
           text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// The last part of an address as a file's name.
std::string fileNameOf(const std::string& address) {
    std::string path = address.substr(0, address.find_first_of("?#"));
    path = path.substr(path.find("://") + 3);
    const std::size_t slash = path.rfind('/');
    std::string name = slash == std::string::npos ? std::string() : path.substr(slash + 1);
    std::erase_if(name,
                  [](char c) { return static_cast<unsigned char>(c) < 0x21 || static_cast<unsigned char>(c) >= 0x7f; });
    if (name.empty() || name == "." || name == ".." || name.size() > 200) return "data";
    return name;
}

std::int64_t fileBytes(const Path& file) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    return error ? 0 : static_cast<std::int64_t>(size);
}

/// Content-Length of the last answer; those of redirections come before. 0: not told.
std::int64_t toldBytes(const Path& headers) {
    const auto text = base::readFile(headers, kMostHeaderBytes);
    std::int64_t length = 0;
    if (!text.ok()) return 0;
    for (std::string line : base::split(*text, '\n')) {
        std::ranges::transform(line, line.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (line.starts_with("http/")) {
            length = 0;
        } else if (constexpr std::string_view kLength = "content-length:"; line.starts_with(kLength)) {
            const std::string_view value = base::trim(std::string_view(line).substr(kLength.size()));
            std::from_chars(value.data(), value.data() + value.size(), length);
        }
    }
    return std::max<std::int64_t>(length, 0);
}

class Download {
public:
    Download(const wire::WorkLayout& work, const FetchOrder& order, const PrepareProgress& progress)
        : m_order(order), m_progress(progress), m_folder(work.incoming()), m_part(m_folder / (order.sha256 + ".fetch")),
          m_headers(m_folder / (order.sha256 + ".headers")), m_stage("Fetching " + order.name) {}
    ~Download() { ::unlink(m_headers.c_str()); }
    Download(const Download&) = delete;
    Download& operator=(const Download&) = delete;

    [[nodiscard]] const Path& part() const { return m_part; }

    /// The whole file in part(); its hash.
    [[nodiscard]] Result<std::string> run() {
        TRAINYARD_TRY(roomFor(m_order.bytes));
        bool all = false;
        int idle = 0;  // Tries in a row that brought nothing.
        for (int attempt = 0; attempt < kFetchTries && idle < kIdleTries && !all; ++attempt) {
            m_said.clear();
            m_before = fileBytes(m_part);
            const auto end = once();
            if (!end.ok()) return end.error();
            all = *end == 0;
            idle = fileBytes(m_part) > m_before ? 0 : idle + 1;
            // A server that answers "nothing beyond" (416) to a complete file makes curl fail; the hash decides.
            if (!all && m_before > 0 && fileBytes(m_part) == m_before) {
                const auto hash = base::sha256File(m_part);
                all = hash.ok() && hash->starts_with(m_order.sha256);
                // Or it cannot give a part of a file at all; then it is fetched from the beginning.
                if (!all) ::unlink(m_part.c_str());
            }
            if (!all) TRAINYARD_TRY(roomFor(0));
            const auto pause = base::Deadline::inMillis(all ? 0 : 500 * (attempt + 1));
            while (!pause.passed()) {
                if (!tell()) return fetchCanceled();
                ::poll(nullptr, 0, kFetchLookMillis);
            }
        }
        if (!all) {
            return base::Error{"input.fetch", m_order.address + " could not be fetched: " +
                                                  base::stripControl(base::toValidUtf8(base::trim(m_said)))};
        }
        const std::int64_t size = fileBytes(m_part);
        auto hash = base::sha256File(
            m_part, [&](std::int64_t done) { return m_progress("Checking " + m_order.name, done, size, "bytes"); });
        if (hash.ok() && !hash->starts_with(m_order.sha256)) {
            ::unlink(m_part.c_str());
            return base::Error{"input.hash", m_order.address + " has the SHA-256 " + *hash + ", not " + m_order.sha256 +
                                                 (m_order.sha256.size() < 64 ? "…." : ".")};
        }
        return hash;
    }

private:
    bool tell() const {
        const std::int64_t told = toldBytes(m_headers);
        return m_progress(m_stage, fileBytes(m_part), told > 0 ? m_before + told : 0, "bytes");
    }

    [[nodiscard]] Status roomFor(std::int64_t bytes) const {
        const auto space = base::diskSpace(m_folder);
        if (space.ok() && space->freeBytes < bytes + kFetchSpareBytes) return noRoom(bytes, space->freeBytes, m_folder);
        return {};
    }

    /// One try: 0 when all came. m_said gets the end of what the program had to say.
    [[nodiscard]] Result<int> once() {
        ::unlink(m_headers.c_str());
        // The address is one argument behind an option or behind "--": never a word of a shell, never an option.
        const std::vector<std::vector<std::string>> programs = {
            {"curl",
             "--fail",
             "--location",
             "--max-redirs",
             "10",
             "--proto",
             "=http,https",
             "--proto-redir",
             "=http,https",
             "--globoff",
             "--silent",
             "--show-error",
             "--connect-timeout",
             "10",
             "--speed-limit",
             "1",
             "--speed-time",
             "60",
             "--continue-at",
             "-",
             "--dump-header",
             m_headers.string(),
             "--output",
             m_part.string(),
             "--url",
             m_order.address},
            {"wget", "--no-verbose", "--continue", "--tries=1", "--timeout=30", "--max-redirect=10",
             "--output-document=" + m_part.string(), "--", m_order.address}};
        for (const std::vector<std::string>& argv : programs) {
            ChildSpec spec;
            spec.argv = argv;
            spec.mergeErr = true;
            spec.pipeErr = false;
            auto child = Child::start(spec);
            if (child.ok()) return follow(*child);
            if (child.error().code != "exec.missing" && child.error().code != "exec.denied") return child.error();
        }
        return base::Error{"input.program",
                           "Neither curl nor wget is on this machine; one of them is needed to fetch " +
                               m_order.address + "."};
    }

    [[nodiscard]] Result<int> follow(Child& child) {
        bool sized = false;
        while (true) {
            pollfd ready{child.out.get(), POLLIN, 0};
            ::poll(&ready, 1, kFetchLookMillis);
            const bool open = readAvailable(child.out.get(), m_said);
            if (m_said.size() > kMaxSaid) m_said.erase(0, m_said.size() - kMaxSaid);
            if (const auto end = child.end()) return end->signal != 0 ? 128 + end->signal : end->exit;
            if (!open) ::poll(nullptr, 0, kFetchLookMillis);
            if (const std::int64_t told = sized ? 0 : toldBytes(m_headers); told > 0) {
                sized = true;
                const std::int64_t unpacked = m_order.unpack ? std::max(m_order.bytes, m_before + told) : 0;
                if (auto room = roomFor(told - (fileBytes(m_part) - m_before) + unpacked); !room.ok()) {
                    child.stop();
                    return room.error();
                }
            }
            if (!tell()) {
                child.stop();
                return fetchCanceled();
            }
        }
    }

    const FetchOrder& m_order;
    const PrepareProgress& m_progress;
    Path m_folder;
    Path m_part;
    Path m_headers;
    std::string m_stage;
    std::string m_said;
    std::int64_t m_before = 0;  ///< Bytes that were here when this try began.
};

/// What an earlier fetch of the same file left in the cache. By its archive's hash where the content is not known
/// before.
std::optional<Fetched> inCache(const wire::WorkLayout& work, const FetchOrder& order) {
    std::vector<std::string> keys;
    if (order.unpack ? !order.entry.empty() : order.sha256.size() == 64) {
        keys.push_back(order.unpack ? order.entry : order.sha256);
    } else {
        std::error_code error;
        for (const auto& folder : fs::directory_iterator(work.data(), error))
            keys.push_back(folder.path().filename().string());
        std::ranges::sort(keys);
    }
    for (const std::string& key : keys) {
        const auto text = base::readFile(dataInfo(work, key), kMostHeaderBytes);
        const auto info = text.ok() ? base::parseJson(*text) : Result<Json>(text.error());
        if (!info.ok()) continue;
        base::ObjectReader reader(*info, "");
        if (order.unpack ? order.entry.empty() && reader.string("archive") != order.sha256
                         : !key.starts_with(order.sha256))
            continue;
        Fetched fetched{key, dataFiles(work, key).string(), reader.integer("size"), true};
        if (order.unpack) return fetched;
        std::error_code error;
        std::vector<Path> files;
        for (const auto& file : fs::directory_iterator(dataFiles(work, key), error)) files.push_back(file.path());
        if (files.size() != 1 || !fs::is_regular_file(files.front(), error))
            continue;  // A folder whose content hash begins alike.
        fetched.path = files.front().string();
        return fetched;
    }
    return std::nullopt;
}

/// The files below the folder that is meant, with their paths in it.
struct Chosen {
    std::string prefix;  ///< "birds-1.0/"
    std::vector<base::ContentFile> files;
};

std::vector<base::ContentFile> filesBelow(const std::vector<base::ContentFile>& all, const FetchOrder& order,
                                          const std::string& prefix) {
    std::vector<base::ContentFile> files;
    for (const base::ContentFile& file : all) {
        base::ContentFile inside = file;
        inside.path.erase(0, prefix.size());
        if (order.only.empty() || std::ranges::find(order.only, inside.path) != order.only.end())
            files.push_back(std::move(inside));
    }
    return files;
}

/// The single folder around everything below `prefix`, with its '/'; empty where there is none.
std::string folderAround(const std::vector<base::ContentFile>& files, const std::string& prefix) {
    std::string around;
    for (const base::ContentFile& file : files) {
        const std::size_t slash = file.path.find('/', prefix.size());
        if (slash == std::string::npos) return {};
        const std::string folder = file.path.substr(prefix.size(), slash + 1 - prefix.size());
        if (!around.empty() && folder != around) return {};
        around = folder;
    }
    return around;
}

Result<Chosen> chooseFiles(const std::vector<base::ContentFile>& all, const FetchOrder& order) {
    Chosen chosen;
    for (int depth = 0; depth <= kMostLookedThrough; ++depth) {
        const std::string around = folderAround(all, chosen.prefix);
        if (!order.entry.empty()) {
            chosen.files = filesBelow(all, order, chosen.prefix);
            if (base::contentHash(chosen.files) == order.entry) return chosen;
        } else if (around.empty() || around == "train/" ||
                   std::ranges::none_of(all, [&](const base::ContentFile& file) {
                       return file.path.find('/', chosen.prefix.size() + around.size()) != std::string::npos;
                   })) {
            // "train/" alone, or one class with its pictures, is what is meant itself.
            chosen.files = filesBelow(all, order, chosen.prefix);
            return chosen;
        }
        if (around.empty()) break;
        chosen.prefix += around;
    }
    return base::Error{"input.hash", "What " + order.address + " holds does not have the content hash " + order.entry +
                                         ": other files are in it than when the data set was added."};
}

Result<Fetched> unpackInto(const wire::WorkLayout& work, const FetchOrder& order, const Path& archive,
                           const PrepareProgress& progress) {
    const Path stage = work.incoming() / (order.sha256 + ".unpacked");
    TRAINYARD_TRY(removeReadOnlyTree(stage));
    TRAINYARD_TRY(base::makeDirs(stage));
    unpack::ArchiveLimits limits;
    limits.reserve = kFetchSpareBytes;
    const auto unpacked = unpack::unpackArchive(archive, stage, limits, [&](std::int64_t permille) {
        return progress("Unpacking " + order.name, permille, 1000, "permille");
    });
    if (!unpacked.ok()) {
        TRAINYARD_TRY(removeReadOnlyTree(stage));
        return unpacked.error();
    }
    const auto content = base::readContent(stage, [&](std::int64_t done, std::int64_t total) {
        return progress("Checking " + order.name, done, total, "bytes");
    });
    if (!content.ok()) return content.error();
    auto chosen = chooseFiles(content->files, order);
    if (!chosen.ok()) {
        TRAINYARD_TRY(removeReadOnlyTree(stage));
        return chosen.error();
    }
    const std::string entry = order.entry.empty() ? base::contentHash(chosen->files) : order.entry;
    Fetched fetched{entry, dataFiles(work, entry).string(), 0, false};
    // What an upload or a fetch that was cut off left there has the same content.
    TRAINYARD_TRY(base::makeDirs(dataFiles(work, entry)));
    const bool there = isDataComplete(work, entry);  // From another archive, or sent.
    if (!there) TRAINYARD_TRY(setWritable(dataFiles(work, entry), true));
    for (const base::ContentFile& file : chosen->files) {
        fetched.bytes += file.size;
        if (there) continue;
        const Path to = dataFiles(work, entry) / file.path;
        TRAINYARD_TRY(base::makeDirs(to.parent_path()));
        if (::rename((stage / (chosen->prefix + file.path)).c_str(), to.c_str()) != 0)
            return base::errnoError(errno, "put into place", to);
    }
    if (!there) TRAINYARD_TRY(sealData(work, entry, order.name, chosen->files.size(), fetched.bytes, order.sha256));
    TRAINYARD_TRY(removeReadOnlyTree(stage));
    ::unlink(archive.c_str());
    return fetched;
}

Result<Fetched> keepFile(const wire::WorkLayout& work, const FetchOrder& order, const Path& part,
                         const std::string& sha256) {
    const Path to = dataFiles(work, sha256) / fileNameOf(order.address);
    const std::int64_t bytes = fileBytes(part);
    if (isDataComplete(work, sha256)) {  // Under another name.
        ::unlink(part.c_str());
        FetchOrder whole = order;
        whole.sha256 = sha256;
        if (auto there = inCache(work, whole)) return *there;
    }
    TRAINYARD_TRY(removeReadOnlyTree(dataFiles(work, sha256)));
    TRAINYARD_TRY(base::makeDirs(dataFiles(work, sha256)));
    if (::rename(part.c_str(), to.c_str()) != 0) return base::errnoError(errno, "put into place", to);
    TRAINYARD_TRY(sealData(work, sha256, to.filename().string(), 1, bytes, {}));
    return Fetched{sha256, to.string(), bytes, false};
}

}  // namespace

Result<Fetched> fetchData(const wire::WorkLayout& work, const FetchOrder& order, const PrepareProgress& progress) {
    const bool web = order.address.starts_with("http://") || order.address.starts_with("https://");
    const bool clean = std::ranges::all_of(order.address, [](unsigned char c) { return c > 0x20 && c != 0x7f; });
    if (!web || !clean) {
        return base::Error{"input.address", "\"" + base::stripControl(base::toValidUtf8(order.address)) +
                                                "\" is no http or https address."};
    }
    if (!startsHash(order.sha256))
        return base::Error{"input.hash", "The input " + order.name + " has an address, but no SHA-256."};
    if (auto there = inCache(work, order)) return *there;
    TRAINYARD_TRY(base::makeDirs(work.incoming()));
    TRAINYARD_TRY(base::makeDirs(work.data()));
    std::optional<base::FileLock> lock;
    while (!lock) {
        auto taken = base::FileLock::tryExclusive(work.incoming() / (order.sha256 + ".fetch.lock"));
        if (taken.ok()) {
            lock = std::move(taken).value();
        } else if (taken.error().code != "lock.held") {
            return taken.error();
        } else if (!progress("Another run is fetching " + order.name,
                             fileBytes(work.incoming() / (order.sha256 + ".fetch")), 0, "bytes")) {
            return fetchCanceled();
        } else {
            ::poll(nullptr, 0, kFetchLookMillis);
        }
    }
    if (auto there = inCache(work, order)) return *there;  // By who held the lock.
    Download download(work, order, progress);
    const auto hash = download.run();
    if (!hash.ok()) return hash.error();
    if (!order.unpack) return keepFile(work, order, download.part(), *hash);
    auto unpacked = unpackInto(work, order, download.part(), progress);
    if (!unpacked.ok() && unpacked.error().code != "file.full" && unpacked.error().code != "canceled") {
        ::unlink(download.part().c_str());  // It is what its hash says, and of no use.
    }
    return unpacked;
}

MadeRequest serveFetch(ServeContext& context, std::int64_t id, const Json& header, std::string) {
    ServeArguments arguments(header);
    FetchOrder order;
    order.name = base::stripControl(base::toValidUtf8(arguments.reader().string("name"))).substr(0, 200);
    order.address = arguments.reader().string("address");
    order.sha256 = arguments.reader().string("sha256");
    order.unpack = arguments.reader().boolean("unpack");
    order.entry = arguments.reader().string("entry");
    order.only = arguments.reader().strings("only");
    order.bytes = arguments.reader().integer("size", 0);
    if (!startsHash(order.sha256))
        arguments.reader().fail("serve.sha256", "sha256", "\"sha256\" is not 8 to 64 digits of a SHA-256.");
    if (!order.entry.empty() && !isSha256(order.entry))
        arguments.reader().fail("serve.sha256", "entry", "\"entry\" is no content hash.");
    if (order.bytes < 0) arguments.reader().fail("serve.range", "size", "\"size\" must not be negative.");
    TRAINYARD_TRY(arguments.status());
    TRAINYARD_TRY(openWork(context.work));
    return ServeRequestPtr(
        std::make_unique<ServeWorker>(context, id, [&context, order](const ServeWorker::Say& say) -> Result<Json> {
            std::int64_t saidAt = 0;
            std::string saidStage;
            const auto fetched = fetchData(
                context.work, order,
                [&](const std::string& stage, std::int64_t done, std::int64_t total, const char* unit) {
                    const std::int64_t now = base::monotonicNanos();
                    if (stage == saidStage && now - saidAt < kSayNanos) return true;
                    saidAt = now;
                    saidStage = stage;
                    return say(
                        {{"event", "progress"}, {"stage", stage}, {"count", done}, {"total", total}, {"unit", unit}});
                });
            if (!fetched.ok()) return fetched.error();
            return Json{{"entry", fetched->entry},
                        {"path", fetched->path},
                        {"size", fetched->bytes},
                        {"was_there", fetched->wasThere}};
        }));
}

}  // namespace trainyard::agent
