// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_LIMITS_HPP
#define KDBUS_PROXY_LIMITS_HPP

#include <chrono>
#include <cstddef>

namespace kdbus::proxy {

/// What clients may use. The defaults are those of the reference daemon
/// (dbus-on-kdbus.md 9.1) where it has one that suits; its configuration's
/// limit elements name the same things.
struct Limits {
    /// Time to authenticate and say Hello.
    std::chrono::milliseconds auth_timeout{30'000};
    /// Time descriptors may wait for the rest of their message.
    std::chrono::milliseconds pending_fd_timeout{150'000};
    /// Connections of one user that have not said Hello, and altogether.
    std::size_t max_incomplete_per_user = 64;
    std::size_t max_connections_per_user = 1024;
    /// Descriptors in one message; the kernel takes no more.
    std::size_t max_message_fds = 16;
    /// Match rules of one connection.
    std::size_t max_match_rules = 512;
    /// Bytes and descriptors waiting for a client; beyond, nothing more is
    /// read for it, so that its kernel queue fills and pushes back on senders.
    std::size_t max_outgoing_bytes = 8 * 1024 * 1024;
    std::size_t max_outgoing_fds = 64;
    /// How long a call may stay unanswered. D-Bus 1 knows no deadline, but
    /// "never" would keep calls for ever whose callee vanished behind an
    /// activator (dbus-on-kdbus.md 12.11).
    std::chrono::hours reply_timeout{7 * 24};
};

} // namespace kdbus::proxy

#endif
