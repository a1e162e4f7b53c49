// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_peer.hpp"

#include "unix_socket.hpp"

#include <array>
#include <cerrno>
#include <sys/random.h>
#include <unistd.h>
#include <utility>

namespace kdbus::detail {
namespace {

Error no_names() {
    return {error_names::not_supported, "A connection to a peer, not to a bus, has no names"};
}

/// The id of this process as a server: 128 bits in hexadecimal.
std::string make_guid() {
    std::array<unsigned char, 16> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw std::system_error(errno, std::generic_category(), "getrandom");
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : bytes)
        (text += digits[byte >> 4]) += digits[byte & 15];
    return text;
}

} // namespace

Result<std::unique_ptr<Transport>> SocketPeer::open(abi::UniqueFd socket, PeerRole role,
                                                    const ConnectionOptions& options) {
    if (!is_unix_stream(socket.get()))
        return Error{error_names::invalid_args, "Not a stream socket of the AF_UNIX family"};
    const auto make = [](SocketStream stream) {
        return std::unique_ptr<Transport>(new SocketPeer(std::move(stream)));
    };
    if (role == PeerRole::client)
        return make(SocketStream::client(std::move(socket), options.accept_fds, {}));
    const auto peer = peer_credentials(socket.get());
    if (!peer)
        return Error::from_code(peer.error(), "Credentials of the other end");
    if (peer->uid != geteuid() && peer->uid != 0 && !options.other_users)
        return Error{error_names::access_denied,
                     "The other end belongs to user " + std::to_string(peer->uid)};
    static const std::string guid = make_guid();
    return make(SocketStream::server(std::move(socket), peer->uid, options.accept_fds, guid));
}

bool SocketPeer::arrived(MessageData& message) {
    // A name it gives itself means nothing.
    message.view.sender = {};
    return true;
}

Result<NameState> SocketPeer::request_name(std::string_view, NameFlags) {
    return no_names();
}

Result<void> SocketPeer::release_name(std::string_view) {
    return no_names();
}

Result<std::string> SocketPeer::name_owner(std::string_view) {
    return no_names();
}

Result<std::vector<std::string>> SocketPeer::list_names() {
    return no_names();
}

Result<ConnectionInfo> SocketPeer::info(std::string_view name, std::uint64_t what) {
    if (!name.empty())
        return no_names();
    ConnectionInfo info;
    if ((what & (KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS)) != 0) {
        const auto peer = peer_credentials(fd());
        if (!peer)
            return Error::from_code(peer.error(), "Credentials of the other end");
        auto& credentials = info.credentials.emplace();
        if ((what & KDBUS_ATTACH_CREDS) != 0) {
            credentials.euid = peer->uid;
            credentials.egid = peer->gid;
        }
        if ((what & KDBUS_ATTACH_PIDS) != 0)
            credentials.pid = peer->pid;
    }
    if ((what & KDBUS_ATTACH_AUXGROUPS) != 0)
        info.groups = peer_groups(fd());
    if ((what & KDBUS_ATTACH_SECLABEL) != 0)
        info.security_label = peer_label(fd());
    return info;
}

Result<void> SocketPeer::add_match(std::uint64_t, const wire::MatchRule&) {
    return {};
}

} // namespace kdbus::detail
