// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_BENCH_REPORT_HPP
#define KDBUS_BENCH_REPORT_HPP

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

/// What was measured, and how it compares with what was promised.
namespace kdbus::bench {

class Report {
public:
    void title(std::string_view text);
    /// A figure without a target.
    void note(std::string_view what, std::string_view text);
    /// A figure with one.
    void check(bool met, std::string_view what, std::string_view text);

    /// What another process reported.
    void add(bool missed) { missed_ = missed_ || missed; }

    bool missed() const { return missed_; }

private:
    void line(std::string_view verdict, std::string_view what, std::string_view text);

    bool missed_ = false;
};

/// Nanoseconds that one of `count` repetitions takes: `repeat(count)` runs three times, of
/// which the first does not count.
double measure(int count, const std::function<void(int)>& repeat);

} // namespace kdbus::bench

#endif
