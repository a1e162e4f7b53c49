// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_CLIENT_HPP
#define KDBUS_PROXY_CLIENT_HPP

#include "../lib/bus/sasl_server.hpp"
#include "driver.hpp"
#include "event.hpp"
#include "inbox.hpp"
#include "matches.hpp"
#include "outbox.hpp"
#include "registry.hpp"
#include "serials.hpp"
#include "socket.hpp"

#include <kdbus/abi/connection.hpp>
#include <kdbus/wire/notification.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kdbus::proxy {

class Proxy;

/// A program on a socket, and its connection on the kernel bus
/// (dbus-on-kdbus.md 7.7).
///
/// Order: before the client gets an answer from the bus driver (or an error
/// that the proxy makes), it gets everything that was queued for it before.
/// So it sees names change, and peers leave, in the order in which a bus daemon
/// would have told it. While an answer waits for that, no further message is
/// taken from the client.
class Client final : private Registry, private MatchInstaller {
public:
    /// Throws std::system_error.
    Client(Proxy& proxy, abi::UniqueFd socket, PeerIdentity peer);
    ~Client() override;
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    [[nodiscard]] const PeerIdentity& peer() const noexcept { return peer_; }
    /// Hello was said, and the kernel connection exists.
    [[nodiscard]] bool complete() const noexcept { return connection_.has_value(); }
    /// Id of the kernel connection; complete() clients only.
    [[nodiscard]] std::uint64_t id() const noexcept { return connection_->id(); }

    /// To be polled for mail; complete() clients only.
    [[nodiscard]] int bus_fd() const noexcept { return connection_->fd(); }
    /// Takes what the kernel has for this client, as far as there is room for it.
    void take_mail() noexcept;
    /// Ends this client's call @p serial with an error: its callee did answer, but the answer
    /// cannot be delivered.
    void fail_call(std::uint64_t serial, std::string_view error, std::string_view text) noexcept;

private:
    // events
    void on_socket(std::uint32_t events) noexcept;
    void on_bus(std::uint32_t events) noexcept;
    void on_time() noexcept;
    void on_retry() noexcept;
    template <class Work>
    void guarded(Work&& work) noexcept;
    void leave(std::string_view reason) noexcept;
    void watch() noexcept;

    // the socket
    [[nodiscard]] bool receive_some();
    void authenticate();
    void advance();
    [[nodiscard]] bool take_message();
    void flush();
    void push(Outgoing outgoing);

    // from the client
    void handle(const wire::Message& message, std::vector<abi::UniqueFd> fds);
    void before_hello(const wire::Message& message);
    void hello(const wire::Message& message);
    void call_driver(const wire::Message& message);
    void broadcast(const wire::Message& message, const std::vector<abi::UniqueFd>& fds);
    void unicast(const wire::Message& message, const std::vector<abi::UniqueFd>& fds);
    [[nodiscard]] abi::Result<void> resolve(const wire::Message& message,
                                            abi::OutgoingMessage& out);
    [[nodiscard]] abi::Result<void> send(const wire::Message& message, abi::OutgoingMessage& out);
    void send_failed(const wire::Message& message, std::uint64_t dst_id, std::error_code error);

    // answers of the proxy
    void answer(const wire::Message& message, driver::Reply reply, std::string_view destination);

    [[nodiscard]] Outgoing render(std::uint64_t reply_serial, driver::Reply reply,
                                  std::string_view destination);
    void announce(std::string_view member, std::string_view name);

    // from the bus
    [[nodiscard]] bool has_room();
    [[nodiscard]] bool drain(unsigned& budget);
    void deliver(abi::ReceivedMessage& received);
    void forward(abi::ReceivedMessage& received, wire::Message& message);
    void undeliverable(const abi::ReceivedMessage& received, std::error_code error);
    void notify(const abi::Notification& notification);
    void notify_change(const wire::Notification& notification);

    [[nodiscard]] std::uint32_t next_serial() noexcept;

    // Registry
    abi::Result<abi::NameOutcome> acquire_name(std::string_view name, std::uint64_t flags) override;
    abi::Result<void> release_name(std::string_view name) override;
    abi::Result<std::uint64_t> owner(std::string_view name) override;
    abi::Result<bool> exists(std::uint64_t id) override;
    abi::Result<std::vector<std::string>> names() override;
    abi::Result<std::vector<std::uint64_t>> queue(std::string_view name) override;
    abi::Result<Identity> identity(std::uint64_t id) override;
    Identity bus_identity() override;
    // MatchInstaller
    abi::Result<void> add_match(std::uint64_t cookie,
                                std::span<const abi::match::Rule> rules) override;
    abi::Result<void> remove_match(std::uint64_t cookie) override;

    Proxy& proxy_;
    abi::UniqueFd socket_;
    PeerIdentity peer_;
    detail::SaslServer auth_;
    Inbox inbox_;
    Outbox outbox_;
    Matches matches_;
    Serials serials_;
    std::uint32_t serial_ = 0;
    std::optional<abi::Connection> connection_;
    std::string name_; ///< unique name

    /// The answer that waits until what was queued before it is delivered, and how many messages
    /// that may still be.
    std::optional<Outgoing> held_;
    unsigned held_budget_ = 0;

    bool peer_gone_ = false; ///< nobody reads any more, but there may be messages to take
    bool left_ = false;
    Timer timer_; ///< until Hello: for that; then: for descriptors without message
    Timer retry_; ///< after a shortage of the system's resources
    bool short_of_resources_ = false;
    std::unique_ptr<Io> bus_io_;
    Io socket_io_;
};

} // namespace kdbus::proxy

#endif
