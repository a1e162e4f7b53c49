// SPDX-License-Identifier: LGPL-2.1-or-later
// Layer 1 alone: makes a bus, connects to it twice, and sends bytes from one connection to the
// other.
#include <array>
#include <iostream>
#include <kdbus/abi.hpp>
#include <poll.h>
#include <string>
#include <unistd.h>

namespace abi = kdbus::abi;

int main() try {
    const std::string name = std::to_string(geteuid()) + "-abi";
    const auto bus = abi::Bus::make({.name = name}).value(); // lives as long as this object
    const auto sender = abi::Connection::open(bus.node_path()).value();
    const auto receiver =
        abi::Connection::open(bus.node_path(), {.attach_flags_recv = KDBUS_ATTACH_PIDS}).value();
    receiver.acquire_name("org.example.Receiver").value();

    const std::string_view text = "any bytes";
    const std::array payload{abi::Part::bytes(std::as_bytes(std::span(text)))};
    sender.send({.dst_name = "org.example.Receiver", .cookie = 1, .payload = payload}).value();

    pollfd ready{.fd = receiver.fd(), .events = POLLIN, .revents = 0};
    poll(&ready, 1, -1);
    const auto received = receiver.recv().value();
    if (!received.message)
        return 1;
    const auto pids = received.message->metadata().pids();
    std::cout << "from connection " << received.message->header().src_id
              << (pids && pids->pid == static_cast<std::uint64_t>(getpid()) ? ", ourselves: "
                                                                            : ": ");
    received.message->for_each_piece([](const abi::Piece& piece) {
        std::cout.write(reinterpret_cast<const char*>(piece.data.data()),
                        static_cast<std::streamsize>(piece.data.size()));
    });
    std::cout << '\n';

    const auto nobody = sender.send({.dst_name = "org.example.Nobody", .cookie = 2});
    std::cout << nobody.error().message() << '\n';
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
