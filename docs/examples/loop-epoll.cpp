// SPDX-License-Identifier: LGPL-2.1-or-later
// Two connections, a timer and standard input in the library's own event loop; ends with the input.
#include <iostream>
#include <kdbus/bus.hpp>
#include <kdbus/loop/epoll.hpp>
#include <unistd.h>

int main() try {
    auto loop = kdbus::EpollLoop::create().value();
    const auto ended = [&](const kdbus::Error& error) {
        std::cerr << error.message << '\n';
        loop.stop();
    };
    auto system = kdbus::Connection::system().value();
    auto session = kdbus::Connection::session().value();
    auto attached_system = loop.attach(system, ended).value();
    auto attached_session = loop.attach(session, ended).value();

    const kdbus::Signal pressed{"/org/example/Keys", "org.example.Keys", "Pressed"};
    auto keys = loop.watch(STDIN_FILENO, POLLIN,
                           [&](short) {
                               char key = 0;
                               if (read(STDIN_FILENO, &key, 1) != 1)
                                   loop.stop();
                               else
                                   session.emit(pressed, static_cast<std::uint8_t>(key)).value();
                           })
                    .value();
    auto hint = loop.call_after(std::chrono::seconds(5),
                                [] { std::cout << "Ctrl-D ends this program" << std::endl; });
    loop.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
