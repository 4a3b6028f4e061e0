#pragma once
#include <QWidget>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"

class QLineEdit;
class QVBoxLayout;

namespace trainyard::ui {

class LinkButton;
class TextLabel;

/// The machines of an SSH target in the order of their nodes, one a row: destination, port, address for the other
/// nodes,
/// network interface.
class HostsEditor : public QWidget {
    Q_OBJECT

public:
    explicit HostsEditor(QWidget* parent);
    /// A definition's `hosts`: texts or objects.
    void display(const base::Json& hosts);
    /// Errors of fields "hosts" and "hosts.<row>".
    void setErrors(const std::vector<base::Error>& errors, bool alsoMissing);
    void focusFirst();

Q_SIGNALS:
    void edited(const trainyard::base::Json& hosts);

private:
    struct Row {
        QWidget* widget;
        QLineEdit* destination;
        QLineEdit* port;
        QLineEdit* address;
        QLineEdit* interface;
    };
    void addRow(const base::Json& host, bool focus);
    void removeRow(QWidget* widget);
    void report();
    [[nodiscard]] base::Json typed() const;

    std::vector<Row> m_rows;
    QVBoxLayout* m_rowsLayout;
    LinkButton* m_add;
    TextLabel* m_error;
    base::Json m_shown;
};

}  // namespace trainyard::ui
