// SPDX-License-Identifier: LGPL-2.1-or-later
// The entry of every test program: limits, a watchdog for each test case, and the proof that the
// module holds no more objects at the end than at the start.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <sys/resource.h>
#include <unistd.h>

#include "objects.hpp"

namespace {

constexpr int skipped = 77;
constexpr unsigned test_case_seconds = 600;

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
    if (test::read_counters().empty()) {
        std::fprintf(stderr, "cannot read %s\n", test::counters_path);
        return EXIT_FAILURE;
    }
    // What a program before this one left must not hide what this one leaves.
    const test::Counters before = test::leftovers({});
    rlimit files{8192, 8192};
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGALRM, out_of_time);
    signal(SIGPIPE, SIG_IGN);

    int result = Catch::Session().run(argc, argv);

    const test::Counters left = test::leftovers(before);
    for (const auto& [name, count] : left)
        std::fprintf(stderr, "leaked: %s, now %ld\n", name.c_str(), count);
    return result || left.empty() ? result : EXIT_FAILURE;
}
