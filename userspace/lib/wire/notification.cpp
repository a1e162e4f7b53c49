// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/notification.hpp>

#include <linux/kdbus.h>

#include <kdbus/wire/names.hpp>
#include <kdbus/wire/writer.hpp>

namespace kdbus::wire {

namespace {

using Kind = Notification::Kind;

/// The owner of a name on one side of a change, nobody if it is an activator or only waiting.
std::optional<std::uint64_t> owner(std::uint64_t id, std::uint64_t flags) noexcept {
    if ((flags & (KDBUS_NAME_IN_QUEUE | KDBUS_NAME_ACTIVATOR)) != 0)
        return std::nullopt;
    return id;
}

/// The unique name of a connection, or an empty string.
struct OptionalName {
    explicit OptionalName(std::optional<std::uint64_t> id) noexcept
        : name(id.value_or(0)), given(id.has_value()) {}
    std::string_view view() const noexcept { return given ? name.view() : std::string_view(); }
    UniqueName name;
    bool given;
};

Result<Message> no_reply(const Notification& notification, std::string_view own_name, Format format,
                         Buffer& body) noexcept {
    Writer writer(body, format);
    writer.append_text('s', notification.kind == Kind::reply_timeout ? "Method call timed out"
                                                                     : "Method call peer died");
    if (auto done = writer.finish(); !done)
        return std::unexpected(done.error());
    Message message;
    message.type = MessageType::error;
    message.reply_serial = notification.cookie_reply;
    message.error_name = "org.freedesktop.DBus.Error.NoReply";
    message.destination = own_name;
    message.signature = "s";
    message.body = writer.body();
    return message;
}

Result<Message> name_owner_changed(const OwnerChange& change, Format format,
                                   Buffer& body) noexcept {
    const OptionalName old_owner(change.old_id), new_owner(change.new_id);
    std::string_view name = change.name;
    if (name.empty())
        name = new_owner.given ? new_owner.view() : old_owner.view();
    Writer writer(body, format);
    writer.append_text('s', name);
    writer.append_text('s', old_owner.view());
    writer.append_text('s', new_owner.view());
    if (auto done = writer.finish(); !done)
        return std::unexpected(done.error());
    Message message;
    message.type = MessageType::signal;
    message.path = driver_path;
    message.interface = driver_name;
    message.member = "NameOwnerChanged";
    message.signature = "sss";
    message.body = writer.body();
    return message;
}

} // namespace

std::optional<OwnerChange> owner_change(const Notification& notification) noexcept {
    OwnerChange change;
    change.name = notification.name;
    switch (notification.kind) {
    case Kind::name_add:
        change.new_id = owner(notification.new_id, notification.new_flags);
        break;
    case Kind::name_remove:
        change.old_id = owner(notification.old_id, notification.old_flags);
        break;
    case Kind::name_change:
        change.old_id = owner(notification.old_id, notification.old_flags);
        change.new_id = owner(notification.new_id, notification.new_flags);
        break;
    case Kind::id_add:
    case Kind::id_remove:
        if ((notification.new_flags &
             (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER | KDBUS_HELLO_MONITOR)) != 0)
            return std::nullopt;
        change.name = {};
        (notification.kind == Kind::id_add ? change.new_id : change.old_id) = notification.new_id;
        break;
    default:
        return std::nullopt;
    }
    if (!change.old_id && !change.new_id)
        return std::nullopt;
    return change;
}

Result<std::optional<Message>> notification_message(const Notification& notification,
                                                    std::string_view own_name, Format format,
                                                    Buffer& body) noexcept {
    Result<Message> message;
    if (notification.kind == Kind::reply_timeout || notification.kind == Kind::reply_dead)
        message = no_reply(notification, own_name, format, body);
    else if (const auto change = owner_change(notification))
        message = name_owner_changed(*change, format, body);
    else
        return std::nullopt;
    if (!message)
        return std::unexpected(message.error());
    message->flags = no_reply_expected;
    message->format = format;
    message->serial = synthetic_serial;
    message->sender = driver_name;
    return *message;
}

} // namespace kdbus::wire
