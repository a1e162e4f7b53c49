// SPDX-License-Identifier: LGPL-2.1-or-later
// Layer 3 on a real bus.
#include "guest-bus.hpp"

#include <kdbus/bus.hpp>
#include <kdbus/wire/message.hpp>
#include <kdbus/wire/names.hpp>

#include <fcntl.h>
#include <functional>
#include <poll.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

namespace abi = kdbus::abi;
namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;

namespace {

constexpr const char* path = "/org/example/Test";
constexpr const char* interface_name = "org.example.Test";
constexpr const char* service_name = "org.example.Service";
/// What large messages take on a slow machine.
constexpr auto patience = 10min;

/// What an exception says, so that a failed test tells.
kdbus::Connection connect(const abi::Bus& bus, const kdbus::ConnectionOptions& options = {}) {
    return kdbus::Connection::open("kernel:path=" + bus.node_path(), options).value();
}

/// A service in a thread of its own, with a connection of its own, until it is destroyed.
class Service {
public:
    Service(const abi::Bus& bus, std::function<void(kdbus::Connection&, kdbus::Interface&)> define,
            const kdbus::ConnectionOptions& options = {}) {
        std::atomic<bool> ready = false;
        thread_ = std::thread([&ready, &bus, define = std::move(define), options, this] {
            auto connection = connect(bus, options);
            kdbus::Interface interface(interface_name);
            interface.method("Quit", [&] { connection.stop(); });
            define(connection, interface);
            auto object = connection.add_object(path, std::move(interface)).value();
            connection.request_name(service_name).value();
            ready = true;
            ready.notify_all();
            const auto ended = connection.run();
            ended_ = ended ? "stopped" : ended.error().name;
        });
        ready.wait(false);
        client_.emplace(connect(bus));
    }
    ~Service() { stop(); }
    std::string stop() {
        if (thread_.joinable()) {
            (void)client_->call({service_name, path, interface_name, "Quit"});
            thread_.join();
        }
        return ended_;
    }

private:
    std::thread thread_;
    std::optional<kdbus::Connection> client_;
    std::string ended_;
};

kdbus::Method method(std::string_view member) {
    return {service_name, path, interface_name, member, patience};
}

/// Processes until something is so, or for half a minute.
template <class Condition>
bool process_until(kdbus::Connection& connection, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!condition() && std::chrono::steady_clock::now() < end)
        connection.wait(100ms).value();
    return condition();
}

/// Sends bytes that claim to be a D-Bus message, with a kernel head of the test's choice.
struct RawSender {
    abi::Connection connection;
    kdbus::wire::Buffer head;
    kdbus::wire::Buffer tail;

    /// @p as_call: without the header flag that all but calls have.
    abi::Result<void> send(const kdbus::wire::Message& message, abi::OutgoingMessage out,
                           bool as_call = false) {
        head.clear();
        tail.clear();
        if (auto done = kdbus::wire::serialise_kdbus(message, head, tail); !done)
            return std::unexpected(done.error());
        if (as_call)
            head.data()[2] = std::byte{0};
        const std::array parts{abi::Part::bytes(head.bytes()), abi::Part::bytes(tail.bytes())};
        out.cookie = message.serial;
        out.payload = parts;
        return connection.send(out);
    }
};

} // namespace

