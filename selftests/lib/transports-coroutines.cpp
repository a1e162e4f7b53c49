// SPDX-License-Identifier: LGPL-2.1-or-later
// Coroutines that call, serve, sleep and take signals, and calls that are cancelled, on each
// transport.
#include "transports.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;
using kdbus::Connection;
using kdbus::Task;

namespace {

void add_methods(kdbus::Interface& interface) {
    interface.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; });
    interface.method("Fail", []() -> std::int32_t {
        throw kdbus::Exception("org.example.Error.X", "on purpose");
    });
}

Task<std::string> greet(Connection& bus, std::string name) {
    const auto reply = co_await bus.co_call(method("Greet"), name);
    co_return reply.value().get<std::string>().value();
}

Task<std::string> greet_twice(Connection& bus) {
    const std::string first = co_await greet(bus, "a");
    co_return first + co_await greet(bus, "b");
}

Task<std::string> call_three(Connection& bus) {
    auto first = bus.co_call(method("Greet"), "1");
    auto second = bus.co_call(method("Fail"));
    auto third = bus.co_call(method("Greet"), "3");
    std::string text = (co_await third).value().get<std::string>().value();
    text += (co_await first).value().get<std::string>().value();
    text += (co_await second).error().name;
    co_return text;
}

Task<int> greet_often(Connection& bus) {
    int done = 0;
    for (int i = 0; i < 1000; ++i)
        done += co_await greet(bus, "x") == "Hello, x!";
    co_return done;
}

Task<kdbus::Result<int>> call_nothing(Connection& bus) {
    auto reply = co_await bus.co_call({service_name, "no path", "", "Greet"});
    co_return std::move(reply).error();
}

Task<> call_and_throw(Connection& bus) {
    (co_await bus.co_call(method("Fail"))).value();
}

Task<> keep_waiting(Connection& bus, std::optional<std::string>& error, std::stop_token stop) {
    auto keep = method("Keep");
    keep.timeout = stop.stop_possible() ? std::chrono::nanoseconds(1h) : 20ms;
    keep.stop = std::move(stop);
    error = (co_await bus.co_call(keep)).error().name;
}

/// "Slow" is done when @p done is requested; it and "Forever" are counted while they run.
void add_coroutines(kdbus::Interface& interface, Connection*& own, int& running,
                    const std::stop_token& done) {
    interface.method("Slow", [&, done](std::string_view text) -> Task<std::string> {
        ++running;
        (void)co_await own->co_sleep(1h, done);
        --running;
        co_return std::string(text) + " in time";
    });
    interface.method("Both",
                     [&](const kdbus::Message& call,
                         std::int32_t number) -> Task<std::tuple<std::string, std::int32_t>> {
                         (co_await own->co_sleep(1ms)).value();
                         co_return std::tuple(std::string(call.member()), number + 1);
                     });
    interface.method("Nothing", []() -> Task<> { co_return; });
    interface.method("Error", [&]() -> Task<kdbus::Result<std::int32_t>> {
        (co_await own->co_sleep(1ms)).value();
        co_return kdbus::Error{"org.example.Error.Returned", ""};
    });
    interface.method("Throw", [&]() -> Task<std::int32_t> {
        (co_await own->co_sleep(1ms)).value();
        throw kdbus::Exception("org.example.Error.Thrown", "");
    });
    interface.method("ThrowFirst", []() -> Task<std::int32_t> {
        throw std::runtime_error("text");
        co_return 0;
    });
    interface.method("Forever", [&](const std::string&) -> Task<std::string> {
        ++running;
        (co_await own->co_sleep(1h)).value();
        co_return "";
    });
}

using Changes = kdbus::SignalStream<std::string, std::int32_t>;
using Texts = kdbus::SignalStream<std::string>;

Task<> take_changes(Changes stream, std::vector<std::string>& seen, bool& ended) {
    while (auto signal = co_await stream.next()) {
        const auto& [text, number] = signal->arguments;
        seen.push_back(signal->member + signal->path + " " + text + std::to_string(number));
    }
    ended = true;
}

Task<std::string> take_two(Texts& stream) {
    std::string all;
    for (int i = 0; i < 2; ++i)
        all += std::get<0>((co_await stream.next()).value().arguments);
    co_return all;
}

Task<> take_one(Texts first, std::vector<std::string>& seen) {
    std::optional stream(std::move(first));
    seen.push_back(std::get<0>((co_await stream->next()).value().arguments));
    stream.reset();
}

