#pragma once
// What a run reported beside numbers, as its page browses it: series of pictures, tables, histograms and texts by name,
// and one record read whole. The reading functions are called in pool threads.
#include <QImage>
#include <QStringList>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/store/Types.h"
#include "ui/charts/ConfusionMatrix.h"
#include "ui/charts/HistogramChart.h"

namespace trainyard::store {
class Reader;
}

namespace trainyard::ui {

/// Kinds of records that the tab shows.
[[nodiscard]] const std::vector<std::string>& recordKinds();

struct RecordPlace {
    std::int64_t step = 0;
    std::int64_t at = 0;
    int attempt = 1;
    int node = 0;
    std::int64_t seq = 0;
    bool operator==(const RecordPlace&) const = default;
};

/// Records of one kind and name from one rank, oldest first.
struct RecordSeries {
    std::string kind;
    std::string name;
    int rank = 0;
    bool severalRanks = false;  ///< Others report under the same name.
    std::vector<RecordPlace> places;

    [[nodiscard]] QString key() const;
    [[nodiscard]] QString title() const;
    bool operator==(const RecordSeries&) const = default;
};

/// `attempt` 0: all attempts, without what an older one told at or after the first step of a later one, for it was told
/// anew. Sorted by kind and name.
[[nodiscard]] std::vector<RecordSeries> recordSeries(const std::vector<store::ItemRow>& heads, int attempt);

struct TableCell {
    QString text;
    double number = std::numeric_limits<double>::quiet_NaN();
    bool isNumber = false;
};

struct TableContent {
    QStringList columns;
    std::vector<std::vector<TableCell>> rows;  ///< Each as long as `columns`.
    bool cut = false;                          ///< There were more rows than are shown.
    bool grew = false;                         ///< Put together of all records up to this one.
};

/// Rows in the order given, as RFC 4180 has them; numbers in full.
[[nodiscard]] QString csvOf(const TableContent& table, const std::vector<int>& order);

struct RecordContent {
    enum class Kind { Nothing, Picture, Table, Confusion, Histogram, Text };
    Kind kind = Kind::Nothing;
    QString text;         ///< Of Text; of Nothing why there is nothing to see.
    QString description;  ///< The script's own words.
    QImage picture;
    TableContent table;  ///< Of a confusion matrix too.
    ConfusionData confusion;
    HistogramData histogram;
};

/// `outputs`: the run's collected outputs.
[[nodiscard]] base::Result<RecordContent> readRecord(store::Reader& reader, const base::RunId& run,
                                                     const RecordSeries& series, std::size_t index,
                                                     const base::Path& outputs);
/// Of at most `most` records of a series, evenly taken, the last among them; those that cannot be read are left out.
[[nodiscard]] base::Result<std::vector<HistogramData>> readHistograms(store::Reader& reader, const base::RunId& run,
                                                                      const RecordSeries& series, std::size_t most);

}  // namespace trainyard::ui
