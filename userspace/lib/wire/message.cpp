// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/message.hpp>

#include <kdbus/wire/names.hpp>

namespace kdbus::wire {

std::string_view message_type_name(MessageType type) noexcept {
    switch (type) {
    case MessageType::method_call:
        return "method_call";
    case MessageType::method_return:
        return "method_return";
    case MessageType::error:
        return "error";
    case MessageType::signal:
        return "signal";
    default:
        return {};
    }
}

Result<void> validate_header(const Message& message) noexcept {
    if (message.type == MessageType::invalid)
        return fail(Errc::bad_message_type);
    if (message.serial == 0)
        return fail(Errc::bad_serial);

    if (!message.path.empty() && !is_object_path(message.path))
        return fail(Errc::bad_object_path);
    if (!message.interface.empty() && !is_interface(message.interface))
        return fail(Errc::bad_interface);
    if (!message.member.empty() && !is_member(message.member))
        return fail(Errc::bad_member);
    if (!message.error_name.empty() && !is_error_name(message.error_name))
        return fail(Errc::bad_error_name);
    if (!message.destination.empty() && !is_bus_name(message.destination))
        return fail(Errc::bad_bus_name);
    if (!message.sender.empty() && !is_bus_name(message.sender))
        return fail(Errc::bad_bus_name);
    if (!is_signature(message.signature))
        return fail(Errc::bad_signature);

    bool complete = true;
    switch (message.type) {
    case MessageType::method_call:
        complete = !message.path.empty() && !message.member.empty();
        break;
    case MessageType::signal:
        complete = !message.path.empty() && !message.interface.empty() && !message.member.empty();
        break;
    case MessageType::error:
        complete = !message.error_name.empty() && message.reply_serial != 0;
        break;
    case MessageType::method_return:
        complete = message.reply_serial != 0;
        break;
    default:
        break;
    }
    if (!complete)
        return fail(Errc::missing_field);
    if (message.path == local_path || message.interface == local_name)
        return fail(Errc::local_message);
    return {};
}

} // namespace kdbus::wire
