// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_SOCKET_TRANSPORT_HPP
#define KDBUS_LIB_BUS_SOCKET_TRANSPORT_HPP

#include "buffer_pool.hpp"
#include "socket_stream.hpp"
#include "transport.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace kdbus::detail {

/// D-Bus 1 over a socket: what is the same with a bus and with a peer at the other end.
class SocketTransport : public Transport {
public:
    wire::Format format() const noexcept override { return wire::dbus1_native; }
    int fd() const noexcept override { return stream_.fd(); }
    short events() const noexcept override { return stream_.events(); }
    std::optional<std::uint64_t> timeout_ns() const noexcept override;
    Result<void> send(const Outgoing& outgoing) override;
    Result<MessagePointer> call(const Outgoing& outgoing) override;
    Result<std::optional<MessagePointer>> receive() override;
    /// Nothing is lost on a stream.
    std::uint64_t lost_signals() const noexcept override { return 0; }

protected:
    explicit SocketTransport(SocketStream stream) noexcept : stream_(std::move(stream)) {}

    [[nodiscard]] const SocketStream& stream() const noexcept { return stream_; }
    /// Waits for the reply to a call that was sent; everything else stays in the queue.
    Result<MessagePointer> await_reply(std::uint64_t serial, std::uint64_t deadline_ns,
                                       const CancelFd* cancel = nullptr);

private:
    /// What came while a call waited may take so many bytes.
    static constexpr std::size_t max_queued = 2 * wire::max_message_size;

    /// Called with each message when its turn has come, a reply to call() excepted. False: it is
    /// of no interest above.
    virtual bool arrived(MessageData& message) = 0;
    Result<void> enqueue(MessagePointer message);

    SocketStream stream_;
    BufferPool buffers_;
    std::deque<MessagePointer> queue_;
    std::size_t queued_ = 0; ///< bytes in queue_
};

} // namespace kdbus::detail

#endif
