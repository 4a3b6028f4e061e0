#include "core/environments/Curated.h"

#include <QDir>
#include <QFile>
#include <algorithm>
#include <cassert>
#include <tuple>
#include <utility>

#include "core/base/Json.h"

// Outside every namespace, as Qt wants it: the library is static, and nothing else refers to its resources.
static void loadResources() { Q_INIT_RESOURCE(curated); }

namespace trainyard::environments {

namespace {

std::vector<Curated> readAll() {
    loadResources();
    std::vector<Curated> all;
    const QDir folder(QStringLiteral(":/trainyard-curated"));
    for (const QString& name : folder.entryList({QStringLiteral("*.json")}, QDir::Files, QDir::Name)) {
        QFile file(folder.filePath(name));
        const bool open = file.open(QIODevice::ReadOnly);
        const auto json = base::parseJson(open ? file.readAll().toStdString() : std::string());
        auto spec =
            json.ok() ? spec::environmentSpecFromJson(*json) : base::Result<spec::EnvironmentSpec>(json.error());
        assert(spec.ok());  // A test reads every one of them.
        if (spec.ok()) {
            all.push_back({std::move(*spec), name.section(QLatin1Char('.'), -2, -2).toInt()});
        }
    }
    std::sort(all.begin(), all.end(), [](const Curated& a, const Curated& b) {
        return std::tie(a.spec.name, a.version) < std::tie(b.spec.name, b.version);
    });
    return all;
}

}  // namespace

const std::vector<Curated>& curatedEnvironments() {
    static const std::vector<Curated> all = readAll();
    return all;
}

const Curated* findCurated(const std::string& name, int version) {
    const Curated* found = nullptr;
    for (const Curated& one : curatedEnvironments()) {
        if (one.spec.name == name && (version == 0 || version == one.version)) {
            found = &one;
        }
    }
    return found;
}

bool hasCuratedName(const std::string& name) { return name.starts_with(spec::kCuratedPrefix); }

}  // namespace trainyard::environments
