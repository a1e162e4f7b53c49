// SPDX-License-Identifier: LGPL-2.1-or-later
// Calls org.example.Hello and tells who answered.
#include <iostream>
#include <kdbus/bus.hpp>
#include <unistd.h>

int main() try {
    auto bus = kdbus::Connection::session().value();
    auto reply =
        bus.call({"org.example.Hello", "/org/example/Hello", "org.example.Hello", "Greet"}, "world")
            .value();
    const auto sender = bus.credentials(reply).value();
    std::cout << reply.sender() << " answered, pid " << sender.pid << ", uid " << sender.euid
              << (sender.euid == geteuid() ? " (ourselves)" : "") << '\n';
    if (const auto sent = reply.timestamp())
        std::cout << "at " << sent->monotonic.count() << " ns, as message " << sent->sequence
                  << '\n';
    else
        std::cout << "nobody knows when\n";
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
