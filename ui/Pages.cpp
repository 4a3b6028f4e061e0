#include "ui/Pages.h"

#include <QCoreApplication>

#include "ui/datasets/DatasetsPage.h"
#include "ui/environments/EnvironmentsPage.h"
#include "ui/home/HomePage.h"
#include "ui/models/ModelsPage.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/RunPage.h"
#include "ui/runs/RunsPage.h"
#include "ui/targets/TargetsPage.h"
#include "ui/tryit/TryItPage.h"

namespace trainyard::ui {

namespace {

template <class P>
PageEntry entry(const char* id, const char* label, const char* iconName, const QKeySequence& shortcut,
                bool onRail = true) {
    PageEntry made;
    made.id = QString::fromLatin1(id);
    made.label = QCoreApplication::translate("Pages", label);
    made.icon = QString::fromLatin1(iconName);
    made.shortcut = shortcut;
    made.onRail = onRail;
    if (!onRail) made.under = QStringLiteral("runs");
    made.make = [](Shell& shell, QWidget* parent) -> Page* { return new P(shell, parent); };
    return made;
}

}  // namespace

std::vector<PageEntry> allPages() {
    PageEntry run = entry<RunPage>("run", QT_TRANSLATE_NOOP("Pages", "Run"), "runs", {}, false);
    run.under = QStringLiteral("runs");
    PageEntry data = entry<DatasetsPage>("data", QT_TRANSLATE_NOOP("Pages", "Data"), "data", Qt::CTRL | Qt::Key_6);
    data.addressHeads = {QStringLiteral("dataset")};
    PageEntry tryIt = entry<TryItPage>("try", QT_TRANSLATE_NOOP("Pages", "Try it"), "tryit", {}, false);
    tryIt.under = QStringLiteral("models");
    return {entry<HomePage>("home", QT_TRANSLATE_NOOP("Pages", "Home"), "home", Qt::CTRL | Qt::Key_1),
            entry<RunsPage>("runs", QT_TRANSLATE_NOOP("Pages", "Runs"), "runs", Qt::CTRL | Qt::Key_2),
            entry<NewRunPage>("new", QT_TRANSLATE_NOOP("Pages", "New"), "new", Qt::CTRL | Qt::Key_N),
            entry<ModelsPage>("models", QT_TRANSLATE_NOOP("Pages", "Models"), "models", Qt::CTRL | Qt::Key_3),
            std::move(data),
            entry<EnvironmentsPage>("environments", QT_TRANSLATE_NOOP("Pages", "Environments"), "environment",
                                    Qt::CTRL | Qt::Key_5),
            entry<TargetsPage>("targets", QT_TRANSLATE_NOOP("Pages", "Targets"), "target", Qt::CTRL | Qt::Key_4),
            std::move(tryIt),
            std::move(run)};
}

}  // namespace trainyard::ui
