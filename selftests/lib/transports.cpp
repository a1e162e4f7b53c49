// SPDX-License-Identifier: LGPL-2.1-or-later
// One program, whatever carries its messages: every case gives the same results on the kernel's bus
// (in a guest), on dbus-daemon, on dbus-broker and from peer to peer.
#include "transports.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <limits>
#include <map>
#include <numeric>
#include <poll.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace abi = kdbus::abi;
namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;

TEMPLATE_TEST_CASE("calls are answered", "[transports]", ALL_BUSES) {
    TestType bus;
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; });
        interface.method("Nothing", [] {});
        interface.method("Fail",
                         [] { throw kdbus::Exception("org.example.Error.X", "on purpose"); });
        interface.method("Caller",
                         [](const kdbus::Message& call) { return std::string(call.sender()); });
    });
    auto client = bus.connect();
    CHECK(outcome(client.call(method("Greet"), "world")) == "Hello, world!");
    CHECK(outcome(client.call(method("Greet", ""), "world")) == "Hello, world!");
    CHECK(outcome(client.call(method("Nothing"))) == "()");
    CHECK(client.call(method("Fail")).error() == kdbus::Error{"org.example.Error.X", "on purpose"});
    CHECK(outcome(client.call(method("Caller"))) == client.unique_name());
    CHECK(outcome(client.call(method("Absent"))) == error_names::unknown_method);
    CHECK(outcome(client.call(method("Greet"))) == error_names::invalid_args);
    CHECK(outcome(client.call(method("Greet"), 5)) == error_names::invalid_args);
    CHECK(outcome(client.call(method("Greet", "org.example.Other"), "x")) ==
          error_names::unknown_interface);
    auto elsewhere = method("Greet");
    elsewhere.path = "/elsewhere";
    CHECK(outcome(client.call(elsewhere, "x")) == error_names::unknown_object);
    CHECK(outcome(client.call(method("not a member"))) == error_names::invalid_args);
    CHECK(outcome(client.call(method("Greet"), "\xff")) == error_names::invalid_args);
    CHECK(outcome(client.call(method("Ping", "org.freedesktop.DBus.Peer"))) == "()");
    CHECK(outcome(client.call(method("Introspect", "org.freedesktop.DBus.Introspectable")))
              .find("<method name=\"Greet\">") != std::string::npos);
    CHECK(client.call_no_reply(method("Greet"), "nobody listens"));
    CHECK(outcome(client.call(method("Greet"), "again")) == "Hello, again!");
    CHECK(client.lost_signals() == 0);
    CHECK(client.bus_id().size() == 32);
}

