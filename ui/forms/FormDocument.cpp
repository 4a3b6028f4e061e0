#include "ui/forms/FormDocument.h"

#include <QStringList>
#include <algorithm>
#include <map>

namespace trainyard::ui {

using base::Json;

namespace {

constexpr int kTypingPauseMillis = 200;

void removeValueAt(Json& document, const std::string& path) {
    Json* at = &document;
    std::size_t start = 0;
    for (;;) {
        if (!at->is_object()) return;
        const std::size_t dot = path.find('.', start);
        const std::string key = path.substr(start, dot == std::string::npos ? dot : dot - start);
        const auto member = at->find(key);
        if (member == at->end()) return;
        if (dot == std::string::npos) {
            at->erase(key);
            return;
        }
        at = &*member;
        start = dot + 1;
    }
}

}  // namespace

FormDocument::FormDocument(std::vector<spec::Field> fields, Validator validator, QObject* parent)
    : QObject(parent), m_fields(std::move(fields)), m_validator(std::move(validator)) {
    for (std::size_t i = 0; i < m_fields.size(); ++i) m_index.insert(QString::fromStdString(m_fields[i].path), i);
    if (!m_validator) {
        m_validator = [this](const Json& document) { return spec::checkDocument(m_fields, document); };
    }
    m_pause.setSingleShot(true);
    m_pause.setInterval(kTypingPauseMillis);
    connect(&m_pause, &QTimer::timeout, this, &FormDocument::validateNow);
}

const spec::Field* FormDocument::field(const QString& path) const {
    const spec::Field* first = nullptr;
    for (auto it = m_index.constFind(path); it != m_index.constEnd() && it.key() == path; ++it) {
        const spec::Field& one = m_fields[it.value()];
        if (applies(one)) return &one;
        first = &one;
    }
    return first;
}

void FormDocument::setDocument(Json document) {
    m_document = spec::withDefaults(m_fields, document.is_object() ? std::move(document) : Json::object());
    m_outside.clear();
    m_touched.clear();
    m_all = false;
    Q_EMIT documentReplaced();
    validateNow();
}

void FormDocument::setBaseline(Json baseline) {
    m_baseline = baseline.is_object() ? std::move(baseline) : Json::object();
    Q_EMIT documentReplaced();
}

Json FormDocument::value(const QString& path) const {
    const std::string key = path.toStdString();
    if (const Json* found = spec::valueAt(m_document, key); found && !found->is_null()) return *found;
    if (const Json* found = spec::valueAt(m_baseline, key); found && !found->is_null()) return *found;
    const spec::Field* known = field(path);
    return known ? known->defaultValue : Json();
}

bool FormDocument::differsFromDefault(const QString& path) const {
    const std::string key = path.toStdString();
    const Json* found = spec::valueAt(m_document, key);
    if (!found || found->is_null()) return false;
    if (const Json* start = spec::valueAt(m_baseline, key); start && !start->is_null()) return *found != *start;
    const spec::Field* known = field(path);
    return known && *found != known->defaultValue;
}

bool FormDocument::applies(const spec::Field& field) const { return spec::applies(field, m_document); }

void FormDocument::put(const QString& path, Json value) {
    const std::string key = path.toStdString();
    if (value.is_null()) {
        removeValueAt(m_document, key);
    } else {
        spec::setValueAt(m_document, key, std::move(value));
    }
    std::erase_if(m_outside, [&](const base::Error& error) { return error.field == key; });
}

void FormDocument::setValue(const QString& path, Json value) {
    const std::string key = path.toStdString();
    if (value.is_null()) {
        // The default is written out rather than left away: conditions of other fields read the document.
        const Json* start = spec::valueAt(m_baseline, key);
        const spec::Field* known = field(path);
        value = start ? *start : known ? known->defaultValue : Json();
    }
    const Json* before = spec::valueAt(m_document, key);
    if (before ? *before == value : value.is_null()) return;

    std::map<std::string, const spec::Field*> held;
    for (const spec::Field& one : m_fields) {
        if (applies(one)) held[one.path] = &one;
    }
    put(path, std::move(value));
    m_touched.insert(path);
    QStringList changed{path};
    for (const spec::Field& one : m_fields) {
        if (!applies(one)) continue;
        const auto old = held.find(one.path);
        if (old != held.end() && old->second == &one) continue;
        const Json* present = spec::valueAt(m_document, one.path);
        const bool untouched =
            !present || present->is_null() || (old != held.end() && *present == old->second->defaultValue);
        if (untouched && !one.defaultValue.is_null()) put(QString::fromStdString(one.path), one.defaultValue);
        changed << QString::fromStdString(one.path);
    }
    changed.removeDuplicates();
    m_pause.start();
    for (const QString& one : std::as_const(changed)) Q_EMIT valueChanged(one);
    Q_EMIT documentEdited();
}

const std::vector<base::Error>& FormDocument::validateNow() {
    m_pause.stop();
    m_found = m_validator(m_document);
    publishErrors();
    return m_errors;
}

const std::vector<base::Error>& FormDocument::showAllErrors() {
    m_all = true;
    return validateNow();
}

void FormDocument::setOutsideErrors(std::vector<base::Error> errors) {
    m_outside = std::move(errors);
    publishErrors();
}

void FormDocument::publishErrors() {
    m_errors = m_found;
    m_errors.insert(m_errors.end(), m_outside.begin(), m_outside.end());
    m_errorTexts.clear();
    for (const base::Error& error : m_errors) {
        const QString path = QString::fromStdString(error.field);
        if (error.code == "spec.required" && !m_all && !m_touched.contains(path)) continue;
        if (!m_errorTexts.contains(path)) m_errorTexts.insert(path, QString::fromStdString(error.message));
    }
    Q_EMIT errorsChanged();
}

}  // namespace trainyard::ui
