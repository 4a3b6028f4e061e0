#include "core/engine/weights/Pickle.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_map>

namespace trainyard::engine {

namespace {

using base::Error;
using base::Result;
using base::Status;
using Kind = PickleValue::Kind;

/// Far above any real state_dict; a file past these is damaged or hostile.
constexpr std::size_t kMaxValues = 2'000'000;
constexpr std::size_t kMaxStack = 1'000'000;

/// The machine of pickletools.py. Each opcode is a member; one that fails leaves its Error in m_error.
class Reader {
public:
    Reader(std::string_view bytes, std::size_t offset) : m_bytes(bytes), m_at(offset) {}

    Result<PickleRead> run() {
        while (!m_error) {
            m_opcodeAt = m_at;
            const std::string_view opcode = take(1);
            if (m_error) {
                break;
            }
            if (opcode[0] == '.') {
                const PicklePtr value = pop();
                if (m_error) {
                    break;
                }
                return PickleRead{std::move(m_arena), value, m_at};
            }
            step(static_cast<unsigned char>(opcode[0]));
        }
        return *m_error;
    }

private:
    void fail(const std::string& what) {
        if (!m_error) {
            m_error = Error{"weights.pickle",
                            "The pickle is damaged at byte " + std::to_string(m_opcodeAt) + ": " + what + "."};
        }
    }

    std::string_view take(std::uint64_t count) {
        if (count > m_bytes.size() - m_at) {
            fail("it is cut off");
            return {};
        }
        const std::string_view part = m_bytes.substr(m_at, static_cast<std::size_t>(count));
        m_at += static_cast<std::size_t>(count);
        return part;
    }

    std::string_view line() {
        const std::size_t end = m_bytes.find('\n', m_at);
        if (end == std::string_view::npos) {
            fail("a line has no end");
            return {};
        }
        const std::string_view text = m_bytes.substr(m_at, end - m_at);
        m_at = end + 1;
        return text;
    }

    /// Little-endian, unsigned.
    std::uint64_t number(std::size_t bytes) {
        const std::string_view part = take(bytes);
        std::uint64_t value = 0;
        for (std::size_t i = part.size(); i > 0; --i) {
            value = value << 8 | static_cast<unsigned char>(part[i - 1]);
        }
        return value;
    }

    PicklePtr make(Kind kind) {
        if (m_arena->size() >= kMaxValues) {
            fail("it holds more values than any model");
            return &m_arena->front();
        }
        PickleValue& value = m_arena->emplace_back();
        value.kind = kind;
        return &value;
    }

    void push(PicklePtr value) {
        if (m_stack.size() >= kMaxStack) {
            fail("it holds more values than any model");
            return;
        }
        m_stack.push_back(value);
    }

    PicklePtr pop() {
        if (m_stack.empty() || m_stack.back()->kind == Kind::Mark) {
            fail("a value is missing on the stack");
            return make(Kind::None);
        }
        const PicklePtr value = m_stack.back();
        m_stack.pop_back();
        return value;
    }

    PickleValue* top() {
        if (m_stack.empty() || m_stack.back()->kind == Kind::Mark) {
            fail("a value is missing on the stack");
            return nullptr;
        }
        return m_stack.back();
    }

    std::vector<PicklePtr> popToMark() {
        std::size_t at = m_stack.size();
        while (at > 0 && m_stack[at - 1]->kind != Kind::Mark) {
            --at;
        }
        if (at == 0) {
            fail("a mark is missing on the stack");
            return {};
        }
        std::vector<PicklePtr> values(m_stack.begin() + static_cast<std::ptrdiff_t>(at), m_stack.end());
        m_stack.resize(at - 1);
        return values;
    }

    void pushInteger(std::int64_t integer) {
        const PicklePtr value = make(Kind::Integer);
        value->integer = integer;
        push(value);
    }
    void pushBoolean(bool boolean) {
        const PicklePtr value = make(Kind::Bool);
        value->boolean = boolean;
        push(value);
    }
    void pushReal(double real) {
        const PicklePtr value = make(Kind::Real);
        value->real = real;
        push(value);
    }
    void pushText(std::string_view text) {
        const PicklePtr value = make(Kind::Text);
        value->text = text;
        push(value);
    }
    void pushItems(Kind kind, std::vector<PicklePtr> items) {
        const PicklePtr value = make(kind);
        value->items = std::move(items);
        push(value);
    }
    void pushName(std::string_view module, std::string_view name) {
        const PicklePtr value = make(Kind::Name);
        value->text = std::string(module) + " " + std::string(name);
        push(value);
    }
    void pushTuple(std::size_t count) {
        std::vector<PicklePtr> items(count);
        for (std::size_t i = count; i > 0; --i) {
            items[i - 1] = pop();
        }
        pushItems(Kind::Tuple, std::move(items));
    }
    void pushCall(PicklePtr callable, PicklePtr arguments) { pushItems(Kind::Call, {callable, arguments}); }