TEST_CASE("bus: calls cross the kernel", "[guest]") {
    const auto bus = make_bus();
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; });
        interface.method("Caller", [](const kdbus::Message& call) {
            return std::tuple(std::string(call.sender()),
                              static_cast<std::uint32_t>(call.credentials().value().pid));
        });
        interface.method("Fail",
                         [] { throw kdbus::Exception("org.example.Error.X", "on purpose"); });
    });
    auto client = connect(bus);
    const auto before = std::chrono::steady_clock::now().time_since_epoch();
    const auto reply = client.call(method("Greet"), "world").value();
    const auto after = std::chrono::steady_clock::now().time_since_epoch();
    CHECK(reply.get<std::string>().value() == "Hello, world!");
    REQUIRE(reply.timestamp());
    CHECK(reply.timestamp()->monotonic >= before);
    CHECK(reply.timestamp()->monotonic <= after);
    CHECK(reply.sender() == client.name_owner(service_name).value());
    const auto sender = client.credentials(reply).value();
    CHECK(sender.pid == getpid());
    CHECK(sender.euid == geteuid());
    const auto [name, pid] =
        client.call(method("Caller")).value().get<std::string, std::uint32_t>().value();
    CHECK(name == client.unique_name());
    CHECK(pid == static_cast<std::uint32_t>(getpid()));
    CHECK(client.call(method("Fail")).error() == kdbus::Error{"org.example.Error.X", "on purpose"});
    CHECK(client.call(method("Absent")).error().name == error_names::unknown_method);
    kdbus::Method nobody = method("Greet");
    nobody.destination = "org.example.Nobody";
    CHECK(client.call(nobody, "x").error().name == error_names::service_unknown);
    nobody.destination = ":1.999999";
    CHECK(client.call(nobody, "x").error().name == error_names::service_unknown);
    nobody.destination = ":1.0";
    CHECK(client.call(nobody, "x").error().name == error_names::service_unknown);
    nobody.destination = ":1.18446744073709551615"; // the id of broadcasts
    CHECK(client.call(nobody, "x").error().name == error_names::service_unknown);
    nobody.destination = client.unique_name();
    CHECK(client.call(nobody, "x").error().name == error_names::failed);
    const auto xml =
        client.call({service_name, path, "org.freedesktop.DBus.Introspectable", "Introspect"})
            .value();
    CHECK(xml.get<std::string>().value().find("<method name=\"Greet\">") != std::string::npos);
    CHECK(service.stop() == "stopped");
    CHECK(client.call(method("Greet"), "x").error().name == error_names::service_unknown);
}

TEST_CASE("bus: blocking calls whose callee is slow, dies or disconnects", "[guest]") {
    const auto bus = make_bus();
    auto client = connect(bus);
    std::vector<kdbus::Responder> waiting;
    {
        Service service(bus, [&](kdbus::Connection&, kdbus::Interface& interface) {
            interface.method("Never",
                             [&](kdbus::Responder reply) { waiting.push_back(std::move(reply)); });
        });
        auto never = method("Never");
        never.timeout = 50ms;
        CHECK(client.call(never).error().name == error_names::no_reply);
        CHECK(client.unique_name().starts_with(":1."));
    }
    waiting.clear();
    // A peer that takes the call and goes away.
    auto victim = std::make_unique<abi::Connection>(must(abi::Connection::open(bus.node_path())));
    const std::string victim_name = ":1." + std::to_string(victim->id());
    std::thread killer([&] {
        pollfd entry{.fd = victim->fd(), .events = POLLIN, .revents = 0};
        (void)poll(&entry, 1, 30'000);
        victim.reset();
    });
    kdbus::Method call = method("X");
    call.destination = victim_name;
    const auto error = client.call(call).error();
    killer.join();
    CHECK(error.name == error_names::no_reply);
    // Our own connection is as good as before.
    CHECK(client.list_names());
    CHECK(client.call(call).error().name == error_names::service_unknown);
}

TEST_CASE("bus: asynchronous calls", "[guest]") {
    const auto bus = make_bus();
    auto client = connect(bus);
    std::vector<std::string> results;
    const auto note = [&](kdbus::Result<kdbus::Message> reply) {
        results.push_back(reply ? reply->get<std::string>().value() : reply.error().name);
    };
    SECTION("are answered in any order") {
        Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
            interface.method("Echo", [](const std::string& text) { return text; });
        });
        std::vector<kdbus::Slot> slots;
        for (int i = 0; i < 100; ++i)
            slots.push_back(client.call_async(method("Echo"), note, std::to_string(i)).value());
        CHECK(client.timeout());
        REQUIRE(process_until(client, [&] { return results.size() == 100; }));
        for (int i = 0; i < 100; ++i)
            CHECK(results[static_cast<std::size_t>(i)] == std::to_string(i));
        CHECK_FALSE(client.timeout());
    }
    SECTION("end with their deadline") {
        const auto other = must(abi::Connection::open(bus.node_path()));
        const std::string name = ":1." + std::to_string(other.id());
        kdbus::Method call = method("X");
        call.destination = name;
        call.timeout = 40ms;
        const auto start = std::chrono::steady_clock::now();
        auto slot = client.call_async(call, note).value();
        REQUIRE(process_until(client, [&] { return !results.empty(); }));
        CHECK(std::chrono::steady_clock::now() - start >= 40ms);
        CHECK(results == std::vector<std::string>{error_names::no_reply});
        (void)client.wait(50ms); // the kernel's notification is no second answer
        CHECK(results.size() == 1);
    }
    SECTION("end when the callee dies") {
        auto other =
            std::make_unique<abi::Connection>(must(abi::Connection::open(bus.node_path())));
        const std::string name = ":1." + std::to_string(other->id());
        kdbus::Method call = method("X");
        call.destination = name;
        auto slot = client.call_async(call, note).value();
        other.reset();
        REQUIRE(process_until(client, [&] { return !results.empty(); }));
        CHECK(results == std::vector<std::string>{error_names::no_reply});
    }
    SECTION("end when the bus dies") {
        auto doomed = std::make_unique<abi::Bus>(make_bus());
        auto own = connect(*doomed);
        auto other = connect(*doomed);
        kdbus::Method call = method("X");
        call.destination = other.unique_name();
        auto slot = own.call_async(call, note).value();
        doomed.reset();
        CHECK(own.run().error().name == error_names::disconnected);
        CHECK(results == std::vector<std::string>{error_names::no_reply});
        CHECK(own.call(call).error().name == error_names::disconnected);
    }
    SECTION("are limited by the kernel, which is an error like others") {
        const auto other = must(abi::Connection::open(bus.node_path()));
        const std::string name = ":1." + std::to_string(other.id());
        kdbus::Method call = method("X");
        call.destination = name;
        std::vector<kdbus::Slot> slots;
        for (int i = 0; i < KDBUS_CONN_MAX_REQUESTS_PENDING; ++i)
            slots.push_back(client.call_async(call, note).value());
        CHECK(client.call_async(call, note).error().name == error_names::limits_exceeded);
        CHECK(results.empty());
    }
}

