// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_WAIT_HPP
#define KDBUS_LIB_BUS_WAIT_HPP

#include <kdbus/result.hpp>

#include <cstdint>

namespace kdbus::detail {

/// Now, in absolute CLOCK_MONOTONIC nanoseconds.
[[nodiscard]] std::uint64_t now_ns() noexcept;

/// Waits until a descriptor has one of the poll @p events, until @p until_ns (as above) at the
/// latest, or for a signal. Fails if @p cancel_fd (-1: none) is or becomes readable.
Result<void> wait_for(int fd, short events, std::uint64_t until_ns, int cancel_fd = -1);

} // namespace kdbus::detail

#endif
