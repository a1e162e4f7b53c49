// SPDX-License-Identifier: LGPL-2.1-or-later
// What making and reading messages costs, next to libdbus, sd-bus and GLib, in one run. Exits with
// 1 unless the library is ahead everywhere.
#include "counter.hpp"
#include "shapes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>

namespace {

using namespace kdbus::codec_bench;

/// Of one message.
struct Cost {
    double ns = std::numeric_limits<double>::max();
    std::optional<double> instructions;
};

Cost batch(const Task& task, std::uint64_t count, const InstructionCounter& counter) {
    const auto instructions = counter.read();
    const auto began = now_ns();
    for (std::uint64_t i = 0; i < count; ++i)
        task();
    const auto ended = now_ns();
    const auto after = counter.read();
    Cost cost;
    cost.ns = static_cast<double>(ended - began) / static_cast<double>(count);
    if (instructions && after)
        cost.instructions =
            static_cast<double>(*after - *instructions) / static_cast<double>(count);
    return cost;
}

/// How often a task is done in a batch's time.
std::uint64_t repetitions(const Task& task, std::uint64_t batch_ns) {
    for (std::uint64_t count = 1;; count *= 2) {
        const auto began = now_ns();
        for (std::uint64_t i = 0; i < count; ++i)
            task();
        const auto took = now_ns() - began;
        if (took >= batch_ns / 4)
            return std::max<std::uint64_t>(1, count * batch_ns / std::max<std::uint64_t>(took, 1));
    }
}

/// The best of some batches of each, which take turns: whatever else the machine does hits both.
std::pair<Cost, Cost> compare(const Task& ours, const Task& theirs, std::uint64_t batch_ns,
                              int batches) {
    const InstructionCounter counter;
    const auto our_count = repetitions(ours, batch_ns);
    const auto their_count = repetitions(theirs, batch_ns);
    std::pair<Cost, Cost> best;
    const auto better = [](const Cost& a, const Cost& b) {
        return a.ns < b.ns;
    };
    for (int i = 0; i < batches; ++i) {
        best.first = std::min(best.first, batch(ours, our_count, counter), better);
        best.second = std::min(best.second, batch(theirs, their_count, counter), better);
    }
    return best;
}

std::string instructions_text(const Cost& cost) {
    return cost.instructions ? fmt::format("{:.0f}", *cost.instructions) : "n/a";
}

} // namespace

int main(int argc, char** argv) {
    // In a guest whose clock counts instructions, one batch is as good as many.
    const bool exact = argc == 2 && std::string_view(argv[1]) == "--exact";
    if (argc > 1 && !exact) {
        fmt::print(stderr, "usage: codec-bench [--exact]\n\n"
                           "--exact: the clock counts instructions, as in `make bench`\n");
        return EXIT_FAILURE;
    }
    const std::uint64_t batch_ns = exact ? 2'000'000 : 1'000'000;
    const int batches = exact ? 1 : 50;
    try {
        bool ahead = true;
        fmt::print("{:15} {:6} {:5} {:8} {:>10} {:>10} {:>6} {:>10} {:>10}\n", "message", "type",
                   "does", "against", exact ? "our instr" : "our ns", exact ? "instr" : "their ns",
                   "ratio", exact ? "" : "our instr", exact ? "" : "instr");
        for (const Shape shape : all_shapes) {
            const Contender pairs[][2] = {
                {ours_dbus1(shape), libdbus(shape)},
                {ours_dbus1_read_only(shape), sdbus(shape)},
                {ours_dbus1(shape), gdbus(shape)},
                {ours_gvariant(shape), gvariant(shape)},
            };
            for (const auto& [ours, theirs] : pairs)
                must(ours.read() == checksum_of(shape) && theirs.read() == checksum_of(shape),
                     "not everything was read");
            for (const bool write : {true, false})
                for (const auto& [ours, theirs] : pairs) {
                    Cost our, their;
                    bool good = false;
                    // What else runs here can spoil times, though hardly several in a row.
                    for (int attempt = 0; !good && attempt < (exact ? 1 : 5); ++attempt) {
                        std::tie(our, their) =
                            compare(write ? ours.write : ours.read,
                                    write ? theirs.write : theirs.read, batch_ns, batches);
                        good = our.ns < their.ns;
                    }
                    ahead = ahead && good;
                    fmt::print("{:15} {:6} {:5} {:8} {:10.0f} {:10.0f} {:6.2f} {:>10} {:>10} {}\n",
                               name_of(shape), signature_of(shape), write ? "write" : "read",
                               theirs.name, our.ns, their.ns, their.ns / our.ns,
                               exact ? "" : instructions_text(our),
                               exact ? "" : instructions_text(their), good ? "PASS" : "FAIL");
                }
        }
        return ahead ? EXIT_SUCCESS : EXIT_FAILURE;
    } catch (const std::exception& error) {
        fmt::print(stderr, "codec-bench: {}\n", error.what());
        return EXIT_FAILURE;
    }
}