TEST_CASE("bus: signals reach who subscribed", "[guest]") {
    const auto bus = make_bus();
    auto emitter = connect(bus);
    auto listener = connect(bus);
    auto other = connect(bus);
    emitter.request_name("org.example.Emitter").value();
    std::vector<std::string> seen;
    const auto watch = [&](std::string_view rule, std::string tag) {
        return listener.subscribe(
            rule, [&seen, tag](const kdbus::Message& signal, std::string_view text) {
                seen.push_back(tag + ":" + std::string(text) + ":" + std::string(signal.sender()));
            });
    };
    auto by_member =
        watch("type='signal',interface='org.example.Test',member='Tick'", "member").value();
    auto by_sender =
        watch("sender='org.example.Emitter',path_namespace='/org/example'", "sender").value();
    auto by_argument = watch("interface='org.example.Test',arg0='two'", "arg").value();
    auto by_stranger = watch("sender='" + other.unique_name() + "'", "stranger").value();
    const kdbus::Signal tick{path, interface_name, "Tick"};
    const kdbus::Signal tock{path, interface_name, "Tock"};
    emitter.emit(tick, "one").value();
    emitter.emit(tock, "two").value();
    other.emit(tick, "three").value();
    REQUIRE(process_until(listener, [&] { return seen.size() >= 6; }));
    const std::string from_emitter = ":" + emitter.unique_name();
    const std::string from_other = ":" + other.unique_name();
    CHECK(seen == std::vector<std::string>{"member:one" + from_emitter, "sender:one" + from_emitter,
                                           "sender:two" + from_emitter, "arg:two" + from_emitter,
                                           "member:three" + from_other,
                                           "stranger:three" + from_other});
    // Nothing came that nobody asked for.
    other.emit(tock, "four").value();
    CHECK(process_until(listener, [&] { return seen.size() >= 7; }));
    CHECK(seen.back() == "stranger:four" + from_other);
    seen.clear();
    by_stranger.reset();
    by_member.reset();
    other.emit(tick, "five").value();
    CHECK_FALSE(listener.wait(50ms).value());
    CHECK(seen.empty());
}

