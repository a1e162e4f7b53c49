// SPDX-License-Identifier: LGPL-2.1-or-later
// How many objects of each kind the module holds, as it tells in debugfs; and the error numbers it
// may answer with.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>

namespace test {

using Counters = std::map<std::string, long>;

constexpr const char* counters_path = "/sys/kernel/debug/kdbus/objects";

inline Counters read_counters() {
    std::ifstream file(counters_path);
    Counters counters;
    std::string name;
    long count = 0;
    while (file >> name >> count)
        counters[name] = count;
    return counters;
}

// What is there beyond the limits. Waits until that is nothing; objects may be released with some
// delay.
inline Counters leftovers(const Counters& limits) {
    for (int i = 0;; i++) {
        Counters left;
        for (const auto& [name, count] : read_counters()) {
            const auto limit = limits.find(name);
            if (count > (limit == limits.end() ? 0 : limit->second))
                left[name] = count;
        }
        if (left.empty() || i == 600)
            return left;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

// Whether the interface knows this error; ENOENT belongs to open(2) only.
inline bool is_interface_error(int error) {
    constexpr int errors[] = {
        EPERM,        ESRCH,      EINTR,       ENXIO,         E2BIG,   EBADF,        EAGAIN,
        ENOMEM,       EACCES,     EFAULT,      EBUSY,         EEXIST,  EINVAL,       EMFILE,
        ENOTTY,       ETXTBSY,    EMLINK,      EPIPE,         EDOM,    ENAMETOOLONG, EXFULL,
        EBADSLT,      ECOMM,      EBADMSG,     ENOTUNIQ,      EBADFD,  EREMCHG,      EMSGSIZE,
        EDESTADDRREQ, EOPNOTSUPP, EADDRINUSE,  EADDRNOTAVAIL, ENOBUFS, ESHUTDOWN,    ECONNRESET,
        ETIMEDOUT,    EREMOTEIO,  EMEDIUMTYPE, ECANCELED};
    return std::find(std::begin(errors), std::end(errors), error) != std::end(errors);
}

} // namespace test
