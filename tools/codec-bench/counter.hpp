// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_CODEC_BENCH_COUNTER_HPP
#define KDBUS_CODEC_BENCH_COUNTER_HPP

#include <cstdint>
#include <optional>

namespace kdbus::codec_bench {

/// Counts this thread's instructions in user space, where the processor and the system permit it.
class InstructionCounter {
public:
    InstructionCounter() noexcept;
    InstructionCounter(const InstructionCounter&) = delete;
    ~InstructionCounter();

    /// So far; nothing if they are not counted.
    [[nodiscard]] std::optional<std::uint64_t> read() const noexcept;

private:
    int fd_;
};

/// Processor time of this thread: other load does not count, if it does not slow the processor
/// down.
std::uint64_t now_ns() noexcept;

} // namespace kdbus::codec_bench

#endif
