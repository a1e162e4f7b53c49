// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/abi/metadata.hpp>

namespace kdbus::abi {
namespace {

template <class T>
std::optional<T> structure(const ItemRange& items, std::uint64_t type) noexcept {
    const auto item = items.find(type);
    return item ? item->as<T>() : std::nullopt;
}

std::optional<std::string_view> text(const ItemRange& items, std::uint64_t type) noexcept {
    const auto item = items.find(type);
    return item ? item->string() : std::nullopt;
}

} // namespace

std::optional<kdbus_timestamp> Metadata::timestamp() const noexcept {
    return structure<kdbus_timestamp>(items_, KDBUS_ITEM_TIMESTAMP);
}

std::optional<kdbus_creds> Metadata::creds() const noexcept {
    return structure<kdbus_creds>(items_, KDBUS_ITEM_CREDS);
}

std::optional<kdbus_pids> Metadata::pids() const noexcept {
    return structure<kdbus_pids>(items_, KDBUS_ITEM_PIDS);
}

std::optional<std::span<const std::uint64_t>> Metadata::auxgroups() const noexcept {
    const auto item = items_.find(KDBUS_ITEM_AUXGROUPS);
    return item ? item->array<std::uint64_t>() : std::nullopt;
}

std::optional<std::string_view> Metadata::tid_comm() const noexcept {
    return text(items_, KDBUS_ITEM_TID_COMM);
}

std::optional<std::string_view> Metadata::pid_comm() const noexcept {
    return text(items_, KDBUS_ITEM_PID_COMM);
}

std::optional<std::string_view> Metadata::exe() const noexcept {
    return text(items_, KDBUS_ITEM_EXE);
}

std::optional<std::string_view> Metadata::cmdline() const noexcept {
    const auto item = items_.find(KDBUS_ITEM_CMDLINE);
    if (!item || item->payload().empty() || item->payload().back() != std::byte{})
        return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(item->payload().data()),
                            item->payload().size());
}

std::optional<std::string_view> Metadata::cgroup() const noexcept {
    return text(items_, KDBUS_ITEM_CGROUP);
}

std::optional<Capabilities> Metadata::capabilities() const noexcept {
    const auto item = items_.find(KDBUS_ITEM_CAPS);
    const auto words = item ? item->array<std::uint32_t>() : std::nullopt;
    if (!words || words->empty())
        return std::nullopt;
    const std::size_t per_set = words->front() / 32 + 1;
    if (words->size() != 1 + 4 * per_set)
        return std::nullopt;
    const auto set = [&](std::size_t index) {
        const auto from = words->subspan(1 + index * per_set, per_set);
        return from[0] | (per_set > 1 ? std::uint64_t{from[1]} << 32 : 0);
    };
    return Capabilities{words->front(), set(0), set(1), set(2), set(3)};
}

std::optional<std::string_view> Metadata::seclabel() const noexcept {
    return text(items_, KDBUS_ITEM_SECLABEL);
}

std::optional<kdbus_audit> Metadata::audit() const noexcept {
    return structure<kdbus_audit>(items_, KDBUS_ITEM_AUDIT);
}

std::optional<std::string_view> Metadata::description() const noexcept {
    return text(items_, KDBUS_ITEM_CONN_DESCRIPTION);
}

bool Metadata::owns(std::string_view name) const noexcept {
    for (const Item& item : items_)
        if (const auto owned = owned_name(item); owned && owned->name == name)
            return true;
    return false;
}

std::optional<OwnedName> Metadata::owned_name(const Item& item) noexcept {
    if (item.type() != KDBUS_ITEM_OWNED_NAME)
        return std::nullopt;
    const auto flags = item.head_as<std::uint64_t>();
    const auto name = item.string(sizeof(std::uint64_t));
    if (!flags || !name)
        return std::nullopt;
    return OwnedName{*flags, *name};
}

} // namespace kdbus::abi
