// SPDX-License-Identifier: LGPL-2.1-or-later
// `interop-client ADDRESS NAME`: our client, of any of the services.
#include "interface.hpp"
#include "pipes.hpp"

#include <kdbus/bus.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <tuple>
#include <vector>

using namespace kdbus;
using namespace std::chrono_literals;

namespace {

class Client {
public:
    Client(const char* address, const char* name)
        : bus_(Connection::open(address).value()), name_(name) {}

    void run() {
        types();
        descriptors();
        errors();
        signals();
        properties();
        introspection();
    }

private:
    Method method(std::string_view member,
                  std::string_view interface = interop::interface_name) const {
        return {name_, interop::path, interface, member};
    }

    template <class... T>
    void same(std::string_view member, const T&... values) {
        const auto back =
            bus_.call(method(member), values...).value().template get_tuple<T...>().value();
        EXPECT(back == std::tuple(values...));
    }

    void types() {
        same("Basics", std::uint8_t{200}, true, std::int16_t{-3}, std::uint16_t{65000},
             std::int32_t{-70000}, std::uint32_t{4000000000}, std::int64_t{-5000000000},
             std::uint64_t{18000000000000000000u}, 1.5, std::string("\xc3\xa4\xe2\x82\xac"),
             ObjectPath("/a/b"), Signature("a{sv}"));
        using Texts = std::vector<std::string>;
        same("Containers", Texts{"a", "", std::string(70000, 'x')},
             std::map<std::string, Variant>{{"one", Variant(std::uint32_t{1})},
                                            {"two", Variant(Texts{"x", "y"})}},
             std::tuple(std::int32_t{7}, std::string("seven")), std::vector<std::uint8_t>{1, 2, 3});
        same("Containers", Texts(), std::map<std::string, Variant>(),
             std::tuple(std::int32_t{0}, std::string()), std::vector<std::uint8_t>());
        const std::tuple deep{std::map<std::string, Texts>{{"k", {"v"}}}, true};
        const auto back = bus_.call(method("Echo"), Variant(deep)).value();
        const auto variant = back.get<Variant>().value();
        EXPECT(variant.get<std::decay_t<decltype(deep)>>() == deep);
    }

    void descriptors() {
        const abi::UniqueFd fd(interop::pipe_with("to the service"));
        const int fds[] = {fd.get()};
        auto call = method("ReadFd");
        call.fds = fds;
        EXPECT(bus_.call(call, UnixFd{0}).value().get<std::string>().value() == "to the service");
        const auto reply = bus_.call(method("MakeFd"), "from the service").value();
        const auto made = reply.take_fd(reply.get<UnixFd>().value()).value();
        EXPECT(interop::read_from(made.get()) == "from the service");
    }

    void errors() {
        const auto failed = bus_.call(method("Fail"));
        EXPECT(!failed && failed.error().name == interop::error_name);
        EXPECT(failed.error().message == interop::error_text);
        const auto unknown = bus_.call(method("Missing"));
        EXPECT(!unknown && unknown.error().name == error_names::unknown_method);
    }

    void signals() {
        std::vector<std::tuple<std::string, std::uint32_t>> heard;
        const auto slot = subscribe("Happened", [&](std::string text, std::uint32_t length) {
            heard.emplace_back(std::move(text), length);
        });
        bus_.call(method("Emit"), "hello").value();
        bus_.call(method("Emit"), "").value();
        process_until([&] { return heard.size() == 2; });
        EXPECT(
            (heard == std::vector<std::tuple<std::string, std::uint32_t>>{{"hello", 5}, {"", 0}}));
    }

    void properties() {
        constexpr const char* interface = "org.freedesktop.DBus.Properties";
        const auto get = [&](const char* name) {
            return bus_.call(method("Get", interface), interop::interface_name, name)
                .value()
                .get<Variant>()
                .value();
        };
        EXPECT(get("Name") == Variant("Interop"));
        std::int32_t announced = 0;
        const auto slot =
            bus_.subscribe("type='signal',member='PropertiesChanged',path='" +
                               std::string(interop::path) + "',sender='" + name_ + "'",
                           [&](std::string_view of, const std::map<std::string, Variant>& changed,
                               const std::vector<std::string>&) {
                               if (of == interop::interface_name)
                                   announced = changed.at("Value").get<std::int32_t>().value();
                           })
                .value();
        const auto old = get("Value").get<std::int32_t>().value();
        bus_.call(method("Set", interface), interop::interface_name, "Value", Variant(old + 1))
            .value();
        EXPECT(get("Value") == Variant(old + 1));
        process_until([&] { return announced != 0; });
        EXPECT(announced == old + 1);
        EXPECT(!bus_.call(method("Set", interface), interop::interface_name, "Name", Variant("x")));
        const auto all = bus_.call(method("GetAll", interface), interop::interface_name)
                             .value()
                             .get<std::map<std::string, Variant>>()
                             .value();
        EXPECT(all.size() == 2 && all.at("Value") == Variant(old + 1));
    }

    void introspection() {
        const auto xml = bus_.call(method("Introspect", "org.freedesktop.DBus.Introspectable"))
                             .value()
                             .get<std::string>()
                             .value();
        for (const char* word : {"Containers", "a{sv}", "Happened", "MakeFd"})
            EXPECT(xml.find(word) != xml.npos);
        bus_.call(method("Ping", "org.freedesktop.DBus.Peer")).value();
    }

    template <class Handler>
    Slot subscribe(const char* member, Handler handler) {
        return bus_
            .subscribe("type='signal',interface='" + std::string(interop::interface_name) +
                           "',member='" + member + "',sender='" + name_ + "'",
                       std::move(handler))
            .value();
    }

    template <class Condition>
    void process_until(Condition condition) {
        const auto end = std::chrono::steady_clock::now() + 60s;
        while (!condition() && std::chrono::steady_clock::now() < end)
            bus_.wait(100ms).value();
    }

    Connection bus_;
    std::string name_;
};

} // namespace

int main(int argc, char** argv) try {
    if (argc != 3)
        throw std::runtime_error("usage: interop-client ADDRESS NAME");
    Client(argv[1], argv[2]).run();
    std::puts("all well");
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
