// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sasl.hpp"

#include "lib/bus/sasl_client.hpp"

using kdbus::detail::SaslClient;

namespace {
constexpr const char* guid = "0123456789abcdef0123456789abcdef";
}

std::vector<std::string> fuzz::seeds() {
    return {fuzz::seed(1, 3, "OK ", guid, "\r\nAGREE_UNIX_FD\r\n"),
            fuzz::seed(3, 1, "OK ", guid, "\r\nERROR no\r\n"),
            fuzz::seed(0, 9, "OK ", guid, "\r\nl\1\0\1"),
            fuzz::seed(0, 5, "REJECTED EXTERNAL\r\n")};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto mode = input.byte();
    const std::size_t step = input.byte() + 1;
    const auto text = input.text();
    fuzz::check_conversation(fuzz::view(text), step, [&](std::string& output) {
        return SaslClient(1000, (mode & 1) != 0, (mode & 2) != 0 ? guid : "", output);
    });
    return 0;
}
