// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_WIRE_HEX_HPP
#define KDBUS_LIB_WIRE_HEX_HPP

#include <optional>

namespace kdbus::wire {

/// The value of a hexadecimal digit of either case.
constexpr std::optional<unsigned> hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return std::nullopt;
}

} // namespace kdbus::wire

#endif
