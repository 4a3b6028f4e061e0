#include "ui/datasets/AugmentPanel.h"

#include <QHBoxLayout>
#include <QHelpEvent>
#include <QPainter>
#include <QPainterPath>
#include <QThreadPool>
#include <QToolTip>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/commands/EngineServer.h"
#include "core/commands/Session.h"
#include "ui/forms/FormDocument.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr int kDrawPauseMillis = 150;  // Of typing; a draw itself takes less.
constexpr int kPairsShown = 6;
constexpr int kLeastPair = 150;  // Logical pixels, before the text's scale.
constexpr int kMostPairSide = 116;
constexpr int kPairGap = 4;
constexpr int kPairSpacing = 12;
/// Pixels of a small picture stay squares when they are enlarged at least so much.
constexpr int kPixelsFrom = 3;

QString pairText(const char* source) { return QCoreApplication::translate("trainyard::ui::SamplePairs", source); }

QString changeInWords(const Json& change) {
    QStringList parts;
    const std::int64_t dx = readInteger(change, "dx");
    const std::int64_t dy = readInteger(change, "dy");
    if (dx != 0 || dy != 0)
        parts << pairText(QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "shifted by %1, %2")).arg(dx).arg(dy);
    if (readFlag(change, "flip")) parts << pairText(QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "flipped"));
    if (readFlag(change, "vertical_flip"))
        parts << pairText(QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "upside down"));
    if (const double turn = readNumber(change, "rotation"); turn != 0)
        parts << pairText(QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "turned by %1°")).arg(turn, 0, 'f', 1);
    const std::pair<const char*, const char*> factors[] = {
        {"brightness", QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "brightness × %1")},
        {"contrast", QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "contrast × %1")},
        {"saturation", QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "saturation × %1")}};
    for (const auto& [key, text] : factors) {
        if (const double factor = readNumber(change, key, 1); factor != 1)
            parts << pairText(text).arg(factor, 0, 'f', 2);
    }
    if (const double share = readNumber(change, "hue"); share != 0)
        parts << pairText(QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "hue turned by %1°"))
                     .arg(share * 360, 0, 'f', 0);
    if (!readObject(change, "erased").empty())
        parts << pairText(QT_TRANSLATE_NOOP("trainyard::ui::SamplePairs", "a part erased"));
    return parts.join(QStringLiteral(", "));
}

QImage imageOf(const Json& sample, const char* key) {
    const std::string text = readText(sample, key);
    const QByteArray bytes =
        QByteArray::fromBase64(QByteArray::fromRawData(text.data(), static_cast<qsizetype>(text.size())));
    QImage image;
    image.loadFromData(bytes, "PNG");
    return image;
}

/// Any thread.
std::vector<SamplePairs::Pair> pairsOf(const Json& samples) {
    std::vector<SamplePairs::Pair> pairs;
    for (const Json& sample : samples) {
        SamplePairs::Pair pair;
        pair.original = imageOf(sample, "original");
        pair.changed = imageOf(sample, "augmented");
        pair.label = readString(sample, "label");
        pair.file = readString(sample, "file");
        pair.problem = readString(sample, "problem");
        const Json change = readObject(sample, "change");
        pair.change = changeInWords(change);
        const Json whole = readObject(sample, "size");
        const double width = readNumber(whole, "width");
        const double height = readNumber(whole, "height");
        if (const Json box = readObject(change, "box"); !box.empty() && width > 0 && height > 0) {
            pair.part = QRectF(readNumber(box, "left") / width, readNumber(box, "top") / height,
                               readNumber(box, "width") / width, readNumber(box, "height") / height);
        }
        pairs.push_back(std::move(pair));
    }
    return pairs;
}

}  // namespace

SamplePairs::SamplePairs(QWidget* parent) : QWidget(parent) {
    QSizePolicy policy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    policy.setHeightForWidth(true);
    setSizePolicy(policy);
    setAccessibleName(tr("Samples, each before and after its augmentation"));
}

void SamplePairs::setPairs(std::vector<Pair> pairs) {
    m_pairs = std::move(pairs);
    QStringList lines;
    for (const Pair& pair : m_pairs)
        lines << pair.label + QStringLiteral(": ") + (pair.problem.isEmpty() ? pair.change : pair.problem);
    setAccessibleDescription(lines.join(QStringLiteral("; ")));
    updateGeometry();
    update();
}

