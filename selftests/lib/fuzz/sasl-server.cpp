// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sasl.hpp"

#include "lib/bus/sasl_server.hpp"

using kdbus::detail::SaslServer;

std::vector<std::string> fuzz::seeds() {
    return {fuzz::seed(1, 3, 0, "AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"),
            fuzz::seed(0, 1, 0, "AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\nl\1\0\1"),
            fuzz::seed(0, 1, 0, "AUTH\r\nAUTH ANONYMOUS\r\nCANCEL\r\nERROR\r\nDATA 3\r\n")};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto mode = input.byte();
    const std::size_t step = input.byte() + 1;
    const auto text = input.text();
    fuzz::check_conversation(fuzz::view(text), step, [&](std::string&) {
        return SaslServer("0123456789abcdef0123456789abcdef", 1000, (mode & 1) != 0);
    });
    return 0;
}
