// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages that come and go take nothing from the heap once they flow, whatever carries them; and
// what fails for lack of memory leaves nothing behind.
#include "failing-new.hpp"
#include "transports.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// How often the program has asked for memory, by malloc() or anything above it.
std::atomic<std::uint64_t> allocations;

} // namespace

#ifdef __SANITIZE_ADDRESS__

// (Of <sanitizer/allocator_interface.h>, which not every compiler comes with.)
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*,
                                                                           std::size_t),
                                                         void (*freed)(const volatile void*));

namespace {

const int hooked = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t) { ++allocations; }, [](const volatile void*) {});

} // namespace

#else

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);

void* malloc(std::size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    ++allocations;
    return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
    ++allocations;
    return __libc_realloc(memory, size);
}
}

#endif

namespace {

void define(kdbus::Connection&, kdbus::Interface& interface) {
    interface.method("Add", [](std::int32_t a, std::int32_t b) { return a + b; });
    interface.method("Echo", [](std::string_view text) { return text; });
}

/// Does something often, and says how many allocations that took once it was under way.
template <class Action>
std::uint64_t allocations_of(Action action) {
    for (int i = 0; i < 200; ++i)
        action();
    const std::uint64_t before = allocations;
    for (int i = 0; i < 1000; ++i)
        action();
    return allocations - before;
}

} // namespace

TEST_CASE("allocations are counted") {
    CHECK(allocations_of(
              [] { std::vector<int>(10).swap(*std::make_unique<std::vector<int>>()); }) >= 2000);
    CHECK(allocations_of([] { std::free(std::malloc(10)); }) == 1000);
}

TEMPLATE_TEST_CASE("calls and answers allocate nothing", "[allocations]", ALL_BUSES) {
    TestType bus;
    Service service(bus, define);
    auto client = bus.connect();
    const std::string text(200, 'x');
    bool good = true;
    // Both ends are in this program.
    const auto add = allocations_of([&] {
        const auto sum = client.call(method("Add"), std::int32_t{2}, std::int32_t{3}).value();
        good = good && sum.template get<std::int32_t>().value() == 5;
    });
    const auto echo = allocations_of([&] {
        const auto reply = client.call(method("Echo"), text).value();
        good = good && reply.template get<std::string_view>().value() == text;
    });
    const auto unanswered = allocations_of([&] {
        client.call_no_reply(method("Echo"), text).value();
        good = good && client.call(method("Echo"), text);
    });
    CHECK(good);
    CHECK(add == 0);
    CHECK(echo == 0);
    CHECK(unanswered == 0);
}

TEMPLATE_TEST_CASE("signals allocate nothing", "[allocations]", ALL_BUSES) {
    TestType bus;
    auto sender = bus.connect();
    auto receiver = bus.connect();
    if constexpr (TestType::is_bus)
        sender.request_name(service_name).value();
    std::uint64_t sum = 0, all = 0;
    const auto typed = receiver
                           .subscribe("type='signal',interface='org.example.Test',member='Typed'",
                                      [&](std::uint32_t value, std::string_view) { sum += value; })
                           .value();
    const auto any = receiver
                         .subscribe(TestType::is_bus ? "type='signal',sender='org.example.Service'"
                                                     : "type='signal'",
                                    [&](const kdbus::Message&) { ++all; })
                         .value();
    bool good = true;
    const auto count = allocations_of([&] {
        const auto until = all + 3;
        for (int i = 0; i < 3; ++i)
            sender.emit({path, interface_name, "Typed"}, std::uint32_t{1}, "text").value();
        while (all < until) {
            sender.process().value(); // from peer to peer it has to authenticate first
            good = good && receiver.wait(TestType::is_bus ? 10s : 1ms);
        }
    });
    CHECK(good);
    CHECK(sum == 3 * 1200);
    CHECK(count == 0);
}

TEMPLATE_TEST_CASE("messages outlive their connection and end in any thread", "[allocations]",
                   ALL_BUSES) {
    TestType bus;
    std::vector<kdbus::Message> kept;
    {
        Service service(bus, define);
        auto client = bus.connect();
        for (int i = 0; i < 30; ++i) // more than are ever kept for later
            kept.push_back(client.call(method("Echo"), "number " + std::to_string(i)).value());
        std::thread([some = std::move(kept.front())] { (void)some; }).join();
        kept.erase(kept.begin());
        // What returned is used again, and disturbs nothing.
        std::thread other([&] {
            for (int i = 0; i < 20; ++i)
                kept.pop_back();
        });
        for (int i = 0; i < 100; ++i)
            CHECK(client.call(method("Echo"), "again")
                      .value()
                      .template get<std::string_view>()
                      .value() == "again");
        other.join();
    }
    REQUIRE(kept.size() == 9);
    for (std::size_t i = 0; i < kept.size(); ++i)
        CHECK(kept[i].template get<std::string_view>().value() ==
              "number " + std::to_string(i + 1));
    std::thread([&] { kept.clear(); }).join();
}

TEMPLATE_TEST_CASE("subscribing without memory leaves no match behind", "[allocations]",
                   BUSES_WITH_NAMES) {
    const std::string rule =
        GENERATE("type='signal',interface='org.example.Test',member='Typed'",
                 "type='signal',sender='org.example.Service'",
                 "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'");
    TestType bus;
    auto sender = bus.connect();
    sender.request_name(service_name).value();
    // It is heard of again after what it sent.
    const auto synchronize = [](kdbus::Connection& connection) {
        CHECK_FALSE(connection.name_owner("org.example.Nobody"));
        while (connection.process().value())
            continue;
    };
    // What the rules are about, and the owners of names in them.
    const auto emit = [&] {
        sender.emit({path, interface_name, "Typed"}, std::uint32_t{1}, "text").value();
        sender.release_name(service_name).value();
        sender.request_name(service_name).value();
        synchronize(sender);
    };
    int failed = 0;
    for (bool succeeded = false; !succeeded; ++failed) {
        // Another each time, with no memory left to use again.
        auto receiver = bus.connect();
        std::vector<kdbus::Message> kept;
#ifndef KDBUS_TEST_KERNEL
        for (int i = 0; i < 30; ++i)
            kept.push_back(receiver
                               .call({"org.freedesktop.DBus", "/org/freedesktop/DBus",
                                      "org.freedesktop.DBus", "GetId"})
                               .value());
#endif
        int calls = 0;
        std::optional<kdbus::Slot> slot;
        try {
            fails_once = true;
            allocations_left = failed;
            slot = receiver.subscribe(rule, [&](const kdbus::Message&) { ++calls; }).value();
        } catch (const std::bad_alloc&) {
        }
        succeeded = allocations_left >= 0;
        allocations_left = -1;
        synchronize(receiver);
        emit();
        if (slot)
            CHECK(process_until(receiver, [&] { return calls > 0; }));
        pollfd readable{receiver.fd(), POLLIN, 0};
        CHECK((slot || poll(&readable, 1, 0) == 0));
    }
    CHECK(failed > 3);
}
