// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket.hpp"

#include <sys/socket.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#ifndef SO_PEERPIDFD // Linux 6.5
#define SO_PEERPIDFD 77
#endif

namespace kdbus::proxy {

namespace {

/// Asks for an option of unknown size; nothing if it does not exist.
template <class Container>
std::optional<Container> read_option(int socket, int option, std::size_t size_guess) {
    Container value;
    value.resize(size_guess);
    for (;;) {
        auto length = static_cast<socklen_t>(value.size() * sizeof(value[0]));
        if (getsockopt(socket, SOL_SOCKET, option, value.data(), &length) == 0) {
            value.resize(length / sizeof(value[0]));
            return value;
        }
        const std::size_t needed = length / sizeof(value[0]);
        if (errno != ERANGE || needed <= value.size())
            return std::nullopt;
        value.resize(needed);
    }
}

} // namespace

abi::Result<PeerIdentity> peer_identity(int socket) {
    ucred credentials{};
    socklen_t length = sizeof(credentials);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        return abi::fail();

    PeerIdentity peer;
    peer.uid = credentials.uid;
    peer.gid = credentials.gid;
    if (credentials.pid > 0)
        peer.pid = static_cast<std::uint32_t>(credentials.pid);

    if (auto groups = read_option<std::vector<gid_t>>(socket, SO_PEERGROUPS, 32)) {
        groups->push_back(credentials.gid);
        std::sort(groups->begin(), groups->end());
        groups->erase(std::unique(groups->begin(), groups->end()), groups->end());
        peer.groups = std::move(groups);
    }

    if (auto label = read_option<std::string>(socket, SO_PEERSEC, 256)) {
        label->resize(std::strlen(label->c_str()));
        if (!label->empty())
            peer.label = std::move(label);
    }

    int pidfd = -1;
    length = sizeof(pidfd);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
        peer.pidfd.reset(pidfd);
    return peer;
}

abi::Result<Receipt> receive(int socket, Inbox& inbox) {
    // As many as Linux lets anybody send at once.
    constexpr std::size_t max_fds = 253;
    const auto room = inbox.room();
    iovec piece{room.data(), room.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(max_fds * sizeof(int))> control;
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
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
    std::array<abi::UniqueFd, max_fds> fds;
    std::size_t fd_count = 0;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count && fd_count < max_fds; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            fds[fd_count++].reset(fd);
        }
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0)
        return abi::fail(EMFILE);
    for (std::size_t i = 0; i < fd_count; ++i)
        inbox.add_fd(std::move(fds[i]));

    if (received == 0)
        return Receipt::end;
    inbox.commit(static_cast<std::size_t>(received));
    return Receipt::data;
}

} // namespace kdbus::proxy
