// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_BYTES_HPP
#define KDBUS_WIRE_BYTES_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

/// Integers in bytes of any alignment and byte order, shared by the codecs.
namespace kdbus::wire {

constexpr std::size_t align_up(std::size_t value, std::size_t alignment) noexcept {
    return (value + alignment - 1) & ~(alignment - 1);
}

template <class T>
T swap_bytes(T value) noexcept {
    T swapped = 0;
    for (std::size_t i = 0; i < sizeof(T); i++) {
        swapped = static_cast<T>(swapped << (sizeof(T) > 1 ? 8 : 0)) | (value & 0xFF);
        value = static_cast<T>(sizeof(T) > 1 ? value >> 8 : 0);
    }
    return swapped;
}

template <class T>
T load_as(const std::byte* at, bool swap) noexcept {
    T value;
    std::memcpy(&value, at, sizeof value);
    return swap ? swap_bytes(value) : value;
}

/// An unsigned integer of 1, 2, 4 or 8 bytes.
inline std::uint64_t load_uint(const std::byte* at, std::size_t size, bool swap) noexcept {
    switch (size) {
    case 1:
        return static_cast<std::uint64_t>(*at);
    case 2:
        return load_as<std::uint16_t>(at, swap);
    case 4:
        return load_as<std::uint32_t>(at, swap);
    default:
        return load_as<std::uint64_t>(at, swap);
    }
}

/// Stores the low `size` (1, 2, 4 or 8) bytes of `value`.
inline void store_uint(std::byte* at, std::size_t size, std::uint64_t value, bool swap) noexcept {
    for (std::size_t i = 0; i < size; i++) {
        const bool little = (std::endian::native == std::endian::little) != swap;
        at[little ? i : size - 1 - i] = static_cast<std::byte>(value >> (8 * i));
    }
}

inline constexpr bool native_is_big = std::endian::native == std::endian::big;

/// Bytes per framing offset for a container of `total` bytes, offsets included (1.5, reader).
constexpr unsigned offset_width(std::size_t total) noexcept {
    return total <= 0xFF ? 1 : total <= 0xFFFF ? 2 : total <= 0xFFFFFFFF ? 4 : 8;
}

/// Bytes per framing offset for `content` bytes and `count` offsets (1.5, writer).
constexpr unsigned offset_width(std::size_t content, std::size_t count) noexcept {
    for (unsigned width : {1U, 2U, 4U})
        if (offset_width(content + width * count) <= width)
            return width;
    return 8;
}

inline std::string_view as_text(const std::byte* data, std::size_t size) noexcept {
    return {reinterpret_cast<const char*>(data), size};
}

} // namespace kdbus::wire

#endif
