// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes the system bus, and keeps it for as long as it runs: what the first program of a machine
// would do. No daemon is needed for it.
#include <iostream>
#include <kdbus/abi/bus.hpp>
#include <linux/kdbus.h>
#include <unistd.h>

int main() {
    kdbus::abi::BusOptions options;
    options.name = "0-system";
    options.flags = KDBUS_MAKE_ACCESS_WORLD;
    const auto bus = kdbus::abi::Bus::make(options);
    if (!bus) {
        std::cerr << "cannot make the bus: " << bus.error().message() << '\n';
        return 1;
    }
    std::cout << "made " << bus->node_path() << std::endl;
    pause();
}
