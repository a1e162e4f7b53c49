// SPDX-License-Identifier: LGPL-2.1-or-later
#include "name_watch.hpp"

#include <kdbus/wire/names.hpp>

#include <utility>

namespace kdbus::detail {

wire::MatchRule owner_rule(std::string_view name) {
    wire::MatchRule rule;
    rule.type = wire::MessageType::signal;
    rule.sender = wire::driver_name;
    rule.interface = wire::driver_name;
    rule.path = wire::driver_path;
    rule.member = "NameOwnerChanged";
    rule.arguments.push_back({0, wire::MatchRule::ArgKind::equal, std::string(name)});
    return rule;
}

void NameWatch::change(std::string_view owner) {
    if (owner == owner_)
        return;
    const std::string before = std::exchange(owner_, std::string(owner));
    if (reported_)
        handler_(before, owner_);
}

void NameWatch::report() {
    reported_ = true;
    handler_({}, owner_);
}

} // namespace kdbus::detail
