// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_ABI_COMMAND_HPP
#define KDBUS_LIB_ABI_COMMAND_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/item.hpp>

#include <linux/kdbus.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>

namespace kdbus::abi {

/// Issues a command, again if a signal interrupted it before it took effect.
/// Not for synchronous sends, where EINTR has a meaning of its own.
Result<void> command(int fd, unsigned long number, void* argument) noexcept;

/// Largest fixed part plus one item holding the longest well-known name.
inline constexpr std::size_t named_command_size =
    sizeof(kdbus_cmd_info) + item_header_size + align8(KDBUS_NAME_MAX_LEN + 1);

/// Builds a command or message in memory that the caller provides: a fixed part,
/// then items, each on an 8-byte boundary with zeros in between.
class CommandWriter {
public:
    /// @p buffer must be 8-byte aligned and outlive the writer.
    explicit CommandWriter(std::span<std::byte> buffer) noexcept : buffer_(buffer) {}

    /// Appends the fixed part; its size field is filled in by finish().
    template <class T>
    void fixed(const T& head) noexcept {
        append(std::as_bytes(std::span(&head, 1)));
    }

    /// Appends an item whose payload is these pieces, one after the other.
    void item(std::uint64_t type,
              std::initializer_list<std::span<const std::byte>> payload) noexcept {
        pad();
        std::uint64_t size = item_header_size;
        for (auto piece : payload)
            size += piece.size();
        const std::array<std::uint64_t, 2> head{size, type};
        append(std::as_bytes(std::span(head)));
        for (auto piece : payload)
            append(piece);
    }
    template <class T>
    void item(std::uint64_t type, const T& payload) noexcept {
        item(type, {std::as_bytes(std::span(&payload, 1))});
    }
    /// Appends an item with a string and its NUL, behind an optional head.
    void string_item(std::uint64_t type, std::string_view text,
                     std::span<const std::byte> head = {}) noexcept {
        static constexpr std::byte nul{};
        item(type, {head, std::as_bytes(std::span(text)), std::span(&nul, 1)});
    }

    /// Stores the size. Errors: ENOBUFS if the buffer was too small.
    Result<std::size_t> finish() noexcept {
        if (overflow_)
            return fail(ENOBUFS);
        const std::uint64_t size = used_;
        std::memcpy(buffer_.data(), &size, sizeof size);
        return used_;
    }

private:
    void append(std::span<const std::byte> bytes) noexcept {
        if (overflow_ || bytes.size() > buffer_.size() - used_) {
            overflow_ = true;
            return;
        }
        if (!bytes.empty())
            std::memcpy(buffer_.data() + used_, bytes.data(), bytes.size());
        used_ += bytes.size();
    }
    void pad() noexcept {
        static constexpr std::array<std::byte, 8> zeros{};
        append(std::span(zeros).first(align8(used_) - used_));
    }

    std::span<std::byte> buffer_;
    std::size_t used_ = 0;
    bool overflow_ = false;
};

} // namespace kdbus::abi

#endif
