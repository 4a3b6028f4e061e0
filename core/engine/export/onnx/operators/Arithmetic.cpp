// Two arguments, broadcast, with torch's type promotion: the example's result says which type comes out.
#include <ATen/ATen.h>

#include "core/engine/export/onnx/OperatorTable.h"

namespace trainyard::engine {

namespace {

std::string scaled(Call& c, const std::string& value, at::ScalarType type) {
    if (!c.has("alpha") || c.number("alpha") == 1.0) {
        return value;
    }
    return c.op("Mul", {value, c.scalar(c.number("alpha"), type)});
}

void add(Call& c) {
    const at::ScalarType type = c.resultType();
    c.setResult(c.op("Add", {c.tensorOrScalar("self", type), scaled(c, c.tensorOrScalar("other", type), type)}));
}

void subtract(Call& c) {
    const at::ScalarType type = c.resultType();
    c.setResult(c.op("Sub", {c.tensorOrScalar("self", type), scaled(c, c.tensorOrScalar("other", type), type)}));
}

void reverseSubtract(Call& c) {
    const at::ScalarType type = c.resultType();
    c.setResult(c.op("Sub", {c.tensorOrScalar("other", type), scaled(c, c.tensorOrScalar("self", type), type)}));
}

void multiply(Call& c) {
    const at::ScalarType type = c.resultType();
    c.setResult(c.op("Mul", {c.tensorOrScalar("self", type), c.tensorOrScalar("other", type)}));
}

void divide(Call& c) {
    const at::ScalarType type = c.resultType();
    const std::string quotient = c.op("Div", {c.tensorOrScalar("self", type), c.tensorOrScalar("other", type)});
    if (!c.has("rounding_mode")) {
        c.setResult(quotient);
    } else if (c.text("rounding_mode") == "floor" && at::isFloatingType(type)) {
        c.setResult(c.op("Floor", {quotient}));
    } else {
        c.unsupported("rounds its result (" + c.text("rounding_mode") + ")");
    }
}

void power(Call& c) {
    const at::ScalarType type = c.resultType();
    if (!c.isTensor("exponent") && c.number("exponent") == 2.0) {
        const std::string x = c.tensorOrScalar("self", type);
        c.setResult(c.op("Mul", {x, x}));
        return;
    }
    c.setResult(c.op("Pow", {c.tensorOrScalar("self", type), c.tensorOrScalar("exponent", type)}));
}

template <const char* kType>
void extremum(Call& c) {
    const at::ScalarType type = c.resultType();
    c.setResult(c.op(kType, {c.tensorOrScalar("self", type), c.tensorOrScalar("other", type)}));
}

template <const char* kType>
void compare(Call& c) {
    at::ScalarType type = c.type("self");
    if (c.isTensor("other")) {
        type = at::result_type(c.example("self"), c.example("other"));
    } else if (!c.slot("other").a.isInt() && !at::isFloatingType(type)) {
        type = at::kFloat;
    }
    c.setResult(c.op(kType, {c.tensorOrScalar("self", type), c.tensorOrScalar("other", type)}));
}

void where(Call& c) {
    const at::ScalarType type = c.resultType();
    c.setResult(
        c.op("Where", {c.tensor("condition"), c.tensorOrScalar("self", type), c.tensorOrScalar("other", type)}));
}

constexpr char kMax[] = "Max";
constexpr char kMin[] = "Min";
constexpr char kGreater[] = "Greater";
constexpr char kLess[] = "Less";
constexpr char kEqual[] = "Equal";

}  // namespace

void addArithmeticOperators(OperatorTable& table) {
    table["aten::add"] = add;
    table["aten::sub"] = subtract;
    table["aten::rsub"] = reverseSubtract;
    table["aten::mul"] = multiply;
    table["aten::div"] = divide;
    table["aten::true_divide"] = divide;
    table["aten::pow"] = power;
    table["aten::maximum"] = extremum<kMax>;
    table["aten::minimum"] = extremum<kMin>;
    table["aten::gt"] = compare<kGreater>;
    table["aten::lt"] = compare<kLess>;
    table["aten::eq"] = compare<kEqual>;
    table["aten::where"] = where;
}

}  // namespace trainyard::engine
