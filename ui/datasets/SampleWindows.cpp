#include "ui/datasets/SampleWindows.h"

#include <algorithm>

#include "core/commands/Session.h"
#include "ui/forms/JsonRead.h"
#include "ui/shell/Shell.h"

namespace trainyard::ui {

using base::Json;
using base::Result;

namespace {

constexpr qint64 kSampleWindow = 500;
/// 20,000 samples are some megabytes of paths.
constexpr qsizetype kMostSampleWindows = 40;

/// Bytes as {channels, height, width}; a null picture where they do not fit the shape.
QImage sampleImage(const std::string& encoded, int channels, int height, int width) {
    const QByteArray bytes = QByteArray::fromBase64(QByteArray::fromStdString(encoded));
    const qsizetype plane = qsizetype{height} * width;
    if (plane <= 0 || (channels != 1 && channels != 3) || bytes.size() != plane * channels) return {};
    QImage image(width, height, QImage::Format_RGB32);
    for (int y = 0; y < height; ++y) {
        auto* line = reinterpret_cast<QRgb*>(image.scanLine(y));
        for (int x = 0; x < width; ++x) {
            const qsizetype at = qsizetype{y} * width + x;
            const auto value = [&](int c) { return static_cast<uchar>(bytes[plane * (channels == 3 ? c : 0) + at]); };
            line[x] = qRgb(value(0), value(1), value(2));
        }
    }
    return image;
}

}  // namespace

SampleWindows::SampleWindows(Shell& shell, QObject* parent) : QObject(parent), m_shell(shell) {}

SampleWindows::~SampleWindows() {
    if (m_command) m_command->cancel();
}

void SampleWindows::setQuery(const QString& dataset, const QString& label, const QString& split) {
    if (m_command) m_command->cancel();
    m_command = nullptr;
    m_dataset = dataset;
    m_label = label;
    m_split = split;
    m_total.reset();
    m_windows.clear();
    m_first = 0;
    m_last = -1;
    Q_EMIT reset();
    if (!dataset.isEmpty()) need(0, 0);
}

const Sample* SampleWindows::at(qint64 index) const {
    const auto found = m_windows.constFind(index / kSampleWindow);
    if (found == m_windows.constEnd() || index < 0) return nullptr;
    const auto place = static_cast<std::size_t>(index % kSampleWindow);
    return place < found->samples.size() ? &found->samples[place] : nullptr;
}

void SampleWindows::need(qint64 first, qint64 last) {
    m_first = std::max<qint64>(0, first);
    m_last = m_total ? std::min(last, *m_total - 1) : last;
    for (qint64 number = m_first / kSampleWindow; number <= m_last / kSampleWindow; ++number) {
        if (const auto found = m_windows.find(number); found != m_windows.end()) found->used = ++m_clock;
    }
    ask();
}

void SampleWindows::ask() {
    if (m_command || m_dataset.isEmpty() || m_last < m_first) return;
    qint64 number = m_first / kSampleWindow;
    while (number <= m_last / kSampleWindow && m_windows.contains(number)) ++number;
    if (number > m_last / kSampleWindow) return;
    Json parameters{{"dataset", m_dataset.toStdString()}, {"offset", number * kSampleWindow}, {"limit", kSampleWindow}};
    if (!m_label.isEmpty()) parameters["class"] = m_label.toStdString();
    if (!m_split.isEmpty()) parameters["split"] = m_split.toStdString();
    m_command = m_shell.session()->start("dataset.samples", std::move(parameters));
    commands::Command* mine = m_command;
    connect(mine, &commands::Command::finished, this, [this, mine, number](const Result<Json>& answer) {
        if (m_command != mine) return;
        m_command = nullptr;
        if (answer) return take(number, *answer);
        if (answer.error().code != "canceled") Q_EMIT failed(answer.error());
    });
}

void SampleWindows::take(qint64 number, const Json& answer) {
    Window window;
    window.used = ++m_clock;
    const auto side = [&answer](const char* key) {
        return static_cast<int>(std::clamp<std::int64_t>(readInteger(answer, key), 0, 4096));
    };
    for (const Json& one : readArray(answer, "samples")) {
        Sample sample{readString(one, "path"), readString(one, "label"), readString(one, "split")};
        if (const std::string pixels = readText(one, "pixels"); !pixels.empty())
            sample.image = sampleImage(pixels, side("channels"), side("height"), side("width"));
        window.samples.push_back(std::move(sample));
    }
    const auto count = static_cast<qint64>(window.samples.size());
    if (m_windows.size() >= kMostSampleWindows) {
        const auto oldest = std::min_element(m_windows.begin(), m_windows.end(),
                                             [](const Window& a, const Window& b) { return a.used < b.used; });
        m_windows.erase(oldest);
    }
    m_windows.insert(number, std::move(window));
    const qint64 total = std::max<qint64>(0, readInteger(answer, "total"));
    const bool other = m_total != total;
    m_total = total;
    m_last = std::min(m_last, total - 1);
    if (other) Q_EMIT reset();
    Q_EMIT arrived(number * kSampleWindow, count);
    ask();
}

}  // namespace trainyard::ui
