// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_INTROSPECTION_HPP
#define KDBUS_LIB_BUS_INTROSPECTION_HPP

#include <kdbus/interface.hpp>

#include <set>
#include <span>
#include <string>
#include <string_view>

namespace kdbus::detail {

/// Introspection data of an object with these interfaces, besides the standard ones, and these
/// children (D-Bus specification, "Introspection Data Format"). An object without interfaces, which
/// is there for its children only, has no properties either.
[[nodiscard]] std::string introspection_xml(std::span<const Interface* const> interfaces,
                                            const std::set<std::string_view>& children);

} // namespace kdbus::detail

#endif
