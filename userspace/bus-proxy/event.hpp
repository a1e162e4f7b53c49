// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_EVENT_HPP
#define KDBUS_PROXY_EVENT_HPP

#include <systemd/sd-event.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

/// sd-event with lifetimes: a source ends with its object. A handler must not
/// throw, and must not destroy the source that runs it: Loop::after_each_round()
/// is the place for that. Constructors throw std::system_error.
namespace kdbus::proxy {

class Loop {
public:
    Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Calls @p handler once for SIGTERM and SIGINT, which the process must have blocked.
    void on_termination(std::function<void()> handler);
    /// Calls @p handler whenever other handlers have run.
    void after_each_round(std::function<void()> handler);

    /// Runs until quit(); gives the value passed to that. Throws std::system_error.
    int run();
    void quit(int status);

    [[nodiscard]] sd_event* get() const noexcept { return event_.get(); }

private:
    struct Unref {
        void operator()(sd_event* event) const noexcept { sd_event_unref(event); }
    };
    std::unique_ptr<sd_event, Unref> event_;
    std::function<void()> terminate_;
    std::function<void()> round_;
};

struct DisableUnref {
    void operator()(sd_event_source* source) const noexcept {
        sd_event_source_disable_unref(source);
    }
};

/// Watches a descriptor, level-triggered. Does not own it; must go before it is closed.
class Io {
public:
    using Handler = std::function<void(std::uint32_t events)>;

    /// @p events: EPOLL*; EPOLLHUP and EPOLLERR are always reported.
    Io(Loop& loop, int fd, std::uint32_t events, Handler handler);
    Io(const Io&) = delete;
    Io& operator=(const Io&) = delete;

    /// Changes what is watched for.
    void watch(std::uint32_t events) noexcept;
    /// Stops all reports, hang-ups too; watch() starts again.
    void pause() noexcept;

private:
    Handler handler_;
    std::uint32_t events_;
    bool enabled_ = true;
    std::unique_ptr<sd_event_source, DisableUnref> source_;
};

/// Calls a handler once at a time set. Not armed at first.
class Timer {
public:
    Timer(Loop& loop, std::function<void()> handler);
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Arms the timer anew.
    void set(std::chrono::microseconds delay) noexcept;
    void cancel() noexcept;
    [[nodiscard]] bool armed() const noexcept { return armed_; }

private:
    std::function<void()> handler_;
    bool armed_ = false;
    std::unique_ptr<sd_event_source, DisableUnref> source_;
};

} // namespace kdbus::proxy

#endif
