// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_ERROR_NAMES_HPP
#define KDBUS_WIRE_ERROR_NAMES_HPP

#include <string>
#include <string_view>

#include <kdbus/export.hpp>

/// errno and D-Bus error names (dbus-on-kdbus.md 6.3). Pure, thread-safe.
namespace kdbus::wire {

/// D-Bus error name for a (positive) errno: "org.freedesktop.DBus.Error.*" where one corresponds,
/// "System.Error.<NAME>" for other known numbers, "org.freedesktop.DBus.Error.Failed" otherwise.
[[nodiscard]] KDBUS_EXPORT std::string error_name_from_errno(int error);

/// The (positive) errno for a D-Bus error name, EIO if it is unknown, 0 for an empty name.
[[nodiscard]] KDBUS_EXPORT int errno_from_error_name(std::string_view name) noexcept;

} // namespace kdbus::wire

#endif
