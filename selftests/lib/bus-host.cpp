// SPDX-License-Identifier: LGPL-2.1-or-later
// Layer 3 without a kernel, on a bus within the process.
#include "bus-fake.hpp"

#include "../../userspace/lib/bus/addresses.hpp"
#include "../../userspace/lib/bus/introspection.hpp"
#include "../../userspace/lib/bus/kernel_errors.hpp"

#include <catch2/catch.hpp>

#include <kdbus/loop/epoll.hpp>
#include <kdbus/stream.hpp>

#include <cerrno>
#include <cstdlib>
#include <thread>

using namespace std::chrono_literals;
namespace error_names = kdbus::error_names;

namespace {

constexpr const char* path = "/org/example/Test";
constexpr const char* interface_name = "org.example.Test";
constexpr const char* properties = "org.freedesktop.DBus.Properties";

void drain(kdbus::Connection& connection) {
    while (connection.process().value()) {
    }
}

/// A service with one object, and a client whose blocking calls it answers.
struct Pair {
    FakeBus bus;
    kdbus::Connection service = bus.connect();
    FakeBus::Transport* service_transport = bus.last;
    kdbus::Connection client = bus.connect();
    FakeBus::Transport* client_transport = bus.last;
    kdbus::Slot object;

    Pair() {
        bus.pump = [this] {
            drain(service);
        };
    }
    void serve(kdbus::Interface interface) {
        object = service.add_object(path, std::move(interface)).value();
    }
    kdbus::Method method(std::string_view member,
                         std::string_view interface = interface_name) const {
        return {service.unique_name(), path, interface, member};
    }
};

struct MoveOnly {
    std::unique_ptr<int> value = std::make_unique<int>(1);
};

/// Somebody who watches names, and who may own them.
struct Watched {
    FakeBus bus = {};
    kdbus::Connection watcher = bus.connect();
    FakeBus::Transport* transport = bus.last;
    kdbus::Connection other = bus.connect();
    FakeBus::Transport* other_transport = bus.last;
};

} // namespace

TEST_CASE("results hold a value or throw their error", "[bus]") {
    kdbus::Result<std::string> good("text");
    CHECK(good.value() == "text");
    kdbus::Result<bool> yes(false);
    kdbus::Result<bool> copy(yes); // must not become "has a value"
    CHECK(copy.value() == false);
    const kdbus::Result<int> bad(kdbus::Error{"a.B", "no"});
    CHECK_FALSE(bad);
    try {
        (void)bad.value();
        FAIL();
    } catch (const kdbus::Exception& error) {
        CHECK(error.name() == "a.B");
        CHECK(std::string(error.what()) == "a.B: no");
    }
    CHECK_THROWS_AS(kdbus::Result<void>(kdbus::Error{"a.B", ""}).value(), kdbus::Exception);
    CHECK(kdbus::Error::from_errno(EPERM, "x").name == error_names::access_denied);
    CHECK(kdbus::Error::from_code(std::make_error_code(std::errc::no_buffer_space), "x").name ==
          error_names::limits_exceeded);
    kdbus::Result<MoveOnly> movable(MoveOnly{});
    CHECK(*std::move(movable).value().value == 1);
}

TEST_CASE("handlers say their signatures", "[bus]") {
    const auto in = []<class F>(F) {
        return kdbus::detail::ParametersOf<F>::signature;
    };
    const auto out = []<class F>(F) {
        return kdbus::detail::Output<typename kdbus::detail::Callable<F>::Return>::signature;
    };
    const auto plain = [](const std::string&, std::uint32_t, std::vector<kdbus::Variant>) {
    };
    CHECK(in(plain) == "suav");
    CHECK(out(plain).empty());
    CHECK(in([](const kdbus::Message&, std::string_view) {}) == "s");
    CHECK(in([](kdbus::Responder, std::map<std::string, kdbus::Variant>) {}) == "a{sv}");
    CHECK(in([](const kdbus::Message&, kdbus::Responder, bool) {}) == "b");
    CHECK(in([] {}).empty());
    CHECK(out([] { return std::tuple<int, std::string>(); }) == "is");
    CHECK(out([]() -> kdbus::Result<double> { return 1.0; }) == "d");
    CHECK(out([]() -> kdbus::Result<void> { return {}; }).empty());
    CHECK(out([] { return std::pair<int, int>(); }) == "(ii)");
    CHECK(in(+[](int) noexcept {}) == "i");
}

