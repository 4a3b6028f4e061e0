#include "core/base/LineRegex.h"

#include <algorithm>
#include <memory>

namespace trainyard::base {

namespace {

constexpr int kMaxGroupDepth = 64;
constexpr int kMaxRepeat = 1000;
constexpr int kUnlimited = -1;

bool isWord(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

bool atWordEdge(std::string_view line, std::size_t at) {
    const bool before = at > 0 && isWord(line[at - 1]);
    const bool after = at < line.size() && isWord(line[at]);
    return before != after;
}

/// The set of \d, \w, \s and their opposites; nothing for another letter.
std::optional<std::bitset<256>> classOf(char letter) {
    std::bitset<256> set;
    const char small = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
    for (std::size_t i = 0; i < 256; ++i) {
        const char c = static_cast<char>(i);
        if (small == 'd') set[i] = c >= '0' && c <= '9';
        if (small == 'w') set[i] = isWord(c);
        if (small == 's') set[i] = c == ' ' || (c >= '\t' && c <= '\r');
    }
    if (set.none()) return std::nullopt;
    return letter == small ? set : ~set;
}

char plainEscape(char letter) {
    switch (letter) {
    case 't': return '\t';
    case 'r': return '\r';
    case 'n': return '\n';
    case 'f': return '\f';
    case 'v': return '\v';
    default: return letter;
    }
}

struct Node {
    enum class Kind { Empty, Byte, Set, Sequence, Either, Repeat, Group, LineStart, LineEnd, WordEdge, NoWordEdge };
    Kind kind = Kind::Empty;
    std::uint32_t value = 0;  ///< Byte, set or group.
    int least = 0;
    int most = 0;
    bool lazy = false;
    std::vector<std::unique_ptr<Node>> children;
};
using NodePtr = std::unique_ptr<Node>;

NodePtr make(Node::Kind kind, std::uint32_t value = 0) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->value = value;
    return node;
}

}  // namespace

/// Reads the text into a tree and the tree into a program. The first error stops it.
class RegexCompiler {
public:
    explicit RegexCompiler(std::string_view text) : m_text(text) { m_regex.m_names.emplace_back(); }

    Result<LineRegex> compile() {
        if (m_text.size() > LineRegex::kMaxPattern) {
            return Error{"pattern.long",
                         "The expression is longer than " + std::to_string(LineRegex::kMaxPattern) + " bytes."};
        }
        if (m_text.starts_with("(?i)")) {
            m_anyCase = true;
            m_at = 4;
        }
        const NodePtr tree = either(0);
        if (!m_error && m_at < m_text.size()) fail("\")\" closes nothing");
        if (!m_error) {
            emit(LineRegex::Code::Save, 0);
            write(*tree);
            emit(LineRegex::Code::Save, 1);
            emit(LineRegex::Code::Match);
        }
        if (m_error) return *m_error;
        m_regex.findFirstBytes();
        return std::move(m_regex);
    }

private:
    using Code = LineRegex::Code;

    void fail(const std::string& what) {
        if (m_error) return;
        m_error = Error{"pattern.syntax", "The expression cannot be read at its character " + std::to_string(m_at + 1) +
                                              ": " + what + "."};
        m_at = m_text.size();
    }
    [[nodiscard]] bool more() const { return m_at < m_text.size(); }
    [[nodiscard]] char next() const { return m_text[m_at]; }

    NodePtr either(int depth) {
        if (depth > kMaxGroupDepth) {
            fail("groups lie too deep inside each other");
            return make(Node::Kind::Empty);
        }
        NodePtr first = sequence(depth);
        if (!more() || next() != '|') return first;
        NodePtr node = make(Node::Kind::Either);
        node->children.push_back(std::move(first));
        while (more() && next() == '|') {
            ++m_at;
            node->children.push_back(sequence(depth));
        }
        return node;
    }

    NodePtr sequence(int depth) {
        NodePtr node = make(Node::Kind::Sequence);
        while (more() && next() != '|' && next() != ')') {
            NodePtr one = atom(depth);
            while (more() && (next() == '*' || next() == '+' || next() == '?' || opensCount()))
                one = repeat(std::move(one));
            node->children.push_back(std::move(one));
        }
        return node;
    }

