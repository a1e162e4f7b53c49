// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/abi/message.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <unistd.h>
#include <utility>

namespace kdbus::abi {
namespace {

/// Bits in the masks of taken descriptors.
constexpr std::size_t mask_bits = std::numeric_limits<std::uint64_t>::digits;

constexpr std::uint64_t hole_offset = ~std::uint64_t{0};

bool is_taken(std::uint64_t mask, std::size_t index) noexcept {
    return index < mask_bits && (mask >> index & 1) != 0;
}

/// Whether a PAYLOAD_OFF item points into the payload area of a slice.
bool vec_fits(const kdbus_vec& vec, std::uint64_t payload_start, std::uint64_t end) noexcept {
    return vec.offset == hole_offset ||
           (vec.offset >= payload_start && vec.offset <= end && vec.size <= end - vec.offset);
}

} // namespace

const kdbus_msg MessageView::empty_header{};

Result<Mapping> Piece::map() const noexcept {
    if (kind != Kind::memfd)
        return fail(EINVAL);
    if (fd < 0)
        return fail(EBADF);
    return Mapping::map(fd, start, size, Mapping::Access::read);
}

Result<MessageView> MessageView::parse(std::span<const std::byte> slice) noexcept {
    if (reinterpret_cast<std::uintptr_t>(slice.data()) % 8 != 0 || slice.size() < sizeof(kdbus_msg))
        return fail(EBADMSG);
    const MessageView view(slice);
    const std::uint64_t size = view.header().size;
    if (size < sizeof(kdbus_msg) || size > slice.size() || !view.items().well_formed())
        return fail(EBADMSG);
    std::uint64_t total = 0;
    for (const Item& item : view.items()) {
        std::uint64_t bytes = 0;
        switch (item.type()) {
        case KDBUS_ITEM_PAYLOAD_OFF: {
            const auto vec = item.as<kdbus_vec>();
            if (!vec || !vec_fits(*vec, align8(size), slice.size()))
                return fail(EBADMSG);
            bytes = vec->size;
            break;
        }
        case KDBUS_ITEM_PAYLOAD_MEMFD: {
            const auto memfd = item.as<kdbus_memfd>();
            if (!memfd)
                return fail(EBADMSG);
            bytes = memfd->size;
            break;
        }
        case KDBUS_ITEM_FDS:
            if (!item.array<int>())
                return fail(EBADMSG);
            break;
        default:
            break;
        }
        if (bytes > std::numeric_limits<std::uint64_t>::max() - total)
            return fail(EBADMSG);
        total += bytes;
    }
    return view;
}

ItemRange MessageView::items() const noexcept {
    if (slice_.empty())
        return {};
    return ItemRange(slice_.subspan(sizeof(kdbus_msg), header().size - sizeof(kdbus_msg)));
}

std::optional<std::string_view> MessageView::dst_name() const noexcept {
    const auto item = items().find(KDBUS_ITEM_DST_NAME);
    return item ? item->string() : std::nullopt;
}

std::span<const int> MessageView::fds() const noexcept {
    if (const auto item = items().find(KDBUS_ITEM_FDS))
        return item->array<int>().value_or(std::span<const int>());
    return {};
}

std::optional<Notification> MessageView::notification() const noexcept {
    if (slice_.empty() || !is_kernel())
        return std::nullopt;
    std::optional<Notification> found;
    for (const Item& item : items()) {
        if (item.type() < _KDBUS_ITEM_KERNEL_BASE)
            continue;
        if (found)
            return std::nullopt;
        switch (item.type()) {
        case KDBUS_ITEM_NAME_ADD:
        case KDBUS_ITEM_NAME_REMOVE:
        case KDBUS_ITEM_NAME_CHANGE: {
            const auto change = item.head_as<kdbus_notify_name_change>();
            const auto name = item.string(sizeof(kdbus_notify_name_change));
            if (!change || !name)
                return std::nullopt;
            found = NameNotification{item.type(), change->old_id, change->new_id, *name};
            break;
        }
        case KDBUS_ITEM_ID_ADD:
        case KDBUS_ITEM_ID_REMOVE: {
            const auto change = item.as<kdbus_notify_id_change>();
            if (!change)
                return std::nullopt;
            found = IdNotification{item.type(), *change};
            break;
        }
        case KDBUS_ITEM_REPLY_TIMEOUT:
        case KDBUS_ITEM_REPLY_DEAD:
            found = ReplyNotification{item.type(), header().cookie_reply};
            break;
        default:
            return std::nullopt;
        }
    }
    return found;
}

std::uint64_t MessageView::payload_size() const noexcept {
    std::uint64_t total = 0;
    for_each_piece([&](const Piece& piece) { total += piece.size; });
    return total;
}

std::optional<Piece> MessageView::piece_of(const Item& item, std::size_t& memfds) const noexcept {
    if (item.type() == KDBUS_ITEM_PAYLOAD_OFF) {
        const auto vec = item.as<kdbus_vec>();
        if (!vec || !vec_fits(*vec, align8(header().size), slice_.size()))
            return std::nullopt;
        if (vec->offset == hole_offset)
            return Piece{.kind = Piece::Kind::zeros, .size = vec->size};
        return Piece{.size = vec->size, .data = slice_.subspan(vec->offset, vec->size)};
    }
    if (item.type() == KDBUS_ITEM_PAYLOAD_MEMFD) {
        const auto memfd = item.as<kdbus_memfd>();
        if (!memfd)
            return std::nullopt;
        return Piece{.kind = Piece::Kind::memfd,
                     .size = memfd->size,
                     .start = memfd->start,
                     .fd = memfd->fd,
                     .memfd_index = memfds++};
    }
    return std::nullopt;
}

Result<ReceivedMessage> ReceivedMessage::adopt(Slice slice, std::uint64_t return_flags,
                                               bool owns_fds) noexcept {
    auto view = parse(slice.bytes());
    if (!view)
        return std::unexpected(view.error());
    return ReceivedMessage(*view, std::move(slice), return_flags, owns_fds);
}

ReceivedMessage::ReceivedMessage(ReceivedMessage&& other) noexcept
    : MessageView(std::exchange(static_cast<MessageView&>(other), {})),
      slice_(std::move(other.slice_)), return_flags_(other.return_flags_),
      taken_fds_(other.taken_fds_), taken_memfds_(other.taken_memfds_),
      owns_fds_(std::exchange(other.owns_fds_, false)) {}

ReceivedMessage& ReceivedMessage::operator=(ReceivedMessage&& other) noexcept {
    if (this != &other) {
        close_fds();
        static_cast<MessageView&>(*this) = std::exchange(static_cast<MessageView&>(other), {});
        slice_ = std::move(other.slice_);
        return_flags_ = other.return_flags_;
        taken_fds_ = other.taken_fds_;
        taken_memfds_ = other.taken_memfds_;
        owns_fds_ = std::exchange(other.owns_fds_, false);
    }
    return *this;
}

ReceivedMessage::~ReceivedMessage() {
    close_fds();
}

void ReceivedMessage::close_fds() noexcept {
    if (!std::exchange(owns_fds_, false))
        return;
    const auto all = fds();
    for (std::size_t i = 0; i < all.size(); ++i)
        if (!is_taken(taken_fds_, i))
            UniqueFd(all[i]).reset();
    for_each_piece([&](const Piece& piece) {
        if (piece.kind == Piece::Kind::memfd && !is_taken(taken_memfds_, piece.memfd_index))
            UniqueFd(piece.fd).reset();
    });
}

Result<UniqueFd> ReceivedMessage::take_fd(std::size_t index) noexcept {
    const auto all = fds();
    if (!owns_fds_ || index >= std::min(all.size(), mask_bits) || is_taken(taken_fds_, index))
        return fail(ENOENT);
    if (all[index] < 0)
        return fail(EBADF);
    taken_fds_ |= std::uint64_t{1} << index;
    return UniqueFd(all[index]);
}

Result<UniqueFd> ReceivedMessage::take_memfd(std::size_t memfd_index) noexcept {
    if (!owns_fds_ || memfd_index >= mask_bits || is_taken(taken_memfds_, memfd_index))
        return fail(ENOENT);
    Result<UniqueFd> result = fail(ENOENT);
    for_each_piece([&](const Piece& piece) {
        if (piece.kind != Piece::Kind::memfd || piece.memfd_index != memfd_index)
            return;
        if (piece.fd < 0)
            result = fail(EBADF);
        else
            result = UniqueFd(piece.fd);
    });
    if (result)
        taken_memfds_ |= std::uint64_t{1} << memfd_index;
    return result;
}

} // namespace kdbus::abi
