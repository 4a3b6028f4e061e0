#include "ui/widgets/VersionLine.h"

#include <QComboBox>
#include <QHBoxLayout>

#include "ui/widgets/Basics.h"

namespace trainyard::ui {

VersionLine::VersionLine(const QString& box, QWidget* parent) : QWidget(parent) {
    auto* line = new QHBoxLayout(this);
    line->setContentsMargins(0, 0, 0, 0);
    line->addWidget(new TextLabel(tr("Version"), TextStyle::Body, Role::Muted, this));
    m_box = new QComboBox(this);
    m_box->setObjectName(box);
    m_box->setAccessibleName(tr("Version"));
    line->addWidget(m_box);
    line->addStretch(1);
    connect(m_box, &QComboBox::activated, this, [this] { Q_EMIT picked(m_box->currentData().toInt()); });
}

void VersionLine::setVersions(const std::vector<int>& versions, int shown) {
    setVisible(versions.size() > 1);
    m_box->clear();
    for (auto one = versions.rbegin(); one != versions.rend(); ++one) {
        m_box->addItem(*one == versions.back() ? tr("%1 (newest)").arg(*one) : QString::number(*one), *one);
        if (*one == shown) m_box->setCurrentIndex(m_box->count() - 1);
    }
}

}  // namespace trainyard::ui
