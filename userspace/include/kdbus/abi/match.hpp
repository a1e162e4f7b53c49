// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_MATCH_HPP
#define KDBUS_ABI_MATCH_HPP

#include <linux/kdbus.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

/// Rules of a match (abi.md 10.1). All rules of one match must pass; a signal
/// is delivered if any match of the connection passes. Rules for signals and
/// rules for notifications exclude each other: use several matches.
namespace kdbus::abi::match {

/// Signals whose filter contains all bits of the mask; one mask of the bus's
/// Bloom size, or several for the generations 0, 1, ... (abi.md 10.2).
struct BloomMask {
    std::span<const std::uint64_t> words; ///< the bits
};
/// Signals from that connection, or from anybody (KDBUS_MATCH_ID_ANY).
struct SenderId {
    std::uint64_t id = KDBUS_MATCH_ID_ANY; ///< unique id
};
/// Signals whose sender owns that name when it sends.
struct SenderName {
    std::string_view name; ///< well-known name
};
/// Signals whose destination id, as sent, is that (0 if addressed by name only).
struct DestinationId {
    std::uint64_t id = KDBUS_MATCH_ID_ANY; ///< unique id
};

/// Notifications about a well-known name (abi.md 10.4).
struct NameChange {
    /// What happens.
    enum class Kind : std::uint64_t {
        add = KDBUS_ITEM_NAME_ADD,       ///< the name got its first owner
        remove = KDBUS_ITEM_NAME_REMOVE, ///< the last owner left
        change = KDBUS_ITEM_NAME_CHANGE, ///< from one owner to another
    };
    Kind kind = Kind::change;                  ///< what must happen
    std::uint64_t old_id = KDBUS_MATCH_ID_ANY; ///< owner before, or anybody
    std::uint64_t new_id = KDBUS_MATCH_ID_ANY; ///< owner now, or anybody
    /// Any name if absent; an empty one matches nothing.
    std::optional<std::string_view> name;
};

/// Notifications about connections.
struct IdChange {
    /// What happens.
    enum class Kind : std::uint64_t {
        add = KDBUS_ITEM_ID_ADD,       ///< a connection appeared
        remove = KDBUS_ITEM_ID_REMOVE, ///< a connection ended
    };
    Kind kind = Kind::remove;              ///< what must happen
    std::uint64_t id = KDBUS_MATCH_ID_ANY; ///< which, or any
};

/// One of these.
using Rule = std::variant<BloomMask, SenderId, SenderName, DestinationId, NameChange, IdChange>;

} // namespace kdbus::abi::match

#endif
