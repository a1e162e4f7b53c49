// SPDX-License-Identifier: LGPL-2.1-or-later
// A service whose method takes its time, and meanwhile answers others.
#include <kdbus/bus.hpp>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

int main() {
    auto bus = kdbus::Connection::session().value();

    kdbus::Interface kitchen("org.example.Kitchen");
    kitchen.method(
        "Boil",
        [&](std::string_view what, std::uint32_t milliseconds) -> kdbus::Task<std::string> {
            (co_await bus.co_sleep(std::chrono::milliseconds(milliseconds))).value();
            bus.emit({"/org/example/Kitchen", "org.example.Kitchen", "Done"}, what).value();
            co_return std::string(what) + " after " + std::to_string(milliseconds) + " ms";
        },
        {.in = {"what", "milliseconds"}, .out = {"dish"}});
    kitchen.signal<std::string>("Done", {"what"});
    auto object = bus.add_object("/org/example/Kitchen", std::move(kitchen)).value();
    bus.request_name("org.example.Kitchen").value();
    std::cout << "ready" << std::endl;
    bus.run().value();
}
