// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages as they travel over the kernel bus (dbus-on-kdbus.md 1, 2).
#include <kdbus/wire/message.hpp>

#include <algorithm>
#include <initializer_list>

#include <linux/kdbus.h>

#include <kdbus/wire/names.hpp>

#include "bytes.hpp"
#include "header_fields.hpp"

namespace kdbus::wire {

namespace {

constexpr std::byte protocol_version{2};
constexpr std::byte native_mark{std::uint8_t{native_is_big ? 'B' : 'l'}};
constexpr std::size_t fields_start = 16;

/// The field lists of the historical client, completed by what other types of messages seldom
/// carry.
std::span<const Field> field_order(MessageType type) noexcept {
    static constexpr Field call[] = {Field::path, Field::member, Field::interface,
                                     Field::destination, Field::error_name};
    static constexpr Field signal[] = {Field::path, Field::interface, Field::member,
                                       Field::destination, Field::error_name};
    static constexpr Field reply[] = {Field::reply_serial, Field::destination, Field::error_name,
                                      Field::path,         Field::interface,   Field::member};
    switch (type) {
    case MessageType::signal:
        return signal;
    case MessageType::method_return:
    case MessageType::error:
        return reply;
    default:
        return call;
    }
}

/// Writes the field array: elements 8-aligned, then the end of each.
class FieldArray {
public:
    FieldArray(Buffer& out, std::size_t base) noexcept : out_(out), start_(base + fields_start) {}

    void add(Field field, std::uint64_t number) noexcept {
        const std::size_t size = field == Field::unix_fds ? 4 : 8;
        if (std::byte* value = element(field, size))
            store_uint(value, size, number, false);
    }

    void add(Field field, std::string_view text) noexcept {
        if (std::byte* value = element(field, text.size() + 1)) {
            std::memcpy(value, text.data(), text.size());
            value[text.size()] = std::byte{0};
        }
    }

    /// Appends the offsets; false if memory ran out on the way.
    bool finish() noexcept {
        const unsigned width = offset_width(out_.size() - start_, count_);
        std::byte* at = good_ ? out_.extend(count_ * width) : nullptr;
        if (at == nullptr)
            return false;
        for (std::size_t i = 0; i < count_; i++)
            store_uint(at + i * width, width, ends_[i], native_is_big);
        return true;
    }

private:
    /// Appends an element around a value of `size` bytes; returns where the value goes.
    std::byte* element(Field field, std::size_t size) noexcept {
        const std::size_t at = out_.size() - start_;
        const std::size_t padding = align_up(at, 8) - at;
        std::byte* bytes = good_ ? out_.extend(padding + 8 + size + 2) : nullptr;
        if (bytes == nullptr) {
            good_ = false;
            return nullptr;
        }
        std::memset(bytes, 0, padding);
        store_uint(bytes + padding, 8, static_cast<std::uint64_t>(field), false);
        std::byte* value = bytes + padding + 8;
        value[size] = std::byte{0};
        value[size + 1] = static_cast<std::byte>(field_type(field, Format::gvariant));
        ends_[count_++] = out_.size() - start_;
        return value;
    }

