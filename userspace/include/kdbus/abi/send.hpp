// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_SEND_HPP
#define KDBUS_ABI_SEND_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/export.hpp>

#include <linux/kdbus.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kdbus::abi {

/// A piece of the payload of a message to send (messages.md 2.2, 2.3). A view:
/// what it points to must stay valid and unchanged until the send returns.
class Part {
public:
    /// Where the payload is.
    enum class Kind : std::uint8_t { bytes, zeros, memfd };

    /// Memory, at most 2 MiB per piece (KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE). Empty
    /// pieces are left out of the message.
    [[nodiscard]] static Part bytes(std::span<const std::byte> data) noexcept {
        return {Kind::bytes, data.data(), data.size(), 0, -1};
    }
    /// That many zero bytes, which use no memory at the receiver; at most 2 MiB.
    [[nodiscard]] static Part zeros(std::uint64_t size) noexcept {
        return {Kind::zeros, nullptr, size, 0, -1};
    }
    /// Bytes [start, start + size) of a fully sealed memory file (SealedMemfd).
    [[nodiscard]] static Part memfd(int fd, std::uint64_t start, std::uint64_t size) noexcept {
        return {Kind::memfd, nullptr, size, start, fd};
    }

    /// Which of the three.
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    /// Kind::bytes: where they are.
    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    /// Bytes of payload.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// Kind::memfd: first byte in the file.
    [[nodiscard]] std::uint64_t start() const noexcept { return start_; }
    /// Kind::memfd: its descriptor, still the caller's.
    [[nodiscard]] int fd() const noexcept { return fd_; }

private:
    Part(Kind kind, const std::byte* data, std::uint64_t size, std::uint64_t start, int fd) noexcept
        : data_(data), size_(size), start_(start), fd_(fd), kind_(kind) {}

    const std::byte* data_;
    std::uint64_t size_;
    std::uint64_t start_;
    int fd_;
    Kind kind_;
};

/// The Bloom filter of a signal: as many bytes as the bus says (messages.md 7.1).
struct BloomFilter {
    std::uint64_t generation = 0;         ///< which of a match's masks is meant (abi.md 10.2)
    std::span<const std::uint64_t> words; ///< the bits
};

/// A message to send (messages.md 1). A view on the caller's memory.
struct OutgoingMessage {
    /// Receiver: a connection id; KDBUS_DST_ID_NAME (0) if dst_name decides; or
    /// KDBUS_DST_ID_BROADCAST. Both an id and a name: the name's owner must be
    /// that connection, else EREMCHG.
    std::uint64_t dst_id = KDBUS_DST_ID_NAME;
    std::string_view dst_name; ///< receiver by name
    /// KDBUS_MSG_EXPECT_REPLY, KDBUS_MSG_NO_AUTO_START, KDBUS_MSG_SIGNAL.
    std::uint64_t flags = 0;
    /// Lower values are more urgent.
    std::int64_t priority = 0;
    /// what the payload is; the kernel does not care
    std::uint64_t payload_type = KDBUS_PAYLOAD_DBUS;
    /// Number of the message; a call with cookie 0 cannot be answered.
    std::uint64_t cookie = 0;
    /// Calls (EXPECT_REPLY): deadline in absolute CLOCK_MONOTONIC nanoseconds, not 0;
    /// see deadline_after(). Other messages: must be 0.
    std::uint64_t timeout_ns = 0;
    /// Replies: cookie of the call. Calls: must be 0 (the field is shared).
    std::uint64_t cookie_reply = 0;
    std::span<const Part> payload; ///< the pieces, in order
    /// Descriptors to pass, at most 16; they stay the caller's.
    std::span<const int> fds;
    /// Signals must have one, other messages must not.
    std::optional<BloomFilter> bloom;
};

/// The deadline that is @p timeout from now, in absolute CLOCK_MONOTONIC
/// nanoseconds. Saturates: a huge timeout means "never" (2^62 ns), a negative
/// one "at once"; never 0 (dbus-on-kdbus.md 12.10).
[[nodiscard]] KDBUS_EXPORT std::uint64_t deadline_after(std::chrono::nanoseconds timeout) noexcept;

/// Bytes encode() needs: the message's header and items, the last one unpadded.
[[nodiscard]] KDBUS_EXPORT std::uint64_t encoded_size(const OutgoingMessage& message) noexcept;

/// Writes struct kdbus_msg and its items, as KDBUS_CMD_SEND takes them, in this
/// order: DST_NAME, payload in order, BLOOM_FILTER, FDS (dbus-on-kdbus.md 1.6).
/// Pure: touches nothing but @p buffer, which must be 8-byte aligned. Gives the
/// number of bytes written. Errors: EMSGSIZE if more than KDBUS_CMD_MAX_SIZE;
/// ENOBUFS if @p buffer is too small; EINVAL for a call with a cookie_reply, a
/// non-call with a timeout_ns, or a misaligned buffer. Everything else is left to the
/// kernel to judge.
[[nodiscard]] KDBUS_EXPORT Result<std::size_t> encode(const OutgoingMessage& message,
                                                      std::span<std::byte> buffer) noexcept;

} // namespace kdbus::abi

#endif
