// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_SOCKET_HPP
#define KDBUS_PROXY_SOCKET_HPP

#include "inbox.hpp"

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kdbus::proxy {

/// Who is at the other end of a UNIX socket, as the kernel says. What is unknown is absent.
struct PeerIdentity {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::optional<std::uint32_t> pid;
    /// Primary and supplementary groups, ascending; absent if not all are known.
    std::optional<std::vector<std::uint32_t>> groups;
    /// Label of the security module, without NUL.
    std::optional<std::string> label;
    /// Refers to the process, however often its pid is reused.
    abi::UniqueFd pidfd;
};

/// Asks a connected socket for its peer. Errors: those of getsockopt(SO_PEERCRED).
[[nodiscard]] abi::Result<PeerIdentity> peer_identity(int socket);

/// What came of receive().
enum class Receipt {
    data,    ///< something was received
    nothing, ///< nothing is there now
    end,     ///< the peer has closed its end
};

/// Receives once into @p inbox, without waiting. Errors: those of recvmsg; EMFILE if the
/// descriptors the peer sent could not all be received (their place is unknown then, so the
/// peer is lost). Throws std::bad_alloc.
[[nodiscard]] abi::Result<Receipt> receive(int socket, Inbox& inbox);

} // namespace kdbus::proxy

#endif