TEST_CASE("bus: a signal for one reaches that one only", "[guest]") {
    const auto bus = make_bus();
    auto emitter = connect(bus);
    auto receiver = connect(bus);
    auto other = connect(bus);
    receiver.request_name("org.example.Receiver").value();
    std::vector<std::string> received;
    int overheard = 0;
    auto slot = receiver
                    .subscribe("member='Tick'",
                               [&](const kdbus::Message& signal, std::string_view text) {
                                   received.push_back(std::string(text) + " " +
                                                      std::string(signal.destination()));
                               })
                    .value();
    auto spy = other.subscribe("member='Tick'", [&] { ++overheard; }).value();
    const kdbus::Signal tick{path, interface_name, "Tick"};
    emitter.emit_to(receiver.unique_name(), tick, "by id").value();
    emitter.emit_to("org.example.Receiver", tick, "by name").value();
    REQUIRE(process_until(receiver, [&] { return received.size() == 2; }));
    CHECK(received[0] == "by id " + receiver.unique_name());
    CHECK(received[1] == "by name org.example.Receiver");
    CHECK_FALSE(other.wait(50ms).value());
    CHECK(overheard == 0);
    CHECK(emitter.emit_to("org.example.Nobody", tick, "x").error().name ==
          error_names::service_unknown);
    // Descriptors may go to one, not to all.
    const abi::UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::array fds{null.get()};
    const kdbus::Signal with_fd{path, interface_name, "Fd", fds};
    CHECK(emitter.emit(with_fd, kdbus::UnixFd{0}).error().name == error_names::not_supported);
    CHECK(emitter.emit_to(receiver.unique_name(), with_fd, kdbus::UnixFd{0}));
}

TEST_CASE("bus: owners of names come and go", "[guest]") {
    const auto bus = make_bus();
    auto watcher = connect(bus);
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
    auto a = std::make_unique<kdbus::Connection>(connect(bus));
    auto b = connect(bus);
    const std::string a_name = a->unique_name();
    const std::string b_name = b.unique_name();
    using kdbus::NameFlags;
    using kdbus::NameState;
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
    a.reset(); // b inherits
    CHECK(watcher.name_owner("org.example.N").value() == b_name);
    const auto names = watcher.list_names().value();
    CHECK(std::count(names.begin(), names.end(), "org.example.N") == 1);
    CHECK(std::count(names.begin(), names.end(), b_name) == 1);
    CHECK(std::count(names.begin(), names.end(), a_name) == 0);
    CHECK(std::count(names.begin(), names.end(), "org.freedesktop.DBus") == 1);
    b.release_name("org.example.N").value();
    CHECK(watcher.name_owner("org.example.N").error().name == error_names::name_has_no_owner);
    CHECK(watcher.credentials("org.example.N").error().name == error_names::name_has_no_owner);
    CHECK(watcher.credentials(b_name).value().pid == getpid());
    REQUIRE(process_until(watcher, [&] { return changes.size() >= 3; }));
    CHECK(changes == std::vector<std::string>{"org.example.N  -> " + a_name,
                                              "org.example.N " + a_name + " -> " + b_name,
                                              "org.example.N " + b_name + " -> "});
    changes.clear();
    auto ids = watcher.subscribe("member='NameOwnerChanged',arg1='" + b_name + "'", note).value();
    { const auto gone = std::move(b); }
    REQUIRE(process_until(watcher, [&] { return !changes.empty(); }));
    CHECK(changes == std::vector<std::string>{b_name + " " + b_name + " -> "});
}

