// SPDX-License-Identifier: LGPL-2.1-or-later
#include <iostream>
#include <kdbus/bus.hpp>

int main() try {
    auto bus = kdbus::Connection::session().value();
    auto reply =
        bus.call({"org.example.Hello", "/org/example/Hello", "org.example.Hello", "Greet"}, "world")
            .value();
    std::cout << reply.get<std::string>().value() << '\n';
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
