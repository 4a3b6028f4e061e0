#pragma once
// The compute targets of a workspace as objects: one for each name, made when it is first used.
#include <QHash>
#include <QObject>
#include <QString>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/Result.h"
#include "core/spec/TargetSpec.h"
#include "core/targets/LocalTarget.h"
#include "core/targets/Target.h"

namespace trainyard::runs {

inline constexpr const char* kLocalTarget = "local";

/// Lives in the store thread. Targets live as long as their definition is not changed; whoever works with one drops its
/// operations on leaving() and asks for it anew.
class TargetPool : public QObject {
    Q_OBJECT
public:
    /// The newest definition of a name; "target.unknown" without one.
    using Definitions = std::function<base::Result<spec::TargetSpec>(const std::string& name)>;
    using Make =
        std::function<std::unique_ptr<targets::Target>(const spec::TargetSpec&, const targets::LocalTargetOptions&)>;

    TargetPool(targets::LocalTargetOptions local, Definitions definitions, Make make = {});
    ~TargetPool() override;

    /// "local" needs no definition. Errors: "target.unknown", and those of reading the definition.
    [[nodiscard]] base::Result<spec::TargetSpec> definition(const std::string& name) const;
    [[nodiscard]] base::Result<targets::Target*> get(const std::string& name);
    /// Of a target that was made; Unknown otherwise.
    [[nodiscard]] targets::Reach reach(const std::string& name) const;
    /// Names of those that are connected now.
    [[nodiscard]] std::vector<std::string> connected() const;
    /// Was connected at some time since this pool was made.
    [[nodiscard]] bool wasReached(const std::string& name) const { return m_reached.contains(name); }
    /// The definition was written or removed: the object goes (leaving() first) and the next get() makes it anew.
    void changed(const std::string& name);
    /// Nothing or an empty text means no.
    void answer(std::int64_t question, std::optional<std::string> text);

Q_SIGNALS:
    void leaving(const std::string& name);
    void reachChanged(const std::string& name, const trainyard::targets::Reach& reach);
    void asked(std::int64_t question, const trainyard::targets::Question& what);

private:
    targets::LocalTargetOptions m_local;
    Definitions m_definitions;
    Make m_make;
    std::map<std::string, std::unique_ptr<targets::Target>> m_targets;
    struct Asked {
        std::string target;
        targets::AnswerQuestion answer;
    };
    std::map<std::int64_t, Asked> m_questions;
    std::int64_t m_lastQuestion = 0;
    std::set<std::string> m_reached;
};

}  // namespace trainyard::runs

Q_DECLARE_METATYPE(trainyard::targets::Reach)
Q_DECLARE_METATYPE(trainyard::targets::Question)
