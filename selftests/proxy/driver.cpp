// SPDX-License-Identifier: LGPL-2.1-or-later
// The bus driver's methods on a registry that is only pretended.
#include "driver.hpp"

#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/names.hpp>

#include <catch2/catch.hpp>
#include <linux/kdbus.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

using namespace kdbus;
using namespace kdbus::proxy;
using driver::Reply;

namespace {

class FakeRegistry : public Registry, public MatchInstaller {
public:
    std::map<std::string, std::uint64_t, std::less<>> owners{{"x.y", 7}};
    std::vector<std::uint64_t> ids{7, 9};
    std::map<std::uint64_t, Identity> identities{{7, {.uid = 1000, .pid = 77}}, {9, {}}};
    std::uint64_t flags_asked = 0;
    std::string name_asked;
    abi::Result<abi::NameOutcome> outcome = abi::NameOutcome{};
    abi::Result<void> release_outcome{};
    int failure = 0;

    abi::Result<abi::NameOutcome> acquire_name(std::string_view name,
                                               std::uint64_t flags) override {
        name_asked = name;
        flags_asked = flags;
        return outcome;
    }
    abi::Result<void> release_name(std::string_view name) override {
        name_asked = name;
        return release_outcome;
    }
    abi::Result<std::uint64_t> owner(std::string_view name) override {
        if (failure != 0)
            return abi::fail(failure);
        const auto found = owners.find(name);
        if (found == owners.end())
            return abi::fail(ESRCH);
        return found->second;
    }
    abi::Result<bool> exists(std::uint64_t id) override {
        if (failure != 0)
            return abi::fail(failure);
        return std::find(ids.begin(), ids.end(), id) != ids.end();
    }
    abi::Result<std::vector<std::string>> names() override {
        if (failure != 0)
            return abi::fail(failure);
        return std::vector<std::string>{":1.7", ":1.9", "x.y"};
    }
    abi::Result<std::vector<std::uint64_t>> queue(std::string_view name) override {
        if (name == "x.y")
            return std::vector<std::uint64_t>{7, 9};
        return std::vector<std::uint64_t>{};
    }
    abi::Result<Identity> identity(std::uint64_t id) override {
        const auto found = identities.find(id);
        if (found == identities.end())
            return abi::fail(ENXIO);
        return found->second;
    }
    Identity bus_identity() override { return {.uid = 5, .pid = 55}; }
    abi::Result<void> add_match(std::uint64_t, std::span<const abi::match::Rule>) override {
        if (failure != 0)
            return abi::fail(failure);
        return {};
    }
    abi::Result<void> remove_match(std::uint64_t) override { return {}; }
};

struct Bench {
    FakeRegistry registry;
    Matches matches{wire::BloomParameter{}};
    driver::Caller caller{.registry = registry,
                          .matches = matches,
                          .installer = registry,
                          .bus_id = "0123456789abcdef0123456789abcdef",
                          .uid = 1000};

    template <class... Args>
    Reply call(std::string_view member, const Args&... args) {
        return call_on(wire::driver_path, wire::driver_name, member, args...);
    }
    template <class... Args>
    Reply call_on(std::string_view path, std::string_view interface, std::string_view member,
                  const Args&... args) {
        wire::Buffer body;
        wire::Writer writer(body, wire::dbus1_native);
        (writer.append(args), ...);
        REQUIRE(writer.finish());
        wire::Message message;
        message.type = wire::MessageType::method_call;
        message.format = wire::dbus1_native;
        message.serial = 3;
        message.path = path;
        message.interface = interface;
        message.member = member;
        message.destination = wire::driver_name;
        message.signature = writer.signature();
        message.body = body.bytes();
        return driver::answer(message, caller);
    }
};

wire::Reader reader(const Reply& reply) {
    return {wire::dbus1_native, reply.signature, reply.body.bytes()};
}

/// The error without its prefix, or its one text argument missing.
std::string error(const Reply& reply) {
    if (!reply.error_name.starts_with(driver::error_prefix) || reply.signature != "s")
        return "?" + reply.error_name;
    return reply.error_name.substr(driver::error_prefix.size());
}

template <class T>
T result(const Reply& reply) {
    REQUIRE(reply.error_name == "");
    CHECK(reply.signature == wire::signature_of<T>);
    auto arguments = reader(reply);
    auto value = arguments.read<T>();
    REQUIRE(value);
    CHECK(arguments.finish());
    return *value;
}

abi::NameOutcome flags(std::uint64_t value) {
    return abi::NameOutcome{value};
}

} // namespace

