// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_NAMES_HPP
#define KDBUS_WIRE_NAMES_HPP

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include <kdbus/export.hpp>

/// Syntax of names, paths and text (D-Bus specification, "Valid Names" and "Marshaling";
/// dbus-on-kdbus.md 7.3). All functions are pure and thread-safe.
namespace kdbus::wire {

/// Longest bus, interface, member or error name in bytes.
inline constexpr std::size_t max_name_length = 255;

inline constexpr std::string_view driver_name = "org.freedesktop.DBus";  ///< the bus itself
inline constexpr std::string_view driver_path = "/org/freedesktop/DBus"; ///< its object
/// Reserved: never on a bus.
inline constexpr std::string_view local_name = "org.freedesktop.DBus.Local";
inline constexpr std::string_view local_path = "/org/freedesktop/DBus/Local"; ///< reserved

/// Begins with ":" and is a valid unique name of any bus (not only of the form ":1.N"). As in the
/// reference daemon one element suffices.
[[nodiscard]] KDBUS_EXPORT bool is_unique_name(std::string_view name) noexcept;
/// A name such as "org.example.Hello".
[[nodiscard]] KDBUS_EXPORT bool is_well_known_name(std::string_view name) noexcept;
/// Unique or well-known.
[[nodiscard]] KDBUS_EXPORT bool is_bus_name(std::string_view name) noexcept;
/// A prefix for arg0namespace: like a bus name, but one element suffices.
[[nodiscard]] KDBUS_EXPORT bool is_name_namespace(std::string_view name) noexcept;
/// A name of an interface.
[[nodiscard]] KDBUS_EXPORT bool is_interface(std::string_view name) noexcept;
/// A name of a method, signal or property.
[[nodiscard]] KDBUS_EXPORT bool is_member(std::string_view name) noexcept;
/// A name of an error.
[[nodiscard]] KDBUS_EXPORT bool is_error_name(std::string_view name) noexcept;
/// A path of an object.
[[nodiscard]] KDBUS_EXPORT bool is_object_path(std::string_view path) noexcept;

/// Valid UTF-8 (no surrogates, nothing above U+10FFFF, no overlong forms) without a NUL.
[[nodiscard]] KDBUS_EXPORT bool is_text(std::string_view text) noexcept;

/// The unique name of a kernel connection, ":1.<id>", held inside the object.
class KDBUS_EXPORT UniqueName {
public:
    /// The name of connection @p id.
    explicit UniqueName(std::uint64_t id) noexcept;
    /// Valid as long as the object lives and stays where it is.
    [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), length_}; }

private:
    std::array<char, 24> text_; // ":1." and up to 20 digits
    std::uint8_t length_;
};

/// The id in ":1.<decimal id>"; nothing for any other name, for leading zeros or signs, and for
/// numbers beyond 64 bits.
[[nodiscard]] KDBUS_EXPORT std::optional<std::uint64_t>
unique_name_id(std::string_view name) noexcept;

} // namespace kdbus::wire

#endif