TEST_CASE("methods are called with their arguments", "[bus]") {
    Pair pair;
    kdbus::Interface interface(interface_name);
    interface.method("Join",
                     [](const std::string& a, std::int32_t b) { return a + std::to_string(b); });
    interface.method("Both", [](std::string_view a) { return std::tuple(std::string(a), 7U); });
    interface.method("Who", [](const kdbus::Message& call) { return std::string(call.sender()); });
    interface.method("Nothing", [] {});
    interface.method("Maybe", [](bool good) -> kdbus::Result<int> {
        if (good)
            return 5;
        return kdbus::Error{"org.example.Error.Bad", "on purpose"};
    });
    pair.serve(std::move(interface));

    CHECK(pair.client.call(pair.method("Join"), "x", 4).value().get<std::string>().value() == "x4");
    const auto [text, number] =
        pair.client.call(pair.method("Both"), "y").value().get<std::string, unsigned>().value();
    CHECK(text == "y");
    CHECK(number == 7);
    CHECK(pair.client.call(pair.method("Who")).value().get<std::string>().value() ==
          pair.client.unique_name());
    CHECK(pair.client.call(pair.method("Nothing")).value().signature().empty());
    CHECK(pair.client.call(pair.method("Maybe"), true).value().get<int>().value() == 5);
    CHECK(pair.client.call(pair.method("Maybe"), false).error() ==
          kdbus::Error{"org.example.Error.Bad", "on purpose"});
    // Without an interface the member decides.
    CHECK(pair.client.call(pair.method("Join", ""), "z", 1).value().get<std::string>().value() ==
          "z1");
    // Reading as something else is an error, not nonsense.
    const auto reply = pair.client.call(pair.method("Join"), "x", 4).value();
    CHECK(reply.get<int>().error().name == error_names::invalid_args);
    CHECK(reply.get<std::string, int>().error().name == error_names::invalid_args);
    CHECK(reply.take_fd({0}).error().name == error_names::invalid_args);
}

TEST_CASE("what cannot be called says why", "[bus]") {
    Pair pair;
    pair.serve(std::move(kdbus::Interface(interface_name).method("Take", [](int) {})));
    auto name_of = [&](const kdbus::Method& method, const auto&... args) {
        return pair.client.call(method, args...).error().name;
    };
    CHECK(name_of(pair.method("Absent")) == error_names::unknown_method);
    CHECK(name_of(pair.method("Absent", "")) == error_names::unknown_method);
    CHECK(name_of(pair.method("Take", "org.example.Other"), 1) == error_names::unknown_interface);
    CHECK(name_of(pair.method("Take"), "text") == error_names::invalid_args);
    CHECK(name_of(pair.method("Take")) == error_names::invalid_args);
    CHECK(name_of(pair.method("Take"), 1, 2) == error_names::invalid_args);
    kdbus::Method elsewhere = pair.method("Take");
    elsewhere.path = "/org/example/Else";
    CHECK(name_of(elsewhere, 1) == error_names::unknown_object);
    kdbus::Method nobody = pair.method("Take");
    nobody.destination = "org.example.Nobody";
    CHECK(name_of(nobody, 1) == error_names::service_unknown);
    nobody.destination = "";
    CHECK(name_of(nobody, 1) == error_names::invalid_args);
    kdbus::Method bad = pair.method("not a member");
    CHECK(name_of(bad) == error_names::invalid_args);
    CHECK(name_of(pair.method("Take"), kdbus::UnixFd{0}) == error_names::invalid_args);
    CHECK(name_of(pair.method("Take"), "\xff") == error_names::invalid_args);
    pair.object.reset();
    CHECK(name_of(pair.method("Take"), 1) == error_names::unknown_object);
}

TEST_CASE("exceptions become error replies", "[bus]") {
    Pair pair;
    kdbus::Interface interface(interface_name);
    interface.method("Own", [] { throw kdbus::Exception("org.example.Error.Own", "mine"); });
    interface.method("System",
                     [] { throw std::system_error(EACCES, std::generic_category(), "door"); });
    interface.method("Other", [] { throw std::logic_error("oops"); });
    interface.method("Memory", [] { throw std::bad_alloc(); });
    interface.method("Odd", [] { throw 5; });
    interface.method("BadName", [] { throw kdbus::Exception("no name", "text \xff"); });
    interface.method("BadText", [] { return std::string("\xff"); });
    pair.serve(std::move(interface));
    auto error_of = [&](const char* member) {
        return pair.client.call(pair.method(member)).error();
    };
    CHECK(error_of("Own") == kdbus::Error{"org.example.Error.Own", "mine"});
    CHECK(error_of("System").name == error_names::access_denied);
    CHECK(error_of("Other") == kdbus::Error{error_names::failed, "oops"});
    CHECK(error_of("Memory").name == error_names::no_memory);
    CHECK(error_of("Odd").name == error_names::failed);
    CHECK(error_of("BadName") == kdbus::Error{error_names::failed, ""});
    CHECK(error_of("BadText").name == error_names::failed);
}

