#pragma once
#include <QPointer>

#include "core/commands/Command.h"
#include "ui/runs/RunDetail.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {

class Shell;

/// On the page of a run that repeats another: whether it came to the same. Nothing on other pages.
class ReproductionNotice : public InlineError {
    Q_OBJECT

public:
    ReproductionNotice(Shell& shell, QWidget* parent);
    void setDetail(const RunDetail& detail);

private:
    void compare(const std::string& original);
    void tell(const base::Json& comparison);

    Shell& m_shell;
    base::RunId m_run;
    QString m_original;  ///< As people call it: "#12".
    bool m_told = false;
    QPointer<commands::Command> m_command;
};

}  // namespace trainyard::ui
