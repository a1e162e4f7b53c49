// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fuzz.hpp"

#include <kdbus/wire/address.hpp>

namespace wire = kdbus::wire;

std::vector<std::string> fuzz::seeds() {
    return {"unix:path=/run/bus,guid=0123456789abcdef0123456789abcdef;",
            "kernel:path=/dev/kdbus/0-system/bus;unix:runtime=yes", "unix:abstract=a%20b%2c%3b",
            "tcp:host=127.0.0.1,port=0,family=ipv4", "unix:tmpdir=/tmp"};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::Input(data, size).text();
    const auto addresses = wire::parse_addresses(fuzz::view(text));
    if (!addresses)
        return 0;
    REQUIRE(!addresses->empty());
    std::string written;
    for (const auto& address : *addresses) {
        (void)wire::check_transport(address, true);
        (void)wire::check_transport(address, false);
        written += address.text() + ";";
    }
    REQUIRE(wire::parse_addresses(written) == addresses);
    return 0;
}
