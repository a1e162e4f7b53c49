// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_BASIC_LOOP_HPP
#define KDBUS_LOOP_BASIC_LOOP_HPP

#include <kdbus/abi/fd.hpp>
#include <kdbus/loop/attachment.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <poll.h>
#include <set>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

/// The event loop that EpollLoop and UringLoop are; programs include <kdbus/loop/epoll.hpp> or
/// <kdbus/loop/io_uring.hpp>.
namespace kdbus {

namespace detail {

/// Something that happened: which watch, and POLLIN and friends.
struct LoopEvent {
    std::uint64_t id;
    short events;
};

/// What a BasicLoop is about. The poller knows the system's way of waiting:
///
///     static Result<Poller> create()
///     Result<void> add(int fd, short events, std::uint64_t id)
///     void modify(int fd, short events, std::uint64_t id) noexcept
///     void remove(int fd, std::uint64_t id) noexcept
///     Result<void> wait(std::chrono::nanoseconds limit, std::deque<LoopEvent>& events)
///
/// Watches are level-triggered: what was not dealt with happens again. What add() was called for
/// and did not succeed is not watched.
template <class Poller>
class LoopState {
public:
    using FdCallback = std::move_only_function<void(short)>;
    using Callback = std::move_only_function<void()>;

    explicit LoopState(Poller poller) noexcept : poller_(std::move(poller)) {}

    Result<void> start() {
        wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (!wake_)
            return Error::from_errno(errno, "Making an event descriptor");
        return poller_.add(wake_.get(), POLLIN, wake_id);
    }

    Result<std::uint64_t> add_fd(int fd, short events, FdCallback callback) {
        const std::uint64_t id = ++last_id_;
        const auto place = watches_.try_emplace(id, Watch{fd, events, {}}).first;
        Result<void> added;
        try {
            place->second.callback = std::make_shared<FdCallback>(std::move(callback));
            added = poller_.add(fd, events, id);
        } catch (...) {
            watches_.erase(place);
            throw;
        }
        if (!added) {
            watches_.erase(place);
            return std::move(added).error();
        }
        return id;
    }
    void set_events(std::uint64_t id, short events) noexcept {
        const auto found = watches_.find(id);
        if (found == watches_.end() || found->second.events == events)
            return;
        found->second.events = events;
        poller_.modify(found->second.fd, events, id);
    }

    /// @p once: it is gone when it has run.
    std::uint64_t add_timer(std::optional<LoopTime> at, bool once, Callback callback) {
        const std::uint64_t id = ++last_id_;
        Deadlines one{{LoopTime(), id}};
        timers_.emplace(id, Timer{std::nullopt, once, one.extract(one.begin()),
                                  std::make_shared<Callback>(std::move(callback))});
        set_timer(id, at);
        return id;
    }
    void set_timer(std::uint64_t id, std::optional<LoopTime> at) noexcept {
        const auto found = timers_.find(id);
        if (found == timers_.end() || found->second.at == at)
            return;
        Timer& timer = found->second;
        auto deadline = timer.at ? deadlines_.extract({*timer.at, id}) : std::move(timer.unset);
        timer.at = at;
        if (at) {
            deadline.value().first = *at;
            deadlines_.insert(std::move(deadline));
        } else {
            timer.unset = std::move(deadline);
        }
    }

    void remove(std::uint64_t id) noexcept {
        if (const auto watch = watches_.extract(id); !watch.empty())
            poller_.remove(watch.mapped().fd, id);
        if (const auto timer = timers_.extract(id); !timer.empty() && timer.mapped().at)
            deadlines_.erase({*timer.mapped().at, id});
    }

    void post(Callback callback) {
        {
            const std::lock_guard lock(mutex_);
            posted_.push_back(std::move(callback));
        }
        wake();
    }
    void stop() noexcept {
        stop_ = true;
        wake();
    }

    Result<void> run() {
        if (running_)
            return run_by_callback();
        while (!stop_.exchange(false))
            if (auto done = turn(std::chrono::nanoseconds::max(), true); !done)
                return std::move(done).error();
        return {};
    }
    Result<bool> step(std::chrono::nanoseconds limit) { return turn(limit, false); }

private:
    struct Watch {
        int fd;
        short events;
        std::shared_ptr<FdCallback> callback;
    };
    using Deadlines = std::set<std::pair<LoopTime, std::uint64_t>>;
    struct Timer {
        std::optional<LoopTime> at;
        bool once;
        /// Its place among the deadlines as long as it is not there: setting it must not fail.
        Deadlines::node_type unset;
        std::shared_ptr<Callback> callback;
    };
    class Running {
    public:
        explicit Running(bool& flag) noexcept : flag_(flag) { flag_ = true; }
        Running(const Running&) = delete;
        ~Running() { flag_ = false; }

