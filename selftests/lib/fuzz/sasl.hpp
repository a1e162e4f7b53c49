// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_FUZZ_SASL_HPP
#define KDBUS_SELFTESTS_FUZZ_SASL_HPP

#include "fuzz.hpp"

namespace fuzz {

/// Feeds a conversation as it comes from a socket, @p step bytes at a time; gives how much was
/// used.
template <class Sasl>
std::size_t converse(Sasl& sasl, std::string_view input, std::size_t step, std::string& output) {
    std::size_t used = 0;
    for (std::size_t there = std::min(step, input.size());;
         there = std::min(there + step, input.size())) {
        const auto rest = input.substr(used, there - used);
        const auto count = sasl.feed(rest, output);
        REQUIRE(count <= rest.size());
        used += count;
        if (there == input.size())
            return used;
    }
}

/// The same conversation, whatever the pieces it comes in. @p make makes an end of it.
template <class Make>
void check_conversation(std::string_view input, std::size_t step, const Make& make) {
    std::string all_output, step_output;
    auto all = make(all_output);
    auto steps = make(step_output);
    const auto all_used = converse(all, input, input.size() + 1, all_output);
    const auto step_used = converse(steps, input, step, step_output);
    REQUIRE(all.state() == steps.state());
    REQUIRE(all.fds_agreed() == steps.fds_agreed());
    REQUIRE(all_output == step_output);
    REQUIRE(all_used == step_used);
}

} // namespace fuzz

#endif
