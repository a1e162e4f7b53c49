// SPDX-License-Identifier: LGPL-2.1-or-later
// Generated classes at both ends of a bus within the process.
#include "../lib/bus-fake.hpp"

#include <org.example.Everything-adaptor.hpp>
#include <org.example.Everything-proxy.hpp>

#include <catch2/catch.hpp>

#include <optional>

namespace error_names = kdbus::error_names;
namespace example = org::example;
using EverythingAdaptor = example::std::kdbus::EverythingAdaptor;
using EverythingProxy = example::std::kdbus::EverythingProxy;

namespace {

constexpr const char* path = "/org/example/Everything";

using All = std::tuple<std::uint8_t, bool, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
                       std::int64_t, std::uint64_t, double, std::string, kdbus::ObjectPath,
                       kdbus::Signature, kdbus::Variant>;
using Words =
    std::map<std::string, std::vector<std::tuple<std::int32_t, std::vector<kdbus::Variant>>>>;
using Flags = std::tuple<std::string, std::tuple<std::vector<bool>>>;
using Blobs = std::vector<std::vector<std::uint8_t>>;

/// Serves everything; returns and takes what handlers may, in all variations.
class Everything {
public:
    // Several results are a tuple, so one that is a struct is a tuple of a tuple.
    std::tuple<All> Basic(std::uint8_t y, bool b, std::int16_t n, std::uint16_t q, std::int32_t i,
                          std::uint32_t u, std::int64_t x, std::uint64_t t, double d,
                          std::string_view s, kdbus::ObjectPathView o, const kdbus::Signature& g,
                          const kdbus::Variant& v) {
        return All{y, b, n, q, i, u, x, t, d, std::string(s), kdbus::ObjectPath(o), g, v};
    }
    std::tuple<Words, Flags, Blobs> Nested(const Words& words, const Flags& flags,
                                           const Blobs& blobs) const {
        return {words, flags, blobs};
    }
    void Nothing() noexcept { ++nothing; }
    kdbus::Result<std::string> Fail(const std::string& message) {
        return kdbus::Error{"org.example.Error", message};
    }
    void Later(const kdbus::Message& call, kdbus::Responder responder, std::uint32_t value) {
        caller = call.sender();
        later = value;
        waiting.emplace(std::move(responder));
    }
    kdbus::Result<void> Forget(const std::string& what) {
        forgotten = what;
        return {};
    }
    void Old() const noexcept {}
    std::int32_t delete_(std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d,
                         std::int32_t e, std::int32_t f) {
        return ((((a * 10 + b) * 10 + c) * 10 + d) * 10 + e) * 10 + f;
    }
    const char* call_() { return "call"; }
    void EverythingProxy_() {}
    std::int32_t Callback(std::int32_t value) { return value; }
    std::int32_t get_Object() const { return 8; }
    void async_Nothing_() { nothing += 100; }
    std::string get_Level() { return "the method"; }
    void Level() {}

    std::int32_t get_Level_() const { return level; }
    void set_Level(std::int32_t value) {
        if (value < 0)
            throw kdbus::Exception(error_names::invalid_args, "negative");
        level = value;
    }
    const std::string& get_some_text() const noexcept { return text; }
    kdbus::Result<void> set_some_text(std::string_view value) {
        text = value;
        return {};
    }
    kdbus::Variant get_Anything() const { return anything; }
    void set_Anything(const kdbus::Variant& value) { anything = value; }
    kdbus::Result<std::uint32_t> get_Version() { return 7U; }
    void set_Secret(const std::string& value) { secret = value; }
    std::vector<std::string> get_OldWords() { return {"thou"}; }

