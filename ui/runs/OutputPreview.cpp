#include "ui/runs/OutputPreview.h"

#include <QLabel>
#include <QPlainTextEdit>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <fstream>

#include "core/base/Json.h"
#include "core/commands/Session.h"
#include "core/store/Reader.h"
#include "ui/runs/Pictures.h"
#include "ui/widgets/Basics.h"
#include "ui/widgets/Format.h"
#include "ui/widgets/Tables.h"

namespace trainyard::ui {

using base::Result;

namespace {

constexpr std::int64_t kMostText = 256 << 10;
constexpr int kMostRows = 500;
constexpr int kMostColumns = 50;
constexpr int kMostCell = 500;

/// The file's beginning.
std::string head(const base::Path& file, std::int64_t most) {
    std::ifstream in(file, std::ios::binary);
    std::string bytes(static_cast<std::size_t>(most), '\0');
    in.read(bytes.data(), most);
    bytes.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
    return bytes;
}

/// Fields of one line of CSV, quotes understood.
QStringList fieldsOf(const QString& line) {
    QStringList fields;
    QString field;
    bool quoted = false;
    for (qsizetype i = 0; i < line.size(); ++i) {
        const QChar c = line[i];
        if (quoted && c == u'"' && i + 1 < line.size() && line[i + 1] == u'"') {
            field += c;
            ++i;
        } else if (c == u'"') {
            quoted = !quoted;
        } else if (c == u',' && !quoted) {
            fields << field;
            field.clear();
        } else {
            field += c;
        }
    }
    return fields << field;
}

}  // namespace

OutputPreview::Content OutputPreview::read(const base::Path& file, const QString& name) {
    Content content;
    const std::string bytes = head(file, kMostText + 1);
    const QByteArray start(bytes.data(), static_cast<qsizetype>(std::min<std::size_t>(bytes.size(), 64)));
    if (looksLikePicture(start) && !name.endsWith(u".svg", Qt::CaseInsensitive)) {
        auto picture = decodePicture(QByteArray::fromStdString(head(file, kMostPictureBytes + 1)));
        if (picture) {
            content.kind = Content::Kind::Picture;
            content.picture = std::move(*picture);
        } else {
            content.text = fromUtf8(picture.error().message);
        }
        return content;
    }
    content.cut = static_cast<std::int64_t>(bytes.size()) > kMostText;
    const std::string_view shown = std::string_view(bytes).substr(0, static_cast<std::size_t>(kMostText));
    if (shown.find('\0') != std::string_view::npos) {
        content.text = tr("This file holds no text; copy it to a folder to open it with a program of its kind.");
        return content;
    }
    content.kind = Content::Kind::Text;
    content.text = fromUtf8(shown);
    if (name.endsWith(u".json", Qt::CaseInsensitive) && !content.cut) {
        if (const auto json = base::parseJson(bytes)) content.text = fromUtf8(base::dumpJsonPretty(*json));
    } else if (name.endsWith(u".csv", Qt::CaseInsensitive)) {
        const QStringList lines = content.text.split(u'\n', Qt::SkipEmptyParts);
        for (const QString& line : lines) {
            if (content.rows.size() > kMostRows) {
                content.cut = true;
                break;
            }
            QStringList fields = fieldsOf(line.endsWith(u'\r') ? line.chopped(1) : line).mid(0, kMostColumns);
            for (QString& field : fields) field = shortLines(field, kMostCell);
            content.rows << fields;
        }
        if (!content.rows.isEmpty()) content.kind = Content::Kind::Table;
    }
    content.text = shortLines(content.text);
    return content;
}

OutputPreview::OutputPreview(commands::Session& session, QWidget* parent) : QWidget(parent), m_session(session) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(2), 0, 0, 0);
    column->setSpacing(theme.space(1));
    m_title = new ElidedLabel({}, TextStyle::BodyStrong, Role::Text, this);
    m_note = new TextLabel({}, TextStyle::Secondary, Role::Muted, this);
    m_note->setObjectName(QStringLiteral("previewNoteLabel"));
    m_note->setWordWrap(true);
    m_note->setAlignment(Qt::AlignTop | Qt::AlignLeading);
    m_text = new QPlainTextEdit(this);
    m_text->setObjectName(QStringLiteral("previewText"));
    m_text->setReadOnly(true);
    m_text->setLineWrapMode(QPlainTextEdit::NoWrap);
    m_text->setFont(theme.font(TextStyle::MonoSmall));
    m_text->setTabChangesFocus(true);
    m_text->setAccessibleName(tr("Content of the file"));
    m_table = new QTableWidget(this);
    m_table->setObjectName(QStringLiteral("previewTable"));
    styleTable(m_table, tr("Content of the file"));
    m_table->setItemDelegate(new CellDelegate(m_table));
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_picture = new QLabel(this);
    m_picture->setObjectName(QStringLiteral("previewPicture"));
    m_picture->setAlignment(Qt::AlignTop | Qt::AlignHCenter);
    m_picture->setMinimumSize(80, 80);
    m_picture->setAccessibleName(tr("The picture"));
    column->addWidget(m_title);
    column->addWidget(m_note);
    column->addWidget(m_text, 1);
    column->addWidget(m_table, 1);
    column->addWidget(m_picture, 1);
    clear(tr("Choose a file to see what it holds."));
}

void OutputPreview::clear(const QString& why) {
    m_title->clear();
    Content none;
    none.text = why;
    display(none);
}

void OutputPreview::showFile(const base::Path& file, const QString& name) {
    m_title->setText(name);
    m_session.query(
        this, QStringLiteral("preview"), [file, name](store::Reader&) -> Result<Content> { return read(file, name); },
        [this, name](const Result<Content>& content) {
            if (content && m_title->text() == name) display(*content);
        });
}

void OutputPreview::display(const Content& content) {
    using Kind = Content::Kind;
    m_text->setVisible(content.kind == Kind::Text);
    m_table->setVisible(content.kind == Kind::Table);
    m_picture->setVisible(content.kind == Kind::Picture);
    m_note->setText(content.kind == Kind::None ? content.text
                    : content.cut              ? tr("Only its beginning is shown.")
                                               : QString());
    m_note->setVisible(!m_note->text().isEmpty());
    if (content.kind == Kind::Text) m_text->setPlainText(content.text);
    if (content.kind == Kind::Table) {
        m_table->clear();
        m_table->setRowCount(static_cast<int>(content.rows.size()) - 1);
        m_table->setColumnCount(static_cast<int>(content.rows.first().size()));
        m_table->setHorizontalHeaderLabels(content.rows.first());
        for (int row = 1; row < content.rows.size(); ++row) {
            for (int i = 0; i < std::min<int>(m_table->columnCount(), static_cast<int>(content.rows[row].size()));
                 ++i) {
                m_table->setItem(row - 1, i, new QTableWidgetItem(content.rows[row][i]));
            }
        }
    }
    m_image = content.picture;
    showPicture();
}

void OutputPreview::showPicture() {
    if (m_image.isNull()) return m_picture->clear();
    const QSize room = m_picture->size();
    const QSize fits = m_image.size().boundedTo(m_image.size().scaled(room, Qt::KeepAspectRatio));
    QImage scaled = m_image.scaled(fits * devicePixelRatioF(), Qt::KeepAspectRatio, Qt::SmoothTransformation);
    scaled.setDevicePixelRatio(devicePixelRatioF());
    m_picture->setPixmap(QPixmap::fromImage(scaled));
}

void OutputPreview::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    showPicture();
}

}  // namespace trainyard::ui
