// SPDX-License-Identifier: LGPL-2.1-or-later
// D-Bus 1 messages.
#include "messages.hpp"

#include <kdbus/wire/convert.hpp>

namespace wire = kdbus::wire;

std::vector<std::string> fuzz::seeds() {
    std::vector<std::string> seeds;
    wire::Buffer body;
    for (const auto& message : fuzz::example_messages(wire::dbus1_native, body)) {
        wire::Buffer bytes;
        REQUIRE(wire::serialise_dbus1(message, bytes));
        seeds.emplace_back(fuzz::view(bytes.bytes()));
    }
    return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = fuzz::Input(data, size).bytes();
    const auto total = wire::dbus1_message_size(bytes);
    const auto message = wire::parse_dbus1(bytes);
    if (!message)
        return 0;
    REQUIRE(total == bytes.size());
    REQUIRE(wire::validate_header(*message));
    const auto fds = wire::validate_body(message->format, message->signature, message->body);
    REQUIRE(fds && *fds <= message->unix_fds);

    // In either byte order.
    wire::Buffer written;
    REQUIRE(wire::serialise_dbus1(*message, written));
    const auto again = wire::parse_dbus1(written.bytes());
    REQUIRE(again && fuzz::equal(*again, *message));

    // As GVariant and back.
    wire::Buffer variant_body, native_body;
    const auto variant = wire::convert_message(*message, fuzz::Format::gvariant, variant_body);
    REQUIRE(variant);
    const auto back = wire::convert_message(*variant, wire::dbus1_native, native_body);
    REQUIRE(back);
    if (message->format == wire::dbus1_native)
        REQUIRE(fuzz::equal(*back, *message));
    return 0;
}