    /// "{" that is not the beginning of {m}, {m,} or {m,n} is a letter like others.
    [[nodiscard]] bool opensCount() const {
        if (next() != '{') return false;
        const std::size_t close = m_text.find('}', m_at);
        if (close == std::string_view::npos || close == m_at + 1) return false;
        const std::string_view inside = m_text.substr(m_at + 1, close - m_at - 1);
        return inside.front() != ',' && inside.find_first_not_of("0123456789,") == std::string_view::npos &&
               std::count(inside.begin(), inside.end(), ',') <= 1;
    }

    NodePtr repeat(NodePtr what) {
        NodePtr node = make(Node::Kind::Repeat);
        const char sign = next();
        ++m_at;
        node->least = sign == '+' ? 1 : 0;
        node->most = sign == '?' ? 1 : kUnlimited;
        if (sign == '{') {
            node->least = number();
            node->most = node->least;
            if (more() && next() == ',') {
                ++m_at;
                node->most = more() && next() == '}' ? kUnlimited : number();
            }
            ++m_at;
            if (node->least > kMaxRepeat || node->most > kMaxRepeat)
                fail("a part is repeated more than " + std::to_string(kMaxRepeat) + " times");
            if (node->most != kUnlimited && node->most < node->least) fail("the counts in {} are the wrong way round");
        }
        if (more() && next() == '?') {
            ++m_at;
            node->lazy = true;
        }
        node->children.push_back(std::move(what));
        return node;
    }

    int number() {
        int value = 0;
        while (more() && next() >= '0' && next() <= '9') {
            value = std::min(value * 10 + (next() - '0'), kMaxRepeat + 1);
            ++m_at;
        }
        return value;
    }

    NodePtr setNode(const std::bitset<256>& set) {
        const auto known = std::find(m_regex.m_sets.begin(), m_regex.m_sets.end(), set);
        const auto index = static_cast<std::uint32_t>(known - m_regex.m_sets.begin());
        if (known == m_regex.m_sets.end()) m_regex.m_sets.push_back(set);
        return make(Node::Kind::Set, index);
    }

    NodePtr byteNode(char c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!m_anyCase || !letter) return make(Node::Kind::Byte, static_cast<unsigned char>(c));
        std::bitset<256> set;
        set.set(static_cast<unsigned char>(c)).set(static_cast<unsigned char>(c ^ 0x20));
        return setNode(set);
    }

    NodePtr atom(int depth) {
        const char c = next();
        ++m_at;
        switch (c) {
        case '.': return setNode(std::bitset<256>().set());
        case '^': return make(Node::Kind::LineStart);
        case '$': return make(Node::Kind::LineEnd);
        case '(': return group(depth);
        case '[': return bracket();
        case '*':
        case '+':
        case '?':
            --m_at;
            fail(std::string("\"") + c + "\" repeats nothing");
            return make(Node::Kind::Empty);
        case '\\': return escape();
        default: return letterNode(c);
        }
    }

    /// A letter outside ASCII is its bytes together, so that "é*" repeats the letter.
    NodePtr letterNode(char c) {
        if (static_cast<unsigned char>(c) < 0xc0) return byteNode(c);
        NodePtr node = make(Node::Kind::Sequence);
        node->children.push_back(byteNode(c));
        while (more() && (static_cast<unsigned char>(next()) & 0xc0) == 0x80) {
            node->children.push_back(byteNode(next()));
            ++m_at;
        }
        return node;
    }

    NodePtr escape() {
        if (!more()) {
            fail("it ends with a single backslash");
            return make(Node::Kind::Empty);
        }
        const char letter = next();
        ++m_at;
        if (letter == 'b') return make(Node::Kind::WordEdge);
        if (letter == 'B') return make(Node::Kind::NoWordEdge);
        if (const auto set = classOf(letter)) return setNode(*set);
        if (letter >= '0' && letter <= '9') {
            --m_at;
            fail("\\1 and other references back to a group are not known here");
            return make(Node::Kind::Empty);
        }
        return byteNode(plainEscape(letter));
    }

