// SPDX-License-Identifier: LGPL-2.1-or-later
// Compares the module with the model: bus after bus, random operations until there were enough.
// The first answer that differs ends it, with all that was done to that bus; its seed repeats it.
#include "operations.hpp"

#include <cstdio>
#include <cstdlib>
#include <getopt.h>
#include <sys/resource.h>

namespace {

constexpr int skipped = 77;
constexpr model::u64 operations_per_bus = 400;

void usage(const char* program) {
    std::fprintf(stderr,
                 "usage: %s [--operations N] [--seed N] [--without OPERATION]...\n"
                 "operations:",
                 program);
    for (const std::string& name : model::Round::names())
        std::fprintf(stderr, " %s", name.c_str());
    std::fputc('\n', stderr);
}

// The operations done; throws what it found.
model::u64 run(model::Round& round) {
    while (round.operations() < operations_per_bus)
        round.step();
    round.finish();
    return round.operations();
}

} // namespace

int main(int argc, char** argv) {
    model::u64 wanted = 200'000, seed = std::random_device{}();
    std::set<std::string> without;
    static const option options[] = {{"operations", required_argument, nullptr, 'n'},
                                     {"seed", required_argument, nullptr, 's'},
                                     {"without", required_argument, nullptr, 'w'},
                                     {}};
    for (int c; (c = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
        if (c == 'n') {
            wanted = std::strtoull(optarg, nullptr, 0);
        } else if (c == 's') {
            seed = std::strtoull(optarg, nullptr, 0);
        } else if (c == 'w') {
            without.insert(optarg);
        } else {
            usage(argv[0]);
            return EXIT_FAILURE;
        }
    }
    if (geteuid() != 0 || access("/dev/kdbus/control", F_OK) != 0) {
        std::fputs("needs root and the kdbus module\n", stderr);
        return skipped;
    }
    rlimit files{8192, 8192};
    setrlimit(RLIMIT_NOFILE, &files);

    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    model::u64 done = 0, buses = 0;
    for (; done < wanted; seed++, buses++) {
        std::vector<std::string> history;
        try {
            model::Round round(seed, without);
            try {
                done += run(round);
            } catch (...) {
                history = round.history();
                throw;
            }
        } catch (const std::exception& e) {
            for (const std::string& line : history)
                std::printf("%s\n", line.c_str());
            std::printf("%s\nafter %llu operations; --seed %llu repeats it\n", e.what(),
                        static_cast<unsigned long long>(done + history.size()),
                        static_cast<unsigned long long>(seed));
            return EXIT_FAILURE;
        }
    }
    std::printf("%llu operations on %llu buses\n", static_cast<unsigned long long>(done),
                static_cast<unsigned long long>(buses));
    return EXIT_SUCCESS;
}