TEST_CASE("bus: large messages", "[guest]") {
    const auto bus = make_bus();
    const std::size_t descriptors = open_descriptors();
    {
        Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
            interface.method("Echo", [](std::string_view text) { return std::string(text); });
            interface.method("Sum", [](std::span<const std::byte> data) {
                std::uint64_t sum = 0;
                for (auto byte : data)
                    sum += std::to_integer<std::uint64_t>(byte);
                return std::tuple(std::uint64_t{data.size()}, sum);
            });
            interface.method("Twin", [](std::string_view a, std::span<const std::uint64_t> b) {
                return std::tuple(std::uint64_t{a.size()}, std::uint64_t{b.size()}, b.back());
            });
        });
        auto client = connect(bus);
        for (std::size_t size :
             {std::size_t{0}, std::size_t{1}, std::size_t{100'000}, std::size_t{524'280},
              std::size_t{524'289}, std::size_t{3'000'000}, std::size_t{40'000'000}}) {
            const std::string text(size, 'x');
            CHECK(client.call(method("Echo"), text).value().get<std::string>().value() == text);
        }
        const std::vector<std::uint64_t> numbers(300'000, 7);
        const auto [a, b, last] = client.call(method("Twin"), "odd", numbers)
                                      .value()
                                      .get<std::uint64_t, std::uint64_t, std::uint64_t>()
                                      .value();
        CHECK(a == 3);
        CHECK(b == numbers.size());
        CHECK(last == 7);

        for (std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{64} << 20}) {
            auto writer = must(abi::MemfdWriter::create(size));
            std::fill(writer.bytes().begin(), writer.bytes().end(), std::byte{3});
            const auto sealed = must(std::move(writer).seal());
            const auto [received, sum] = client.call(method("Sum"), sealed)
                                             .value()
                                             .get<std::uint64_t, std::uint64_t>()
                                             .value();
            CHECK(received == size);
            CHECK(sum == 3 * size);
        }
        const auto huge =
            must(must(abi::MemfdWriter::create(kdbus::wire::max_message_size)).seal());
        CHECK(client.call(method("Sum"), huge).error().name == error_names::limits_exceeded);

        std::size_t heard = 0;
        auto slot =
            client.subscribe("member='Big'", [&](std::string_view text) { heard = text.size(); })
                .value();
        auto emitter = connect(bus);
        for (std::size_t size : {std::size_t{1'000'000}, std::size_t{5'000'000}}) {
            emitter.emit({path, interface_name, "Big"}, std::string(size, 'y')).value();
            CHECK(process_until(client, [&] { return heard == size; }));
        }
    }
    CHECK(open_descriptors() == descriptors);
}

TEST_CASE("bus: descriptors travel", "[guest]") {
    const auto bus = make_bus();
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
        auto client = connect(bus);
        std::array<int, 2> pipe_fds{};
        REQUIRE(pipe2(pipe_fds.data(), O_CLOEXEC) == 0);
        const abi::UniqueFd reader(pipe_fds[0]);
        abi::UniqueFd writer(pipe_fds[1]);
        const std::array fds{writer.get()};
        auto call = method("Write");
        call.fds = fds;
        CHECK(client.call(call, kdbus::UnixFd{0}, "text").value().get<std::int64_t>().value() == 4);
        CHECK(client.call(call, kdbus::UnixFd{1}, "text").error().name ==
              error_names::invalid_args);
        writer.reset();
        std::array<char, 8> buffer{};
        CHECK(read(reader.get(), buffer.data(), buffer.size()) == 4);
        CHECK(read(reader.get(), buffer.data(), buffer.size()) == 0); // nobody kept it

        const auto reply = client.call(method("Open")).value();
        const auto zero = reply.take_fd(reply.get<kdbus::UnixFd>().value()).value();
        CHECK(read(zero.get(), buffer.data(), buffer.size()) == 8);
        CHECK(reply.take_fd({0}).error().name == error_names::invalid_args);

        // A caller that takes no descriptors gets an error, not silence.
        auto shy = connect(bus, {.accept_fds = false});
        CHECK(shy.call(method("Open")).error().name == error_names::no_reply);
    }
    CHECK(open_descriptors() == descriptors);
}

TEST_CASE("bus: properties across the kernel", "[guest]") {
    const auto bus = make_bus();
    std::int32_t level = 1;
    Service service(bus, [&](kdbus::Connection&, kdbus::Interface& interface) {
        interface.property(
            "Level", [&] { return level; }, [&](std::int32_t value) { level = value; });
    });
    auto client = connect(bus);
    std::int32_t announced = 0;
    auto slot =
        client
            .subscribe("member='PropertiesChanged',arg0='org.example.Test'",
                       [&](std::string_view, const std::map<std::string, kdbus::Variant>& changed,
                           const std::vector<std::string>&) {
                           announced = changed.at("Level").get<std::int32_t>().value_or(-1);
                       })
            .value();
    const kdbus::Method set{service_name, path, "org.freedesktop.DBus.Properties", "Set"};
    client.call(set, interface_name, "Level", kdbus::Variant(std::int32_t{9})).value();
    REQUIRE(process_until(client, [&] { return announced != 0; }));
    CHECK(announced == 9);
    CHECK(client.call(set, interface_name, "Level", kdbus::Variant("text")).error().name ==
          error_names::invalid_args);
}

