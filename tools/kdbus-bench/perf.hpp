// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_BENCH_PERF_HPP
#define KDBUS_BENCH_PERF_HPP

#include <cstdint>
#include <linux/perf_event.h>
#include <map>
#include <string>
#include <vector>

#include "system.hpp"

namespace kdbus::bench {

/// The kernel's functions by address.
std::map<std::uint64_t, std::string> read_symbols();

/// An event of perf_event_open(2) and the samples it took.
class PerfEvent {
public:
    struct Sample {
        bool kernel;                      ///< taken in the kernel
        std::vector<std::uint64_t> words; ///< what attr.sample_type asked for
    };

    PerfEvent(perf_event_attr attr, pid_t pid, int processor);

    void start() const;
    void stop() const;
    /// Throws if there were too many.
    std::vector<Sample> samples() const;

private:
    Fd fd_;
    Mapping ring_;
};

} // namespace kdbus::bench

#endif