Task<> note_end_of_signals(Connection& bus, std::vector<std::string>& ended) {
    auto stream = bus.signals<std::string>("type='signal'").value();
    ended.push_back(co_await stream.next() ? "signal" : "stream");
}
Task<> note_end_of_call(Connection& bus, std::vector<std::string>& ended) {
    ended.push_back((co_await bus.co_call(method("Any"))).error().name);
}
Task<> note_end_of_sleep(Connection& bus, std::vector<std::string>& ended) {
    ended.push_back((co_await bus.co_sleep(1h)).error().name);
}

Task<kdbus::Result<void>> sleep(Connection& bus, std::chrono::nanoseconds duration,
                                std::stop_token stop) {
    co_return co_await bus.co_sleep(duration, stop);
}
Task<> note_sleep(Connection& bus, std::optional<kdbus::Result<void>>& result,
                  std::stop_token stop) {
    result = co_await bus.co_sleep(1h, stop);
}

Task<> sleep_guarded(Connection& bus, bool& gone, bool& passed, std::chrono::nanoseconds duration) {
    const Guard guard{&gone};
    (void)co_await bus.co_sleep(duration);
    passed = true;
}
Task<> destroy_own_slot(Connection& bus, kdbus::Slot& own, bool& gone, bool& passed) {
    const Guard guard{&gone};
    (void)co_await bus.co_sleep(0ms);
    own.reset();
    passed = !gone;
    (void)co_await bus.co_sleep(0ms);
    passed = false;
}
Task<> throw_late(Connection& bus, bool& gone) {
    const Guard guard{&gone};
    (void)co_await bus.co_sleep(0ms);
    throw std::runtime_error("on purpose");
}
Task<> throw_at_once() {
    throw std::runtime_error("at once");
    co_return;
}
Task<> destroy_connection(std::optional<Connection>& bus, bool& gone) {
    const Guard guard{&gone};
    (void)co_await bus->co_sleep(0ms);
    bus.reset();
    CHECK(!gone);
}

} // namespace

TEMPLATE_TEST_CASE("a coroutine waits for answers", "[coroutines]", ALL_BUSES) {
    TestType bus;
    Service service(bus, [](Connection&, kdbus::Interface& interface) { add_methods(interface); });
    Connection client = bus.connect();

    CHECK(client.run(greet(client, "one")).value() == "Hello, one!");

    SECTION("one after the other, out of nested tasks") {
        CHECK(client.run(greet_twice(client)).value() == "Hello, a!Hello, b!");
    }
    SECTION("of several calls under way at once") {
        CHECK(client.run(call_three(client)).value() == "Hello, 3!Hello, 1!org.example.Error.X");
    }
    SECTION("many times, on a stack that does not grow") {
        CHECK(client.run(greet_often(client)).value() == 1000);
    }
    SECTION("whose call fails at once") {
        CHECK(client.run(call_nothing(client)).error().name == error_names::invalid_args);
    }
    SECTION("and throws") {
        CHECK_THROWS_AS(client.run(call_and_throw(client)), kdbus::Exception);
        // Nothing is left of it.
        CHECK(client.run(greet(client, "two")).value() == "Hello, two!");
    }
}

TEMPLATE_TEST_CASE("answers that do not come in time", "[coroutines]", ALL_BUSES) {
    std::vector<kdbus::Responder> kept;
    Pair<TestType> pair([&](kdbus::Interface& interface) {
        interface.method("Keep", [&](kdbus::Responder reply) { kept.push_back(std::move(reply)); });
    });
    std::optional<std::string> error;
    std::stop_source source;

    SECTION("end with their deadline") {
        const auto task = pair.client->spawn(keep_waiting(*pair.client, error, {}));
        CHECK(pair.until([&] { return error.has_value(); }));
        CHECK(error == error_names::no_reply);
    }
    SECTION("end when a stop is requested") {
        const auto task = pair.client->spawn(keep_waiting(*pair.client, error, source.get_token()));
        CHECK(pair.until([&] { return !kept.empty(); }));
        source.request_stop();
        CHECK(!error);
        CHECK(pair.client->timeout() <= std::chrono::steady_clock::now());
        CHECK(pair.client->process().value());
        CHECK(error == error_names::cancelled);
        // The late answer harms nobody.
        kept.clear();
        CHECK(pair.until([&] { return !pair.client->process().value(); }));
    }
    SECTION("are not asked for after a stop was requested") {
        source.request_stop();
        const auto task = pair.client->spawn(keep_waiting(*pair.client, error, source.get_token()));
        CHECK(error == error_names::cancelled);
        pair.service->wait(10ms).value();
        CHECK(kept.empty());
    }
    SECTION("of calls with a callback likewise") {
        auto keep = method("Keep");
        keep.stop = source.get_token();
        const auto slot =
            pair.client
                ->call_async(
                    keep, [&](kdbus::Result<kdbus::Message> reply) { error = reply.error().name; })
                .value();
        source.request_stop();
        CHECK(pair.client->process().value());
        CHECK(error == error_names::cancelled);
    }
    SECTION("end with the connection") {
        const auto task = pair.client->spawn(keep_waiting(*pair.client, error, source.get_token()));
        pair.client.reset();
        CHECK(!error);
        source.request_stop();
    }
}

