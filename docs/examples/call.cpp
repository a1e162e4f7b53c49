// SPDX-License-Identifier: LGPL-2.1-or-later
#include <iostream>
#include <kdbus/bus.hpp>

int main() try {
    auto bus = kdbus::Connection::system().value();
    auto reply =
        bus.call({"org.example.Hello", "/org/example/Hello", "org.example.Hello", "Greet"}, "world")
            .value();
    auto sender = bus.credentials(reply).value();
    std::cout << reply.get<std::string>().value() << "\nfrom " << reply.sender() << ", pid "
              << sender.pid << ", uid " << sender.euid << '\n';
    if (const auto sent = reply.timestamp()) // the kernel's bus tells
        std::cout << "sent at " << sent->monotonic.count() << " ns\n";
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