TEMPLATE_TEST_CASE("values arrive as they were sent", "[transports]", ALL_BUSES) {
    using kdbus::Variant;
    using Dictionary = std::map<std::string, Variant>;
    using Structure = std::tuple<std::uint8_t, std::string, std::vector<double>>;
    TestType bus;
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Numbers",
                         [](bool b, std::uint8_t y, std::int16_t n, std::uint16_t q, std::int32_t i,
                            std::uint32_t u, std::int64_t x, std::uint64_t t,
                            double d) { return std::tuple(b, y, n, q, i, u, x, t, d); });
        interface.method("Dictionary", [](const Dictionary& value) { return value; });
        interface.method("Structures", [](const std::vector<Structure>& value) { return value; });
        interface.method("Path", [](const kdbus::ObjectPath& o, const kdbus::Signature& g) {
            return std::tuple(o, g);
        });
        interface.method("Sum", [](std::span<const double> numbers) {
            return std::accumulate(numbers.begin(), numbers.end(), 0.0);
        });
    });
    auto client = bus.connect();
    const std::tuple numbers(true, std::uint8_t{0xFE}, std::int16_t{-300}, std::uint16_t{60000},
                             std::int32_t{-70000}, std::uint32_t{4'000'000'000},
                             std::numeric_limits<std::int64_t>::min(),
                             std::numeric_limits<std::uint64_t>::max(), -0.125);
    const auto same = std::apply(
        [&](auto... number) {
            return client.call(method("Numbers"), number...)
                .value()
                .template get<decltype(number)...>();
        },
        numbers);
    CHECK(same.value() == numbers);
    const Dictionary dictionary{{"", Variant("empty")},
                                {"ünïcode", Variant(std::vector<std::string>{"a", "", "b"})},
                                {"nested", Variant(Variant(std::tuple(1, true)))}};
    CHECK(
        client.call(method("Dictionary"), dictionary).value().template get<Dictionary>().value() ==
        dictionary);
    CHECK(client.call(method("Dictionary"), Dictionary())
              .value()
              .template get<Dictionary>()
              .value()
              .empty());
    const std::vector<Structure> structures{{1, "x", {1.5, 2.5}}, {2, "", {}}};
    CHECK(client.call(method("Structures"), structures)
              .value()
              .template get<std::vector<Structure>>()
              .value() == structures);
    const std::tuple paths(kdbus::ObjectPath("/a/b"), kdbus::Signature("a{sv}(ii)"));
    CHECK(client.call(method("Path"), std::get<0>(paths), std::get<1>(paths))
              .value()
              .template get<kdbus::ObjectPath, kdbus::Signature>()
              .value() == paths);
    std::vector<double> many(10'000);
    std::iota(many.begin(), many.end(), 0.5);
    CHECK(client.call(method("Sum"), many).value().template get<double>().value() ==
          std::accumulate(many.begin(), many.end(), 0.0));
}

TEMPLATE_TEST_CASE("blocking calls wait for their own answer only", "[transports]", ALL_BUSES) {
    TestType bus;
    Service service(bus, [](kdbus::Connection& connection, kdbus::Interface& interface) {
        interface.method("Noise", [&connection](int count) {
            for (int i = 0; i < count; ++i)
                connection.emit({path, interface_name, "Tick"}, i).value();
            return std::string("done");
        });
    });
    auto client = bus.connect();
    std::vector<int> seen;
    std::vector<std::string> answers;
    auto ticks = client.subscribe("member='Tick'", [&](int i) { seen.push_back(i); }).value();
    auto call = client
                    .call_async(
                        method("Noise"),
                        [&](const auto& reply) {
                            answers.push_back(outcome(reply));
                            CHECK(seen.size() == 50); // in order with the signals
                        },
                        50)
                    .value();
    CHECK(outcome(client.call(method("Noise"), 100)) == "done");
    CHECK(seen.empty());
    CHECK(answers.empty());
    // What waits inside the connection is told by timeout(), if not by the descriptor.
    REQUIRE(process_until(client, [&] { return seen.size() == 150; }));
    CHECK(answers == std::vector<std::string>{"done"});
    std::vector<int> expected(150);
    std::iota(expected.begin(), expected.begin() + 50, 0);
    std::iota(expected.begin() + 50, expected.end(), 0);
    CHECK(seen == expected);
}

TEMPLATE_TEST_CASE("calls end with their deadline", "[transports]", ALL_BUSES) {
    TestType bus;
    std::vector<kdbus::Responder> waiting;
    Service service(bus, [&](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Never",
                         [&](kdbus::Responder reply) { waiting.push_back(std::move(reply)); });
        interface.method("Echo", [](const std::string& text) { return text; });
    });
    auto client = bus.connect();
    auto never = method("Never");
    never.timeout = 50ms;
    const auto start = std::chrono::steady_clock::now();
    CHECK(outcome(client.call(never)) == error_names::no_reply);
    std::vector<std::string> answers;
    auto call =
        client.call_async(never, [&](const auto& reply) { answers.push_back(outcome(reply)); })
            .value();
    REQUIRE(client.timeout());
    REQUIRE(process_until(client, [&] { return !answers.empty(); }));
    CHECK(std::chrono::steady_clock::now() - start >= 100ms);
    CHECK(answers == std::vector<std::string>{error_names::no_reply});
    CHECK(outcome(client.call(method("Echo"), "as good as before")) == "as good as before");
}

TEMPLATE_TEST_CASE("many calls at once", "[transports]", ALL_BUSES) {
    TestType bus;
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Echo", [](const std::string& text) { return text; });
    });
    auto client = bus.connect();
    std::vector<std::string> answers;
    std::vector<kdbus::Slot> slots;
    for (int i = 0; i < 100; ++i)
        slots.push_back(client
                            .call_async(
                                method("Echo"),
                                [&](const auto& reply) { answers.push_back(outcome(reply)); },
                                std::to_string(i))
                            .value());
    REQUIRE(process_until(client, [&] { return answers.size() == 100; }));
    for (int i = 0; i < 100; ++i)
        CHECK(answers[static_cast<std::size_t>(i)] == std::to_string(i));
    CHECK_FALSE(client.timeout());
}

