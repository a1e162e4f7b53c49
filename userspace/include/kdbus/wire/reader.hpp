// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_READER_HPP
#define KDBUS_WIRE_READER_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include <kdbus/wire/error.hpp>
#include <kdbus/wire/fds.hpp>
#include <kdbus/wire/signature.hpp>
#include <kdbus/wire/types.hpp>

namespace kdbus::wire {

/// Reads the arguments of one message body, in either format and, for D-Bus 1, either byte order
/// (D-Bus specification, "Marshaling"; dbus-on-kdbus.md 1.4, 1.5, 8).
///
/// Safe on hostile bytes: every length, offset, padding byte and text is checked when it is met;
/// nothing outside the body is read; nothing is allocated; work is linear in the body's size.
/// GVariant is accepted in normal form only, except that any non-zero byte is a true boolean. The
/// first error sticks: every later call returns it.
///
/// Text and spans that are returned point into the body and live as long as its bytes. The reader
/// refers to `signature` and `body`, which must outlive it. Not thread-safe; copying is allowed and
/// gives an independent position.
class KDBUS_EXPORT Reader {
public:
    /// `signature` holds the types of all arguments, without outer parentheses; if it is not valid
    /// the first call fails with bad_signature. `body` is what follows the message header; its
    /// first byte counts as aligned to 8 whatever its address.
    Reader(Format format, std::string_view signature, std::span<const std::byte> body) noexcept;

    /// Reads one value as a C++ type (include <kdbus/wire/mapping.hpp> to use it). Fails with
    /// type_mismatch, without moving on and without sticking, if another type stands here.
    template <class T>
    [[nodiscard]] Result<T> read();

    /// First letter of the next value's type ('{' for a dict entry); '\0' at the end of the
    /// container (or body), and after an error.
    [[nodiscard]] char peek_type() const noexcept;
    /// The next value's complete type; empty at the end of the container and after an error.
    [[nodiscard]] std::string_view peek_signature() const noexcept;
    /// Nothing is left in the innermost container (or the body). True after an error.
    [[nodiscard]] bool at_end() const noexcept { return peek_type() == '\0'; }

    /// Reads a basic value of fixed size, `type` one of y b n q i u x t d h, as
    /// Writer::append_fixed takes it (signed numbers are sign-extended; booleans are 0 or 1). Wrong
    /// type: type_mismatch, nothing moves, nothing sticks.
    [[nodiscard]] Result<std::uint64_t> read_fixed(char type) noexcept;

    /// Reads text, `type` one of s o g; checked. Wrong type as in read_fixed().
    [[nodiscard]] Result<std::string_view> read_text(char type) noexcept;

    /// From now on take_fd() gets descriptors from there. What is read keeps pointing there: the
    /// source's object must outlive the reader.
    void set_fd_source(const FdSource& source) noexcept { fds_ = source; }
    /// Reads a value of type h as the descriptor that it stands for, which is the caller's then.
    /// Wrong type as in read_fixed(). Without a source no_fds, else the errors of the source.
    [[nodiscard]] Result<int> take_fd() noexcept;

    /// Reads an array of numbers, `type` one of y n q i u x t d h, as bytes in the body's byte
    /// order, whole elements only. Wrong type as in read_fixed(). With `alignment` other than 0
    /// fails with misaligned, moving nothing and not sticking, if the address is not a multiple of
    /// it or the byte order is foreign (an empty array always succeeds).
    [[nodiscard]] Result<std::span<const std::byte>>
    read_fixed_array(char type, std::size_t alignment = 0) noexcept;

    /// Reads an array of numbers in place. Besides the errors of read_fixed_array(): misaligned, if
    /// the byte order is foreign or the address does not suit T; then nothing moves or sticks, and
    /// the array can still be read element by element.
    template <class T>
    [[nodiscard]] Result<std::span<const T>> read_span();

    /// Enters the next value, which must be such a container. Wrong type as in read_fixed().
    [[nodiscard]] Result<void> enter_array() noexcept;
    /// As above.
    [[nodiscard]] Result<void> enter_struct() noexcept;
    /// As above.
    [[nodiscard]] Result<void> enter_dict_entry() noexcept;
    /// As above; returns the type of the variant's value.
    [[nodiscard]] Result<std::string_view> enter_variant() noexcept;
    /// Leaves the innermost container; what was not read of it is checked and skipped.
    [[nodiscard]] Result<void> exit() noexcept;

