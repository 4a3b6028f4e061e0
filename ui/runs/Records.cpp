#include "ui/runs/Records.h"

#include <QCoreApplication>
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

#include "core/base/Files.h"
#include "core/store/Reader.h"
#include "ui/forms/JsonRead.h"
#include "ui/runs/Pictures.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Error;
using base::Json;
using base::Result;

namespace {

constexpr std::size_t kMostRecordRows = 50'000;
constexpr std::size_t kMostRecordColumns = 500;
constexpr std::size_t kMostAppendedRecords = 20'000;
constexpr std::size_t kMostMatrixClasses = 2'000;
constexpr std::size_t kMostMatrixSamples = 10'000;
constexpr int kMostRecordCell = 2'000;
constexpr qsizetype kMostRecordText = 1 << 18;

QString recordWords(const char* text) { return QCoreApplication::translate("Records", text); }

RecordContent nothingToSee(const QString& why) {
    RecordContent content;
    content.text = why;
    return content;
}

TableCell recordCell(const Json& value) {
    TableCell cell;
    if (value.is_null()) return cell;
    if (const auto number = base::jsonToNumber(value)) {
        cell.number = *number;
        cell.isNumber = true;
    }
    if (value.is_boolean()) {
        cell.text = value.get<bool>() ? recordWords("true") : recordWords("false");
    } else {
        cell.text =
            fromUtf8(value.is_string() ? value.get<std::string>() : base::dumpJson(value)).left(kMostRecordCell);
    }
    return cell;
}

QStringList recordColumns(const Json& body) {
    QStringList columns;
    for (const Json& one : readArray(body, "columns")) {
        if (columns.size() == static_cast<qsizetype>(kMostRecordColumns)) break;
        columns << (one.is_string() ? fromUtf8(one.get<std::string>()).left(kMostRecordCell)
                                    : fromUtf8(base::dumpJson(one)));
    }
    return columns;
}

void addRecordRows(const Json& body, TableContent& table) {
    for (const Json& row : readArray(body, "rows")) {
        if (!row.is_array()) continue;
        if (table.rows.size() == kMostRecordRows) {
            table.cut = true;
            return;
        }
        std::vector<TableCell> cells;
        for (const Json& value : row) {
            if (cells.size() == kMostRecordColumns) break;
            cells.push_back(recordCell(value));
        }
        // A row may have more cells than there are names.
        while (table.columns.size() < static_cast<qsizetype>(cells.size())) table.columns << QString();
        table.rows.push_back(std::move(cells));
    }
}

/// What the body says as a matrix; nothing when it is none.
std::optional<ConfusionData> confusionOf(const Json& body) {
    ConfusionData data;
    data.classes = recordColumns(body);
    const Json rows = readArray(body, "rows");
    const auto n = static_cast<std::size_t>(data.classes.size());
    if (n == 0 || n > kMostMatrixClasses || rows.size() != n) return std::nullopt;
    data.counts.reserve(n * n);
    for (const Json& row : rows) {
        if (!row.is_array() || row.size() != n) return std::nullopt;
        for (const Json& value : row) {
            const auto number = base::jsonToNumber(value);
            if (!number || !std::isfinite(*number) || *number < 0) return std::nullopt;
            data.counts.push_back(*number);
        }
    }
    for (const Json& one : readArray(body, "samples")) {
        const std::int64_t row = readInteger(one, "row", -1);
        const std::int64_t column = readInteger(one, "column", -1);
        const auto size = static_cast<std::int64_t>(n);
        const QString path = readString(one, "path");
        if (row < 0 || column < 0 || row >= size || column >= size || path.isEmpty()) continue;
        if (data.samples.size() == kMostMatrixSamples) break;
        data.samples.push_back(
            {static_cast<int>(row), static_cast<int>(column), path, readNumber(one, "probability", -1)});
    }
    return data;
}

std::optional<HistogramData> histogramOf(const Json& body) {
    HistogramData data;
    data.step = readInteger(body, "step");
    for (const auto& [key, into] : {std::pair{"edges", &data.edges}, std::pair{"counts", &data.counts}}) {
        for (const Json& value : readArray(body, key)) {
            const auto number = base::jsonToNumber(value);
            if (!number || !std::isfinite(*number)) return std::nullopt;
            into->push_back(*number);
        }
    }
    const bool whole = !data.counts.empty() && data.edges.size() == data.counts.size() + 1 &&
                       std::is_sorted(data.edges.begin(), data.edges.end()) && data.edges.front() < data.edges.back() &&
                       std::all_of(data.counts.begin(), data.counts.end(), [](double count) { return count >= 0; });
    return whole ? std::optional(std::move(data)) : std::nullopt;
}

Result<store::ItemRow> recordAt(store::Reader& reader, const base::RunId& run, const RecordPlace& place) {
    return reader.item(run, place.attempt, place.node, place.seq);
}

/// A table whose rows go on from earlier records of its attempt, put together.
Result<RecordContent> readTableRecord(store::Reader& reader, const base::RunId& run, const RecordSeries& series,
                                      std::size_t index, const Json& last) {
    RecordContent content;
    content.kind = RecordContent::Kind::Table;
    if (readText(last, "type") == "confusion_matrix") {
        if (auto data = confusionOf(last)) {
            content.kind = RecordContent::Kind::Confusion;
            content.confusion = std::move(*data);
        }
    }
    std::vector<Json> bodies{last};
    std::size_t first = index;
    while (readFlag(bodies.back(), "append") && first > 0 && bodies.size() < kMostAppendedRecords &&
           series.places[first - 1].attempt == series.places[index].attempt) {
        auto item = recordAt(reader, run, series.places[first - 1]);
        if (!item) return item.error();
        bodies.push_back(std::move(item->body));
        --first;
    }
    content.table.grew = first == 0 && bodies.size() > 1 && index + 1 == series.places.size();
    content.table.columns = recordColumns(bodies.back());
    std::for_each(bodies.rbegin(), bodies.rend(), [&](const Json& body) { addRecordRows(body, content.table); });
    for (auto& row : content.table.rows) row.resize(static_cast<std::size_t>(content.table.columns.size()));
    if (content.table.columns.isEmpty()) return nothingToSee(recordWords("This table has no columns."));
    return content;
}

Result<RecordContent> readPictureRecord(const Json& body, int node, const base::Path& outputs) {
    RecordContent content;
    QByteArray bytes;
    if (const std::string data = readText(body, "data"); !data.empty()) {
        bytes = QByteArray::fromBase64(QByteArray::fromStdString(data));
    } else {
        const std::string name = readText(body, "path");
        const base::Path path = base::Path(name).lexically_normal();
        if (name.empty() || path.is_absolute() || *path.begin() == "..")
            return nothingToSee(recordWords("This record names no picture inside the run's outputs."));
        const base::Path file = node > 0 ? outputs / ("node-" + std::to_string(node)) / path : outputs / path;
        if (std::error_code gone; !std::filesystem::is_regular_file(file, gone))
            return nothingToSee(
                recordWords("%1 is not here yet: a run's outputs are brought here when it ends.").arg(fromUtf8(name)));
        const auto read = base::readFileRange(file, 0, kMostPictureBytes + 1);
        if (!read) return nothingToSee(fromUtf8(read.error().message));
        bytes = QByteArray::fromStdString(*read);
    }
    auto picture = decodePicture(std::move(bytes));
    if (!picture) return nothingToSee(fromUtf8(picture.error().message));
    content.kind = RecordContent::Kind::Picture;
    content.picture = std::move(*picture);
    return content;
}

QString csvField(QString text) {
    if (!text.contains(u',') && !text.contains(u'"') && !text.contains(u'\n') && !text.contains(u'\r')) return text;
    return u'"' + text.replace(u'"', QStringLiteral("\"\"")) + u'"';
}

}  // namespace

