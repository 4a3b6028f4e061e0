#pragma once
// The document behind a form: values by dotted path, their defaults, and what is wrong with them. Several FormViews
// may show parts of one document. Main thread only.
#include <QMap>
#include <QObject>
#include <QSet>
#include <QString>
#include <QTimer>
#include <functional>
#include <vector>

#include "core/base/Json.h"
#include "core/base/Result.h"
#include "core/spec/Field.h"

namespace trainyard::ui {

class FormDocument : public QObject {
    Q_OBJECT

public:
    /// Everything that is wrong with a document, in field order.
    using Validator = std::function<std::vector<base::Error>(const base::Json&)>;

    /// Without a validator each field is checked by spec::checkDocument.
    explicit FormDocument(std::vector<spec::Field> fields, Validator validator = {}, QObject* parent = nullptr);

    [[nodiscard]] const std::vector<spec::Field>& fields() const { return m_fields; }
    /// The field at a path that applies now; of several with one path (the learning rate of each optimizer) at most one
    /// does.
    [[nodiscard]] const spec::Field* field(const QString& path) const;

    [[nodiscard]] const base::Json& document() const { return m_document; }
    /// Replaces the whole document; missing fields get their defaults. Emits documentReplaced.
    void setDocument(base::Json document);

    /// The value as it stands, or the field's default.
    [[nodiscard]] base::Json value(const QString& path) const;
    /// A null value means the default. Where a condition changes which field holds a path, a value that was the old
    /// field's default becomes the new one's. Emits valueChanged for each path, then documentEdited.
    void setValue(const QString& path, base::Json value);
    void reset(const QString& path) { setValue(path, nullptr); }
    [[nodiscard]] bool differsFromDefault(const QString& path) const;
    [[nodiscard]] bool applies(const spec::Field& field) const;

    /// What reset() goes back to instead of the fields' own defaults: the draft a sample or a duplicate began with.
    void setBaseline(base::Json baseline);

    /// Checks now, instead of after the pause in typing.
    const std::vector<base::Error>& validateNow();
    [[nodiscard]] const std::vector<base::Error>& errors() const { return m_errors; }
    /// Empty when nothing is wrong there. A field that is still empty is not told of before it was touched or the whole
    /// document was asked for by showAllErrors().
    [[nodiscard]] QString errorText(const QString& path) const { return m_errorTexts.value(path); }
    /// Checks now and shows what is missing as well. Returns all errors.
    const std::vector<base::Error>& showAllErrors();
    /// Errors found elsewhere (on disk, by a command). They stay until their field changes.
    void setOutsideErrors(std::vector<base::Error> errors);

Q_SIGNALS:
    void valueChanged(const QString& path);
    void documentReplaced();
    /// After each edit by a person or by setValue; not after setDocument.
    void documentEdited();
    void errorsChanged();

private:
    void publishErrors();
    void put(const QString& path, base::Json value);

    std::vector<spec::Field> m_fields;
    QMultiMap<QString, std::size_t> m_index;
    Validator m_validator;
    base::Json m_document = base::Json::object();
    base::Json m_baseline = base::Json::object();
    std::vector<base::Error> m_found;
    std::vector<base::Error> m_outside;
    std::vector<base::Error> m_errors;
    QMap<QString, QString> m_errorTexts;
    QSet<QString> m_touched;
    bool m_all = false;
    QTimer m_pause;
};

}  // namespace trainyard::ui
