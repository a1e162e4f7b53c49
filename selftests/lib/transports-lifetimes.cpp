// SPDX-License-Identifier: LGPL-2.1-or-later
// Coroutines, what they wait for and what they belong to, ending in any order, on each transport.
#include "transports.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;
using kdbus::Connection;
using kdbus::Task;

namespace {

using Texts = kdbus::SignalStream<std::string>;

Task<> note_answer(kdbus::AsyncCall& call, std::string& text) {
    const auto reply = co_await call;
    text = outcome(reply);
}

Task<> note_texts(Texts& stream, std::vector<std::string>& seen) {
    while (auto signal = co_await stream.next())
        seen.push_back(std::get<0>(signal->arguments));
    seen.emplace_back("end");
}

/// What knows nothing of connections, and is not of this library.
struct Event {
    std::coroutine_handle<> waiter;

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept { waiter = handle; }
    void await_resume() const noexcept {}
    void happen() { std::exchange(waiter, {}).resume(); }
};

Task<int> wait_for(Event& event) {
    co_await event;
    co_return 7;
}
Task<> wait_and_end(Event& event, bool& gone) {
    const Guard guard{&gone};
    (void)co_await wait_for(event);
}
Task<> wait_and_throw(Event& event) {
    co_await event;
    throw std::runtime_error("late");
}
Task<> wait_and_destroy_slot(Event& event, kdbus::Slot& own, bool& gone, bool& passed) {
    const Guard guard{&gone};
    co_await event;
    own.reset();
    passed = !gone;
    co_await event;
    passed = false;
}
Task<> wait_and_sleep(Event& event, Connection& bus, bool& gone) {
    const Guard guard{&gone};
    co_await event;
    (void)co_await bus.co_sleep(0ms);
}

template <class Bus>
struct Emitter : Pair<Bus> {
    Emitter() : Pair<Bus>([](kdbus::Interface&) {}) {}

    Texts stream() {
        return this->client->template signals<std::string>("type='signal',member='Changed'")
            .value();
    }
    void emit(const char* text) {
        this->service->emit({path, interface_name, "Changed"}, text).value();
    }
};

} // namespace

TEMPLATE_TEST_CASE("a call outlives the coroutine that awaits it", "[lifetimes]", ALL_BUSES) {
    Pair<TestType> pair([](kdbus::Interface& interface) {
        interface.method("Greet", [] { return std::string("Hello"); });
    });
    auto call = pair.client->co_call(method("Greet"));
    std::string first, second;
    auto task = pair.client->spawn(note_answer(call, first));

    SECTION("and has its answer for another one") {
        task.reset();
        CHECK(pair.until([&] { return call.ready(); }));
        CHECK(first.empty());
        task = pair.client->spawn(note_answer(call, second));
        CHECK(second == "Hello");
    }
    SECTION("which alone may wait for it") {
        CHECK_THROWS_AS(pair.client->spawn(note_answer(call, second)), std::logic_error);
        CHECK(pair.until([&] { return !first.empty(); }));
        CHECK(first == "Hello");
    }
}

TEMPLATE_TEST_CASE("a coroutine outlives the call that it awaits", "[lifetimes]", ALL_BUSES) {
    Pair<TestType> pair([](kdbus::Interface&) {});
    auto call = std::make_unique<kdbus::AsyncCall>([&](auto callback) {
        return pair.client->call_async(method("None"), std::move(callback));
    });
    std::string text;
    auto task = pair.client->spawn(note_answer(*call, text));
    call.reset();
    CHECK(pair.until([&] { return !pair.client->process().value(); }));
    CHECK(text.empty());
    task.reset();
}

TEMPLATE_TEST_CASE("a stream outlives the coroutine that awaits it", "[lifetimes]", ALL_BUSES) {
    Emitter<TestType> pair;
    auto stream = pair.stream();
    std::vector<std::string> first, second;
    auto task = pair.client->spawn(note_texts(stream, first));
    CHECK_THROWS_AS(pair.client->spawn(note_texts(stream, second)), std::logic_error);
    task.reset();
    pair.emit("a");
    task = pair.client->spawn(note_texts(stream, second));
    CHECK(pair.until([&] { return second.size() == 1; }));
    CHECK(first.empty());
    CHECK(second.front() == "a");
}

TEMPLATE_TEST_CASE("a coroutine outlives the stream that it awaits", "[lifetimes]", ALL_BUSES) {
    Emitter<TestType> pair;
    std::optional stream(pair.stream());
    std::vector<std::string> seen;

    SECTION("and is told") {
        const auto task = pair.client->spawn(note_texts(*stream, seen));
        pair.emit("a");
        CHECK(pair.until([&] { return seen.size() == 1; }));
        stream.reset();
        CHECK(seen.size() == 1);
        REQUIRE(pair.client->timeout());
        CHECK(*pair.client->timeout() <= std::chrono::steady_clock::now());
        CHECK(pair.client->process().value());
        CHECK(seen == std::vector<std::string>{"a", "end"});
    }
    SECTION("but not its connection") {
        auto task = pair.client->spawn(note_texts(*stream, seen));
        stream.reset();
        pair.client.reset();
        CHECK(seen.empty());
    }
}

