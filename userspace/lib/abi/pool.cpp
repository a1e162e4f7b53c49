// SPDX-License-Identifier: LGPL-2.1-or-later
#include "command.hpp"

#include <kdbus/abi/pool.hpp>

#include <cerrno>

namespace kdbus::abi {

std::span<const std::byte> Pool::bytes(std::uint64_t offset, std::uint64_t size) const noexcept {
    const auto all = memory_.bytes();
    if (offset > all.size() || size > all.size() - offset)
        return {};
    return all.subspan(offset, size);
}

Result<void> Pool::free(std::uint64_t offset) const noexcept {
    kdbus_cmd_free cmd{.size = sizeof cmd, .offset = offset};
    return command(fd(), KDBUS_CMD_FREE, &cmd);
}

Slice::Slice(std::shared_ptr<const Pool> pool, std::uint64_t offset, std::uint64_t size) noexcept
    : pool_(std::move(pool)), offset_(offset) {
    if (pool_ && offset_ == pool_->size())
        pool_.reset();
    else if (pool_)
        bytes_ = pool_->bytes(offset, size);
}

Slice& Slice::operator=(Slice&& other) noexcept {
    if (this != &other) {
        reset();
        pool_ = std::move(other.pool_);
        offset_ = other.offset_;
        bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
}

void Slice::reset() noexcept {
    bytes_ = {};
    if (!pool_)
        return;
    // Fails only after the connection ended, when everything is given back anyway.
    const int saved = errno;
    (void)pool_->free(offset_);
    errno = saved;
    pool_.reset();
}

} // namespace kdbus::abi
