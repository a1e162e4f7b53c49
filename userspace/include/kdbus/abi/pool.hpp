// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_POOL_HPP
#define KDBUS_ABI_POOL_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/abi/memfd.hpp>
#include <kdbus/export.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace kdbus::abi {

/// A connection's receive memory, mapped for reading, and its handle (abi.md 7).
/// Shared by the connection and the slices handed out from it. Immutable, hence
/// usable from several threads at once.
class KDBUS_EXPORT Pool {
public:
    /// Takes over a handle after HELLO and the mapping of its pool.
    Pool(UniqueFd handle, Mapping memory) noexcept
        : handle_(std::move(handle)), memory_(std::move(memory)) {}

    /// The handle, owned here.
    [[nodiscard]] int fd() const noexcept { return handle_.get(); }
    /// In bytes.
    [[nodiscard]] std::uint64_t size() const noexcept { return memory_.bytes().size(); }
    /// The bytes of a slice; empty if they would not lie inside the pool.
    [[nodiscard]] std::span<const std::byte> bytes(std::uint64_t offset,
                                                   std::uint64_t size) const noexcept;
    /// KDBUS_CMD_FREE (abi.md 6.7). Errors: ENXIO not handed out; ECONNRESET ended.
    Result<void> free(std::uint64_t offset) const noexcept;

private:
    UniqueFd handle_;
    Mapping memory_;
};

/// A piece of the pool that the kernel handed out: given back on destruction.
/// May outlive its Connection object; its memory stays readable.
class KDBUS_EXPORT Slice {
public:
    Slice() noexcept = default;
    /// Takes over [@p offset, @p offset + @p size), as reported by the kernel. With
    /// the pool's size as offset (an empty result) there is nothing to give back.
    Slice(std::shared_ptr<const Pool> pool, std::uint64_t offset, std::uint64_t size) noexcept;
    Slice(Slice&& other) noexcept
        : pool_(std::move(other.pool_)), offset_(other.offset_),
          bytes_(std::exchange(other.bytes_, {})) {}
    Slice& operator=(Slice&& other) noexcept;
    ~Slice() { reset(); }

    /// The bytes, until this is given back.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
    /// Where it is in the pool.
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
    /// Gives the memory back now.
    void reset() noexcept;

private:
    std::shared_ptr<const Pool> pool_;
    std::uint64_t offset_ = 0;
    std::span<const std::byte> bytes_;
};

} // namespace kdbus::abi

#endif
