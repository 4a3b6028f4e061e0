#include "core/base/MetricPattern.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/base/Text.h"

namespace trainyard::base {

namespace {

constexpr const char* kNumber = R"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|[nN]a[nN]|inf))";

bool isReserved(const std::string& group) {
    return group == "metric" || group == "value" || group == "step" || group == "prefix";
}

std::optional<double> numberOf(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    if (text.ends_with('%')) text.remove_suffix(1);
    double value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::int64_t> stepOf(std::string_view text) {
    const auto value = numberOf(text);
    if (!value || !(std::abs(*value) <= 9e15) || *value != std::floor(*value)) return std::nullopt;
    return static_cast<std::int64_t>(*value);
}

std::vector<MetricPattern::Ready> makeReady() {
    const std::string number = kNumber;
    return {
        {"@pytorch-tutorial",
         "PyTorch tutorials (\"train Loss: 0.61 Acc: 0.68\")",
         {R"(^Epoch (?<step>\d+)/\d+)",
          "^(?<prefix>train|val) Loss: (?<loss>" + number + ")(?: Acc: (?<accuracy>" + number + "))?"},
         {},
         {"Epoch 3/24", "train Loss: 0.6123 Acc: 0.6844", "val Loss: 0.2514 Acc: 0.9216"}},
        {"@pytorch-mnist",
         "PyTorch's MNIST example",
         {R"(^Train Epoch: \d+ .*Loss: (?<loss>)" + number + ")",
          "Average loss: (?<test_loss>" + number + R"(), Accuracy: \d+/\d+ \((?<test_accuracy>)" + number + ")%"},
         {},
         {"Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.301234",
          "Test set: Average loss: 0.0489, Accuracy: 9841/10000 (98%)"}},
        {"@pytorch-imagenet",
         "PyTorch's ImageNet example and timm",
         {"(?<metric>Loss|Acc@1|Acc@5):? +(?<value>" + number + ")"},
         {},
         {"Epoch: [0][  10/5005]\tTime  0.52 ( 0.61)\tLoss 6.9310e+00 (6.9412e+00)\tAcc@1   0.39 (  0.21)"}},
        {"@torchvision",
         "torchvision's reference training",
         {"(?:^|  )(?<metric>lr|loss|acc1|acc5|img/s): (?<value>" + number + ")"},
         {},
         {"Epoch: [0]  [  10/1000]  eta: 0:05:00  lr: 0.1  img/s: 310.5  loss: 6.9110 (6.9302)  acc1: 0.0000 "
          "(0.2841)"}},
        {"@keras",
         "Keras",
         {R"(^Epoch (?<step>\d+)/\d+)", " - (?<metric>[A-Za-z_][A-Za-z0-9_]*): (?<value>" + number + ")"},
         {},
         {"Epoch 2/10", "313/313 [==============================] - 2s 5ms/step - loss: 0.3521 - accuracy: 0.8741 - "
                        "val_loss: 0.4012"}},
        {"@lightning",
         "PyTorch Lightning's progress bar",
         {R"(^Epoch (?<step>\d+):)", R"([,\[] ?(?<metric>[A-Za-z_][A-Za-z0-9_/.-]*)=(?<value>)" + number + ")"},
         {"v_num"},
         {"Epoch 4: 100%|##########| 938/938 [00:10<00:00, 90.1it/s, v_num=0, train_loss=0.0453, val_loss=0.101]"}},
        {"@huggingface",
         "Hugging Face's Trainer",
         {"'(?<metric>[A-Za-z_][A-Za-z0-9_/]*)': '?(?<value>" + number + ")"},
         {},
         {"{'loss': 0.4312, 'grad_norm': 1.52, 'learning_rate': 2e-05, 'epoch': 1.0}"}},
        {"@boosting",
         "XGBoost and LightGBM",
         {R"(^\[(?<step>\d+)\])", "[\\t ](?<metric>[A-Za-z_][A-Za-z0-9_@.' -]*): ?(?<value>" + number + ")"},
         {},
         {"[10]\ttrain-rmse:0.31250\teval-rmse:0.40125", "[20]\tvalid_0's l2: 0.2412"}},
        {"@any",
         "Any name=number or name: number",
         {"(?<metric>[A-Za-z_][A-Za-z0-9_/.@-]*) *[=:] *(?<value>" + number + R"()(?:[ ,;%)\]\t}|]|$))"},
         {},
         {"step=100 loss=0.42 lr: 0.001"}},
    };
}

}  // namespace

const std::vector<MetricPattern::Ready>& MetricPattern::ready() {
    static const std::vector<Ready> all = makeReady();
    return all;
}

Result<MetricPattern> MetricPattern::parse(std::string_view text) {
    MetricPattern pattern;
    if (text.starts_with('@')) {
        const auto known =
            std::find_if(ready().begin(), ready().end(), [&](const Ready& one) { return one.name == text; });
        if (known == ready().end()) {
            std::string names;
            for (const Ready& one : ready()) names += (names.empty() ? "" : ", ") + one.name;
            return Error{"pattern.unknown", "There is no ready pattern of this name; there are " + names + "."};
        }
        for (const std::string& expression : known->expressions) {
            auto compiled = LineRegex::compile(expression);
            if (!compiled.ok()) return compiled.error();
            pattern.m_expressions.push_back(std::move(compiled).value());
        }
        pattern.m_ignored = known->ignored;
        return pattern;
    }
    auto compiled = LineRegex::compile(text);
    if (!compiled.ok()) return compiled.error();
    const auto& names = compiled->groupNames();
    const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    const bool own = std::any_of(names.begin(), names.end(),
                                 [](const std::string& name) { return !name.empty() && !isReserved(name); });
    if (has("metric") != has("value") && !(own && !has("metric"))) {
        return Error{"pattern.group", "(?<metric>…) and (?<value>…) belong together."};
    }
    if (!own && !has("value") && !has("step")) {
        return Error{
            "pattern.group",
            "No group gives a number: name one after the metric, (?<loss>…), or use (?<metric>…) with (?<value>…)."};
    }
    pattern.m_expressions.push_back(std::move(compiled).value());
    return pattern;
}

MetricFinder MetricFinder::ofTexts(const std::vector<std::string>& patterns, std::optional<Error>& error) {
    std::vector<MetricPattern> good;
    for (const std::string& text : patterns) {
        auto pattern = MetricPattern::parse(text);
        if (pattern.ok()) {
            good.push_back(std::move(pattern).value());
        } else if (!error) {
            error = Error{pattern.error().code, "\"" + text + "\": " + pattern.error().message};
        }
    }
    return MetricFinder(std::move(good));
}

std::vector<FoundMetric> MetricFinder::find(std::string_view given) {
    std::vector<FoundMetric> found;
    std::string plain;
    std::string_view line = given.substr(0, kMaxLine);
    if (line.find('\x1b') != std::string_view::npos) {
        plain = stripControl(line);
        line = plain;
    }
    std::optional<std::int64_t> step;
    for (const MetricPattern& pattern : m_patterns) {
        for (const LineRegex& expression : pattern.m_expressions) {
            const auto& names = expression.groupNames();
            std::size_t from = 0;
            while (from <= line.size() && found.size() < kMaxFound) {
                const auto match = expression.search(line, from);
                if (!match) break;
                const auto textOf = [&](std::size_t group) {
                    const LineRegex::Span span = (*match)[group];
                    return span.taken() ? line.substr(span.begin, span.end - span.begin) : std::string_view();
                };
                std::string prefix;
                std::string_view metric;
                for (std::size_t group = 1; group < names.size(); ++group) {
                    if (names[group] == "prefix" && (*match)[group].taken()) prefix = std::string(textOf(group)) + "/";
                    if (names[group] == "metric") metric = textOf(group);
                    if (names[group] == "step" && !step) step = stepOf(textOf(group));
                }
                for (std::size_t group = 1; group < names.size(); ++group) {
                    const bool isValue = names[group] == "value";
                    if (!isValue && (names[group].empty() || isReserved(names[group]))) continue;
                    const auto value = (*match)[group].taken() ? numberOf(textOf(group)) : std::nullopt;
                    const std::string name(isValue ? metric : std::string_view(names[group]));
                    const bool ignored =
                        std::find(pattern.m_ignored.begin(), pattern.m_ignored.end(), name) != pattern.m_ignored.end();
                    if (!value || name.empty() || ignored) continue;
                    found.push_back({prefix + name, *value, std::nullopt, (*match)[group].begin, textOf(group).size()});
                }
                const LineRegex::Span whole = match->front();
                from = whole.end > whole.begin ? whole.end : whole.end + 1;
            }
        }
    }
    if (step && found.empty()) m_step = step;
    const std::optional<std::int64_t> used = step ? step : m_step;
    for (FoundMetric& one : found) one.step = used;
    return found;
}

}  // namespace trainyard::base
