#pragma once
// What reading a data set gave, kept while nothing of it has changed on disk.
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/Files.h"
#include "core/base/Json.h"
#include "core/engine/Guard.h"
#include "core/engine/data/Dataset.h"
#include "core/engine/data/ImageFolder.h"

namespace trainyard::engine {

/// For one thread. Holds one data set, the last that was asked for.
class KeptData {
public:
    /// True when nothing is kept of this data, or not any more: a folder of it has other entries than when it was read,
    /// an IDX file is another one. A picture that was written over in its place is not noticed here; forget() is for
    /// whoever meets one.
    [[nodiscard]] bool forgetIfChanged(const spec::DatasetSpec& spec);
    void forget();
    /// The kept list of pictures; read by scanImageFolder, with its errors, where none is kept.
    [[nodiscard]] Result<std::shared_ptr<const ImageFolder>> folder(const spec::DatasetSpec& spec, int threads);
    /// The same of IDX files and loadTrainingSet.
    [[nodiscard]] Result<std::shared_ptr<const ImageSet>> samples(const spec::DatasetSpec& spec);

private:
    /// Of a folder or a file: it is another one, or was changed, when these differ.
    struct Stamp {
        base::Path path;
        std::uint64_t number = 0;  ///< Of the inode.
        std::int64_t bytes = 0;
        std::int64_t changed = 0;  ///< Wall clock, ns.
        bool operator==(const Stamp&) const = default;
    };
    [[nodiscard]] static Stamp stampOf(const base::Path& path);
    static void stampFolders(const base::Path& folder, int depth, std::vector<Stamp>& stamps);
    void keep(const spec::DatasetSpec& spec, std::vector<Stamp> stamps, std::int64_t begin);

    base::Json m_key;  ///< Of the specification, all that decides what is read.
    std::vector<Stamp> m_stamps;
    std::shared_ptr<const ImageFolder> m_folder;
    std::shared_ptr<const ImageSet> m_samples;
};

}  // namespace trainyard::engine
