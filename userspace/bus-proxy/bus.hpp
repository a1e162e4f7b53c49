// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_BUS_HPP
#define KDBUS_PROXY_BUS_HPP

#include "registry.hpp"
#include "socket.hpp"

#include <kdbus/abi/bus.hpp>
#include <kdbus/abi/connection.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kdbus::proxy {

/// The kernel bus behind the sockets, and the proxy's own connection to it,
/// which only asks questions: it is not shown to clients.
class Bus {
public:
    /// Makes a bus, which lives as long as the object. @p name as abi::BusOptions::name;
    /// @p for_all: everybody may open its node. Errors: those of abi::Bus::make() and join().
    [[nodiscard]] static abi::Result<Bus> make(std::string_view name, bool for_all);
    /// Joins a bus that exists. Errors: those of abi::Connection::open(); EPERM without the
    /// bus owner's rights, which speaking for others takes.
    [[nodiscard]] static abi::Result<Bus> join(const std::string& node_path);

    /// 32 hex digits.
    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    [[nodiscard]] const std::string& node_path() const noexcept { return node_path_; }
    [[nodiscard]] const kdbus_bloom_parameter& bloom() const noexcept { return own_->bloom(); }

    /// A connection that speaks for @p peer. Errors: those of abi::Connection::open().
    [[nodiscard]] abi::Result<abi::Connection> connect(const PeerIdentity& peer,
                                                       bool accept_fds) const;

    /// Polled for POLLHUP it tells that the bus is gone; POLLIN: see discard_mail().
    [[nodiscard]] int fd() const noexcept { return own_->fd(); }
    /// Refuses what clients sent to the proxy's own connection. Errors: ECONNRESET the bus is gone.
    [[nodiscard]] abi::Result<void> discard_mail() const noexcept;

    /// What Registry says about these.
    [[nodiscard]] abi::Result<std::uint64_t> owner(std::string_view name) const;
    [[nodiscard]] abi::Result<bool> exists(std::uint64_t id) const;
    [[nodiscard]] abi::Result<std::vector<std::string>> names() const;
    [[nodiscard]] abi::Result<std::vector<std::uint64_t>> queue(std::string_view name) const;
    [[nodiscard]] abi::Result<Identity> identity(std::uint64_t id) const;

private:
    [[nodiscard]] bool is_peer(const abi::InfoView& info) const noexcept;

    std::optional<abi::Bus> made_;
    std::optional<abi::Connection> own_;
    std::string node_path_;
    std::string id_;
};

} // namespace kdbus::proxy

#endif