TEST_CASE("answers can come later", "[bus]") {
    Pair pair;
    std::vector<kdbus::Responder> waiting;
    kdbus::Interface interface(interface_name);
    interface.deferred_method<std::string>(
        "Wait", [&](kdbus::Responder reply, int) { waiting.push_back(std::move(reply)); });
    interface.method("Throw", [&](kdbus::Responder) { throw std::runtime_error("lost"); });
    pair.serve(std::move(interface));

    std::vector<std::string> answers;
    const auto call = [&](int id) {
        return pair.client
            .call_async(
                pair.method("Wait"),
                [&answers, id](kdbus::Result<kdbus::Message> reply) {
                    answers.push_back(
                        std::to_string(id) + ":" +
                        (reply ? reply->get<std::string>().value() : reply.error().name));
                },
                id)
            .value();
    };
    auto first = call(1);
    auto second = call(2);
    auto third = call(3);
    auto fourth = call(4);
    drain(pair.service);
    REQUIRE(waiting.size() == 4);
    waiting[2].send("three");
    waiting[2].send("again");
    waiting[1].fail({"org.example.Error.No", ""});
    waiting[3].send_with_fds({}, kdbus::UnixFd{0}); // cannot be sent: the caller hears of it
    drain(pair.client);
    CHECK(answers == std::vector<std::string>{"3:three", "2:org.example.Error.No",
                                              std::string("4:") + error_names::invalid_args});
    waiting.clear();
    drain(pair.client);
    CHECK(answers.back() == std::string("1:") + error_names::failed);
    CHECK(pair.client.call(pair.method("Throw")).error().name == error_names::failed);
}

TEST_CASE("replies that cannot be sent are replaced by an error", "[bus]") {
    Pair pair;
    pair.serve(std::move(kdbus::Interface(interface_name).method("Get", [] { return 1; })));
    pair.service_transport->fail_sends = {{error_names::limits_exceeded, "too large"}};
    CHECK(pair.client.call(pair.method("Get")).error() ==
          kdbus::Error{error_names::limits_exceeded, "too large"});
}

TEST_CASE("calls without reply get none", "[bus]") {
    Pair pair;
    int calls = 0;
    pair.serve(std::move(kdbus::Interface(interface_name)
                             .method("Do", [&] { ++calls; })
                             .method("Late", [&](kdbus::Responder reply) {
                                 ++calls;
                                 reply.send(1);
                             })));
    REQUIRE(pair.client.call_no_reply(pair.method("Do")));
    REQUIRE(pair.client.call_no_reply(pair.method("Late")));
    REQUIRE(pair.client.call_no_reply(pair.method("Absent")));
    drain(pair.service);
    CHECK(calls == 2);
    CHECK_FALSE(pair.client.process().value());
}

TEST_CASE("properties", "[bus]") {
    Pair pair;
    std::int32_t level = 3;
    std::string label = "a";
    kdbus::Interface interface(interface_name);
    interface.property(
        "Level", [&] { return level; },
        [&](std::int32_t value) {
            if (value < 0)
                throw kdbus::Exception(error_names::invalid_args, "negative");
            level = value;
        });
    interface.property(
        "Label", [&] { return label; }, [&](const std::string& value) { label = value; },
        {.emits = kdbus::Emits::invalidation});
    interface.property("Fixed", [] { return true; }, {.emits = kdbus::Emits::constant});
    interface.property("Any", [] { return kdbus::Variant(5U); });
    interface.property("Broken", []() -> kdbus::Result<int> {
        return kdbus::Error{"a.Broken", ""};
    });
    std::string secret;
    interface.write_only_property("Secret", [&](const std::string& value) { secret = value; });
    pair.serve(std::move(interface));

    std::vector<std::string> changes;
    auto watch =
        pair.client
            .subscribe("interface='org.freedesktop.DBus.Properties'",
                       [&](std::string_view of,
                           const std::map<std::string, kdbus::Variant>& changed,
                           const std::vector<std::string>& invalidated) {
                           for (const auto& [name, value] : changed)
                               changes.push_back(std::string(of) + "." + name + "=" +
                                                 std::to_string(value.get<int>().value_or(-1)));
                           for (const auto& name : invalidated)
                               changes.push_back(name + " invalidated");
                       })
            .value();
    const auto get = [&](const char* interface_of, const char* name) {
        return pair.client.call(pair.method("Get", properties), interface_of, name);
    };
    CHECK(get(interface_name, "Level").value().get<kdbus::Variant>().value().get<int>().value() ==
          3);
    CHECK(get("", "Fixed").value().get<kdbus::Variant>().value().get<bool>().value());
    const auto any = get(interface_name, "Any").value().get<kdbus::Variant>().value();
    CHECK(any.type() == "v");
    CHECK(any.get<kdbus::Variant>().value().get<unsigned>().value() == 5);
    CHECK(get(interface_name, "Absent").error().name == error_names::unknown_property);
    CHECK(get("org.example.Other", "Level").error().name == error_names::unknown_interface);
    CHECK(get(interface_name, "Broken").error().name == "a.Broken");

    const auto set = [&](const char* name, const kdbus::Variant& value) {
        return pair.client.call(pair.method("Set", properties), interface_name, name, value);
    };
    CHECK(set("Level", kdbus::Variant(8)));
    CHECK(level == 8);
    CHECK(set("Label", kdbus::Variant("b")));
    CHECK(label == "b");
    CHECK(set("Level", kdbus::Variant(-1)).error() ==
          kdbus::Error{error_names::invalid_args, "negative"});
    CHECK(set("Level", kdbus::Variant("text")).error().name == error_names::invalid_args);
    CHECK(set("Fixed", kdbus::Variant(false)).error().name == error_names::property_read_only);
    CHECK(level == 8);
    CHECK(set("Secret", kdbus::Variant("c")));
    CHECK(secret == "c");
    CHECK(get(interface_name, "Secret").error().name == error_names::invalid_args);
    drain(pair.client);
    CHECK(changes == std::vector<std::string>{"org.example.Test.Level=8", "Label invalidated",
                                              "Secret invalidated"});

    const auto all = pair.client.call(pair.method("GetAll", properties), interface_name)
                         .value()
                         .get<std::map<std::string, kdbus::Variant>>()
                         .value();
    CHECK(all.size() == 4); // all but the broken one and the one that cannot be read
    CHECK(all.at("Level").get<int>().value() == 8);
    CHECK(pair.client.call(pair.method("GetAll", properties), "a.b").error().name ==
          error_names::unknown_interface);

    changes.clear();
    const std::array<std::string_view, 2> names{"Level", "Fixed"};
    CHECK(pair.service.emit_properties_changed(path, interface_name, names));
    drain(pair.client);
    CHECK(changes == std::vector<std::string>{"org.example.Test.Level=8"});
    const std::array<std::string_view, 1> absent{"Absent"};
    CHECK(pair.service.emit_properties_changed(path, interface_name, absent).error().name ==
          error_names::unknown_property);
}

