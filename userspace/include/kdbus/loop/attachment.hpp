// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_ATTACHMENT_HPP
#define KDBUS_LOOP_ATTACHMENT_HPP

#include <kdbus/bus.hpp>
#include <kdbus/result.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

/// What the adapters for event loops have in common. Programs include one of them:
/// <kdbus/loop/epoll.hpp>, io_uring.hpp, sd_event.hpp, glib.hpp, asio.hpp, qt.hpp.
namespace kdbus {

/// Told why a connection in an event loop ended (Disconnected), once, from the loop. Nothing
/// processes the connection any more then; the callback may destroy it and the attachment. Other
/// errors of process() are not told: the loop tries again.
using EndCallback = std::move_only_function<void(Error)>;

namespace detail {

using LoopTime = std::chrono::steady_clock::time_point;

/// How long from now until a deadline, in whole units of the loop's clock: rounded up, so that it
/// has passed afterwards, and bounded, so that loops can add it to something.
template <class Duration>
[[nodiscard]] Duration time_left(LoopTime deadline) noexcept {
    constexpr std::chrono::hours longest(24);
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= left.zero())
        return Duration::zero();
    if (left >= longest)
        return std::chrono::duration_cast<Duration>(longest);
    return std::chrono::ceil<Duration>(left);
}

/// A connection that an event loop processes. The backend knows the loop:
///
///     Result<void> start(AttachedConnection<Backend>&, int fd)  gets to know whose process() to
///                                                               call
///     void arm(short events, std::optional<LoopTime>) noexcept  waits for that from now on
///     void disarm() noexcept                                    waits for nothing any more; also
///                                                               after a start() that has thrown
template <class Backend>
class AttachedConnection : public std::enable_shared_from_this<AttachedConnection<Backend>> {
public:
    AttachedConnection(Connection& connection, Backend backend, EndCallback ended)
        : connection_(&connection), backend_(std::move(backend)), ended_(std::move(ended)) {}

    Result<void> start() {
        if (auto started = backend_.start(*this, connection_->fd()); !started) {
            connection_ = nullptr;
            return started;
        }
        connection_->on_change([this] { arm(); });
        arm();
        return {};
    }

    /// The loop says that something happened. An exception of a handler leaves it.
    void process() {
        // A handler may run the loop, which then finds the same things to do.
        if (connection_ == nullptr || processing_)
            return;
        const auto alive = this->shared_from_this();
        auto done = [&] {
            const Turn turn(*this);
            return connection_->process();
        }();
        // Other errors pass. So does "Failed": the program itself processes the connection, and one
        // of its handlers runs the loop.
        if (connection_ == nullptr || done || done.error().name != error_names::disconnected)
            return;
        detach();
        if (auto ended = std::exchange(ended_, nullptr))
            ended(std::move(done).error());
    }

    void detach() noexcept {
        if (Connection* connection = std::exchange(connection_, nullptr)) {
            connection->on_change(nullptr);
            backend_.disarm();
        }
    }
    [[nodiscard]] bool attached() const noexcept { return connection_ != nullptr; }

private:
    /// One process(), however it ends: the loop waits for nothing meanwhile, and again afterwards.
    class Turn {
    public:
        explicit Turn(AttachedConnection& owner) noexcept : owner_(owner) {
            owner_.processing_ = true;
        }
        Turn(const Turn&) = delete;
        ~Turn() {
            owner_.processing_ = false;
            owner_.arm();
        }

    private:
        AttachedConnection& owner_;
    };

    void arm() noexcept {
        if (connection_ != nullptr && !processing_)
            backend_.arm(connection_->events(), connection_->timeout());
    }

    Connection* connection_;
    Backend backend_;
    EndCallback ended_;
    bool processing_ = false;
};

} // namespace detail

/// A connection's place in an event loop, as long as this object lives: whatever the connection
/// waits for, the loop processes it. Made by the attach() of a loop's adapter.
///
/// The connection must stay where it is and outlive the attachment, which must not outlive the
/// loop unless the adapter says so; both may be destroyed by handlers. A connection can be in one
/// loop. It may still be used as ever, blocking calls and wait() included, by the loop's thread.
/// Movable.
template <class Backend>
class [[nodiscard]] Attachment {
public:
    Attachment() noexcept = default;
    Attachment(Attachment&&) noexcept = default;
    Attachment& operator=(Attachment&& other) noexcept {
        if (this != &other) {
            reset();
            attached_ = std::move(other.attached_);
        }
        return *this;
    }
    ~Attachment() { reset(); }

    /// Takes the connection out of the loop now.
    void reset() noexcept {
        if (const auto attached = std::exchange(attached_, nullptr))
            attached->detach();
    }
    /// False after the connection ended, or after reset().
    [[nodiscard]] bool attached() const noexcept {
        return attached_ != nullptr && attached_->attached();
    }

    /// For adapters.
    [[nodiscard]] static Result<Attachment> make(Connection& connection, Backend backend,
                                                 EndCallback ended) {
        Attachment result;
        result.attached_ = std::make_shared<detail::AttachedConnection<Backend>>(
            connection, std::move(backend), std::move(ended));
        if (auto started = result.attached_->start(); !started)
            return std::move(started).error();
        return result;
    }

private:
    std::shared_ptr<detail::AttachedConnection<Backend>> attached_;
};

} // namespace kdbus

#endif
