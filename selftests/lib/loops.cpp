// SPDX-License-Identifier: LGPL-2.1-or-later
// Both ends of every bus in each event loop that there is an adapter for.
#include "failing-new.hpp"
#include "loop-drivers.hpp"
#include "test-buses.hpp"

#include <catch2/catch.hpp>

#include <kdbus/bus.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;

#if defined(KDBUS_TEST_QT)
#define LOOPS_AND_BUSES (std::pair<drivers::Qt5, DaemonBus>), (std::pair<drivers::Qt5, PeerPair>)
#elif defined(KDBUS_TEST_KERNEL)
#define LOOPS_AND_BUSES                                                                            \
    (std::pair<drivers::Epoll, KernelBus>), (std::pair<drivers::Uring, KernelBus>),                \
        (std::pair<drivers::SdEvent, KernelBus>), (std::pair<drivers::Glib, KernelBus>),           \
        (std::pair<drivers::Asio, KernelBus>)
#else
#define LOOPS_AND_BUSES                                                                            \
    (std::pair<drivers::Epoll, DaemonBus>), (std::pair<drivers::Epoll, PeerPair>),                 \
        (std::pair<drivers::Uring, DaemonBus>), (std::pair<drivers::Uring, PeerPair>),             \
        (std::pair<drivers::SdEvent, DaemonBus>), (std::pair<drivers::SdEvent, PeerPair>),         \
        (std::pair<drivers::Glib, DaemonBus>), (std::pair<drivers::Glib, PeerPair>),               \
        (std::pair<drivers::Asio, DaemonBus>), (std::pair<drivers::Asio, PeerPair>)
#endif

namespace {

constexpr const char* path = "/org/example/Test";
constexpr const char* interface_name = "org.example.Test";
/// What large messages take on a slow machine.
constexpr auto patience = 2min;
const kdbus::Signal tick{path, interface_name, "Tick"};

/// A server and a client in one loop.
template <class Pair>
struct World {
    using Loop = typename Pair::first_type;
    using Bus = typename Pair::second_type;

    World() {
        kdbus::Interface interface(interface_name);
        interface.method("Greet", [](const std::string& name) { return "Hello, " + name; });
        interface.method("Never",
                         [this](kdbus::Responder reply) { kept.push_back(std::move(reply)); });
        interface.method("Echo", [](std::vector<std::uint64_t> data) { return data; });
        object = server->add_object(path, std::move(interface)).value();
        attached_server =
            loop.attach(*server, [this](kdbus::Error error) { server_end = error.name; }).value();
        attached_client =
            loop.attach(*client, [this](kdbus::Error error) { client_end = error.name; }).value();
    }

    [[nodiscard]] kdbus::Method method(std::string_view member) const {
        return {server->unique_name(), path, interface_name, member, patience};
    }

    template <class Condition>
    bool run_until(Condition condition, std::chrono::milliseconds limit = patience) {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!condition() && std::chrono::steady_clock::now() < end)
            loop.once(100ms);
        return condition();
    }

    /// The answer to an asynchronous call, or the error's name.
    template <class... A>
    std::string ask(const kdbus::Method& what, const A&... args) {
        std::optional<std::string> answer;
        auto call = client
                        ->call_async(
                            what,
                            [&](kdbus::Result<kdbus::Message> reply) {
                                answer = reply ? reply->template get<std::string>().value()
                                               : reply.error().name;
                            },
                            args...)
                        .value();
        run_until([&] { return answer.has_value(); });
        return answer.value_or("nothing");
    }

    Bus bus;
    Loop loop;
    std::optional<kdbus::Connection> server = bus.connect();
    std::optional<kdbus::Connection> client = bus.connect();
    kdbus::Slot object;
    std::vector<kdbus::Responder> kept;
    std::string server_end;
    std::string client_end;
    typename Loop::Attachment attached_server;
    typename Loop::Attachment attached_client;
};

} // namespace

TEMPLATE_TEST_CASE("loops: calls and signals arrive", "[loops]", LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    CHECK(world.ask(world.method("Greet"), "world") == "Hello, world");
    CHECK(world.ask(world.method("Absent")) == error_names::unknown_method);

    std::vector<int> got;
    auto slot = world.client
                    ->subscribe("type='signal',member='Tick'",
                                [&](int number) {
                                    got.push_back(number);
                                    // From a handler, too.
                                    if (number < 100)
                                        world.server->emit(tick, number + 1).value();
                                })
                    .value();
    // The loop is idle: sending has to be noticed.
    world.run_until([] { return false; }, 50ms);
    REQUIRE(world.server->emit(tick, 1));
    REQUIRE(world.run_until([&] { return got.size() == 100; }));
    CHECK(std::is_sorted(got.begin(), got.end()));
    CHECK(world.attached_client.attached());
    CHECK(world.attached_server.attached());
}

