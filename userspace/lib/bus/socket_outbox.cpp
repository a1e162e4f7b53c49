// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_outbox.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>

namespace kdbus::detail {
namespace {

/// Pieces handed to the kernel at once.
constexpr std::size_t max_pieces = 64;
/// As many descriptors as Linux passes at once.
constexpr std::size_t max_fds = 253;

iovec piece_of(std::span<const std::byte> bytes) noexcept {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

/// Sends as much as the socket takes without waiting.
abi::Result<std::size_t> send_pieces(int socket, std::span<iovec> pieces,
                                     std::span<const int> fds) noexcept {
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(max_fds * sizeof(int))> control;
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        std::memset(control.data(), 0, message.msg_controllen);
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    ssize_t sent = 0;
    do
        sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return abi::fail();
    return static_cast<std::size_t>(sent);
}

} // namespace

void SocketOutbox::push_text(std::string_view text) {
    Entry entry;
    if (!entry.bytes.append(text.data(), text.size()))
        throw std::bad_alloc();
    queue_.insert(queue_.begin() + static_cast<std::ptrdiff_t>(texts_), std::move(entry));
    ++texts_;
    bytes_ += text.size();
}

abi::Result<void> SocketOutbox::send(int socket, std::span<const std::byte> head,
                                     std::span<const std::byte> body, std::span<const int> fds) {
    if (fds.size() > max_fds)
        return abi::fail(EMFILE);
    std::size_t sent = 0;
    if (queue_.empty() && open_) {
        std::array pieces{piece_of(head), piece_of(body)};
        const auto done = send_pieces(socket, pieces, fds);
        if (!done && done.error().value() != EAGAIN)
            return std::unexpected(done.error());
        sent = done.value_or(0);
        if (sent == head.size() + body.size())
            return {};
    } else if (bytes_ + head.size() + body.size() > max_bytes) {
        return abi::fail(ENOBUFS);
    }
    const auto head_left = head.subspan(std::min(sent, head.size()));
    const auto body_left = body.subspan(sent - std::min(sent, head.size()));
    try {
        return push(head_left, body_left, sent == 0 ? fds : std::span<const int>());
    } catch (const std::bad_alloc&) {
        // Half a message is worse than none.
        return abi::fail(sent == 0 ? ENOMEM : EPIPE);
    }
}

abi::Result<void> SocketOutbox::push(std::span<const std::byte> head,
                                     std::span<const std::byte> body, std::span<const int> fds) {
    Entry entry;
    entry.fds.reserve(fds.size());
    for (int fd : fds) {
        const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            return abi::fail();
        entry.fds.emplace_back(copy);
    }
    if (!entry.bytes.reserve(head.size() + body.size()))
        throw std::bad_alloc();
    (void)entry.bytes.append(head.data(), head.size());
    (void)entry.bytes.append(body.data(), body.size());
    const std::size_t size = entry.bytes.size();
    queue_.push_back(std::move(entry));
    bytes_ += size;
    return {};
}

abi::Result<SocketOutbox::Flushed> SocketOutbox::flush(int socket) {
    while (!idle()) {
        const std::size_t allowed = std::min(open_ ? queue_.size() : texts_, max_pieces);
        std::array<iovec, max_pieces> pieces;
        std::size_t count = 0;
        // Descriptors travel with the first byte of their message, so they start a piece of work.
        while (count < allowed && (count == 0 || queue_[count].fds.empty())) {
            pieces[count] = piece_of(queue_[count].bytes.bytes().subspan(count == 0 ? done_ : 0));
            ++count;
        }
        std::array<int, max_fds> fds;
        std::size_t fd_count = 0;
        for (const abi::UniqueFd& fd : queue_.front().fds)
            fds[fd_count++] = fd.get();
        const auto sent = send_pieces(socket, std::span(pieces).first(count),
                                      std::span<const int>(fds).first(fd_count));
        if (!sent) {
            const int value = sent.error().value();
            if (value == EAGAIN)
                return Flushed::blocked;
            if (value == ETOOMANYREFS || value == ENOMEM || value == ENOBUFS)
                return Flushed::later;
            return std::unexpected(sent.error());
        }
        written(*sent);
    }
    return Flushed::all;
}

void SocketOutbox::written(std::size_t count) noexcept {
    bytes_ -= count;
    queue_.front().fds.clear();
    done_ += count;
    while (!queue_.empty() && done_ >= queue_.front().bytes.size()) {
        done_ -= queue_.front().bytes.size();
        queue_.pop_front();
        if (texts_ > 0)
            --texts_;
    }
}

bool SocketOutbox::has_fds() const noexcept {
    return std::any_of(queue_.begin(), queue_.end(),
                       [](const Entry& entry) { return !entry.fds.empty(); });
}

void SocketOutbox::clear() noexcept {
    queue_.clear();
    texts_ = done_ = bytes_ = 0;
}

} // namespace kdbus::detail
