#pragma once
#include <QObject>
#include <QString>
#include <QStringList>

#include <deque>
#include <functional>
#include <optional>
#include <vector>

class QWidget;

namespace trainyard::ui {

/// A question that blocks. Text names what happens ("Delete 3 runs? 1.2 GiB are freed."), buttons are verbs.
struct Question {
    struct Button {
        QString id;     ///< Given to the answer.
        QString label;  ///< "Delete", never "Yes".
        bool destructive = false;
    };
    QString id;  ///< Stable name, for tests and for "do not ask again" ("run.delete").
    QString title;
    QString text;
    std::vector<Button> buttons{};  ///< Beside them there is always Cancel, which answers "".
    QString icon{};                 ///< Name in resources/icons; "warning" when a button is destructive.
};

/// The only way to modal dialogs. Nothing here blocks: the answer comes through a callback, never inside the call.
class Questions : public QObject {
    Q_OBJECT
public:
    using QObject::QObject;
    /// `answer` gets the id of the button, or "" for Cancel. Not called when `context` is destroyed first.
    virtual void ask(QWidget* context, const Question& question, std::function<void(const QString&)> answer) = 0;
    /// `answer` gets the chosen path, or "".
    virtual void chooseFolder(QWidget* context, const QString& title, const QString& start,
                              std::function<void(const QString&)> answer) = 0;
    virtual void chooseFile(QWidget* context, const QString& title, const QString& start, const QStringList& filters,
                            std::function<void(const QString&)> answer) = 0;
    virtual void chooseSaveFile(QWidget* context, const QString& title, const QString& suggested,
                                const QStringList& filters, std::function<void(const QString&)> answer) = 0;
    /// One line of text; `check` returns what is wrong with it, or "".
    virtual void askText(QWidget* context, const QString& title, const QString& label, const QString& text,
                         std::function<QString(const QString&)> check, std::function<void(const QString&)> answer) = 0;
};

/// Real dialogs: window-modal, opened, never exec'd.
class DialogQuestions final : public Questions {
    Q_OBJECT
public:
    using Questions::Questions;
    void ask(QWidget* context, const Question& question, std::function<void(const QString&)> answer) override;
    void chooseFolder(QWidget* context, const QString& title, const QString& start,
                      std::function<void(const QString&)> answer) override;
    void chooseFile(QWidget* context, const QString& title, const QString& start, const QStringList& filters,
                    std::function<void(const QString&)> answer) override;
    void chooseSaveFile(QWidget* context, const QString& title, const QString& suggested, const QStringList& filters,
                        std::function<void(const QString&)> answer) override;
    void askText(QWidget* context, const QString& title, const QString& label, const QString& text,
                 std::function<QString(const QString&)> check, std::function<void(const QString&)> answer) override;
};

/// Answers given beforehand, for tests. An unexpected question answers "" and is counted in `asked` all the same.
class PreparedQuestions final : public Questions {
    Q_OBJECT
public:
    using Questions::Questions;
    void setNextAnswer(const QString& answer) { m_answers.push_back(answer); }
    /// Ids of questions, or titles of file dialogs, in order.
    [[nodiscard]] const QStringList& asked() const { return m_asked; }
    [[nodiscard]] const QStringList& texts() const { return m_texts; }

    void ask(QWidget* context, const Question& question, std::function<void(const QString&)> answer) override;
    void chooseFolder(QWidget* context, const QString& title, const QString& start,
                      std::function<void(const QString&)> answer) override;
    void chooseFile(QWidget* context, const QString& title, const QString& start, const QStringList& filters,
                    std::function<void(const QString&)> answer) override;
    void chooseSaveFile(QWidget* context, const QString& title, const QString& suggested, const QStringList& filters,
                        std::function<void(const QString&)> answer) override;
    void askText(QWidget* context, const QString& title, const QString& label, const QString& text,
                 std::function<QString(const QString&)> check, std::function<void(const QString&)> answer) override;

private:
    void reply(QWidget* context, const QString& name, const QString& text, std::function<void(const QString&)> answer);
    std::deque<QString> m_answers;
    QStringList m_asked;
    QStringList m_texts;
};

}  // namespace trainyard::ui