    /// Checks and skips one complete value.
    [[nodiscard]] Result<void> skip() noexcept;

    /// Checks and skips everything left, including open containers, and that nothing trails the
    /// last value. After it the whole body is known to be valid.
    [[nodiscard]] Result<void> finish() noexcept;

    /// The first error so far, or a code that is false.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }
    /// The format given.
    [[nodiscard]] Format format() const noexcept { return format_; }
    /// One more than the highest index read or skipped as type h.
    [[nodiscard]] std::uint32_t unix_fds_needed() const noexcept { return fds_needed_; }

private:
    /// A std::string_view that nobody has to initialise: there are many frames, and few are used.
    struct Types {
        const char* text;
        std::size_t length;

        Types() noexcept = default;
        Types(std::string_view types) noexcept : text(types.data()), length(types.size()) {}
        operator std::string_view() const noexcept { return {text, length}; }
        [[nodiscard]] std::size_t size() const noexcept { return length; }
        [[nodiscard]] bool empty() const noexcept { return length == 0; }
        char operator[](std::size_t at) const noexcept { return text[at]; }
        [[nodiscard]] std::string_view substr(std::size_t at, std::size_t count) const noexcept {
            return {text + at, count};
        }
    };
    struct Frame {
        char kind;              // '\0' (body), 'a', '(', '{', 'v'
        std::uint8_t width;     // GVariant: bytes per framing offset
        bool padded;            // GVariant: a tuple of fixed size, which padding may end
        std::uint8_t table;     // which of tables_ describes the types
        std::uint8_t types_at;  // where they stand in the signature which that table is of
        std::uint16_t consumed; // how much of the signature is consumed ('a': always 0)
        Types types;            // contents: member types, element type, or variant's type
        std::size_t start;      // first byte, from the body's start
        std::size_t end;        // end of the contents; GVariant: end of values, offsets follow
        std::size_t limit;      // GVariant: end of the container including its offsets
        std::size_t next;       // GVariant: how many framing offsets are used
        std::size_t count;      // GVariant: how many framing offsets there are
        std::size_t resume;     // where the parent goes on after the container
    };
    struct Extent {
        std::size_t start;
        std::size_t end;
    };

    std::unexpected<std::error_code> stick(Errc error) noexcept;
    Result<void> check_type(char type) const noexcept;
    const TypeInfo& next_info() const noexcept;
    bool align(std::size_t alignment) noexcept;
    bool zeros(std::size_t from, std::size_t to) const noexcept;
    std::uint64_t load_offset(std::size_t at, unsigned width) const noexcept;
    Result<Extent> locate(TypeInfo info) noexcept;
    Result<void> enter(char kind) noexcept;
    Result<void> enter_gvariant(Frame& child, TypeInfo info) noexcept;
    Result<void> enter_dbus1(Frame& child, TypeInfo info) noexcept;
    bool describe(Frame& variant) noexcept;
    Result<void> skip_fixed_elements() noexcept;
    void consumed(std::size_t type_length) noexcept;
    Result<void> leave() noexcept;
    Result<std::string_view> check_text(char type, std::string_view text) noexcept;
    Result<void> open_tuple(Frame& frame, std::size_t fixed_size) noexcept;

    std::string_view signature_;
    std::span<const std::byte> body_;
    std::size_t position_ = 0;
    std::error_code error_;
    Format format_;
    bool swap_;
    unsigned depth_ = 0;
    std::uint32_t fds_needed_ = 0;
    FdSource fds_;
    std::array<Frame, max_depth + 1> frames_;
    /// Of the body's signature, and of the types of open variants. Variants nested deeper than
    /// there are tables share the last one.
    std::array<std::array<TypeInfo, max_signature_length>, 4> tables_;
};

/// Checks that `body` is exactly the arguments of `signature` in `format`, as Reader::finish()
/// does. Returns the least number of file descriptors that its values of type h need.
[[nodiscard]] KDBUS_EXPORT Result<std::uint32_t>
validate_body(Format format, std::string_view signature, std::span<const std::byte> body) noexcept;

} // namespace kdbus::wire

#endif
