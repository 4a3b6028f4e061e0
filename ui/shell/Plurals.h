#pragma once
#include <QTranslator>

namespace trainyard::ui {

/// English needs its plurals too: of a source text with a count, "(s)" and "(es)" become what the count asks for, so
/// that nobody reads "1 run(s)". A translation installed later takes precedence.
class Plurals final : public QTranslator {
    Q_OBJECT
public:
    using QTranslator::QTranslator;
    [[nodiscard]] QString translate(const char* context, const char* source, const char* disambiguation,
                                    int n) const override;
    [[nodiscard]] bool isEmpty() const override { return false; }
    /// The text for a count, without looking anything up.
    [[nodiscard]] static QString resolve(QString text, int n);
};

}  // namespace trainyard::ui
