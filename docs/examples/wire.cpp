// SPDX-License-Identifier: LGPL-2.1-or-later
// Layer 2 alone: makes a D-Bus message, reads it again, and asks whether a rule matches.
#include <iostream>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/match.hpp>
#include <kdbus/wire/message.hpp>

namespace wire = kdbus::wire;

int main() try {
    // The arguments. The first error sticks, so one check at the end is enough.
    wire::Buffer body;
    wire::Writer writer(body, wire::dbus1_native);
    writer.append("apples", std::uint32_t{7});
    writer.append(std::map<std::string, wire::Variant>{{"ripe", wire::Variant(true)}});
    writer.finish().value();

    const wire::Message signal{.type = wire::MessageType::signal,
                               .flags = wire::no_reply_expected,
                               .format = wire::dbus1_native,
                               .serial = 1,
                               .path = "/org/example/Shop",
                               .interface = "org.example.Shop",
                               .member = "Delivered",
                               .signature = writer.signature(),
                               .body = writer.body()};
    wire::Buffer bytes;
    wire::serialise_dbus1(signal, bytes).value();
    std::cout << bytes.size() << " bytes, signature " << signal.signature << '\n';

    // As if they had come over a socket: everything is checked.
    const wire::Message parsed = wire::parse_dbus1(bytes.bytes()).value();
    wire::Reader reader = parsed.reader();
    std::cout << parsed.member << ": " << reader.read<std::uint32_t>().error().message() << '\n';
    std::cout << reader.read<std::string_view>().value() << ", ";
    std::cout << reader.read<std::uint32_t>().value() << '\n';
    while (!reader.at_end()) { // types that are not known beforehand
        std::cout << "skipping " << reader.peek_signature() << '\n';
        reader.skip().value();
    }

    const auto rule = wire::MatchRule::parse("type='signal',arg0='apples'").value();
    std::cout << rule.canonical() << (rule.matches(parsed) ? " matches\n" : " does not match\n");
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
