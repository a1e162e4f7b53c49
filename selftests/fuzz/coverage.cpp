// SPDX-License-Identifier: LGPL-2.1-or-later
#include "coverage.hpp"

#include <algorithm>
#include <fcntl.h>
#include <linux/kcov.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fuzz {

namespace {

constexpr std::size_t capacity = 1 << 16;

} // namespace

Recorder::Recorder() : fd_(open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0 || ioctl(fd_, KCOV_INIT_TRACE, capacity) != 0)
        return;
    void* map = mmap(nullptr, capacity * sizeof(u64), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (map != MAP_FAILED)
        words_ = static_cast<u64*>(map);
}

Recorder::~Recorder() {
    if (words_)
        munmap(words_, capacity * sizeof(u64));
    if (fd_ >= 0)
        close(fd_);
}

void Recorder::start(bool comparisons) {
    if (!works())
        return;
    __atomic_store_n(words_, 0, __ATOMIC_RELAXED);
    ioctl(fd_, KCOV_ENABLE, comparisons ? KCOV_TRACE_CMP : KCOV_TRACE_PC);
}

void Recorder::stop() {
    if (works())
        ioctl(fd_, KCOV_DISABLE, 0);
}

std::span<const u64> Recorder::places() const {
    if (!works())
        return {};
    return {words_ + 1, std::min<std::size_t>(words_[0], capacity - 1)};
}

std::vector<Comparison> Recorder::comparisons() const {
    std::vector<Comparison> found;
    if (!works())
        return found;
    // Each record: type, two arguments, place.
    const std::size_t n = std::min<std::size_t>(words_[0], (capacity - 1) / 4);
    for (const u64* record = words_ + 1; record != words_ + 1 + 4 * n; record += 4)
        if (record[0] & KCOV_CMP_CONST && record[1] != record[2])
            found.push_back({record[1], record[2]});
    return found;
}

std::size_t Coverage::add(std::span<const u64> places) {
    std::size_t added = 0;
    for (const u64 place : places) {
        std::atomic<bool>& cell = reached_[place % cells];
        if (!cell.load(std::memory_order_relaxed) && !cell.exchange(true))
            added++;
    }
    size_ += added;
    return added;
}

} // namespace fuzz
