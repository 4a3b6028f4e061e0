#pragma once
#include <QWidget>
#include <cstdint>
#include <deque>

#include "core/commands/Session.h"

class QLineEdit;

namespace trainyard::ui {

class QuietButton;
class TextLabel;

/// What a target asks while it is connected (an unknown host key with its fingerprint, a password), in place above
/// every
/// page, one question after another. What is typed is handed on once and kept nowhere. Main thread.
class QuestionBar final : public QWidget {
    Q_OBJECT
public:
    QuestionBar(commands::Session& session, QWidget* parent);

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    struct Asked {
        std::int64_t id;
        targets::Question what;
    };
    void showFirst();
    void answer(bool agreed);

    commands::Session& m_session;
    std::deque<Asked> m_asked;
    TextLabel* m_title;
    TextLabel* m_text;
    TextLabel* m_fingerprint;
    QLineEdit* m_line;
    QuietButton* m_agree;
    QuietButton* m_refuse;
};

}  // namespace trainyard::ui
