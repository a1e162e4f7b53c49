// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_DRIVER_HPP
#define KDBUS_PROXY_DRIVER_HPP

#include "matches.hpp"
#include "registry.hpp"

#include <kdbus/abi/fd.hpp>
#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/message.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// The bus driver, org.freedesktop.DBus (D-Bus specification, "Message Bus
/// Messages"; dbus-on-kdbus.md 5). It is no peer on the kernel bus: each client
/// has its own, which answers on the socket.
namespace kdbus::proxy::driver {

inline constexpr std::string_view error_prefix = "org.freedesktop.DBus.Error.";

/// An answer: arguments, or an error with a text as its one argument.
struct Reply {
    std::string error_name; ///< empty: success
    std::string signature;
    wire::Buffer body; ///< in wire::dbus1_native format
    std::vector<abi::UniqueFd> fds;
};

/// The error @p name (without prefix) with @p text.
[[nodiscard]] Reply error_reply(std::string_view name, std::string_view text);

/// Whom the driver works for.
struct Caller {
    Registry& registry;
    Matches& matches;
    MatchInstaller& installer;
    std::string_view bus_id; ///< 32 hex digits
    std::uint32_t uid = 0;
    bool accepts_fds = false;
    std::size_t max_match_rules = 512;
};

/// Answers a call that is addressed to the driver. Hello is answered as the second one: the first
/// makes the connection that @p caller is about. Throws std::bad_alloc.
[[nodiscard]] Reply answer(const wire::Message& call, Caller& caller);

/// Answers a call without destination: it reaches only what every D-Bus connection answers, as on
/// the reference daemon.
[[nodiscard]] Reply answer_undirected(const wire::Message& call);

/// The description that Introspect returns for @p path.
[[nodiscard]] std::string introspection(std::string_view path);

} // namespace kdbus::proxy::driver

#endif
