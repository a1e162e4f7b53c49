// SPDX-License-Identifier: LGPL-2.1-or-later
// What the module executed, as CONFIG_KCOV records it.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "program.hpp"

namespace fuzz {

// Two values the module compared, the first a constant.
struct Comparison {
    u64 constant, value;
};

// The record of one thread. Made in any thread; start() and stop() belong to the one it records.
class Recorder {
public:
    Recorder();
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    // Whether the kernel can record.
    bool works() const { return words_ != nullptr; }
    void start(bool comparisons = false);
    void stop();
    // Of the last recording that did not ask for comparisons, and of the last that did.
    std::span<const u64> places() const;
    std::vector<Comparison> comparisons() const;

private:
    int fd_ = -1;
    u64* words_ = nullptr;
};

// All places that were ever reached. May be used by any thread.
class Coverage {
public:
    // How many of them are new.
    std::size_t add(std::span<const u64> places);
    std::size_t size() const { return size_; }

private:
    // The module is far smaller than this, so the low bits of its addresses tell them apart.
    static constexpr std::size_t cells = 1 << 22;
    std::unique_ptr<std::atomic<bool>[]> reached_ = std::make_unique<std::atomic<bool>[]>(cells);
    std::atomic<std::size_t> size_ = 0;
};

} // namespace fuzz