TEMPLATE_TEST_CASE("a blocking call is stopped by another thread", "[coroutines]", ALL_BUSES) {
    TestType bus;
    std::vector<kdbus::Responder> kept;
    Service service(bus, [&](Connection&, kdbus::Interface& interface) {
        add_methods(interface);
        interface.method("Keep", [&](kdbus::Responder reply) { kept.push_back(std::move(reply)); });
    });
    Connection client = bus.connect();
    std::stop_source source;
    auto keep = method("Keep");
    keep.stop = source.get_token();
    keep.timeout = 1h;

    std::thread other([&] {
        std::this_thread::sleep_for(50ms);
        source.request_stop();
    });
    CHECK(client.call(keep).error().name == error_names::cancelled);
    other.join();
    CHECK(client.call(keep).error().name == error_names::cancelled);
    CHECK(client.call(method("Greet"), "x").value().template get<std::string>().value() ==
          "Hello, x!");
}

TEMPLATE_TEST_CASE("methods are coroutines", "[coroutines]", ALL_BUSES) {
    int running = 0;
    std::stop_source done;
    Connection* own = nullptr;
    Pair<TestType> pair([&](kdbus::Interface& interface) {
        add_coroutines(interface, own, running, done.get_token());
    });
    own = &*pair.service;
    std::vector<std::string> answers;
    const auto remember = [&](kdbus::Result<kdbus::Message> reply) {
        if (!reply)
            answers.push_back(reply.error().name + " " + reply.error().message);
        else if (reply->signature() == "s")
            answers.push_back(reply->get<std::string>().value());
        else
            answers.push_back("(" + std::string(reply->signature()) + ")");
    };
    std::vector<kdbus::Slot> calls;
    const auto call = [&](const char* member, const auto&... args) {
        calls.push_back(pair.client->call_async(method(member), remember, args...).value());
    };

    SECTION("that go on side by side, with their arguments") {
        call("Slow", "first");
        call("Slow", "second");
        CHECK(pair.until([&] { return running == 2; }));
        CHECK(answers.empty());
        done.request_stop();
        CHECK(pair.until([&] { return answers.size() == 2; }));
        CHECK(answers == std::vector<std::string>{"first in time", "second in time"});
        CHECK(running == 0);
    }
    SECTION("with any result") {
        call("Nothing");
        CHECK(pair.until([&] { return answers.size() == 1; }));
        call("Both", std::int32_t{4});
        CHECK(pair.until([&] { return answers.size() == 2; }));
        call("Error");
        CHECK(pair.until([&] { return answers.size() == 3; }));
        call("Throw");
        CHECK(pair.until([&] { return answers.size() == 4; }));
        call("ThrowFirst");
        CHECK(pair.until([&] { return answers.size() == 5; }));
        CHECK(answers == std::vector<std::string>{"()", "(si)", "org.example.Error.Returned ",
                                                  "org.example.Error.Thrown ",
                                                  std::string(error_names::failed) + " text"});
    }
    SECTION("that end with their connection") {
        call("Slow", "x");
        call("Forever", "y");
        CHECK(pair.until([&] { return running == 2; }));
        pair.service.reset();
        CHECK(pair.until([&] { return answers.size() == 2; }));
        CHECK(answers.front().starts_with(error_names::no_reply));
    }
    SECTION("as introspection shows them") {
        calls.push_back(
            pair.client
                ->call_async(method("Introspect", "org.freedesktop.DBus.Introspectable"), remember)
                .value());
        CHECK(pair.until([&] { return answers.size() == 1; }));
        CHECK(answers.front().find("<method name=\"Both\">") != std::string::npos);
        CHECK(answers.front().find("type=\"i\" direction=\"out\"") != std::string::npos);
    }
}

