// SPDX-License-Identifier: LGPL-2.1-or-later
#include "wait.hpp"

#include "cancellation.hpp"

#include <kdbus/abi/send.hpp>

#include <array>
#include <cerrno>
#include <ctime>
#include <poll.h>

namespace kdbus::detail {

std::uint64_t now_ns() noexcept {
    return abi::deadline_after(std::chrono::nanoseconds::zero());
}

Result<void> wait_for(int fd, short events, std::uint64_t until_ns, int cancel_fd) {
    const std::uint64_t now = now_ns();
    const std::uint64_t wait_ns = until_ns > now ? until_ns - now : 0;
    constexpr std::uint64_t second = 1'000'000'000;
    const timespec time{.tv_sec = static_cast<time_t>(wait_ns / second),
                        .tv_nsec = static_cast<long>(wait_ns % second)};
    std::array entries{pollfd{.fd = fd, .events = events, .revents = 0},
                       pollfd{.fd = cancel_fd, .events = POLLIN, .revents = 0}};
    if (ppoll(entries.data(), entries.size(), &time, nullptr) < 0 && errno != EINTR)
        return Error::from_errno(errno, "Waiting");
    if (entries[1].revents != 0)
        return cancelled("The call");
    return {};
}

} // namespace kdbus::detail
