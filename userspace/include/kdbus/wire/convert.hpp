// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_CONVERT_HPP
#define KDBUS_WIRE_CONVERT_HPP

#include <span>
#include <string_view>

#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/error.hpp>
#include <kdbus/wire/message.hpp>

/// Between D-Bus 1 and GVariant (dbus-on-kdbus.md 8). Pure; thread-safe on distinct objects.
namespace kdbus::wire {

/// Appends `body`, validated on the way, in format `to` (gvariant or dbus1_native) to `out`,
/// starting at out's end (alignment counts from there). Indices of type h are kept. Foreign byte
/// order is swapped. Returns the least number of descriptors that the body needs. On failure `out`
/// is unchanged; message_too_long or array_too_long if only the result breaks a limit.
[[nodiscard]] KDBUS_EXPORT Result<std::uint32_t> convert_body(Format from,
                                                              std::string_view signature,
                                                              std::span<const std::byte> body,
                                                              Format to, Buffer& out) noexcept;

/// The message with its body in format `to`, appended to `body_out`, and everything else, all eight
/// flag bits included, unchanged. Also fails with fds_mismatch if an index of type h is not below
/// unix_fds, and, towards D-Bus 1, with not_convertible if serial or reply serial need over 32
/// bits. The result points into `body_out` and at the text that `message` points at.
[[nodiscard]] KDBUS_EXPORT Result<Message> convert_message(const Message& message, Format to,
                                                           Buffer& body_out) noexcept;

} // namespace kdbus::wire

#endif