TEST_CASE("RequestName: flags and results (dbus-on-kdbus.md 5.2)") {
    Bench bench;
    const auto request = [&](std::uint32_t dbus_flags) {
        return result<std::uint32_t>(bench.call("RequestName", "a.b", dbus_flags));
    };
    bench.registry.outcome = flags(KDBUS_NAME_PRIMARY | KDBUS_NAME_ACQUIRED);
    CHECK(request(0) == 1);
    CHECK(bench.registry.name_asked == "a.b");
    CHECK(bench.registry.flags_asked == KDBUS_NAME_QUEUE);
    request(4);
    CHECK(bench.registry.flags_asked == 0);
    request(1 | 4);
    CHECK(bench.registry.flags_asked == KDBUS_NAME_ALLOW_REPLACEMENT);
    request(2 | 4);
    CHECK(bench.registry.flags_asked == KDBUS_NAME_REPLACE_EXISTING);
    request(0xfffffff8);
    CHECK(bench.registry.flags_asked == KDBUS_NAME_QUEUE);

    bench.registry.outcome = flags(KDBUS_NAME_PRIMARY | KDBUS_NAME_QUEUE);
    CHECK(request(0) == 4);
    bench.registry.outcome = flags(KDBUS_NAME_IN_QUEUE | KDBUS_NAME_QUEUE | KDBUS_NAME_ACQUIRED);
    CHECK(request(0) == 2);
    bench.registry.outcome = flags(0);
    CHECK(request(4) == 3);
    bench.registry.outcome = abi::fail(EEXIST);
    CHECK(request(4) == 3);

    const std::pair<int, const char*> failures[] = {{EPERM, "AccessDenied"},
                                                    {EOPNOTSUPP, "Failed"},
                                                    {E2BIG, "LimitsExceeded"},
                                                    {EINVAL, "InvalidArgs"},
                                                    {ENOMEM, "NoMemory"}};
    for (const auto& [number, name] : failures) {
        bench.registry.outcome = abi::fail(number);
        CHECK(error(bench.call("RequestName", "a.b", std::uint32_t{0})) == name);
    }
}

TEST_CASE("names that nobody may own do not reach the kernel") {
    for (const char* name :
         {"", "a", ":1.7", ":a.b", "a..b", "a.1b", "a.b*", "org.freedesktop.DBus"}) {
        CAPTURE(name);
        Bench bench;
        CHECK(error(bench.call("RequestName", name, std::uint32_t{0})) == "InvalidArgs");
        CHECK(error(bench.call("ReleaseName", name)) == "InvalidArgs");
        CHECK(bench.registry.name_asked.empty());
    }
}

TEST_CASE("ReleaseName") {
    Bench bench;
    CHECK(result<std::uint32_t>(bench.call("ReleaseName", "a.b")) == 1);
    bench.registry.release_outcome = abi::fail(ESRCH);
    CHECK(result<std::uint32_t>(bench.call("ReleaseName", "a.b")) == 2);
    bench.registry.release_outcome = abi::fail(EADDRINUSE);
    CHECK(result<std::uint32_t>(bench.call("ReleaseName", "a.b")) == 3);
    bench.registry.release_outcome = abi::fail(EIO);
    CHECK(error(bench.call("ReleaseName", "a.b")) == "Failed");
}