TEST_CASE("introspection data", "[bus]") {
    Pair pair;
    kdbus::Interface interface(interface_name);
    interface.method("Add", [](int, int) { return 0; },
                     {.in = {"a", "<b>"}, .out = {"sum"}, .deprecated = true});
    interface.property("Level", [] { return 1; }, {.emits = kdbus::Emits::constant});
    interface.property(
        "Name", [] { return std::string(); }, [](const std::string&) {});
    interface.write_only_property("Secret", [](const std::string&) {});
    interface.signal<std::string, std::uint32_t>("Changed", {"what"});
    interface.method("Forget", [] {}, {.no_reply = true});
    interface.signal<>("Old", {}, {.deprecated = true});
    pair.serve(std::move(interface));
    auto child =
        pair.service.add_object("/org/example/Test/a/b", kdbus::Interface("org.example.C")).value();
    const auto introspect = [&](const char* at) {
        kdbus::Method method = pair.method("Introspect", "org.freedesktop.DBus.Introspectable");
        method.path = at;
        return pair.client.call(method);
    };
    const auto xml = introspect(path).value().get<std::string>().value();
    const auto has = [&](std::string_view part) {
        return xml.find(part) != std::string::npos;
    };
    CHECK(has("<interface name=\"org.example.Test\">\n"
              "  <method name=\"Add\">\n"
              "   <arg type=\"i\" name=\"a\" direction=\"in\"/>\n"
              "   <arg type=\"i\" name=\"&lt;b&gt;\" direction=\"in\"/>\n"
              "   <arg type=\"i\" name=\"sum\" direction=\"out\"/>\n"
              "   <annotation name=\"org.freedesktop.DBus.Deprecated\" value=\"true\"/>\n"
              "  </method>\n"
              "  <method name=\"Forget\">\n"
              "   <annotation name=\"org.freedesktop.DBus.Method.NoReply\" value=\"true\"/>\n"
              "  </method>\n"
              "  <signal name=\"Changed\">\n"
              "   <arg type=\"s\" name=\"what\"/>\n"
              "   <arg type=\"u\"/>\n"
              "  </signal>\n"
              "  <signal name=\"Old\">\n"
              "   <annotation name=\"org.freedesktop.DBus.Deprecated\" value=\"true\"/>\n"
              "  </signal>\n"
              "  <property name=\"Level\" type=\"i\" access=\"read\">\n"
              "   <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" "
              "value=\"const\"/>\n"
              "  </property>\n"
              "  <property name=\"Name\" type=\"s\" access=\"readwrite\">\n"
              "  </property>\n"
              "  <property name=\"Secret\" type=\"s\" access=\"write\">\n"
              "  </property>\n"
              " </interface>\n"));
    CHECK(has("org.freedesktop.DBus.Properties"));
    CHECK(has(" <node name=\"a\"/>\n</node>"));
    const auto root = introspect("/").value().get<std::string>().value();
    CHECK(root.find("<node name=\"org\"/>") != std::string::npos);
    CHECK(root.find("Properties") == std::string::npos);
    CHECK(introspect("/org/example/Tes").error().name == error_names::unknown_object);
    CHECK(introspect("/org/example/Test/a").value().get<std::string>().value().find("name=\"b\"") !=
          std::string::npos);
}

TEST_CASE("every peer answers Ping", "[bus]") {
    Pair pair;
    kdbus::Method ping = pair.method("Ping", "org.freedesktop.DBus.Peer");
    ping.path = "/anything";
    CHECK(pair.client.call(ping));
    CHECK(pair.client.call(ping, 1).error().name == error_names::invalid_args);
    ping.member = "Pong";
    CHECK(pair.client.call(ping).error().name == error_names::unknown_method);
}

