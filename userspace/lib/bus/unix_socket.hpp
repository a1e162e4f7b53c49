// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_UNIX_SOCKET_HPP
#define KDBUS_LIB_BUS_UNIX_SOCKET_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/result.hpp>
#include <kdbus/wire/address.hpp>

#include <optional>
#include <string>
#include <sys/socket.h>
#include <sys/types.h>
#include <vector>

namespace kdbus::detail {

/// Connects to a `unix:` address: path=, abstract= or runtime=yes, which is $XDG_RUNTIME_DIR/bus.
[[nodiscard]] Result<abi::UniqueFd> connect_unix(const wire::Address& address);

/// Whether that is a stream socket of the AF_UNIX family.
[[nodiscard]] bool is_unix_stream(int socket) noexcept;

/// Who made or connected the other end (SO_PEERCRED). Errors: those of getsockopt.
[[nodiscard]] abi::Result<ucred> peer_credentials(int socket) noexcept;
/// Its supplementary groups and its security label; nothing if the kernel does not say.
[[nodiscard]] std::optional<std::vector<gid_t>> peer_groups(int socket);
[[nodiscard]] std::optional<std::string> peer_label(int socket);

} // namespace kdbus::detail

#endif