    /// LONG1 and LONG4: two's complement, little-endian.
    void pushLong(std::string_view bytes) {
        if (bytes.size() > 8) {
            pushText(bytes);
            return;
        }
        std::uint64_t value =
            !bytes.empty() && (static_cast<unsigned char>(bytes.back()) & 0x80) != 0 ? ~std::uint64_t{0} : 0;
        for (std::size_t i = bytes.size(); i > 0; --i) {
            value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
        }
        pushInteger(static_cast<std::int64_t>(value));
    }

    template <class Number>
    std::optional<Number> parsed(std::string_view text) {
        Number value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size()) {
            fail("a number is not one");
            return std::nullopt;
        }
        return value;
    }

    void remember(std::uint64_t slot) {
        if (top() != nullptr) {
            m_memo[slot] = m_stack.back();
        }
    }
    void recall(std::uint64_t slot) {
        const auto found = m_memo.find(slot);
        if (found == m_memo.end()) {
            fail("it refers to a value that was never kept");
            return;
        }
        push(found->second);
    }

    void addPairs(const std::vector<PicklePtr>& values) {
        PickleValue* dict = top();
        if (dict == nullptr) {
            return;
        }
        if (values.size() % 2 != 0 || (dict->kind != Kind::Dict && dict->kind != Kind::Call)) {
            fail("items are set on something that takes none");
            return;
        }
        for (std::size_t i = 0; i < values.size(); i += 2) {
            dict->pairs.emplace_back(values[i], values[i + 1]);
        }
    }
    void addItems(const std::vector<PicklePtr>& values) {
        PickleValue* list = top();
        if (list == nullptr) {
            return;
        }
        if (list->kind == Kind::Call) {
            return;  // A list of a class of its own; what is in it is of no use here.
        }
        if (list->kind != Kind::List) {
            fail("items are added to something that takes none");
            return;
        }
        list->items.insert(list->items.end(), values.begin(), values.end());
    }

    void build() {
        const PicklePtr state = pop();
        PickleValue* object = top();
        if (object == nullptr) {
            return;
        }
        if (object->kind == Kind::Call) {
            object->items.resize(2);
            object->items.push_back(state);
        }
    }

    void text(std::uint64_t bytes) { pushText(take(bytes)); }