    NodePtr group(int depth) {
        std::uint32_t index = 0;
        if (more() && next() == '?') {
            ++m_at;
            if (more() && next() == ':') {
                ++m_at;
            } else if (m_text.substr(m_at).starts_with("P<") ||
                       (m_text.substr(m_at).starts_with("<") && !m_text.substr(m_at).starts_with("<=") &&
                        !m_text.substr(m_at).starts_with("<!"))) {
                m_at += next() == 'P' ? 2 : 1;
                index = openGroup(groupName());
            } else {
                fail("only (?:…), (?<name>…), (?P<name>…) and (?i) at the beginning are known; look-around is not");
                return make(Node::Kind::Empty);
            }
        } else {
            index = openGroup({});
        }
        NodePtr inside = either(depth + 1);
        if (!more() || next() != ')') {
            fail("a \"(\" is not closed");
            return inside;
        }
        ++m_at;
        if (index == 0) return inside;
        NodePtr node = make(Node::Kind::Group, index);
        node->children.push_back(std::move(inside));
        return node;
    }

    std::string groupName() {
        const std::size_t close = m_text.find('>', m_at);
        const std::string name(m_text.substr(m_at, close == std::string_view::npos ? 0 : close - m_at));
        if (name.empty() || (name[0] >= '0' && name[0] <= '9') || !std::all_of(name.begin(), name.end(), isWord)) {
            fail("a group's name has letters, digits and underscores, and ends with \">\"");
            return {};
        }
        if (std::find(m_regex.m_names.begin(), m_regex.m_names.end(), name) != m_regex.m_names.end())
            fail("two groups are called " + name);
        if (!m_error) m_at = close + 1;
        return name;
    }

    std::uint32_t openGroup(std::string name) {
        if (m_regex.m_names.size() > LineRegex::kMaxGroups)
            fail("more than " + std::to_string(LineRegex::kMaxGroups) + " groups");
        m_regex.m_names.push_back(std::move(name));
        return static_cast<std::uint32_t>(m_regex.m_names.size() - 1);
    }

    /// One letter of a set, after escapes; a class goes into `set` at once.
    std::optional<unsigned char> bracketLetter(std::bitset<256>& set) {
        char c = next();
        ++m_at;
        if (c == '\\' && more()) {
            c = next();
            ++m_at;
            if (const auto known = classOf(c)) {
                set |= *known;
                return std::nullopt;
            }
            c = c == 'b' ? '\b' : plainEscape(c);
        }
        if (static_cast<unsigned char>(c) >= 0x80) {
            fail("inside [] only ASCII letters can stand");
            return std::nullopt;
        }
        return static_cast<unsigned char>(c);
    }

    NodePtr bracket() {
        std::bitset<256> set;
        const bool inverted = more() && next() == '^';
        if (inverted) ++m_at;
        bool first = true;
        while (more() && (first || next() != ']')) {
            first = false;
            const auto low = bracketLetter(set);
            if (!low) continue;
            std::optional<unsigned char> high = low;
            if (m_at + 1 < m_text.size() && next() == '-' && m_text[m_at + 1] != ']') {
                ++m_at;
                high = bracketLetter(set);
                if (!high || *high < *low) {
                    fail("a range in [] is the wrong way round");
                    break;
                }
            }
            for (std::size_t i = *low; i <= *high; ++i) set.set(i);
        }
        if (!more()) {
            fail("a \"[\" is not closed");
            return make(Node::Kind::Empty);
        }
        ++m_at;
        if (m_anyCase) {
            for (std::size_t i = 'a'; i <= 'z'; ++i) {
                if (set[i] || set[i - 32]) set.set(i).set(i - 32);
            }
        }
        return setNode(inverted ? ~set : set);
    }