TEMPLATE_TEST_CASE("signals reach who subscribed", "[transports]", ALL_BUSES) {
    TestType bus;
    auto emitter = bus.connect();
    auto listener = bus.connect();
    std::vector<std::string> seen;
    const auto watch = [&](std::string_view rule, std::string tag) {
        return listener.subscribe(rule, [&seen, tag](std::string_view text) {
            seen.push_back(tag + ":" + std::string(text));
        });
    };
    auto by_member =
        watch("type='signal',interface='org.example.Test',member='Tick'", "member").value();
    auto by_path = watch("path_namespace='/org/example'", "path").value();
    auto by_argument = watch("interface='org.example.Test',arg0='two'", "argument").value();
    auto by_namespace = watch("member='Tick',arg0namespace='org.example'", "namespace").value();
    auto by_element =
        listener
            .subscribe("arg0has='b'",
                       [&](const std::vector<std::string>&) { seen.push_back("has"); })
            .value();
    CHECK(watch("bogus='1'", "").error().name == error_names::match_rule_invalid);
    const kdbus::Signal tick{path, interface_name, "Tick"};
    const kdbus::Signal tock{path, interface_name, "Tock"};
    bool end = false;
    auto ends = listener.subscribe("member='End'", [&] { end = true; }).value();
    const auto drain = [&] {
        end = false;
        emitter.emit({"/end", interface_name, "End"}).value();
        REQUIRE(process_until(listener, [&] {
            emitter.process().value(); // two peers get acquainted at first
            return end;
        }));
    };
    emitter.emit(tick, "one").value();
    emitter.emit(tock, "two").value();
    emitter.emit({"/org/examples", interface_name, "Tick"}, "org.example.X").value();
    emitter.emit({"/other", interface_name, "Tock"}, std::vector<std::string>{"a", "b"}).value();
    emitter.emit({"/other", interface_name, "Tock"}, std::vector<std::string>{"a"}).value();
    emitter.emit({"/other", "org.example.Other", "Tock"}, "nobody").value();
    emitter.emit({path, interface_name, "Tick"}, 5).value(); // not what handlers take
    drain();
    CHECK(seen == std::vector<std::string>{"member:one", "path:one", "path:two", "argument:two",
                                           "member:org.example.X", "namespace:org.example.X",
                                           "has"});
    seen.clear();
    by_member.reset();
    by_namespace.reset();
    emitter.emit({"/other", interface_name, "Tick"}, "org.example.Y").value();
    drain();
    CHECK(seen.empty());
}

TEMPLATE_TEST_CASE("properties and their changes", "[transports]", ALL_BUSES) {
    TestType bus;
    std::int32_t level = 1;
    Service service(bus, [&](kdbus::Connection&, kdbus::Interface& interface) {
        interface.property(
            "Level", [&] { return level; }, [&](std::int32_t value) { level = value; });
    });
    auto client = bus.connect();
    std::int32_t announced = 0;
    auto slot =
        client
            .subscribe("member='PropertiesChanged',arg0='org.example.Test'",
                       [&](std::string_view, const std::map<std::string, kdbus::Variant>& changed,
                           const std::vector<std::string>&) {
                           announced = changed.at("Level").get<std::int32_t>().value_or(-1);
                       })
            .value();
    client.call(method("Set", properties), interface_name, "Level", kdbus::Variant(std::int32_t{9}))
        .value();
    REQUIRE(process_until(client, [&] { return announced != 0; }));
    CHECK(announced == 9);
    CHECK(client.call(method("Get", properties), interface_name, "Level")
              .value()
              .template get<kdbus::Variant>()
              .value() == kdbus::Variant(std::int32_t{9}));
    CHECK(outcome(client.call(method("Set", properties), interface_name, "Level",
                              kdbus::Variant("text"))) == error_names::invalid_args);
}

