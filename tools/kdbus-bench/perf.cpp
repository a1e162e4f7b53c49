// SPDX-License-Identifier: LGPL-2.1-or-later
#include "perf.hpp"

#include <atomic>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kdbus::bench {

namespace {

constexpr std::size_t ring_size = 2 << 20;

} // namespace

std::map<std::uint64_t, std::string> read_symbols() {
    std::map<std::uint64_t, std::string> symbols;
    std::istringstream lines(read_file("/proc/kallsyms"));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        std::uint64_t address = 0;
        char type = 0;
        std::string name;
        fields >> std::hex >> address >> type >> name;
        if (type == 't' || type == 'T')
            symbols.emplace(address, name);
    }
    return symbols;
}

PerfEvent::PerfEvent(perf_event_attr attr, pid_t pid, int processor) {
    attr.size = sizeof(attr);
    attr.disabled = 1;
    fd_ = Fd(static_cast<int>(
        syscall(SYS_perf_event_open, &attr, pid, processor, -1, PERF_FLAG_FD_CLOEXEC)));
    must(fd_.get() >= 0, "perf_event_open");
    ring_ = Mapping(fd_.get(), static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + ring_size);
}

void PerfEvent::start() const {
    must(ioctl(fd_.get(), PERF_EVENT_IOC_ENABLE, 0) == 0, "PERF_EVENT_IOC_ENABLE");
}

void PerfEvent::stop() const {
    must(ioctl(fd_.get(), PERF_EVENT_IOC_DISABLE, 0) == 0, "PERF_EVENT_IOC_DISABLE");
}

// A mapping that cannot be written is a ring that is never emptied: when it is full, the oldest is
// overwritten.
std::vector<PerfEvent::Sample> PerfEvent::samples() const {
    const auto& control = *reinterpret_cast<const perf_event_mmap_page*>(ring_.at(0));
    const auto end = control.data_head;
    std::atomic_thread_fence(std::memory_order_acquire);
    if (end > ring_size)
        throw std::runtime_error("more samples than there is room for");

    std::vector<Sample> samples;
    for (std::uint64_t at = 0; at < end;) {
        perf_event_header header;
        const auto* record = ring_.at(control.data_offset + at);
        std::memcpy(&header, record, sizeof(header));
        if (header.type == PERF_RECORD_SAMPLE) {
            Sample sample{(header.misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL,
                          std::vector<std::uint64_t>((header.size - sizeof(header)) / 8)};
            std::memcpy(sample.words.data(), record + sizeof(header), sample.words.size() * 8);
            samples.push_back(std::move(sample));
        }
        at += header.size;
    }
    return samples;
}

} // namespace kdbus::bench