    void step(unsigned char opcode) {
        switch (opcode) {
        case 0x80: take(1); break;                // PROTO
        case 0x95: take(8); break;                // FRAME
        case '(': push(make(Kind::Mark)); break;  // MARK
        case '0':                                 // POP
            if (m_stack.empty()) {
                fail("a value is missing on the stack");
            } else {
                m_stack.pop_back();
            }
            break;
        case '1': (void) popToMark(); break;  // POP_MARK
        case '2':                             // DUP
            if (top() != nullptr) {
                push(m_stack.back());
            }
            break;
        case 'N': push(make(Kind::None)); break;  // NONE
        case 0x88: pushBoolean(true); break;      // NEWTRUE
        case 0x89: pushBoolean(false); break;     // NEWFALSE
        case 'I': integerLine(); break;           // INT
        case 'L': longLine(); break;              // LONG
        case 'F':                                 // FLOAT
            if (const auto real = parsed<double>(line())) {
                pushReal(*real);
            }
            break;
        case 'J': pushInteger(static_cast<std::int32_t>(number(4))); break;  // BININT
        case 'K': pushInteger(static_cast<std::int64_t>(number(1))); break;  // BININT1
        case 'M': pushInteger(static_cast<std::int64_t>(number(2))); break;  // BININT2
        case 0x8a: pushLong(take(number(1))); break;                         // LONG1
        case 0x8b: pushLong(take(number(4))); break;                         // LONG4
        case 'G': binaryFloat(); break;                                      // BINFLOAT
        case 'S':                                                            // STRING
        case 'V': quotedLine(); break;                                       // UNICODE
        case 'T': text(number(4)); break;                                    // BINSTRING
        case 'U': text(number(1)); break;                                    // SHORT_BINSTRING
        case 'X': text(number(4)); break;                                    // BINUNICODE
        case 0x8c: text(number(1)); break;                                   // SHORT_BINUNICODE
        case 0x8d: text(number(8)); break;                                   // BINUNICODE8
        case 'B': text(number(4)); break;                                    // BINBYTES
        case 'C': text(number(1)); break;                                    // SHORT_BINBYTES
        case 0x8e:                                                           // BINBYTES8
        case 0x96: text(number(8)); break;                                   // BYTEARRAY8
        case ']':                                                            // EMPTY_LIST
        case 0x8f: pushItems(Kind::List, {}); break;                         // EMPTY_SET
        case 'l':                                                            // LIST
        case 0x91: pushItems(Kind::List, popToMark()); break;                // FROZENSET
        case 'a': {                                                          // APPEND
            const PicklePtr value = pop();
            addItems({value});
            break;
        }
        case 'e':                                              // APPENDS
        case 0x90: addItems(popToMark()); break;               // ADDITEMS
        case ')': pushItems(Kind::Tuple, {}); break;           // EMPTY_TUPLE
        case 't': pushItems(Kind::Tuple, popToMark()); break;  // TUPLE
        case 0x85: pushTuple(1); break;                        // TUPLE1
        case 0x86: pushTuple(2); break;                        // TUPLE2
        case 0x87: pushTuple(3); break;                        // TUPLE3
        case '}': push(make(Kind::Dict)); break;               // EMPTY_DICT
        case 'd': {                                            // DICT
            const std::vector<PicklePtr> values = popToMark();
            push(make(Kind::Dict));
            addPairs(values);
            break;
        }
        case 's': {  // SETITEM
            const PicklePtr value = pop();
            const PicklePtr key = pop();
            addPairs({key, value});
            break;
        }
        case 'u': addPairs(popToMark()); break;  // SETITEMS
        case 'c': {                              // GLOBAL
            const std::string_view module = line();
            pushName(module, line());
            break;
        }
        case 0x93: {  // STACK_GLOBAL
            const PicklePtr name = pop();
            const PicklePtr module = pop();
            pushName(module->text, name->text);
            break;
        }
        case 'R':     // REDUCE
        case 0x81: {  // NEWOBJ
            const PicklePtr arguments = pop();
            const PicklePtr callable = pop();
            pushCall(callable, arguments);
            break;
        }
        case 0x92: {  // NEWOBJ_EX
            (void) pop();
            const PicklePtr arguments = pop();
            const PicklePtr callable = pop();
            pushCall(callable, arguments);
            break;
        }
        case 'b': build(); break;                               // BUILD
        case 'Q': pushItems(Kind::Persistent, {pop()}); break;  // BINPERSID
        case 'q': remember(number(1)); break;                   // BINPUT
        case 'r': remember(number(4)); break;                   // LONG_BINPUT
        case 0x94: remember(m_memo.size()); break;              // MEMOIZE
        case 'h': recall(number(1)); break;                     // BINGET
        case 'j': recall(number(4)); break;                     // LONG_BINGET
        case 'p':                                               // PUT
            if (const auto slot = parsed<std::uint64_t>(line())) {
                remember(*slot);
            }
            break;
        case 'g':  // GET
            if (const auto slot = parsed<std::uint64_t>(line())) {
                recall(*slot);
            }
            break;
        default: fail("opcode " + std::to_string(opcode) + " is none that a model is saved with"); break;
        }
    }

    void integerLine() {
        const std::string_view digits = line();
        if (digits == "00" || digits == "01") {
            pushBoolean(digits == "01");
        } else if (const auto integer = parsed<std::int64_t>(digits)) {
            pushInteger(*integer);
        }
    }
    void longLine() {
        std::string_view digits = line();
        if (digits.ends_with('L')) {
            digits.remove_suffix(1);
        }
        if (const auto integer = parsed<std::int64_t>(digits)) {
            pushInteger(*integer);
        }
    }
    void quotedLine() {
        std::string_view quoted = line();
        if (quoted.size() >= 2 && (quoted.front() == '\'' || quoted.front() == '"') &&
            quoted.back() == quoted.front()) {
            quoted = quoted.substr(1, quoted.size() - 2);
        }
        pushText(quoted);
    }
    void binaryFloat() {
        const std::string_view part = take(8);
        std::uint64_t bits = 0;
        for (const char byte : part) {
            bits = bits << 8 | static_cast<unsigned char>(byte);
        }
        pushReal(std::bit_cast<double>(bits));
    }

    std::string_view m_bytes;
    std::size_t m_at;
    std::size_t m_opcodeAt = 0;
    std::shared_ptr<std::deque<PickleValue>> m_arena = std::make_shared<std::deque<PickleValue>>(1);
    std::vector<PicklePtr> m_stack;
    std::unordered_map<std::uint64_t, PicklePtr> m_memo;
    std::optional<Error> m_error;
};

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
    for (const auto& [name, value] : pairs) {
        if (name->kind == Kind::Text && name->text == key) {
            return value;
        }
    }
    return nullptr;
}

bool PickleValue::isCallOf(std::string_view name) const {
    return kind == Kind::Call && items.size() >= 2 && items[0]->kind == Kind::Name && items[0]->text == name;
}

Result<PickleRead> readPickle(std::string_view bytes, std::size_t offset) {
    if (offset > bytes.size()) {
        return Error{"weights.pickle", "The pickle is damaged: it would begin after the end of the file."};
    }
    return Reader(bytes, offset).run();
}

}  // namespace trainyard::engine
