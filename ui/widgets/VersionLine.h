#pragma once
#include <QWidget>

#include <vector>

class QComboBox;

namespace trainyard::ui {

/// The versions of what is shown, the newest first; hidden where there is only one.
class VersionLine : public QWidget {
    Q_OBJECT
public:
    /// `box` names the box.
    VersionLine(const QString& box, QWidget* parent);
    /// `versions` rising.
    void setVersions(const std::vector<int>& versions, int shown);

Q_SIGNALS:
    /// By a person.
    void picked(int version);

private:
    QComboBox* m_box;
};

}  // namespace trainyard::ui
