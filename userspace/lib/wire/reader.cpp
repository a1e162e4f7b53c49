// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/reader.hpp>

#include <algorithm>

#include <kdbus/wire/message.hpp>
#include <kdbus/wire/names.hpp>

#include "bytes.hpp"

namespace kdbus::wire {

namespace {

/// Sizes of basic types are the same in both formats, booleans excepted.
std::size_t fixed_size(char type, Format format) noexcept {
    if (type == 'b' && format == Format::gvariant)
        return 1;
    return dbus1_fixed_size(type);
}

/// Sign-extends where the type is signed.
std::uint64_t widen(char type, std::uint64_t bits) noexcept {
    if (type == 'n')
        return static_cast<std::uint64_t>(static_cast<std::int16_t>(bits));
    if (type == 'i')
        return static_cast<std::uint64_t>(static_cast<std::int32_t>(bits));
    return bits;
}

std::uint32_t one_more(std::uint64_t index) noexcept {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(index + 1, UINT32_MAX));
}

} // namespace

Reader::Reader(Format format, std::string_view signature, std::span<const std::byte> body) noexcept
    : signature_(signature), body_(body), format_(format),
      swap_(format == (native_is_big ? Format::dbus1_le : Format::dbus1_be)) {
    Frame& root = frames_[0];
    root = Frame{};
    root.types = signature_;
    root.end = root.limit = body_.size();
    if (!describe_signature(signature_, tables_[0].data()))
        (void)stick(Errc::bad_signature);
    else if (body_.size() > max_message_size)
        (void)stick(Errc::message_too_long);
    else if (format_ == Format::gvariant)
        (void)open_tuple(root, gvariant_tuple_layout(signature_).size);
}

std::unexpected<std::error_code> Reader::stick(Errc error) noexcept {
    if (!error_)
        error_ = error;
    return std::unexpected(error_);
}

char Reader::peek_type() const noexcept {
    if (error_)
        return '\0';
    const Frame& frame = frames_[depth_];
    if (frame.kind != 'a')
        return frame.consumed < frame.types.size() ? frame.types[frame.consumed] : '\0';
    const bool more = frame.count != 0 ? frame.next < frame.count : position_ < frame.end;
    return more ? frame.types[0] : '\0';
}

std::string_view Reader::peek_signature() const noexcept {
    if (peek_type() == '\0')
        return {};
    const Frame& frame = frames_[depth_];
    return frame.types.substr(frame.consumed, next_info().length);
}

/// About the next value's type; there must be a value.
const TypeInfo& Reader::next_info() const noexcept {
    const Frame& frame = frames_[depth_];
    return tables_[frame.table][frame.types_at + std::size_t{frame.consumed}];
}

Result<void> Reader::check_type(char type) const noexcept {
    if (error_)
        return std::unexpected(error_);
    if (peek_type() != type)
        return fail(Errc::type_mismatch);
    return {};
}

bool Reader::zeros(std::size_t from, std::size_t to) const noexcept {
    return std::all_of(body_.begin() + static_cast<std::ptrdiff_t>(from),
                       body_.begin() + static_cast<std::ptrdiff_t>(to),
                       [](std::byte b) { return b == std::byte{0}; });
}

/// Moves on to the next multiple of `alignment`, over zeros, within the container.
bool Reader::align(std::size_t alignment) noexcept {
    const std::size_t aligned = align_up(position_, alignment);
    if (aligned > frames_[depth_].end) {
        (void)stick(Errc::truncated);
        return false;
    }
    if (!zeros(position_, aligned)) {
        (void)stick(Errc::bad_padding);
        return false;
    }
    position_ = aligned;
    return true;
}

std::uint64_t Reader::load_offset(std::size_t at, unsigned width) const noexcept {
    return load_uint(body_.data() + at, width, native_is_big); // always little-endian
}

/// Notes that the value of this type, the next one, is being taken.
void Reader::consumed(std::size_t type_length) noexcept {
    Frame& frame = frames_[depth_];
    if (frame.kind != 'a')
        frame.consumed = static_cast<std::uint16_t>(frame.consumed + type_length);
}