    std::uint32_t emit(Code code, std::uint32_t x = 0, std::uint32_t y = 0) {
        if (m_regex.m_program.size() >= LineRegex::kMaxProgram && !m_error) {
            m_error = Error{"pattern.long", "The expression repeats too much; make its counts in {} smaller."};
        }
        if (!m_error) m_regex.m_program.push_back({code, x, y});
        return here() - 1;
    }
    [[nodiscard]] std::uint32_t here() const { return static_cast<std::uint32_t>(m_regex.m_program.size()); }
    void choose(std::uint32_t split, std::uint32_t go, std::uint32_t leave, bool lazy) {
        if (m_error) return;
        m_regex.m_program[split].x = lazy ? leave : go;
        m_regex.m_program[split].y = lazy ? go : leave;
    }

    void write(const Node& node) {
        if (m_error) return;
        switch (node.kind) {
        case Node::Kind::Empty: return;
        case Node::Kind::Byte: emit(Code::Byte, node.value); return;
        case Node::Kind::Set: emit(Code::Set, node.value); return;
        case Node::Kind::LineStart: emit(Code::LineStart); return;
        case Node::Kind::LineEnd: emit(Code::LineEnd); return;
        case Node::Kind::WordEdge: emit(Code::WordEdge); return;
        case Node::Kind::NoWordEdge: emit(Code::NoWordEdge); return;
        case Node::Kind::Sequence:
            for (const NodePtr& child : node.children) write(*child);
            return;
        case Node::Kind::Group:
            emit(Code::Save, 2 * node.value);
            write(*node.children.front());
            emit(Code::Save, 2 * node.value + 1);
            return;
        case Node::Kind::Either: writeEither(node); return;
        case Node::Kind::Repeat: writeRepeat(node); return;
        }
    }

    void writeEither(const Node& node) {
        std::vector<std::uint32_t> ends;
        for (std::size_t i = 0; i + 1 < node.children.size(); ++i) {
            const std::uint32_t split = emit(Code::Split);
            write(*node.children[i]);
            ends.push_back(emit(Code::Jump));
            choose(split, split + 1, here(), false);
        }
        write(*node.children.back());
        for (const std::uint32_t end : ends) {
            if (!m_error) m_regex.m_program[end].x = here();
        }
    }

    void writeRepeat(const Node& node) {
        const Node& what = *node.children.front();
        for (int i = 0; i < node.least && !m_error; ++i) write(what);
        if (node.most == kUnlimited) {
            const std::uint32_t split = emit(Code::Split);
            write(what);
            emit(Code::Jump, split);
            choose(split, split + 1, here(), node.lazy);
            return;
        }
        std::vector<std::uint32_t> splits;
        for (int i = node.least; i < node.most && !m_error; ++i) {
            splits.push_back(emit(Code::Split));
            write(what);
        }
        for (const std::uint32_t split : splits) choose(split, split + 1, here(), node.lazy);
    }

    std::string_view m_text;
    std::size_t m_at = 0;
    bool m_anyCase = false;
    std::optional<Error> m_error;
    LineRegex m_regex;
};

/// The places in the program that are alive, best first, each with its captures.
struct LineRegex::Threads {
    Threads(std::size_t program, std::size_t slotCount)
        : marks(program, 0), slots(program * slotCount), width(slotCount) {}
    void clear() {
        order.clear();
        ++mark;
    }
    std::vector<std::uint32_t> order;
    std::vector<std::uint32_t> marks;  ///< By instruction: equal to `mark` when it is in `order` or was passed.
    std::uint32_t mark = 0;
    std::vector<std::size_t> slots;
    std::size_t width;
};

Result<LineRegex> LineRegex::compile(std::string_view pattern) { return RegexCompiler(pattern).compile(); }