TEST_CASE("interfaces are checked when they are exported", "[bus]") {
    Pair pair;
    const auto error_of = [&](std::string_view at, kdbus::Interface interface) {
        return pair.service.add_object(at, std::move(interface)).error().name;
    };
    pair.serve(kdbus::Interface(interface_name));
    CHECK(error_of(path, kdbus::Interface(interface_name)) == error_names::object_path_in_use);
    CHECK(error_of("no/path", kdbus::Interface("a.b")) == error_names::invalid_args);
    CHECK(error_of("/a", kdbus::Interface("ab")) == error_names::invalid_args);
    CHECK(error_of("/a", kdbus::Interface(properties)) == error_names::invalid_args);
    CHECK(error_of("/a", std::move(kdbus::Interface("a.b").method("a-b", [] {}))) ==
          error_names::invalid_args);
    CHECK(error_of("/a", std::move(kdbus::Interface("a.b").add_method("A", "a", "", {}))) ==
          error_names::invalid_args);
    CHECK(error_of("/a", std::move(kdbus::Interface("a.b").add_property("A", "ss", {}, {}))) ==
          error_names::invalid_args);
    CHECK(error_of("/a", std::move(kdbus::Interface("a.b").signal<>("1A"))) ==
          error_names::invalid_args);
    auto second = pair.service.add_object(path, kdbus::Interface("a.b")).value();
    pair.object.reset();
    CHECK(pair.service.add_object(path, kdbus::Interface(interface_name)));
}

TEST_CASE("a handler may take its own object off the bus", "[bus]") {
    Pair pair;
    auto witness = std::make_shared<int>(7);
    std::weak_ptr<int> alive = witness;
    pair.serve(std::move(kdbus::Interface(interface_name).method("Bye", [&pair, witness] {
        pair.object.reset();
        return *witness;
    })));
    witness.reset();
    CHECK(pair.client.call(pair.method("Bye")).value().get<int>().value() == 7);
    CHECK(alive.expired());
}

TEST_CASE("an object whose handler owns the slot of another goes in peace", "[bus]") {
    Pair pair;
    auto inner = std::make_shared<kdbus::Slot>(
        pair.service.add_object(path, kdbus::Interface("a.Inner")).value());
    pair.serve(
        std::move(kdbus::Interface(interface_name).method("Keep", [inner = std::move(inner)] {})));
    pair.object.reset();
    CHECK(pair.client.call(pair.method("X", "a.Inner")).error().name ==
          error_names::unknown_object);
}

TEST_CASE("calls end when their time is up", "[bus]") {
    Pair pair;
    auto method = pair.method("Never");
    method.timeout = 30ms;
    std::string result;
    const auto start = std::chrono::steady_clock::now();
    auto slot =
        pair.client
            .call_async(method, [&](kdbus::Result<kdbus::Message> r) { result = r.error().name; })
            .value();
    REQUIRE(pair.client.timeout());
    CHECK(*pair.client.timeout() >= start + 30ms);
    CHECK(*pair.client.timeout() < start + 20s);
    while (result.empty())
        REQUIRE(pair.client.wait(5s));
    CHECK(std::chrono::steady_clock::now() >= start + 30ms);
    CHECK(result == error_names::no_reply);
    CHECK_FALSE(pair.client.timeout());
    // The late answer concerns nobody.
    drain(pair.service);
    drain(pair.client);
}

TEST_CASE("forgotten calls stay forgotten", "[bus]") {
    Pair pair;
    pair.serve(std::move(kdbus::Interface(interface_name).method("Get", [] { return 1; })));
    int answers = 0;
    const auto count = [&](const kdbus::Result<kdbus::Message>&) {
        ++answers;
    };
    { auto slot = pair.client.call_async(pair.method("Get"), count).value(); }
    pair.client.call_async(pair.method("Get"), count).value().detach();
    CHECK(pair.client.timeout());
    drain(pair.service);
    drain(pair.client);
    CHECK(answers == 1);
    CHECK_FALSE(pair.client.timeout());
    auto nobody = pair.method("Get");
    nobody.destination = "org.example.Nobody";
    CHECK(pair.client.call_async(nobody, count).error().name == error_names::service_unknown);
    CHECK_FALSE(pair.client.timeout());
}

TEST_CASE("blocking calls to oneself are refused", "[bus]") {
    Pair pair;
    pair.client.request_name("org.example.Own").value();
    kdbus::Method method = pair.method("Get");
    method.destination = "org.example.Own";
    CHECK(pair.client.call(method).error().name == error_names::failed);
    // Somebody took the name: the call goes there.
    pair.bus.names["org.example.Own"] = pair.service_transport;
    pair.serve(std::move(kdbus::Interface(interface_name).method("Get", [] { return 1; })));
    CHECK(pair.client.call(method));
    method.destination = pair.client.unique_name();
    CHECK(pair.client.call(method).error().name == error_names::failed);
}

