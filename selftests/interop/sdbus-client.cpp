// SPDX-License-Identifier: LGPL-2.1-or-later
// `interop-sdbus-client NAME`: a client written with libsdbus-c++, on the session bus.
#include "interface.hpp"
#include "pipes.hpp"

#include <sdbus-c++/sdbus-c++.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

namespace {

const std::string interface = interop::interface_name;

void types(sdbus::IProxy& proxy) {
    using Basics = std::tuple<std::uint8_t, bool, std::int16_t, std::uint16_t, std::int32_t,
                              std::uint32_t, std::int64_t, std::uint64_t, double, std::string,
                              sdbus::ObjectPath, sdbus::Signature>;
    const Basics basics{200,         true,
                        -3,          65000,
                        -70000,      4000000000,
                        -5000000000, 18000000000000000000u,
                        1.5,         "\xc3\xa4\xe2\x82\xac",
                        "/a/b",      "a{sv}"};
    Basics back;
    std::apply(
        [&](const auto&... values) {
            std::apply(
                [&](auto&... results) {
                    proxy.callMethod("Basics")
                        .onInterface(interface)
                        .withArguments(values...)
                        .storeResultsTo(results...);
                },
                back);
        },
        basics);
    EXPECT(back == basics);

    const std::vector<std::string> texts{"a", "", std::string(70000, 'x')};
    const std::map<std::string, sdbus::Variant> values{{"one", sdbus::Variant(std::uint32_t{1})},
                                                       {"two", sdbus::Variant(texts)}};
    const sdbus::Struct<std::int32_t, std::string> pair{7, "seven"};
    const std::vector<std::uint8_t> bytes{1, 2, 3};
    std::vector<std::string> texts_back;
    std::map<std::string, sdbus::Variant> values_back;
    sdbus::Struct<std::int32_t, std::string> pair_back;
    std::vector<std::uint8_t> bytes_back;
    proxy.callMethod("Containers")
        .onInterface(interface)
        .withArguments(texts, values, pair, bytes)
        .storeResultsTo(texts_back, values_back, pair_back, bytes_back);
    EXPECT(texts_back == texts && pair_back == pair && bytes_back == bytes);
    EXPECT(values_back.size() == 2 && values_back.at("one").get<std::uint32_t>() == 1);
    EXPECT(values_back.at("two").get<std::vector<std::string>>() == texts);

    sdbus::Variant variant;
    proxy.callMethod("Echo")
        .onInterface(interface)
        .withArguments(sdbus::Variant(1.5))
        .storeResultsTo(variant);
    EXPECT(variant.get<double>() == 1.5);
}

void descriptors(sdbus::IProxy& proxy) {
    std::string text;
    proxy.callMethod("ReadFd")
        .onInterface(interface)
        .withArguments(sdbus::UnixFd(interop::pipe_with("to the service"), sdbus::adopt_fd))
        .storeResultsTo(text);
    EXPECT(text == "to the service");
    sdbus::UnixFd fd;
    proxy.callMethod("MakeFd")
        .onInterface(interface)
        .withArguments(std::string("from the service"))
        .storeResultsTo(fd);
    EXPECT(interop::read_from(fd.get()) == "from the service");
}

void errors(sdbus::IProxy& proxy) {
    try {
        proxy.callMethod("Fail").onInterface(interface);
        EXPECT(!"an error");
    } catch (const sdbus::Error& error) {
        EXPECT(error.getName() == interop::error_name);
        EXPECT(error.getMessage() == interop::error_text);
    }
    try {
        proxy.callMethod("Missing").onInterface(interface);
        EXPECT(!"an error");
    } catch (const sdbus::Error& error) {
        EXPECT(error.getName() == "org.freedesktop.DBus.Error.UnknownMethod");
    }
}

} // namespace

int main(int argc, char** argv) try {
    if (argc != 2)
        throw std::runtime_error("usage: interop-sdbus-client NAME");
    const auto proxy =
        sdbus::createProxy(sdbus::createSessionBusConnection(), argv[1], interop::path);
    // Signals come in a thread of the proxy's.
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::tuple<std::string, std::uint32_t>> heard;
    std::int32_t announced = 0;
    proxy->uponSignal("Happened")
        .onInterface(interface)
        .call([&](const std::string& text, const std::uint32_t& length) {
            const std::lock_guard lock(mutex);
            heard.emplace_back(text, length);
            changed.notify_one();
        });
    proxy->uponSignal("PropertiesChanged")
        .onInterface("org.freedesktop.DBus.Properties")
        .call([&](const std::string& of, const std::map<std::string, sdbus::Variant>& values,
                  const std::vector<std::string>&) {
            const std::lock_guard lock(mutex);
            if (of == interface)
                announced = values.at("Value").get<std::int32_t>();
            changed.notify_one();
        });
    proxy->finishRegistration();

    types(*proxy);
    descriptors(*proxy);
    errors(*proxy);
    for (const char* text : {"hello", ""})
        proxy->callMethod("Emit").onInterface(interface).withArguments(std::string(text));
    EXPECT(proxy->getProperty("Name").onInterface(interface).get<std::string>() == "Interop");
    const auto old = proxy->getProperty("Value").onInterface(interface).get<std::int32_t>();
    proxy->setProperty("Value").onInterface(interface).toValue(old + 1);
    EXPECT(proxy->getProperty("Value").onInterface(interface).get<std::int32_t>() == old + 1);
    std::unique_lock lock(mutex);
    EXPECT(changed.wait_for(lock, std::chrono::seconds(60),
                            [&] { return heard.size() == 2 && announced == old + 1; }));
    EXPECT(heard[0] == std::tuple("hello", 5u) && heard[1] == std::tuple("", 0u));
    std::puts("all well");
    // (Its thread still runs.)
    lock.unlock();
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
