// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_FDS_HPP
#define KDBUS_WIRE_FDS_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <kdbus/wire/error.hpp>

/// Descriptors that travel beside a body: values of type h in it are indices into them.
namespace kdbus::wire {

/// Descriptors to send with a message, in order. Does not own them.
class FdList {
public:
    /// Most descriptors that one message can carry.
    static constexpr std::size_t max_size = 16;

    /// Adds a descriptor; returns its index, nothing if the list is full.
    [[nodiscard]] std::optional<std::uint32_t> add(int fd) noexcept {
        if (size_ == max_size)
            return std::nullopt;
        fds_[size_] = fd;
        return static_cast<std::uint32_t>(size_++);
    }
    /// Adds several; false, with none added, if there is no room for all.
    [[nodiscard]] bool add(std::span<const int> fds) noexcept {
        if (fds.size() > max_size - size_)
            return false;
        std::copy(fds.begin(), fds.end(), fds_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += fds.size();
        return true;
    }
    /// Whether there are none.
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    /// All, in order.
    [[nodiscard]] std::span<const int> all() const noexcept { return {fds_.data(), size_}; }

private:
    std::array<int, max_size> fds_; // only the first size_ mean anything
    std::size_t size_ = 0;
};

/// Where a Reader gets descriptors from.
struct FdSource {
    void* object = nullptr; ///< for take
    /// Hands out the descriptor with that index, which is the caller's then. Errors: no_such_fd,
    /// fd_lost.
    Result<int> (*take)(void* object, std::uint32_t index) = nullptr;
};

} // namespace kdbus::wire

#endif
