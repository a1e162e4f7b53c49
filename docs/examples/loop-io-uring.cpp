// SPDX-License-Identifier: LGPL-2.1-or-later
// The service of serve.cpp in an io_uring loop.
#include <iostream>
#include <kdbus/bus.hpp>
#include <kdbus/loop/io_uring.hpp>

int main() try {
    auto bus = kdbus::Connection::session().value();
    kdbus::Interface hello("org.example.Hello");
    hello.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; },
                 {.in = {"name"}, .out = {"greeting"}});
    auto object = bus.add_object("/org/example/Hello", std::move(hello)).value();
    bus.request_name("org.example.Hello").value();

    auto loop = kdbus::UringLoop::create().value();
    auto attached = loop.attach(bus, [&](kdbus::Error) { loop.stop(); }).value();
    loop.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
