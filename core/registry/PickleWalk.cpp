#include "core/registry/PickleWalk.h"

#include <algorithm>
#include <deque>
#include <unordered_map>

namespace trainyard::registry {

namespace {

constexpr std::uint64_t kMostInstructions = 20'000'000;
constexpr std::size_t kMostLine = 4096;
constexpr std::size_t kMostKeptText = 256;
constexpr std::size_t kMostKept = 200'000;
constexpr std::size_t kMostGlobals = 256;

/// What follows an instruction's byte.
enum class Operand { None, Bytes1, Bytes2, Bytes4, Bytes8, Line, TwoLines, Counted1, Counted4, Counted8, Unknown };

Operand operandOf(unsigned char code) {
    switch (code) {
    case '(':
    case '.':
    case '0':
    case '1':
    case '2':
    case 'N':
    case 'R':
    case 'Q':
    case 'a':
    case 'b':
    case 'd':
    case '}':
    case 'e':
    case 'l':
    case ']':
    case 'o':
    case 's':
    case 't':
    case ')':
    case 'u':
    case 0x81:
    case 0x85:
    case 0x86:
    case 0x87:
    case 0x88:
    case 0x89:
    case 0x8f:
    case 0x90:
    case 0x91:
    case 0x92:
    case 0x93:
    case 0x94:
    case 0x97:
    case 0x98: return Operand::None;
    case 'K':
    case 'h':
    case 'q':
    case 0x80:
    case 0x82: return Operand::Bytes1;
    case 'M':
    case 0x83: return Operand::Bytes2;
    case 'J':
    case 'j':
    case 'r':
    case 0x84: return Operand::Bytes4;
    case 'G':
    case 0x95: return Operand::Bytes8;
    case 'F':
    case 'I':
    case 'L':
    case 'P':
    case 'S':
    case 'V':
    case 'g':
    case 'p': return Operand::Line;
    case 'c':
    case 'i': return Operand::TwoLines;
    case 'U':
    case 'C':
    case 0x8c:
    case 0x8a: return Operand::Counted1;
    case 'T':
    case 'B':
    case 'X':
    case 0x8b: return Operand::Counted4;
    case 0x8e:
    case 0x8d:
    case 0x96: return Operand::Counted8;
    default: return Operand::Unknown;
    }
}

bool isText(unsigned char code) {
    return code == 0x8c || code == 'X' || code == 0x8d || code == 'V' || code == 'S' || code == 'U' || code == 'T';
}

base::Error notWhole(const char* why) { return {"model.pickle", why}; }

/// One walk. Keeps the texts on top of the stack, since STACK_GLOBAL takes its two names from there.
class Walk {
public:
    Walk(FileBytes& file, std::uint64_t offset) : m_file(file), m_at(offset) {}

    base::Result<PickleFacts> go() {
        for (std::uint64_t i = 0; i < kMostInstructions; ++i) {
            std::uint64_t code = 0;
            if (!m_file.number(m_at, 1, code)) {
                return notWhole("it ends in the middle");
            }
            ++m_at;
            m_text.clear();
            m_number = 0;
            if (!readOperand(operandOf(static_cast<unsigned char>(code)), isText(static_cast<unsigned char>(code)))) {
                return notWhole("it holds an instruction that no pickle has, or ends in the middle");
            }
            if (code == '.') {
                m_facts.end = m_at;
                m_facts.beginsWithDict =
                    m_facts.beginsWithDict || (m_beginsWithText && m_facts.first == "collections.OrderedDict");
                return m_facts;
            }
            take(static_cast<unsigned char>(code));
        }
        return notWhole("it has more instructions than any model");
    }

private:
    bool readLine(std::string& to) {
        to.clear();
        for (std::uint64_t c = 0; to.size() <= kMostLine && m_file.number(m_at, 1, c); to += static_cast<char>(c)) {
            ++m_at;
            if (c == '\n') {
                return true;
            }
        }
        return false;
    }