TEMPLATE_TEST_CASE("descriptors travel", "[transports]", ALL_BUSES) {
    TestType bus;
    const std::size_t descriptors = open_descriptors();
    {
        Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
            interface.method("Write", [](const kdbus::Message& call, kdbus::UnixFd index,
                                         std::string_view text) {
                const auto fd = call.take_fd(index).value();
                return static_cast<std::int64_t>(write(fd.get(), text.data(), text.size()));
            });
            interface.deferred_method<kdbus::UnixFd>("Open", [](kdbus::Responder reply) {
                const abi::UniqueFd fd(open("/dev/zero", O_RDONLY | O_CLOEXEC));
                const std::array fds{fd.get()};
                reply.send_with_fds(fds, kdbus::UnixFd{0});
            });
        });
        auto client = bus.connect();
        std::array<int, 2> pipe_fds{};
        REQUIRE(pipe2(pipe_fds.data(), O_CLOEXEC) == 0);
        const abi::UniqueFd reader(pipe_fds[0]);
        abi::UniqueFd writer(pipe_fds[1]);
        std::vector<int> fds{writer.get()};
        auto call = method("Write");
        call.fds = fds;
        CHECK(client.call(call, kdbus::UnixFd{0}, "text")
                  .value()
                  .template get<std::int64_t>()
                  .value() == 4);
        CHECK(outcome(client.call(call, kdbus::UnixFd{1}, "text")) == error_names::invalid_args);
        fds.assign(16, writer.get());
        call.fds = fds;
        CHECK(client.call(call, kdbus::UnixFd{15}, "more")
                  .value()
                  .template get<std::int64_t>()
                  .value() == 4);
        fds.assign(17, writer.get());
        call.fds = fds;
        CHECK(outcome(client.call(call, kdbus::UnixFd{0}, "x")) == error_names::limits_exceeded);
        writer.reset();
        std::array<char, 16> buffer{};
        CHECK(read(reader.get(), buffer.data(), buffer.size()) == 8);
        CHECK(read(reader.get(), buffer.data(), buffer.size()) == 0); // nobody kept it

        const auto reply = client.call(method("Open")).value();
        const auto zero = reply.take_fd(reply.template get<kdbus::UnixFd>().value()).value();
        CHECK(read(zero.get(), buffer.data(), buffer.size()) == 16);
        CHECK(reply.take_fd({0}).error().name == error_names::invalid_args);
        CHECK(reply.take_fd({1}).error().name == error_names::invalid_args);
    }
    // The bus closes its end a little later.
    for (int i = 0; i < 3000 && open_descriptors() > descriptors; ++i)
        std::this_thread::sleep_for(10ms);
    CHECK(open_descriptors() <= descriptors);
}

TEMPLATE_TEST_CASE("large messages", "[transports]", ALL_BUSES) {
    TestType bus;
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Echo", [](std::string_view text) { return std::string(text); });
        interface.method("Sum", [](std::span<const std::byte> data) {
            std::uint64_t sum = 0;
            for (std::byte byte : data)
                sum += static_cast<std::uint8_t>(byte);
            return sum;
        });
    });
    auto client = bus.connect();
    for (std::size_t size : {std::size_t{1} << 16, (std::size_t{1} << 16) + 1, std::size_t{600'000},
                             std::size_t{3'000'000}}) {
        INFO(size);
        const std::string text(size, 'x');
        const auto reply = client.call(method("Echo"), text);
        REQUIRE(reply);
        CHECK(reply->template get<std::string_view>().value() == text);
    }
    // Passed as it is or copied: the callee sees an array of bytes.
    auto memory = abi::MemfdWriter::create(20'000'000);
    REQUIRE(memory);
    std::fill(memory->bytes().begin(), memory->bytes().end(), std::byte{3});
    const auto sealed = std::move(*memory).seal();
    REQUIRE(sealed);
    CHECK(client.call(method("Sum"), *sealed).value().template get<std::uint64_t>().value() ==
          60'000'000);
}

TEMPLATE_TEST_CASE("a foreign event loop needs one descriptor, its events and a deadline",
                   "[transports]", ALL_BUSES) {
    TestType bus;
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Echo", [](const std::string& text) { return text; });
    });
    auto client = bus.connect();
    std::vector<std::string> answers;
    const auto note = [&](const auto& reply) {
        answers.push_back(outcome(reply));
    };
    const std::string large(100'000, 'x');
    std::vector<kdbus::Slot> slots;
    for (int i = 0; i < 10; ++i)
        slots.push_back(client.call_async(method("Echo"), note, large).value());
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (answers.size() < 10 && std::chrono::steady_clock::now() < end) {
        pollfd entry{.fd = client.fd(), .events = client.events(), .revents = 0};
        const auto until = std::min(client.timeout().value_or(end), end);
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        REQUIRE(poll(&entry, 1, std::max(0, static_cast<int>(left.count()))) >= 0);
        client.process().value();
    }
    CHECK(answers == std::vector<std::string>(10, large));
}

