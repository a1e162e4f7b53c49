// SPDX-License-Identifier: LGPL-2.1-or-later
#include "addresses.hpp"

#include <kdbus/abi/bus.hpp>
#include <kdbus/wire/address.hpp>

#include <algorithm>

namespace kdbus::detail {

std::string default_addresses(std::string_view variable, std::string_view bus_name,
                              std::string_view daemon) {
    const auto parsed = wire::parse_addresses(variable);
    // One that cannot be parsed is passed on, for the error to be seen.
    if (!variable.empty() &&
        (!parsed || std::any_of(parsed->begin(), parsed->end(), [](const wire::Address& address) {
            return address.transport == "kernel";
        })))
        return std::string(variable);
    std::string list =
        "kernel:path=" + wire::escape_address_value(std::string(abi::node_directory) + "/" +
                                                    std::string(bus_name) + "/bus");
    return list.append(";").append(variable.empty() ? daemon : variable);
}

} // namespace kdbus::detail
