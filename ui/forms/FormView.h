#pragma once
// A column of fields in groups, over a FormDocument. Fields come and go with their conditions; advanced ones are folded
// away until asked for, or until one of them is wrong.
#include <QMap>
#include <QWidget>
#include <functional>
#include <vector>

#include "core/spec/Field.h"

class QVBoxLayout;

namespace trainyard::ui {

class Card;
class FieldRow;
class FormDocument;
class LinkButton;
class Questions;

class FormView : public QWidget {
    Q_OBJECT

public:
    using Filter = std::function<bool(const spec::Field&)>;

    /// Shows the fields that pass `filter` (all without one), grouped in the order in which groups first appear.
    FormView(FormDocument& document, Questions* questions, const Filter& filter = {}, QWidget* parent = nullptr);

    /// Where a page may put something of its own into a group's card, above or below its fields. Null for no such
    /// group.
    [[nodiscard]] QVBoxLayout* groupHeader(const QString& group) const;
    [[nodiscard]] QVBoxLayout* groupFooter(const QString& group) const;
    [[nodiscard]] Card* groupCard(const QString& group) const;

    /// Narrows the choices of a field, whether or not it applies now; none: all of them.
    void offer(const QString& path, const std::vector<std::string>& values);
    /// The row of a path whose field applies now, or null.
    [[nodiscard]] FieldRow* row(const QString& path) const;
    /// Unfolds what hides the field and gives it the focus. False when it is not here or does not apply.
    bool focusField(const QString& path);
    /// Groups whose advanced fields are unfolded; for a page's saved state.
    [[nodiscard]] QStringList unfolded() const;
    void setUnfolded(const QStringList& groups);

private:
    struct Group {
        QString name;
        Card* card = nullptr;
        QVBoxLayout* header = nullptr;
        QVBoxLayout* footer = nullptr;
        LinkButton* more = nullptr;
        bool open = false;
        std::vector<FieldRow*> rows;
    };
    void refreshRow(const QString& path);
    void refreshAll();
    void arrange();
    void unfoldErrors();
    [[nodiscard]] const Group* group(const QString& name) const;

    FormDocument& m_document;
    std::vector<Group> m_groups;
    QMultiMap<QString, FieldRow*> m_rows;
};

}  // namespace trainyard::ui
