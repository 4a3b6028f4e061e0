#include "app/workbench/Pages.h"

#include <QCoreApplication>

#include "ui/home/HomePage.h"
#include "ui/runs/NewRunPage.h"
#include "ui/runs/RunPage.h"
#include "ui/runs/RunsPage.h"

namespace trainyard::workbench {
namespace {

template <class P>
ui::PageEntry entry(const char* id, const char* label, const char* icon) {
    ui::PageEntry made;
    made.id = QString::fromLatin1(id);
    made.label = QCoreApplication::translate("Pages", label);
    made.icon = QString::fromLatin1(icon);
    made.make = [](ui::Shell& shell, QWidget* parent) -> ui::Page* { return new P(shell, parent); };
    return made;
}

}  // namespace

std::vector<ui::PageEntry> allPages() {
    std::vector<ui::PageEntry> pages;
    pages.push_back(entry<ui::HomePage>("home", QT_TRANSLATE_NOOP("Pages", "Home"), "home"));
    pages.push_back(entry<ui::RunsPage>("runs", QT_TRANSLATE_NOOP("Pages", "Runs"), "runs"));
    pages.push_back(entry<ui::NewRunPage>("new", QT_TRANSLATE_NOOP("Pages", "New run"), "new"));
    pages.push_back(entry<ui::RunPage>("run", QT_TRANSLATE_NOOP("Pages", "Run"), "chart"));
    pages.back().onRail = false;
    return pages;
}

}  // namespace trainyard::workbench
