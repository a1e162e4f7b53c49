// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_ERROR_HPP
#define KDBUS_WIRE_ERROR_HPP

#include <kdbus/expected.hpp>
#include <system_error>

#include <kdbus/export.hpp>

/// Errors of the wire layer. Nothing in kdbus::wire throws (running out of memory inside a standard
/// container excepted, where a function says that it returns one).
namespace kdbus::wire {

/// What can go wrong; a std::error_code can be made of it and compared with it.
enum class Errc {
    truncated = 1,      ///< the bytes end before the value does
    trailing_bytes,     ///< bytes remain after the last value
    bad_padding,        ///< alignment padding is not zero
    bad_offset,         ///< a GVariant framing offset points outside or backwards, or is not normal
    bad_boolean,        ///< a D-Bus 1 boolean other than 0 and 1
    bad_string,         ///< missing terminator, embedded NUL, or not UTF-8
    bad_object_path,    ///< not a valid object path
    bad_signature,      ///< not a valid signature, or not one complete type where one is needed
    bad_bus_name,       ///< not a valid unique or well-known name
    bad_interface,      ///< not a valid interface name
    bad_member,         ///< not a valid member name
    bad_error_name,     ///< not a valid error name
    type_mismatch,      ///< the value asked for or written is not of the type that stands there
    container_state,    ///< a container is closed or left unfinished, or one is open at the end
    too_deep,           ///< nesting beyond 64 containers
    array_too_long,     ///< D-Bus 1 array above 64 MiB, or not a whole number of elements
    message_too_long,   ///< message above 128 MiB
    misaligned,         ///< the elements cannot be given as a span: wrong byte order or address
    wrong_size,         ///< a fixed-size C++ array met another number of elements
    bad_endian,         ///< byte-order mark neither 'l' nor 'B', or foreign where native is needed
    bad_version,        ///< protocol version is not the one of the format
    bad_message_type,   ///< message type 0
    bad_serial,         ///< serial, cookie or reply serial 0
    bad_field,          ///< header field 0, of the wrong type, or one that must not appear
    duplicate_field,    ///< a known header field twice
    missing_field,      ///< a header field that this type of message must have
    fds_mismatch,       ///< number of file descriptors differs from what the header says
    no_fds,             ///< a descriptor as a value where none can travel, in a Variant say
    no_such_fd,         ///< the index of a descriptor that did not come, or was taken before
    fd_lost,            ///< the descriptor came, but could not be received
    bad_fd,             ///< what is to be passed is no descriptor
    too_many_fds,       ///< more descriptors than a message can carry
    optional_gap,       ///< an optional argument is left out before one that is not
    head_mismatch,      ///< payload header and kernel message head contradict each other
    bad_pieces,         ///< payload pieces break the rules for cutting a message
    local_message,      ///< uses the reserved org.freedesktop.DBus.Local
    wrong_format,       ///< body is in another format than the function needs
    not_convertible,    ///< the message has no representation in the other format
    match_rule_invalid, ///< match rule text is malformed (D-Bus error MatchRuleInvalid)
    match_rule_limit,   ///< match rule text is longer than 1024 bytes (D-Bus error LimitsExceeded)
    bad_bloom,          ///< Bloom parameters that a client must refuse
    bad_address,        ///< malformed D-Bus address
    no_memory,          ///< a buffer could not grow
};

/// The category of Errc; its conditions compare equal to std::errc (mostly bad_message).
KDBUS_EXPORT const std::error_category& wire_category() noexcept;

/// The code for an error.
inline std::error_code make_error_code(Errc error) noexcept {
    return {static_cast<int>(error), wire_category()};
}

/// What every fallible function of this layer returns.
template <class T = void>
using Result = std::expected<T, std::error_code>;

/// Shorthand for returning an error from a function that returns a Result.
inline std::unexpected<std::error_code> fail(Errc error) noexcept {
    return std::unexpected(make_error_code(error));
}

} // namespace kdbus::wire

template <>
struct std::is_error_code_enum<kdbus::wire::Errc> : std::true_type {};

#endif
