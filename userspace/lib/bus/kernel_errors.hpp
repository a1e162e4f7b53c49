// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_KERNEL_ERRORS_HPP
#define KDBUS_LIB_BUS_KERNEL_ERRORS_HPP

#include <kdbus/result.hpp>
#include <kdbus/wire/message.hpp>

namespace kdbus::detail {

/// What the errno of a SEND means to who sent that message (dbus-on-kdbus.md 6.1). @p disconnected:
/// our own connection is known to have ended, the ambiguous ECONNRESET's other meaning.
[[nodiscard]] Error send_error(int value, const wire::Message& message, bool disconnected);

/// What the errno of NAME_ACQUIRE means (dbus-on-kdbus.md 5.2).
[[nodiscard]] Error request_name_error(int value, std::string_view name);
/// What the errno of NAME_RELEASE means (abi.md 6.12).
[[nodiscard]] Error release_name_error(int value, std::string_view name);
/// What the errno of CONN_INFO means (abi.md 6.8).
[[nodiscard]] Error lookup_error(int value, std::string_view name);

} // namespace kdbus::detail

#endif
