// SPDX-License-Identifier: LGPL-2.1-or-later
// Sends a million numbers that were written where they are sent from: `memfd-array` serves,
// `memfd-array NUMBERS` sends.
#include <cstdlib>
#include <iostream>
#include <kdbus/bus.hpp>
#include <kdbus/memfd_array.hpp>
#include <numeric>

namespace {

void serve(kdbus::Connection& bus) {
    kdbus::Interface statistics("org.example.Statistics");
    // The span is the sender's memory, mapped for reading.
    statistics.method("Mean",
                      [](std::span<const double> numbers) {
                          return std::accumulate(numbers.begin(), numbers.end(), 0.0) /
                                 static_cast<double>(numbers.size());
                      },
                      {.in = {"numbers"}, .out = {"mean"}});
    auto object = bus.add_object("/org/example/Statistics", std::move(statistics)).value();
    bus.request_name("org.example.Statistics").value();
    std::cout << "serving as " << bus.unique_name() << std::endl;
    bus.run().value();
}

void send(kdbus::Connection& bus, std::uint64_t count) {
    auto numbers = kdbus::MemfdArray<double>::create(count).value();
    std::iota(numbers.elements().begin(), numbers.elements().end(), 1.0);
    const auto sealed = std::move(numbers).seal().value();
    const auto reply = bus.call({"org.example.Statistics", "/org/example/Statistics",
                                 "org.example.Statistics", "Mean"},
                                sealed)
                           .value();
    std::cout << "mean " << reply.get<double>().value() << '\n';
}

} // namespace

int main(int argc, char** argv) try {
    auto bus = kdbus::Connection::session().value();
    if (argc > 1)
        send(bus, std::strtoull(argv[1], nullptr, 10));
    else
        serve(bus);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
