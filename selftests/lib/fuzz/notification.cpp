// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fuzz.hpp"

#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/names.hpp>
#include <kdbus/wire/notification.hpp>

namespace wire = kdbus::wire;

std::vector<std::string> fuzz::seeds() {
    std::vector<std::string> seeds;
    for (int kind = 0; kind < 7; ++kind)
        seeds.push_back(fuzz::seed(kind, 5, std::string(39, '\1'), ":1.12org.example.Name"));
    return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto kind = static_cast<wire::Notification::Kind>(input.byte() % 7);
    const auto own_name = input.text(input.byte() % 32);
    wire::Notification notification{.kind = kind};
    notification.old_id = input.number();
    notification.old_flags = input.number();
    notification.new_id = input.number();
    notification.new_flags = input.number();
    notification.cookie_reply = input.number();
    const auto name = input.text();
    notification.name = fuzz::view(name);
    for (const auto format : {wire::Format::gvariant, wire::dbus1_native}) {
        wire::Buffer buffer;
        REQUIRE(buffer.append("12345678", 8));
        const auto message =
            wire::notification_message(notification, fuzz::view(own_name), format, buffer);
        if (!message || !*message)
            continue;
        const auto& made = **message;
        REQUIRE(made.format == format);
        REQUIRE(wire::validate_body(format, made.signature, made.body));
        REQUIRE(made.sender == "org.freedesktop.DBus");
        REQUIRE(made.serial == wire::synthetic_serial);
        const auto change = wire::owner_change(notification);
        REQUIRE(change.has_value() == (made.type == wire::MessageType::signal));
        if (!change)
            continue;
        wire::Reader reader = made.reader();
        const auto changed = reader.read<std::string_view>();
        const auto old_owner = reader.read<std::string_view>();
        const auto new_owner = reader.read<std::string_view>();
        REQUIRE(changed && old_owner && new_owner && reader.finish());
        REQUIRE(change->old_id.has_value() == !old_owner->empty());
        REQUIRE(change->new_id.has_value() == !new_owner->empty());
        if (wire::is_bus_name(notification.name))
            REQUIRE(wire::is_bus_name(*changed));
    }
    return 0;
}