void SamplePairs::setOutdated(bool outdated) {
    if (std::exchange(m_outdated, outdated) != outdated) update();
}

SamplePairs::Shape SamplePairs::shapeFor(int width) const {
    const Theme& theme = Theme::current();
    Shape shape;
    const int least = theme.scaled(kLeastPair);
    shape.columns = std::clamp((width + kPairSpacing) / (least + kPairSpacing), 1, kPairsShown);
    shape.pairWidth = (width - (shape.columns - 1) * kPairSpacing) / shape.columns;
    shape.side = std::clamp((shape.pairWidth - kPairGap) / 2, 16, theme.scaled(kMostPairSide));
    shape.pairWidth = std::min(shape.pairWidth, 2 * shape.side + kPairGap);
    shape.rowHeight = shape.side + QFontMetrics(theme.font(TextStyle::Secondary)).height() + theme.space(2);
    return shape;
}

int SamplePairs::heightForWidth(int width) const {
    const Shape shape = shapeFor(width);
    const int count = static_cast<int>(m_pairs.size());
    return (count + shape.columns - 1) / shape.columns * shape.rowHeight;
}

QSize SamplePairs::sizeHint() const {
    const int width = 2 * Theme::current().scaled(kLeastPair) + kPairSpacing;
    return {width, heightForWidth(width)};
}

QSize SamplePairs::minimumSizeHint() const {
    constexpr int kNarrowest = 120;
    return {kNarrowest, m_pairs.empty() ? 0 : heightForWidth(std::max(kNarrowest, width()))};
}

QRect SamplePairs::pairRect(int index) const {
    const Shape shape = shapeFor(width());
    const int column = index % shape.columns;
    const int left = column * (shape.pairWidth + kPairSpacing);
    const int x = isRightToLeft() ? width() - left - shape.pairWidth : left;
    return {x, index / shape.columns * shape.rowHeight, shape.pairWidth, shape.rowHeight};
}

void SamplePairs::paintPair(QPainter& painter, const Pair& pair, const QRect& area, int side) const {
    const Theme& theme = Theme::current();
    const bool fromRight = isRightToLeft();
    const QRectF first(fromRight ? area.right() + 1 - side : area.left(), area.top(), side, side);
    const QRectF second = first.translated((fromRight ? -1 : 1) * (side + kPairGap), 0);
    const auto frame = [&](const QRectF& square, const QImage& image) {
        QPainterPath clip;
        clip.addRoundedRect(square.adjusted(0.5, 0.5, -0.5, -0.5), theme.smallRadius(), theme.smallRadius());
        painter.fillPath(clip, theme.color(Role::Sunken));
        QRectF place;
        if (!image.isNull()) {
            const QSizeF size = QSizeF(image.size()).scaled(square.size(), Qt::KeepAspectRatio);
            place = QRectF(square.center() - QPointF(size.width() / 2, size.height() / 2), size);
            painter.save();
            painter.setClipPath(clip);
            painter.setRenderHint(QPainter::SmoothPixmapTransform, size.width() < kPixelsFrom * image.width());
            painter.drawImage(place, image);
            painter.restore();
        }
        painter.setPen(QPen(theme.color(Role::Border), 1));
        painter.setBrush(Qt::NoBrush);
        painter.drawPath(clip);
        return place;
    };
    const QRectF whole = frame(first, pair.original);
    if (!pair.part.isNull() && !whole.isNull()) {
        QRectF part(whole.left() + pair.part.left() * whole.width(), whole.top() + pair.part.top() * whole.height(),
                    pair.part.width() * whole.width(), pair.part.height() * whole.height());
        part = part.adjusted(1, 1, -1, -1).intersected(first.adjusted(1, 1, -1, -1));
        // On any picture: a light line within a dark one.
        painter.setPen(QPen(QColor(0, 0, 0, 150), 3));
        painter.drawRect(part);
        painter.setPen(QPen(Qt::white, 1));
        painter.drawRect(part);
    }
    frame(second, pair.changed);
    painter.setFont(theme.font(TextStyle::Secondary));
    if (!pair.problem.isEmpty()) {
        painter.setPen(theme.color(Role::Danger));
        painter.drawText(second.adjusted(4, 4, -4, -4), Qt::AlignCenter | Qt::TextWordWrap, tr("cannot be read"));
    }
    painter.setPen(theme.color(Role::Muted));
    const QRectF caption(area.left(), area.top() + side + 2, area.width(), area.height() - side - 2);
    painter.drawText(caption, Qt::AlignTop | (fromRight ? Qt::AlignRight : Qt::AlignLeft),
                     painter.fontMetrics().elidedText(pair.label, Qt::ElideRight, area.width()));
}

