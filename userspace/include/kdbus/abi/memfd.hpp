// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_MEMFD_HPP
#define KDBUS_ABI_MEMFD_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/export.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace kdbus::abi {

/// A piece of a file mapped into memory; unmapped on destruction.
class KDBUS_EXPORT Mapping {
public:
    /// What the mapping is for.
    enum class Access { read, write };

    Mapping() noexcept = default;
    Mapping(Mapping&& other) noexcept
        : base_(std::exchange(other.base_, nullptr)), length_(std::exchange(other.length_, 0)),
          bytes_(std::exchange(other.bytes_, {})) {}
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    /// Maps bytes [@p start, @p start + @p size) of a file; @p start need not be
    /// page-aligned, @p size 0 gives an empty mapping. Writable mappings are
    /// shared with the file. Errors: those of mmap; EOVERFLOW if the range
    /// wraps or exceeds the address space.
    [[nodiscard]] static Result<Mapping> map(int fd, std::uint64_t start, std::uint64_t size,
                                             Access access) noexcept;

    /// The bytes asked for.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
    /// To be written to only if mapped with Access::write.
    [[nodiscard]] std::span<std::byte> writable() noexcept { return bytes_; }

private:
    void* base_ = nullptr;
    std::size_t length_ = 0;
    std::span<std::byte> bytes_;
};

/// A memory file whose contents can never change again, as the kernel demands
/// of payload in memory files (messages.md 2.3). It can be sent any number of
/// times and mapped by any number of receivers without a copy.
class KDBUS_EXPORT SealedMemfd {
public:
    SealedMemfd() noexcept = default;

    /// Takes over a memory file from elsewhere. Seals it if it still can be
    /// sealed. Errors: EMEDIUMTYPE if it is no sealable file, EPERM or EBUSY if
    /// a missing seal cannot be added (EBUSY: somebody has it mapped for writing).
    [[nodiscard]] static Result<SealedMemfd> adopt(UniqueFd fd) noexcept;

    /// A sealed copy of @p content. Errors: those of memfd_create and write.
    [[nodiscard]] static Result<SealedMemfd> copy(std::span<const std::byte> content,
                                                  const char* name = "kdbus") noexcept;

    /// The descriptor, owned here.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// Bytes in the file.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// Maps all of it for reading.
    [[nodiscard]] Result<Mapping> map() const noexcept;
    /// Hands out the descriptor.
    [[nodiscard]] UniqueFd release() && noexcept { return std::move(fd_); }

private:
    friend class MemfdWriter;
    SealedMemfd(UniqueFd fd, std::uint64_t size) noexcept : fd_(std::move(fd)), size_(size) {}

    UniqueFd fd_;
    std::uint64_t size_ = 0;
};

/// A memory file under construction: write into bytes(), then seal().
class KDBUS_EXPORT MemfdWriter {
public:
    /// A new file of @p size zero bytes, mapped for writing. @p name shows up in
    /// /proc only. Errors: those of memfd_create, ftruncate, mmap.
    [[nodiscard]] static Result<MemfdWriter> create(std::uint64_t size,
                                                    const char* name = "kdbus") noexcept;

    /// The contents, writable until seal().
    [[nodiscard]] std::span<std::byte> bytes() noexcept { return mapping_.writable(); }

    /// Unmaps and seals the file; the writer is used up. Errors: EBUSY if a
    /// copy of the mapping made by fork() still exists elsewhere.
    [[nodiscard]] Result<SealedMemfd> seal() && noexcept;
    /// The same, with the file cut (or filled with zeros) to @p size bytes. Errors: those of
    /// ftruncate, too.
    [[nodiscard]] Result<SealedMemfd> seal(std::uint64_t size) && noexcept;

private:
    MemfdWriter(UniqueFd fd, Mapping mapping) noexcept
        : fd_(std::move(fd)), mapping_(std::move(mapping)) {}

    UniqueFd fd_;
    Mapping mapping_;
};

} // namespace kdbus::abi

#endif
