// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_BUFFER_POOL_HPP
#define KDBUS_LIB_BUS_BUFFER_POOL_HPP

#include <kdbus/wire/buffer.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace kdbus::detail {

/// Buffers that keep their memory between uses. Several can be out at once: a handler that makes up
/// an answer may send other messages meanwhile. Must outlive what is borrowed.
class BufferPool {
public:
    class Borrowed {
    public:
        Borrowed(BufferPool& pool, wire::Buffer buffer) noexcept
            : pool_(pool), buffer_(std::move(buffer)) {}
        Borrowed(const Borrowed&) = delete;
        ~Borrowed() { pool_.give_back(std::move(buffer_)); }
        wire::Buffer& operator*() noexcept { return buffer_; }
        wire::Buffer* operator->() noexcept { return &buffer_; }

    private:
        BufferPool& pool_;
        wire::Buffer buffer_;
    };

    BufferPool() { idle_.reserve(max_idle); }

    [[nodiscard]] Borrowed borrow() noexcept {
        if (idle_.empty())
            return {*this, wire::Buffer()};
        wire::Buffer buffer = std::move(idle_.back());
        idle_.pop_back();
        return {*this, std::move(buffer)};
    }

private:
    static constexpr std::size_t max_idle = 4;
    /// One huge message shall not occupy memory for ever.
    static constexpr std::size_t max_kept = std::size_t{256} * 1024;

    void give_back(wire::Buffer buffer) noexcept {
        if (idle_.size() >= max_idle || buffer.capacity() > max_kept)
            return;
        buffer.clear();
        idle_.push_back(std::move(buffer));
    }

    std::vector<wire::Buffer> idle_;
};

} // namespace kdbus::detail

#endif