    int nothing = 0;
    std::string caller;
    std::uint32_t later = 0;
    std::optional<kdbus::Responder> waiting;
    std::string forgotten;
    std::int32_t level = 3;
    std::string text = "a";
    kdbus::Variant anything{1.5};
    std::string secret;
};

struct Pair {
    FakeBus bus;
    kdbus::Connection service = bus.connect();
    kdbus::Connection client = bus.connect();
    Everything object;
    EverythingAdaptor adaptor{service, path};
    EverythingProxy proxy{client, service.unique_name(), path};

    Pair() {
        bus.pump = [this] {
            drain(service);
        };
        adaptor.serve(object).value();
    }
    static void drain(kdbus::Connection& connection) {
        while (connection.process().value()) {
        }
    }
    void drain() {
        drain(service);
        drain(client);
    }
};

} // namespace

TEST_CASE("all types cross the bus") {
    Pair pair;
    const kdbus::Variant variant(std::map<std::string, kdbus::Variant>{{"k", kdbus::Variant(1)}});
    const auto all = pair.proxy
                         .Basic(1, true, -2, 3, -4, 5, -6, 7, 0.5, "text",
                                kdbus::ObjectPath("/a/b"), kdbus::Signature("a{sv}"), variant)
                         .value();
    CHECK(all == All{1, true, -2, 3, -4, 5, -6, 7, 0.5, "text", kdbus::ObjectPath("/a/b"),
                     kdbus::Signature("a{sv}"), variant});
    const Words words{{"a", {{1, {kdbus::Variant(2)}}, {3, {}}}}, {"b", {}}};
    const Flags flags{"f", {{true, false}}};
    const Blobs blobs{{1, 2}, {}};
    const auto [same_words, same_flags, same_blobs] =
        pair.proxy.Nested(words, flags, blobs).value();
    CHECK(same_words == words);
    CHECK(same_flags == flags);
    CHECK(same_blobs == blobs);
}

TEST_CASE("methods") {
    Pair pair;
    CHECK(pair.proxy.Nothing());
    CHECK(pair.object.nothing == 1);
    CHECK(pair.proxy.Fail("why").error() == kdbus::Error{"org.example.Error", "why"});
    CHECK(pair.proxy.Forget("it"));
    CHECK(pair.object.forgotten.empty()); // nobody waited
    pair.drain();
    CHECK(pair.object.forgotten == "it");
    CHECK(pair.proxy.destination() == pair.service.unique_name());

    EverythingProxy nobody(pair.client, ":1.99", path);
    CHECK(nobody.Nothing().error().name == error_names::service_unknown);
    nobody = EverythingProxy(pair.client, pair.service.unique_name(), "/elsewhere");
    CHECK(nobody.Nothing().error().name == error_names::unknown_object);
}

TEST_CASE("methods, without waiting") {
    Pair pair;
    std::optional<std::tuple<std::uint32_t, std::string>> result;
    auto later = pair.proxy
                     .async_Later(9,
                                  [&](kdbus::Result<std::tuple<std::uint32_t, std::string>> reply) {
                                      result = reply.value();
                                  })
                     .value();
    std::string error;
    auto fail =
        pair.proxy.async_Fail("no", [&](const auto& reply) { error = reply.error().message; })
            .value();
    pair.drain();
    CHECK(error == "no");
    CHECK_FALSE(result);
    REQUIRE(pair.object.waiting);
    pair.object.waiting->send(pair.object.later, pair.object.caller);
    pair.drain();
    CHECK(result == std::tuple(9U, pair.client.unique_name()));

    // Forgotten with its slot.
    {
        auto slot = pair.proxy.async_Nothing([](auto&&) { FAIL(); }).value();
    }
    pair.drain();
    CHECK(pair.object.nothing == 1);
}

namespace {

kdbus::Task<std::string> use(EverythingProxy& proxy) {
    auto level = proxy.co_get_Level_();
    const auto later = proxy.co_Later(9);
    std::string all = std::to_string((co_await level).value());
    (co_await proxy.co_set_Level(5)).value();
    all += std::to_string((co_await proxy.co_get_Level_()).value());
    (co_await proxy.co_Nothing()).value();
    co_return all + (co_await proxy.co_Fail("no")).error().message;
}

} // namespace

