// SPDX-License-Identifier: LGPL-2.1-or-later
// Values of a program's own types, the same on each transport.
#include "transports.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <variant>
#include <vector>

namespace abi = kdbus::abi;
namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;

namespace {

constexpr const char* introspectable = "org.freedesktop.DBus.Introspectable";

struct OpenFile {
    std::string name;
    abi::UniqueFd file;
};

enum class Kind : std::uint8_t { plain, scaled };

struct Place {
    double x;
    std::string name;
    Kind kind;
    friend bool operator==(const Place&, const Place&) = default;
};

struct NamedView {
    std::int32_t number;
    std::string_view name;
};
template <class T>
struct Twice {
    std::vector<NamedView> views;
    T value;
};
// What must not be kept when its message is gone, and what may.
static_assert(kdbus::detail::is_view<std::map<std::string, std::span<const double>>>);
static_assert(kdbus::detail::is_view<std::vector<NamedView>>);
static_assert(kdbus::detail::is_view<Twice<int>>);
static_assert(!kdbus::detail::is_view<std::tuple<Place, std::optional<OpenFile>, std::string>>);

} // namespace

TEMPLATE_TEST_CASE("descriptors are values", "[transports]", ALL_BUSES) {
    TestType bus;
    const std::size_t descriptors = open_descriptors();
    {
        Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
            interface.method("Write", [](abi::UniqueFd file, std::string_view text) {
                return static_cast<std::int64_t>(write(file.get(), text.data(), text.size()));
            });
            interface.method("WriteAll", [](const std::vector<OpenFile>& files) {
                for (const OpenFile& file : files)
                    if (write(file.file.get(), file.name.data(), file.name.size()) < 0)
                        throw std::system_error(errno, std::generic_category());
            });
            interface.method("Open", [](const std::vector<std::string>& names) {
                std::map<std::string, OpenFile> files;
                for (const std::string& name : names)
                    files.emplace(name, OpenFile{name, abi::UniqueFd(open(("/dev/" + name).c_str(),
                                                                          O_RDONLY | O_CLOEXEC))});
                return std::tuple(std::move(files), std::int32_t{7});
            });
            interface.deferred_method<abi::UniqueFd>("Later", [](kdbus::Responder reply) {
                reply.send(abi::UniqueFd(open("/dev/zero", O_RDONLY | O_CLOEXEC)));
            });
            interface.method("Index", [] { return kdbus::UnixFd{0}; });
            interface.method("None", [] { return abi::UniqueFd(); });
        });
        auto client = bus.connect();
        std::array<int, 2> pipe_fds{};
        REQUIRE(pipe2(pipe_fds.data(), O_CLOEXEC) == 0);
        const abi::UniqueFd reader(pipe_fds[0]);
        abi::UniqueFd writer(pipe_fds[1]);
        CHECK(client.call(method("Write"), writer, "a ")
                  .value()
                  .template get<std::int64_t>()
                  .value() == 2);
        CHECK(client.call(method("Write"), kdbus::BorrowedFd(writer), "b "));
        std::vector<OpenFile> files;
        files.push_back({"c ", writer.duplicate().value()});
        files.push_back({"d ", writer.duplicate().value()});
        CHECK(client.call(method("WriteAll"), files));
        // What the caller numbers itself comes first.
        const std::array fds{writer.get()};
        auto mixed = method("WriteAll");
        mixed.fds = fds;
        using Named = std::tuple<std::string_view, kdbus::UnixFd>;
        CHECK(client.call(mixed, std::vector{Named("e ", kdbus::UnixFd{0})}));
        CHECK(outcome(client.call(mixed, files)) == "()");
        files.clear();
        writer.reset();
        std::array<char, 64> buffer{};
        const auto size = read(reader.get(), buffer.data(), buffer.size());
        CHECK(std::string(buffer.data(), static_cast<std::size_t>(size)) == "a b c d e c d ");
        CHECK(read(reader.get(), buffer.data(), buffer.size()) == 0); // nobody kept it

        const auto reply = client.call(method("Open"), std::vector{"zero", "null"}).value();
        const auto opened =
            reply.template get<std::map<std::string, OpenFile>, std::int32_t>().value();
        CHECK(std::get<1>(opened) == 7);
        CHECK(read(std::get<0>(opened).at("zero").file.get(), buffer.data(), buffer.size()) == 64);
        CHECK(read(std::get<0>(opened).at("null").file.get(), buffer.data(), buffer.size()) == 0);
        const auto again = reply.template get<std::map<std::string, OpenFile>, std::int32_t>();
        CHECK(again.error().name == error_names::invalid_args); // they were taken

        const auto late = client.call(method("Later")).value();
        CHECK(late.template get<abi::UniqueFd>().value());

        // What cannot be sent is an error of the sender's.
        CHECK(outcome(client.call(method("Write"), abi::UniqueFd(), "x")) ==
              error_names::invalid_args);
        CHECK(outcome(client.call(method("None"))) == error_names::failed);
        CHECK(outcome(client.call(method("Index"))) == error_names::invalid_args);
        const std::vector<kdbus::BorrowedFd> many(17, reader);
        CHECK(outcome(client.call(method("Write"), many)) == error_names::limits_exceeded);
        CHECK(outcome(client.call(method("Write"), reader, "x")) == "(x)"); // all is well
    }
    // The bus closes its end a little later.
    for (int i = 0; i < 3000 && open_descriptors() > descriptors; ++i)
        std::this_thread::sleep_for(10ms);
    CHECK(open_descriptors() <= descriptors);
}

