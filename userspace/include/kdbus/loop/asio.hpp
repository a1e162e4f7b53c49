// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LOOP_ASIO_HPP
#define KDBUS_LOOP_ASIO_HPP

/// Standalone Asio; define KDBUS_BOOST_ASIO before the first inclusion to use Boost's.

#include <kdbus/abi/fd.hpp>
#include <kdbus/loop/attachment.hpp>

#ifdef KDBUS_BOOST_ASIO
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#else
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <system_error>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/timerfd.h>
#include <utility>

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

/// What one wait at a time needs: starting it again must not fail.
class AsioMemory {
public:
    AsioMemory() = default;
    AsioMemory(const AsioMemory&) = delete;

    [[nodiscard]] void* allocate(std::size_t size) {
        if (taken_ || size > bytes_.size())
            return ::operator new(size);
        taken_ = true;
        return bytes_.data();
    }
    void deallocate(void* memory) noexcept {
        if (memory == bytes_.data())
            taken_ = false;
        else
            ::operator delete(memory);
    }

private:
    alignas(std::max_align_t) std::array<std::byte, 512> bytes_;
    bool taken_ = false;
};

/// Has Asio use such memory for what belongs to a handler.
template <class T>
class AsioAllocator {
public:
    using value_type = T;

    explicit AsioAllocator(AsioMemory& memory) noexcept : memory_(&memory) {}
    template <class U>
    AsioAllocator(const AsioAllocator<U>& other) noexcept : memory_(other.memory_) {}

    [[nodiscard]] T* allocate(std::size_t count) {
        static_assert(alignof(T) <= alignof(std::max_align_t));
        return static_cast<T*>(memory_->allocate(count * sizeof(T)));
    }
    void deallocate(T* memory, std::size_t) noexcept { memory_->deallocate(memory); }

    template <class U>
    bool operator==(const AsioAllocator<U>& other) const noexcept {
        return memory_ == other.memory_;
    }

private:
    template <class U>
    friend class AsioAllocator;

    AsioMemory* memory_;
};

/// Waits are one-shot and started again by arm(). Deadlines are those of a timer that is waited for
/// like the connection: Asio's own ones take memory whenever they are set.
class AsioBackend {
public:
    explicit AsioBackend(asio::io_context& context) : context_(&context) {}

    Result<void> start(AttachedConnection<AsioBackend>& attached, int fd) {
        constexpr std::string_view what = "Attaching to an io_context";
        abi::UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        if (!timer)
            return Error::from_errno(errno, what);
        try {
            auto waits = std::make_shared<Waits>(*context_, attached.weak_from_this());
            waits->timer.assign(timer.get());
            (void)timer.release();
            waits->descriptor.assign(fd);
            waits_ = std::move(waits);
        } catch (const AsioError& error) {
            return Error::from_errno(error.code().value(), what);
        }
        return {};
    }

    void arm(short events, std::optional<LoopTime> timeout) noexcept {
        using Type = asio::posix::descriptor_base;
        if ((events & POLLIN) != 0)
            wait(waits_->descriptor, Type::wait_read, waits_->reading);
        if ((events & POLLOUT) != 0)
            wait(waits_->descriptor, Type::wait_write, waits_->writing);
        if (timeout != waits_->deadline) {
            set(waits_->timer.native_handle(), timeout);
            waits_->deadline = timeout;
        }
        if (timeout)
            wait(waits_->timer, Type::wait_read, waits_->timing);
    }

    void disarm() noexcept {
        const auto waits = std::exchange(waits_, nullptr);
        if (waits == nullptr) // start() has thrown
            return;
        AsioErrorCode ignored;
        waits->timer.close(ignored);
        waits->descriptor.release(); // it stays the connection's
    }

private:
    /// One of the things to wait for.
    struct Wait {
        bool started = false;
        AsioMemory memory = {};
    };
    struct Waits {
        Waits(asio::io_context& context, std::weak_ptr<AttachedConnection<AsioBackend>> to)
            : descriptor(context), timer(context), attached(std::move(to)) {}

        asio::posix::stream_descriptor descriptor;
        asio::posix::stream_descriptor timer;
        std::weak_ptr<AttachedConnection<AsioBackend>> attached;
        Wait reading;
        Wait writing;
        Wait timing;
        std::optional<LoopTime> deadline; ///< of the timer, if it is set
    };

    /// Called when a wait is over. Keeps what it needs for that, its own memory included.
    class Handler {
    public:
        using allocator_type = AsioAllocator<void*>;

        Handler(std::shared_ptr<Waits> waits, Wait& wait) noexcept
            : waits_(std::move(waits)), wait_(&wait) {}

        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return allocator_type(wait_->memory);
        }
        void operator()(const AsioErrorCode& error) {
            wait_->started = false;
            if (error == asio::error::operation_aborted)
                return;
            if (const auto alive = waits_->attached.lock())
                alive->process();
        }

    private:
        std::shared_ptr<Waits> waits_;
        Wait* wait_;
    };

    void wait(asio::posix::stream_descriptor& descriptor,
              asio::posix::descriptor_base::wait_type type, Wait& wait) {
        if (std::exchange(wait.started, true))
            return;
        descriptor.async_wait(type, Handler(waits_, wait));
    }

    static void set(int timer, std::optional<LoopTime> timeout) noexcept {
        using std::chrono::nanoseconds;
        itimerspec time{}; // which is never
        if (timeout) {
            constexpr std::int64_t second = 1'000'000'000;
            // What has passed is at once.
            const std::int64_t at = std::max<std::int64_t>(
                std::chrono::duration_cast<nanoseconds>(timeout->time_since_epoch()).count(), 1);
            time.it_value = {.tv_sec = static_cast<time_t>(at / second),
                             .tv_nsec = static_cast<long>(at % second)};
        }
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &time, nullptr);
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
/// connection ended. Errors: those of Asio's reactor and of timerfd_create(2). The attachment must
/// be gone before the context.
[[nodiscard]] inline Result<AsioAttachment>
attach_to_asio(detail::asio::io_context& context, Connection& connection, EndCallback ended) {
    return AsioAttachment::make(connection, detail::AsioBackend(context), std::move(ended));
}

} // namespace kdbus

#endif