    private:
        bool& flag_;
    };
    static constexpr std::uint64_t wake_id = 0;

    static Error run_by_callback() {
        return {error_names::failed, "The loop was run by one of its own callbacks"};
    }

    /// Waits once and deals with what happened; @p stoppable: until stop() is called.
    Result<bool> turn(std::chrono::nanoseconds limit, bool stoppable) {
        if (running_)
            return run_by_callback();
        const Running running(running_);
        const auto stopped = [&]() noexcept {
            return stoppable && stop_;
        };
        if (events_.empty() && due_.empty()) {
            const auto longest = stopped() ? std::chrono::nanoseconds::zero() : longest_wait();
            if (auto waited = poller_.wait(std::min(limit, longest), events_); !waited)
                return std::move(waited).error();
        }
        // What an exception or stop() leaves over comes next time.
        bool any = false;
        while (!events_.empty() && !stopped()) {
            const LoopEvent event = events_.front();
            events_.pop_front();
            any = happened(event) || any;
        }
        // Only those that are due now: they may add others.
        const auto now = std::chrono::steady_clock::now();
        for (auto next = deadlines_.begin(); next != deadlines_.end() && next->first <= now; ++next)
            due_.push_back(next->second);
        while (!due_.empty() && !stopped()) {
            const std::uint64_t id = due_.front();
            due_.pop_front();
            any = expired(id, now) || any;
        }
        for (std::size_t left = posted(); left > 0 && !stopped(); --left) {
            take_posted()();
            any = true;
        }
        return any;
    }

    void wake() noexcept {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = write(wake_.get(), &one, sizeof one);
    }
    [[nodiscard]] std::size_t posted() {
        const std::lock_guard lock(mutex_);
        return posted_.size();
    }
    [[nodiscard]] Callback take_posted() {
        const std::lock_guard lock(mutex_);
        Callback callback = std::move(posted_.front());
        posted_.pop_front();
        return callback;
    }
    [[nodiscard]] std::chrono::nanoseconds longest_wait() {
        if (posted() > 0)
            return std::chrono::nanoseconds::zero();
        if (deadlines_.empty())
            return std::chrono::nanoseconds::max();
        return time_left<std::chrono::nanoseconds>(deadlines_.begin()->first);
    }
    bool happened(LoopEvent event) {
        if (event.id == wake_id) {
            std::uint64_t count = 0;
            [[maybe_unused]] const auto got = read(wake_.get(), &count, sizeof count);
            return false;
        }
        const auto found = watches_.find(event.id);
        if (found == watches_.end()) // removed meanwhile
            return false;
        const auto callback = found->second.callback;
        (*callback)(event.events);
        return true;
    }
    bool expired(std::uint64_t id, LoopTime now) {
        const auto found = timers_.find(id);
        if (found == timers_.end() || !found->second.at || *found->second.at > now)
            return false; // removed or put off meanwhile
        const auto callback = found->second.callback;
        if (found->second.once)
            remove(id);
        else
            set_timer(id, std::nullopt);
        (*callback)();
        return true;
    }

    Poller poller_;
    abi::UniqueFd wake_;
    std::uint64_t last_id_ = wake_id;
    std::map<std::uint64_t, Watch> watches_;
    std::map<std::uint64_t, Timer> timers_;
    Deadlines deadlines_;           ///< of timers_ that are set
    std::deque<LoopEvent> events_;  ///< happened, not dealt with yet
    std::deque<std::uint64_t> due_; ///< timers, likewise
    bool running_ = false;
    std::atomic<bool> stop_ = false;
    std::mutex mutex_; ///< for posted_
    std::deque<Callback> posted_;
};

/// Puts a connection into a BasicLoop.
template <class Poller>
class BasicLoopBackend {
public:
    explicit BasicLoopBackend(std::weak_ptr<LoopState<Poller>> loop) noexcept
        : loop_(std::move(loop)) {}

    Result<void> start(AttachedConnection<BasicLoopBackend>& attached, int fd) {
        const auto loop = loop_.lock();
        auto watch = loop->add_fd(fd, POLLIN, [&attached](short) { attached.process(); });
        if (!watch)
            return std::move(watch).error();
        watch_ = *watch;
        timer_ = loop->add_timer(std::nullopt, false, [&attached] { attached.process(); });
        return {};
    }
    void arm(short events, std::optional<LoopTime> timeout) noexcept {
        if (const auto loop = loop_.lock()) {
            loop->set_events(watch_, events);
            loop->set_timer(timer_, timeout);
        }
    }
    void disarm() noexcept {
        if (const auto loop = loop_.lock()) {
            loop->remove(watch_);
            loop->remove(timer_);
        }
    }

private:
    std::weak_ptr<LoopState<Poller>> loop_;
    std::uint64_t watch_ = 0;
    std::uint64_t timer_ = 0;
};

} // namespace detail

/// A small event loop: any number of connections, descriptors and timers in one thread.
///
/// Belongs to one thread, but for post() and stop(). Callbacks may use the loop freely, except for
/// run() and step(). An exception that leaves a callback (or a handler of a connection) leaves
/// run() or step(), which may be called again: nothing is lost. Movable.
template <class Poller>
class BasicLoop {
public:
    /// What timers count by.
    using Clock = std::chrono::steady_clock;
    /// What attach() returns.
    using Attachment = kdbus::Attachment<detail::BasicLoopBackend<Poller>>;

