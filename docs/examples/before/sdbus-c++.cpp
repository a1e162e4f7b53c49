// SPDX-License-Identifier: LGPL-2.1-or-later
// The service of docs/examples/serve.cpp, written for sdbus-c++ 1.
#include <cstdint>
#include <iostream>
#include <sdbus-c++/sdbus-c++.h>

int main() try {
    auto bus = sdbus::createSessionBusConnection();
    std::uint32_t served = 0;

    auto hello = sdbus::createObject(*bus, "/org/example/Hello");
    hello->registerMethod("Greet")
        .onInterface("org.example.Hello")
        .withInputParamNames("name")
        .withOutputParamNames("greeting")
        .implementedAs([&](const std::string& name) {
            ++served;
            return "Hello, " + name + "!";
        });
    hello->registerProperty("Served")
        .onInterface("org.example.Hello")
        .withGetter([&] { return served; })
        .withUpdateBehavior(sdbus::Flags::EMITS_NO_SIGNAL);
    hello->finishRegistration();

    bus->requestName("org.example.Hello");
    std::cout << "serving as " << bus->getUniqueName() << std::endl;
    bus->enterEventLoop();
} catch (const sdbus::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