TEST_CASE("names are looked up") {
    Bench bench;
    CHECK(result<std::string>(bench.call("GetNameOwner", "x.y")) == ":1.7");
    CHECK(result<std::string>(bench.call("GetNameOwner", ":1.9")) == ":1.9");
    CHECK(result<std::string>(bench.call("GetNameOwner", "org.freedesktop.DBus")) ==
          "org.freedesktop.DBus");
    for (const char* name :
         {"x.z", ":1.8", ":1.09", ":1.x", ":2.7", ":", "x", "", ":1.99999999999999999999"}) {
        CAPTURE(name);
        CHECK(error(bench.call("GetNameOwner", name)) == "NameHasNoOwner");
        CHECK_FALSE(result<bool>(bench.call("NameHasOwner", name)));
        CHECK(error(bench.call("ListQueuedOwners", name)) == "NameHasNoOwner");
        CHECK(error(bench.call("StartServiceByName", name, std::uint32_t{0})) == "ServiceUnknown");
        for (const char* member :
             {"GetConnectionUnixUser", "GetConnectionUnixProcessID", "GetConnectionCredentials",
              "GetAdtAuditSessionData", "GetConnectionSELinuxSecurityContext"})
            CHECK(error(bench.call(member, name)) == "NameHasNoOwner");
    }
    CHECK(result<bool>(bench.call("NameHasOwner", "x.y")));
    CHECK(result<bool>(bench.call("NameHasOwner", ":1.7")));
    CHECK(result<bool>(bench.call("NameHasOwner", "org.freedesktop.DBus")));
    using Texts = std::vector<std::string>;
    CHECK(result<Texts>(bench.call("ListQueuedOwners", "x.y")) == Texts{":1.7", ":1.9"});
    CHECK(result<Texts>(bench.call("ListQueuedOwners", ":1.7")) == Texts{":1.7"});
    CHECK(result<Texts>(bench.call("ListQueuedOwners", "org.freedesktop.DBus")) ==
          Texts{"org.freedesktop.DBus"});
    CHECK(result<Texts>(bench.call("ListNames")) ==
          Texts{"org.freedesktop.DBus", ":1.7", ":1.9", "x.y"});
    CHECK(result<Texts>(bench.call("ListActivatableNames")) == Texts{"org.freedesktop.DBus"});
    CHECK(result<std::uint32_t>(bench.call("StartServiceByName", "x.y", std::uint32_t{0})) == 2);

    bench.registry.failure = EXFULL;
    CHECK(error(bench.call("GetNameOwner", "x.y")) == "LimitsExceeded");
    CHECK(error(bench.call("ListNames")) == "LimitsExceeded");
    CHECK(error(bench.call("NameHasOwner", ":1.7")) == "LimitsExceeded");
}

