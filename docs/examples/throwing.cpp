// SPDX-License-Identifier: LGPL-2.1-or-later
// A service ("throwing serve") and its client ("throwing"), with exceptions.
#include <iostream>
#include <kdbus/throwing.hpp>
#include <string_view>

namespace {

constexpr const char* name = "org.example.Adder";
constexpr const char* path = "/org/example/Adder";

void serve(kdbus::throwing::Connection& bus) {
    int sum = 0;
    kdbus::Interface adder(name);
    adder.method("Add", [&](int by) {
        if (by < 0)
            throw kdbus::Exception("org.example.Adder.Error.Negative", "Only upwards");
        sum += by;
        bus.emit({path, name, "Added"}, by);
        return sum;
    });
    adder.property(
        "Sum", [&] { return sum; }, [&](int wanted) { sum = wanted; });
    const auto object = bus.add_object(path, std::move(adder));
    bus.request_name(name);
    bus.run();
}

void use(kdbus::throwing::Connection& bus) {
    const auto added =
        bus.subscribe(kdbus::Match::signal().sender(name).member("Added"),
                      [](int by) { std::cout << "somebody added " << by << std::endl; });
    bus.set_property({name, path, name, "Sum"}, 40);
    std::cout << bus.call<int>({name, path, name, "Add"}, 2) << '\n';
    std::cout << bus.get_property<int>({name, path, name, "Sum"}) << '\n';
    try {
        bus.call<int>({name, path, name, "Add"}, -1);
    } catch (const kdbus::Exception& error) {
        std::cout << error.name() << ": " << error.error().message << '\n';
    }
    bus.process(); // the signal
}

} // namespace

int main(int argc, char** argv) try {
    auto bus = kdbus::throwing::Connection::session();
    if (argc > 1 && argv[1] == std::string_view("serve"))
        serve(bus);
    else
        use(bus);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