TEMPLATE_TEST_CASE("structs, enumerations and typed variants are arguments", "[transports]",
                   ALL_BUSES) {
    TestType bus;
    Service service(bus, [](kdbus::Connection&, kdbus::Interface& interface) {
        interface.method("Scale", [](Place place, const std::variant<std::int32_t, double>& by) {
            const double factor = std::visit([](auto value) -> double { return value; }, by);
            place.x *= factor;
            place.kind = Kind::scaled;
            return place;
        });
        interface.property("Home", [] { return Place{1, "home", Kind::plain}; });
    });
    auto client = bus.connect();
    const auto scaled = client.call(method("Scale"), Place{2, "here", Kind::plain},
                                    std::variant<std::int32_t, double>(2.5));
    CHECK(scaled.value().signature() == "(dsy)");
    CHECK(scaled.value().template get<Place>().value() == Place{5, "here", Kind::scaled});
    CHECK(outcome(client.call(method("Scale"), Place{}, kdbus::Variant("text"))) ==
          error_names::invalid_args);
    const auto home = client.call(method("Get", properties), interface_name, "Home").value();
    CHECK(std::get<0>(home.template get<std::variant<Place>>().value()) ==
          Place{1, "home", Kind::plain});
    const auto xml = outcome(client.call(method("Introspect", introspectable)));
    CHECK(xml.find("type=\"(dsy)\"") != std::string::npos);
}

TEMPLATE_TEST_CASE("arguments at the end may be missing", "[transports]", ALL_BUSES) {
    TestType bus;
    Service service(bus, [](kdbus::Connection& connection, kdbus::Interface& interface) {
        interface.method("Greet", [](std::string_view name, std::optional<std::string_view> title,
                                     std::optional<std::int32_t> times) {
            return std::string(title.value_or("-")) + " " + std::string(name) + " " +
                   std::to_string(times.value_or(0));
        });
        interface.method("Split", [](bool both) {
            return std::tuple("one", both ? std::optional("two") : std::nullopt);
        });
        interface.method("Announce", [&connection](bool all) {
            const auto more = all ? std::optional<std::int32_t>(5) : std::nullopt;
            connection.emit({path, interface_name, "Happened"}, "it", more).value();
        });
        interface.add_method("Raw", "sa{sv}u", "s",
                             [](kdbus::Invocation& call) -> kdbus::Result<void> {
                                 call.reply().append(call.call().signature());
                                 return {};
                             },
                             {.optional_in = 2});
    });
    auto client = bus.connect();
    CHECK(outcome(client.call(method("Greet"), "A")) == "- A 0");
    CHECK(outcome(client.call(method("Greet"), "A", "Mr")) == "Mr A 0");
    CHECK(outcome(client.call(method("Greet"), "A", "Mr", 3)) == "Mr A 3");
    CHECK(outcome(client.call(method("Greet"), "A", std::optional<std::string>("Mr"))) == "Mr A 0");
    CHECK(outcome(client.call(method("Greet"), "A", std::optional<std::string>(),
                              std::optional<std::int32_t>())) == "- A 0");
    for (const auto& wrong :
         {client.call(method("Greet")), client.call(method("Greet"), "A", 3),
          client.call(method("Greet"), "A", "Mr", 3, 4),
          // One in the middle cannot be missing.
          client.call(method("Greet"), "A", std::optional<std::string>(), std::optional(3))})
        CHECK(outcome(wrong) == error_names::invalid_args);
    CHECK(client.call(method("Greet")).error().message == "Greet takes (s[si]), not ()");
    CHECK(outcome(client.call(method("Raw"), "A")) == "s");
    CHECK(outcome(client.call(method("Raw"), "A", std::map<std::string, kdbus::Variant>())) ==
          "sa{sv}");
    CHECK(outcome(client.call(method("Raw"))) == error_names::invalid_args);

    const auto one = client.call(method("Split"), false).value();
    CHECK(one.signature() == "s");
    CHECK_FALSE(std::get<1>(one.template get<std::string, std::optional<std::string>>().value()));
    const auto two = client.call(method("Split"), true).value();
    CHECK(std::get<1>(two.template get<std::string, std::optional<std::string>>().value()) ==
          "two");
    CHECK(two.template get<std::int32_t, std::optional<std::string>>().error().message ==
          "Expected arguments (i[s]), got (ss)");

    std::vector<std::string> happened;
    const auto slot =
        client
            .subscribe("type='signal',interface='" + std::string(interface_name) + "'",
                       [&](std::string_view what, std::optional<std::int32_t> more) {
                           happened.push_back(std::string(what) + std::to_string(more.value_or(0)));
                       })
            .value();
    CHECK(client.call(method("Announce"), false));
    CHECK(client.call(method("Announce"), true));
    CHECK(process_until(client, [&] { return happened.size() == 2; }));
    CHECK(happened == std::vector<std::string>{"it0", "it5"});

    // Introspection shows them all.
    const auto xml = outcome(client.call(method("Introspect", introspectable)));
    const auto greet = xml.substr(xml.find("name=\"Greet\""));
    CHECK(greet.substr(0, greet.find("</method>")).find("type=\"i\" direction=\"in\"") !=
          std::string::npos);
}
