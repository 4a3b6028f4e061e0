#include "ui/shell/Palette.h"

#include <QApplication>
#include <QBoxLayout>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListView>
#include <QPainter>
#include <QStyledItemDelegate>

#include <algorithm>
#include <map>

#include "ui/shell/Icons.h"
#include "ui/shell/Style.h"
#include "ui/shell/Theme.h"
#include "ui/widgets/Basics.h"

namespace trainyard::ui {
namespace {

constexpr int kLimit = 8;  ///< A source's answers.
constexpr int kRow = 38;
constexpr int kHeading = 26;
constexpr int kWidth = 620;

class HitDelegate final : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;

    QSize sizeHint(const QStyleOptionViewItem&, const QModelIndex& index) const override {
        return {100, kRow + (index.data(PaletteModel::FirstOfSectionRole).toBool() ? kHeading : 0)};
    }

    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        const Theme& theme = Theme::current();
        painter->save();
        QRect rect = option.rect;
        const auto mirrored = [&](const QRect& part) {
            return QStyle::visualRect(option.direction, option.rect, part);
        };
        if (index.data(PaletteModel::FirstOfSectionRole).toBool()) {
            QFont font = theme.font(TextStyle::Secondary);
            font.setWeight(QFont::DemiBold);
            painter->setFont(font);
            painter->setPen(theme.color(Role::Muted));
            painter->drawText(mirrored(rect.adjusted(16, 6, -16, -kRow)), Qt::AlignVCenter | Qt::AlignLeading,
                              index.data(PaletteModel::SectionRole).toString());
            rect.setTop(rect.top() + kHeading);
        }
        if (option.state & QStyle::State_Selected) {
            draw::box(*painter, QRectF(rect).adjusted(6, 1, -6, -1), theme.radius(), theme.color(Role::Selection),
                      QColor());
        } else if (option.state & QStyle::State_MouseOver) {
            draw::box(*painter, QRectF(rect).adjusted(6, 1, -6, -1), theme.radius(), theme.color(Role::Hover),
                      QColor());
        }
        draw::icon(*painter, mirrored(QRect(rect.left() + 16, rect.top(), 18, rect.height())),
                   index.data(PaletteModel::IconRole).toString(), Role::Muted, 18);
        const QString shortcut = index.data(PaletteModel::ShortcutRole).toString();
        int end = rect.right() - 16;
        if (!shortcut.isEmpty()) {
            painter->setFont(theme.font(TextStyle::MonoSmall));
            const int width = painter->fontMetrics().horizontalAdvance(shortcut) + 12;
            const QRect key = mirrored(QRect(end - width, rect.center().y() - 9, width, 20));
            draw::box(*painter, key, 4, theme.color(Role::Surface), theme.color(Role::Border));
            painter->setPen(theme.color(Role::Muted));
            painter->drawText(key, Qt::AlignCenter, shortcut);
            end -= width + 8;
        }
        drawTitle(*painter, option, index,
                  mirrored(QRect(rect.left() + 44, rect.top(), end - rect.left() - 44, rect.height())));
        painter->restore();
    }

private:
    /// Matched letters strong; no rich text, since titles hold names from outside.
    static void drawTitle(QPainter& painter, const QStyleOptionViewItem& option, const QModelIndex& index,
                          const QRect& rect) {
        const Theme& theme = Theme::current();
        const QFont plain = theme.font(TextStyle::Body), strong = theme.font(TextStyle::BodyStrong);
        const QList<int> positions = index.data(PaletteModel::PositionsRole).value<QList<int>>();
        const QString title =
            QFontMetrics(strong).elidedText(index.data(Qt::DisplayRole).toString(), Qt::ElideRight, rect.width());
        int x = 0;
        painter.setPen(theme.color(Role::Text));
        const bool leftToRight = option.direction == Qt::LeftToRight && !title.isRightToLeft();
        if (!leftToRight) {
            painter.setFont(plain);
            painter.drawText(rect, Qt::AlignVCenter | Qt::AlignLeading, title);
            x = QFontMetrics(plain).horizontalAdvance(title);
        } else {
            for (qsizetype i = 0; i < title.size();) {
                const bool hit = positions.contains(static_cast<int>(i));
                qsizetype end = i + 1;
                while (end < title.size() && positions.contains(static_cast<int>(end)) == hit) ++end;
                const QString part = title.mid(i, end - i);
                painter.setFont(hit ? strong : plain);
                painter.setPen(theme.color(hit ? Role::Accent : Role::Text));
                painter.drawText(rect.adjusted(x, 0, 0, 0), Qt::AlignVCenter | Qt::AlignLeft, part);
                x += painter.fontMetrics().horizontalAdvance(part);
                i = end;
            }
        }
        const QString detail = index.data(PaletteModel::DetailRole).toString();
        if (detail.isEmpty() || rect.width() - x < 60) return;
        painter.setFont(theme.font(TextStyle::Secondary));
        painter.setPen(theme.color(Role::Muted));
        const QRect room = QStyle::visualRect(option.direction, rect, rect.adjusted(x + 12, 0, 0, 0));
        painter.drawText(room, Qt::AlignVCenter | Qt::AlignLeading,
                         painter.fontMetrics().elidedText(detail, Qt::ElideRight, room.width()));
    }
};

}  // namespace

