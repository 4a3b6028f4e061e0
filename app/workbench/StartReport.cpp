#include "app/workbench/StartReport.h"

#include <QAbstractButton>
#include <QApplication>
#include <QEvent>
#include <QFile>
#include <QTimer>

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <functional>

#include "core/base/Json.h"
#include "core/base/Process.h"
#include "core/store/Reader.h"

namespace trainyard::workbench {
namespace {

constexpr int kGiveUpMillis = 20'000;

/// Since the kernel started this process; its clock ticks a hundred times a second.
double millisSinceStart() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    const auto identity = base::identify(::getpid());
    const double started =
        identity ? static_cast<double>(identity->startTicks) * 1000.0 / static_cast<double>(sysconf(_SC_CLK_TCK)) : 0;
    return static_cast<double>(now.tv_sec) * 1000.0 + static_cast<double>(now.tv_nsec) / 1e6 - started;
}

double residentMiB() {
    QFile status(QStringLiteral("/proc/self/status"));
    if (!status.open(QIODevice::ReadOnly)) return 0;
    for (const QByteArray& line : status.readAll().split('\n')) {
        if (line.startsWith("VmRSS:")) return line.simplified().split(' ').value(1).toDouble() / 1024.0;
    }
    return 0;
}

/// Calls back after the next paint of the window, its children included, was done. (A page itself may get no paint
/// event: its children may cover it.)
class PaintWatch : public QObject {
public:
    PaintWatch(QWidget* widget, std::function<void()> painted) : QObject(widget), m_painted(std::move(painted)) {
        widget->installEventFilter(this);
        widget->update();
    }

protected:
    bool eventFilter(QObject* watched, QEvent* event) override {
        if (event->type() == QEvent::Paint && m_painted) {
            watched->removeEventFilter(this);
            QTimer::singleShot(0, this, [this] {
                const auto painted = std::exchange(m_painted, {});
                painted();
                deleteLater();
            });
        }
        return false;
    }

private:
    std::function<void()> m_painted;
};

}  // namespace

void reportStart(ui::MainWindow& window, commands::Session& session) {
    QTimer::singleShot(kGiveUpMillis, &window, [] {
        std::fputs("trainyard: the first page was not painted in time.\n", stderr);
        QApplication::exit(1);
    });
    QObject::connect(&window, &ui::MainWindow::ready, &window, [&window, &session] {
        const double windowAt = millisSinceStart();
        // Asked after the page asked for its runs, and answered by the same pool: then the page has them, too.
        session.query(
            &window, QStringLiteral("start.report"), [](store::Reader& index) { return index.counts(); },
            [&window, windowAt](const base::Result<store::Counts>& counts) {
                const std::int64_t runs = counts.ok() ? counts.value().all : -1;
                QTimer::singleShot(0, &window, [&window, windowAt, runs] {
                    new PaintWatch(&window, [&window, windowAt, runs] {
                        const double homeAt = millisSinceStart();
                        auto* button = window.findChild<QAbstractButton*>(QStringLiteral("runsRailButton"));
                        if (button != nullptr) button->click();
                        new PaintWatch(&window, [windowAt, homeAt, runs] {
                            const base::Json report{{"benchmark", "startup"},
                                                    {"runs", runs},
                                                    {"workspace_open_ms", windowAt},
                                                    {"home_painted_ms", homeAt},
                                                    {"click_answered_ms", millisSinceStart()},
                                                    {"resident_mib", residentMiB()}};
                            std::printf("%s\n", base::dumpJson(report).c_str());
                            std::fflush(stdout);
                            QApplication::exit(0);
                        });
                    });
                });
            });
    });
}

}  // namespace trainyard::workbench
