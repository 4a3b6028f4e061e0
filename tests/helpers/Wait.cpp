#include "tests/helpers/Wait.h"

#include <QCoreApplication>
#include <QThread>

#include "core/base/Clock.h"

namespace trainyard::test {

bool waitFor(const std::function<bool()>& condition, int timeoutMillis) {
    // Written for a quiet machine; tests run beside others on slower ones.
    constexpr std::int64_t kPatience = 4;
    const auto deadline = base::Deadline::inMillis(kPatience * timeoutMillis);
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
