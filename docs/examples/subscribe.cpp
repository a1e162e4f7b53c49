// SPDX-License-Identifier: LGPL-2.1-or-later
// Prints every org.example.Hello.Greeted signal and the comings and goings of org.example.Hello.
#include <iostream>
#include <kdbus/bus.hpp>

int main() try {
    auto bus = kdbus::Connection::session().value();
    auto greeted = bus.subscribe("type='signal',interface='org.example.Hello',member='Greeted'",
                                 [](const kdbus::Message& signal, std::string_view name) {
                                     std::cout << signal.sender() << " greeted " << name
                                               << std::endl;
                                 })
                       .value();
    auto owner =
        bus.subscribe("type='signal',sender='org.freedesktop.DBus',"
                      "member='NameOwnerChanged',arg0='org.example.Hello'",
                      [](std::string_view name, std::string_view before, std::string_view after) {
                          std::cout << name << ": '" << before << "' -> '" << after << "'"
                                    << std::endl;
                      })
            .value();
    std::cout << "subscribed as " << bus.unique_name() << std::endl;
    bus.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