TEMPLATE_TEST_CASE("the process behind a message is known", "[transports]", ALL_BUSES) {
    TestType bus;
    kdbus::Credentials seen;
    Service service(bus, [&](kdbus::Connection& connection, kdbus::Interface& interface) {
        interface.method("Who", [&](const kdbus::Message& call) {
            seen = connection.credentials(call).value();
        });
    });
    auto client = bus.connect();
    const auto reply = client.call(method("Who")).value();
    CHECK(seen.pid == getpid());
    CHECK(seen.euid == geteuid());
    const auto service_credentials = client.credentials(reply).value();
    CHECK(service_credentials.pid == getpid());
    CHECK(service_credentials.euid == geteuid());
}

TEMPLATE_TEST_CASE("a service that dies leaves nobody waiting", "[transports]", ALL_BUSES) {
    TestType bus;
    auto own = std::make_optional(bus.connect());
    auto client = bus.connect();
    std::string destination = own->unique_name();
    std::vector<std::string> answers;
    kdbus::Method call{destination, path, interface_name, "X"};
    std::thread killer;
    {
        auto slot =
            client.call_async(call, [&](const auto& reply) { answers.push_back(outcome(reply)); })
                .value();
        // A bus that answers what came later has passed the call on.
        if constexpr (TestType::is_bus)
            client.list_names().value();
        killer = std::thread([&] {
            std::this_thread::sleep_for(50ms);
            own.reset();
        });
        while (answers.empty())
            if (!client.wait(30s))
                break;
        killer.join();
    }
    CHECK(answers == std::vector<std::string>{error_names::no_reply});
    // Of two peers there is only one left now; a bus goes on.
    const auto later = outcome(client.call(call));
    CHECK(later == (TestType::is_bus ? error_names::service_unknown : error_names::disconnected));
    CHECK(client.process().has_value() == TestType::is_bus);
}

TEMPLATE_TEST_CASE("names have owners that come and go", "[transports]", BUSES_WITH_NAMES) {
    using kdbus::NameFlags;
    using kdbus::NameState;
    TestType bus;
    auto watcher = bus.connect();
    std::vector<std::string> changes;
    const auto note = [&](std::string_view name, std::string_view from, std::string_view to) {
        changes.push_back(std::string(name) + " " + std::string(from) + " -> " + std::string(to));
    };
    auto slot = watcher
                    .subscribe("type='signal',sender='org.freedesktop.DBus',"
                               "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                               "arg0='org.example.N'",
                               note)
                    .value();
    auto a = std::make_optional(bus.connect());
    auto b = bus.connect();
    const std::string a_name = a->unique_name();
    const std::string b_name = b.unique_name();
    CHECK(a_name.starts_with(":1."));
    CHECK(a_name != b_name);
    CHECK(a->bus_id() == b.bus_id());
    CHECK(a->request_name("org.example.N").value() == NameState::owner);
    CHECK(a->request_name("org.example.N").value() == NameState::already_owner);
    CHECK(b.request_name("org.example.N").error().name == "org.freedesktop.DBus.Error.FileExists");
    CHECK(b.request_name("org.example.N", NameFlags::queue).value() == NameState::queued);
    CHECK(b.release_name("org.example.Nobody").error().name == error_names::name_has_no_owner);
    CHECK(watcher.release_name("org.example.N").error().name ==
          "org.freedesktop.DBus.Error.AddressInUse");
    CHECK(b.request_name("bad").error().name == error_names::invalid_args);
    CHECK(b.request_name(":1.5").error().name == error_names::invalid_args);
    CHECK(b.request_name("org.freedesktop.DBus").error().name == error_names::invalid_args);
    CHECK(watcher.name_owner("org.example.N").value() == a_name);
    CHECK(watcher.credentials("org.example.N").value().pid == getpid());
    a.reset(); // b inherits
    REQUIRE(process_until(watcher, [&] { return changes.size() == 2; }));
    CHECK(watcher.name_owner("org.example.N").value() == b_name);
    const auto names = watcher.list_names().value();
    CHECK(names.front() == "org.freedesktop.DBus");
    CHECK(std::is_sorted(names.begin() + 1, names.end()));
    CHECK(std::count(names.begin(), names.end(), "org.example.N") == 1);
    CHECK(std::count(names.begin(), names.end(), b_name) == 1);
    CHECK(std::count(names.begin(), names.end(), a_name) == 0);
    b.release_name("org.example.N").value();
    CHECK(watcher.name_owner("org.example.N").error().name == error_names::name_has_no_owner);
    CHECK(watcher.credentials("org.example.N").error().name == error_names::name_has_no_owner);
    REQUIRE(process_until(watcher, [&] { return changes.size() == 3; }));
    CHECK(changes == std::vector<std::string>{"org.example.N  -> " + a_name,
                                              "org.example.N " + a_name + " -> " + b_name,
                                              "org.example.N " + b_name + " -> "});
    changes.clear();
    auto ids = watcher.subscribe("member='NameOwnerChanged',arg1='" + b_name + "'", note).value();
    { const auto gone = std::move(b); }
    REQUIRE(process_until(watcher, [&] { return !changes.empty(); }));
    CHECK(changes == std::vector<std::string>{b_name + " " + b_name + " -> "});
    // One can be replaced if it allows.
    auto c = bus.connect();
    CHECK(c.request_name("org.example.N", NameFlags::allow_replacement).value() ==
          NameState::owner);
    CHECK(watcher.request_name("org.example.N", NameFlags::replace_existing).value() ==
          NameState::owner);
}

