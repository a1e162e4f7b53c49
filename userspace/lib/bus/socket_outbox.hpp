// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_SOCKET_OUTBOX_HPP
#define KDBUS_LIB_BUS_SOCKET_OUTBOX_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/message.hpp>

#include <cstddef>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

namespace kdbus::detail {

/// What is to be written to a socket: straight from the caller's memory as long as the socket
/// takes it, from copies afterwards.
class SocketOutbox {
public:
    /// What came of flush().
    enum class Flushed {
        all,     ///< nothing is left that may be written
        blocked, ///< the socket is full: go on when it is writable
        later,   ///< the system passes no more descriptors now: go on after a while
    };

    /// So many bytes may wait, or one message.
    static constexpr std::size_t max_bytes = wire::max_message_size;

    /// Text that goes before all messages.
    void push_text(std::string_view text);
    /// From now on messages are written, too.
    void open() noexcept { open_ = true; }

    /// Sends a message; what the socket does not take now waits, with copies of the descriptors
    /// (which travel with the first byte). Errors, after which nothing of it was sent: ENOBUFS too
    /// much waits; EMFILE; EPIPE, ECONNRESET the peer is lost; others of sendmsg and of duplicating
    /// a descriptor.
    [[nodiscard]] abi::Result<void> send(int socket, std::span<const std::byte> head,
                                         std::span<const std::byte> body, std::span<const int> fds);
    /// Writes what waits, as far as the socket takes it. Errors: those of sendmsg; the peer is lost
    /// then.
    [[nodiscard]] abi::Result<Flushed> flush(int socket);

    /// Whether there is anything that may be written.
    [[nodiscard]] bool idle() const noexcept { return open_ ? queue_.empty() : texts_ == 0; }
    /// Whether descriptors are among what waits.
    [[nodiscard]] bool has_fds() const noexcept;
    /// Forgets everything.
    void clear() noexcept;

private:
    struct Entry {
        wire::Buffer bytes;
        std::vector<abi::UniqueFd> fds;
    };
    [[nodiscard]] abi::Result<void> push(std::span<const std::byte> head,
                                         std::span<const std::byte> body, std::span<const int> fds);
    void written(std::size_t count) noexcept;

    std::deque<Entry> queue_;
    std::size_t texts_ = 0; ///< so many entries in front are text
    std::size_t done_ = 0;  ///< bytes of the first entry that are written
    std::size_t bytes_ = 0; ///< that wait
    bool open_ = false;
};

} // namespace kdbus::detail

#endif
