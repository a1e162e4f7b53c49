// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_SERIALS_HPP
#define KDBUS_PROXY_SERIALS_HPP

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace kdbus::proxy {

/// Serials of calls on their way to a client. D-Bus 1 has room for 32 bits; a
/// native caller's cookie may be longer, and then a stand-in is given and
/// remembered until the client answers (dbus-on-kdbus.md 7.5).
class Serials {
public:
    /// So many stand-ins are remembered; then the oldest is forgotten.
    static constexpr std::size_t capacity = 1024;

    /// The serial the client sees for a call with that cookie. Throws std::bad_alloc.
    [[nodiscard]] std::uint32_t for_call(std::uint64_t caller, std::uint64_t cookie);
    /// The cookie of the call that an answer to @p caller with that reply serial means. A stand-in
    /// is used up.
    [[nodiscard]] std::uint64_t for_reply(std::uint64_t caller, std::uint32_t serial);

private:
    struct StandIn {
        std::uint64_t caller;
        std::uint64_t cookie;
        std::uint32_t serial;
    };

    [[nodiscard]] std::deque<StandIn>::iterator find(std::uint64_t caller, std::uint32_t serial);

    std::deque<StandIn> stand_ins_;
    std::uint32_t next_ = 0xf0000000;
};

} // namespace kdbus::proxy

#endif
