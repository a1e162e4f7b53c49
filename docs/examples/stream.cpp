// SPDX-License-Identifier: LGPL-2.1-or-later
// Sends any number of bytes without copying them: `stream` receives, `stream MEBIBYTES` sends.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <kdbus/stream.hpp>

namespace {

std::uint64_t sum(std::span<const std::byte> bytes) {
    std::uint64_t total = 0;
    for (std::byte byte : bytes)
        total += std::to_integer<std::uint64_t>(byte);
    return total;
}

void receive(kdbus::Connection& bus) {
    std::uint64_t bytes = 0;
    std::uint64_t total = 0;
    auto reader = kdbus::StreamReader::create(
                      bus, "/org/example/Stream",
                      [&](kdbus::StreamChunk chunk) { // its end lets the sender go on
                          bytes += chunk.data().size();
                          total += sum(chunk.data());
                      },
                      [&](kdbus::Result<void> end) {
                          std::cout << bytes << " bytes, sum " << total
                                    << (end ? "" : ", incomplete: " + end.error().message) << '\n';
                          bus.stop();
                      })
                      .value();
    bus.request_name("org.example.Stream").value();
    std::cout << "receiving as " << bus.unique_name() << std::endl;
    bus.run().value();
}

void send(kdbus::Connection& bus, std::uint64_t size) {
    auto writer =
        kdbus::StreamWriter::open(bus, "org.example.Stream", "/org/example/Stream").value();
    constexpr std::uint64_t chunk_size = 1 << 20;
    std::uint64_t total = 0;
    while (size > 0) {
        writer.wait().value(); // until the receiver has caught up
        auto chunk = writer.chunk(std::min(size, chunk_size)).value();
        for (std::size_t i = 0; auto& byte : chunk)
            byte = static_cast<std::byte>(i++);
        total += sum(chunk);
        writer.commit(chunk.size()).value();
        size -= chunk.size();
    }
    writer.finish().value();
    writer.wait().value(); // until it has everything
    std::cout << "sum " << total << '\n';
}

} // namespace

int main(int argc, char** argv) try {
    auto bus = kdbus::Connection::session().value();
    if (argc > 1)
        send(bus, std::strtoull(argv[1], nullptr, 10) << 20);
    else
        receive(bus);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
