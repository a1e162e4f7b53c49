// SPDX-License-Identifier: LGPL-2.1-or-later
// subscriber MEMBER: prints each signal org.example.Weather.MEMBER, and sleeps otherwise.
#include <cstdint>
#include <iostream>
#include <kdbus/bus.hpp>
#include <stdexcept>
#include <string>

int main(int argc, char** argv) try {
    if (argc != 2)
        throw std::runtime_error("usage: subscriber MEMBER");
    const std::string member = argv[1];
    auto bus = kdbus::Connection::system().value();
    const auto slot =
        bus.subscribe("type='signal',interface='org.example.Weather',member='" + member + "'",
                      [&](std::int32_t value) {
                          std::cout << member << ' ' << value << std::endl;
                      })
            .value();
    std::cout << "waiting for " << member << std::endl;
    bus.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
