// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_MESSAGE_HPP
#define KDBUS_ABI_MESSAGE_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/abi/item.hpp>
#include <kdbus/abi/memfd.hpp>
#include <kdbus/abi/metadata.hpp>
#include <kdbus/abi/pool.hpp>
#include <kdbus/export.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

namespace kdbus::abi {

/// One piece of a received payload (messages.md 2.2, 2.3).
struct KDBUS_EXPORT Piece {
    /// Where the payload is.
    enum class Kind : std::uint8_t {
        bytes, ///< in the pool: data
        zeros, ///< that many zero bytes, without memory behind them
        memfd, ///< in a sealed memory file: map() it
    };
    Kind kind = Kind::bytes; ///< where it is
    /// Bytes of payload; for Kind::bytes the same as data.size().
    std::uint64_t size = 0;
    std::span<const std::byte> data; ///< Kind::bytes: the payload
    /// Kind::memfd: where the payload starts in the file.
    std::uint64_t start = 0;
    /// Kind::memfd: its descriptor, which belongs to the message; -1 if it could not be installed.
    int fd = -1;
    /// Kind::memfd: its number among the message's memory files, for take_memfd().
    std::size_t memfd_index = 0;

    /// Maps a Kind::memfd piece for reading; the mapping outlives the message.
    /// Its seals guarantee that neither size nor contents change. Errors: EBADF if
    /// there is no descriptor, EINVAL for other kinds, those of mmap.
    [[nodiscard]] Result<Mapping> map() const noexcept;
};

/// The kernel's notification in a message (messages.md 8).
struct NameNotification {
    std::uint64_t type = 0;             ///< KDBUS_ITEM_NAME_ADD, _REMOVE or _CHANGE
    kdbus_notify_id_change old_owner{}; ///< id 0: nobody; flags: KDBUS_NAME_*
    kdbus_notify_id_change new_owner{}; ///< likewise
    std::string_view name;              ///< whose owner changed
};
/// A connection appeared, or ended.
struct IdNotification {
    std::uint64_t type = 0;              ///< KDBUS_ITEM_ID_ADD or _REMOVE
    kdbus_notify_id_change connection{}; ///< flags: KDBUS_HELLO_*
};
/// A call of ours ended without a reply.
struct ReplyNotification {
    std::uint64_t type = 0;   ///< KDBUS_ITEM_REPLY_TIMEOUT or _DEAD
    std::uint64_t cookie = 0; ///< of the call
};
/// One of these.
using Notification = std::variant<NameNotification, IdNotification, ReplyNotification>;

/// A message as it lies in the pool: a checked view on a slice.
///
/// Whatever the bytes say, no accessor reads outside the slice.
class KDBUS_EXPORT MessageView {
public:
    MessageView() noexcept = default;

    /// Checks the outer form: alignment, header inside the slice, items that
    /// chain up to the header's size, payload pieces inside the slice. Errors: EBADMSG.
    [[nodiscard]] static Result<MessageView> parse(std::span<const std::byte> slice) noexcept;

    /// The header: cookie, src_id, dst_id, flags, priority, payload_type, ...
    [[nodiscard]] const kdbus_msg& header() const noexcept {
        return slice_.empty() ? empty_header : *reinterpret_cast<const kdbus_msg*>(slice_.data());
    }
    /// Whether the kernel itself sent it.
    [[nodiscard]] bool is_kernel() const noexcept {
        return header().payload_type == KDBUS_PAYLOAD_KERNEL;
    }
    /// All items.
    [[nodiscard]] ItemRange items() const noexcept;
    /// The items about the sender.
    [[nodiscard]] Metadata metadata() const noexcept { return Metadata(items()); }
    /// The name the sender addressed; nothing if it used an id only.
    [[nodiscard]] std::optional<std::string_view> dst_name() const noexcept;
    /// The descriptors as installed, -1 for each that could not be. They belong to the
    /// message; see ReceivedMessage::take_fd().
    [[nodiscard]] std::span<const int> fds() const noexcept;
    /// The notification if the kernel sent this; nothing if it is malformed or if there
    /// is more than one (messages.md 13.21).
    [[nodiscard]] std::optional<Notification> notification() const noexcept;

    /// Bytes of all payload pieces together, holes and memory files included.
    /// A sender can claim far more than it pays for: holes and sparse memory files
    /// use no memory. Bound this before anything of that size is allocated.
    [[nodiscard]] std::uint64_t payload_size() const noexcept;

    /// Calls @p visit(const Piece&) for each payload piece in order.
    template <class Visitor>
    void for_each_piece(Visitor&& visit) const {
        std::size_t memfds = 0;
        for (const Item& item : items())
            if (auto piece = piece_of(item, memfds))
                visit(*piece);
    }

private:
    explicit MessageView(std::span<const std::byte> slice) noexcept : slice_(slice) {}
    [[nodiscard]] std::optional<Piece> piece_of(const Item& item,
                                                std::size_t& memfds) const noexcept;

    static const kdbus_msg empty_header;

    std::span<const std::byte> slice_;
};

/// A message received: owns its slice of the pool and its descriptors.
///
/// Both are given back on destruction, except descriptors that were taken.
/// Not thread-safe itself; different messages may be used in different threads.
class KDBUS_EXPORT ReceivedMessage : public MessageView {
public:
    ReceivedMessage() noexcept = default;
    /// Takes over a slice. @p owns_fds: false if the message was only peeked at,
    /// where the kernel shows -1 and keeps the descriptors. Errors: EBADMSG as in
    /// parse(); the slice is given back then.
    [[nodiscard]] static Result<ReceivedMessage> adopt(Slice slice, std::uint64_t return_flags,
                                                       bool owns_fds = true) noexcept;
    ReceivedMessage(ReceivedMessage&& other) noexcept;
    ReceivedMessage& operator=(ReceivedMessage&& other) noexcept;
    ~ReceivedMessage();

    /// True if not every descriptor could be installed (KDBUS_RECV_RETURN_INCOMPLETE_FDS).
    [[nodiscard]] bool incomplete_fds() const noexcept {
        return (return_flags_ & KDBUS_RECV_RETURN_INCOMPLETE_FDS) != 0;
    }

    /// Hands out the descriptor number @p index of fds(). Errors: ENOENT no such
    /// entry or taken before; EBADF it could not be installed.
    [[nodiscard]] Result<UniqueFd> take_fd(std::size_t index) noexcept;
    /// Hands out the memory file of the piece with that memfd_index. Same errors.
    [[nodiscard]] Result<UniqueFd> take_memfd(std::size_t memfd_index) noexcept;

    /// The slice's place in the pool.
    [[nodiscard]] const Slice& slice() const noexcept { return slice_; }

private:
    ReceivedMessage(MessageView view, Slice slice, std::uint64_t return_flags,
                    bool owns_fds) noexcept
        : MessageView(view), slice_(std::move(slice)), return_flags_(return_flags),
          owns_fds_(owns_fds) {}
    void close_fds() noexcept;

    Slice slice_;
    std::uint64_t return_flags_ = 0;
    /// A bit per descriptor that was taken; the kernel allows 16 of each kind.
    std::uint64_t taken_fds_ = 0;
    std::uint64_t taken_memfds_ = 0;
    bool owns_fds_ = false;
};

} // namespace kdbus::abi

#endif
