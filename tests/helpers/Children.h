#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace trainyard::test {

/// Children and orphaned grandchildren of this process, as "pid command". Zombies are not counted.
[[nodiscard]] std::vector<std::string> liveChildren();

/// From construction on, processes that lose their parent become children of the test, so that a leaked one is
/// seen. In cleanup(): QVERIFY2(guard.noneLeft(3000), guard.report().c_str()).
class ChildGuard {
public:
    ChildGuard();
    /// Waits up to the limit until no child is left; kills and reaps what is left then, and returns false.
    [[nodiscard]] bool noneLeft(int timeoutMillis = 3000);
    /// What was left, a line each.
    [[nodiscard]] const std::string& report() const { return m_report; }

private:
    std::string m_report;
};

}  // namespace trainyard::test