/// GVariant: fills in where the values of a tuple end and where its offsets are; its types, `start`
/// and `limit` are known, and its size if that is fixed.
Result<void> Reader::open_tuple(Frame& frame, std::size_t fixed_size) noexcept {
    const std::size_t size = frame.limit - frame.start;
    frame.next = frame.count = 0;
    frame.end = frame.limit;
    if (fixed_size != 0) {
        frame.padded = true;
        if (size != fixed_size)
            return stick(size < fixed_size ? Errc::truncated : Errc::trailing_bytes);
        return {};
    }
    const TypeInfo* infos = tables_[frame.table].data() + frame.types_at;
    for (std::size_t at = 0; at < frame.types.size(); at += infos[at].length) {
        const bool last = at + infos[at].length == frame.types.size();
        if (!last && infos[at].size == 0)
            frame.count++;
    }
    frame.width = static_cast<std::uint8_t>(offset_width(size));
    if (frame.count * frame.width > size)
        return stick(Errc::bad_offset);
    frame.end = frame.limit - frame.count * frame.width;
    // Just above a limit, wider offsets than needed would fit too; normal form has the narrowest.
    if (frame.count != 0 && offset_width(frame.end - frame.start, frame.count) != frame.width)
        return stick(Errc::bad_offset);
    return {};
}

/// GVariant: takes the next value, of this type; returns where it lies.
Result<Reader::Extent> Reader::locate(TypeInfo info) noexcept {
    if (!align(info.alignment))
        return std::unexpected(error_);
    Frame& frame = frames_[depth_];
    const std::size_t start = position_;
    std::size_t end = frame.end;
    if (info.size != 0) {
        if (info.size > frame.end - start)
            return stick(Errc::truncated);
        if (frame.kind != 'v')
            end = start + info.size;
        else if (end - start != info.size)
            return stick(Errc::trailing_bytes);
    } else if (frame.kind == 'a') {
        const auto offset = load_offset(frame.end + frame.next++ * frame.width, frame.width);
        if (offset > frame.end - frame.start || frame.start + offset < start)
            return stick(Errc::bad_offset);
        end = frame.start + offset;
    } else if (frame.kind != 'v' && frame.consumed + info.length != frame.types.size()) {
        const auto offset = load_offset(frame.limit - ++frame.next * frame.width, frame.width);
        if (offset > frame.end - frame.start || frame.start + offset < start)
            return stick(Errc::bad_offset);
        end = frame.start + offset;
    }
    consumed(info.length);
    return Extent{start, end};
}

Result<std::uint64_t> Reader::read_fixed(char type) noexcept {
    if (auto checked = check_type(type); !checked)
        return std::unexpected(checked.error());
    const std::size_t size = fixed_size(type, format_);
    if (size == 0)
        return fail(Errc::type_mismatch);
    Frame& frame = frames_[depth_];
    if (!align(size))
        return std::unexpected(error_);
    if (size > frame.end - position_)
        return stick(Errc::truncated);
    // A variant's value fills it: all that is needed of locate() for types of fixed size.
    if (format_ == Format::gvariant && frame.kind == 'v' && size != frame.end - position_)
        return stick(Errc::trailing_bytes);
    std::uint64_t bits = load_uint(body_.data() + position_, size, swap_);
    if (type == 'b') {
        if (format_ == Format::gvariant)
            bits = bits != 0;
        else if (bits > 1)
            return stick(Errc::bad_boolean);
    } else if (type == 'h') {
        fds_needed_ = std::max(fds_needed_, one_more(bits));
    }
    position_ += size;
    consumed(1);
    return widen(type, bits);
}

Result<int> Reader::take_fd() noexcept {
    const auto index = read_fixed('h');
    if (!index)
        return std::unexpected(index.error());
    if (fds_.take == nullptr)
        return fail(Errc::no_fds);
    return fds_.take(fds_.object, static_cast<std::uint32_t>(*index));
}

Result<std::string_view> Reader::check_text(char type, std::string_view text) noexcept {
    if (type == 's' && !is_text(text))
        return stick(Errc::bad_string);
    if (type == 'o' && !is_object_path(text))
        return stick(Errc::bad_object_path);
    if (type == 'g' && !is_signature(text))
        return stick(Errc::bad_signature);
    return text;
}

