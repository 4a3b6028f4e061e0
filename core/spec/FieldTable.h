#pragma once
// How lists of fields are written down: for RunSpecFields.cpp and TargetSpecFields.cpp alone.
#include <string>
#include <utility>
#include <vector>

#include "core/spec/Field.h"

namespace trainyard::spec {

/// Builds the list field by field; each call may be followed by changes to the field it returns.
class FieldTable {
public:
    void group(std::string name, std::vector<Condition> conditions = {}) {
        m_group = std::move(name);
        m_conditions = std::move(conditions);
    }

    Field& add(std::string path, std::string label, FieldType type, Json defaultValue, std::string help) {
        Field field;
        field.path = std::move(path);
        field.label = std::move(label);
        field.type = type;
        field.defaultValue = std::move(defaultValue);
        field.help = std::move(help);
        field.group = m_group;
        field.onlyWhen = m_conditions;
        return m_fields.emplace_back(std::move(field));
    }

    Field& integer(std::string path, std::string label, std::int64_t defaultValue, double minimum, double maximum,
                   std::string unit, std::string help) {
        Field& field = add(std::move(path), std::move(label), FieldType::Integer, defaultValue, std::move(help));
        field.minimum = minimum;
        field.maximum = maximum;
        field.unit = std::move(unit);
        return field;
    }

    Field& number(std::string path, std::string label, double defaultValue, double minimum, double maximum,
                  std::string help) {
        Field& field = add(std::move(path), std::move(label), FieldType::Number, defaultValue, std::move(help));
        field.minimum = minimum;
        field.maximum = maximum;
        return field;
    }

    Field& choice(std::string path, std::string label, std::string defaultValue, std::vector<Choice> choices,
                  std::string help) {
        Field& field =
            add(std::move(path), std::move(label), FieldType::Choice, std::move(defaultValue), std::move(help));
        field.choices = std::move(choices);
        return field;
    }

    void splice(Field field) {
        field.group = m_group;
        field.onlyWhen.insert(field.onlyWhen.begin(), m_conditions.begin(), m_conditions.end());
        m_fields.push_back(std::move(field));
    }

    std::vector<Field> take() { return std::move(m_fields); }

private:
    std::vector<Field> m_fields;
    std::string m_group;
    std::vector<Condition> m_conditions;
};

}  // namespace trainyard::spec
