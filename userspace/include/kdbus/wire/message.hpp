// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_MESSAGE_HPP
#define KDBUS_WIRE_MESSAGE_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/error.hpp>
#include <kdbus/wire/reader.hpp>
#include <kdbus/wire/signature.hpp>

/// A D-Bus message and its two encodings (D-Bus specification, "Message Protocol";
/// dbus-on-kdbus.md 1, 7.2 to 7.6). All functions are pure; thread-safe on distinct objects.
namespace kdbus::wire {

/// Largest message, header, padding and body together, in bytes.
inline constexpr std::size_t max_message_size = std::size_t{128} << 20;
/// Largest content of one array in D-Bus 1 form, in bytes.
inline constexpr std::size_t max_array_size = std::size_t{64} << 20;
/// Bytes of a D-Bus 1 message that dbus1_message_size() needs.
inline constexpr std::size_t dbus1_fixed_header_size = 16;

/// Types above 4 are valid and to be ignored by whoever does not know them.
enum class MessageType : std::uint8_t { invalid, method_call, method_return, error, signal };

/// The type's name as match rules spell it ("method_call"); empty if it has none.
[[nodiscard]] KDBUS_EXPORT std::string_view message_type_name(MessageType type) noexcept;

/// Flags of a header (D-Bus specification, "Message Format").
enum MessageFlag : std::uint8_t {
    no_reply_expected = 1,
    no_auto_start = 2,
    allow_interactive_authorization = 4,
};

/// A message. A view: text and body belong to somebody else (the bytes it was parsed from, or
/// whatever its maker keeps). Absent header fields are empty, or 0.
struct Message {
    MessageType type = MessageType::invalid; ///< kind of message
    std::uint8_t flags = 0;                  ///< MessageFlag; unknown bits are kept
    Format format = Format::gvariant;        ///< of `body`
    std::uint32_t unix_fds = 0;              ///< number of descriptors that travel along
    std::uint64_t serial = 0;       ///< serial (32 bits in D-Bus 1) or cookie; never 0 on a bus
    std::uint64_t reply_serial = 0; ///< serial of the call that is answered
    std::string_view path; ///< object: of a call, the one called; of a signal, the emitting one
    std::string_view interface;      ///< interface of the member; calls may have none
    std::string_view member;         ///< method or signal
    std::string_view error_name;     ///< errors only
    std::string_view destination;    ///< unique or well-known name; none: a broadcast
    std::string_view sender;         ///< unique name
    std::string_view signature;      ///< types of the arguments, without parentheses
    std::span<const std::byte> body; ///< the arguments, in `format`

