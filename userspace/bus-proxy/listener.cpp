// SPDX-License-Identifier: LGPL-2.1-or-later
#include "listener.hpp"

#include "log.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

namespace kdbus::proxy {

namespace {

[[noreturn]] void fail(const std::string& what, int error = errno) {
    throw std::system_error(error, std::generic_category(), what);
}

std::string random_name() {
    constexpr std::string_view letters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz01234567";
    std::array<unsigned char, 10> bytes;
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        fail("getrandom");
    std::string name = "dbus-";
    for (const auto byte : bytes)
        name.push_back(letters[byte % letters.size()]);
    return name;
}

struct SocketName {
    sockaddr_un address{};
    socklen_t length = 0;
};

SocketName socket_name(std::string_view text, bool abstract) {
    SocketName name;
    name.address.sun_family = AF_UNIX;
    const std::size_t skip = abstract ? 1 : 0;
    // Paths keep a NUL behind them: not all readers cope without.
    if (text.empty() || text.size() + 1 > sizeof(name.address.sun_path))
        fail("socket name of " + std::to_string(text.size()) + " bytes", ENAMETOOLONG);
    std::memcpy(name.address.sun_path + skip, text.data(), text.size());
    name.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + skip + text.size() +
                                         (abstract ? 0 : 1));
    return name;
}

int bind_with_mode(int fd, const SocketName& name, unsigned mode) {
    const auto old = umask(~mode & 0777);
    const int result = bind(fd, reinterpret_cast<const sockaddr*>(&name.address), name.length);
    const int error = errno;
    umask(old);
    errno = error;
    return result;
}

/// Whether the file is a socket that nobody listens on any more.
bool is_abandoned(const std::string& path, const SocketName& name) {
    struct stat status {};
    if (lstat(path.c_str(), &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    const abi::UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return probe &&
           connect(probe.get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) <
               0 &&
           errno == ECONNREFUSED;
}

} // namespace

Listener::Listener(const wire::Address& address, unsigned mode)
    : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    if (!socket_)
        fail("socket");
    if (const auto* abstract = address.find("abstract")) {
        const auto name = socket_name(*abstract, true);
        if (bind_with_mode(socket_.get(), name, mode) < 0)
            fail("cannot bind abstract socket " + *abstract);
    } else {
        std::string path;
        if (const auto* given = address.find("path")) {
            path = *given;
        } else if (address.find("runtime") != nullptr) {
            const char* directory = std::getenv("XDG_RUNTIME_DIR");
            if (directory == nullptr)
                fail("XDG_RUNTIME_DIR is not set, which unix:runtime=yes needs", ENOENT);
            path = std::string(directory) + "/bus";
        } else {
            const auto* directory = address.find("dir");
            if (directory == nullptr)
                directory = address.find("tmpdir");
            path = *directory + "/" + random_name();
        }
        const auto name = socket_name(path, false);
        int result = bind_with_mode(socket_.get(), name, mode);
        if (result < 0 && errno == EADDRINUSE && is_abandoned(path, name)) {
            (void)unlink(path.c_str());
            result = bind_with_mode(socket_.get(), name, mode);
        }
        if (result < 0)
            fail("cannot bind " + path);
        unlink_path_ = path;
    }
    if (listen(socket_.get(), SOMAXCONN) < 0) {
        const int error = errno;
        if (!unlink_path_.empty())
            (void)unlink(unlink_path_.c_str());
        fail("listen", error);
    }
    find_address();
}

Listener::Listener(abi::UniqueFd socket) : socket_(std::move(socket)) {
    const int is_listening = sd_is_socket(socket_.get(), AF_UNIX, SOCK_STREAM, 1);
    if (is_listening < 0)
        fail("passed socket", -is_listening);
    if (is_listening == 0)
        fail("the passed descriptor is not a listening UNIX stream socket", EINVAL);
    const int flags = fcntl(socket_.get(), F_GETFL);
    if (flags < 0 || fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) < 0)
        fail("passed socket");
    find_address();
}

Listener::~Listener() {
    if (!unlink_path_.empty())
        (void)unlink(unlink_path_.c_str());
}

void Listener::find_address() {
    SocketName name;
    name.length = sizeof(name.address);
    if (getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name.address), &name.length) < 0)
        fail("getsockname");
    const char* text = name.address.sun_path;
    const std::size_t size = name.length - offsetof(sockaddr_un, sun_path);
    address_.transport = "unix";
    if (size > 0 && text[0] == '\0')
        address_.parameters.emplace_back("abstract", std::string(text + 1, size - 1));
    else
        address_.parameters.emplace_back("path", std::string(text, strnlen(text, size)));
}

void Listener::start(Loop& loop, Accept accept) {
    accept_ = std::move(accept);
    retry_ = std::make_unique<Timer>(loop, [this] { io_->watch(EPOLLIN); });
    io_ = std::make_unique<Io>(loop, socket_.get(), EPOLLIN,
                               [this](std::uint32_t) { accept_some(); });
}

void Listener::accept_some() {
    // A few, then others get their turn.
    for (int i = 0; i < 16; ++i) {
        abi::UniqueFd client(
            accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (client) {
            accept_(std::move(client));
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            // The connection stays pending; trying at once again would only spin.
            log::warning("cannot accept a connection: {}", std::strerror(errno));
            io_->pause();
            retry_->set(std::chrono::seconds(1));
            return;
        }
    }
}

std::vector<abi::UniqueFd> passed_sockets() {
    const int count = sd_listen_fds(1);
    if (count < 0)
        fail("sockets passed by the service manager", -count);
    std::vector<abi::UniqueFd> sockets;
    for (int i = 0; i < count; ++i)
        sockets.emplace_back(SD_LISTEN_FDS_START + i);
    return sockets;
}

} // namespace kdbus::proxy