TEMPLATE_TEST_CASE("nobody is called", "[transports]", BUSES_WITH_NAMES) {
    TestType bus;
    auto client = bus.connect();
    for (const char* name : {"org.example.Nobody", ":1.999999"}) {
        auto nobody = method("X");
        nobody.destination = name;
        CHECK(outcome(client.call(nobody)) == error_names::service_unknown);
    }
    auto self = method("X");
    self.destination = client.unique_name();
    CHECK(outcome(client.call(self)) == error_names::failed);
    client.request_name(service_name).value();
    CHECK(outcome(client.call(method("X"))) == error_names::failed);
    self.destination = "";
    CHECK(outcome(client.call(self)) == error_names::invalid_args);
}

TEMPLATE_TEST_CASE("rules name senders by any of their names", "[transports]", BUSES_WITH_NAMES) {
    TestType bus;
    auto listener = bus.connect();
    auto a = bus.connect();
    auto b = bus.connect();
    std::vector<std::string> seen;
    const auto watch = [&](const std::string& sender, std::string tag) {
        return listener
            .subscribe("sender='" + sender + "',member='Tick'",
                       [&seen, tag](const kdbus::Message& signal, std::string_view text) {
                           seen.push_back(tag + ":" + std::string(text) + ":" +
                                          std::string(signal.sender()));
                       })
            .value();
    };
    // Between what different peers do there is no order but that of what they have seen done.
    const auto emit = [](kdbus::Connection& from, std::string_view text) {
        from.emit({path, interface_name, "Tick"}, text).value();
        from.list_names().value();
    };
    const std::string from_a = ":" + a.unique_name();
    const std::string from_b = ":" + b.unique_name();
    auto by_name = watch("org.example.Emitter", "name");
    auto by_id = watch(b.unique_name(), "id");
    emit(a, "1");
    a.request_name("org.example.Emitter", kdbus::NameFlags::allow_replacement).value();
    emit(a, "2");
    emit(b, "3");
    b.request_name("org.example.Emitter", kdbus::NameFlags::replace_existing).value();
    emit(b, "4");
    emit(a, "5");
    b.release_name("org.example.Emitter").value();
    emit(b, "6");
    REQUIRE(process_until(listener, [&] { return seen.size() >= 5; }));
    auto late = watch("org.example.Emitter", "late");
    a.request_name("org.example.Emitter").value();
    emit(a, "7");
    const std::vector<std::string> expected{"name:2" + from_a, "id:3" + from_b, "name:4" + from_b,
                                            "id:4" + from_b,   "id:6" + from_b, "name:7" + from_a,
                                            "late:7" + from_a};
    (void)process_until(listener, [&] { return seen.size() >= expected.size(); });
    CHECK(stays(listener, [&] { return seen == expected; }));
    CHECK(seen == expected);
    // The rest of the rule does not depend on one that is gone.
    by_name.reset();
    emit(a, "8");
    REQUIRE(process_until(listener, [&] { return seen.size() == expected.size() + 1; }));
    CHECK(seen.back() == "late:8" + from_a);
    late.reset();
    emit(a, "9");
    CHECK(stays(listener, [&] { return seen.size() == expected.size() + 1; }));
}