const std::vector<std::string>& recordKinds() {
    static const std::vector<std::string> kinds{"image", "table", "histogram", "text"};
    return kinds;
}

QString RecordSeries::key() const { return fromUtf8(kind + '\n' + name + '\n' + std::to_string(rank)); }

QString RecordSeries::title() const {
    const QString shown = name.empty()              ? recordWords("without a name")
                          : name == "val/classes"   ? recordWords("Figures by class")
                          : name == "val/confusion" ? recordWords("Confusion matrix")
                                                    : fromUtf8(name);
    return severalRanks ? recordWords("%1 · rank %2").arg(shown).arg(rank) : shown;
}

std::vector<RecordSeries> recordSeries(const std::vector<store::ItemRow>& heads, int attempt) {
    const auto orderOf = [](const std::string& kind) {
        return std::find(recordKinds().begin(), recordKinds().end(), kind) - recordKinds().begin();
    };
    std::map<std::tuple<std::ptrdiff_t, std::string, int>, RecordSeries> found;
    for (const store::ItemRow& head : heads) {
        if (attempt > 0 && head.attempt != attempt) continue;
        RecordSeries& series = found[{orderOf(head.kind), head.name, head.rank}];
        series.kind = head.kind;
        series.name = head.name;
        series.rank = head.rank;
        // An attempt that goes on from a checkpoint tells its steps anew.
        while (!series.places.empty() && series.places.back().attempt < head.attempt &&
               series.places.back().step >= head.step)
            series.places.pop_back();
        series.places.push_back({head.step, head.at, head.attempt, head.node, head.seq});
    }
    std::map<std::pair<std::string, std::string>, int> ranks;
    for (const auto& [key, series] : found) ++ranks[{series.kind, series.name}];
    std::vector<RecordSeries> all;
    for (auto& [key, series] : found) {
        series.severalRanks = ranks[{series.kind, series.name}] > 1;
        all.push_back(std::move(series));
    }
    return all;
}

