// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_BLOOM_HPP
#define KDBUS_WIRE_BLOOM_HPP

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include <kdbus/wire/error.hpp>
#include <kdbus/wire/message.hpp>

/// Bloom filters of signals and match rules (dbus-on-kdbus.md 3). Pure; thread-safe on distinct
/// objects.
namespace kdbus::wire {

/// A bus's filter parameters, as in KDBUS_ITEM_BLOOM_PARAMETER.
struct BloomParameter {
    std::uint64_t size = 64;  ///< bytes of a filter
    std::uint64_t hashes = 8; ///< hash functions (bits set per string)

    /// False if a client must refuse the bus (3.1): size not a non-zero multiple of 8 or above 4
    /// GiB, no hash function, or more hash bytes needed than the eight keys yield.
    [[nodiscard]] KDBUS_EXPORT bool acceptable() const noexcept;
    /// 64-bit words of a filter.
    [[nodiscard]] std::size_t words() const noexcept { return size / 8; }
};

/// SipHash-2-4 of `bytes` with a 16-byte key, 64-bit result.
[[nodiscard]] KDBUS_EXPORT std::uint64_t siphash24(std::span<const std::byte> bytes,
                                                   std::span<const std::byte, 16> key) noexcept;

/// Sets the bits of the string `label` ":" `value` in `filter` (of parameter.words() words;
/// `parameter` must be acceptable()).
KDBUS_EXPORT void bloom_add(std::span<std::uint64_t> filter, const BloomParameter& parameter,
                            std::string_view label, std::string_view value) noexcept;

/// Sets the bits of `value` and of its prefixes at `separator` (3.3).
KDBUS_EXPORT void bloom_add_prefixes(std::span<std::uint64_t> filter,
                                     const BloomParameter& parameter, std::string_view label,
                                     std::string_view value, char separator) noexcept;

/// Overwrites `filter` with the filter of a signal: type, interface, member, path and all leading
/// arguments that are text or arrays of text (up to 64), with their prefixes (3.3). Works on either
/// body format. Fails with bad_bloom (parameter not acceptable, filter of the wrong size) and with
/// the reader's errors if the body's leading arguments are malformed.
[[nodiscard]] KDBUS_EXPORT Result<void>
make_signal_filter(const Message& signal, const BloomParameter& parameter,
                   std::span<std::uint64_t> filter) noexcept;

/// Whether a signal with this filter passes a mask: all of the mask's bits are set in it.
[[nodiscard]] KDBUS_EXPORT bool bloom_passes(std::span<const std::uint64_t> filter,
                                             std::span<const std::uint64_t> mask) noexcept;

} // namespace kdbus::wire

#endif