    /// Whether it is a call whose caller waits for an answer.
    [[nodiscard]] bool expects_reply() const noexcept {
        return type == MessageType::method_call && (flags & no_reply_expected) == 0;
    }
    /// Reads the arguments. The reader refers to the message's text and bytes, not to the message.
    [[nodiscard]] Reader reader() const noexcept { return {format, signature, body}; }
};

/// Checks what both encodings demand of the header: a known or unknown type (not 0), a serial,
/// valid text in every field, the fields that the type must have, nothing of
/// org.freedesktop.DBus.Local. Does not look at the body. A reply serial on a signal or call is
/// allowed (7.6).
[[nodiscard]] KDBUS_EXPORT Result<void> validate_header(const Message& message) noexcept;

// ---- D-Bus 1
// -------------------------------------------------------------------------------------

/// Total size of the D-Bus 1 message of which `start` holds the first 16 bytes or more. Fails as
/// soon as they cannot begin an acceptable message: bad_endian, bad_message_type, bad_version,
/// bad_serial, array_too_long (header fields), message_too_long; truncated if there are less than
/// 16 bytes.
[[nodiscard]] KDBUS_EXPORT Result<std::size_t>
dbus1_message_size(std::span<const std::byte> start) noexcept;

/// Parses one complete D-Bus 1 message (exactly: neither less nor more bytes), of either byte
/// order, and validates all of it, the body too, in one pass. Unknown header fields and unknown
/// flags are accepted; the fields are dropped, the flags kept. Indices of type h must be below
/// UNIX_FDS. The result points into `bytes`.
[[nodiscard]] KDBUS_EXPORT Result<Message> parse_dbus1(std::span<const std::byte> bytes) noexcept;

/// Appends the header of a D-Bus 1 message, padded, to `out`: the whole message is that followed by
/// message.body. `message.format` must be a D-Bus 1 format and decides the byte order (so a relay
/// can keep a foreign one). Serials above 32 bits are not_convertible. On failure `out` is
/// unchanged. The body is trusted to fit signature and format.
[[nodiscard]] KDBUS_EXPORT Result<void> write_dbus1_header(const Message& message,
                                                           Buffer& out) noexcept;

/// Appends a whole D-Bus 1 message, header and body, to `out`; otherwise as write_dbus1_header().
[[nodiscard]] KDBUS_EXPORT Result<void> serialise_dbus1(const Message& message,
                                                        Buffer& out) noexcept;

// ---- kernel bus
// ----------------------------------------------------------------------------------

/// A piece of a received payload, in item order. `data` nullptr stands for `size` zero bytes.
struct Piece {
    const std::byte* data = nullptr; ///< the bytes, of somebody else
    std::size_t size = 0;            ///< how many
    bool memfd = false;              ///< came as a memfd, not in the pool
};

/// What the kernel's message head and items say about a message.
struct KernelHead {
    std::uint64_t flags = 0;        ///< KDBUS_MSG_*
    std::uint64_t cookie = 0;       ///< serial of the message
    std::uint64_t cookie_reply = 0; ///< 0 if the field holds a timeout (EXPECT_REPLY)
    std::uint32_t fds = 0;        ///< number of descriptors in the FDS item, missing ones included
    std::string_view sender;      ///< from src_id: UniqueName, or the driver's name for 0
    std::string_view destination; ///< from dst_id or DST_NAME (section 2); empty for a broadcast
};

/// Parses a message of payload type KDBUS_PAYLOAD_DBUS and applies all of the reader's checks
/// (1.7). Beyond those: the kernel's SIGNAL flag and type signal go together, replies and signals
/// expect no reply, only replies have a reply cookie, and zero bytes that were never stored (`data`
/// nullptr) are at most 64 KiB in all. The body's values are *not* validated (they are checked when
/// read; validate_body() does it at once). Sender and destination of the result are those of
/// `head`. A body cut into several pieces, or one that begins at an address that is no multiple of
/// 8, is gathered in `scratch` (cleared first), else the result points into the pieces; it lives as
/// long as pieces, head's text and scratch stay. All pieces together, and so what is gathered, have
/// at most max_message_size bytes; nothing is gathered of a message that is longer.
[[nodiscard]] KDBUS_EXPORT Result<Message>
parse_kdbus(std::span<const Piece> pieces, const KernelHead& head, Buffer& scratch) noexcept;

/// Appends the first payload item's bytes (fixed header, fields, padding; 1.2) to `head`, fields in
/// the historical order (1.3): PATH MEMBER INTERFACE DESTINATION (call), PATH INTERFACE MEMBER
/// DESTINATION (signal), REPLY_SERIAL DESTINATION [ERROR_NAME] (replies), then UNIX_FDS. The sender
/// is not written. Returns the offset of the end of the fields, which the footer needs. The
/// kernel's rules are the caller's, but types other than method calls get no_reply_expected in the
/// header (without it the kernel would treat them as calls). On failure `head` is unchanged.
[[nodiscard]] KDBUS_EXPORT Result<std::size_t> write_kdbus_head(const Message& message,
                                                                Buffer& head) noexcept;

/// Appends the bytes that follow the body (separator, type, final offset) to `tail`: for the body
/// buffer itself, so that body and footer are one piece, or for a piece of their own. `fields_end`
/// is the result of write_kdbus_head(), `body_size` the body's size in bytes.
[[nodiscard]] KDBUS_EXPORT Result<void> append_kdbus_footer(std::string_view signature,
                                                            std::size_t body_size,
                                                            std::size_t fields_end,
                                                            Buffer& tail) noexcept;

/// The two pieces of an ordinary small message in one call: appends the head to `head`, and a copy
/// of the body with the footer to `tail`. message.format must be gvariant. On failure both are
/// unchanged.
[[nodiscard]] KDBUS_EXPORT Result<void> serialise_kdbus(const Message& message, Buffer& head,
                                                        Buffer& tail) noexcept;

} // namespace kdbus::wire

#endif