Result<RecordContent> readRecord(store::Reader& reader, const base::RunId& run, const RecordSeries& series,
                                 std::size_t index, const base::Path& outputs) {
    if (index >= series.places.size()) return nothingToSee(recordWords("Nothing was reported under this name."));
    auto item = recordAt(reader, run, series.places[index]);
    if (!item) return item.error();
    const Json& body = item->body;
    Result<RecordContent> content = nothingToSee(recordWords("This record cannot be shown."));
    if (series.kind == "image") {
        content = readPictureRecord(body, item->node, outputs);
    } else if (series.kind == "table") {
        content = readTableRecord(reader, run, series, index, body);
    } else if (series.kind == "histogram") {
        if (auto data = histogramOf(body)) {
            content->kind = RecordContent::Kind::Histogram;
            content->histogram = std::move(*data);
        } else {
            content->text = recordWords("This histogram's counts and edges do not go together.");
        }
    } else if (series.kind == "text") {
        content->kind = RecordContent::Kind::Text;
        content->text = shortLines(readString(body, "text").left(kMostRecordText));
    }
    if (content) content->description = readString(body, "description");
    return content;
}

Result<std::vector<HistogramData>> readHistograms(store::Reader& reader, const base::RunId& run,
                                                  const RecordSeries& series, std::size_t most) {
    std::vector<HistogramData> all;
    const std::size_t count = series.places.size();
    const std::size_t taken = std::min(count, most);
    for (std::size_t i = 0; i < taken; ++i) {
        const std::size_t at = taken == 1 ? count - 1 : i * (count - 1) / (taken - 1);
        auto item = recordAt(reader, run, series.places[at]);
        if (!item) return item.error();
        if (auto data = histogramOf(item->body)) all.push_back(std::move(*data));
    }
    return all;
}

QString csvOf(const TableContent& table, const std::vector<int>& order) {
    QString text;
    QStringList fields;
    for (const QString& column : table.columns) fields << csvField(column);
    text += fields.join(u',') + QStringLiteral("\r\n");
    for (const int row : order) {
        fields.clear();
        for (const TableCell& cell : table.rows[static_cast<std::size_t>(row)]) fields << csvField(cell.text);
        text += fields.join(u',') + QStringLiteral("\r\n");
    }
    return text;
}

}  // namespace trainyard::ui
