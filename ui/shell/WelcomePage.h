#pragma once
#include "core/commands/Session.h"
#include "ui/shell/Page.h"

class QVBoxLayout;

namespace trainyard::ui {

class InlineError;

/// What stands in the window while no workspace is open: three ways in, and the ones opened before.
class WelcomePage final : public Page {
    Q_OBJECT
public:
    explicit WelcomePage(QWidget* parent);
    [[nodiscard]] QString title() const override { return tr("Welcome"); }
    void setRecent(const std::vector<runs::RecentWorkspace>& recent);
    void setError(const base::Error& error);
    void clearError();
    [[nodiscard]] QWidget* firstFocus() override { return m_sample; }

Q_SIGNALS:
    void samplePressed();
    void createPressed();
    void openPressed();
    void recentPressed(const QString& folder);
    void forgetPressed(const QString& folder);

private:
    InlineError* m_error;
    QWidget* m_sample;
    QWidget* m_recentHead;
    QVBoxLayout* m_recent;
};

}  // namespace trainyard::ui
