// SPDX-License-Identifier: LGPL-2.1-or-later
// Tells who owns a name, whenever that changes, and what its owner signals.
#include <iostream>
#include <kdbus/bus.hpp>

int main(int argc, char** argv) try {
    const std::string name = argc > 1 ? argv[1] : "org.example.Hello";
    auto bus = kdbus::Connection::session().value();
    auto watch = bus.watch_name(name,
                                [&](std::string_view before, std::string_view now) {
                                    if (now.empty())
                                        std::cout << name << " has no owner" << std::endl;
                                    else if (before.empty())
                                        std::cout << name << " is " << now << std::endl;
                                    else
                                        std::cout << name << " went from " << before << " to "
                                                  << now << std::endl;
                                })
                     .value();
    auto greeted =
        bus.subscribe(
               kdbus::Match::signal().sender(name).interface("org.example.Hello").member("Greeted"),
               [](std::string_view who) { std::cout << "greeted " << who << std::endl; })
            .value();
    bus.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
