// SPDX-License-Identifier: LGPL-2.1-or-later
#include "profile.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "perf.hpp"
#include "system.hpp"

namespace kdbus::bench {

namespace {

/// Nanoseconds between samples: what the timer allows, and not in step with the work.
constexpr std::uint64_t period = 10'007;
constexpr std::size_t shown = 40;

} // namespace

void profile(std::string_view title, int count, const std::function<void(int)>& repeat) {
    // Sampling may take the time it takes.
    write_file("/proc/sys/kernel/perf_cpu_time_max_percent", "0");
    perf_event_attr attr{};
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_CPU_CLOCK;
    attr.sample_period = period;
    attr.sample_type = PERF_SAMPLE_IP;
    const PerfEvent timer(attr, -1, 0);
    timer.start();
    repeat(count);
    timer.stop();

    const auto symbols = read_symbols();
    std::map<std::string, unsigned> hits;
    for (const auto& sample : timer.samples()) {
        const auto symbol = symbols.upper_bound(sample.words[0]);
        const bool known = sample.kernel && symbol != symbols.begin();
        hits[known ? std::prev(symbol)->second : "(user space)"]++;
    }
    std::vector<std::pair<unsigned, std::string>> sorted;
    for (const auto& [name, n] : hits)
        sorted.emplace_back(n, name);
    std::sort(sorted.rbegin(), sorted.rend());
    fmt::print("      one repetition, {}:\n", title);
    for (std::size_t i = 0; i < std::min(shown, sorted.size()); i++)
        fmt::print("      {:8.0f} ns  {}\n", static_cast<double>(sorted[i].first) * period / count,
                   sorted[i].second);
}

} // namespace kdbus::bench
