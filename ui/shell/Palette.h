#pragma once
#include <QAbstractListModel>
#include <QWidget>

#include <functional>
#include <vector>

#include "ui/shell/Fuzzy.h"
#include "ui/shell/Shell.h"

class QLineEdit;
class QListView;

namespace trainyard::ui {

/// One found line of the palette.
struct PaletteHit {
    PaletteItem item;
    FuzzyMatch match;
};

class PaletteModel final : public QAbstractListModel {
    Q_OBJECT
public:
    enum Roles {
        DetailRole = Qt::UserRole + 1,
        SectionRole,
        IconRole,
        ShortcutRole,
        PositionsRole,
        FirstOfSectionRole
    };
    using QAbstractListModel::QAbstractListModel;
    void setHits(std::vector<PaletteHit> hits);
    [[nodiscard]] const PaletteHit* hit(int row) const;
    [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
    [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;

private:
    std::vector<PaletteHit> m_hits;
};

/// The command palette: an overlay of the window with a line to type in and what it finds. Ctrl+K opens, Escape closes,
/// Enter runs. Sources may answer late; what they answer for an older query is dropped.
class Palette final : public QWidget {
    Q_OBJECT
public:
    explicit Palette(QWidget* window);
    void addSource(PaletteSource source) { m_sources.push_back(std::move(source)); }
    void clearSources() { m_sources.clear(); }
    void openOver(const QString& text = {});
    void closeUp();
    /// Called with text that is an address; true when it was opened.
    void setAddressHandler(std::function<bool(const QString&)> handler) { m_openAddress = std::move(handler); }

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    void search();
    void show(int generation, std::vector<PaletteItem> items);
    void arrange();
    void runCurrent();
    class Panel;
    Panel* m_panel;
    QLineEdit* m_edit;
    QListView* m_list;
    PaletteModel* m_model;
    QWidget* m_nothing;
    std::vector<PaletteSource> m_sources;
    std::vector<PaletteHit> m_hits;
    std::function<bool(const QString&)> m_openAddress;
    QPointer<QWidget> m_focusBefore;
    int m_generation = 0;
};

}  // namespace trainyard::ui
