// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_FD_HPP
#define KDBUS_ABI_FD_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/export.hpp>

#include <utility>

namespace kdbus::abi {

/// Owner of one file descriptor. Not thread-safe, as a plain int would not be.
class KDBUS_EXPORT UniqueFd {
public:
    UniqueFd() noexcept = default;
    /// Takes over @p fd; any negative value means "none".
    explicit UniqueFd(int fd) noexcept : fd_(fd < 0 ? -1 : fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }
    ~UniqueFd() { reset(); }

    /// The descriptor, still owned here; -1 if there is none.
    [[nodiscard]] int get() const noexcept { return fd_; }
    /// Whether there is one.
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

    /// Hands the descriptor to the caller, who must close it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    /// Closes what is owned and takes over @p fd.
    void reset(int fd = -1) noexcept;

    /// A second, close-on-exec descriptor of the same open file. Errors: EBADF, EMFILE.
    [[nodiscard]] Result<UniqueFd> duplicate() const noexcept;

private:
    int fd_ = -1;
};

} // namespace kdbus::abi

#endif
