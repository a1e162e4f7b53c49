// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cancellation.hpp"

#include <cerrno>
#include <string>
#include <sys/eventfd.h>
#include <utility>

namespace kdbus::detail {

Error cancelled(std::string_view what) {
    return {error_names::cancelled, std::string(what) + " was cancelled"};
}

Result<void> CancelFd::make(const std::stop_token& token, std::optional<CancelFd>& cancel) {
    if (!token.stop_possible())
        return {};
    abi::UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd)
        return Error::from_errno(errno, "Event descriptor");
    cancel.emplace(token, std::move(fd));
    return {};
}

void CancelFd::Signal::operator()() const noexcept {
    (void)eventfd_write(fd, 1);
}

} // namespace kdbus::detail