TEST_CASE("bus: what the kernel did not judge is not acted upon", "[guest]") {
    const auto bus = make_bus();
    std::atomic<int> calls = 0;
    std::atomic<std::size_t> bytes = 0;
    Service service(bus, [&](kdbus::Connection& connection, kdbus::Interface& interface) {
        interface.method("Count", [&] { ++calls; });
        interface.method("Bytes", [&](std::span<const std::byte> data) { bytes += data.size(); });
        // A catch-all rule: every broadcast comes in.
        connection.subscribe("", [](const kdbus::Message&) {}).value().detach();
    });
    auto client = connect(bus);
    RawSender liar{must(abi::Connection::open(bus.node_path())), {}, {}};
    kdbus::wire::Message message;
    message.type = kdbus::MessageType::method_call;
    message.flags = kdbus::wire::no_reply_expected;
    message.serial = 1;
    message.path = path;
    message.interface = interface_name;
    message.member = "Count";
    const std::array<std::byte, 1> unit{};
    message.body = unit;

    SECTION("a broadcast that claims to be a call") {
        const std::array<std::uint64_t, 8> ones{~0ULL, ~0ULL, ~0ULL, ~0ULL,
                                                ~0ULL, ~0ULL, ~0ULL, ~0ULL};
        abi::OutgoingMessage out;
        out.dst_id = KDBUS_DST_ID_BROADCAST;
        out.flags = KDBUS_MSG_SIGNAL;
        out.bloom = abi::BloomFilter{0, ones};
        REQUIRE(liar.send(message, out));
        CHECK(service.stop() == "stopped");
        CHECK(calls == 0);
    }
    SECTION("the same as a call is one") {
        abi::OutgoingMessage out;
        out.dst_name = service_name;
        REQUIRE(liar.send(message, out));
        CHECK(service.stop() == "stopped");
        CHECK(calls == 1);
    }
    SECTION("a call that claims to be the answer somebody waits for") {
        const auto silent = must(abi::Connection::open(bus.node_path()));
        const std::string silent_name = ":1." + std::to_string(silent.id());
        kdbus::Method call = method("X");
        call.destination = silent_name;
        std::vector<std::string> results;
        auto slot = client
                        .call_async(call,
                                    [&](kdbus::Result<kdbus::Message> reply) {
                                        results.push_back(reply ? "answer" : reply.error().name);
                                    })
                        .value();
        kdbus::wire::Message answer;
        answer.type = kdbus::MessageType::method_return;
        answer.serial = 2;
        answer.body = unit;
        abi::OutgoingMessage out;
        out.dst_name = {};
        const auto id = kdbus::wire::unique_name_id(client.unique_name());
        out.dst_id = *id;
        for (std::uint64_t serial = 1; serial < 5; ++serial) {
            answer.reply_serial = serial;
            out.flags = KDBUS_MSG_EXPECT_REPLY;
            out.timeout_ns = abi::deadline_after(1s);
            CHECK(errno_of(liar.send(answer, out)) == 0);
            CHECK(errno_of(liar.send(answer, out, true)) == 0);
            out.flags = 0;
            out.timeout_ns = 0;
            CHECK(errno_of(liar.send(answer, out)) == 0);
            out.cookie_reply = serial;
            CHECK(errno_of(liar.send(answer, out)) == EBADSLT);
            out.cookie_reply = 0;
        }
        (void)client.wait(50ms);
        (void)client.wait(50ms);
        CHECK(results.empty());
    }
    SECTION("rubbish") {
        for (std::size_t length = 0; length < 64; ++length) {
            const std::vector<std::byte> junk(length, static_cast<std::byte>('l'));
            const std::array parts{abi::Part::bytes(junk)};
            abi::OutgoingMessage out;
            out.dst_name = service_name;
            out.payload = parts;
            CHECK(errno_of(liar.connection.send(out)) == 0);
        }
        client.call(method("Count")).value();
        CHECK(calls == 1);
    }
    SECTION("holes, which cost the sender nothing and the receiver memory") {
        const std::size_t hole = GENERATE(7U, 1024U * 1024);
        const std::size_t holes = 15;
        message.member = "Bytes";
        message.signature = "ay";
        const auto fields_end = kdbus::wire::write_kdbus_head(message, liar.head);
        REQUIRE(fields_end);
        REQUIRE(kdbus::wire::append_kdbus_footer("ay", hole * holes, *fields_end, liar.tail));
        std::vector<abi::Part> parts(holes, abi::Part::zeros(hole));
        parts.insert(parts.begin(), abi::Part::bytes(liar.head.bytes()));
        parts.push_back(abi::Part::bytes(liar.tail.bytes()));
        abi::OutgoingMessage out;
        out.dst_name = service_name;
        out.cookie = message.serial;
        out.payload = parts;
        REQUIRE(errno_of(liar.connection.send(out)) == 0);
        CHECK(service.stop() == "stopped");
        CHECK(bytes == (hole == 7 ? 105 : 0));
    }
}

