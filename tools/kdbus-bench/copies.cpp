// SPDX-License-Identifier: LGPL-2.1-or-later
#include <array>
#include <cstdint>
#include <fmt/format.h>
#include <linux/hw_breakpoint.h>
#include <list>
#include <stdexcept>
#include <string_view>
#include <unistd.h>

#include "bus.hpp"
#include "measurements.hpp"
#include "perf.hpp"
#include "roundtrip.hpp"

namespace kdbus::bench {

namespace {

constexpr std::size_t small = 64 << 10, large = 1 << 20;
constexpr int round_trips = 4;

/// The routines through which Linux 6.1 copies from and to user space; which is in use depends on
/// the processor. Their third argument is the length. (memcpy() allows no breakpoint: what the
/// kernel copied inside itself would show in the instructions per byte.)
constexpr std::array<std::string_view, 3> copying = {
    "copy_user_generic_unrolled", "copy_user_generic_string", "copy_user_enhanced_fast_string"};
constexpr std::uint64_t third_argument = 1 << 3; // register dx

std::uint64_t address_of(std::string_view function) {
    for (const auto& [address, name] : read_symbols())
        if (name == function)
            return address;
    throw std::runtime_error(fmt::format("this kernel has no function {}", function));
}

/// Counts what the kernel copies for a process, with a breakpoint at each of these routines.
class CopyCounter {
public:
    explicit CopyCounter(pid_t pid) {
        for (const auto function : copying) {
            perf_event_attr attr{};
            attr.type = PERF_TYPE_BREAKPOINT;
            attr.bp_type = HW_BREAKPOINT_X;
            attr.bp_addr = address_of(function);
            attr.bp_len = sizeof(long);
            attr.sample_period = 1;
            attr.sample_type = PERF_SAMPLE_REGS_INTR;
            attr.sample_regs_intr = third_argument;
            events_.emplace_back(attr, pid, -1);
        }
    }

    void start() const {
        for (const auto& event : events_)
            event.start();
    }

    std::uint64_t stop() {
        for (const auto& event : events_)
            event.stop();
        std::uint64_t bytes = 0;
        for (const auto& event : events_)
            for (const auto& sample : event.samples())
                bytes += static_cast<std::uint32_t>(sample.words.back());
        return bytes;
    }

private:
    std::list<PerfEvent> events_;
};

/// Bytes copied for both processes of an echo.
template <class Echo>
std::uint64_t count_copied(Echo& echo) {
    echo.run(round_trips); // first touches
    CopyCounter caller(getpid()), service(echo.service());
    caller.start();
    service.start();
    echo.run(round_trips);
    return caller.stop() + service.stop();
}

/// How often each byte of a payload is copied on its way in one direction. What is copied beside
/// the payload does not depend on its size, so the difference between two sizes is exact.
double copies_per_direction(std::uint64_t small_copied, std::uint64_t large_copied) {
    return static_cast<double>(large_copied - small_copied) / (2.0 * round_trips * (large - small));
}

} // namespace

void measure_copies(Report& report, const Options&) {
    report.title("How often a payload is copied in one direction, counted");
    SocketEcho small_socket(small), large_socket(large);
    const auto small_sent = count_copied(small_socket), large_sent = count_copied(large_socket);
    report.note("SEQPACKET", fmt::format("{:.6f}", copies_per_direction(small_sent, large_sent)));

    const Bus bus;
    KernelEcho small_echo(bus, small), large_echo(bus, large);
    const double more = measure(100, [&](int n) { large_echo.run(n); }) -
                        measure(100, [&](int n) { small_echo.run(n); });
    const auto small_copied = count_copied(small_echo), large_copied = count_copied(large_echo);
    const double copies = copies_per_direction(small_copied, large_copied);
    report.check(copies == 1, "kdbus", fmt::format("{:.6f}; exactly 1", copies));
    report.note("a byte in one direction",
                fmt::format("{:.3f} ns", more / (2.0 * (large - small))));
    report.note("copied beside the payload",
                fmt::format("{:.1f} bytes in a round trip",
                            static_cast<double>(small_copied) / round_trips - 2.0 * small));
}

} // namespace kdbus::bench