void SamplePairs::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    if (m_outdated) painter.setOpacity(0.45);
    const int side = shapeFor(width()).side;
    for (int i = 0; i < static_cast<int>(m_pairs.size()); ++i)
        paintPair(painter, m_pairs[static_cast<std::size_t>(i)], pairRect(i), side);
}

bool SamplePairs::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        const auto* help = static_cast<QHelpEvent*>(event);
        for (int i = 0; i < static_cast<int>(m_pairs.size()); ++i) {
            if (!pairRect(i).contains(help->pos())) continue;
            const Pair& pair = m_pairs[static_cast<std::size_t>(i)];
            QStringList lines{pair.file.isEmpty() ? pair.label : pair.file};
            if (!pair.problem.isEmpty()) lines << pair.problem;
            if (!pair.change.isEmpty() && pair.problem.isEmpty()) lines << pair.change;
            QToolTip::showText(help->globalPos(),
                               lines.join(u'\n').toHtmlEscaped().replace(u'\n', QStringLiteral("<br>")), this);
            return true;
        }
        QToolTip::hideText();
        return true;
    }
    return QWidget::event(event);
}

AugmentPanel::AugmentPanel(Shell& shell, FormDocument& document, QWidget* parent)
    : QWidget(parent), m_shell(shell), m_document(document), m_pool(new QThreadPool(this)) {
    m_pool->setMaxThreadCount(1);
    setObjectName(QStringLiteral("augmentPanel"));
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, theme.space(1), 0, 0);
    column->setSpacing(theme.space(1));
    m_title = new TextLabel(tr("Samples as training gets them, each beside its original"), TextStyle::Secondary,
                            Role::Muted, this);
    m_title->setWordWrap(true);
    column->addWidget(m_title);
    m_pairs = new SamplePairs(this);
    m_pairs->setObjectName(QStringLiteral("augmentPairs"));
    column->addWidget(m_pairs);
    m_error = new InlineError(this);
    m_error->setObjectName(QStringLiteral("augmentError"));
    m_error->clear();
    column->addWidget(m_error);
    m_told = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_told->setObjectName(QStringLiteral("augmentToldLabel"));
    m_told->setWordWrap(true);
    column->addWidget(m_told);
    m_links = new QWidget(this);
    auto* line = new QHBoxLayout(m_links);
    line->setContentsMargins(0, 0, 0, 0);
    line->setSpacing(theme.space(3));
    m_again = new LinkButton(tr("Another draw"), m_links);
    m_again->setObjectName(QStringLiteral("augmentAgainLink"));
    m_again->setToolTip(tr("The same samples as the next epoch gets them"));
    m_others = new LinkButton(tr("Other samples"), m_links);
    m_others->setObjectName(QStringLiteral("augmentOthersLink"));
    line->addWidget(m_again);
    line->addWidget(m_others);
    line->addStretch(1);
    column->addWidget(m_links);

    m_pause.setSingleShot(true);
    m_pause.setInterval(kDrawPauseMillis);
    connect(&m_pause, &QTimer::timeout, this, &AugmentPanel::draw);
    connect(m_again, &LinkButton::clicked, this, [this] {
        m_epoch = m_epoch < std::numeric_limits<std::int32_t>::max() ? m_epoch + 1 : 1;
        refresh();
    });
    connect(m_others, &LinkButton::clicked, this, [this] {
        m_skip = (m_skip + kPairsShown) % std::numeric_limits<std::int32_t>::max();
        refresh();
    });
    connect(&m_document, &FormDocument::documentReplaced, this, &AugmentPanel::follow);
    connect(&m_document, &FormDocument::documentEdited, this, &AugmentPanel::follow);
    // The newest version of a named data set may be another one now.
    connect(shell.session(), &commands::Session::datasetsChanged, this, [this] {
        m_data.clear();
        m_shown.clear();
        follow();
    });
    follow();
}

AugmentPanel::~AugmentPanel() {
    rest();
    m_pool->waitForDone();
}

