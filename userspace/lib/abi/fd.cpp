// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/abi/fd.hpp>

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace kdbus::abi {

void UniqueFd::reset(int fd) noexcept {
    const int old = std::exchange(fd_, fd < 0 ? -1 : fd);
    if (old < 0 || old == fd_)
        return;
    // Destructors run on error paths, whose errno must survive.
    const int saved = errno;
    close(old);
    errno = saved;
}

Result<UniqueFd> UniqueFd::duplicate() const noexcept {
    const int copy = fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return fail();
    return UniqueFd(copy);
}

} // namespace kdbus::abi