class Palette::Panel final : public QWidget {
public:
    using QWidget::QWidget;

protected:
    void paintEvent(QPaintEvent*) override {
        QPainter painter(this);
        const Theme& theme = Theme::current();
        draw::box(painter, rect(), 10, theme.color(Role::Raised), theme.color(Role::Border));
    }
};

void PaletteModel::setHits(std::vector<PaletteHit> hits) {
    beginResetModel();
    m_hits = std::move(hits);
    endResetModel();
}

const PaletteHit* PaletteModel::hit(int row) const {
    return row >= 0 && row < rowCount() ? &m_hits[static_cast<std::size_t>(row)] : nullptr;
}

int PaletteModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : static_cast<int>(m_hits.size());
}

QVariant PaletteModel::data(const QModelIndex& index, int role) const {
    const PaletteHit* found = hit(index.row());
    if (found == nullptr) return {};
    switch (role) {
    case Qt::DisplayRole: return found->item.title;
    case Qt::AccessibleTextRole: return QStringLiteral("%1, %2").arg(found->item.title, found->item.section);
    case DetailRole: return found->item.detail;
    case SectionRole: return found->item.section;
    case IconRole: return found->item.icon;
    case ShortcutRole: return found->item.shortcut;
    case PositionsRole: return QVariant::fromValue(found->match.positions);
    case FirstOfSectionRole: {
        const PaletteHit* before = hit(index.row() - 1);
        return before == nullptr || before->item.section != found->item.section;
    }
    default: return {};
    }
}

Palette::Palette(QWidget* window) : QWidget(window), m_panel(new Panel(this)), m_model(new PaletteModel(this)) {
    setObjectName(QStringLiteral("palette"));
    hide();
    auto* column = new QVBoxLayout(m_panel);
    column->setContentsMargins(1, 1, 1, 6);
    column->setSpacing(0);
    m_edit = new QLineEdit(m_panel);
    m_edit->setObjectName(QStringLiteral("paletteEdit"));
    m_edit->setFrame(false);
    m_edit->setPlaceholderText(tr("Type an action, page, run, model or address"));
    m_edit->setAccessibleName(tr("Search actions, pages, runs and models"));
    QFont font = Theme::current().font(TextStyle::Body);
    font.setPixelSize(Theme::current().scaled(15));
    m_edit->setFont(font);
    m_edit->setFixedHeight(Theme::current().scaled(48));
    m_edit->setTextMargins(8, 0, 8, 0);
    m_edit->addAction(ui::icon(QStringLiteral("search"), Role::Muted), QLineEdit::LeadingPosition);
    m_edit->installEventFilter(this);
    QPalette clear = m_edit->palette();
    clear.setColor(QPalette::Base, Qt::transparent);
    m_edit->setPalette(clear);
    column->addWidget(m_edit);
    column->addWidget(new Separator(Qt::Horizontal, m_panel));
    m_list = new QListView(m_panel);
    m_list->setObjectName(QStringLiteral("paletteList"));
    m_list->setAccessibleName(tr("Found"));
    m_list->setModel(m_model);
    m_list->setItemDelegate(new HitDelegate(m_list));
    m_list->setFrameShape(QFrame::NoFrame);
    m_list->setMouseTracking(true);
    m_list->setFocusPolicy(Qt::NoFocus);
    m_list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_list->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    m_list->viewport()->setAutoFillBackground(false);
    connect(m_list, &QListView::clicked, this, [this](const QModelIndex& index) {
        m_list->setCurrentIndex(index);
        runCurrent();
    });
    column->addWidget(m_list, 1);
    auto* nothing = new TextLabel(tr("Nothing found"), TextStyle::Body, Role::Muted, m_panel);
    nothing->setAlignment(Qt::AlignCenter);
    nothing->setFixedHeight(Theme::current().scaled(64));
    m_nothing = nothing;
    column->addWidget(m_nothing);
    connect(m_edit, &QLineEdit::textChanged, this, &Palette::search);
    window->installEventFilter(this);
}

void Palette::openOver(const QString& text) {
    if (!isVisible()) m_focusBefore = QApplication::focusWidget();
    setGeometry(parentWidget()->rect());
    m_edit->setText(text);
    m_edit->selectAll();
    QWidget::show();
    raise();
    m_edit->setFocus();
    search();
}

void Palette::closeUp() {
    if (!isVisible()) return;
    ++m_generation;
    hide();
    if (m_focusBefore) m_focusBefore->setFocus();
}