TEST_CASE("methods and properties, from a coroutine") {
    Pair pair;
    std::optional<kdbus::Result<std::string>> result;
    const auto task = pair.client.spawn(kdbus::detail::keep_result(use(pair.proxy), result));
    for (int i = 0; i < 10 && !result; ++i)
        pair.drain();
    REQUIRE(result);
    CHECK(result->value() == "35no");
    CHECK(pair.object.nothing == 1);
}

TEST_CASE("names that are not free") {
    Pair pair;
    CHECK(pair.proxy.delete_(1, 2, 3, 4, 5, 6).value() == 123456);
    CHECK(pair.proxy.call_().value() == "call");
    CHECK(pair.proxy.EverythingProxy_());
    CHECK(pair.proxy.async_Nothing_());
    std::int32_t result = 0;
    auto call =
        pair.proxy.async_Callback(4, [&](const auto& reply) { result += reply.value(); }).value();
    auto handler = pair.proxy.on_Handler([&](std::int32_t value) { result += value; }).value();
    CHECK(pair.adaptor.emit_Handler(5));
    pair.drain();
    CHECK(result == 9);
    CHECK(pair.object.nothing == 100);
    CHECK(pair.proxy.get_Level().value() == "the method");
    CHECK(pair.proxy.get_Level_().value() == 3);
    CHECK(pair.proxy.Level());
}

TEST_CASE("properties") {
    Pair pair;
    CHECK(pair.proxy.get_Level_().value() == 3);
    CHECK(pair.proxy.set_Level(4));
    CHECK(pair.object.level == 4);
    CHECK(pair.proxy.set_Level(-1).error() == kdbus::Error{error_names::invalid_args, "negative"});
    CHECK(pair.proxy.set_some_text("b"));
    CHECK(pair.proxy.get_some_text().value() == "b");
    CHECK(pair.proxy.set_Anything(kdbus::Variant("any")));
    CHECK(pair.object.anything == kdbus::Variant("any"));
    CHECK(pair.proxy.get_Anything().value() == kdbus::Variant("any"));
    CHECK(pair.proxy.get_Version().value() == 7);
    CHECK(pair.proxy.set_Secret("s"));
    CHECK(pair.object.secret == "s");
    const auto all = pair.proxy.properties().value();
    CHECK(all.size() == 6);
    CHECK(all.at("some-text").get<std::string>().value() == "b");

    std::int32_t level = 0;
    auto get =
        pair.proxy
            .async_get_Level_([&](kdbus::Result<std::int32_t> value) { level = value.value(); })
            .value();
    bool done = false;
    auto set =
        pair.proxy.async_set_some_text("c", [&](kdbus::Result<void> reply) { done = !!reply; })
            .value();
    pair.drain();
    CHECK(level == 4);
    CHECK(done);
    CHECK(pair.object.text == "c");
}

TEST_CASE("changes of properties") {
    Pair pair;
    std::vector<std::string> changes;
    auto watch =
        pair.proxy
            .on_properties_changed([&](const std::map<std::string, kdbus::Variant>& values,
                                       const std::vector<std::string>& names) {
                for (const auto& [name, value] : values)
                    changes.push_back(name + "=" + std::to_string(value.get<int>().value()));
                changes.insert(changes.end(), names.begin(), names.end());
            })
            .value();
    CHECK(pair.adaptor.emit_Level_changed());
    CHECK(pair.adaptor.emit_some_text_changed());
    const std::vector<std::string_view> names{"Level", "some-text"};
    CHECK(pair.adaptor.emit_properties_changed(names));
    pair.drain();
    CHECK(changes == std::vector<std::string>{"Level=3", "some-text", "Level=3", "some-text"});

    // What is silent or constant cannot be announced; an interface may say so for its properties.
    const auto silent = []<class Adaptor>(Adaptor*) {
        return !requires(Adaptor adaptor) {
            adaptor.emit_Anything_changed();
        }
        &&!requires(Adaptor adaptor) {
            adaptor.emit_Version_changed();
        }
        &&!requires(Adaptor adaptor) {
            adaptor.emit_Quiet_changed();
        };
    };
    CHECK(silent(static_cast<EverythingAdaptor*>(nullptr)));
    CHECK(silent(static_cast<example::SilentAdaptor*>(nullptr)));
    (void)&example::SilentAdaptor::emit_Loud_changed;
}