TEMPLATE_TEST_CASE("a signal for one reaches that one only", "[transports]", BUSES_WITH_NAMES) {
    TestType bus;
    auto emitter = bus.connect();
    auto receiver = bus.connect();
    auto other = bus.connect();
    receiver.request_name("org.example.Receiver").value();
    std::vector<std::string> received;
    int overheard = 0;
    auto slot =
        receiver
            .subscribe("member='Tick'",
                       [&](std::string_view text) { received.push_back(std::string(text)); })
            .value();
    auto spy = other.subscribe("member='Tick'", [&] { ++overheard; }).value();
    auto eavesdropper =
        other.subscribe("eavesdrop='true',member='Tick'", [&] { ++overheard; }).value();
    const kdbus::Signal tick{path, interface_name, "Tick"};
    emitter.emit_to(receiver.unique_name(), tick, "by id").value();
    emitter.emit_to("org.example.Receiver", tick, "by name").value();
    REQUIRE(process_until(receiver, [&] { return received.size() == 2; }));
    CHECK(received == std::vector<std::string>{"by id", "by name"});
    CHECK(stays(other, [&] { return overheard == 0; }));
    // Descriptors may go to one, not to all.
    const abi::UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::array fds{null.get()};
    const kdbus::Signal with_fd{path, interface_name, "Fd", fds};
    CHECK(emitter.emit(with_fd, kdbus::UnixFd{0}).error().name == error_names::not_supported);
    CHECK(emitter.emit_to(receiver.unique_name(), with_fd, kdbus::UnixFd{0}));
}

TEMPLATE_TEST_CASE("many clients at once", "[transports]", BUSES_WITH_NAMES) {
    TestType bus;
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Echo", [](const std::string& text) { return text; });
    });
    std::atomic<int> right = 0;
    std::vector<std::thread> clients;
    for (int t = 0; t < 4; ++t)
        clients.emplace_back([&, t] {
            auto client = bus.connect();
            for (int i = 0; i < 100; ++i) {
                const std::string text = std::to_string(t) + "." + std::to_string(i);
                if (outcome(client.call(method("Echo"), text)) == text)
                    ++right;
            }
        });
    for (auto& client : clients)
        client.join();
    CHECK(right == 4 * 100);
}

TEMPLATE_TEST_CASE("a service in a process that is killed", "[transports]", BUSES_WITH_NAMES) {
    TestType bus;
    auto client = bus.connect();
    const pid_t child = fork();
    if (child == 0) {
        auto service = bus.connect();
        kdbus::Interface interface(interface_name);
        interface.method("Suicide", [] { raise(SIGKILL); });
        auto object = service.add_object(path, std::move(interface)).value();
        service.request_name(service_name).value();
        (void)service.run();
        _exit(1);
    }
    while (!client.name_owner(service_name))
        std::this_thread::sleep_for(5ms);
    CHECK(client.credentials(service_name).value().pid == child);
    CHECK(outcome(client.call(method("Suicide"))) == error_names::no_reply);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
}

TEMPLATE_TEST_CASE("the environment tells where the buses are", "[transports]", BUSES_WITH_NAMES) {
    TestType bus;
    const auto probe = bus.connect();
    // The first address that connects counts, whatever stands before it.
    const std::string list = "unix:path=/nonexistent;" + bus.address() + ";unix:path=/never/tried";
    CHECK(kdbus::Connection::open(list).value().bus_id() == probe.bus_id());
    setenv("DBUS_SESSION_BUS_ADDRESS", list.c_str(), 1);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", list.c_str(), 1);
    CHECK(kdbus::Connection::session().value().bus_id() == probe.bus_id());
    CHECK(kdbus::Connection::system().value().bus_id() == probe.bus_id());
    unsetenv("DBUS_SESSION_BUS_ADDRESS");
    if constexpr (!std::same_as<TestType, KernelBus>) {
        // The id of the server, which is not that of the bus, may be known beforehand.
        const std::string stranger = ",guid=" + std::string(32, '0');
        CHECK(kdbus::Connection::open(bus.address() + stranger).error().name ==
              error_names::disconnected);
        CHECK(kdbus::Connection::open(bus.address() + stranger + ";" + bus.address()));
    }
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}
