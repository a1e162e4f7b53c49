// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serials.hpp"

#include <algorithm>
#include <limits>

namespace kdbus::proxy {

std::deque<Serials::StandIn>::iterator Serials::find(std::uint64_t caller, std::uint32_t serial) {
    return std::find_if(stand_ins_.begin(), stand_ins_.end(), [&](const StandIn& stand_in) {
        return stand_in.caller == caller && stand_in.serial == serial;
    });
}

std::uint32_t Serials::for_call(std::uint64_t caller, std::uint64_t cookie) {
    // A short cookie that looks like a stand-in already given needs one itself.
    if (cookie != 0 && cookie <= std::numeric_limits<std::uint32_t>::max() &&
        find(caller, static_cast<std::uint32_t>(cookie)) == stand_ins_.end())
        return static_cast<std::uint32_t>(cookie);
    if (stand_ins_.size() >= capacity)
        stand_ins_.pop_front();
    do {
        if (++next_ == 0)
            next_ = 1;
    } while (find(caller, next_) != stand_ins_.end());
    stand_ins_.push_back({caller, cookie, next_});
    return next_;
}

std::uint64_t Serials::for_reply(std::uint64_t caller, std::uint32_t serial) {
    const auto found = find(caller, serial);
    if (found == stand_ins_.end())
        return serial;
    const auto cookie = found->cookie;
    stand_ins_.erase(found);
    return cookie;
}

} // namespace kdbus::proxy
