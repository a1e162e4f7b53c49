// SPDX-License-Identifier: LGPL-2.1-or-later
// The entry of every test program: limits, a watchdog for each test case, and the proof that the
// module holds no more objects at the end than at the start.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace {

constexpr int skipped = 77;
constexpr unsigned test_case_seconds = 120;
constexpr const char* counters_path = "/sys/kernel/debug/kdbus/objects";

using Counters = std::map<std::string, long>;

bool read_counters(Counters& counters) {
    std::ifstream file(counters_path);
    std::string name;
    long count = 0;
    counters.clear();
    while (file >> name >> count)
        counters[name] = count;
    return !counters.empty();
}

// Waits until no counter is above its limit; objects may be released with some delay.
bool settled(Counters& counters, const Counters& limits) {
    for (int i = 0;; i++) {
        const bool good = read_counters(counters) &&
                          std::all_of(counters.begin(), counters.end(), [&](const auto& c) {
                              auto limit = limits.find(c.first);
                              return c.second <= (limit == limits.end() ? 0 : limit->second);
                          });
        if (good || i == 100)
            return good;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

void out_of_time(int) {
    static constexpr char text[] = "the test case ran out of time\n";
    [[maybe_unused]] auto n = write(2, text, sizeof text - 1);
    std::abort();
}

struct Watchdog : Catch::TestEventListenerBase {
    using TestEventListenerBase::TestEventListenerBase;
    void testCaseStarting(const Catch::TestCaseInfo&) override { alarm(test_case_seconds); }
    void testCaseEnded(const Catch::TestCaseStats&) override { alarm(0); }
};

} // namespace

CATCH_REGISTER_LISTENER(Watchdog)

int main(int argc, char** argv) {
    if (geteuid() != 0 || access("/dev/kdbus/control", F_OK) != 0) {
        std::fputs("needs root and the kdbus module\n", stderr);
        return skipped;
    }
    Counters before, after;
    if (!read_counters(before)) {
        std::fprintf(stderr, "cannot read %s\n", counters_path);
        return EXIT_FAILURE;
    }
    // What a program before this one left must not hide what this one leaves.
    settled(before, {});
    rlimit files{8192, 8192};
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGALRM, out_of_time);
    signal(SIGPIPE, SIG_IGN);

    int result = Catch::Session().run(argc, argv);

    if (settled(after, before))
        return result;
    for (const auto& [name, count] : after)
        if (count > before[name])
            std::fprintf(stderr, "leaked: %s %ld, was %ld\n", name.c_str(), count, before[name]);
    return result ? result : EXIT_FAILURE;
}
