// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_NOTIFICATION_HPP
#define KDBUS_WIRE_NOTIFICATION_HPP

#include <cstdint>
#include <optional>
#include <string_view>

#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/error.hpp>
#include <kdbus/wire/message.hpp>

/// Kernel notifications as D-Bus messages (dbus-on-kdbus.md 4.3, 6.2). Pure functions.
namespace kdbus::wire {

/// Serial of all messages that no connection sent.
inline constexpr std::uint64_t synthetic_serial = 0xFFFFFFFF;

/// What a notification item says.
struct Notification {
    /// The item, KDBUS_ITEM_* without its prefix.
    enum class Kind {
        name_add,
        name_remove,
        name_change,
        id_add,
        id_remove,
        reply_timeout,
        reply_dead,
    };
    Kind kind;                      ///< what happened
    std::uint64_t old_id = 0;       ///< name_*: old owner
    std::uint64_t old_flags = 0;    ///< name_*: KDBUS_NAME_* of the old owner
    std::uint64_t new_id = 0;       ///< name_*: new owner; id_*: the id
    std::uint64_t new_flags = 0;    ///< name_*: KDBUS_NAME_*; id_*: KDBUS_HELLO_*
    std::string_view name = {};     ///< name_*
    std::uint64_t cookie_reply = 0; ///< reply_*: cookie of the call (from the message head)
};

/// The three arguments of NameOwnerChanged, each a name or empty.
struct OwnerChange {
    std::string_view name; ///< empty for id_*: then the unique name is old_id's or new_id's
    std::optional<std::uint64_t> old_id; ///< owner before; none: nobody
    std::optional<std::uint64_t> new_id; ///< owner now
};

/// What NameOwnerChanged has to say about a notification; nothing if there is nothing to announce
/// (activators, queued owners, connections that are no peers, reply_*).
[[nodiscard]] KDBUS_EXPORT std::optional<OwnerChange>
owner_change(const Notification& notification) noexcept;

/// The message that stands for a notification: the signal NameOwnerChanged for name_* and id_*; an
/// error reply NoReply with a text for reply_*, addressed to `own_name`. Nothing if there is
/// nothing to announce. The body, in `format` (gvariant or dbus1_native), goes to the end of
/// `body`; the result points into it, at constants, and at `own_name`.
[[nodiscard]] KDBUS_EXPORT Result<std::optional<Message>>
notification_message(const Notification& notification, std::string_view own_name, Format format,
                     Buffer& body) noexcept;

} // namespace kdbus::wire

#endif
