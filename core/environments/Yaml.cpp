#include "core/environments/Yaml.h"

#include <yaml.h>

#include <memory>

#include "core/base/Text.h"

namespace trainyard::environments {

using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostBytes = 1 << 20;
constexpr int kDeepest = 20;
constexpr int kMostNodes = 20'000;

struct Event {
    yaml_event_t event{};
    Event() = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() { yaml_event_delete(&event); }
    [[nodiscard]] int line() const { return static_cast<int>(event.start_mark.line) + 1; }
};

std::string textOf(const yaml_char_t* text, std::size_t size) { return {reinterpret_cast<const char*>(text), size}; }

class Parser {
public:
    explicit Parser(std::string_view text) {
        m_ready = yaml_parser_initialize(&m_parser) == 1;
        if (m_ready) {
            yaml_parser_set_input_string(&m_parser, reinterpret_cast<const unsigned char*>(text.data()), text.size());
            yaml_parser_set_encoding(&m_parser, YAML_UTF8_ENCODING);
        }
    }
    Parser(const Parser&) = delete;
    Parser& operator=(const Parser&) = delete;
    ~Parser() {
        if (m_ready) {
            yaml_parser_delete(&m_parser);
        }
    }

    Result<YamlNode> document() {
        if (!m_ready) {
            return Error{"environment.yaml", "There is no memory to read YAML."};
        }
        for (const yaml_event_type_t expected : {YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT}) {
            Event start;
            TRAINYARD_TRY(next(start));
            if (start.event.type != expected) {
                return refuse(start.line(), "the file is empty.");
            }
        }
        auto root = node(0);
        if (!root.ok()) {
            return root;
        }
        Event end;
        TRAINYARD_TRY(next(end));
        Event more;
        TRAINYARD_TRY(next(more));
        if (more.event.type != YAML_STREAM_END_EVENT) {
            return refuse(more.line(), "a second document begins here; one file holds one environment.");
        }
        return root;
    }

private:
    static Error refuse(int line, const std::string& why, const char* code = "environment.yaml") {
        return {code, "Line " + std::to_string(line) + ": " + why};
    }

    Status next(Event& event) {
        if (yaml_parser_parse(&m_parser, &event.event) == 1) {
            return {};
        }
        const std::string problem = m_parser.problem != nullptr ? m_parser.problem : "it cannot be read";
        const std::size_t line = m_parser.problem_mark.line != 0 || m_parser.problem_offset == 0
                                     ? m_parser.problem_mark.line
                                     : m_parser.mark.line;
        return refuse(static_cast<int>(line) + 1,
                      "this is not YAML: " + base::stripControl(base::toValidUtf8(problem)) + ".");
    }

    Result<YamlNode> node(int depth) {
        Event event;
        TRAINYARD_TRY(next(event));
        return nodeFrom(event, depth);
    }

    Result<YamlNode> nodeFrom(const Event& event, int depth) {
        YamlNode made;
        made.line = event.line();
        if (depth > kDeepest) {
            return refuse(made.line, "lists and maps are nested too deeply.", "environment.yaml_limit");
        }
        if (++m_nodes > kMostNodes) {
            return refuse(made.line, "the file has too many entries.", "environment.yaml_limit");
        }
        switch (event.event.type) {
        case YAML_ALIAS_EVENT: {
            const std::string name = reinterpret_cast<const char*>(event.event.data.alias.anchor);
            return refuse(made.line,
                          "an alias (*" + base::stripControl(name.substr(0, 50)) + "); write out what it stands for.");
        }
        case YAML_SCALAR_EVENT: {
            const auto& scalar = event.event.data.scalar;
            if (scalar.tag != nullptr) {
                return refuse(made.line, "a tag (!); values are plain text here.");
            }
            made.text = textOf(scalar.value, scalar.length);
            const bool nothing = scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                                 (made.text.empty() || made.text == "~" || made.text == "null");
            made.kind = nothing ? YamlNode::Kind::Null : YamlNode::Kind::Scalar;
            return made;
        }
        case YAML_SEQUENCE_START_EVENT:
            if (event.event.data.sequence_start.tag != nullptr) {
                return refuse(made.line, "a tag (!); values are plain text here.");
            }
            made.kind = YamlNode::Kind::List;
            return list(std::move(made), depth);
        case YAML_MAPPING_START_EVENT:
            if (event.event.data.mapping_start.tag != nullptr) {
                return refuse(made.line, "a tag (!); values are plain text here.");
            }
            made.kind = YamlNode::Kind::Map;
            return map(std::move(made), depth);
        default: return refuse(made.line, "something is missing here.");
        }
    }

    Result<YamlNode> list(YamlNode made, int depth) {
        for (;;) {
            Event event;
            TRAINYARD_TRY(next(event));
            if (event.event.type == YAML_SEQUENCE_END_EVENT) {
                return made;
            }
            auto item = nodeFrom(event, depth + 1);
            if (!item.ok()) {
                return item;
            }
            made.items.push_back(std::move(*item));
        }
    }

    Result<YamlNode> map(YamlNode made, int depth) {
        for (;;) {
            Event event;
            TRAINYARD_TRY(next(event));
            if (event.event.type == YAML_MAPPING_END_EVENT) {
                return made;
            }
            const auto key = nodeFrom(event, depth + 1);
            if (!key.ok()) {
                return key;
            }
            if (key->kind != YamlNode::Kind::Scalar) {
                return refuse(key->line, "a key is one word.");
            }
            for (const auto& [name, value] : made.members) {
                if (name == key->text) {
                    return refuse(key->line, "\"" + base::stripControl(name) +
                                                 "\" is there twice; the first stands in line " +
                                                 std::to_string(value.line) + ".");
                }
            }
            auto value = node(depth + 1);
            if (!value.ok()) {
                return value;
            }
            value->line = key->line;
            made.members.emplace_back(key->text, std::move(*value));
        }
    }

    yaml_parser_t m_parser{};
    bool m_ready = false;
    int m_nodes = 0;
};

}  // namespace

Result<YamlNode> parseYaml(std::string_view text) {
    if (text.size() > kMostBytes) {
        return Error{"environment.yaml_limit", "The file is larger than 1 MiB; that is no environment."};
    }
    if (!base::isValidUtf8(text)) {
        return Error{"environment.yaml", "The file is not UTF-8 text."};
    }
    return Parser(text).document();
}

}  // namespace trainyard::environments
