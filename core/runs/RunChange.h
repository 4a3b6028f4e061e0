#pragma once
#include <QFlags>
#include <QList>
#include <QMetaType>

#include "core/base/Ids.h"

namespace trainyard::runs {

/// What of a run became different in the index. Several may be set at once.
enum class RunPart {
    Added = 0x01,
    Removed = 0x02,
    State = 0x04,    ///< State, its reason, attempt, start and end.
    Metrics = 0x08,  ///< New points; last and best values.
    Progress = 0x10,
    Log = 0x20,       ///< New lines.
    Meta = 0x40,      ///< Name, tags, notes, archived.
    Outputs = 0x80,   ///< Files were collected or removed.
    System = 0x100,   ///< New system points of the machine.
    Warning = 0x200,  ///< A warning was added.
};
Q_DECLARE_FLAGS(RunParts, RunPart)
Q_DECLARE_OPERATORS_FOR_FLAGS(RunParts)

struct RunChange {
    base::RunId run;
    RunParts parts;
};

/// Every part that can change while a run is there: said of runs that another process wrote to.
[[nodiscard]] constexpr RunParts anyPart() {
    return RunPart::State | RunPart::Metrics | RunPart::Progress | RunPart::Log | RunPart::Meta | RunPart::Outputs |
           RunPart::System | RunPart::Warning;
}

}  // namespace trainyard::runs

Q_DECLARE_METATYPE(trainyard::runs::RunChange)
Q_DECLARE_METATYPE(QList<trainyard::runs::RunChange>)
