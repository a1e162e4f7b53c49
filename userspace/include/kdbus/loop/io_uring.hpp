// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_IO_URING_HPP
#define KDBUS_LOOP_IO_URING_HPP

#include <kdbus/loop/basic_loop.hpp>

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace kdbus {

namespace detail {

/// Polls are one-shot and put into the ring again before each wait: only then are they
/// level-triggered. Each has a number of its own, so that one that was taken back is not taken for
/// its successor.
class UringPoller {
public:
    [[nodiscard]] static Result<UringPoller> create() {
        constexpr unsigned entries = 64;
        std::unique_ptr<io_uring, Destroy> ring;
        auto memory = std::make_unique<io_uring>();
        if (const int made = io_uring_queue_init(entries, memory.get(), 0); made < 0)
            return Error::from_errno(-made, "Making an io_uring");
        ring.reset(memory.release());
        return UringPoller(std::move(ring));
    }

    Result<void> add(int fd, short events, std::uint64_t id) {
        if (fcntl(fd, F_GETFD) < 0)
            return Error::from_errno(errno, "Watching a descriptor");
        // All watches may become idle, which must not fail then.
        const std::size_t most = idle_.size() + watches_.size() + 1;
        if (most > idle_.capacity())
            idle_.reserve(std::max(most, 2 * idle_.capacity()));
        watches_.emplace(id, Watch{fd, events, none});
        idle_.push_back(id);
        return {};
    }
    void modify(int, short events, std::uint64_t id) noexcept {
        Watch& watch = watches_.find(id)->second;
        watch.events = events;
        if (watch.poll != none) {
            take_back(watch.poll);
            watch.poll = none;
            idle_.push_back(id);
        }
    }
    void remove(int, std::uint64_t id) noexcept {
        const auto watch = watches_.extract(id);
        if (watch.mapped().poll == none)
            return;
        take_back(watch.mapped().poll);
        // The ring has the file open as long as it polls it.
        io_uring_submit(ring_.get());
    }

    Result<void> wait(std::chrono::nanoseconds limit, std::deque<LoopEvent>& events) {
        if (auto armed = arm(); !armed)
            return armed;
        constexpr std::int64_t second = 1'000'000'000;
        __kernel_timespec time{.tv_sec = limit.count() / second, .tv_nsec = limit.count() % second};
        io_uring_cqe* first = nullptr;
        const int waited = io_uring_submit_and_wait_timeout(
            ring_.get(), &first, 1, limit == limit.max() ? nullptr : &time, nullptr);
        if (waited < 0 && waited != -ETIME && waited != -EINTR && waited != -EAGAIN &&
            waited != -EBUSY)
            return Error::from_errno(-waited, "Waiting");
        unsigned head = 0;
        unsigned count = 0;
        io_uring_cqe* done = nullptr;
        io_uring_for_each_cqe(ring_.get(), head, done) {
            ++count;
            const auto poll = polls_.extract(io_uring_cqe_get_data64(done));
            if (poll.empty()) // was taken back, or is the taking back itself
                continue;
            const std::uint64_t id = poll.mapped();
            watches_.find(id)->second.poll = none;
            idle_.push_back(id);
            events.push_back({id, done->res < 0 ? failed : static_cast<short>(done->res)});
        }
        io_uring_cq_advance(ring_.get(), count);
        return {};
    }

private:
    static constexpr std::uint64_t none = 0;
    static constexpr short failed = POLLERR;

    struct Destroy {
        void operator()(io_uring* ring) const noexcept {
            io_uring_queue_exit(ring);
            delete ring;
        }
    };
    struct Watch {
        int fd;
        short events;
        std::uint64_t poll; ///< in the ring, or none
    };

    explicit UringPoller(std::unique_ptr<io_uring, Destroy> ring) noexcept
        : ring_(std::move(ring)) {}

    /// A place for a request; nullptr if the ring takes none now.
    io_uring_sqe* place() noexcept {
        io_uring_sqe* request = io_uring_get_sqe(ring_.get());
        if (request == nullptr && io_uring_submit(ring_.get()) >= 0)
            request = io_uring_get_sqe(ring_.get());
        return request;
    }

    void take_back(std::uint64_t poll) noexcept {
        polls_.erase(poll);
        // If there is no place, the poll runs to its end and nobody listens.
        if (io_uring_sqe* request = place()) {
            io_uring_prep_poll_remove(request, poll);
            io_uring_sqe_set_data64(request, none);
        }
    }

    Result<void> arm() {
        while (!idle_.empty()) {
            const auto found = watches_.find(idle_.back());
            if (found != watches_.end() && found->second.poll == none) {
                // First, for there may be no memory, and a place cannot be given back.
                polls_.emplace(++last_poll_, found->first);
                io_uring_sqe* request = place();
                if (request == nullptr) {
                    polls_.erase(last_poll_);
                    return Error{error_names::limits_exceeded, "The io_uring takes no more polls"};
                }
                Watch& watch = found->second;
                watch.poll = last_poll_;
                io_uring_prep_poll_add(request, watch.fd,
                                       static_cast<unsigned short>(watch.events));
                io_uring_sqe_set_data64(request, watch.poll);
            }
            idle_.pop_back();
        }
        return {};
    }

    std::unique_ptr<io_uring, Destroy> ring_;
    std::map<std::uint64_t, Watch> watches_;
    std::unordered_map<std::uint64_t, std::uint64_t> polls_; ///< in the ring: whose
    std::vector<std::uint64_t> idle_;                        ///< watches to be put into it
    std::uint64_t last_poll_ = none;
};

} // namespace detail

/// An event loop on io_uring (see BasicLoop), for programs that use it anyway: D-Bus itself gains
/// nothing from it. Needs liburing 2.2, Linux 5.11, and the right to use io_uring, which containers
/// may not have: then create() fails with AccessDenied or NotSupported.
using UringLoop = BasicLoop<detail::UringPoller>;

} // namespace kdbus

#endif
