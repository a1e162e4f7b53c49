// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_METADATA_HPP
#define KDBUS_ABI_METADATA_HPP

#include <kdbus/abi/item.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kdbus::abi {

/// A well-known name somebody holds (abi.md 9.3).
struct OwnedName {
    std::uint64_t flags = 0; ///< KDBUS_NAME_*
    std::string_view name;   ///< the name
};

/// Capability sets (capabilities(7)), as seen in the receiver's user namespace: bit n is the
/// capability of that number.
struct Capabilities {
    std::uint32_t last = 0;        ///< highest one the kernel knows
    std::uint64_t inheritable = 0; ///< kept over execve()
    std::uint64_t permitted = 0;   ///< can be made effective
    std::uint64_t effective = 0;   ///< in force
    std::uint64_t bounding = 0;    ///< can be had at most
    /// Whether the effective set has @p capability (CAP_*).
    [[nodiscard]] bool has(unsigned capability) const noexcept {
        return capability < 64 && (effective >> capability & 1) != 0;
    }
    friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

/// The value of an unknown user or group id in struct kdbus_creds (messages.md 13.35).
inline constexpr std::uint64_t unknown_id = 0xffffffff;

/// What the kernel vouches for about the sender of a message, or about a
/// connection that was asked for (messages.md 9, abi.md 6.8).
///
/// A view on items in the pool: valid as long as the message or result lives.
/// An accessor gives nothing if the item is absent: not asked for, not
/// granted, or the sender has no such property. Capabilities, command lines
/// and names of processes are information, not authority.
class KDBUS_EXPORT Metadata {
public:
    Metadata() noexcept = default;
    /// The items of a message or record.
    explicit Metadata(ItemRange items) noexcept : items_(items) {}

    /// When it was sent, and its number on the bus. Never part of a connection's record.
    [[nodiscard]] std::optional<kdbus_timestamp> timestamp() const noexcept;
    /// User and group ids, in the receiver's user namespace.
    [[nodiscard]] std::optional<kdbus_creds> creds() const noexcept;
    /// Process, thread and parent; 0 where not visible in the receiver's pid namespace.
    [[nodiscard]] std::optional<kdbus_pids> pids() const noexcept;
    /// Supplementary groups.
    [[nodiscard]] std::optional<std::span<const std::uint64_t>> auxgroups() const noexcept;
    /// Name of the sender's thread.
    [[nodiscard]] std::optional<std::string_view> tid_comm() const noexcept;
    /// Name of its process.
    [[nodiscard]] std::optional<std::string_view> pid_comm() const noexcept;
    /// Path of its program.
    [[nodiscard]] std::optional<std::string_view> exe() const noexcept;
    /// Arguments, each followed by a NUL; may hold the first one only (messages.md 9.4).
    [[nodiscard]] std::optional<std::string_view> cmdline() const noexcept;
    /// Its cgroup, a path.
    [[nodiscard]] std::optional<std::string_view> cgroup() const noexcept;
    /// The first 64 of them.
    [[nodiscard]] std::optional<Capabilities> capabilities() const noexcept;
    /// Its label, as the security module in charge has it.
    [[nodiscard]] std::optional<std::string_view> seclabel() const noexcept;
    /// Login user and session.
    [[nodiscard]] std::optional<kdbus_audit> audit() const noexcept;
    /// The description given at HELLO.
    [[nodiscard]] std::optional<std::string_view> description() const noexcept;

    /// Calls @p visit(OwnedName) for each name the sender owned when it sent. No
    /// such item means "owns no names", if they were asked for (messages.md 13.36).
    template <class Visitor>
    void for_each_owned_name(Visitor&& visit) const {
        for (const Item& item : items_)
            if (auto name = owned_name(item))
                visit(*name);
    }

    /// True if the sender owned that name when it sent.
    [[nodiscard]] bool owns(std::string_view name) const noexcept;

    /// The name in one KDBUS_ITEM_OWNED_NAME.
    [[nodiscard]] static std::optional<OwnedName> owned_name(const Item& item) noexcept;

private:
    ItemRange items_;
};

} // namespace kdbus::abi

#endif