void AugmentPanel::follow() {
    const Json task = readObject(m_document.document(), "task");
    const Json dataset = readObject(task, "dataset");
    const bool folder = readText(dataset, "kind") == "images";
    const bool trains = readText(task, "kind") != "command";
    setVisible(trains && (folder || readFlag(task, "augment")));
    QString state;
    if (trains && !readText(dataset, folder ? "folder" : "train_images").empty()) {
        Json hangsOn = Json::array({dataset});
        for (const char* key : {"augmentation", "augment", "normalize", "seed"})
            hangsOn.push_back(task.value(key, Json()));
        state = fromUtf8(base::dumpJson(hangsOn));
    }
    if (state == m_data && !state.isEmpty()) return;
    m_data = state;
    refresh();
}

void AugmentPanel::refresh() {
    m_wanted = m_data.isEmpty() ? QString() : QStringLiteral("%1 %2 %3").arg(m_epoch).arg(m_skip).arg(m_data);
    drop();
    m_links->setVisible(!m_data.isEmpty());
    if (m_data.isEmpty()) {
        m_shown.clear();
        m_pairs->setPairs({});
        m_error->clear();
        m_told->setText(tr("Choose data, and some of its samples are shown here."));
        return;
    }
    m_pairs->setOutdated(true);
    m_told->setText(tr("Drawing…"));
    if (isVisible()) m_pause.start();
}

void AugmentPanel::drop() {
    m_pause.stop();
    if (m_command) m_command->cancel();
    m_command = nullptr;
}

void AugmentPanel::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    if (isDrawing() && !m_command) m_pause.start();
}

void AugmentPanel::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    // What nobody sees is not drawn; it is when it comes into sight again.
    rest();
}

void AugmentPanel::rest() {
    drop();
    if (m_session) commands::EngineServer::release(*m_session, commands::EngineServer::Kind::Samples);
}

void AugmentPanel::draw() {
    if (m_wanted.isEmpty() || m_command || !m_shell.session()) return;
    m_session = m_shell.session();
    m_command = m_session->start(
        "dataset.preview",
        {{"spec", m_document.document()}, {"epoch", m_epoch}, {"count", kPairsShown}, {"skip", m_skip}});
    connect(m_command, &commands::Command::progressed, this,
            [this, command = m_command.data()](const commands::CommandProgress& progress) {
                if (command == m_command && !progress.text.empty())
                    m_told->setText(tr("%1…").arg(fromUtf8(progress.text)));
            });
    connect(m_command, &commands::Command::finished, this, [this, of = m_wanted](const Result<Json>& result) {
        if (of != m_wanted || (!result && result.error().code == "canceled")) return;
        m_command = nullptr;
        if (result) {
            take(*result);
        } else {
            fail(result.error());
        }
    });
}

void AugmentPanel::take(const Json& answer) {
    m_pool->start([this, of = m_wanted, answer] {
        std::vector<SamplePairs::Pair> pairs = pairsOf(readArray(answer, "samples"));
        // The destructor waits for the pool, so the panel is there while this runs.
        QMetaObject::invokeMethod(
            this,
            [this, of, answer, pairs = std::move(pairs)]() mutable {
                if (of == m_wanted) present(std::move(pairs), answer);
            },
            Qt::QueuedConnection);
    });
}

void AugmentPanel::present(std::vector<SamplePairs::Pair> pairs, const Json& answer) {
    m_shown = m_wanted;
    m_error->clear();
    m_pairs->setPairs(std::move(pairs));
    m_pairs->setOutdated(false);
    m_told->setText(tr("As epoch %1 with seed %2 gets them; each epoch draws anew.")
                        .arg(readInteger(answer, "epoch"))
                        .arg(readInteger(answer, "seed")));
}

void AugmentPanel::fail(const base::Error& error) {
    m_shown = m_wanted;
    m_pairs->setPairs({});
    m_pairs->setOutdated(false);
    m_told->setText({});
    if (error.code == "preview.elsewhere") {
        m_error->setMessage(InlineError::Kind::Info, fromUtf8(error.message));
        m_error->setRemedy({}, {});
        m_links->hide();
        return;
    }
    m_error->setError(error);
    m_error->setRemedy(tr("Try again"), [this] {
        m_shown.clear();
        refresh();
    });
}

}  // namespace trainyard::ui
