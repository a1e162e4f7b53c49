// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_SOCKET_INBOX_HPP
#define KDBUS_LIB_BUS_SOCKET_INBOX_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/error.hpp>

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace kdbus::detail {

/// What came in from a socket and was not used yet: bytes and descriptors.
///
/// Bytes arrive in one block of memory that is used again and again. A message that is longer, or
/// arrives in parts, is received where it stays; memory for it grows with what really arrived,
/// never with what a header announces.
class SocketInbox {
public:
    /// What came of fill().
    enum class Receipt {
        data,    ///< something arrived
        nothing, ///< nothing is there
        end,     ///< nothing will come any more
    };

    /// More than that many bytes of text or descriptors cannot wait.
    static constexpr std::size_t block_size = std::size_t{64} * 1024;
    static constexpr std::size_t max_fds = 512;

    /// Receives what is there, without waiting. Errors: those of recvmsg; EMFILE: more descriptors
    /// than can belong to messages.
    [[nodiscard]] abi::Result<Receipt> fill(int socket);

    /// Bytes before the first message, for the conversation that precedes messages.
    [[nodiscard]] std::string_view text() const noexcept;
    /// Marks the first bytes of text() as used.
    void consume(std::size_t count) noexcept { begin_ += count; }

    /// The next complete message in D-Bus 1 form; nothing as long as there is none. Errors: what
    /// wire::dbus1_message_size() finds wrong with its beginning; no_memory.
    [[nodiscard]] wire::Result<std::optional<wire::Buffer>> next();
    /// Takes memory for a message to come, one that was used up.
    void reuse(wire::Buffer memory) noexcept;
    /// Whether next() has something to say without another fill().
    [[nodiscard]] bool ready() const noexcept;

    [[nodiscard]] std::size_t fd_count() const noexcept { return fds_.size(); }
    /// Takes the descriptors of a message that says it has @p count; false if there are less. In
    /// place of those that this process could not receive, having too many, stands none.
    [[nodiscard]] bool take_fds(std::size_t count, std::vector<abi::UniqueFd>& fds);

private:
    [[nodiscard]] bool grow_partial();

    std::unique_ptr<std::array<std::byte, block_size>> block_;
    std::size_t begin_ = 0; ///< of what is unused in the block
    std::size_t end_ = 0;
    wire::Buffer partial_;          ///< the beginning of an incomplete message
    std::size_t partial_size_ = 0;  ///< of that message; 0: there is none, the block comes next
    std::deque<abi::UniqueFd> fds_; ///< none: from here on some of a message's were lost
};

} // namespace kdbus::detail

#endif
