// SPDX-License-Identifier: LGPL-2.1-or-later
#include "command.hpp"

#include <sys/ioctl.h>

namespace kdbus::abi {

Result<void> command(int fd, unsigned long number, void* argument) noexcept {
    while (ioctl(fd, number, argument) < 0)
        if (errno != EINTR)
            return fail();
    return {};
}

} // namespace kdbus::abi
