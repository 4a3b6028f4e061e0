#include "tests/helpers/Wait.h"

#include <QCoreApplication>
#include <QThread>

#include "core/base/Clock.h"

namespace trainyard::test {

bool waitFor(const std::function<bool()>& condition, int timeoutMillis) {
    const auto deadline = base::Deadline::inMillis(timeoutMillis);
    for (;;) {
        if (condition()) {
            return true;
        }
        if (deadline.passed()) {
            return false;
        }
        if (QCoreApplication::instance() != nullptr) {
            QCoreApplication::processEvents(QEventLoop::AllEvents, 10);
        }
        QThread::msleep(2);
    }
}

}  // namespace trainyard::test
