// SPDX-License-Identifier: LGPL-2.1-or-later
// `interop-sdbus-service NAME`: the service written with libsdbus-c++, on the session bus.
#include "interface.hpp"
#include "pipes.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <tuple>
#include <vector>

int main(int argc, char** argv) try {
    if (argc != 2)
        throw std::runtime_error("usage: interop-sdbus-service NAME");
    const auto bus = sdbus::createSessionBusConnection();
    const auto object = sdbus::createObject(*bus, interop::path);
    const std::string interface = interop::interface_name;
    std::int32_t value = 5;

    object->registerMethod("Basics").onInterface(interface).implementedAs(
        [](std::uint8_t y, bool b, std::int16_t n, std::uint16_t q, std::int32_t i, std::uint32_t u,
           std::int64_t x, std::uint64_t t, double d, std::string s, sdbus::ObjectPath o,
           sdbus::Signature g) { return std::tuple(y, b, n, q, i, u, x, t, d, s, o, g); });
    object->registerMethod("Containers")
        .onInterface(interface)
        .implementedAs(
            [](std::vector<std::string> texts, std::map<std::string, sdbus::Variant> values,
               sdbus::Struct<std::int32_t, std::string> pair,
               std::vector<std::uint8_t> bytes) { return std::tuple(texts, values, pair, bytes); });
    object->registerMethod("Echo").onInterface(interface).implementedAs(
        [](sdbus::Variant it) { return it; });
    object->registerMethod("ReadFd").onInterface(interface).implementedAs(
        [](sdbus::UnixFd fd) { return interop::read_from(fd.get()); });
    object->registerMethod("MakeFd").onInterface(interface).implementedAs(
        [](std::string text) { return sdbus::UnixFd(interop::pipe_with(text), sdbus::adopt_fd); });
    object->registerMethod("Fail").onInterface(interface).implementedAs(
        [] { throw sdbus::Error(interop::error_name, interop::error_text); });
    object->registerMethod("Emit").onInterface(interface).implementedAs([&](std::string text) {
        object->emitSignal("Happened")
            .onInterface(interface)
            .withArguments(text, static_cast<std::uint32_t>(text.size()));
    });
    object->registerSignal("Happened")
        .onInterface(interface)
        .withParameters<std::string, std::uint32_t>();
    object->registerProperty("Value")
        .onInterface(interface)
        .withGetter([&] { return value; })
        .withSetter([&](const std::int32_t& now) {
            value = now;
            object->emitPropertiesChangedSignal(interface, {"Value"});
        });
    object->registerProperty("Name").onInterface(interface).withGetter(
        [] { return std::string("Interop"); });
    object->finishRegistration();

    bus->requestName(argv[1]);
    std::puts("ready");
    std::fflush(stdout);
    bus->enterEventLoop();
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