TEST_CASE("credentials: what is known, and nothing else (dbus-on-kdbus.md 5.3)") {
    Bench bench;
    CHECK(result<std::uint32_t>(bench.call("GetConnectionUnixUser", "x.y")) == 1000);
    CHECK(result<std::uint32_t>(bench.call("GetConnectionUnixProcessID", "x.y")) == 77);
    CHECK(error(bench.call("GetConnectionSELinuxSecurityContext", "x.y")) ==
          "SELinuxSecurityContextUnknown");
    CHECK(error(bench.call("GetAdtAuditSessionData", "x.y")) == "AdtAuditDataUnknown");
    CHECK(error(bench.call("GetConnectionUnixUser", ":1.9")) == "Failed");
    CHECK(error(bench.call("GetConnectionUnixProcessID", ":1.9")) == "UnixProcessIdUnknown");
    CHECK(result<std::uint32_t>(bench.call("GetConnectionUnixUser", "org.freedesktop.DBus")) == 5);
    CHECK(result<std::uint32_t>(bench.call("GetConnectionUnixProcessID", "org.freedesktop.DBus")) ==
          55);

    const auto keys = [](const Reply& reply) {
        REQUIRE(reply.error_name == "");
        REQUIRE(reply.signature == "a{sv}");
        auto arguments = reader(reply);
        std::map<std::string, std::string> types;
        REQUIRE(arguments.enter_array());
        while (!arguments.at_end()) {
            REQUIRE(arguments.enter_dict_entry());
            const auto key = arguments.read_text('s');
            REQUIRE(key);
            const auto type = arguments.enter_variant();
            REQUIRE(type);
            types[std::string(*key)] = *type;
            REQUIRE(arguments.exit());
            REQUIRE(arguments.exit());
        }
        REQUIRE(arguments.exit());
        CHECK(arguments.finish());
        return types;
    };
    using Types = std::map<std::string, std::string>;
    CHECK(keys(bench.call("GetConnectionCredentials", ":1.9")) == Types{});
    CHECK(keys(bench.call("GetConnectionCredentials", "x.y")) ==
          Types{{"UnixUserID", "u"}, {"ProcessID", "u"}});

    const abi::UniqueFd pidfd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    auto& identity = bench.registry.identities[7];
    identity.groups = std::vector<std::uint32_t>{3, 1000};
    identity.label = "label";
    identity.pidfd = pidfd.get();
    Types all{{"UnixUserID", "u"},
              {"ProcessID", "u"},
              {"UnixGroupIDs", "au"},
              {"LinuxSecurityLabel", "ay"}};
    const auto without_fd = bench.call("GetConnectionCredentials", "x.y");
    CHECK(keys(without_fd) == all);
    CHECK(without_fd.fds.empty());
    const std::string body(reinterpret_cast<const char*>(without_fd.body.data()),
                           without_fd.body.size());
    CHECK(body.find(std::string("\6\0\0\0label\0", 10)) != std::string::npos); // with NUL
    bench.caller.accepts_fds = true;
    all["ProcessFD"] = "h";
    const auto with_fd = bench.call("GetConnectionCredentials", "x.y");
    CHECK(keys(with_fd) == all);
    CHECK(with_fd.fds.size() == 1);
    CHECK(fcntl(pidfd.get(), F_GETFD) >= 0); // still there

    const auto context = bench.call("GetConnectionSELinuxSecurityContext", "x.y");
    CHECK(result<std::vector<std::byte>>(context).size() == 5); // without NUL
}

TEST_CASE("match rules: errors and the limit") {
    Bench bench;
    bench.caller.max_match_rules = 3;
    CHECK(error(bench.call("RemoveMatch", "member='M'")) == "MatchRuleNotFound");
    CHECK(error(bench.call("AddMatch", "nonsense")) == "MatchRuleInvalid");
    CHECK(error(bench.call("RemoveMatch", "nonsense")) == "MatchRuleInvalid");
    const auto text = "arg0='" + std::string(2000, 'x') + "'";
    CHECK(error(bench.call("AddMatch", text)) == "LimitsExceeded");
    CHECK(error(bench.call("RemoveMatch", text)) == "LimitsExceeded");
    for (int i = 0; i < 3; ++i)
        CHECK(bench.call("AddMatch", "member='M'").error_name == "");
    CHECK(error(bench.call("AddMatch", "member='M'")) == "LimitsExceeded");
    CHECK(bench.matches.size() == 3);
    CHECK(bench.call("RemoveMatch", "member=M").error_name == "");
    bench.registry.failure = ENOMEM;
    CHECK(error(bench.call("AddMatch", "member='N'")) == "NoMemory");
    CHECK(bench.matches.size() == 2);
}

