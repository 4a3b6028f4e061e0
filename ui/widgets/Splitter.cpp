#include "ui/widgets/Splitter.h"

#include <QResizeEvent>

namespace trainyard::ui {

Splitter::Splitter(Qt::Orientation orientation, QWidget* parent) : QSplitter(orientation, parent), m_wide(orientation) {
    setChildrenCollapsible(false);
}

base::Json Splitter::saved() const {
    base::Json list = base::Json::array();
    for (const int size : sizes()) list.push_back(size);
    return list;
}

void Splitter::restore(const base::Json& saved) {
    if (!saved.is_array() || saved.size() != static_cast<std::size_t>(count())) return;
    QList<int> list;
    for (const auto& size : saved) {
        if (!size.is_number_integer() || size.get<int>() < 0) return;
        list << size.get<int>();
    }
    setSizes(list);
}

void Splitter::resizeEvent(QResizeEvent* event) {
    if (m_foldBelow > 0) {
        const Qt::Orientation wanted = event->size().width() < m_foldBelow ? Qt::Vertical : m_wide;
        if (wanted != orientation()) setOrientation(wanted);
    }
    QSplitter::resizeEvent(event);
}

}  // namespace trainyard::ui