void LineRegex::add(Threads& threads, std::uint32_t start, std::string_view line, std::size_t at,
                    std::vector<std::size_t>& slots) const {
    // Explicit stack: (instruction) to visit, or a slot to be set back once the branch behind it is done.
    struct Visit {
        std::uint32_t instruction;
        std::uint32_t slot;
        std::size_t old;
        bool restore;
    };
    std::vector<Visit> stack{{start, 0, 0, false}};
    while (!stack.empty()) {
        const Visit visit = stack.back();
        stack.pop_back();
        if (visit.restore) {
            slots[visit.slot] = visit.old;
            continue;
        }
        const std::uint32_t pc = visit.instruction;
        if (threads.marks[pc] == threads.mark) continue;
        threads.marks[pc] = threads.mark;
        const Instruction& instruction = m_program[pc];
        const auto go = [&](bool allowed) {
            if (allowed) stack.push_back({pc + 1, 0, 0, false});
        };
        switch (instruction.code) {
        case Code::Jump: stack.push_back({instruction.x, 0, 0, false}); break;
        case Code::Split:
            stack.push_back({instruction.y, 0, 0, false});
            stack.push_back({instruction.x, 0, 0, false});
            break;
        case Code::Save:
            stack.push_back({0, instruction.x, slots[instruction.x], true});
            slots[instruction.x] = at;
            stack.push_back({pc + 1, 0, 0, false});
            break;
        case Code::LineStart: go(at == 0); break;
        case Code::LineEnd: go(at == line.size()); break;
        case Code::WordEdge: go(atWordEdge(line, at)); break;
        case Code::NoWordEdge: go(!atWordEdge(line, at)); break;
        case Code::Byte:
        case Code::Set:
        case Code::Match:
            threads.order.push_back(pc);
            std::copy(slots.begin(), slots.end(),
                      threads.slots.begin() + static_cast<std::ptrdiff_t>(pc * threads.width));
            break;
        }
    }
}

void LineRegex::findFirstBytes() {
    std::vector<bool> seen(m_program.size(), false);
    std::vector<std::uint32_t> stack{0};
    while (!stack.empty()) {
        const std::uint32_t pc = stack.back();
        stack.pop_back();
        if (seen[pc]) continue;
        seen[pc] = true;
        const Instruction& instruction = m_program[pc];
        switch (instruction.code) {
        case Code::Byte: m_first.set(instruction.x); break;
        case Code::Set: m_first |= m_sets[instruction.x]; break;
        case Code::Match: m_anyFirst = true; break;
        case Code::Jump: stack.push_back(instruction.x); break;
        case Code::Split:
            stack.push_back(instruction.x);
            stack.push_back(instruction.y);
            break;
        default: stack.push_back(pc + 1); break;
        }
    }
}

std::optional<std::vector<LineRegex::Span>> LineRegex::search(std::string_view line, std::size_t from) const {
    const std::size_t width = 2 * m_names.size();
    Threads now(m_program.size(), width);
    Threads then(m_program.size(), width);
    std::vector<std::size_t> slots(width, std::string_view::npos);
    std::optional<std::vector<std::size_t>> best;
    now.clear();
    for (std::size_t at = from; at <= line.size(); ++at) {
        if (!best) {
            if (now.order.empty() && !m_anyFirst) {
                while (at < line.size() && !m_first[static_cast<unsigned char>(line[at])]) ++at;
                if (at == line.size()) break;
            }
            std::fill(slots.begin(), slots.end(), std::string_view::npos);
            add(now, 0, line, at, slots);
        }
        if (now.order.empty()) {
            if (best) break;
            now.clear();
            continue;
        }
        then.clear();
        for (const std::uint32_t pc : now.order) {
            const Instruction& instruction = m_program[pc];
            const auto first = now.slots.begin() + static_cast<std::ptrdiff_t>(pc * width);
            if (instruction.code == Code::Match) {
                best.emplace(first, first + static_cast<std::ptrdiff_t>(width));
                break;  // What comes behind is worse.
            }
            if (at == line.size()) continue;
            const auto byte = static_cast<unsigned char>(line[at]);
            if (instruction.code == Code::Byte ? instruction.x != byte : !m_sets[instruction.x][byte]) continue;
            std::copy(first, first + static_cast<std::ptrdiff_t>(width), slots.begin());
            add(then, pc + 1, line, at + 1, slots);
        }
        std::swap(now, then);
    }
    if (!best) return std::nullopt;
    std::vector<Span> spans(m_names.size());
    for (std::size_t i = 0; i < spans.size(); ++i) {
        if ((*best)[2 * i] != std::string_view::npos && (*best)[2 * i + 1] != std::string_view::npos) {
            spans[i] = {(*best)[2 * i], (*best)[2 * i + 1]};
        }
    }
    return spans;
}

}  // namespace trainyard::base
