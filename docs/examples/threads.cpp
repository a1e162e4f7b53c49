// SPDX-License-Identifier: LGPL-2.1-or-later
// A thread that serves next to one that calls, each with a connection of its own; work from a third
// is handed to the first through a pipe.
#include <array>
#include <iostream>
#include <kdbus/bus.hpp>
#include <poll.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace {

/// Serves until something can be read from @p stop.
void serve(kdbus::Connection bus, int stop) {
    std::array<pollfd, 2> polled{};
    do {
        while (bus.process().value())
            ;
        polled[0] = {.fd = stop, .events = POLLIN, .revents = 0};
        polled[1] = {.fd = bus.fd(), .events = bus.events(), .revents = 0};
        int milliseconds = -1;
        if (const auto deadline = bus.timeout()) {
            const auto left = *deadline - std::chrono::steady_clock::now();
            milliseconds = std::max(0, static_cast<int>(left / std::chrono::milliseconds(1)) + 1);
        }
        poll(polled.data(), polled.size(), milliseconds);
    } while (polled[0].revents == 0);
}

} // namespace

int main() try {
    std::array<int, 2> fds{};
    if (pipe(fds.data()) < 0)
        throw std::system_error(errno, std::generic_category(), "making a pipe");
    const kdbus::abi::UniqueFd reader(fds[0]);
    kdbus::abi::UniqueFd writer(fds[1]);

    auto service = kdbus::Connection::session().value();
    const std::string service_name = service.unique_name();
    kdbus::Interface adder("org.example.Adder");
    adder.method("Add", [](std::int32_t a, std::int32_t b) { return a + b; });
    service.add_object("/org/example/Adder", std::move(adder)).value().detach();
    std::thread thread(serve, std::move(service), reader.get());

    auto client = kdbus::Connection::session().value();
    const auto reply =
        client.call({service_name, "/org/example/Adder", "org.example.Adder", "Add"}, 2, 3);
    writer.reset(); // makes the service's thread end
    thread.join();
    std::cout << "2 + 3 = " << reply.value().get<std::int32_t>().value() << '\n';
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
