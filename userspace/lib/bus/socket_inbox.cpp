// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_inbox.hpp"

#include <kdbus/wire/message.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <span>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>

namespace kdbus::detail {
namespace {

/// As many descriptors as Linux passes at once.
constexpr std::size_t max_received_fds = 253;

} // namespace

abi::Result<SocketInbox::Receipt> SocketInbox::fill(int socket) {
    if (!block_)
        block_ = std::make_unique_for_overwrite<std::array<std::byte, block_size>>();
    if (begin_ == end_) {
        begin_ = end_ = 0;
    } else if (end_ == block_size) {
        std::memmove(block_->data(), block_->data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    // First the rest of the message that has begun, then whatever follows it.
    std::array<iovec, 2> pieces{};
    std::size_t partial_room = 0;
    if (partial_size_ != 0) {
        if (!grow_partial())
            throw std::bad_alloc();
        partial_room = std::min(partial_.capacity(), partial_size_) - partial_.size();
        pieces[0] = {partial_.data() + partial_.size(), partial_room};
    }
    // Behind a part that is not the message's last the block would come too early.
    const bool whole = partial_size_ == partial_.size() + partial_room || partial_size_ == 0;
    pieces[1] = {block_->data() + end_, whole ? block_size - end_ : 0};

    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(max_received_fds * sizeof(int))> control;
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t received = 0;
    do
        received = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0) {
        if (errno == EAGAIN)
            return Receipt::nothing;
        if (errno == ECONNRESET)
            return Receipt::end;
        return abi::fail();
    }

    // Own every descriptor before anything below can fail.
    std::array<abi::UniqueFd, max_received_fds> fds;
    std::size_t count = 0;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < here && count < fds.size(); ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            fds[count++].reset(fd);
        }
    }
    if (fds_.size() + count > max_fds)
        return abi::fail(EMFILE);
    std::move(fds.begin(), fds.begin() + static_cast<std::ptrdiff_t>(count),
              std::back_inserter(fds_));
    if ((message.msg_flags & MSG_CTRUNC) != 0)
        fds_.emplace_back();

    if (received == 0)
        return Receipt::end;
    const auto bytes = static_cast<std::size_t>(received);
    const std::size_t to_partial = std::min(bytes, partial_room);
    (void)partial_.extend(to_partial); // there is room
    end_ += bytes - to_partial;
    return Receipt::data;
}

/// Makes room for at least one more byte of the message that has begun, and for as much as came
/// already.
bool SocketInbox::grow_partial() {
    const std::size_t missing = partial_size_ - partial_.size();
    return partial_.capacity() > partial_.size() ||
           partial_.reserve(std::min(missing, std::max(partial_.size(), block_size)));
}

std::string_view SocketInbox::text() const noexcept {
    if (begin_ == end_)
        return {};
    return {reinterpret_cast<const char*>(block_->data()) + begin_, end_ - begin_};
}

wire::Result<std::optional<wire::Buffer>> SocketInbox::next() {
    if (partial_size_ == 0) {
        if (end_ - begin_ < wire::dbus1_fixed_header_size)
            return std::nullopt;
        const auto bytes = std::span(*block_).subspan(begin_, end_ - begin_);
        const auto size = wire::dbus1_message_size(bytes);
        if (!size)
            return std::unexpected(size.error());
        const std::size_t here = std::min(bytes.size(), *size);
        if (!partial_.append(bytes.data(), here))
            return wire::fail(wire::Errc::no_memory);
        begin_ += here;
        partial_size_ = *size;
    }
    if (partial_.size() < partial_size_)
        return std::nullopt;
    partial_size_ = 0;
    return std::exchange(partial_, wire::Buffer());
}

void SocketInbox::reuse(wire::Buffer memory) noexcept {
    if (partial_.capacity() != 0)
        return;
    memory.clear();
    partial_ = std::move(memory);
}

bool SocketInbox::ready() const noexcept {
    if (partial_size_ != 0)
        return partial_.size() == partial_size_;
    if (end_ - begin_ < wire::dbus1_fixed_header_size)
        return false;
    const auto bytes = std::span(*block_).subspan(begin_, end_ - begin_);
    const auto size = wire::dbus1_message_size(bytes);
    return !size || bytes.size() >= *size;
}

bool SocketInbox::take_fds(std::size_t count, std::vector<abi::UniqueFd>& fds) {
    // (What a hostile header says must not decide how much memory is asked for.)
    fds.reserve(std::min(count, fds_.size()));
    while (fds.size() < count) {
        if (fds_.empty())
            return false;
        const bool lost = !fds_.front();
        fds.push_back(std::move(fds_.front()));
        fds_.pop_front();
        if (lost && count <= max_fds)
            fds.resize(count);
        else if (lost)
            return false;
    }
    return true;
}

} // namespace kdbus::detail
