// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_BENCH_MEASUREMENTS_HPP
#define KDBUS_BENCH_MEASUREMENTS_HPP

#include "report.hpp"

namespace kdbus::bench {

struct Options {
    double signal_margin = 10; ///< percent that a signal may cost more among many subscribers
    double idle_margin = 2;    ///< percent that a round trip may cost more beside idle connections
    bool profile = false;      ///< say where the time of each measurement goes
};

void measure_round_trips(Report& report, const Options& options);
void measure_idle(Report& report, const Options& options);
void measure_copies(Report& report, const Options& options);
void measure_signals(Report& report, const Options& options);
void measure_memory(Report& report, const Options& options);
void measure_bodies(Report& report, const Options& options);

} // namespace kdbus::bench

#endif
