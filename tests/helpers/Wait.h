#pragma once
#include <functional>

namespace trainyard::test {

/// Looks at `condition` until it holds or `timeoutMillis` have passed; runs the Qt event loop between the looks when
/// there is a QCoreApplication. Returns whether it held. Use as QVERIFY(waitFor([&] { … }, 5000)).
[[nodiscard]] bool waitFor(const std::function<bool()>& condition, int timeoutMillis = 5000);

}  // namespace trainyard::test
