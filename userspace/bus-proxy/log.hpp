// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_LOG_HPP
#define KDBUS_PROXY_LOG_HPP

#include <fmt/format.h>

#include <string_view>
#include <utility>

/// Lines on standard error, with the priority prefix that journald understands
/// when standard error goes there. Not thread-safe.
namespace kdbus::proxy::log {

/// Whether debug() says anything; off at first.
void set_verbose(bool verbose);
[[nodiscard]] bool verbose();

void write(int priority, std::string_view text);

template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    write(3, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(4, fmt::format(format, std::forward<Args>(args)...));
}

/// What clients do belongs here, not above: they must not be able to fill the log.
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (verbose())
        write(7, fmt::format(format, std::forward<Args>(args)...));
}

} // namespace kdbus::proxy::log

#endif
