// SPDX-License-Identifier: LGPL-2.1-or-later
#include "log.hpp"

#include <cstdio>
#include <cstdlib>

namespace kdbus::proxy::log {

namespace {
bool is_verbose = false;
} // namespace

void set_verbose(bool verbose) {
    is_verbose = verbose;
}
bool verbose() {
    return is_verbose;
}

void write(int priority, std::string_view text) {
    static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
    if (journal)
        fmt::print(stderr, "<{}>{}\n", priority, text);
    else
        fmt::print(stderr, "bus-proxy: {}\n", text);
}

} // namespace kdbus::proxy::log
