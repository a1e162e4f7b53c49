// SPDX-License-Identifier: LGPL-2.1-or-later
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <string>
#include <unistd.h>
#include <vector>

#include "bus.hpp"
#include "measurements.hpp"

namespace {

using namespace kdbus::bench;

struct Measurement {
    const char* name;
    void (*run)(Report&, const Options&);
};

constexpr Measurement measurements[] = {
    {"round-trip", measure_round_trips}, {"copies", measure_copies},   {"idle", measure_idle},
    {"memory", measure_memory},          {"signals", measure_signals}, {"bodies", measure_bodies},
};

} // namespace

int main(int argc, char** argv) {
    CLI::App app("Measures what messages of the kernel bus cost, beside AF_UNIX sockets.",
                 "kdbus-bench");
    Options options;
    unsigned settle = 2;
    std::vector<std::string> chosen, names;
    for (const auto& measurement : measurements)
        names.emplace_back(measurement.name);

    app.add_option("measurement", chosen, "Which to make [all]")->check(CLI::IsMember(names));
    app.add_option("--settle", settle, "Wait so many seconds first")->capture_default_str();
    app.add_option("--signal-margin", options.signal_margin,
                   "Percent a signal may cost more among many subscribers")
        ->capture_default_str();
    app.add_option("--idle-margin", options.idle_margin,
                   "Percent a round trip may cost more beside idle connections")
        ->capture_default_str();
    app.add_flag("--profile", options.profile, "Show in which functions time is spent");
    app.set_version_flag("--version", "kdbus-bench " KDBUS_VERSION);
    CLI11_PARSE(app, argc, argv);

    try {
        Report report;
        allow_many_descriptors();
        sleep(settle);
        for (const auto& measurement : measurements)
            if (chosen.empty() ||
                std::find(chosen.begin(), chosen.end(), measurement.name) != chosen.end())
                measurement.run(report, options);
        return report.missed() ? EXIT_FAILURE : EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "kdbus-bench: {}\n", error.what());
        return 2;
    }
}