TEST_CASE("subscriptions see what matches", "[bus]") {
    Pair pair;
    const kdbus::Signal tick{path, interface_name, "Tick"};
    std::vector<std::string> seen;
    auto all = pair.client
                   .subscribe("type='signal',interface='org.example.Test'",
                              [&](const kdbus::Message& signal) {
                                  seen.push_back("any " + std::string(signal.sender()));
                              })
                   .value();
    auto typed = pair.client
                     .subscribe("member='Tick',arg0='x'",
                                [&](std::string_view text) { seen.push_back(std::string(text)); })
                     .value();
    auto both = pair.client
                    .subscribe("member='Tick',arg0='x'",
                               [&](const kdbus::Message&, std::string_view a, int b) {
                                   seen.push_back(std::string(a) + std::to_string(b));
                               })
                    .value();
    CHECK(pair.client_transport->matches.size() == 2); // equal rules share

    pair.service.emit(tick, "x").value();
    pair.service.emit(tick, "y").value();
    pair.service.emit(tick, "x", 3).value();
    pair.service.emit({path, "org.example.Other", "Tock"}).value();
    drain(pair.client);
    const std::string any = "any " + pair.service.unique_name();
    CHECK(seen == std::vector<std::string>{any, "x", any, any, "x3"});

    typed.reset();
    CHECK(pair.client_transport->matches.size() == 2);
    both.reset();
    CHECK(pair.client_transport->matches.size() == 1);
    all.reset();
    CHECK(pair.client_transport->matches.empty());
    pair.service.emit(tick, "x").value();
    drain(pair.client);
    CHECK(seen.size() == 5);
    CHECK(pair.client.subscribe("bogus='1'", [] {}).error().name ==
          error_names::match_rule_invalid);
    CHECK(pair.client.subscribe(std::string(1025, ','), [] {}).error().name ==
          error_names::limits_exceeded);
    CHECK(pair.service.emit_to("org.example.Nobody", tick).error().name ==
          error_names::service_unknown);
}

TEST_CASE("subscriptions may change while a signal is handled", "[bus]") {
    Pair pair;
    std::vector<int> order;
    kdbus::Slot first;
    kdbus::Slot second;
    kdbus::Slot added;
    first =
        pair.client
            .subscribe(
                "member='Tick'",
                [&] {
                    order.push_back(1);
                    first.reset();
                    second.reset();
                    added =
                        pair.client.subscribe("member='Tick'", [&] { order.push_back(3); }).value();
                })
            .value();
    second = pair.client.subscribe("member='Tick'", [&] { order.push_back(2); }).value();
    for (int i = 0; i < 2; ++i)
        pair.service.emit({path, interface_name, "Tick"}).value();
    drain(pair.client);
    CHECK(order == std::vector<int>{1, 3});
}

TEST_CASE("exceptions of signal handlers leave process and harm nothing", "[bus]") {
    Pair pair;
    int calls = 0;
    auto slot = pair.client
                    .subscribe("member='Tick'",
                               [&] {
                                   if (++calls == 1)
                                       throw std::runtime_error("x");
                               })
                    .value();
    for (int i = 0; i < 2; ++i)
        pair.service.emit({path, interface_name, "Tick"}).value();
    CHECK_THROWS_AS(pair.client.process(), std::runtime_error);
    drain(pair.client);
    CHECK(calls == 2);
}

TEST_CASE("process is not for handlers", "[bus]") {
    Pair pair;
    std::string inner;
    auto slot =
        pair.client.subscribe("member='Tick'", [&] { inner = pair.client.process().error().name; })
            .value();
    pair.service.emit({path, interface_name, "Tick"}).value();
    drain(pair.client);
    CHECK(inner == error_names::failed);
}

TEST_CASE("run ends by stop and by disconnection", "[bus]") {
    Pair pair;
    pair.client.stop(); // not running: nothing happens
    auto slot = pair.client.subscribe("member='Tick'", [&] { pair.client.stop(); }).value();
    pair.service.emit({path, interface_name, "Tick"}).value();
    pair.service.emit({path, interface_name, "Tick"}).value();
    CHECK(pair.client.run());
    CHECK(pair.client.run()); // the second one was still there
    slot.reset();
    // Of deadlines that have passed together each is for itself, too.
    auto never = pair.method("Get");
    never.timeout = 0ns;
    int expired = 0;
    std::vector<kdbus::Slot> calls;
    for (int i = 0; i < 2; ++i)
        calls.push_back(pair.client
                            .call_async(never,
                                        [&](const kdbus::Result<kdbus::Message>&) {
                                            ++expired;
                                            pair.client.stop();
                                            // Refused, and harmless to the one that runs.
                                            CHECK_FALSE(pair.client.run());
                                        })
                            .value());
    CHECK(pair.client.run());
    CHECK(expired == 1);
    CHECK(pair.client.run());
    CHECK(expired == 2);
    std::string result;
    auto call = pair.client
                    .call_async(pair.method("Get"),
                                [&](kdbus::Result<kdbus::Message> r) { result = r.error().name; })
                    .value();
    pair.client_transport->disconnected = true;
    pair.client_transport->deliver(nullptr);
    CHECK(pair.client.run().error().name == error_names::disconnected);
    CHECK(result == error_names::no_reply);
}

TEST_CASE("a handler may destroy its connection", "[bus]") {
    FakeBus bus;
    auto other = bus.connect();
    auto connection = std::make_optional(bus.connect());
    connection->subscribe("member='Tick'", [&] { connection.reset(); }).value().detach();
    other.emit({path, interface_name, "Tick"}).value();
    CHECK(connection->process());
    CHECK_FALSE(connection);
}

