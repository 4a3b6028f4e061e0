#include "core/agent/Manifest.h"

#include <algorithm>

#include "core/base/Hash.h"
#include "core/base/Text.h"

namespace trainyard::agent {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxWarnings = 20;

struct Finding {
    OutputFile file;
    base::Path full;
};

class Finder {
public:
    explicit Finder(base::Path root) : m_root(std::move(root)) {}

    void walk(Manifest& manifest) {
        std::error_code error;
        fs::recursive_directory_iterator it(m_root, fs::directory_options::none, error);
        if (error) {
            warn(manifest, "The outputs folder cannot be read: " + error.message() + ".");
            return;
        }
        while (it != fs::recursive_directory_iterator()) {
            look(*it, manifest);
            it.increment(error);
            if (error) {
                warn(manifest, "A folder of the outputs cannot be read: " + error.message() + ".");
                break;
            }
        }
        if (m_suppressed > 0) {
            manifest.warnings.push_back("And " + std::to_string(m_suppressed) + " more like these.");
        }
        std::sort(found.begin(), found.end(),
                  [](const Finding& a, const Finding& b) { return a.file.path < b.file.path; });
    }

    std::vector<Finding> found;

private:
    void warn(Manifest& manifest, std::string text) {
        if (manifest.warnings.size() < kMaxWarnings) {
            manifest.warnings.push_back(std::move(text));
        } else {
            ++m_suppressed;
        }
    }

    void look(const fs::directory_entry& entry, Manifest& manifest) {
        std::error_code error;
        const fs::file_status status = entry.symlink_status(error);
        const std::string relative = entry.path().lexically_relative(m_root).generic_string();
        const std::string shown = base::toValidUtf8(relative);
        if (error) {
            warn(manifest, shown + " cannot be looked at: " + error.message() + ".");
        } else if (status.type() == fs::file_type::directory) {
            return;
        } else if (status.type() == fs::file_type::symlink) {
            warn(manifest, shown + " is a link; links are not followed and not kept.");
        } else if (status.type() != fs::file_type::regular) {
            warn(manifest, shown + " is no regular file and is not kept.");
        } else if (!base::isValidUtf8(relative)) {
            warn(manifest, "The name of " + shown + " is no UTF-8; the file is not kept.");
        } else if (found.size() >= kMaxOutputs) {
            warn(manifest,
                 shown + " is beyond the limit of " + std::to_string(kMaxOutputs) + " files and is not kept.");
        } else {
            const std::uintmax_t size = entry.file_size(error);
            found.push_back({{relative, error ? 0 : static_cast<std::int64_t>(size), {}}, entry.path()});
        }
    }

    base::Path m_root;
    std::size_t m_suppressed = 0;
};

}  // namespace

Manifest listOutputs(const base::Path& folder, const std::function<bool(std::int64_t, std::int64_t)>& progress) {
    Manifest manifest;
    Finder finder(folder);
    finder.walk(manifest);
    std::int64_t total = 0;
    for (const Finding& finding : finder.found) total += finding.file.size;
    std::int64_t done = 0;
    for (Finding& finding : finder.found) {
        std::int64_t size = 0;
        auto hash = base::sha256File(finding.full, [&](std::int64_t bytes) {
            size = bytes;
            return !progress || progress(done + bytes, total);
        });
        if (!hash.ok() && hash.error().code == "canceled") {
            manifest.canceled = true;
            return manifest;
        }
        if (!hash.ok()) {
            manifest.warnings.push_back(hash.error().message + " The file is not kept.");
            continue;
        }
        finding.file.size = size;  // What was hashed, whatever the folder said before.
        done += finding.file.size;
        finding.file.sha256 = std::move(hash).value();
        manifest.files.push_back(std::move(finding.file));
    }
    return manifest;
}

base::Json toJson(const std::vector<OutputFile>& files) {
    base::Json list = base::Json::array();
    for (const OutputFile& file : files) {
        base::Json item = base::Json::object();
        item["path"] = file.path;
        item["size"] = file.size;
        item["sha256"] = file.sha256;
        list.push_back(std::move(item));
    }
    return list;
}

}  // namespace trainyard::agent
