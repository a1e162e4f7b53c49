// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_LIB_GUEST_BUS_HPP
#define KDBUS_SELFTESTS_LIB_GUEST_BUS_HPP

#include <kdbus/abi.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <string>
#include <unistd.h>

/// The value of a result, or a failed test that names the errno.
template <class T>
T must(kdbus::abi::Result<T> result) {
    if (!result)
        FAIL("error: " << result.error().message() << " (" << result.error().value() << ")");
    if constexpr (!std::is_void_v<T>)
        return std::move(*result);
}

template <class T>
int errno_of(const kdbus::abi::Result<T>& result) {
    return result ? 0 : result.error().value();
}

/// A bus nobody else uses.
inline kdbus::abi::Bus make_bus(std::uint64_t flags = 0) {
    static std::atomic<unsigned> count;
    const std::string name = std::to_string(geteuid()) + "-lib-" + std::to_string(getpid()) + "-" +
                             std::to_string(++count);
    return must(kdbus::abi::Bus::make({.name = name, .flags = flags}));
}

inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

#endif
