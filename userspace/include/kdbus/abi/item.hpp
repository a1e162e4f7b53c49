// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_ITEM_HPP
#define KDBUS_ABI_ITEM_HPP

#include <kdbus/export.hpp>

#include <linux/kdbus.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace kdbus::abi {

/// @p size rounded up to the next multiple of 8, the alignment of items (abi.md 4.3).
[[nodiscard]] constexpr std::uint64_t align8(std::uint64_t size) noexcept {
    return (size + 7) & ~std::uint64_t{7};
}

/// Bytes in front of an item's payload: its size and type (abi.md 3.5).
inline constexpr std::size_t item_header_size = 16;

/// One item of a message or result: a view, valid as long as the memory behind it.
///
/// Every typed accessor checks the payload's size and form and gives nothing
/// if they do not fit; none reads outside the payload.
class KDBUS_EXPORT Item {
public:
    Item() noexcept = default;
    /// An item of that type; the payload stays where it is.
    Item(std::uint64_t type, std::span<const std::byte> payload) noexcept
        : type_(type), payload_(payload) {}

    /// KDBUS_ITEM_*.
    [[nodiscard]] std::uint64_t type() const noexcept { return type_; }
    /// The bytes behind the item's header, without padding.
    [[nodiscard]] std::span<const std::byte> payload() const noexcept { return payload_; }

    /// The payload as a fixed-size structure; nothing unless it has exactly that size.
    template <class T>
    [[nodiscard]] std::optional<T> as() const noexcept {
        static_assert(std::is_trivially_copyable_v<T>);
        if (payload_.size() != sizeof(T))
            return std::nullopt;
        return copy<T>();
    }

    /// The leading part of a payload that continues behind the structure (a name, say);
    /// nothing if it is shorter than the structure.
    template <class T>
    [[nodiscard]] std::optional<T> head_as() const noexcept {
        static_assert(std::is_trivially_copyable_v<T>);
        if (payload_.size() < sizeof(T))
            return std::nullopt;
        return copy<T>();
    }

    /// The payload from @p offset on as a string: its only NUL must be its last byte.
    [[nodiscard]] std::optional<std::string_view> string(std::size_t offset = 0) const noexcept;

    /// The payload as an array of integers; nothing if it is not a whole number of them.
    /// Items are 8-byte aligned, hence so are the elements of what ItemRange gives.
    template <class T>
    [[nodiscard]] std::optional<std::span<const T>> array() const noexcept {
        static_assert(std::is_integral_v<T>);
        if (payload_.size() % sizeof(T) != 0 ||
            reinterpret_cast<std::uintptr_t>(payload_.data()) % alignof(T) != 0)
            return std::nullopt;
        return std::span(reinterpret_cast<const T*>(payload_.data()), payload_.size() / sizeof(T));
    }

private:
    template <class T>
    [[nodiscard]] T copy() const noexcept {
        T value;
        std::memcpy(&value, payload_.data(), sizeof(T));
        return value;
    }

    std::uint64_t type_ = _KDBUS_ITEM_NULL;
    std::span<const std::byte> payload_;
};

/// The items in a piece of memory (abi.md 4.3), for range-based for loops.
///
/// Iteration checks each item before it gives it and ends in front of the
/// first one that does not fit the memory; well_formed() tells whether that
/// happened. The memory must start on an 8-byte boundary, otherwise the range
/// is empty and not well-formed.
class KDBUS_EXPORT ItemRange {
public:
    /// Stands at one item.
    class KDBUS_EXPORT Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Item;
        using difference_type = std::ptrdiff_t;
        using pointer = const Item*;
        using reference = const Item&;

        Iterator() noexcept = default;
        reference operator*() const noexcept { return item_; }
        pointer operator->() const noexcept { return &item_; }
        Iterator& operator++() noexcept;
        void operator++(int) noexcept { ++*this; }
        bool operator==(std::default_sentinel_t) const noexcept { return done_; }

    private:
        friend ItemRange;
        explicit Iterator(std::span<const std::byte> memory) noexcept;
        void load() noexcept;

        std::span<const std::byte> rest_;
        Item item_;
        bool done_ = true;
        bool broken_ = false;
    };

    ItemRange() noexcept = default;
    /// The items in @p memory, which stays where it is.
    explicit ItemRange(std::span<const std::byte> memory) noexcept : memory_(memory) {}

    [[nodiscard]] Iterator begin() const noexcept { return Iterator(memory_); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// True if items fill the memory to its end (the last one's padding may be missing).
    [[nodiscard]] bool well_formed() const noexcept;

    /// The first item of that type.
    [[nodiscard]] std::optional<Item> find(std::uint64_t type) const noexcept;

private:
    std::span<const std::byte> memory_;
};

} // namespace kdbus::abi

#endif