void Palette::search() {
    if (!isVisible()) return;
    const int generation = ++m_generation;
    m_hits.clear();
    m_model->setHits({});
    const QString query = m_edit->text().trimmed();
    for (const PaletteSource& source : m_sources) {
        source(query, kLimit, [guard = QPointer<Palette>(this), generation](std::vector<PaletteItem> items) {
            if (guard) guard->show(generation, std::move(items));
        });
    }
    arrange();
}

void Palette::show(int generation, std::vector<PaletteItem> items) {
    if (generation != m_generation) return;
    const QString query = m_edit->text().trimmed();
    for (PaletteItem& item : items) {
        auto match = fuzzyMatch(query, item.title);
        // A source may know better than the title shows (a tag, a note), so its answer stays, below what matched.
        m_hits.push_back({std::move(item), match.value_or(FuzzyMatch{-1000, {}})});
    }
    // Sections in the order of their best hit, else as they came; within one, the best first.
    std::map<QString, int> best;
    QStringList order;
    for (const PaletteHit& hit : m_hits) {
        if (!order.contains(hit.item.section)) order << hit.item.section;
    }
    for (const PaletteHit& hit : m_hits) {
        auto [at, added] = best.try_emplace(hit.item.section, hit.match.score);
        if (!added) at->second = std::max(at->second, hit.match.score);
    }
    std::stable_sort(m_hits.begin(), m_hits.end(), [&best, &order](const PaletteHit& a, const PaletteHit& b) {
        if (a.item.section != b.item.section) {
            const int sa = best[a.item.section], sb = best[b.item.section];
            return sa != sb ? sa > sb : order.indexOf(a.item.section) < order.indexOf(b.item.section);
        }
        return a.match.score > b.match.score;
    });
    m_model->setHits(m_hits);
    m_list->setCurrentIndex(m_model->index(0));
    arrange();
}

void Palette::arrange() {
    int height = 0;
    for (int row = 0; row < m_model->rowCount(); ++row) {
        height += kRow + (m_model->index(row).data(PaletteModel::FirstOfSectionRole).toBool() ? kHeading : 0);
    }
    m_list->setVisible(height > 0);
    m_nothing->setVisible(height == 0);
    const int width = std::min(kWidth, this->width() - 32);
    const int most = std::max(160, this->height() - 140);
    m_panel->setGeometry((this->width() - width) / 2, 64, width, std::min(most, 57 + std::max(64, height)));
}

void Palette::runCurrent() {
    const QString text = m_edit->text().trimmed();
    const PaletteHit* hit = m_model->hit(m_list->currentIndex().row());
    if (text.startsWith(QStringLiteral("trainyard://"), Qt::CaseInsensitive)) {
        if (m_openAddress && m_openAddress(text)) closeUp();
        return;
    }
    if (hit == nullptr) return;
    const auto run = hit->item.run;
    m_focusBefore.clear();
    closeUp();
    if (run) run();
}

void Palette::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    QColor shade = Theme::current().color(Role::Shadow);
    shade.setAlphaF(Theme::current().isDark() ? 0.55F : 0.25F);
    painter.fillRect(rect(), shade);
    for (int i = 12; i > 0; i -= 2) {
        QColor soft = Theme::current().color(Role::Shadow);
        soft.setAlphaF(0.02F);
        draw::box(painter, QRectF(m_panel->geometry()).adjusted(-i, -i + 4, i, i + 4), 10 + i, soft, QColor());
    }
}

void Palette::mousePressEvent(QMouseEvent*) { closeUp(); }

bool Palette::eventFilter(QObject* watched, QEvent* event) {
    if (watched == parentWidget()) {
        if (event->type() == QEvent::Resize && isVisible()) {
            setGeometry(parentWidget()->rect());
            arrange();
        }
        return false;
    }
    if (watched != m_edit || event->type() != QEvent::KeyPress) return QWidget::eventFilter(watched, event);
    const auto* key = static_cast<QKeyEvent*>(event);
    const int rows = m_model->rowCount();
    const auto move = [&](int by) {
        if (rows == 0) return;
        m_list->setCurrentIndex(m_model->index((m_list->currentIndex().row() + by + rows) % rows));
    };
    switch (key->key()) {
    case Qt::Key_Escape: closeUp(); return true;
    case Qt::Key_Tab:
    case Qt::Key_Down: move(1); return true;
    case Qt::Key_Backtab:
    case Qt::Key_Up: move(-1); return true;
    case Qt::Key_PageDown: move(std::min(5, rows - 1 - m_list->currentIndex().row())); return true;
    case Qt::Key_PageUp: move(-std::min(5, m_list->currentIndex().row())); return true;
    case Qt::Key_Return:
    case Qt::Key_Enter: runCurrent(); return true;
    default: return false;
    }
}

}  // namespace trainyard::ui
