#pragma once
#include <QTimer>
#include <QWidget>

#include <functional>

#include "core/base/Result.h"

class QLabel;
class QPushButton;

namespace trainyard::ui {

class ElidedLabel;

/// One line above the status bar: something that happened (goes by itself, may offer Undo) or went wrong (stays).
class NoticeBar final : public QWidget {
    Q_OBJECT
public:
    explicit NoticeBar(QWidget* parent);
    void showNotice(const QString& text, const std::function<void()>& undo);
    void showError(const base::Error& error);

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    void put(const QString& text, bool wrong);
    QLabel* m_icon;
    ElidedLabel* m_text;
    QPushButton* m_undo;
    std::function<void()> m_undoWork;
    QTimer m_timer;
    bool m_wrong = false;
};

}  // namespace trainyard::ui