TEST_CASE("signals") {
    Pair pair;
    std::vector<std::string> got;
    auto level =
        pair.proxy
            .on_Level(
                [&](std::int32_t value, const std::map<std::string, kdbus::Variant>& details) {
                    got.push_back(std::to_string(value) + ", " + std::to_string(details.size()));
                })
            .value();
    auto bare = pair.proxy
                    .on_Bare([&](const kdbus::Message& signal) {
                        got.push_back(std::string(signal.member()));
                    })
                    .value();
    auto whole = pair.proxy
                     .on_Level([&](const kdbus::Message& signal) {
                         got.push_back(std::string(signal.signature()));
                     })
                     .value();
    // Of somebody else.
    EverythingAdaptor other(pair.client, "/other");
    CHECK(other.emit_Bare());
    CHECK(pair.adaptor.emit_Level(5, {{"k", kdbus::Variant(1)}}));
    CHECK(pair.adaptor.emit_Bare());
    CHECK(pair.adaptor.emit_Bare_to(pair.client.unique_name()));
    pair.drain();
    CHECK(got == std::vector<std::string>{"5, 1", "ia{sv}", "Bare", "Bare"});
}

TEST_CASE("the object shows what it was made of") {
    Pair pair;
    const auto xml = pair.client
                         .call({pair.service.unique_name(), path,
                                "org.freedesktop.DBus.Introspectable", "Introspect"})
                         .value()
                         .get<std::string>()
                         .value();
    const auto has = [&](std::string_view part) {
        return xml.find(part) != std::string::npos;
    };
    CHECK(has("<interface name=\"org.example.std.kdbus.Everything\">"));
    CHECK(has("<method name=\"Later\">\n"
              "   <arg type=\"u\" name=\"value\" direction=\"in\"/>\n"
              "   <arg type=\"u\" name=\"value\" direction=\"out\"/>\n"
              "   <arg type=\"s\" name=\"caller\" direction=\"out\"/>\n"));
    CHECK(has("<method name=\"Forget\">\n"
              "   <arg type=\"s\" name=\"what\" direction=\"in\"/>\n"
              "   <annotation name=\"org.freedesktop.DBus.Method.NoReply\" value=\"true\"/>\n"));
    CHECK(has("<method name=\"Old\">\n"
              "   <annotation name=\"org.freedesktop.DBus.Deprecated\" value=\"true\"/>\n"));
    CHECK(has("<arg type=\"(ybnqiuxtdsogv)\" name=\"all\" direction=\"out\"/>"));
    CHECK(has("<arg type=\"i\" name=\"2 be\" direction=\"in\"/>"));
    CHECK(has("<property name=\"some-text\" type=\"s\" access=\"readwrite\">\n"
              "   <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" "
              "value=\"invalidates\"/>\n"));
    CHECK(has("<property name=\"Secret\" type=\"s\" access=\"write\">"));
    CHECK(has("<signal name=\"Level\">\n"
              "   <arg type=\"i\"/>\n"
              "   <arg type=\"a{sv}\" name=\"details\"/>\n"));
    CHECK(has("<signal name=\"OldNews\">\n"
              "   <annotation name=\"org.freedesktop.DBus.Deprecated\" value=\"true\"/>\n"));
}
