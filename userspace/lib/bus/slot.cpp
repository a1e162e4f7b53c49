// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core.hpp"

#include <kdbus/slot.hpp>

#include <utility>

namespace kdbus {

Slot& Slot::operator=(Slot&& other) noexcept {
    if (this != &other) {
        reset();
        core_ = std::move(other.core_);
        kind_ = other.kind_;
        id_ = other.id_;
    }
    return *this;
}

void Slot::reset() noexcept {
    if (const auto core = std::exchange(core_, {}).lock())
        core->remove(kind_, id_);
}

} // namespace kdbus