    Buffer& out_;
    std::size_t start_;
    std::array<std::size_t, last_known_field> ends_{};
    std::size_t count_ = 0;
    bool good_ = true;
};

/// What follows the body, and where the body lies in the stream.
struct Frame {
    std::size_t fields_end;
    std::size_t body_start;
    std::size_t body_end;
    std::string_view signature;
};

/// Takes apart the end of the last piece of a message of `total` bytes.
Result<Frame> parse_footer(const Piece& last, std::size_t total) noexcept {
    const unsigned width = offset_width(total);
    if (last.size < width + std::size_t{3})
        return fail(Errc::truncated);
    const std::size_t before = last.size - width;
    Frame frame{};
    frame.fields_end = load_uint(last.data + before, width, native_is_big);
    if (frame.fields_end < fields_start || frame.fields_end > total ||
        offset_width(total - width, 1) != width)
        return fail(Errc::bad_offset);
    frame.body_start = align_up(frame.fields_end, 8);

    const std::size_t window = std::min(before, max_signature_length + 3);
    const std::string_view tail = as_text(last.data + before - window, window);
    const std::size_t separator = tail.rfind('\0');
    if (separator == std::string_view::npos)
        return fail(Errc::bad_signature);
    const std::string_view type = tail.substr(separator + 1);
    if (type.size() < 2 || type.front() != '(' || type.back() != ')')
        return fail(Errc::bad_signature);
    frame.signature = type.substr(1, type.size() - 2);
    if (!is_signature(frame.signature))
        return fail(Errc::bad_signature);
    frame.body_end = total - width - type.size() - 1;
    if (frame.body_start > frame.body_end)
        return fail(Errc::bad_offset);
    return frame;
}

/// The stream's bytes from `start` to `end`: in place if they lie in a row, else copied to
/// `scratch`.
Result<std::span<const std::byte>> gather(std::span<const Piece> pieces, std::size_t start,
                                          std::size_t end, Buffer& scratch) noexcept {
    scratch.clear();
    std::span<const std::byte> row;
    bool copied = false;
    std::size_t piece_start = 0;
    for (const Piece& piece : pieces) {
        const std::size_t piece_end = piece_start + piece.size;
        const std::size_t from = std::max(start, piece_start);
        const std::size_t to = std::min(end, piece_end);
        if (from < to) {
            const std::byte* data =
                piece.data != nullptr ? piece.data + (from - piece_start) : nullptr;
            if (!copied && row.empty() && data != nullptr) {
                row = {data, to - from};
            } else if (!copied && data != nullptr && row.data() + row.size() == data) {
                row = {row.data(), row.size() + (to - from)};
            } else {
                if (!copied &&
                    (!scratch.reserve(end - start) || !scratch.append(row.data(), row.size())))
                    return fail(Errc::no_memory);
                copied = true;
                if (!(data != nullptr ? scratch.append(data, to - from)
                                      : scratch.append_zeros(to - from)))
                    return fail(Errc::no_memory);
            }
        }
        piece_start = piece_end;
    }
    return copied ? scratch.bytes() : row;
}

Result<void> parse_fields(std::span<const std::byte> bytes, Message& message) noexcept {
    FieldCollector fields(message, Format::gvariant);
    Reader reader(Format::gvariant, "a{tv}", bytes);
    if (auto done = fields.take_all(reader, &Reader::enter_dict_entry, 't'); !done)
        return done;
    if (fields.has(Field::signature))
        return fail(Errc::bad_field); // the signature is that of the body's variant
    return {};
}

/// Zeros that were not sent. They are padding, a few bytes each; but they cost the sender nothing,
/// so that a small message could claim gigabytes.
constexpr std::size_t max_holes = 64 * 1024;

/// The message head and the payload must say the same (1.7), and the type what the kernel enforced.
Result<void> check_agreement(const Message& message, const KernelHead& head) noexcept {
    const bool no_reply = (message.flags & no_reply_expected) != 0;
    if (message.serial != head.cookie || no_reply == ((head.flags & KDBUS_MSG_EXPECT_REPLY) != 0) ||
        (no_reply && message.reply_serial != head.cookie_reply) ||
        ((message.flags & no_auto_start) != 0) != ((head.flags & KDBUS_MSG_NO_AUTO_START) != 0))
        return fail(Errc::head_mismatch);
    if (message.unix_fds != head.fds)
        return fail(Errc::fds_mismatch);
    // Anybody may broadcast, and a call needs no open call to answer: what the kernel let through
    // as the one must not be taken for the other.
    const bool is_signal = message.type == MessageType::signal;
    const bool is_reply =
        message.type == MessageType::method_return || message.type == MessageType::error;
    if (is_signal != ((head.flags & KDBUS_MSG_SIGNAL) != 0) ||
        ((is_signal || is_reply) && !no_reply))
        return fail(Errc::head_mismatch);
    if (message.reply_serial != 0 && !is_reply)
        return fail(Errc::bad_field);
    return {};
}

} // namespace

Result<Message> parse_kdbus(std::span<const Piece> pieces, const KernelHead& head,
                            Buffer& scratch) noexcept {
    if (pieces.empty())
        return fail(Errc::bad_pieces);
    const Piece& first = pieces.front();
    const Piece& last = pieces.back();
    if (first.memfd || last.memfd || first.data == nullptr || last.data == nullptr)
        return fail(Errc::bad_pieces);
    if (first.size < fields_start)
        return fail(Errc::truncated);
    std::size_t total = 0, holes = 0;
    for (const Piece& piece : pieces) {
        if (piece.size > max_message_size - total)
            return fail(Errc::message_too_long);
        total += piece.size;
        if (piece.data == nullptr && (holes += piece.size) > max_holes)
            return fail(Errc::message_too_long);
    }

    const std::span<const std::byte> start(first.data, first.size);
    if (start[0] != native_mark)
        return fail(Errc::bad_endian);
    if (start[1] == std::byte{0})
        return fail(Errc::bad_message_type);
    if (start[3] != protocol_version)
        return fail(Errc::bad_version);
    Message message;
    message.type = static_cast<MessageType>(start[1]);
    message.flags = static_cast<std::uint8_t>(start[2]);
    message.format = Format::gvariant;
    message.serial = load_as<std::uint64_t>(start.data() + 8, false);
    if (message.serial == 0)
        return fail(Errc::bad_serial);

    const auto frame = parse_footer(last, total);
    if (!frame)
        return std::unexpected(frame.error());
    if (frame->fields_end > first.size)
        return fail(Errc::bad_pieces);
    if (auto parsed =
            parse_fields(start.subspan(fields_start, frame->fields_end - fields_start), message);
        !parsed)
        return std::unexpected(parsed.error());
    if (message.sender == local_name)
        return fail(Errc::local_message);
    message.signature = frame->signature;
    if (auto valid = validate_header(message); !valid)
        return std::unexpected(valid.error());
    if (auto agreed = check_agreement(message, head); !agreed)
        return std::unexpected(agreed.error());

    const auto padding = gather(pieces, frame->fields_end, frame->body_start, scratch);
    if (!padding)
        return std::unexpected(padding.error());
    if (std::any_of(padding->begin(), padding->end(),
                    [](std::byte b) { return b != std::byte{0}; }))
        return fail(Errc::bad_padding);
    const auto body = gather(pieces, frame->body_start, frame->body_end, scratch);
    if (!body)
        return std::unexpected(body.error());
    message.body = *body;
    // Numbers are to be read in place. (Who cuts messages as everybody does is spared this.)
    if (reinterpret_cast<std::uintptr_t>(body->data()) % 8 != 0) {
        if (!scratch.append(body->data(), body->size()))
            return fail(Errc::no_memory);
        message.body = scratch.bytes();
    }
    // Without arguments there is nothing to read later, so nothing that would notice.
    if (message.signature.empty())
        if (auto valid = validate_body(message.format, message.signature, message.body); !valid)
            return std::unexpected(valid.error());
    message.sender = head.sender;
    message.destination = head.destination;
    return message;
}

Result<std::size_t> write_kdbus_head(const Message& message, Buffer& head) noexcept {
    if (auto valid = validate_header(message); !valid)
        return std::unexpected(valid.error());
    const std::size_t base = head.size();
    if (!head.append_zeros(fields_start))
        return fail(Errc::no_memory);

    FieldArray fields(head, base);
    for (Field field : field_order(message.type)) {
        if (field == Field::reply_serial) {
            if (message.reply_serial != 0)
                fields.add(field, message.reply_serial);
        } else if (const auto text = field_text(message, field); !text.empty()) {
            fields.add(field, text);
        }
    }
    if (message.unix_fds != 0)
        fields.add(Field::unix_fds, message.unix_fds);
    bool good = fields.finish();
    const std::size_t fields_end = head.size() - base;
    good = good && head.append_zeros(align_up(fields_end, 8) - fields_end);
    if (!good || fields_end > max_message_size) {
        head.truncate(base);
        return fail(good ? Errc::message_too_long : Errc::no_memory);
    }

    std::uint8_t flags = message.flags;
    if (message.type != MessageType::method_call)
        flags |= no_reply_expected;
    std::byte* at = head.data() + base;
    at[0] = native_mark;
    at[1] = static_cast<std::byte>(message.type);
    at[2] = static_cast<std::byte>(flags);
    at[3] = protocol_version;
    store_uint(at + 8, 8, message.serial, false);
    return fields_end;
}

Result<void> append_kdbus_footer(std::string_view signature, std::size_t body_size,
                                 std::size_t fields_end, Buffer& tail) noexcept {
    if (!is_signature(signature))
        return fail(Errc::bad_signature);
    if (body_size > max_message_size || fields_end > max_message_size)
        return fail(Errc::message_too_long);
    const std::size_t type_size = signature.size() + 3; // separator and parentheses
    const std::size_t content = align_up(fields_end, 8) + body_size + type_size;
    const unsigned width = offset_width(content, 1);
    if (content + width > max_message_size)
        return fail(Errc::message_too_long);
    std::byte* at = tail.extend(type_size + width);
    if (at == nullptr)
        return fail(Errc::no_memory);
    at[0] = std::byte{0};
    at[1] = std::byte{'('};
    if (!signature.empty())
        std::memcpy(at + 2, signature.data(), signature.size());
    at[type_size - 1] = std::byte{')'};
    store_uint(at + type_size, width, fields_end, native_is_big);
    return {};
}

Result<void> serialise_kdbus(const Message& message, Buffer& head, Buffer& tail) noexcept {
    static constexpr std::byte unit{0};
    if (message.format != Format::gvariant)
        return fail(Errc::wrong_format);
    const auto body = message.signature.empty() && message.body.empty()
                          ? std::span<const std::byte>(&unit, 1)
                          : message.body;
    const std::size_t head_base = head.size();
    const std::size_t tail_base = tail.size();
    const auto fields_end = write_kdbus_head(message, head);
    if (!fields_end)
        return std::unexpected(fields_end.error());
    Result<void> done = fail(Errc::no_memory);
    if (tail.append(body.data(), body.size()))
        done = append_kdbus_footer(message.signature, body.size(), *fields_end, tail);
    if (!done) {
        head.truncate(head_base);
        tail.truncate(tail_base);
    }
    return done;
}

} // namespace kdbus::wire
