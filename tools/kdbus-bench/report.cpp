// SPDX-License-Identifier: LGPL-2.1-or-later
#include "report.hpp"

#include <cstdio>
#include <fmt/format.h>

#include "system.hpp"

namespace kdbus::bench {

void Report::line(std::string_view verdict, std::string_view what, std::string_view text) {
    fmt::print("{:4}  {:44}  {}\n", verdict, what, text);
    std::fflush(stdout);
}

void Report::title(std::string_view text) {
    fmt::print("\n{}\n", text);
}

void Report::note(std::string_view what, std::string_view text) {
    line("", what, text);
}

void Report::check(bool met, std::string_view what, std::string_view text) {
    line(met ? "PASS" : "MISS", what, text);
    missed_ = missed_ || !met;
}

double measure(int count, const std::function<void(int)>& repeat) {
    constexpr int runs = 3;
    std::uint64_t total = 0;
    for (int run = 0; run < runs; run++) {
        const auto start = now();
        repeat(count);
        if (run > 0)
            total += now() - start;
    }
    return static_cast<double>(total) / (count * (runs - 1));
}

} // namespace kdbus::bench