TEST_CASE("bus: the identity behind a proxy is asked for", "[guest]") {
    const auto bus = make_bus();
    auto client = connect(bus);
    RawSender proxied{must(abi::Connection::open(bus.node_path(),
                                                 {.creds = kdbus_creds{.uid = 77,
                                                                       .euid = 78,
                                                                       .suid = abi::unknown_id,
                                                                       .fsuid = abi::unknown_id,
                                                                       .gid = 79,
                                                                       .egid = 79,
                                                                       .sgid = abi::unknown_id,
                                                                       .fsgid = abi::unknown_id}})),
                      {},
                      {}};
    std::optional<kdbus::Credentials> attached;
    std::optional<kdbus::Credentials> found;
    bool seen = false;
    auto slot = client
                    .subscribe("member='Tick'",
                               [&](const kdbus::Message& signal) {
                                   seen = true;
                                   attached = signal.credentials();
                                   found = client.credentials(signal).value();
                               })
                    .value();
    kdbus::wire::Message message;
    message.type = kdbus::MessageType::signal;
    message.flags = kdbus::wire::no_reply_expected;
    message.serial = 1;
    message.path = path;
    message.interface = interface_name;
    message.member = "Tick";
    const std::array<std::byte, 1> unit{};
    message.body = unit;
    const std::array<std::uint64_t, 8> ones{~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL};
    abi::OutgoingMessage out;
    out.dst_id = KDBUS_DST_ID_BROADCAST;
    out.flags = KDBUS_MSG_SIGNAL;
    out.bloom = abi::BloomFilter{0, ones};
    REQUIRE(proxied.send(message, out));
    REQUIRE(process_until(client, [&] { return seen; }));
    CHECK_FALSE(attached);
    REQUIRE(found);
    CHECK(found->uid == 77);
    CHECK(found->euid == 78);
    CHECK(found->suid == kdbus::Credentials::unknown_uid);
    CHECK(found->pid == 0);
}

TEST_CASE("bus: lost signals are counted", "[guest]") {
    const auto bus = make_bus();
    auto slow = connect(bus, {.pool_size = 256 * 1024});
    auto emitter = connect(bus);
    int seen = 0;
    auto slot = slow.subscribe("member='Tick'", [&] { ++seen; }).value();
    auto big = slow.subscribe("member='Big'", [&](std::string_view) { ++seen; }).value();
    for (int i = 0; i < 20; ++i)
        emitter.emit({path, interface_name, "Big"}, std::string(20'000, 'x')).value();
    while (slow.wait(50ms).value()) {
    }
    CHECK(seen > 0);
    CHECK(slow.lost_signals() > 0);
    CHECK(static_cast<std::uint64_t>(seen) + slow.lost_signals() == 20);
    emitter.emit({path, interface_name, "Tick"}).value();
    CHECK(process_until(
        slow, [&] { return static_cast<std::uint64_t>(seen) + slow.lost_signals() == 21; }));
}

TEST_CASE("bus: many clients at once", "[guest]") {
    const auto bus = make_bus();
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Echo", [](const std::string& text) { return text; });
    });
    std::atomic<int> right = 0;
    std::vector<std::thread> clients;
    for (int t = 0; t < 8; ++t)
        clients.emplace_back([&, t] {
            auto client = connect(bus);
            for (int i = 0; i < 200; ++i) {
                const std::string text = std::to_string(t) + "." + std::to_string(i);
                auto reply = client.call(method("Echo"), text);
                if (reply && reply->get<std::string>().value() == text)
                    ++right;
            }
        });
    for (auto& client : clients)
        client.join();
    CHECK(right == 8 * 200);
}

TEST_CASE("bus: a service in a process that is killed", "[guest]") {
    const auto bus = make_bus();
    auto client = connect(bus);
    const pid_t child = fork();
    if (child == 0) {
        auto service = connect(bus);
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
    CHECK(client.call(method("Suicide")).error().name == error_names::no_reply);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK_FALSE(client.name_owner(service_name));
}