TEST_CASE("what is called, and how") {
    Bench bench;
    CHECK(error(bench.call("Nothing")) == "UnknownMethod");
    CHECK(error(bench.call("GetId", "x")) == "InvalidArgs");
    CHECK(error(bench.call("RequestName", "a.b")) == "InvalidArgs");
    CHECK(error(bench.call("RequestName", std::uint32_t{0}, "a.b")) == "InvalidArgs");
    CHECK(error(bench.call("GetNameOwner", wire::ObjectPathView{"/a"})) == "InvalidArgs");
    CHECK(error(bench.call_on("/x", "a.b", "GetId")) == "UnknownInterface");
    CHECK(error(bench.call_on("/x", "org.freedesktop.DBus.Peer", "GetId")) == "UnknownMethod");
    CHECK(error(bench.call_on("/x", "org.freedesktop.DBus.Monitoring", "BecomeMonitor",
                              std::vector<std::string>{}, std::uint32_t{0})) == "UnknownInterface");
    CHECK(error(bench.call_on("/x", "", "Nothing")) == "UnknownMethod");
    CHECK(result<std::string>(bench.call_on("/x", "", "GetId")) == bench.caller.bus_id);
    CHECK(bench.call_on("/x", "", "Ping").error_name == "");
    CHECK(bench.call_on("/x", "org.freedesktop.DBus.Peer", "Ping").signature == "");
    CHECK(error(bench.call("Hello")) == "Failed");
    CHECK(error(bench.call("ReloadConfig")) == "NotSupported");
    const std::map<std::string, std::string> nothing;
    CHECK(error(bench.call("UpdateActivationEnvironment", nothing)) == "AccessDenied");
    bench.caller.uid = 5;
    CHECK(error(bench.call("UpdateActivationEnvironment", nothing)) == "NotSupported");
    CHECK(error(bench.call_on("/x", "", "UpdateActivationEnvironment", nothing)) == "AccessDenied");
}

TEST_CASE("properties") {
    Bench bench;
    const std::string_view interface = "org.freedesktop.DBus.Properties";
    const auto call = [&](std::string_view member, const auto&... args) {
        return bench.call_on(wire::driver_path, interface, member, args...);
    };
    const auto features = call("Get", "org.freedesktop.DBus", "Features");
    REQUIRE(features.signature == "v");
    auto arguments = reader(features);
    CHECK(arguments.enter_variant().value() == "as");
    CHECK(arguments.read<std::vector<std::string>>().value() ==
          std::vector<std::string>{"HeaderFiltering"});
    CHECK(call("GetAll", "org.freedesktop.DBus").signature == "a{sv}");
    CHECK(error(call("Get", "org.freedesktop.DBus", "X")) == "UnknownProperty");
    CHECK(error(call("Get", "a.b", "Features")) == "UnknownInterface");
    CHECK(error(call("GetAll", "a.b")) == "UnknownInterface");
    CHECK(error(call("Set", "org.freedesktop.DBus", "Features", wire::Variant(true))) ==
          "PropertyReadOnly");
    CHECK(error(call("Set", "org.freedesktop.DBus", "X", wire::Variant(true))) ==
          "UnknownProperty");
    CHECK(error(bench.call_on("/", interface, "GetAll", "org.freedesktop.DBus")) ==
          "UnknownInterface");
}

TEST_CASE("introspection tells what the driver answers") {
    const auto xml = driver::introspection(wire::driver_path);
    for (const char* name :
         {"Hello", "RequestName", "GetConnectionCredentials", "Ping", "GetMachineId", "Introspect",
          "GetAll", "Features", "Interfaces", "NameOwnerChanged", "NameLost", "NameAcquired"})
        CHECK(xml.find("name=\"" + std::string(name) + "\"") != std::string::npos);
    const auto count = [](const std::string& text, std::string_view what) {
        std::size_t found = 0;
        for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at)
            ++found;
        return found;
    };
    CHECK(count(xml, "<interface ") == 4);
    CHECK(count(xml, "<interface ") == count(xml, "</interface>"));
    CHECK(count(xml, "<method ") == count(xml, "</method>"));
    const auto root = driver::introspection("/");
    CHECK(root.find("<node name=\"org/freedesktop/DBus\"/>") != std::string::npos);
    CHECK(root.find("org.freedesktop.DBus.Properties") == std::string::npos);
    CHECK(xml.find("<node name") == std::string::npos);
}

TEST_CASE("who is not addressed gets little") {
    wire::Message message;
    message.type = wire::MessageType::method_call;
    message.format = wire::dbus1_native;
    message.serial = 1;
    message.path = "/x";
    message.member = "Ping";
    message.interface = "org.freedesktop.DBus.Peer";
    CHECK(driver::answer_undirected(message).error_name == "");
    message.member = "GetId";
    message.interface = wire::driver_name;
    CHECK(error(driver::answer_undirected(message)) == "UnknownMethod");
    message.interface = {};
    CHECK(error(driver::answer_undirected(message)) == "UnknownMethod");
}
