#include "ui/shell/HelpPage.h"

#include <QDesktopServices>
#include <QDir>
#include <QFileInfo>
#include <QTextBrowser>
#include <QVBoxLayout>

#include "ui/shell/MainWindow.h"
#include "ui/shell/Theme.h"

namespace trainyard::ui {

HelpPage::HelpPage(Shell&, QWidget* parent) : Page(QStringLiteral("help"), parent) {
    const Theme& theme = Theme::current();
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(theme.space(4), theme.space(1), theme.space(4), theme.space(3));
    m_text = new QTextBrowser(this);
    m_text->setObjectName(QStringLiteral("guideText"));
    m_text->setAccessibleName(tr("Guide"));
    m_text->setOpenLinks(false);
    m_text->setSearchPaths({guideFolder()});
    column->addWidget(m_text, 1);
    m_contents = new QAction(tr("Contents"), this);
    m_contents->setObjectName(QStringLiteral("guideContentsAction"));
    connect(m_contents, &QAction::triggered, this, [this] { open(QStringLiteral("README.md")); });
    setContextActions({m_contents});
    connect(m_text, &QTextBrowser::anchorClicked, this, [this](const QUrl& link) {
        if (link.scheme() == u"http" || link.scheme() == u"https") {
            QDesktopServices::openUrl(link);
        } else if (link.path().isEmpty()) {
            m_text->scrollToAnchor(link.fragment());
        } else {
            open(QFileInfo(link.path()).fileName());
        }
    });
}

bool HelpPage::openAddress(const Address& address) {
    if (address.head != id()) return false;
    open(address.parts.value(0, QStringLiteral("README.md")));
    return true;
}

Address HelpPage::address() const { return {id(), {m_file}}; }

QWidget* HelpPage::firstFocus() { return m_text; }

void HelpPage::open(const QString& file) {
    // Only files of the guide's own folder.
    const QString path = guideFolder() + u'/' + QFileInfo(file).fileName();
    m_file = QFileInfo(file).fileName();
    m_contents->setEnabled(m_file != u"README.md");
    if (guideFolder().isEmpty() || !QFileInfo::exists(path)) {
        m_text->setPlainText(tr("The guide is not installed beside this program."));
    } else {
        m_text->setSource(QUrl::fromLocalFile(path), QTextDocument::MarkdownResource);
    }
    Q_EMIT addressChanged();
}

}  // namespace trainyard::ui
