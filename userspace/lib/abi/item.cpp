// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/abi/item.hpp>

#include <algorithm>
#include <array>

namespace kdbus::abi {

std::optional<std::string_view> Item::string(std::size_t offset) const noexcept {
    if (offset >= payload_.size())
        return std::nullopt;
    const std::string_view text(reinterpret_cast<const char*>(payload_.data()) + offset,
                                payload_.size() - offset);
    if (text.find('\0') != text.size() - 1)
        return std::nullopt;
    return text.substr(0, text.size() - 1);
}

ItemRange::Iterator::Iterator(std::span<const std::byte> memory) noexcept
    : rest_(memory), done_(false) {
    if (reinterpret_cast<std::uintptr_t>(memory.data()) % 8 != 0) {
        done_ = true;
        broken_ = true;
        return;
    }
    load();
}

ItemRange::Iterator& ItemRange::Iterator::operator++() noexcept {
    const std::uint64_t step = align8(item_header_size + item_.payload().size());
    rest_ = rest_.subspan(std::min<std::uint64_t>(step, rest_.size()));
    load();
    return *this;
}

/// Reads the item at the start of the rest, each field once.
void ItemRange::Iterator::load() noexcept {
    if (rest_.empty()) {
        done_ = true;
        return;
    }
    if (rest_.size() < item_header_size) {
        done_ = broken_ = true;
        return;
    }
    std::array<std::uint64_t, 2> head;
    std::memcpy(head.data(), rest_.data(), sizeof head);
    const auto [size, type] = head;
    if (size < item_header_size || size > rest_.size()) {
        done_ = broken_ = true;
        return;
    }
    item_ = Item(type, rest_.subspan(item_header_size, size - item_header_size));
}

bool ItemRange::well_formed() const noexcept {
    Iterator it = begin();
    while (it != end())
        ++it;
    return !it.broken_;
}

std::optional<Item> ItemRange::find(std::uint64_t type) const noexcept {
    for (const Item& item : *this)
        if (item.type() == type)
            return item;
    return std::nullopt;
}

} // namespace kdbus::abi