TEST_CASE("slots and responders may outlive the connection", "[bus]") {
    kdbus::Slot slot;
    std::optional<kdbus::Responder> responder;
    {
        Pair pair;
        pair.serve(
            std::move(kdbus::Interface(interface_name).method("Wait", [&](kdbus::Responder reply) {
                responder.emplace(std::move(reply));
            })));
        slot = pair.client.call_async(pair.method("Wait"), [](const auto&) {}).value();
        drain(pair.service);
        REQUIRE(responder);
    }
    responder->send(1);
    responder.reset();
    slot.reset();
}

TEST_CASE("a loop keeps a connection until it has ended", "[bus]") {
    Pair pair;
    auto loop = kdbus::EpollLoop::create().value();
    std::string end;
    auto attached = loop.attach(pair.client, [&](kdbus::Error error) { end = error.name; }).value();
    int seen = 0;
    auto slot = pair.client.subscribe("member='Tick'", [&] { ++seen; }).value();
    pair.client_transport->fail_receives = {kdbus::Error::from_errno(ENOMEM, "Receiving"),
                                            kdbus::Error::from_errno(EINTR, "Receiving")};
    pair.service.emit({path, interface_name, "Tick"}).value();
    for (int i = 0; i < 3; ++i)
        CHECK(loop.step(1s).value());
    CHECK(seen == 1);
    CHECK(end.empty());
    CHECK(attached.attached());
    pair.client_transport->disconnected = true;
    pair.client_transport->deliver(nullptr);
    CHECK(loop.step(1s).value());
    CHECK(end == error_names::disconnected);
    CHECK_FALSE(attached.attached());
}

TEST_CASE("default addresses", "[bus]") {
    const auto defaults = [](std::string_view variable) {
        return kdbus::detail::default_addresses(variable, "0-system", "unix:path=/daemon");
    };
    CHECK(defaults("") == "kernel:path=/dev/kdbus/0-system/bus;unix:path=/daemon");
    CHECK(defaults("unix:path=/run/x") == "kernel:path=/dev/kdbus/0-system/bus;unix:path=/run/x");
    CHECK(defaults("kernel:path=/a;unix:path=/b") == "kernel:path=/a;unix:path=/b");
    CHECK(defaults("unix:path=/b;kernel:path=/a") == "unix:path=/b;kernel:path=/a");
    CHECK(defaults("nonsense") == "nonsense");
}

