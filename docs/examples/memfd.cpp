// SPDX-License-Identifier: LGPL-2.1-or-later
// Passes a large array of bytes without copying it: `memfd` serves, `memfd MEBIBYTES` sends.
#include <cstdlib>
#include <iostream>
#include <kdbus/abi/memfd.hpp>
#include <kdbus/bus.hpp>

namespace {

std::uint64_t sum(std::span<const std::byte> bytes) {
    std::uint64_t total = 0;
    for (std::byte byte : bytes)
        total += std::to_integer<std::uint64_t>(byte);
    return total;
}

void serve(kdbus::Connection& bus) {
    kdbus::Interface sink("org.example.Sink");
    // The span points into the sender's memory file, mapped here for reading.
    sink.method("Sum",
                [](std::span<const std::byte> data) {
                    return std::tuple(std::uint64_t{data.size()}, sum(data));
                },
                {.in = {"data"}, .out = {"size", "sum"}});
    auto object = bus.add_object("/org/example/Sink", std::move(sink)).value();
    bus.request_name("org.example.Sink").value();
    std::cout << "serving as " << bus.unique_name() << std::endl;
    bus.run().value();
}

void send(kdbus::Connection& bus, std::uint64_t size) {
    // value() of layer 1 throws std::bad_expected_access.
    auto file = kdbus::abi::MemfdWriter::create(size).value();
    for (std::size_t i = 0; auto& byte : file.bytes())
        byte = static_cast<std::byte>(i++);
    const std::uint64_t expected = sum(file.bytes());
    const auto sealed = std::move(file).seal().value();
    auto reply =
        bus.call({"org.example.Sink", "/org/example/Sink", "org.example.Sink", "Sum"}, sealed)
            .value();
    const auto [received, total] = reply.get<std::uint64_t, std::uint64_t>().value();
    std::cout << received << " bytes arrived, sum " << total
              << (received == size && total == expected ? " (right)" : " (WRONG)") << std::endl;
}

} // namespace

int main(int argc, char** argv) try {
    auto bus = kdbus::Connection::system().value();
    if (argc > 1)
        send(bus, std::strtoull(argv[1], nullptr, 10) << 20);
    else
        serve(bus);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
