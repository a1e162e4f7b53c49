// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_SOCKET_PEER_HPP
#define KDBUS_LIB_BUS_SOCKET_PEER_HPP

#include "socket_transport.hpp"

#include <memory>
#include <string>

namespace kdbus::detail {

/// One other peer at the other end of a socket. There are no names, and all signals come through.
class SocketPeer final : public SocketTransport {
public:
    /// Talks to whoever is at the other end of a connected stream socket. Fails with InvalidArgs,
    /// AccessDenied.
    static Result<std::unique_ptr<Transport>> open(abi::UniqueFd socket, PeerRole role,
                                                   const ConnectionOptions& options);

    bool peer_to_peer() const noexcept override { return true; }
    const std::string& unique_name() const noexcept override { return no_name_; }
    const std::string& bus_id() const noexcept override { return stream().guid(); }
    Result<NameState> request_name(std::string_view name, NameFlags flags) override;
    Result<void> release_name(std::string_view name) override;
    Result<std::string> name_owner(std::string_view name) override;
    Result<std::vector<std::string>> list_names() override;
    /// Of the peer, whose name is empty.
    Result<ConnectionInfo> info(std::string_view name, std::uint64_t what) override;
    Result<void> add_match(std::uint64_t cookie, const wire::MatchRule& rule) override;
    void remove_match(std::uint64_t) noexcept override {}
    void add_sender_names(const Message&, std::vector<std::string_view>&) const override {}

private:
    explicit SocketPeer(SocketStream stream) noexcept : SocketTransport(std::move(stream)) {}
    bool arrived(MessageData& message) override;

    const std::string no_name_;
};

} // namespace kdbus::detail

#endif
