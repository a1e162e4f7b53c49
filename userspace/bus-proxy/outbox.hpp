// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_OUTBOX_HPP
#define KDBUS_PROXY_OUTBOX_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/wire/buffer.hpp>

#include <cstddef>
#include <deque>
#include <string_view>
#include <vector>

namespace kdbus::proxy {

/// Bytes for a client's socket, with the descriptors that belong to them.
struct Outgoing {
    wire::Buffer head;
    wire::Buffer body; ///< follows head; for bodies too long to copy once more
    std::vector<abi::UniqueFd> fds;

    [[nodiscard]] std::size_t size() const noexcept { return head.size() + body.size(); }
};

/// What waits to be written to a client's socket.
class Outbox {
public:
    /// What came of flush().
    enum class Flushed {
        all,     ///< nothing is left
        blocked, ///< the socket is full: go on when it is writable
        later,   ///< the system passes no more descriptors now: go on after a while
    };

    /// Throws std::bad_alloc.
    void push(Outgoing outgoing);
    void push_text(std::string_view text);

    /// Writes what the socket takes. Errors: those of sendmsg; the peer is lost then.
    [[nodiscard]] abi::Result<Flushed> flush(int socket);

    /// Bytes and descriptors that wait.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t fds() const noexcept { return fds_; }
    [[nodiscard]] bool empty() const noexcept { return queue_.empty(); }

    /// Forgets everything.
    void clear() noexcept;

private:
    void written(std::size_t count) noexcept;

    std::deque<Outgoing> queue_;
    std::size_t done_ = 0; ///< bytes of the first entry that are written
    std::size_t bytes_ = 0;
    std::size_t fds_ = 0;
};

} // namespace kdbus::proxy

#endif
