#pragma once
#include "ui/shell/Page.h"

class QTextBrowser;

namespace trainyard::ui {

/// The guide, read in the window: trainyard://help/targets.md.
class HelpPage final : public Page {
    Q_OBJECT
public:
    HelpPage(Shell& shell, QWidget* parent);
    [[nodiscard]] QString title() const override { return tr("Guide"); }
    bool openAddress(const Address& address) override;
    [[nodiscard]] Address address() const override;
    [[nodiscard]] QWidget* firstFocus() override;

private:
    void open(const QString& file);

    QTextBrowser* m_text;
    QAction* m_contents;
    QString m_file;
};

}  // namespace trainyard::ui
