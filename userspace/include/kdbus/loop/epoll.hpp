// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_EPOLL_HPP
#define KDBUS_LOOP_EPOLL_HPP

#include <kdbus/loop/basic_loop.hpp>

#include <array>
#include <cerrno>
#include <sys/epoll.h>

namespace kdbus {

namespace detail {

class EpollPoller {
public:
    [[nodiscard]] static Result<EpollPoller> create() {
        abi::UniqueFd set(epoll_create1(EPOLL_CLOEXEC));
        if (!set)
            return Error::from_errno(errno, "Making an epoll set");
        return EpollPoller(std::move(set));
    }

    Result<void> add(int fd, short events, std::uint64_t id) {
        if (!control(EPOLL_CTL_ADD, fd, events, id))
            return Error::from_errno(errno, "Watching a descriptor");
        return {};
    }
    void modify(int fd, short events, std::uint64_t id) noexcept {
        control(EPOLL_CTL_MOD, fd, events, id);
    }
    void remove(int fd, std::uint64_t id) noexcept { control(EPOLL_CTL_DEL, fd, 0, id); }

    Result<void> wait(std::chrono::nanoseconds limit, std::deque<LoopEvent>& events) {
        using std::chrono::milliseconds;
        constexpr milliseconds longest = std::chrono::hours(24);
        const int timeout =
            limit == limit.max()
                ? -1
                : static_cast<int>(std::chrono::ceil<milliseconds>(
                                       std::min<std::chrono::nanoseconds>(limit, longest))
                                       .count());
        std::array<epoll_event, 64> happened;
        const int count =
            epoll_wait(set_.get(), happened.data(), static_cast<int>(happened.size()), timeout);
        if (count < 0 && errno != EINTR)
            return Error::from_errno(errno, "Waiting");
        // The low bits of epoll are poll's.
        for (int i = 0; i < count; ++i) {
            const epoll_event& one = happened[static_cast<std::size_t>(i)];
            events.push_back({one.data.u64, static_cast<short>(one.events)});
        }
        return {};
    }

private:
    explicit EpollPoller(abi::UniqueFd set) noexcept : set_(std::move(set)) {}

    bool control(int operation, int fd, short events, std::uint64_t id) noexcept {
        epoll_event event{};
        event.events = static_cast<std::uint32_t>(static_cast<unsigned short>(events));
        event.data.u64 = id;
        return epoll_ctl(set_.get(), operation, fd, &event) == 0;
    }

    abi::UniqueFd set_;
};

} // namespace detail

/// An event loop on epoll (see BasicLoop): what a program takes that has none. Timers are exact to
/// a millisecond. A descriptor can be watched once.
using EpollLoop = BasicLoop<detail::EpollPoller>;

} // namespace kdbus

#endif
