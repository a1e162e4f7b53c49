// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_BENCH_PROFILE_HPP
#define KDBUS_BENCH_PROFILE_HPP

#include <functional>
#include <string_view>

namespace kdbus::bench {

/// Runs `repeat(count)` once more while a timer samples where the processor is, and prints in which
/// functions of the kernel one of the repetitions spends its time.
void profile(std::string_view title, int count, const std::function<void(int)>& repeat);

} // namespace kdbus::bench

#endif
