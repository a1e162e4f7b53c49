// SPDX-License-Identifier: LGPL-2.1-or-later
#include "unix_socket.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/time.h>
#include <sys/un.h>

namespace kdbus::detail {
namespace {

/// A server whose backlog is full would keep us waiting for ever.
constexpr timeval connect_timeout{.tv_sec = 25, .tv_usec = 0};

/// The socket's name as the kernel knows it: abstract ones begin with a NUL.
Result<std::string> socket_name(const wire::Address& address) {
    if (auto good = wire::check_transport(address, true); !good)
        return Error{error_names::bad_address, "Not an address to connect to: " + address.text()};
    if (const auto* path = address.find("path"))
        return *path;
    if (const auto* abstract = address.find("abstract"))
        return '\0' + *abstract;
    if (address.find("runtime") == nullptr)
        return Error{error_names::bad_address, "Only servers may use " + address.text()};
    const char* directory = secure_getenv("XDG_RUNTIME_DIR");
    if (directory == nullptr || *directory == '\0')
        return Error{error_names::file_not_found, "XDG_RUNTIME_DIR is not set"};
    return std::string(directory) + "/bus";
}

} // namespace

Result<abi::UniqueFd> connect_unix(const wire::Address& address) {
    const auto name = socket_name(address);
    if (!name)
        return name.error();
    sockaddr_un to{.sun_family = AF_UNIX, .sun_path = {}};
    if (name->size() >= sizeof to.sun_path)
        return Error{error_names::bad_address, "Too long for a socket: " + address.text()};
    std::memcpy(to.sun_path, name->data(), name->size());
    // The name of an abstract socket has no end but its length.
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name->size() +
                                               (name->starts_with('\0') ? 0 : 1));

    abi::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket)
        return Error::from_errno(errno, "Making a socket");
    (void)setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &connect_timeout,
                     sizeof connect_timeout);
    int done = 0;
    do
        done = connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), length);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return Error::from_errno(errno, "Connecting to " + address.text());
    return socket;
}

bool is_unix_stream(int socket) noexcept {
    int domain = 0;
    int type = 0;
    socklen_t length = sizeof domain;
    if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
        return false;
    length = sizeof type;
    return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && domain == AF_UNIX &&
           type == SOCK_STREAM;
}

abi::Result<ucred> peer_credentials(int socket) noexcept {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        return abi::fail();
    return credentials;
}

std::optional<std::vector<gid_t>> peer_groups(int socket) {
    std::vector<gid_t> groups(32);
    auto length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    int done = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
    if (done < 0 && errno == ERANGE) {
        groups.resize(length / sizeof(gid_t));
        done = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
    }
    if (done < 0)
        return std::nullopt;
    groups.resize(length / sizeof(gid_t));
    return groups;
}

std::optional<std::string> peer_label(int socket) {
    std::string label(256, '\0');
    auto length = static_cast<socklen_t>(label.size());
    int done = getsockopt(socket, SOL_SOCKET, SO_PEERSEC, label.data(), &length);
    if (done < 0 && errno == ERANGE) {
        label.resize(length);
        done = getsockopt(socket, SOL_SOCKET, SO_PEERSEC, label.data(), &length);
    }
    if (done < 0)
        return std::nullopt;
    label.resize(length);
    label.resize(std::strlen(label.c_str())); // some modules count the NUL, others do not
    return label;
}

} // namespace kdbus::detail