TEMPLATE_TEST_CASE("loops: deadlines pass", "[loops]", LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    // (So that authentication, which has a deadline itself, is over.)
    CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
    world.run_until([] { return false; }, 50ms);
    auto never = world.method("Never");
    std::vector<std::string> ends;
    const auto end_as = [&](std::string name) {
        return [&ends, name = std::move(name)](kdbus::Result<kdbus::Message> reply) {
            ends.push_back(name + " " + (reply ? std::string() : reply.error().name));
        };
    };
    const auto began = std::chrono::steady_clock::now();
    never.timeout = 300ms;
    auto slow = world.client->call_async(never, end_as("slow")).value();
    never.timeout = 100ms; // earlier than what the loop waits for
    auto fast = world.client->call_async(never, end_as("fast")).value();
    never.timeout = 200ms;
    auto forgotten = world.client->call_async(never, end_as("forgotten")).value();
    // Each deadline counts from its call.
    const bool calls_were_slow = std::chrono::steady_clock::now() - began >= 200ms;
    forgotten.reset();
    REQUIRE(world.run_until([&] { return ends.size() == 2; }));
    CHECK(std::chrono::steady_clock::now() - began >= 300ms);
    if (calls_were_slow)
        std::sort(ends.begin(), ends.end());
    CHECK(ends == std::vector<std::string>{std::string("fast ") + error_names::no_reply,
                                           std::string("slow ") + error_names::no_reply});
    CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
}

TEMPLATE_TEST_CASE("loops: what the socket does not take at once follows", "[loops]",
                   LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    std::vector<std::uint64_t> data(1 << 18); // 2 MiB
    for (std::size_t i = 0; i < data.size(); ++i)
        data[i] = i * 7;
    std::size_t answers = 0;
    std::size_t right = 0;
    std::vector<kdbus::Slot> calls;
    for (int i = 0; i < 4; ++i)
        calls.push_back(
            world.client
                ->call_async(
                    world.method("Echo"),
                    [&](kdbus::Result<kdbus::Message> reply) {
                        ++answers;
                        right +=
                            reply.value().template get<std::vector<std::uint64_t>>().value() == data
                                ? 1
                                : 0;
                    },
                    data)
                .value());
    REQUIRE(world.run_until([&] { return answers == 4; }));
    CHECK(right == 4);
}

TEMPLATE_TEST_CASE("loops: a blocking call leaves what came meanwhile to the loop", "[loops]",
                   LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    if constexpr (World<TestType>::Bus::is_bus) {
        int got = 0;
        auto slot =
            world.client
                ->subscribe("type='signal',member='Tick'", [&](int number) { got = number; })
                .value();
        world.run_until([] { return false; }, 50ms);
        REQUIRE(world.server->emit(tick, 7));
        // Over a socket, the signal is taken from it now: polling tells nothing any more.
        REQUIRE(world.server->list_names());
        REQUIRE(world.client->list_names());
        CHECK(got == 0);
        CHECK(world.run_until([&] { return got == 7; }));
    } else {
        CHECK(world.ask(world.method("Greet"), "peer") == "Hello, peer");
    }
}

TEMPLATE_TEST_CASE("loops: a detached connection rests", "[loops]", LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
    world.attached_server.reset();
    CHECK_FALSE(world.attached_server.attached());
    std::string answer;
    auto call = world.client
                    ->call_async(
                        world.method("Greet"),
                        [&](kdbus::Result<kdbus::Message> reply) {
                            answer = reply.value().template get<std::string>().value();
                        },
                        "later")
                    .value();
    CHECK_FALSE(world.run_until([&] { return !answer.empty(); }, 200ms));
    world.attached_server = world.loop.attach(*world.server, [](kdbus::Error) {}).value();
    CHECK(world.run_until([&] { return answer == "Hello, later"; }));
}

TEMPLATE_TEST_CASE("loops: a handler runs the loop while the program itself waits", "[loops]",
                   LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
    std::vector<int> got;
    auto slot = world.client
                    ->subscribe("type='signal',member='Tick'",
                                [&](int number) {
                                    got.push_back(number);
                                    if (number != 1)
                                        return;
                                    // It arrives while the loop cannot process the connection.
                                    world.server->emit(tick, 2).value();
                                    world.run_until([] { return false; }, 200ms);
                                })
                    .value();
    world.run_until([] { return false; }, 50ms);
    REQUIRE(world.server->emit(tick, 1));
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (got.empty() && std::chrono::steady_clock::now() < end)
        REQUIRE(world.client->wait(100ms));
    CHECK(world.attached_client.attached());
    CHECK(world.client_end.empty());
    CHECK(world.run_until([&] { return got.size() == 2; }));
    CHECK(got == std::vector<int>{1, 2});
}