TEMPLATE_TEST_CASE("a coroutine takes signals one by one", "[coroutines]", ALL_BUSES) {
    Pair<TestType> pair(add_methods);
    const auto emit = [&](const auto&... args) {
        pair.service->emit({path, interface_name, "Changed"}, args...).value();
    };
    const std::string rule = "type='signal',member='Changed'";
    std::vector<std::string> seen;
    bool ended = false;

    SECTION("in order, those with the right arguments") {
        auto stream = pair.client->template signals<std::string, std::int32_t>(rule).value();
        const auto task = pair.client->spawn(take_changes(std::move(stream), seen, ended));
        emit("a", std::int32_t{1});
        emit("not this");
        emit("b", std::int32_t{2});
        CHECK(pair.until([&] { return seen.size() == 2; }));
        CHECK(seen == std::vector<std::string>{"Changed/org/example/Test a1",
                                               "Changed/org/example/Test b2"});
        CHECK(!ended);
    }
    SECTION("no more than are to be kept") {
        auto stream = pair.client->template signals<std::string>(rule, 2).value();
        for (const char* text : {"a", "b", "c", "d"})
            emit(text);
        CHECK(pair.until([&] { return stream.lost() == 2; }));
        CHECK(pair.client->run(take_two(stream)).value() == "ab");
    }
    SECTION("until it has enough, and ends the subscription while it takes one") {
        auto stream = pair.client->template signals<std::string>(rule).value();
        const auto task = pair.client->spawn(take_one(std::move(stream), seen));
        emit("a");
        emit("b");
        CHECK(pair.until([&] { return seen.size() == 1; }));
        CHECK(pair.until([&] { return !pair.client->process().value(); }));
        CHECK(seen.size() == 1);
    }
    SECTION("with an error for a rule that is none") {
        CHECK(pair.client->template signals<std::string>("type=").error().name ==
              error_names::match_rule_invalid);
    }
}

TEMPLATE_TEST_CASE("a connection that ends wakes coroutines", "[coroutines]", PeerPair) {
    TestType bus;
    std::optional<Connection> service = bus.connect();
    Connection client = bus.connect();
    std::vector<std::string> ended;
    const auto first = client.spawn(note_end_of_signals(client, ended));
    const auto second = client.spawn(note_end_of_call(client, ended));
    const auto third = client.spawn(note_end_of_sleep(client, ended));
    service.reset();
    while (client.wait(1s))
        continue;
    std::sort(ended.begin(), ended.end());
    CHECK(ended ==
          std::vector<std::string>{error_names::no_reply, error_names::no_reply, "stream"});
    // Who goes on waiting is not waited for.
    CHECK(client.run(note_end_of_call(client, ended)).has_value());
}

TEMPLATE_TEST_CASE("coroutines sleep", "[coroutines]", ALL_BUSES) {
    TestType bus;
    Connection first = bus.connect();
    Connection client = bus.connect();
    std::stop_source source;
    const auto begin = std::chrono::steady_clock::now();
    CHECK(client.run(sleep(client, 20ms, {})));
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
    CHECK(client.run(sleep(client, 0ms, {})));

    std::optional<kdbus::Result<void>> result;
    const auto task = client.spawn(note_sleep(client, result, source.get_token()));
    source.request_stop();
    CHECK(process_until(client, [&] { return result.has_value(); }));
    CHECK(result->error().name == error_names::cancelled);
    CHECK(client.run(sleep(client, 1h, source.get_token())).error().name == error_names::cancelled);
}

TEMPLATE_TEST_CASE("a slot holds a task", "[coroutines]", ALL_BUSES) {
    TestType bus;
    Connection first = bus.connect();
    std::optional<Connection> client = bus.connect();
    bool gone = false;
    bool passed = false;

    SECTION("and ends it where it waits") {
        auto task = client->spawn(sleep_guarded(*client, gone, passed, 1h));
        CHECK(!gone);
        task.reset();
        CHECK(gone);
        CHECK(!passed);
    }
    SECTION("until it is done") {
        auto task = client->spawn(sleep_guarded(*client, gone, passed, 0ms));
        CHECK(!gone);
        CHECK(process_until(*client, [&] { return gone; }));
        CHECK(passed);
        task.reset();
    }
    SECTION("or lets it go on until the connection ends") {
        client->spawn(sleep_guarded(*client, gone, passed, 1h)).detach();
        client->process().value();
        CHECK(!gone);
        client.reset();
        CHECK(gone);
        CHECK(!passed);
    }
    SECTION("even if the task destroys it") {
        kdbus::Slot own;
        own = client->spawn(destroy_own_slot(*client, own, gone, passed));
        CHECK(process_until(*client, [&] { return gone; }));
        CHECK(passed);
    }
    SECTION("and exceptions leave process()") {
        const auto task = client->spawn(throw_late(*client, gone));
        CHECK_THROWS_WITH(client->wait(1s), "on purpose");
        CHECK(gone);
        CHECK_THROWS_WITH(client->spawn(throw_at_once()), "at once");
    }
    SECTION("that destroys the connection") {
        client->spawn(destroy_connection(client, gone)).detach();
        (void)client->wait(1s);
        CHECK(gone);
        CHECK(!client);
    }
}