Result<std::string_view> Reader::read_text(char type) noexcept {
    if (auto checked = check_type(type); !checked)
        return std::unexpected(checked.error());
    if (type != 's' && type != 'o' && type != 'g')
        return fail(Errc::type_mismatch);
    std::size_t start, length;
    if (format_ == Format::gvariant) {
        const auto extent = locate(next_info());
        if (!extent)
            return std::unexpected(extent.error());
        if (extent->start == extent->end)
            return stick(Errc::bad_string);
        start = extent->start;
        length = extent->end - start - 1;
    } else {
        const std::size_t size = type == 'g' ? 1 : 4;
        if (!align(size))
            return std::unexpected(error_);
        const std::size_t end = frames_[depth_].end;
        if (end - position_ < size)
            return stick(Errc::truncated);
        length = load_uint(body_.data() + position_, size, swap_);
        start = position_ + size;
        if (length >= end - start)
            return stick(Errc::truncated);
        consumed(1);
    }
    if (body_[start + length] != std::byte{0})
        return stick(Errc::bad_string);
    position_ = start + length + 1;
    return check_text(type, as_text(body_.data() + start, length));
}

Result<std::span<const std::byte>> Reader::read_fixed_array(char type,
                                                            std::size_t alignment) noexcept {
    if (auto checked = check_type('a'); !checked)
        return std::unexpected(checked.error());
    const std::size_t size = type == 'b' ? 0 : dbus1_fixed_size(type);
    const std::string_view array = peek_signature();
    if (size == 0 || array.size() != 2 || array[1] != type)
        return fail(Errc::type_mismatch);
    // Entering moves the position and one or two counters of this frame: enough to undo.
    const Frame before = frames_[depth_];
    const std::size_t position = position_;
    if (auto entered = enter('a'); !entered)
        return std::unexpected(entered.error());
    const Frame& frame = frames_[depth_];
    const auto bytes = body_.subspan(frame.start, frame.end - frame.start);
    const auto in_place = [&] {
        return bytes.empty() || ((!swap_ || size == 1) &&
                                 reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment == 0);
    };
    if (alignment != 0 && !in_place()) {
        depth_--;
        frames_[depth_] = before;
        position_ = position;
        return fail(Errc::misaligned);
    }
    if (type == 'h')
        for (std::size_t at = 0; at < bytes.size(); at += size)
            fds_needed_ =
                std::max(fds_needed_, one_more(load_uint(bytes.data() + at, size, swap_)));
    position_ = frame.end;
    if (auto left = leave(); !left)
        return std::unexpected(left.error());
    return bytes;
}

/// Describes the type of an entered variant for those who read its value. False if it is not valid.
bool Reader::describe(Frame& variant) noexcept {
    TypeInfo* infos = tables_[variant.table].data();
    return !variant.types.empty() && describe_signature(variant.types, infos) &&
           infos[0].length == variant.types.size();
}

/// Enters the next value, known to be such a container.
Result<void> Reader::enter(char kind) noexcept {
    if (depth_ == max_depth)
        return stick(Errc::too_deep);
    const Frame& parent = frames_[depth_];
    const TypeInfo info = next_info();
    Frame child{};
    child.kind = kind;
    if (kind == 'v') {
        child.table =
            static_cast<std::uint8_t>(std::min<std::size_t>(parent.table + 1U, tables_.size() - 1));
    } else {
        const std::size_t brackets = kind == 'a' ? 1 : 2;
        child.types = parent.types.substr(parent.consumed + std::size_t{1}, info.length - brackets);
        child.table = parent.table;
        child.types_at = static_cast<std::uint8_t>(parent.types_at + parent.consumed + 1);
    }
    if (auto entered =
            format_ == Format::gvariant ? enter_gvariant(child, info) : enter_dbus1(child, info);
        !entered)
        return entered;
    position_ = child.start;
    frames_[++depth_] = child;
    return {};
}

