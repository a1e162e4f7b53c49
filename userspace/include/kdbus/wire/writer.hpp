// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_WRITER_HPP
#define KDBUS_WIRE_WRITER_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/error.hpp>
#include <kdbus/wire/fds.hpp>
#include <kdbus/wire/signature.hpp>
#include <kdbus/wire/types.hpp>

namespace kdbus::wire {

class Reader;

/// Serialises the arguments of one message body, in either format, in this machine's byte order
/// (D-Bus specification, "Marshaling"; dbus-on-kdbus.md 1.4, 1.5, 8).
///
/// Values are appended in order; containers are opened, filled and closed. At the top level the
/// signature grows with what is appended; inside a container everything must agree with the types
/// given when it was opened. Everything is checked: text for UTF-8, paths and signatures for
/// syntax, nesting and sizes against the limits. The first error sticks, later calls do nothing,
/// and finish() returns it: no call in between needs a check.
///
/// The body starts at the end of what the buffer holds at construction, and alignment counts from
/// there. Neither the buffer nor anything below its size at construction may be changed by others
/// until finish(). Small bodies need no memory besides the buffer's. Not thread-safe.
///
///     Writer writer(buffer, Format::gvariant);
///     writer.append("hello").append(std::uint32_t{7});       // typed; <kdbus/wire/mapping.hpp>
///     writer.open_array("{sv}");
///     writer.open_dict_entry("sv").append("key").append(Variant(true)).close();
///     writer.close();
///     if (auto done = writer.finish(); !done) ...
///     writer.signature()                                      // "sua{sv}"
class KDBUS_EXPORT Writer {
public:
    /// `format` is Format::gvariant or dbus1_native; the foreign byte order sticks as wrong_format.
    Writer(Buffer& buffer, Format format) noexcept;
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    /// Starts a new body in the same or another buffer, keeping inner memory, not collecting
    /// descriptors.
    void reset(Buffer& buffer, Format format) noexcept;

    /// Appends values of C++ types as <kdbus/wire/mapping.hpp> maps them (include it to use these).
    template <class T>
    Writer& append(const T& value);
    /// Appends several, in order.
    template <class First, class Second, class... Rest>
    Writer& append(const First& first, const Second& second, const Rest&... rest);

    /// Appends a basic value of fixed size: `type` one of y b n q i u x t d h. `bits` holds the
    /// value in its low bits (negative numbers in two's complement, doubles as their bit pattern;
    /// for b anything but 0 is true).
    Writer& append_fixed(char type, std::uint64_t bits) noexcept;

    /// Appends text: `type` one of s o g. Copied.
    Writer& append_text(char type, std::string_view text) noexcept;

    /// Appends an array of `count` numbers, `type` one of y n q i u x t d h, stored in this
    /// machine's representation at `elements` (any alignment). Copied in one piece.
    Writer& append_fixed_array(char type, const void* elements, std::size_t count) noexcept;

    /// From now on append_fd() adds descriptors to @p fds, which must outlive the body's making and
    /// may have some in it already.
    void collect_fds(FdList& fds) noexcept { fds_ = &fds; }
    /// Appends a descriptor, type h: adds it to the list given to collect_fds(), and its index to
    /// the body. It stays the caller's, who keeps it open until the message is sent. Without such
    /// a list no_fds.
    Writer& append_fd(int fd) noexcept;

    /// Opens an array; `element` is one complete type, or a dict entry as "{kv}".
    Writer& open_array(std::string_view element) noexcept;
    /// Opens a struct; `members` are its one or more member types, without parentheses.
    Writer& open_struct(std::string_view members) noexcept;
    /// Opens a dict entry (in an array of them); `members` are key and value type, without braces.
    Writer& open_dict_entry(std::string_view members) noexcept;
    /// Opens a variant; `type` is the one complete type of its value.
    Writer& open_variant(std::string_view type) noexcept;
    /// Closes the innermost open container, which must be complete.
    Writer& close() noexcept;

    /// Copies the next complete value of `source`, in whatever format it is; both move on. An error
    /// of the source sticks here as well.
    Writer& append_value(Reader& source) noexcept;

    /// Makes the body fail with @p error, for mappings of values that cannot be expressed. Does
    /// nothing after another error.
    Writer& fail(Errc error) noexcept {
        fail_with(error);
        return *this;
    }

    /// Ends the body. Fails with the first error; then the buffer is cut back to where the body
    /// began. Afterwards only reset() and the getters may be called.
    [[nodiscard]] Result<void> finish() noexcept;

    /// The first error so far, or a code that is false.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }
    /// The types appended at the top level; valid until the next call that appends or resets.
    [[nodiscard]] std::string_view signature() const noexcept;
    /// The type expected next in the innermost container, '\0' if it is complete or at the top
    /// level.
    [[nodiscard]] char expected_type() const noexcept;
    /// The body's bytes; meaningful after finish(), valid until the buffer grows.
    [[nodiscard]] std::span<const std::byte> body() const noexcept;
    /// The format given.
    [[nodiscard]] Format format() const noexcept { return format_; }
    /// One more than the highest index written as type h: the least number of descriptors needed.
    [[nodiscard]] std::uint32_t unix_fds_needed() const noexcept { return fds_needed_; }

private:
    struct Frame {
        char kind;                   // '\0' (top level), 'a', '(', '{', 'v'
        bool last_variable;          // GVariant: the latest member has a framing offset noted
        bool fixed;                  // GVariant: the container itself has a fixed size
        std::uint8_t alignment;      // GVariant: the container's
        std::uint32_t signature;     // where the contents' types stand in types_
        std::uint16_t signature_len; // their length
        std::uint16_t signature_pos; // how far they are consumed
        std::size_t start;           // first byte of the contents, from base_
        std::size_t length_at;       // D-Bus 1 array: where its length stands, from base_
        std::size_t first_offset;    // GVariant: first of its framing offsets in offsets_
    };

    bool fail_with(Errc error) noexcept;
    std::size_t expect(std::string_view open, std::string_view contents = {},
                       std::string_view close = {}) noexcept;
    bool align(std::size_t alignment) noexcept;
    std::byte* place(std::size_t alignment, std::size_t size) noexcept;
    void value_ended(GvariantLayout layout) noexcept;
    void note_fd(std::uint32_t index) noexcept;
    void push(char kind, std::size_t signature, std::size_t length) noexcept;
    bool write_offsets(const Frame& frame) noexcept;
    std::size_t position() const noexcept { return buffer_->size() - base_; }
    std::string_view contents_of(const Frame& frame) const noexcept;
    bool describe(std::size_t at) noexcept;
    TypeInfo info(std::size_t at) const noexcept;

    Buffer* buffer_ = nullptr;
    std::size_t base_ = 0;
    std::error_code error_;
    Format format_ = Format::gvariant;
    bool finished_ = false;
    unsigned depth_ = 0; // frames_[0] is the top level, whose Frame::fixed and alignment grow
    std::uint32_t fds_needed_ = 0;
    FdList* fds_ = nullptr;
    std::uint32_t root_signature_ = 0; // its length; it stands at the front of types_
    alignas(8) std::byte types_storage_[512];
    alignas(8) std::byte offsets_storage_[512];
    alignas(8) std::byte infos_storage_[512];
    Buffer types_;   // signature of the top level, then those of open variants
    Buffer infos_;   // a TypeInfo for each letter of types_
    Buffer offsets_; // GVariant framing offsets (std::size_t each) of the open containers
    std::array<Frame, max_depth + 1> frames_;
};

} // namespace kdbus::wire

#endif
