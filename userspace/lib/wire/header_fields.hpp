// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_HEADER_FIELDS_HPP
#define KDBUS_WIRE_HEADER_FIELDS_HPP

#include <array>
#include <cstdint>
#include <string_view>

#include <kdbus/wire/message.hpp>

/// Header fields as both encodings have them (dbus-on-kdbus.md 1.3, 7.2).
namespace kdbus::wire {

enum class Field : std::uint8_t {
    path = 1,
    interface,
    member,
    error_name,
    reply_serial,
    destination,
    sender,
    signature,
    unix_fds,
};

inline constexpr std::uint64_t last_known_field = static_cast<std::uint64_t>(Field::unix_fds);

/// Type of a known field's value; the encodings differ for the reply serial.
constexpr char field_type(Field field, Format format) noexcept {
    switch (field) {
    case Field::path:
        return 'o';
    case Field::reply_serial:
        return format == Format::gvariant ? 't' : 'u';
    case Field::signature:
        return 'g';
    case Field::unix_fds:
        return 'u';
    default:
        return 's';
    }
}

/// The text of a field that is text.
template <class MessageType>
constexpr auto& field_text(MessageType& message, Field field) noexcept {
    switch (field) {
    case Field::path:
        return message.path;
    case Field::interface:
        return message.interface;
    case Field::member:
        return message.member;
    case Field::error_name:
        return message.error_name;
    case Field::destination:
        return message.destination;
    case Field::sender:
        return message.sender;
    default:
        return message.signature;
    }
}

/// Collects fields while a header is read, refusing what may not be there.
class FieldCollector {
public:
    FieldCollector(Message& message, Format format) noexcept : message_(message), format_(format) {}

    /// Takes all fields of the array that is next in `reader`. `enter` opens one of them, whose key
    /// is of the type `key`.
    Result<void> take_all(Reader& reader, Result<void> (Reader::*enter)() noexcept,
                          char key) noexcept;

    [[nodiscard]] bool has(Field field) const noexcept {
        return (seen_ >> static_cast<unsigned>(field) & 1) != 0;
    }

private:
    /// Takes the field `key`, whose value, a variant, is next in `reader`.
    Result<void> take(std::uint64_t key, Reader& reader) noexcept;

    Message& message_;
    Format format_;
    unsigned seen_ = 0;
};

} // namespace kdbus::wire

#endif