TEMPLATE_TEST_CASE("the end of a connection ends streams that coroutines then destroy",
                   "[lifetimes]", PeerPair) {
    TestType bus;
    std::optional<Connection> service = bus.connect();
    Connection client = bus.connect();
    std::optional stream(client.signals<std::string>("type='signal'").value());
    std::vector<std::string> seen;
    const auto reader = client.spawn(note_texts(*stream, seen));
    const auto other = client.spawn([](Connection& own, std::optional<Texts>& texts) -> Task<> {
        (void)co_await own.co_sleep(1h);
        texts.reset();
    }(client, stream));
    service.reset();
    while (client.wait(1s))
        continue;
    CHECK(seen == std::vector<std::string>{"end"});
    CHECK_FALSE(client.timeout());
}

TEMPLATE_TEST_CASE("a task may wait for anything", "[lifetimes]", ALL_BUSES) {
    TestType bus;
    Connection first = bus.connect();
    std::optional<Connection> client = bus.connect();
    Event event;
    bool gone = false;

    SECTION("and ends in process() when it is resumed elsewhere") {
        int changes = 0;
        const auto task = client->spawn(wait_and_end(event, gone));
        client->process().value();
        const auto deadline = client->timeout(); // of the introduction to a peer, if any
        CHECK((!deadline || *deadline > std::chrono::steady_clock::now()));
        client->on_change([&] { ++changes; });
        event.happen();
        CHECK(changes == 1);
        REQUIRE(client->timeout());
        CHECK(*client->timeout() <= std::chrono::steady_clock::now());
        CHECK(client->process().value());
        CHECK(gone);
    }
    SECTION("and if it is given up there, by itself even") {
        auto task = client->spawn(wait_and_end(event, gone));
        task.reset();
        CHECK(!gone); // as far as one can know, it runs
        CHECK(client->process().value());
        CHECK(gone);
        gone = false;
        kdbus::Slot own;
        bool passed = false;
        own = client->spawn(wait_and_destroy_slot(event, own, gone, passed));
        event.happen();
        CHECK(passed);
        CHECK(client->process().value());
        CHECK(gone);
    }
    SECTION("and so does its slot") {
        auto task = client->spawn(wait_and_end(event, gone));
        event.happen();
        task.reset();
        CHECK(gone);
    }
    SECTION("and its connection") {
        const auto task = client->spawn(wait_and_end(event, gone));
        event.happen();
        client.reset();
        CHECK(gone);
    }
    SECTION("even if it throws") {
        const auto task = client->spawn(wait_and_throw(event));
        event.happen();
        CHECK_THROWS_WITH(client->process(), "late");
        (void)client->process().value();
    }
    SECTION("and then for the connection") {
        const auto task = client->spawn(wait_and_sleep(event, *client, gone));
        event.happen();
        CHECK(!gone);
        CHECK(process_until(*client, [&] { return gone; }));
    }
    SECTION("even for what happens in its own process()") {
        const auto other = client->spawn([](Connection& own, Event& what) -> Task<> {
            (void)co_await own.co_sleep(0ms);
            what.happen();
        }(*client, event));
        CHECK(client->run(wait_for(event)).value() == 7);
    }
}

TEMPLATE_TEST_CASE("a method that waits ends with its object", "[lifetimes]", ALL_BUSES) {
    Connection* own = nullptr;
    kdbus::Slot* object = nullptr;
    int started = 0;
    bool gone = false;
    Event event;
    Pair<TestType> pair([&](kdbus::Interface& interface) {
        interface.method("Wait", [&]() -> Task<std::string> {
            const Guard guard{&gone};
            ++started;
            (void)co_await own->co_sleep(1h);
            co_return "never";
        });
        interface.method("Close", [&]() -> Task<std::string> {
            object->reset();
            co_return "closed";
        });
        interface.method("CloseLate", [&]() -> Task<std::string> {
            const Guard guard{&gone};
            ++started;
            (void)co_await wait_for(event);
            object->reset();
            started += gone ? 0 : 1;
            co_return "closed";
        });
        interface.method("CloseAndWait", [&]() -> Task<std::string> {
            const Guard guard{&gone};
            object->reset();
            CHECK(!gone);
            (void)co_await own->co_sleep(0ms);
            co_return "never";
        });
    });
    own = &*pair.service;
    object = &pair.object;
    const auto other =
        pair.service->add_object("/other", kdbus::Interface("org.example.Other")).value();
    std::vector<std::string> answers;
    std::vector<kdbus::Slot> calls;
    const auto call = [&](const char* member) {
        calls.push_back(pair.client
                            ->call_async(method(member),
                                         [&](kdbus::Result<kdbus::Message> reply) {
                                             answers.push_back(outcome(reply));
                                         })
                            .value());
    };

    SECTION("and its caller is told") {
        call("Wait");
        CHECK(pair.until([&] { return started == 1; }));
        CHECK(!gone);
        pair.object.reset();
        CHECK(gone);
        CHECK(pair.until([&] { return answers.size() == 1; }));
        CHECK(answers.front() == error_names::failed);
    }
    SECTION("even if it ends that itself") {
        call("Close");
        CHECK(pair.until([&] { return answers.size() == 1; }));
        CHECK(answers.front() == "closed");
        call("Close");
        CHECK(pair.until([&] { return answers.size() == 2; }));
        CHECK(answers.back() == error_names::unknown_object);
    }
    SECTION("even where something else resumes it") {
        call("CloseLate");
        CHECK(pair.until([&] { return started == 1; }));
        event.happen();
        CHECK(started == 2);
        CHECK(pair.until([&] { return answers.size() == 1; }));
        CHECK(answers.front() == "closed");
        CHECK(gone);
    }
    SECTION("and then where it waits next") {
        call("CloseAndWait");
        CHECK(pair.until([&] { return answers.size() == 1; }));
        CHECK(gone);
        CHECK(answers.front() == error_names::failed);
    }
}
