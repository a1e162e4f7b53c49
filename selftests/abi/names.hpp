// SPDX-License-Identifier: LGPL-2.1-or-later
// The name that tests of well-known names take, and flags of names in short.
#pragma once

#include "support.hpp"

namespace test {

constexpr u64 replace = KDBUS_NAME_REPLACE_EXISTING;
constexpr u64 allow = KDBUS_NAME_ALLOW_REPLACEMENT;
constexpr u64 queue = KDBUS_NAME_QUEUE;
constexpr u64 in_queue = KDBUS_NAME_IN_QUEUE;
constexpr u64 primary = KDBUS_NAME_PRIMARY;
constexpr u64 acquired = KDBUS_NAME_ACQUIRED;
constexpr u64 in_charge = KDBUS_NAME_ACTIVATOR | KDBUS_NAME_PRIMARY;
constexpr u64 behind = KDBUS_NAME_ACTIVATOR | KDBUS_NAME_IN_QUEUE;
inline const std::string name = "org.example.Name";

// Who owns `n`, 0 for nobody.
inline u64 owner_of(const Connection& c, const std::string& n = name) {
    const Info r = c.info(0, 0, n);
    return r.error == 0 ? r.head().id : 0;
}

} // namespace test
