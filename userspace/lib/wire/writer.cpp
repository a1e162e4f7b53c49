// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/writer.hpp>

#include <algorithm>

#include <kdbus/wire/message.hpp>
#include <kdbus/wire/names.hpp>
#include <kdbus/wire/reader.hpp>

#include "bytes.hpp"

namespace kdbus::wire {

Writer::Writer(Buffer& buffer, Format format) noexcept
    : types_(std::span(&types_storage_[0], sizeof types_storage_)),
      infos_(std::span(&infos_storage_[0], sizeof infos_storage_)),
      offsets_(std::span(&offsets_storage_[0], sizeof offsets_storage_)) {
    reset(buffer, format);
}

Writer::~Writer() = default;

void Writer::reset(Buffer& buffer, Format format) noexcept {
    buffer_ = &buffer;
    base_ = buffer.size();
    error_.clear();
    format_ = format;
    finished_ = false;
    depth_ = 0;
    fds_needed_ = 0;
    fds_ = nullptr;
    root_signature_ = 0;
    types_.clear();
    infos_.clear();
    offsets_.clear();
    frames_[0] = Frame{};
    frames_[0].fixed = true;
    frames_[0].alignment = 1;
    if (format != Format::gvariant && format != dbus1_native)
        fail_with(Errc::wrong_format);
}

bool Writer::fail_with(Errc error) noexcept {
    if (!error_)
        error_ = error;
    return false;
}

std::string_view Writer::signature() const noexcept {
    return as_text(types_.data(), root_signature_);
}

std::span<const std::byte> Writer::body() const noexcept {
    return buffer_->bytes().subspan(std::min(base_, buffer_->size()));
}

std::string_view Writer::contents_of(const Frame& frame) const noexcept {
    return as_text(types_.data() + frame.signature, frame.signature_len);
}

char Writer::expected_type() const noexcept {
    const Frame& frame = frames_[depth_];
    if (depth_ == 0 || error_ || frame.signature_pos == frame.signature_len)
        return '\0';
    return contents_of(frame)[frame.signature_pos];
}

/// Describes what was added to types_ from `at` on, which must be one complete type.
bool Writer::describe(std::size_t at) noexcept {
    const std::string_view type = as_text(types_.data() + at, types_.size() - at);
    std::array<TypeInfo, max_signature_length> infos;
    if (type.empty() || !describe_signature(type, infos.data()) || infos[0].length != type.size()) {
        types_.truncate(at);
        return fail_with(Errc::bad_signature);
    }
    if (!infos_.append(infos.data(), type.size() * sizeof(TypeInfo)))
        return fail_with(Errc::no_memory);
    return true;
}

/// About the type that begins at this place of types_.
TypeInfo Writer::info(std::size_t at) const noexcept {
    TypeInfo result;
    std::memcpy(&result, infos_.data() + at * sizeof(TypeInfo), sizeof result);
    return result;
}

/// Checks that a value of type `open` + `contents` + `close` may come next and takes note of it.
/// Returns where that type's text stands in types_, or npos.
std::size_t Writer::expect(std::string_view open, std::string_view contents,
                           std::string_view close) noexcept {
    constexpr std::size_t none = std::string_view::npos;
    if (error_)
        return none;
    if (finished_)
        return fail_with(Errc::container_state), none;
    const std::size_t length = open.size() + contents.size() + close.size();
    Frame& frame = frames_[depth_];
    if (depth_ > 0) {
        const auto rest = contents_of(frame).substr(frame.signature_pos);
        if (rest.size() < length || !rest.starts_with(open) ||
            rest.substr(open.size(), contents.size()) != contents ||
            info(frame.signature + std::size_t{frame.signature_pos}).length != length)
            return fail_with(Errc::type_mismatch), none;
        const std::size_t at = frame.signature + frame.signature_pos;
        if (frame.kind != 'a')
            frame.signature_pos = static_cast<std::uint16_t>(frame.signature_pos + length);
        return at;
    }
    if (root_signature_ + length > max_signature_length)
        return fail_with(Errc::bad_signature), none;
    const std::size_t at = types_.size();
    if (!types_.append(open.data(), open.size()) ||
        !types_.append(contents.data(), contents.size()) ||
        !types_.append(close.data(), close.size()))
        return fail_with(Errc::no_memory), none;
    if (!describe(at))
        return none;
    root_signature_ += static_cast<std::uint32_t>(length);
    return at;
}

bool Writer::align(std::size_t alignment) noexcept {
    const std::size_t at = position();
    const std::size_t padding = align_up(at, alignment) - at;
    if (padding > max_message_size - at)
        return fail_with(Errc::message_too_long);
    return buffer_->append_zeros(padding) || fail_with(Errc::no_memory);
}

/// Room for `size` bytes at the next multiple of `alignment`; nullptr on failure.
std::byte* Writer::place(std::size_t alignment, std::size_t size) noexcept {
    if (!align(alignment))
        return nullptr;
    if (size > max_message_size - position())
        return fail_with(Errc::message_too_long), nullptr;
    std::byte* at = buffer_->extend(size);
    if (at == nullptr)
        fail_with(Errc::no_memory);
    return at;
}

/// GVariant: a value has been written; notes its framing offset if it needs one.
void Writer::value_ended(GvariantLayout layout) noexcept {
    Frame& frame = frames_[depth_];
    if (depth_ == 0) {
        frame.fixed = frame.fixed && layout.size != 0;
        frame.alignment =
            std::max<std::uint8_t>(frame.alignment, static_cast<std::uint8_t>(layout.alignment));
    }
    frame.last_variable = layout.size == 0;
    if (layout.size != 0 || frame.kind == 'v')
        return;
    const std::size_t end = position() - frame.start;
    if (!offsets_.append(&end, sizeof end))
        fail_with(Errc::no_memory);
}

Writer& Writer::append_fixed(char type, std::uint64_t bits) noexcept {
    std::size_t size = dbus1_fixed_size(type);
    if (size == 0) {
        fail_with(Errc::type_mismatch);
        return *this;
    }
    if (type == 'b') {
        bits = bits != 0;
        if (format_ == Format::gvariant)
            size = 1;
    }
    if (expect(std::string_view(&type, 1)) == std::string_view::npos)
        return *this;
    std::byte* at = place(size, size);
    if (at == nullptr)
        return *this;
    store_uint(at, size, bits, false);
    if (type == 'h')
        note_fd(static_cast<std::uint32_t>(bits));
    if (format_ == Format::gvariant)
        value_ended({static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(size)});
    return *this;
}

void Writer::note_fd(std::uint32_t index) noexcept {
    fds_needed_ = std::max(fds_needed_, index == UINT32_MAX ? index : index + 1);
}

Writer& Writer::append_fd(int fd) noexcept {
    if (error_)
        return *this;
    if (fds_ == nullptr || fd < 0)
        return fail(fds_ == nullptr ? Errc::no_fds : Errc::bad_fd);
    const auto index = fds_->add(fd);
    return index ? append_fixed('h', *index) : fail(Errc::too_many_fds);
}

Writer& Writer::append_text(char type, std::string_view text) noexcept {
    if (error_)
        return *this;
    switch (type) {
    case 's':
        if (!is_text(text))
            fail_with(Errc::bad_string);
        break;
    case 'o':
        if (!is_object_path(text))
            fail_with(Errc::bad_object_path);
        break;
    case 'g':
        if (!is_signature(text))
            fail_with(Errc::bad_signature);
        break;
    default:
        fail_with(Errc::type_mismatch);
        break;
    }
    if (text.size() >= max_message_size)
        fail_with(Errc::message_too_long);
    if (expect(std::string_view(&type, 1)) == std::string_view::npos)
        return *this;
    std::size_t prefix = 0;
    if (format_ != Format::gvariant)
        prefix = type == 'g' ? 1 : 4;
    std::byte* at = place(std::max<std::size_t>(prefix, 1), prefix + text.size() + 1);
    if (at == nullptr)
        return *this;
    if (prefix != 0)
        store_uint(at, prefix, text.size(), false);
    if (!text.empty())
        std::memcpy(at + prefix, text.data(), text.size());
    at[prefix + text.size()] = std::byte{0};
    if (format_ == Format::gvariant)
        value_ended({1, 0});
    return *this;
}

Writer& Writer::append_fixed_array(char type, const void* elements, std::size_t count) noexcept {
    const std::size_t size = dbus1_fixed_size(type);
    if (size == 0 || type == 'b') {
        fail_with(Errc::type_mismatch);
        return *this;
    }
    open_array(std::string_view(&type, 1));
    if (error_)
        return *this;
    if (count > max_message_size / size) {
        fail_with(Errc::message_too_long);
        return *this;
    }
    std::byte* at = place(1, count * size); // open_array() aligned; empty arrays add nothing
    if (at == nullptr)
        return *this;
    if (count != 0)
        std::memcpy(at, elements, count * size);
    if (type == 'h')
        for (std::size_t i = 0; i < count; i++)
            note_fd(load_as<std::uint32_t>(at + i * size, false));
    return close();
}

/// Enters a container whose type is accepted: its contents' types stand at `signature` in types_.
void Writer::push(char kind, std::size_t signature, std::size_t length) noexcept {
    if (depth_ == max_depth) {
        fail_with(Errc::too_deep);
        return;
    }
    Frame& frame = frames_[++depth_];
    frame = Frame{};
    frame.kind = kind;
    frame.signature = static_cast<std::uint32_t>(signature);
    frame.signature_len = static_cast<std::uint16_t>(length);
    const std::string_view types = contents_of(frame);
    if (format_ == Format::gvariant) {
        GvariantLayout layout{8, 0};
        if (kind != 'v') { // the container's own type begins one letter before its contents
            const TypeInfo own = info(signature - 1);
            layout = {own.alignment, own.size};
        }
        frame.fixed = layout.size != 0;
        frame.alignment = static_cast<std::uint8_t>(layout.alignment);
        frame.first_offset = offsets_.size();
        align(layout.alignment);
    } else if (kind == 'a') {
        std::byte* at = place(4, 4);
        if (at == nullptr)
            return;
        std::memset(at, 0, 4);
        frame.length_at = position() - 4;
        align(dbus1_alignment(types[0]));
    } else if (kind == 'v') {
        std::byte* at = place(1, length + 2);
        if (at == nullptr)
            return;
        at[0] = static_cast<std::byte>(length);
        std::memcpy(at + 1, types.data(), length);
        at[length + 1] = std::byte{0};
    } else {
        align(8);
    }
    frame.start = position();
}

Writer& Writer::open_array(std::string_view element) noexcept {
    if (const auto at = expect("a", element); at != std::string_view::npos)
        push('a', at + 1, element.size());
    return *this;
}

Writer& Writer::open_struct(std::string_view members) noexcept {
    if (const auto at = expect("(", members, ")"); at != std::string_view::npos)
        push('(', at + 1, members.size());
    return *this;
}

Writer& Writer::open_dict_entry(std::string_view members) noexcept {
    if (const auto at = expect("{", members, "}"); at != std::string_view::npos)
        push('{', at + 1, members.size());
    return *this;
}

Writer& Writer::open_variant(std::string_view type) noexcept {
    if (type.size() > max_signature_length)
        fail_with(Errc::bad_signature);
    if (expect("v") == std::string_view::npos)
        return *this;
    const std::size_t at = types_.size();
    if (!types_.append(type.data(), type.size()))
        fail_with(Errc::no_memory);
    else if (describe(at))
        push('v', at, type.size());
    return *this;
}

/// GVariant: ends a container of variable size with its framing offsets, and forgets them.
bool Writer::write_offsets(const Frame& frame) noexcept {
    std::size_t count = (offsets_.size() - frame.first_offset) / sizeof(std::size_t);
    if (frame.kind != 'a' && frame.last_variable)
        count--; // the last member of a tuple ends where the offsets begin
    const std::size_t content = position() - frame.start;
    const unsigned width = offset_width(content, count);
    std::byte* at = place(1, count * width);
    if (at == nullptr)
        return false;
    for (std::size_t i = 0; i < count; i++) {
        const std::size_t which = frame.kind == 'a' ? i : count - 1 - i;
        const auto end = load_as<std::size_t>(
            offsets_.data() + frame.first_offset + which * sizeof(std::size_t), false);
        store_uint(at + i * width, width, end, native_is_big);
    }
    offsets_.truncate(frame.first_offset);
    return true;
}

Writer& Writer::close() noexcept {
    if (error_)
        return *this;
    Frame& frame = frames_[depth_];
    if (depth_ == 0 || (frame.kind != 'a' && frame.signature_pos != frame.signature_len)) {
        fail_with(Errc::container_state);
        return *this;
    }
    GvariantLayout layout{frame.alignment, 0};
    if (format_ != Format::gvariant) {
        if (frame.kind == 'a') {
            const std::size_t length = position() - frame.start;
            if (length > max_array_size)
                fail_with(Errc::array_too_long);
            else
                store_uint(buffer_->data() + base_ + frame.length_at, 4, length, false);
        }
    } else if (frame.kind == 'v') {
        std::byte* at = place(1, frame.signature_len + std::size_t{1});
        if (at != nullptr) {
            at[0] = std::byte{0};
            std::memcpy(at + 1, contents_of(frame).data(), frame.signature_len);
        }
    } else if (frame.fixed) { // a tuple: its padding counts from its own, aligned, start
        align(frame.alignment);
        layout.size = static_cast<std::uint32_t>(position() - frame.start);
    } else {
        write_offsets(frame);
    }
    if (frame.kind == 'v') {
        types_.truncate(frame.signature);
        infos_.truncate(frame.signature * sizeof(TypeInfo));
    }
    depth_--;
    if (!error_ && format_ == Format::gvariant)
        value_ended(layout);
    return *this;
}

Writer& Writer::append_value(Reader& source) noexcept {
    if (error_)
        return *this;
    if (source.at_end()) {
        error_ = source.error() ? source.error() : make_error_code(Errc::type_mismatch);
        return *this;
    }
    unsigned level = 0;
    do {
        const char type = source.peek_type();
        const std::string_view signature = source.peek_signature();
        switch (type) {
        case '\0':
            if (source.exit())
                close();
            level--;
            break;
        case 's':
        case 'o':
        case 'g':
            if (auto text = source.read_text(type))
                append_text(type, *text);
            break;
        case 'v':
            if (auto inner = source.enter_variant())
                open_variant(*inner);
            level++;
            break;
        case '(':
            if (source.enter_struct())
                open_struct(signature.substr(1, signature.size() - 2));
            level++;
            break;
        case '{':
            if (source.enter_dict_entry())
                open_dict_entry(signature.substr(1, signature.size() - 2));
            level++;
            break;
        case 'a':
            // Numbers in this machine's byte order go in one piece, everything else one by one.
            if (auto numbers = source.read_fixed_array(signature[1], 1)) {
                append_fixed_array(signature[1], numbers->data(),
                                   numbers->size() / dbus1_fixed_size(signature[1]));
                break;
            }
            if (source.enter_array())
                open_array(signature.substr(1));
            level++;
            break;
        default:
            if (auto bits = source.read_fixed(type))
                append_fixed(type, *bits);
            break;
        }
        if (source.error() && !error_)
            error_ = source.error();
    } while (level > 0 && !error_);
    return *this;
}

Result<void> Writer::finish() noexcept {
    if (!error_ && (depth_ > 0 || finished_))
        fail_with(Errc::container_state);
    if (!error_ && format_ == Format::gvariant) {
        const Frame& root = frames_[0];
        if (root_signature_ == 0) {
            std::byte* at = place(1, 1); // the unit value
            if (at != nullptr)
                *at = std::byte{0};
        } else if (root.fixed) {
            align(root.alignment);
        } else {
            write_offsets(root);
        }
    }
    finished_ = true;
    if (!error_)
        return {};
    buffer_->truncate(base_);
    return std::unexpected(error_);
}

} // namespace kdbus::wire