Result<void> Reader::enter_gvariant(Frame& child, TypeInfo info) noexcept {
    const auto extent = locate(info);
    if (!extent)
        return std::unexpected(extent.error());
    const std::size_t size = extent->end - extent->start;
    child.start = extent->start;
    child.end = child.limit = child.resume = extent->end;
    if (child.kind == '(' || child.kind == '{')
        return open_tuple(child, info.size);
    if (child.kind == 'a') {
        if (const auto element = tables_[child.table][child.types_at]; element.size != 0) {
            if (size % element.size != 0)
                return stick(Errc::array_too_long);
        } else if (size != 0) {
            child.width = static_cast<std::uint8_t>(offset_width(size));
            if (child.width > size)
                return stick(Errc::bad_offset);
            const auto values = load_offset(child.limit - child.width, child.width);
            if (values > size - child.width || (size - values) % child.width != 0)
                return stick(Errc::bad_offset);
            child.end = child.start + values;
            child.count = (size - values) / child.width;
            if (offset_width(values, child.count) != child.width)
                return stick(Errc::bad_offset);
        }
        return {};
    }
    // A variant: its type string stands behind the last zero byte.
    const std::size_t window = std::min(size, max_signature_length + 1);
    const std::string_view tail = as_text(body_.data() + extent->end - window, window);
    const std::size_t separator = tail.rfind('\0');
    if (separator == std::string_view::npos)
        return stick(Errc::bad_signature);
    child.types = tail.substr(separator + 1);
    if (!describe(child))
        return stick(Errc::bad_signature);
    child.end = child.limit = extent->end - child.types.size() - 1;
    return {};
}

Result<void> Reader::enter_dbus1(Frame& child, TypeInfo info) noexcept {
    const std::size_t end = frames_[depth_].end;
    child.end = end;
    if (child.kind == 'a') {
        if (!align(4))
            return std::unexpected(error_);
        if (end - position_ < 4)
            return stick(Errc::truncated);
        const std::size_t length = load_uint(body_.data() + position_, 4, swap_);
        if (length > max_array_size)
            return stick(Errc::array_too_long);
        position_ += 4;
        if (!align(dbus1_alignment(child.types[0])))
            return std::unexpected(error_);
        if (length > end - position_)
            return stick(Errc::truncated);
        const std::size_t element = dbus1_fixed_size(child.types[0]);
        if (element != 0 && length % element != 0)
            return stick(Errc::array_too_long);
        child.end = position_ + length;
    } else if (child.kind == 'v') {
        if (position_ == end)
            return stick(Errc::truncated);
        const auto length = static_cast<std::size_t>(body_[position_]);
        if (length + 2 > end - position_)
            return stick(Errc::truncated);
        child.types = as_text(body_.data() + position_ + 1, length);
        if (body_[position_ + 1 + length] != std::byte{0} || !describe(child))
            return stick(Errc::bad_signature);
        position_ += length + 2;
    } else if (!align(8)) {
        return std::unexpected(error_);
    }
    child.start = position_;
    child.limit = child.end;
    consumed(info.length);
    return {};
}

Result<void> Reader::enter_array() noexcept {
    if (auto checked = check_type('a'); !checked)
        return checked;
    return enter('a');
}

Result<void> Reader::enter_struct() noexcept {
    if (auto checked = check_type('('); !checked)
        return checked;
    return enter('(');
}

Result<void> Reader::enter_dict_entry() noexcept {
    if (auto checked = check_type('{'); !checked)
        return checked;
    return enter('{');
}

Result<std::string_view> Reader::enter_variant() noexcept {
    if (auto checked = check_type('v'); !checked)
        return std::unexpected(checked.error());
    if (auto entered = enter('v'); !entered)
        return std::unexpected(entered.error());
    return frames_[depth_].types;
}

/// Checks the end of the innermost container, whose values are all read, and returns to its parent.
Result<void> Reader::leave() noexcept {
    const Frame& frame = frames_[depth_];
    if (format_ == Format::gvariant) {
        // Tuples of fixed size end in padding; every other container ends with its last value.
        if (frame.padded && !zeros(position_, frame.end))
            return stick(Errc::bad_padding);
        if (!frame.padded && position_ != frame.end)
            return stick(Errc::bad_offset);
        position_ = depth_ == 0 ? frame.limit : frame.resume;
    } else if (depth_ == 0 && position_ != frame.end) {
        return stick(Errc::trailing_bytes);
    }
    if (depth_ == 0)
        return {};
    depth_--;
    // Where variants share a table, the outer one's was lost to the inner one.
    if (frame.kind == 'v' && frames_[depth_].table == frame.table) {
        unsigned outer = depth_;
        while (frames_[outer].kind != 'v')
            outer--;
        (void)describe(frames_[outer]);
    }
    return {};
}