    bool readOperand(Operand operand, bool text) {
        const auto fixed = [&](int bytes) {
            const bool there = m_file.number(m_at, bytes, m_number);
            m_at += static_cast<std::uint64_t>(bytes);
            return there;
        };
        const auto counted = [&](int bytes) {
            if (!fixed(bytes) || m_at > m_file.size() || m_number > m_file.size() - m_at) {
                return false;
            }
            // Longer texts are no names; what is skipped is not read.
            if (text && m_number <= kMostKeptText) {
                m_text = m_file.text(m_at, static_cast<std::size_t>(m_number));
            }
            m_at += m_number;
            return true;
        };
        switch (operand) {
        case Operand::None: return true;
        case Operand::Bytes1: return fixed(1);
        case Operand::Bytes2: return fixed(2);
        case Operand::Bytes4: return fixed(4);
        case Operand::Bytes8: return fixed(8);
        case Operand::Line: return readLine(m_text);
        case Operand::TwoLines: return readLine(m_text) && readLine(m_second);
        case Operand::Counted1: return counted(1);
        case Operand::Counted4: return counted(4);
        case Operand::Counted8: return counted(8);
        case Operand::Unknown: return false;
        }
        return false;
    }

    void addGlobal(const std::string& name) {
        if (m_facts.globals.size() >= kMostGlobals) {
            m_facts.hides = true;
            return;
        }
        m_facts.globals.insert(name);
        if (m_facts.first.empty()) {
            m_facts.first = name;
        }
    }

    void push(const std::string& text) {
        m_top.push_back(text);
        if (m_top.size() > 2) {
            m_top.pop_front();
        }
        m_seenParameters = m_seenParameters || text == "_parameters";
        m_seenBuffers = m_seenBuffers || text == "_buffers";
        m_seenModules = m_seenModules || text == "_modules";
        m_facts.hasModuleMembers = m_seenParameters && m_seenBuffers && m_seenModules;
    }

    void keep(std::uint64_t place) {
        if (!m_top.empty() && m_kept.size() < kMostKept) {
            m_kept[place] = m_top.back();
        } else {
            m_kept.erase(place);
        }
    }

    void recall(std::uint64_t place) {
        if (const auto found = m_kept.find(place); found != m_kept.end()) {
            push(found->second);
        } else {
            m_top.clear();
        }
    }

    std::uint64_t lineNumber() const {
        std::uint64_t value = 0;
        for (const char c : m_text) {
            if (c < '0' || c > '9' || value > UINT64_MAX / 100) {
                return UINT64_MAX;
            }
            value = value * 10 + static_cast<std::uint64_t>(c - '0');
        }
        return value;
    }

    void take(unsigned char code) {
        if (code == 0x80 || code == 0x95) {
            return;
        }
        if (!m_begun) {
            m_begun = true;
            m_facts.beginsWithDict = code == '}' || (code == '(' && m_file.text(m_at, 1) == "d") ||
                                     (code == 'c' && m_text == "collections" && m_second == "OrderedDict");
            m_beginsWithText = code == 0x8c;
        }
        switch (code) {
        case 'c':
        case 'i':
            addGlobal(m_text + "." + m_second);
            m_top.clear();
            return;
        case 0x93:
            if (m_top.size() == 2) {
                addGlobal(m_top[0] + "." + m_top[1]);
            } else {
                m_facts.hides = true;
            }
            m_top.clear();
            return;
        case 0x82:
        case 0x83:
        case 0x84:
            m_facts.hides = true;
            m_top.clear();
            return;
        case 0x94: keep(m_memoized++); return;
        case 'q':
        case 'r': keep(m_number); return;
        case 'p': keep(lineNumber()); return;
        case 'h':
        case 'j': recall(m_number); return;
        case 'g': recall(lineNumber()); return;
        default: break;
        }
        if (isText(code)) {
            push(m_text);
        } else {
            m_top.clear();
        }
    }

    FileBytes& m_file;
    std::uint64_t m_at;
    PickleFacts m_facts;
    std::string m_text;
    std::string m_second;
    std::uint64_t m_number = 0;
    std::deque<std::string> m_top;                          ///< Texts on top of the stack, at most two.
    std::unordered_map<std::uint64_t, std::string> m_kept;  ///< Texts in the memo.
    std::uint64_t m_memoized = 0;
    bool m_begun = false;
    bool m_beginsWithText = false;  ///< As a class does from protocol 4 on.
    bool m_seenParameters = false;
    bool m_seenBuffers = false;
    bool m_seenModules = false;
};

}  // namespace

base::Result<PickleFacts> walkPickle(FileBytes& file, std::uint64_t offset) { return Walk(file, offset).go(); }

}  // namespace trainyard::registry
