// SPDX-License-Identifier: LGPL-2.1-or-later
// The service of serve.cpp in an Asio io_context.
#include <iostream>
#include <kdbus/bus.hpp>
#include <kdbus/loop/asio.hpp>

int main() try {
    auto bus = kdbus::Connection::session().value();
    kdbus::Interface hello("org.example.Hello");
    hello.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; },
                 {.in = {"name"}, .out = {"greeting"}});
    auto object = bus.add_object("/org/example/Hello", std::move(hello)).value();
    bus.request_name("org.example.Hello").value();

    asio::io_context context;
    auto attached =
        kdbus::attach_to_asio(context, bus, [&](kdbus::Error) { context.stop(); }).value();
    context.run();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
