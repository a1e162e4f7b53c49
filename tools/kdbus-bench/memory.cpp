// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <list>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "bus.hpp"
#include "measurements.hpp"
#include "system.hpp"

namespace kdbus::bench {

namespace {

constexpr int connections = 1000, first_connections = 20;
constexpr std::size_t pool_size = 1 << 20;
constexpr double limit = 4096;

using Figures = std::map<std::string, std::int64_t>;

/// A memory cgroup with this process, until the object ends.
class Cgroup {
public:
    Cgroup() {
        write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
        must(mkdir(path_.c_str(), 0755) == 0, path_);
        write_file(path_ + "/cgroup.procs", "0");
    }
    Cgroup(const Cgroup&) = delete;
    Cgroup& operator=(const Cgroup&) = delete;
    ~Cgroup() {
        // The memory that is still charged goes with the process.
        write_file("/sys/fs/cgroup/cgroup.procs", "0");
        rmdir(path_.c_str());
    }

    /// Bytes by kind.
    Figures usage() const {
        Figures figures;
        std::istringstream lines(read_file(path_ + "/memory.stat"));
        std::string name;
        for (std::int64_t bytes = 0; lines >> name >> bytes;)
            figures[name] = bytes;
        return figures;
    }

private:
    const std::string path_ = "/sys/fs/cgroup/kdbus-bench";
};

/// Bytes of the objects in use, by slab cache.
Figures slabs() {
    Figures figures;
    std::istringstream lines(read_file("/proc/slabinfo"));
    std::string line;
    std::getline(lines, line); // version
    std::getline(lines, line); // heading
    while (std::getline(lines, line)) {
        std::istringstream fields(line);
        std::string name;
        std::int64_t active = 0, all = 0, size = 0;
        if (fields >> name >> active >> all >> size)
            figures[name] = active * size;
    }
    return figures;
}

/// What each connection adds, largest first; little is noise.
std::vector<std::pair<double, std::string>> growth(const Figures& before, const Figures& after) {
    std::vector<std::pair<double, std::string>> result;
    for (const auto& [name, bytes] : after) {
        const auto old = before.find(name);
        const double each =
            static_cast<double>(bytes - (old == before.end() ? 0 : old->second)) / connections;
        if (each >= 8)
            result.emplace_back(each, name);
    }
    std::sort(result.rbegin(), result.rend());
    return result;
}

void measure_idle_memory(Report& report, Connection::Map map) {
    const Bus bus;
    const Cgroup cgroup;

    std::list<Connection> idle;
    const auto add = [&](int n) {
        while (n-- > 0)
            idle.emplace_back(bus, KDBUS_ATTACH_TIMESTAMP, pool_size, map);
    };
    add(first_connections);
    auto usage_before = cgroup.usage(), slabs_before = slabs();
    add(connections);
    auto usage_after = cgroup.usage(), slabs_after = slabs();

    // Pages of files and shared memory are the kernel's decision, too; what the process itself
    // allocates is not.
    const auto kernel = [](Figures& usage) {
        return usage["kernel"] + usage["file"];
    };
    const double each =
        static_cast<double>(kernel(usage_after) - kernel(usage_before)) / connections;
    report.check(each < limit, map == Connection::Map::yes ? "idle, pool mapped" : "idle",
                 fmt::format("{:.0f} bytes; below {:.0f}", each, limit));
    for (const auto& [bytes, name] : growth(usage_before, usage_after))
        if (name != "anon" && name != "inactive_anon" && name != "active_anon")
            report.note("", fmt::format("{:6.0f}  {}", bytes, name));
    for (const auto& [bytes, name] : growth(slabs_before, slabs_after))
        report.note("", fmt::format("{:6.0f}  slab {}", bytes, name));
}

} // namespace

void measure_memory(Report& report, const Options&) {
    report.title("Kernel memory of a connection that idles");
    for (const auto map : {Connection::Map::no, Connection::Map::yes}) {
        // A process of its own, in which nothing else changes.
        Child child([map] {
            Report own;
            measure_idle_memory(own, map);
            return own.missed() ? 1 : 0;
        });
        const int status = child.join();
        if (status > 1)
            throw std::runtime_error("the process with the idle connections failed");
        report.add(status != 0);
    }
}

} // namespace kdbus::bench
