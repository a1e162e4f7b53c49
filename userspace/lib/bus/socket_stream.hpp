// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_SOCKET_STREAM_HPP
#define KDBUS_LIB_BUS_SOCKET_STREAM_HPP

#include "message_data.hpp"
#include "sasl_client.hpp"
#include "sasl_server.hpp"
#include "socket_inbox.hpp"
#include "socket_outbox.hpp"

#include <kdbus/abi/fd.hpp>
#include <kdbus/result.hpp>
#include <kdbus/wire/message.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace kdbus::detail {

/// D-Bus 1 messages over an AF_UNIX stream (D-Bus specification, "Authentication Protocol",
/// "Message Format"; dbus-on-kdbus.md 7). Knows of no bus.
///
/// The other end is trusted with nothing: what breaks the protocol ends the connection, and what
/// it can make us keep is bounded.
class SocketStream {
public:
    /// Most descriptors in one message, as on the kernel's bus and in dbus-daemon's default.
    static constexpr std::size_t max_fds = 16;

    /// The client's end. @p guid: what the server's id must be, empty if any will do.
    [[nodiscard]] static SocketStream client(abi::UniqueFd socket, bool fds, std::string guid);
    /// The server's end, for a peer who is @p uid. @p guid: the server's id.
    [[nodiscard]] static SocketStream server(abi::UniqueFd socket, std::uint32_t uid, bool fds,
                                             std::string guid);

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    [[nodiscard]] short events() const noexcept;
    /// When next() must be called at the latest, absolute CLOCK_MONOTONIC nanoseconds.
    [[nodiscard]] std::optional<std::uint64_t> timeout_ns() const noexcept;
    /// The server's id; empty as long as a client does not know it.
    [[nodiscard]] const std::string& guid() const noexcept { return guid_; }

    /// Sends a message, its body in D-Bus 1 form, or keeps it until the socket takes it. Fails with
    /// LimitsExceeded, NotSupported (descriptors, which the other end does not take), Disconnected,
    /// and what makes a message invalid.
    Result<void> send(const wire::Message& message, std::span<const int> fds);
    /// The next message; nothing if none is there. Also moves everything else forward:
    /// authentication, and what waits to be sent. Fails with Disconnected, for good.
    Result<std::optional<MessagePointer>> next();
    /// Waits until next() has something to do, until @p until_ns at the latest. Fails
    /// if @p cancel_fd becomes readable.
    Result<void> wait(std::uint64_t until_ns, int cancel_fd);
    /// Ends the connection. Gives the error that everything fails with from now on.
    Error end(std::string reason);

private:
    using Sasl = std::variant<SaslClient, SaslServer>;

    SocketStream(abi::UniqueFd socket, Sasl sasl, std::string guid);

    /// Handles what the other end said before the first message.
    void converse();
    void authenticated(bool fds_agreed);
    void flush();
    Result<MessagePointer> parse(wire::Buffer bytes);

    abi::UniqueFd socket_;
    std::string guid_;
    std::optional<Sasl> sasl_; ///< as long as messages may not flow
    std::uint64_t sasl_deadline_ns_;
    bool fds_agreed_ = false;
    std::shared_ptr<MessagePool> messages_ = std::make_shared<MessagePool>();
    SocketInbox inbox_;
    SocketOutbox outbox_;
    wire::Buffer head_;                     ///< of the message that is being sent
    std::optional<std::uint64_t> retry_ns_; ///< nothing can be sent until then
    bool unwritable_ = false;
    std::optional<Error> ended_;
};

} // namespace kdbus::detail

#endif
