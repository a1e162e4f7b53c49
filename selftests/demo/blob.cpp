// SPDX-License-Identifier: LGPL-2.1-or-later
// Passes bytes in a sealed memory file, through the kernel interface itself (kdbus/abi):
// `blob receive` waits for one message, `blob send MIB` sends it.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <kdbus/abi/connection.hpp>
#include <kdbus/abi/memfd.hpp>
#include <poll.h>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace kdbus;

constexpr const char* node = "/dev/kdbus/0-system/bus";
constexpr std::string_view receiver = "org.example.Sink";

/// Depends on every byte and on their order.
std::uint64_t checksum(std::span<const std::byte> bytes) {
    std::uint64_t sum = 0xcbf29ce484222325;
    for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + i, 8);
        sum = (sum ^ word) * 0x100000001b3;
    }
    return sum;
}

/// KiB of memory that all memory files of the machine take.
std::uint64_t shared_memory() {
    std::ifstream info("/proc/meminfo");
    for (std::string key; info >> key;) {
        if (key == "Shmem:") {
            std::uint64_t value = 0;
            info >> value;
            return value;
        }
    }
    throw std::runtime_error("/proc/meminfo has no line Shmem");
}

void print_contents(std::string_view what, std::span<const std::byte> bytes) {
    std::cout << what << bytes.size() << " bytes, checksum " << std::hex << checksum(bytes)
              << std::dec << "\nmemory files now take " << shared_memory() << " KiB" << std::endl;
}

void receive() {
    abi::HelloOptions options;
    options.pool_size = 64 * 1024;
    const auto connection = abi::Connection::open(node, options).value();
    if (!connection.acquire_name(receiver).value().primary())
        throw std::runtime_error("the name is taken");
    std::cout << "waiting, with " << connection.pool_size() / 1024 << " KiB of memory for messages"
              << std::endl;
    pollfd wait{connection.fd(), POLLIN, 0};
    if (poll(&wait, 1, -1) < 0)
        throw std::runtime_error("poll failed");
    const auto received = connection.recv().value();
    if (!received.message)
        throw std::runtime_error("no message");
    const auto& message = *received.message;
    std::cout << "the kernel wrote a message of " << message.slice().bytes().size()
              << " bytes" << std::endl;
    message.for_each_piece([](const abi::Piece& piece) {
        if (piece.kind != abi::Piece::Kind::memfd)
            throw std::runtime_error("part of the payload was copied");
        print_contents("received: ", piece.map().value().bytes());
    });
}

void send(std::uint64_t mebibytes) {
    const auto connection = abi::Connection::open(node).value();
    std::cout << "memory files take " << shared_memory() << " KiB" << std::endl;
    auto file = abi::MemfdWriter::create(mebibytes << 20).value();
    const auto bytes = file.bytes();
    std::uint64_t random = 88172645463325252;
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::memcpy(bytes.data() + i, &random, 8);
    }
    print_contents("sending:  ", bytes);
    const auto sealed = std::move(file).seal().value();
    const abi::Part payload[] = {abi::Part::memfd(sealed.fd(), 0, sealed.size())};
    abi::OutgoingMessage message;
    message.dst_name = receiver;
    message.cookie = 1;
    message.payload = payload;
    connection.send(message).value();
}

} // namespace

int main(int argc, char** argv) try {
    if (argc == 2 && std::string_view(argv[1]) == "receive")
        receive();
    else if (argc == 3 && std::string_view(argv[1]) == "send")
        send(std::strtoull(argv[2], nullptr, 10));
    else
        throw std::runtime_error("usage: blob receive | blob send MIB");
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