TEST_CASE("connecting fails with what matters", "[bus]") {
    const auto error_of = [](std::string_view list) {
        return kdbus::Connection::open(list).error();
    };
    CHECK(error_of("nonsense").name == error_names::bad_address);
    CHECK(error_of("kernel:").name == error_names::bad_address);
    CHECK(error_of("kernel:path=/nonexistent/bus").name == error_names::file_not_found);
    CHECK(error_of("unix:path=/nonexistent").name == error_names::file_not_found);
    CHECK(error_of("unix:tmpdir=/tmp").name == error_names::bad_address);
    CHECK(error_of("unix:path=" + std::string(108, 'x')).name == error_names::bad_address);
    CHECK(error_of("tcp:host=a,port=1").name == error_names::not_supported);
    // Each failure is told; absence matters least.
    const auto both = error_of("kernel:path=/nonexistent/a;tcp:host=a,port=1");
    CHECK(both.name == error_names::not_supported);
    CHECK(both.message.find("/nonexistent/a") != std::string::npos);
    CHECK(both.message.find("tcp") != std::string::npos);
    // A kernel bus that refuses is not bypassed.
    const auto refused = error_of("kernel:path=/proc/self/mem/x;unix:path=/nonexistent");
    CHECK(refused.message.find("unix") == std::string::npos);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", "kernel:path=/nonexistent/system", 1);
    CHECK(kdbus::Connection::system().error().message.find("/nonexistent/system") !=
          std::string::npos);
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

TEST_CASE("failures to send have the names of dbus-on-kdbus.md 6.1", "[bus]") {
    kdbus::wire::Message message;
    message.destination = "a.b";
    const auto name = [&](int value, bool disconnected = false) {
        return kdbus::detail::send_error(value, message, disconnected).name;
    };
    CHECK(name(ENXIO) == error_names::service_unknown);
    CHECK(name(ESRCH) == error_names::service_unknown);
    CHECK(name(EADDRNOTAVAIL) == error_names::name_has_no_owner);
    CHECK(name(EPERM) == error_names::access_denied);
    for (int value : {ENOBUFS, EXFULL, EMFILE, EMLINK, EMSGSIZE, E2BIG})
        CHECK(name(value) == error_names::limits_exceeded);
    for (int value : {ECOMM, EOPNOTSUPP, ENOTUNIQ})
        CHECK(name(value) == error_names::not_supported);
    for (int value : {ETIMEDOUT, EPIPE, EREMOTEIO, ECONNRESET})
        CHECK(name(value) == error_names::no_reply);
    CHECK(name(ECONNRESET, true) == error_names::disconnected);
    CHECK(name(EDOM) == "System.Error.EDOM");
}

TEST_CASE("a watch of a name survives lost and stale notifications", "[bus]") {
    Watched world;
    auto& [bus, watcher, transport, other, other_transport] = world;
    std::vector<std::string> seen;
    auto slot = watcher
                    .watch_name("a.b",
                                [&](std::string_view from, std::string_view to) {
                                    seen.push_back(std::string(from) + ">" + std::string(to));
                                })
                    .value();
    drain(watcher);
    CHECK(seen == std::vector<std::string>{">"});
    seen.clear();
    // Nothing came, but something was lost.
    bus.names["a.b"] = other_transport;
    drain(watcher);
    CHECK(seen.empty());
    transport->lost = 3;
    drain(watcher);
    CHECK(seen == std::vector<std::string>{">" + other.unique_name()});
    seen.clear();
    drain(watcher);
    CHECK(seen.empty());
    // What does not go on from where we are is looked into.
    const auto announce = [&](std::string_view from, std::string_view to) {
        kdbus::wire::Buffer body;
        kdbus::wire::Writer writer(body, kdbus::wire::Format::gvariant);
        writer.append("a.b", from, to);
        REQUIRE(writer.finish());
        kdbus::wire::Message signal;
        signal.type = kdbus::MessageType::signal;
        signal.format = kdbus::wire::Format::gvariant;
        signal.serial = 1;
        signal.sender = "org.freedesktop.DBus";
        signal.path = "/org/freedesktop/DBus";
        signal.interface = "org.freedesktop.DBus";
        signal.member = "NameOwnerChanged";
        signal.signature = writer.signature();
        signal.body = writer.body();
        transport->deliver(transport->copy(signal));
        drain(watcher);
    };
    announce(":1.8", ":1.9");
    announce(":1.9", other.unique_name());
    CHECK(seen.empty());
    bus.names.erase("a.b");
    announce(":1.9", ":1.8");
    CHECK(seen == std::vector<std::string>{other.unique_name() + ">"});
    announce("", ":1.7");
    CHECK(seen.back() == ">:1.7");
    CHECK(transport->matches.size() == 1);
    slot.reset();
    CHECK(transport->matches.empty());
}

TEST_CASE("a watch of a name whose owner cannot be told asks again", "[bus]") {
    Watched world;
    auto& [bus, watcher, transport, other, other_transport] = world;
    std::vector<std::string> seen;
    auto slot = watcher
                    .watch_name("a.b", [&](std::string_view,
                                           std::string_view to) { seen.emplace_back(to); })
                    .value();
    drain(watcher);
    CHECK(seen == std::vector<std::string>{""});
    bus.names["a.b"] = other_transport;
    const kdbus::Error full{error_names::limits_exceeded, "No room"};
    transport->fail_lookups = {full, full};
    transport->lost = 1;
    const auto before = std::chrono::steady_clock::now();
    CHECK(watcher.process());
    CHECK(seen.size() == 1);
    // Soon, but not again and again.
    REQUIRE(watcher.timeout());
    CHECK(*watcher.timeout() >= before + 100ms);
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (seen.size() == 1 && std::chrono::steady_clock::now() < end)
        REQUIRE(watcher.wait(1s));
    CHECK(seen == std::vector<std::string>{"", other.unique_name()});
    CHECK(transport->fail_lookups.empty());
    CHECK_FALSE(watcher.timeout());
    // Nobody asks who has left the bus.
    transport->fail_lookups = {{error_names::disconnected, "test"}};
    transport->lost = 2;
    drain(watcher);
    CHECK_FALSE(watcher.timeout());
    CHECK(seen.size() == 2);
}

TEST_CASE("an object that there is no memory to tell of is not there", "[bus]") {
    Pair pair;
    auto manager = pair.service.add_object_manager("/org").value();
    pair.service_transport->no_memory = true;
    CHECK_THROWS_AS(pair.service.add_object(path, kdbus::Interface(interface_name)),
                    std::bad_alloc);
    pair.service_transport->no_memory = false;
    auto object = pair.service.add_object(path, kdbus::Interface(interface_name));
    CHECK(object);
}

TEST_CASE("a stream ends with its sender, be it that the notification got lost", "[bus]") {
    Pair pair;
    auto sender = std::make_optional(pair.bus.connect());
    std::string end;
    auto reader = kdbus::StreamReader::create(
                      pair.service, path, [](kdbus::StreamChunk) {},
                      [&](kdbus::Result<void> how) { end = how ? "complete" : how.error().name; })
                      .value();
    REQUIRE(sender->call(pair.method("Open", "org.kdbus.Stream1")));
    drain(pair.service);
    sender.reset();
    pair.service_transport->lost = 1;
    drain(pair.service);
    CHECK(end == error_names::no_reply);
}

TEST_CASE("a stream is left without memory", "[bus]") {
    Pair pair;
    auto writer = std::make_optional(
        kdbus::StreamWriter::open(pair.client, pair.service.unique_name(), path).value());
    pair.client_transport->no_memory = true;
    writer.reset();
}
