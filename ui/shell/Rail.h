#pragma once
#include <QAbstractButton>
#include <QWidget>

#include <vector>

class QVBoxLayout;

namespace trainyard::ui {

/// Icon over label, with a badge for a count.
class RailButton final : public QAbstractButton {
    Q_OBJECT
public:
    RailButton(const QString& iconName, const QString& label, QWidget* parent);
    void setBadge(int count);
    void setCollapsed(bool collapsed);
    [[nodiscard]] QSize sizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;
    void enterEvent(QEnterEvent* event) override;
    void leaveEvent(QEvent* event) override;

private:
    void describe();
    QString m_icon;
    QString m_label;
    int m_badge = 0;
    bool m_collapsed = false;
};

/// The column of pages at the window's leading edge.
class Rail final : public QWidget {
    Q_OBJECT
public:
    explicit Rail(QWidget* parent);
    /// `bottom` entries stand at the foot.
    RailButton* add(const QString& id, const QString& iconName, const QString& label, const QString& shortcut,
                    bool bottom);
    void setCurrent(const QString& id);
    void setBadge(const QString& id, int count);
    void setEntryEnabled(const QString& id, bool enabled);
    void setCollapsed(bool collapsed);
    [[nodiscard]] bool isCollapsed() const { return m_collapsed; }
    /// The workspace's button at the top.
    [[nodiscard]] QAbstractButton* workspaceButton() const { return m_workspace; }
    void setWorkspaceName(const QString& name);

Q_SIGNALS:
    void chosen(const QString& id);
    void workspacePressed();

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    struct Entry {
        QString id;
        RailButton* button;
    };
    [[nodiscard]] RailButton* find(const QString& id) const;
    QVBoxLayout* m_top;
    QVBoxLayout* m_bottom;
    QAbstractButton* m_workspace;
    std::vector<Entry> m_entries;
    bool m_collapsed = false;
};

}  // namespace trainyard::ui
