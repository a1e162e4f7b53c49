// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_ADDRESSES_HPP
#define KDBUS_LIB_BUS_ADDRESSES_HPP

#include <string>
#include <string_view>

namespace kdbus::detail {

/// The address list to use for a bus, given what its environment variable says (nothing if it is
/// not set), its conventional name, "0-system", and the address where a daemon conventionally
/// listens: the variable alone if it names a kernel bus; else the conventional node first, then
/// what the variable says, or the daemon if it says nothing.
[[nodiscard]] std::string default_addresses(std::string_view variable, std::string_view bus_name,
                                            std::string_view daemon);

} // namespace kdbus::detail

#endif