TEMPLATE_TEST_CASE("loops: the other end goes away", "[loops]", LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
    std::string outcome;
    auto call = world.client
                    ->call_async(world.method("Never"),
                                 [&](kdbus::Result<kdbus::Message> reply) {
                                     outcome = reply ? "answered" : reply.error().name;
                                 })
                    .value();
    REQUIRE(world.run_until([&] { return world.kept.size() == 1; }));
    world.attached_server.reset();
    world.server.reset();
    CHECK(world.run_until([&] { return !outcome.empty(); }));
    CHECK(outcome == error_names::no_reply);
    if constexpr (World<TestType>::Bus::is_bus) {
        CHECK(world.attached_client.attached());
        CHECK(world.client_end.empty());
        CHECK(world.client->list_names());
    } else {
        CHECK(world.run_until([&] { return !world.client_end.empty(); }));
        CHECK(world.client_end == error_names::disconnected);
        CHECK_FALSE(world.attached_client.attached());
        // Nothing is polled any more that would be readable for ever.
        world.run_until([] { return false; }, 50ms);
    }
}

TEMPLATE_TEST_CASE("loops: handlers take their connection out of the loop and destroy it",
                   "[loops]", LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
    bool called = false;
    auto slot = world.client
                    ->subscribe("type='signal',member='Tick'",
                                [&](int) {
                                    called = true;
                                    world.attached_client.reset();
                                    world.client.reset();
                                })
                    .value();
    REQUIRE(world.server->emit(tick, 1));
    CHECK(world.run_until([&] { return called; }));
    CHECK_FALSE(world.client);
    world.run_until([] { return false; }, 50ms);
    CHECK(world.client_end.empty());
}

TEMPLATE_TEST_CASE("loops: the callback for the end destroys everything", "[loops]",
                   LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    if constexpr (!World<TestType>::Bus::is_bus) {
        CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
        bool ended = false;
        world.attached_client.reset();
        world.attached_client = world.loop
                                    .attach(*world.client,
                                            [&](kdbus::Error) {
                                                ended = true;
                                                world.attached_client.reset();
                                                world.client.reset();
                                            })
                                    .value();
        world.attached_server.reset();
        world.server.reset();
        CHECK(world.run_until([&] { return ended; }));
        CHECK_FALSE(world.client);
    }
}

TEMPLATE_TEST_CASE("loops: exceptions of handlers", "[loops]", LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    if constexpr (World<TestType>::Loop::passes_exceptions) {
        auto slot = world.client
                        ->subscribe("type='signal',member='Tick'",
                                    [](int number) {
                                        if (number == 1)
                                            throw std::domain_error("on purpose");
                                    })
                        .value();
        REQUIRE(world.server->emit(tick, 1));
        CHECK_THROWS_AS(world.run_until([] { return false; }), std::domain_error);
        CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
    }
}

TEMPLATE_TEST_CASE("loops: waiting for something else takes no memory", "[loops]",
                   LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    if constexpr (!World<TestType>::Loop::needs_memory) {
        CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
        auto never = world.method("Never");
        const auto ignore = [](const kdbus::Result<kdbus::Message>&) {
        };
        never.timeout = 300s;
        auto later = world.client->call_async(never, ignore).value();
        never.timeout = 100s;
        auto sooner = world.client->call_async(never, ignore).value();
        REQUIRE(world.run_until([&] { return world.kept.size() == 2; }));
        allocations_left = 0;
        sooner.reset();
        later.reset();
        allocations_left = -1;
        CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
    }
}

TEMPLATE_TEST_CASE("loops: attaching without memory leaves nothing behind", "[loops]",
                   LOOPS_AND_BUSES) {
    if (!TestType::first_type::usable())
        return;
    World<TestType> world;
    using Loop = typename World<TestType>::Loop;
    CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
    world.attached_client.reset();
    int failed = 0;
    for (; !world.attached_client.attached() && failed < Loop::own_allocations; ++failed)
        try {
            allocations_left = failed;
            world.attached_client = world.loop.attach(*world.client, [](kdbus::Error) {}).value();
            allocations_left = -1;
        } catch (const std::bad_alloc&) {
            allocations_left = -1;
        }
    CHECK(failed >= 2);
    if (!world.attached_client.attached())
        world.attached_client = world.loop.attach(*world.client, [](kdbus::Error) {}).value();
    CHECK(world.ask(world.method("Greet"), "x") == "Hello, x");
}
