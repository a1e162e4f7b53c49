// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_ADDRESS_HPP
#define KDBUS_WIRE_ADDRESS_HPP

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <kdbus/export.hpp>
#include <kdbus/wire/error.hpp>

/// Server addresses (D-Bus specification, "Server Addresses"; dbus-on-kdbus.md 11). Pure functions.
namespace kdbus::wire {

/// One entry of an address list.
struct Address {
    std::string transport;                                       ///< "kernel", "unix", "tcp", ...
    std::vector<std::pair<std::string, std::string>> parameters; ///< in order, values unescaped

    /// Value of a key, nullptr if it is not given; owned by the address.
    [[nodiscard]] KDBUS_EXPORT const std::string* find(std::string_view key) const noexcept;
    /// The entry's text, values escaped: parsing it gives an equal entry.
    [[nodiscard]] KDBUS_EXPORT std::string text() const;
    friend bool operator==(const Address&, const Address&) = default;
};

/// Parses "transport:key=value,...;..." of any transport. Fails with bad_address: no entry, a
/// missing or empty transport, a pair without "=" or with an empty key, a repeated key, a byte that
/// must be escaped, a bad escape, an escaped NUL. An empty entry at the end of the list is passed
/// over. Keys and transports are not judged: see check_transport().
[[nodiscard]] KDBUS_EXPORT Result<std::vector<Address>> parse_addresses(std::string_view list);

/// Whether the keys suit a transport known here: kernel: needs a path; unix: needs exactly one of
/// path, abstract, dir, tmpdir, runtime (the last three only if `listen`; runtime's only value is
/// "yes"). Others pass. bad_address if not.
[[nodiscard]] KDBUS_EXPORT Result<void> check_transport(const Address& address,
                                                        bool listen) noexcept;

/// Percent-escapes a value: everything but [-0-9A-Za-z_/.\*].
[[nodiscard]] KDBUS_EXPORT std::string escape_address_value(std::string_view value);

} // namespace kdbus::wire

#endif
