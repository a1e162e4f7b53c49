// SPDX-License-Identifier: LGPL-2.1-or-later
#include "outbox.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace kdbus::proxy {

namespace {

/// Pieces handed to the kernel at once.
constexpr std::size_t max_pieces = 64;
/// As many descriptors as one message may carry here (SCM_MAX_FD is larger).
constexpr std::size_t max_fds = 64;

std::size_t add_piece(std::span<iovec> pieces, std::size_t count, const wire::Buffer& buffer,
                      std::size_t& skip) {
    if (skip >= buffer.size()) {
        skip -= buffer.size();
        return count;
    }
    pieces[count] = {const_cast<std::byte*>(buffer.data()) + skip, buffer.size() - skip};
    skip = 0;
    return count + 1;
}

} // namespace

void Outbox::push(Outgoing outgoing) {
    const std::size_t size = outgoing.size();
    const std::size_t fds = outgoing.fds.size();
    queue_.push_back(std::move(outgoing));
    bytes_ += size;
    fds_ += fds;
}

void Outbox::push_text(std::string_view text) {
    Outgoing outgoing;
    if (!outgoing.head.append(text.data(), text.size()))
        throw std::bad_alloc();
    push(std::move(outgoing));
}

abi::Result<Outbox::Flushed> Outbox::flush(int socket) {
    while (!queue_.empty()) {
        std::array<iovec, max_pieces> pieces;
        std::size_t count = 0;
        std::size_t skip = done_;
        for (const auto& outgoing : queue_) {
            // Descriptors travel with the first byte of their message, so they start a call.
            const bool first = &outgoing == &queue_.front();
            if (count + 2 > max_pieces || (!first && !outgoing.fds.empty()))
                break;
            count = add_piece(pieces, count, outgoing.head, skip);
            count = add_piece(pieces, count, outgoing.body, skip);
        }

        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = count;
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(max_fds * sizeof(int))> control{};
        const auto& fds = queue_.front().fds;
        if (!fds.empty() && done_ == 0) {
            const std::size_t fd_count = std::min(fds.size(), max_fds);
            message.msg_control = control.data();
            message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
            cmsghdr* header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
            for (std::size_t i = 0; i < fd_count; ++i) {
                const int fd = fds[i].get();
                std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(int));
            }
        }

        const ssize_t sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN)
                return Flushed::blocked;
            if (errno == ETOOMANYREFS || errno == ENOMEM || errno == ENOBUFS)
                return Flushed::later;
            return abi::fail();
        }
        written(static_cast<std::size_t>(sent));
    }
    return Flushed::all;
}

void Outbox::written(std::size_t count) noexcept {
    bytes_ -= count;
    if (count > 0) {
        fds_ -= queue_.front().fds.size();
        queue_.front().fds.clear();
    }
    done_ += count;
    while (!queue_.empty() && done_ >= queue_.front().size()) {
        done_ -= queue_.front().size();
        queue_.pop_front();
    }
}

void Outbox::clear() noexcept {
    queue_.clear();
    done_ = bytes_ = fds_ = 0;
}

} // namespace kdbus::proxy
