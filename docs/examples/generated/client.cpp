// SPDX-License-Identifier: LGPL-2.1-or-later
// Calls org.example.Counter, as its introspection data say.
#include <iostream>
#include <org.example.Counter-proxy.hpp>

int main() try {
    auto bus = kdbus::Connection::system().value();
    org::example::CounterProxy counter(bus, "org.example.Counter", "/org/example/Counter");

    counter.set_Label("apples").value();
    counter.Add(2).value();
    std::cout << counter.get_Value().value() << ' ' << counter.get_Label().value() << '\n';

    const auto overflowed = [](std::int32_t value) {
        std::cout << "wrapped to " << value << '\n';
    };
    const auto added = [&](const kdbus::Result<std::int32_t>& value) {
        std::cout << (value ? "added" : value.error().message) << '\n';
        bus.stop();
    };
    auto subscription = counter.on_Overflowed(overflowed).value();
    auto call = counter.async_Add(2147483647, added).value();
    bus.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