/// GVariant: goes to the end of the entered array of structs of fixed size, which need no walk: in
/// all of them the same bytes are padding, and the same are values of type h.
Result<void> Reader::skip_fixed_elements() noexcept {
    enum Use : std::uint8_t { padding, value, fd };
    constexpr std::size_t largest = max_signature_length * 8; // no letter adds more than 8 bytes
    const Frame& array = frames_[depth_];
    const TypeInfo* infos = tables_[array.table].data() + array.types_at;
    const std::size_t size = infos[0].size;
    std::array<Use, largest> uses;
    std::fill_n(uses.begin(), size, padding);
    bool all_values = true;
    std::array<std::uint8_t, max_signature_depth> alignments; // of the open structs
    std::size_t open = 0, deepest = 0, at = 0;
    for (std::size_t i = 0; i < array.types.size(); i++) {
        const char type = array.types[i];
        if (type == ')' || type == '}') {
            at = align_up(at, alignments[--open]);
            continue;
        }
        at = align_up(at, infos[i].alignment);
        if (type == '(' || type == '{') {
            alignments[open++] = infos[i].alignment;
            deepest = std::max(deepest, open);
            continue;
        }
        std::fill_n(uses.begin() + static_cast<std::ptrdiff_t>(at), infos[i].size,
                    type == 'h' ? fd : value);
        all_values = all_values && type != 'h';
        at += infos[i].size;
    }
    all_values =
        all_values &&
        std::count(uses.begin(), uses.begin() + static_cast<std::ptrdiff_t>(size), padding) == 0;
    if (position_ < array.end && depth_ + deepest > max_depth)
        return stick(Errc::too_deep);
    for (; !all_values && position_ < array.end; position_ += size) {
        const std::byte* element = body_.data() + position_;
        for (std::size_t i = 0; i < size; i++) {
            if (uses[i] == padding && element[i] != std::byte{0})
                return stick(Errc::bad_padding);
            if (uses[i] == fd) {
                fds_needed_ = std::max(fds_needed_, one_more(load_uint(element + i, 4, false)));
                i += 3;
            }
        }
    }
    position_ = array.end;
    return {};
}

Result<void> Reader::exit() noexcept {
    if (error_)
        return std::unexpected(error_);
    if (depth_ == 0)
        return fail(Errc::container_state);
    while (!at_end())
        if (auto skipped = skip(); !skipped)
            return skipped;
    if (error_)
        return std::unexpected(error_);
    return leave();
}

Result<void> Reader::skip() noexcept {
    if (error_)
        return std::unexpected(error_);
    if (at_end())
        return fail(Errc::type_mismatch);
    const unsigned outer = depth_;
    do {
        switch (const char type = peek_type()) {
        case '\0':
            if (!error_)
                (void)leave();
            break;
        case 's':
        case 'o':
        case 'g':
            (void)read_text(type);
            break;
        case 'v':
            (void)enter_variant();
            break;
        case '(':
        case '{':
            (void)enter(type);
            break;
        case 'a':
            if (const auto array = peek_signature();
                array[1] != 'b' && dbus1_fixed_size(array[1]) != 0)
                (void)read_fixed_array(array[1]);
            else if (enter('a') && format_ == Format::gvariant &&
                     (array[1] == '(' || array[1] == '{') && next_info().size != 0)
                (void)skip_fixed_elements();
            break;
        default:
            (void)read_fixed(type);
            break;
        }
        if (error_)
            return std::unexpected(error_);
    } while (depth_ > outer);
    return {};
}

Result<void> Reader::finish() noexcept {
    while (!error_ && depth_ > 0)
        (void)exit();
    while (!at_end())
        (void)skip();
    if (error_)
        return std::unexpected(error_);
    return leave();
}

Result<std::uint32_t> validate_body(Format format, std::string_view signature,
                                    std::span<const std::byte> body) noexcept {
    Reader reader(format, signature, body);
    if (auto done = reader.finish(); !done)
        return std::unexpected(done.error());
    return reader.unix_fds_needed();
}

} // namespace kdbus::wire
