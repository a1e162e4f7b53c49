// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_SD_EVENT_HPP
#define KDBUS_LOOP_SD_EVENT_HPP

#include <kdbus/loop/attachment.hpp>

#include <systemd/sd-event.h>

#include <ctime>
#include <memory>
#include <sys/epoll.h>

namespace kdbus {

namespace detail {

class SdEventBackend {
public:
    SdEventBackend(sd_event* loop, std::int64_t priority)
        : loop_(sd_event_ref(loop)), priority_(priority) {}

    Result<void> start(AttachedConnection<SdEventBackend>& attached, int fd) {
        sd_event_source* source = nullptr;
        int done = sd_event_add_io(loop_.get(), &source, fd, EPOLLIN, on_io, &attached);
        io_.reset(source);
        if (done >= 0)
            done = sd_event_add_time(loop_.get(), &source, CLOCK_MONOTONIC, 0, accuracy_us, on_time,
                                     &attached);
        if (done >= 0) {
            time_.reset(source);
            done = sd_event_source_set_enabled(source, SD_EVENT_OFF);
        }
        for (sd_event_source* one : {io_.get(), time_.get()})
            if (done >= 0)
                done = sd_event_source_set_priority(one, priority_);
        if (done < 0) {
            disarm();
            return Error::from_errno(-done, "Attaching to an sd-event loop");
        }
        return {};
    }

    // What is changed here cannot fail for sources that exist.
    void arm(short events, std::optional<LoopTime> timeout) noexcept {
        // The low bits of epoll are poll's.
        sd_event_source_set_io_events(io_.get(), static_cast<unsigned short>(events));
        if (timeout) {
            const auto time =
                std::chrono::ceil<std::chrono::microseconds>(timeout->time_since_epoch());
            sd_event_source_set_time(time_.get(), static_cast<std::uint64_t>(time.count()));
        }
        sd_event_source_set_enabled(time_.get(), timeout ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
    }

    void disarm() noexcept {
        io_.reset();
        time_.reset();
    }

private:
    static constexpr std::uint64_t accuracy_us = 1000;

    // No exception may pass through C.
    static int on_io(sd_event_source*, int, std::uint32_t, void* attached) noexcept {
        static_cast<AttachedConnection<SdEventBackend>*>(attached)->process();
        return 0;
    }
    static int on_time(sd_event_source*, std::uint64_t, void* attached) noexcept {
        static_cast<AttachedConnection<SdEventBackend>*>(attached)->process();
        return 0;
    }

    struct Unref {
        void operator()(sd_event* loop) const noexcept { sd_event_unref(loop); }
        void operator()(sd_event_source* source) const noexcept {
            sd_event_source_disable_unref(source);
        }
    };

    std::unique_ptr<sd_event, Unref> loop_;
    std::unique_ptr<sd_event_source, Unref> io_;
    std::unique_ptr<sd_event_source, Unref> time_;
    std::int64_t priority_;
};

} // namespace detail

/// A connection in an sd-event loop, as long as this object lives, which keeps the loop alive, too.
/// An exception that leaves a handler ends the program (std::terminate): the loop is C.
using SdEventAttachment = Attachment<detail::SdEventBackend>;

/// Has @p loop process a connection. @p ended is told why the connection ended. @p priority: that
/// of the event sources, see sd_event_source_set_priority(3). Errors: those of sd_event_add_io(3)
/// and sd_event_add_time(3).
[[nodiscard]] inline Result<SdEventAttachment>
attach_to_sd_event(sd_event* loop, Connection& connection, EndCallback ended,
                   std::int64_t priority = SD_EVENT_PRIORITY_NORMAL) {
    return SdEventAttachment::make(connection, detail::SdEventBackend(loop, priority),
                                   std::move(ended));
}

} // namespace kdbus

#endif
