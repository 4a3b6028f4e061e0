#pragma once
#include <QWidget>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/store/Types.h"

class QTableWidget;
class QVBoxLayout;

namespace trainyard::ui {

class Card;
class FormDocument;
class FormView;
class InlineError;
class KeyValueGrid;
class ProgressStrip;
class QuietButton;
class Shell;
class TextLabel;

/// A form made of a command's own parameters, with one button. The command runs asynchronously with progress and
/// cancel.
class CommandPanel : public QWidget {
    Q_OBJECT

public:
    /// `fixed`: parameters that are not asked for, with their values.
    CommandPanel(Shell& shell, const std::string& command, base::Json fixed, const QString& button,
                 const QString& iconName, QWidget* parent);
    void setFixed(const base::Json& fixed);
    void setValue(const QString& name, const base::Json& value);
    void start();
    void setButtonVisible(bool visible);
    [[nodiscard]] bool isRunning() const { return m_running; }

Q_SIGNALS:
    void succeeded(const trainyard::base::Json& result);
    void failed(const trainyard::base::Error& error);

private:
    Shell& m_shell;
    std::string m_command;
    base::Json m_fixed;
    FormDocument* m_document = nullptr;
    FormView* m_form = nullptr;
    QuietButton* m_button;
    ProgressStrip* m_progress;
    InlineError* m_error;
    bool m_running = false;
};

/// One export with its proof: verdict, checker, runtime, and the table of inputs × batch sizes.
class ProofPanel : public QWidget {
    Q_OBJECT

public:
    explicit ProofPanel(QWidget* parent);
    /// A record of models/<name>/<number>/exports/<id>.json.
    void setExport(const base::Json& record, bool newest);

Q_SIGNALS:
    void downloadRequested();

private:
    InlineError* m_verdict;
    TextLabel* m_title;
    KeyValueGrid* m_facts;
    QTableWidget* m_table;
    QuietButton* m_download;
};

}  // namespace trainyard::ui
