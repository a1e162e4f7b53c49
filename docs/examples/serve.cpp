// SPDX-License-Identifier: LGPL-2.1-or-later
#include <iostream>
#include <kdbus/bus.hpp>

int main() try {
    auto bus = kdbus::Connection::session().value();
    std::uint32_t served = 0;

    kdbus::Interface hello("org.example.Hello");
    hello.method("Greet",
                 [&](const std::string& name) {
                     ++served;
                     return "Hello, " + name + "!";
                 },
                 {.in = {"name"}, .out = {"greeting"}});
    hello.property("Served", [&] { return served; }, {.emits = kdbus::Emits::nothing});
    auto object = bus.add_object("/org/example/Hello", std::move(hello)).value();

    bus.request_name("org.example.Hello").value();
    std::cout << "serving as " << bus.unique_name() << std::endl;
    bus.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
