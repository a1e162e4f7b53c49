// SPDX-License-Identifier: LGPL-2.1-or-later
// Has two dishes made at once, gives up a third, and tells what is done when it is.
#include <kdbus/bus.hpp>

#include <cstdint>
#include <iostream>
#include <stop_token>
#include <string>

const kdbus::Method boil{.destination = "org.example.Kitchen",
                         .path = "/org/example/Kitchen",
                         .interface = "org.example.Kitchen",
                         .member = "Boil"};

kdbus::Task<> report(kdbus::Connection& bus) {
    auto done = bus.signals<std::string>("sender='org.example.Kitchen',member='Done'").value();
    while (auto signal = co_await done.next())
        std::cout << std::get<0>(signal->arguments) << " is done" << std::endl;
}

kdbus::Task<> cook(kdbus::Connection& bus, std::stop_source patience) {
    // On their way at once; awaited one by one.
    auto eggs = bus.co_call(boil, "eggs", std::uint32_t{300});
    auto tea = bus.co_call(boil, "tea", std::uint32_t{100});
    auto call = boil;
    call.stop = patience.get_token();
    auto stock = bus.co_call(call, "stock", std::uint32_t{3'600'000});

    std::cout << (co_await eggs).value().get<std::string>().value() << std::endl;
    std::cout << (co_await tea).value().get<std::string>().value() << std::endl;
    patience.request_stop();
    std::cout << (co_await stock).error().name << std::endl;
}

int main() {
    auto bus = kdbus::Connection::session().value();
    const auto reporting = bus.spawn(report(bus));
    bus.run(cook(bus, {})).value();
}