    /// A timer or a watched descriptor, until this object is destroyed. May be destroyed by its own
    /// callback, and outlive the loop. Movable.
    class [[nodiscard]] Handle {
    public:
        Handle() noexcept = default;
        Handle(Handle&&) noexcept = default;
        Handle& operator=(Handle&& other) noexcept {
            if (this != &other) {
                reset();
                loop_ = std::move(other.loop_);
                id_ = other.id_;
            }
            return *this;
        }
        ~Handle() { reset(); }

        /// Ends it now.
        void reset() noexcept {
            if (const auto loop = std::exchange(loop_, {}).lock())
                loop->remove(id_);
        }
        /// Leaves it in place for as long as the loop lives.
        void detach() noexcept { loop_.reset(); }

    private:
        friend class BasicLoop;
        Handle(std::weak_ptr<detail::LoopState<Poller>> loop, std::uint64_t id) noexcept
            : loop_(std::move(loop)), id_(id) {}

        std::weak_ptr<detail::LoopState<Poller>> loop_;
        std::uint64_t id_ = 0;
    };

    /// A new loop. Errors: those of the system, LimitsExceeded for too many descriptors, say.
    [[nodiscard]] static Result<BasicLoop> create() {
        auto poller = Poller::create();
        if (!poller)
            return std::move(poller).error();
        BasicLoop loop(std::make_shared<detail::LoopState<Poller>>(std::move(*poller)));
        if (auto started = loop.state_->start(); !started)
            return std::move(started).error();
        return loop;
    }

    /// Processes a connection as long as the attachment lives, which may outlive the loop.
    /// @p ended is told why the connection ended. Errors: those of watch().
    [[nodiscard]] Result<Attachment> attach(Connection& connection, EndCallback ended) {
        return Attachment::make(connection, detail::BasicLoopBackend<Poller>(state_),
                                std::move(ended));
    }

    /// Calls @p callback with POLLIN and friends whenever some of @p events, or POLLERR or POLLHUP,
    /// are true of a descriptor. The descriptor stays the caller's, who closes it after the handle
    /// is gone. Errors: those of epoll_ctl, for what cannot be waited for.
    [[nodiscard]] Result<Handle> watch(int fd, short events,
                                       std::move_only_function<void(short)> callback) {
        auto id = state_->add_fd(fd, events, std::move(callback));
        if (!id)
            return std::move(id).error();
        return Handle(state_, *id);
    }

    /// Calls @p callback once, at that time or soon after.
    Handle call_at(Clock::time_point time, std::move_only_function<void()> callback) {
        return Handle(state_, state_->add_timer(time, true, std::move(callback)));
    }
    /// Same, so much later than now.
    Handle call_after(std::chrono::nanoseconds delay, std::move_only_function<void()> callback) {
        return call_at(Clock::now() + delay, std::move(callback));
    }

    /// Has the loop call something soon, in order. May be called by any thread as long as the loop
    /// lives; the callback is destroyed by the loop's.
    void post(std::move_only_function<void()> callback) { state_->post(std::move(callback)); }

    /// Runs until stop(). Fails if waiting fails, or with Failed if called by a callback, which
    /// does not use up a stop().
    Result<void> run() {
        const auto alive = state_;
        return alive->run();
    }
    /// Waits for something to happen, no longer than @p limit, and deals with it. False if nothing
    /// happened, be it that time is over, or that a signal handler ran or stop() was called, which
    /// end the wait early. Errors as above.
    Result<bool> step(std::chrono::nanoseconds limit = std::chrono::nanoseconds::max()) {
        const auto alive = state_;
        return alive->step(limit);
    }
    /// Makes run() return after the current callback; if it does not run, the next run() returns at
    /// once. Of step() it ends a wait, this one or the next, and nothing else. May be called by any
    /// thread as long as the loop lives, and by signal handlers.
    void stop() noexcept { state_->stop(); }

private:
    explicit BasicLoop(std::shared_ptr<detail::LoopState<Poller>> state) noexcept
        : state_(std::move(state)) {}

    std::shared_ptr<detail::LoopState<Poller>> state_;
};

} // namespace kdbus

#endif
