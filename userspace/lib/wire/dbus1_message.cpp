// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages as they travel over sockets (dbus-on-kdbus.md 7.2, 7.3, 7.6).
#include <kdbus/wire/message.hpp>

#include <algorithm>

#include "bytes.hpp"
#include "header_fields.hpp"

namespace kdbus::wire {

namespace {

constexpr std::byte protocol_version{1};

struct FixedHeader {
    Format format;
    bool swap;
    std::size_t body_size;
    std::uint32_t serial;
    std::size_t fields_size;

    std::size_t fields_end() const noexcept { return dbus1_fixed_header_size + fields_size; }
    std::size_t body_start() const noexcept { return align_up(fields_end(), 8); }
    std::size_t total() const noexcept { return body_start() + body_size; }
};

Result<FixedHeader> parse_fixed_header(std::span<const std::byte> start) noexcept {
    if (start.size() < dbus1_fixed_header_size)
        return fail(Errc::truncated);
    FixedHeader header{};
    if (start[0] == std::byte{'l'})
        header.format = Format::dbus1_le;
    else if (start[0] == std::byte{'B'})
        header.format = Format::dbus1_be;
    else
        return fail(Errc::bad_endian);
    header.swap = header.format != dbus1_native;
    if (start[1] == std::byte{0})
        return fail(Errc::bad_message_type);
    if (start[3] != protocol_version)
        return fail(Errc::bad_version);
    header.body_size = load_as<std::uint32_t>(start.data() + 4, header.swap);
    header.serial = load_as<std::uint32_t>(start.data() + 8, header.swap);
    header.fields_size = load_as<std::uint32_t>(start.data() + 12, header.swap);
    if (header.serial == 0)
        return fail(Errc::bad_serial);
    if (header.fields_size > max_array_size)
        return fail(Errc::array_too_long);
    if (header.body_size > max_message_size || header.total() > max_message_size)
        return fail(Errc::message_too_long);
    return header;
}

Message message_of(std::span<const std::byte> bytes, const FixedHeader& header) noexcept {
    Message message;
    message.type = static_cast<MessageType>(bytes[1]);
    message.flags = static_cast<std::uint8_t>(bytes[2]);
    message.format = header.format;
    message.serial = header.serial;
    return message;
}

/// Reads the header fields of a message whose fields are all known and as they should be, as far as
/// they need no validate_header(). False as soon as one is not: then read_fields() says what is
/// wrong, if anything is.
bool read_ordinary_fields(std::span<const std::byte> bytes, const FixedHeader& header,
                          Message& message) noexcept {
    const std::byte* const data = bytes.data();
    const std::size_t end = header.fields_end();
    unsigned seen = 0;
    for (std::size_t at = dbus1_fixed_header_size; at < end;) {
        const std::size_t start = align_up(at, 8);
        for (; at < start && at < end; at++)
            if (data[at] != std::byte{0})
                return false;
        // Its code, a signature of one letter, and the first of the value.
        constexpr std::size_t value_at = 4;
        if (end - at <= value_at)
            return false;
        const auto key = static_cast<unsigned>(data[at]);
        if (key == 0 || key > last_known_field || (seen >> key & 1) != 0)
            return false;
        seen |= 1U << key;
        const auto field = static_cast<Field>(key);
        const char type = field_type(field, header.format);
        if (data[at + 1] != std::byte{1} || static_cast<char>(data[at + 2]) != type ||
            data[at + 3] != std::byte{0})
            return false;
        at += value_at;
        const std::size_t size = type == 'g' ? 1 : 4;
        if (end - at < size)
            return false;
        const auto number = static_cast<std::uint32_t>(load_uint(data + at, size, header.swap));
        at += size;
        if (type == 'u') {
            if (field == Field::unix_fds)
                message.unix_fds = number;
            else if (number == 0)
                return false;
            else
                message.reply_serial = number;
            continue;
        }
        if (number >= end - at || data[at + number] != std::byte{0} ||
            (number == 0 && field != Field::signature))
            return false;
        field_text(message, field) = as_text(data + at, number);
        at += number + std::size_t{1};
    }
    return true;
}

/// Reads the header fields of any message.
Result<void> read_fields(std::span<const std::byte> bytes, const FixedHeader& header,
                         Message& message) noexcept {
    FieldCollector fields(message, header.format);
    // The length of the array stands 8-aligned less 4, as it does in the whole header.
    Reader reader(header.format, "yyyyuua(yv)", bytes.first(header.fields_end()));
    for (char type : {'y', 'y', 'y', 'y', 'u', 'u'})
        if (auto skipped = reader.read_fixed(type); !skipped)
            return std::unexpected(skipped.error());
    return fields.take_all(reader, &Reader::enter_struct, 'y');
}

/// Appends one header field, aligned; `base` is where the message starts in `out`.
bool append_field(Buffer& out, std::size_t base, const Message& message, Field field) noexcept {
    const bool swap = message.format != dbus1_native;
    const char type = field_type(field, message.format);
    std::uint32_t number = 0;
    std::string_view text;
    if (field == Field::reply_serial)
        number = static_cast<std::uint32_t>(message.reply_serial);
    else if (field == Field::unix_fds)
        number = message.unix_fds;
    else
        text = field_text(message, field);
    if (number == 0 && text.empty())
        return true;

    const std::size_t length_size = type == 'g' ? 1 : 4;
    const std::size_t value = type == 'u' ? 4 : length_size + text.size() + 1;
    const std::size_t padding = align_up(out.size() - base, 8) - (out.size() - base);
    std::byte* at = out.extend(padding + 4 + value);
    if (at == nullptr)
        return false;
    std::memset(at, 0, padding + 4);
    at += padding;
    at[0] = static_cast<std::byte>(field);
    at[1] = std::byte{1};
    at[2] = static_cast<std::byte>(type);
    if (type == 'u') {
        store_uint(at + 4, 4, number, swap);
        return true;
    }
    store_uint(at + 4, length_size, text.size(), swap);
    std::memcpy(at + 4 + length_size, text.data(), text.size());
    at[4 + length_size + text.size()] = std::byte{0};
    return true;
}

} // namespace

Result<std::size_t> dbus1_message_size(std::span<const std::byte> start) noexcept {
    const auto header = parse_fixed_header(start);
    if (!header)
        return std::unexpected(header.error());
    return header->total();
}

Result<Message> parse_dbus1(std::span<const std::byte> bytes) noexcept {
    const auto header = parse_fixed_header(bytes);
    if (!header)
        return std::unexpected(header.error());
    if (bytes.size() != header->total())
        return fail(bytes.size() < header->total() ? Errc::truncated : Errc::trailing_bytes);

    Message message = message_of(bytes, *header);
    const bool ordinary = read_ordinary_fields(bytes, *header, message) && validate_header(message);
    if (!ordinary) {
        message = message_of(bytes, *header);
        if (auto read = read_fields(bytes, *header, message); !read)
            return std::unexpected(read.error());
    }

    const auto padding =
        bytes.subspan(header->fields_end(), header->body_start() - header->fields_end());
    if (std::any_of(padding.begin(), padding.end(), [](std::byte b) { return b != std::byte{0}; }))
        return fail(Errc::bad_padding);
    if (!ordinary)
        if (auto valid = validate_header(message); !valid)
            return std::unexpected(valid.error());
    // On other types it is to be ignored (7.6), and must not get into another encoding.
    if (message.type == MessageType::method_call || message.type == MessageType::signal)
        message.reply_serial = 0;

    message.body = bytes.subspan(header->body_start());
    const auto fds_needed = validate_body(message.format, message.signature, message.body);
    if (!fds_needed)
        return std::unexpected(fds_needed.error());
    if (*fds_needed > message.unix_fds)
        return fail(Errc::fds_mismatch);
    return message;
}

Result<void> write_dbus1_header(const Message& message, Buffer& out) noexcept {
    if (message.format == Format::gvariant)
        return fail(Errc::wrong_format);
    if (auto valid = validate_header(message); !valid)
        return valid;
    if (message.serial > UINT32_MAX || message.reply_serial > UINT32_MAX)
        return fail(Errc::not_convertible);
    if (message.body.size() > max_message_size)
        return fail(Errc::message_too_long);

    const std::size_t base = out.size();
    bool good = out.append_zeros(dbus1_fixed_header_size);
    for (Field field :
         {Field::path, Field::destination, Field::interface, Field::member, Field::error_name,
          Field::reply_serial, Field::signature, Field::sender, Field::unix_fds})
        good = good && append_field(out, base, message, field);
    const std::size_t fields_end = out.size() - base;
    const std::size_t fields_size = fields_end - dbus1_fixed_header_size;
    const std::size_t size = align_up(fields_end, 8);
    good = good && out.append_zeros(size - fields_end);
    if (!good || size > max_message_size - message.body.size()) {
        out.truncate(base);
        return fail(good ? Errc::message_too_long : Errc::no_memory);
    }

    const bool swap = message.format != dbus1_native;
    std::byte* at = out.data() + base;
    at[0] = std::byte{message.format == Format::dbus1_le ? std::uint8_t{'l'} : std::uint8_t{'B'}};
    at[1] = static_cast<std::byte>(message.type);
    at[2] = static_cast<std::byte>(message.flags);
    at[3] = protocol_version;
    store_uint(at + 4, 4, message.body.size(), swap);
    store_uint(at + 8, 4, message.serial, swap);
    store_uint(at + 12, 4, fields_size, swap);
    return {};
}

Result<void> serialise_dbus1(const Message& message, Buffer& out) noexcept {
    const std::size_t base = out.size();
    if (auto written = write_dbus1_header(message, out); !written)
        return written;
    if (!out.append(message.body.data(), message.body.size())) {
        out.truncate(base);
        return fail(Errc::no_memory);
    }
    return {};
}

} // namespace kdbus::wire
