#pragma once
#include <QSplitter>

#include "core/base/Json.h"

namespace trainyard::ui {

/// List beside detail. Turns upright by itself when narrower than `foldBelow` (0: never); sizes as JSON for saveState.
class Splitter : public QSplitter {
    Q_OBJECT
public:
    explicit Splitter(Qt::Orientation orientation, QWidget* parent = nullptr);
    void setFoldBelow(int width) { m_foldBelow = width; }
    [[nodiscard]] base::Json saved() const;
    void restore(const base::Json& saved);

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    int m_foldBelow = 0;
    Qt::Orientation m_wide;
};

}  // namespace trainyard::ui
