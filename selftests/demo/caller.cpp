// SPDX-License-Identifier: LGPL-2.1-or-later
// A native client: talks to the kernel itself, through the library.
//   caller Greet NAME   calls a method and shows what the kernel says about the answer
//   caller Wait         calls a method that takes for ever, and shows how that ends
#include <chrono>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <kdbus/bus.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view service = "org.example.Greeter";
constexpr std::string_view path = "/org/example/Greeter";

void greet(kdbus::Connection& bus, std::string_view name) {
    const auto reply =
        bus.call({.destination = service, .path = path, .interface = service, .member = "Greet"}, name)
            .value();
    const auto sender = bus.credentials(reply).value();
    const auto time = reply.timestamp();
    if (!time)
        throw std::runtime_error("the kernel gave the answer no timestamp");
    const auto nanoseconds = time->realtime.time_since_epoch().count();
    const std::time_t seconds = nanoseconds / 1'000'000'000;
    std::cout << "answer:  " << reply.get<std::string>().value() << '\n'
              << "sent:    " << std::put_time(std::gmtime(&seconds), "%F %T.") << std::setfill('0')
              << std::setw(9) << nanoseconds % 1'000'000'000 << " UTC, as message "
              << time->sequence << " of this bus\n"
              << "sender:  " << reply.sender() << ", process " << sender.pid << ", user "
              << sender.uid << std::endl;
}

int wait(kdbus::Connection& bus) {
    std::cout << "calling" << std::endl;
    const auto reply =
        bus.call({.destination = service, .path = path, .interface = service, .member = "Wait"});
    if (reply) {
        std::cerr << "an answer?\n";
        return 1;
    }
    std::cout << "error:   " << reply.error().name << "\n         " << reply.error().message
              << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) try {
    auto bus = kdbus::Connection::system().value();
    if (argc == 3 && std::string_view(argv[1]) == "Greet")
        greet(bus, argv[2]);
    else if (argc == 2 && std::string_view(argv[1]) == "Wait")
        return wait(bus);
    else
        throw std::runtime_error("usage: caller Greet NAME | caller Wait");
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
