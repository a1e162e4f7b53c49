// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_ASIO_HPP
#define KDBUS_LOOP_ASIO_HPP

/// Standalone Asio; define KDBUS_BOOST_ASIO before the first inclusion to use Boost's.

#include <kdbus/loop/attachment.hpp>

#ifdef KDBUS_BOOST_ASIO
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#else
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <system_error>
#endif

#include <memory>
#include <poll.h>

namespace kdbus {

namespace detail {

#ifdef KDBUS_BOOST_ASIO
namespace asio = boost::asio;
using AsioErrorCode = boost::system::error_code;
using AsioError = boost::system::system_error;
#else
namespace asio = ::asio;
using AsioErrorCode = std::error_code;
using AsioError = std::system_error;
#endif

/// Waits are one-shot and started again by arm().
class AsioBackend {
public:
    explicit AsioBackend(asio::io_context& context) : context_(&context) {}

    Result<void> start(AttachedConnection<AsioBackend>& attached, int fd) {
        try {
            waits_ = std::make_shared<Waits>(*context_, fd, attached.weak_from_this());
        } catch (const AsioError& error) {
            return Error::from_errno(error.code().value(), "Attaching to an io_context");
        }
        return {};
    }

    void arm(short events, std::optional<LoopTime> timeout) noexcept {
        if ((events & POLLIN) != 0)
            wait(waits_, asio::posix::descriptor_base::wait_read, waits_->reading);
        if ((events & POLLOUT) != 0)
            wait(waits_, asio::posix::descriptor_base::wait_write, waits_->writing);
        if (timeout == waits_->deadline)
            return;
        waits_->deadline = timeout;
        if (!timeout) {
            waits_->timer.cancel();
            return;
        }
        waits_->timer.expires_at(*timeout);
        waits_->timer.async_wait([waits = waits_](const AsioErrorCode& error) {
            if (error == asio::error::operation_aborted)
                return;
            waits->deadline.reset();
            waits->process();
        });
    }

    void disarm() noexcept {
        const auto waits = std::exchange(waits_, nullptr);
        waits->timer.cancel();
        waits->descriptor.release(); // it stays the connection's
    }

private:
    struct Waits {
        Waits(asio::io_context& context, int fd, std::weak_ptr<AttachedConnection<AsioBackend>> to)
            : descriptor(context, fd), timer(context), attached(std::move(to)) {}

        void process() {
            if (const auto alive = attached.lock())
                alive->process();
        }

        asio::posix::stream_descriptor descriptor;
        asio::steady_timer timer;
        std::weak_ptr<AttachedConnection<AsioBackend>> attached;
        bool reading = false;
        bool writing = false;
        std::optional<LoopTime> deadline; ///< of the timer, if it runs
    };

    static void wait(const std::shared_ptr<Waits>& waits,
                     asio::posix::descriptor_base::wait_type type, bool& waiting) {
        if (waiting)
            return;
        waiting = true;
        // (The flag lies in what the handler keeps.)
        waits->descriptor.async_wait(type, [waits, &waiting](const AsioErrorCode& error) {
            waiting = false;
            if (error != asio::error::operation_aborted)
                waits->process();
        });
    }

    asio::io_context* context_;
    std::shared_ptr<Waits> waits_;
};

} // namespace detail

/// A connection in an io_context, as long as this object lives. While it is attached, run() does
/// not return for lack of work. An exception that leaves a handler leaves io_context::run(), which
/// may be called again.
using AsioAttachment = Attachment<detail::AsioBackend>;

/// Has @p context process a connection; one thread may run it at a time. @p ended is told why the
/// connection ended. Errors: those of Asio's reactor. The attachment must be gone before the
/// context.
[[nodiscard]] inline Result<AsioAttachment>
attach_to_asio(detail::asio::io_context& context, Connection& connection, EndCallback ended) {
    return AsioAttachment::make(connection, detail::AsioBackend(context), std::move(ended));
}

} // namespace kdbus

#endif
