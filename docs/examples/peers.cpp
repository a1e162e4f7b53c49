// SPDX-License-Identifier: LGPL-2.1-or-later
// Two processes talk over a socket pair, without any bus.
#include <iostream>
#include <kdbus/bus.hpp>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace {

void serve(kdbus::abi::UniqueFd socket) {
    auto peer = kdbus::Connection::from_socket(std::move(socket), kdbus::PeerRole::server).value();
    kdbus::Interface hello("org.example.Hello");
    hello.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; });
    auto object = peer.add_object("/org/example/Hello", std::move(hello)).value();
    while (peer.wait()) // until the other end goes away
        ;
}

void call(kdbus::abi::UniqueFd socket) {
    auto peer = kdbus::Connection::from_socket(std::move(socket), kdbus::PeerRole::client).value();
    // There is only one to talk to: a destination is not needed.
    auto reply =
        peer.call(
                {.path = "/org/example/Hello", .interface = "org.example.Hello", .member = "Greet"},
                "peer")
            .value();
    std::cout << reply.get<std::string>().value() << '\n';
}

} // namespace

int main() try {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        throw std::system_error(errno, std::generic_category(), "socketpair");
    kdbus::abi::UniqueFd ours(fds[0]);
    kdbus::abi::UniqueFd theirs(fds[1]);
    const pid_t child = fork();
    if (child < 0)
        throw std::system_error(errno, std::generic_category(), "fork");
    if (child == 0) {
        ours.reset();
        serve(std::move(theirs));
        return 0;
    }
    theirs.reset();
    call(std::move(ours));
    waitpid(child, nullptr, 0);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
