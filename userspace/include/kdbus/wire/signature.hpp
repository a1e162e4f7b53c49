// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_SIGNATURE_HPP
#define KDBUS_WIRE_SIGNATURE_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <kdbus/export.hpp>

/// Type signatures and what they say about layout (D-Bus specification, "Type System";
/// dbus-on-kdbus.md 1.4, 7.3). All functions are pure and thread-safe.
namespace kdbus::wire {

inline constexpr std::size_t max_signature_length = 255; ///< in bytes
/// Deepest nesting of arrays, and of structs and dict entries together, within one signature.
inline constexpr unsigned max_signature_depth = 32;
/// Deepest nesting of containers in a message, variants included.
inline constexpr unsigned max_depth = 64;

/// How a body is laid out.
enum class Format : std::uint8_t {
    dbus1_le, ///< D-Bus 1 marshalling, little-endian
    dbus1_be, ///< D-Bus 1 marshalling, big-endian
    gvariant, ///< GVariant, this machine's byte order (the kernel bus)
};

/// D-Bus 1 marshalling in this machine's byte order: what writers emit.
inline constexpr Format dbus1_native =
    std::endian::native == std::endian::little ? Format::dbus1_le : Format::dbus1_be;

/// Zero or more complete types, within all limits (the empty signature is valid, "()" is not).
[[nodiscard]] KDBUS_EXPORT bool is_signature(std::string_view signature) noexcept;

/// Exactly one complete type, within all limits. A lone dict entry is not one.
[[nodiscard]] KDBUS_EXPORT bool is_single_type(std::string_view signature) noexcept;

/// One of y b n q i u x t d s o g h: may be a dict key.
[[nodiscard]] constexpr bool is_basic_type(char type) noexcept {
    return std::string_view("ybnqiuxtdsogh").find(type) != std::string_view::npos;
}

/// Length of the first complete type in a *valid* signature (a dict entry counts as one type);
/// 0 if it is empty.
[[nodiscard]] KDBUS_EXPORT std::size_t first_type_length(std::string_view signature) noexcept;

/// Iterates over the complete types of a *valid* signature:
/// `for (std::string_view type : SignatureTypes("sa{sv}u"))` gives "s", "a{sv}", "u".
class SignatureTypes {
public:
    /// Stands at one type.
    class Iterator {
    public:
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;
        Iterator() noexcept = default;
        /// At the first type of @p rest, a valid signature.
        explicit Iterator(std::string_view rest) noexcept
            : rest_(rest), length_(first_type_length(rest)) {}
        std::string_view operator*() const noexcept { return rest_.substr(0, length_); }
        Iterator& operator++() noexcept { return *this = Iterator(rest_.substr(length_)); }
        Iterator operator++(int) noexcept {
            Iterator old = *this;
            ++*this;
            return old;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.rest_.size() == b.rest_.size();
        }

    private:
        std::string_view rest_;
        std::size_t length_ = 0;
    };
    /// @p signature must outlive the iterators.
    explicit SignatureTypes(std::string_view signature) noexcept : signature_(signature) {}
    [[nodiscard]] Iterator begin() const noexcept { return Iterator(signature_); }
    [[nodiscard]] Iterator end() const noexcept {
        return Iterator(signature_.substr(signature_.size()));
    }

private:
    std::string_view signature_;
};

/// Alignment, 1 to 8, of a value whose *valid* type begins with `type[0]`, in D-Bus 1 form.
[[nodiscard]] KDBUS_EXPORT std::size_t dbus1_alignment(char type) noexcept;
/// Size of a basic type of fixed size in D-Bus 1 form; 0 for every other type.
[[nodiscard]] KDBUS_EXPORT std::size_t dbus1_fixed_size(char type) noexcept;

/// What reader and writer note about each place in a signature where a type begins.
struct TypeInfo {
    std::uint8_t length;    ///< of the type's text
    std::uint8_t alignment; ///< as GVariant
    std::uint16_t size;     ///< as GVariant, 0 if not fixed
};

/// Fills `infos` (as many as `signature` has letters, at most 255) at every place where a type
/// begins. False, with `infos` undefined, if the signature is not valid; then as is_signature().
/// Takes one pass.
[[nodiscard]] KDBUS_EXPORT bool describe_signature(std::string_view signature,
                                                   TypeInfo* infos) noexcept;

/// Layout of a type as GVariant.
struct GvariantLayout {
    std::uint32_t alignment; ///< 1, 2, 4 or 8
    std::uint32_t size;      ///< size in bytes if every value has the same, else 0
};

/// Layout of one complete *valid* type.
[[nodiscard]] KDBUS_EXPORT GvariantLayout gvariant_layout(std::string_view type) noexcept;
/// Layout of a tuple with these *valid* members; no members give size 1, alignment 1.
[[nodiscard]] KDBUS_EXPORT GvariantLayout gvariant_tuple_layout(std::string_view members) noexcept;

} // namespace kdbus::wire

#endif
