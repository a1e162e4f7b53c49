// SPDX-License-Identifier: LGPL-2.1-or-later
// Goes on where transports.cpp ends, on each transport: matches, names, objects, peers, exceptions.
#include "transports.hpp"

#include <kdbus/object_manager.hpp>
#include <kdbus/throwing.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <linux/capability.h>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace error_names = kdbus::error_names;
using kdbus::Match;
using namespace std::chrono_literals;

namespace {

constexpr const char* object_manager = "org.freedesktop.DBus.ObjectManager";

using Texts = std::vector<std::string>;

/// Processes two connections until something is so: two peers get acquainted at first.
template <class Condition>
bool both_until(kdbus::Connection& one, kdbus::Connection& other, Condition condition) {
    return process_until(one, [&] {
        other.process().value();
        return condition();
    });
}

#ifdef KDBUS_TEST_KERNEL
std::string own_process_name() {
    constexpr std::size_t longest = 15; // TASK_COMM_LEN, without the NUL
    return std::string(program_invocation_short_name).substr(0, longest);
}
#endif

std::string text_of(const kdbus::InterfaceMap& interfaces) {
    std::string text;
    for (const auto& [interface, properties] : interfaces) {
        text += " " + interface + "{";
        for (const auto& [name, value] : properties)
            text += name + "=" +
                    (value.type() == "i" ? std::to_string(value.get<int>().value())
                                         : std::string(value.type())) +
                    ";";
        text += "}";
    }
    return text;
}

kdbus::Interface with_value(const char* name, int value) {
    kdbus::Interface interface(name);
    interface.property("Value", [value] { return value; });
    return interface;
}

/// What an object manager tells, as lines.
class Observer {
public:
    Observer(kdbus::Connection& connection, std::string destination, std::string path_of_manager)
        : manager_(connection, std::move(destination), std::move(path_of_manager)),
          added_(manager_
                     .on_added([this](const kdbus::ObjectPath& at,
                                      const kdbus::InterfaceMap& interfaces) {
                         lines.push_back("+" + at.value + text_of(interfaces));
                     })
                     .value()),
          removed_(manager_
                       .on_removed([this](const kdbus::Message& signal, const kdbus::ObjectPath& at,
                                          const Texts& interfaces) {
                           std::string line = "-" + at.value;
                           for (const std::string& interface : interfaces)
                               line += " " + interface;
                           lines.push_back(line + " of " + std::string(signal.path()));
                       })
                       .value()) {}

    [[nodiscard]] Texts objects() {
        Texts result;
        const auto all = manager_.get();
        if (!all)
            return {all.error().name};
        for (const auto& [at, interfaces] : *all)
            result.push_back(at.value + text_of(interfaces));
        return result;
    }

    Texts lines;

private:
    kdbus::ObjectManagerProxy manager_;
    kdbus::Slot added_;
    kdbus::Slot removed_;
};

} // namespace

TEST_CASE("a match is the rule that its text would be", "[match]") {
    const Match match = Match::signal()
                            .sender("org.example.A")
                            .path("/a/b")
                            .interface("org.example.I")
                            .member("M")
                            .destination(":1.7")
                            .arg(0, "it's, \\ this")
                            .arg_path(1, "/a/")
                            .arg_has(2, "x")
                            .arg_namespace(63, "org.example");
    const auto rule = match.rule();
    REQUIRE(rule);
    const auto parsed =
        kdbus::wire::MatchRule::parse(rule->canonical(), kdbus::wire::MatchSyntax::extended);
    REQUIRE(parsed);
    CHECK(*parsed == *rule);
    CHECK(rule->arguments.size() == 4);
    CHECK(rule->arguments.front().value == "it's, \\ this");
    CHECK(Match::signal().path_namespace("/").rule()->canonical() ==
          "type='signal',path_namespace='/'");
    CHECK(Match::signal().arg_namespace("org").rule()->canonical() ==
          "type='signal',arg0namespace='org'");
    // A copy goes its own way.
    Match base = Match::signal().member("M");
    Match other = base;
    other.path("/x");
    CHECK(base.rule()->path.empty());
}

TEST_CASE("a match that cannot be says why", "[match]") {
    const auto name_of = [](const Match& match) {
        const auto rule = match.rule();
        return rule ? std::string() : rule.error().name;
    };
    const std::string invalid = error_names::match_rule_invalid;
    CHECK(name_of(Match::signal().sender("")) == invalid);
    CHECK(name_of(Match::signal().sender("nodots")) == invalid);
    CHECK(name_of(Match::signal().sender(":1.5").sender(":1.5")) == invalid);
    CHECK(name_of(Match::signal().path("a")) == invalid);
    CHECK(name_of(Match::signal().path("/a").path_namespace("/b")) == invalid);
    CHECK(name_of(Match::signal().path_namespace("/b").path("/a")) == invalid);
    CHECK(name_of(Match::signal().interface("i")) == invalid);
    CHECK(name_of(Match::signal().member("a.b")) == invalid);
    CHECK(name_of(Match::signal().destination("/")) == invalid);
    CHECK(name_of(Match::signal().arg(64, "x")) == invalid);
    CHECK(name_of(Match::signal().arg(256, "x")) == invalid);
    CHECK(name_of(Match::signal().arg(0, "\xff")) == invalid);
    CHECK(name_of(Match::signal().arg(0, std::string("a\0b", 3))) == invalid);
    CHECK(name_of(Match::signal().arg(1, "x").arg_path(1, "/")) == invalid);
    CHECK(name_of(Match::signal().arg_namespace("a..b")) == invalid);
    CHECK(name_of(Match::signal().arg(0, std::string(1100, 'x'))) == error_names::limits_exceeded);
    CHECK(name_of(Match::signal().arg(0, "").arg_path(63, "anything")).empty());
    // The first mistake is the one that is told.
    const auto error = Match::signal().member("?").path("!").rule().error();
    CHECK(error.message.find("member '?'") != std::string::npos);
}

TEMPLATE_TEST_CASE("signals come as the match says", "[services]", ALL_BUSES) {
    TestType bus;
    auto emitter = bus.connect();
    auto listener = bus.connect();
    Texts seen;
    const auto watch = [&](const Match& match, std::string tag) {
        return listener
            .subscribe(match,
                       [&seen, tag](std::string_view text) {
                           seen.push_back(tag + ":" + std::string(text));
                       })
            .value();
    };
    const std::string quoted = "it's, \\ a text";
    Match all = Match::signal().interface(interface_name);
    if (TestType::is_bus)
        all.sender(emitter.unique_name());
    auto by_all = watch(all, "all");
    auto by_text = watch(Match::signal().interface(interface_name).arg(0, quoted), "text");
    auto by_path = watch(Match::signal().path_namespace("/org/example").member("Tick"), "path");
    auto by_name = watch(Match::signal().arg_namespace("org.example"), "namespace");
    CHECK(listener.subscribe(Match::signal().member("not a member"), [] {}).error().name ==
          error_names::match_rule_invalid);
    emitter.emit({"/org/example/Test", interface_name, "Tick"}, quoted).value();
    emitter.emit({"/org/examples", interface_name, "Tock"}, "org.example.X").value();
    emitter.emit({"/org/example", "org.example.Other", "Tick"}, "last").value();
    REQUIRE(both_until(listener, emitter, [&] { return seen.size() == 6; }));
    CHECK(seen == Texts{"all:" + quoted, "text:" + quoted, "path:" + quoted, "all:org.example.X",
                        "namespace:org.example.X", "path:last"});
}

TEMPLATE_TEST_CASE("a name's owners are told from the present one on", "[services]",
                   BUSES_WITH_NAMES) {
    TestType bus;
    auto watcher = bus.connect();
    auto a = std::make_optional(bus.connect());
    auto b = bus.connect();
    const std::string a_name = a->unique_name();
    const std::string b_name = b.unique_name();
    Texts seen;
    const auto note = [&seen](std::string tag) {
        return [&seen, tag](std::string_view from, std::string_view to) {
            seen.push_back(tag + ":" + std::string(from) + ">" + std::string(to));
        };
    };
    auto early = watcher.watch_name(service_name, note("early")).value();
    CHECK(seen.empty()); // handlers run from process() only
    REQUIRE(watcher.timeout());
    CHECK(*watcher.timeout() <= std::chrono::steady_clock::now());
    CHECK(watcher.process().value());
    CHECK(seen == Texts{"early:>"});
    CHECK_FALSE(watcher.timeout());
    a->request_name(service_name).value();
    REQUIRE(process_until(watcher, [&] { return seen.size() == 2; }));
    CHECK(seen.back() == "early:>" + a_name);

    auto late = watcher.watch_name(service_name, note("late")).value();
    b.request_name(service_name, kdbus::NameFlags::queue).value();
    auto unique = watcher.watch_name(a_name, note("unique")).value();
    auto driver = watcher.watch_name("org.freedesktop.DBus", note("driver")).value();
    seen.clear();
    REQUIRE(process_until(watcher, [&] { return seen.size() == 3; }));
    CHECK(seen == Texts{"late:>" + a_name, "unique:>" + a_name, "driver:>org.freedesktop.DBus"});
    seen.clear();
    a.reset();
    REQUIRE(process_until(watcher, [&] { return seen.size() == 3; }));
    std::sort(seen.begin(), seen.end());
    CHECK(seen == Texts{"early:" + a_name + ">" + b_name, "late:" + a_name + ">" + b_name,
                        "unique:" + a_name + ">"});
    seen.clear();
    early.reset();
    b.release_name(service_name).value();
    REQUIRE(process_until(watcher, [&] { return !seen.empty(); }));
    CHECK(stays(watcher, [&] { return seen == Texts{"late:" + b_name + ">"}; }));

    CHECK(watcher.watch_name("no name", note("bad")).error().name == error_names::invalid_args);
    CHECK(watcher.watch_name("", note("bad")).error().name == error_names::invalid_args);
}

TEMPLATE_TEST_CASE("no owner is missed or told twice around the beginning of a watch", "[services]",
                   BUSES_WITH_NAMES) {
    TestType bus;
    auto watcher = bus.connect();
    auto a = bus.connect();
    auto b = bus.connect();
    // Messages from before the owner was asked for wait in the watcher's queue.
    auto others = watcher.subscribe("member='NameOwnerChanged'", [] {}).value();
    std::string owner = "?";
    int reports = 0;
    bool chain = true;
    std::vector<kdbus::Slot> slots;
    const auto watch = [&] {
        owner = "";
        slots.push_back(watcher
                            .watch_name(service_name,
                                        [&](std::string_view from, std::string_view to) {
                                            chain = chain && from == owner &&
                                                    (reports == 0 || from != to);
                                            owner = to;
                                            ++reports;
                                        })
                            .value());
    };
    for (int round = 0; round < 8; ++round) {
        reports = 0;
        slots.clear();
        // Changes before, which are still in the queue, and between the watch and the first report.
        a.request_name(service_name).value();
        a.release_name(service_name).value();
        if ((round & 1) != 0)
            b.request_name(service_name).value();
        watch();
        const int before = (round & 1) != 0 ? 1 : 0;
        if ((round & 2) != 0) {
            if (before != 0)
                b.release_name(service_name).value();
            a.request_name(service_name).value();
        }
        CHECK(reports == 0);
        const auto asked = watcher.name_owner(service_name);
        const std::string now = asked ? *asked : std::string();
        REQUIRE(process_until(watcher, [&] { return reports > 0 && owner == now; }));
        CHECK(stays(watcher, [&] { return owner == now; }));
        CHECK(chain);
        (void)a.release_name(service_name);
        (void)b.release_name(service_name);
        REQUIRE(process_until(watcher, [&] { return owner.empty(); }));
        CHECK(chain);
    }
}

TEMPLATE_TEST_CASE("a watch may end itself, and start others", "[services]", BUSES_WITH_NAMES) {
    TestType bus;
    auto watcher = bus.connect();
    kdbus::Slot first, second;
    int firsts = 0;
    Texts seconds;
    first = watcher
                .watch_name(service_name,
                            [&](std::string_view, std::string_view) {
                                ++firsts;
                                second =
                                    watcher
                                        .watch_name(service_name,
                                                    [&](std::string_view, std::string_view to) {
                                                        seconds.emplace_back(to);
                                                    })
                                        .value();
                                first.reset();
                            })
                .value();
    watcher.request_name(service_name).value();
    REQUIRE(process_until(watcher, [&] { return !seconds.empty(); }));
    CHECK(stays(watcher, [&] { return firsts == 1; }));
    CHECK(seconds == Texts{watcher.unique_name()});
    // One that ends before its first report never reports.
    bool called = false;
    watcher.watch_name(service_name, [&](std::string_view, std::string_view) { called = true; })
        .value()
        .reset();
    CHECK(stays(watcher, [&] { return !called; }));
    CHECK_FALSE(watcher.timeout());
}

TEMPLATE_TEST_CASE("object managers list and announce what is below them", "[services]",
                   ALL_BUSES) {
    TestType bus;
    auto service = bus.connect();
    auto client = bus.connect();
    std::atomic<bool> stop = false;
    const std::string name = service.unique_name();

    auto before = service.add_object("/o/before", with_value("org.example.A", 1)).value();
    auto beside = service.add_object("/other", with_value("org.example.A", 2)).value();
    auto manager = service.add_object_manager("/o").value();
    CHECK(service.add_object_manager("/o").error().name == error_names::object_path_in_use);
    CHECK(service.add_object_manager("o").error().name == error_names::invalid_args);
    Observer observer(client, name, "/o");
    const auto expect = [&](const Texts& lines) {
        (void)both_until(client, service, [&] { return observer.lines.size() >= lines.size(); });
        CHECK(observer.lines == lines);
        observer.lines.clear();
    };
    /// Calls are answered by a thread meanwhile.
    const auto listed = [&] {
        stop = false;
        std::thread thread([&] {
            while (!stop)
                service.wait(10ms).value();
        });
        auto objects = observer.objects();
        stop = true;
        thread.join();
        return objects;
    };
    CHECK(listed() == Texts{"/o/before org.example.A{Value=1;}"});

    // Several interfaces of an object, one by one and at once.
    auto a = service.add_object("/o/x", with_value("org.example.A", 3)).value();
    expect({"+/o/x org.example.A{Value=3;}"});
    auto b = service.add_object("/o/x", kdbus::Interface("org.example.B")).value();
    expect({"+/o/x org.example.B{}"});
    std::vector<kdbus::Interface> two;
    two.push_back(with_value("org.example.A", 4));
    two.push_back(with_value("org.example.B", 5));
    auto deep = service.add_object("/o/x/y/z", std::move(two)).value();
    expect({"+/o/x/y/z org.example.A{Value=4;} org.example.B{Value=5;}"});
    CHECK(listed() == Texts{"/o/before org.example.A{Value=1;}",
                            "/o/x org.example.A{Value=3;} org.example.B{}",
                            "/o/x/y/z org.example.A{Value=4;} org.example.B{Value=5;}"});
    a.reset();
    expect({"-/o/x org.example.A of /o"});
    deep.reset();
    expect({"-/o/x/y/z org.example.A org.example.B of /o"});

    // All interfaces or none.
    two.clear();
    two.push_back(with_value("org.example.C", 6));
    two.push_back(with_value("org.example.B", 7));
    CHECK(service.add_object("/o/x", std::move(two)).error().name ==
          error_names::object_path_in_use);
    two.clear();
    two.push_back(with_value("org.example.C", 6));
    two.push_back(with_value("org.example.C", 7));
    CHECK(service.add_object("/o/x", std::move(two)).error().name ==
          error_names::object_path_in_use);
    two.clear();
    CHECK(service.add_object("/o/x", std::move(two)).error().name == error_names::invalid_args);
    CHECK(listed() == Texts{"/o/before org.example.A{Value=1;}", "/o/x org.example.B{}"});

    // What is not below, what is not a child, and the manager's own object are not told of.
    auto outside = service.add_object("/ox", with_value("org.example.A", 8)).value();
    auto own = service.add_object("/o", with_value("org.example.A", 9)).value();
    auto marker = service.add_object("/o/marker", kdbus::Interface("org.example.M")).value();
    expect({"+/o/marker org.example.M{}"});
    // Without its manager an object goes silently.
    manager.reset();
    marker.reset();
    service.emit({"/o", object_manager, "InterfacesRemoved"}, kdbus::ObjectPath("/end"), Texts())
        .value();
    expect({"-/end of /o"});
    CHECK(listed() == Texts{error_names::unknown_interface});
}

TEMPLATE_TEST_CASE("of nested object managers the nearest one tells", "[services]", ALL_BUSES) {
    TestType bus;
    auto service = bus.connect();
    auto client = bus.connect();
    Observer observer(client, service.unique_name(), "/");
    const auto expect = [&](const Texts& lines) {
        (void)both_until(client, service, [&] { return observer.lines.size() >= lines.size(); });
        CHECK(observer.lines == lines);
        observer.lines.clear();
    };
    auto root = service.add_object_manager("/").value();
    auto inner = service.add_object_manager("/in/ner").value();
    expect({"+/in/ner org.freedesktop.DBus.ObjectManager{}"});
    auto object = service.add_object("/in/ner/x", with_value("org.example.A", 1)).value();
    auto outer = service.add_object("/in/y", with_value("org.example.A", 2)).value();
    expect({"+/in/ner/x org.example.A{Value=1;}", "+/in/y org.example.A{Value=2;}"});
    object.reset();
    outer.reset();
    expect({"-/in/ner/x org.example.A of /in/ner", "-/in/y org.example.A of /"});
    object = service.add_object("/in/ner/x", with_value("org.example.A", 1)).value();
    inner.reset();
    object.reset();
    expect({"+/in/ner/x org.example.A{Value=1;}",
            "-/in/ner org.freedesktop.DBus.ObjectManager of /", "-/in/ner/x org.example.A of /"});
}

TEMPLATE_TEST_CASE("properties that cannot be read are left out", "[services]", ALL_BUSES) {
    TestType bus;
    auto service = bus.connect();
    auto client = bus.connect();
    Observer observer(client, service.unique_name(), "/o");
    auto manager = service.add_object_manager("/o").value();
    kdbus::Interface interface("org.example.A");
    kdbus::Slot helper;
    interface.property("Fails", []() -> kdbus::Result<int> {
        return kdbus::Error{error_names::failed, "on purpose"};
    });
    interface.property("Throws", []() -> int { throw std::runtime_error("on purpose"); });
    interface.write_only_property("WriteOnly", [](int) {});
    interface.property("Descriptor", [] { return kdbus::UnixFd{0}; });
    interface.property("Good", [] { return 1; });
    // A getter may use the connection, and change what is exported.
    interface.property("Busy", [&] {
        helper.reset();
        helper = service.add_object("/o/helper", kdbus::Interface("org.example.H")).value();
        return 2;
    });
    auto object = service.add_object("/o/x", std::move(interface)).value();
    REQUIRE(both_until(client, service, [&] { return observer.lines.size() == 2; }));
    CHECK(observer.lines ==
          Texts{"+/o/helper org.example.H{}", "+/o/x org.example.A{Busy=2;Good=1;}"});
    observer.lines.clear();
    std::optional<kdbus::Result<kdbus::ManagedObjects>> objects;
    kdbus::ObjectManagerProxy proxy(client, service.unique_name(), "/o");
    auto call = proxy.get_async([&](auto result) { objects = std::move(result); }).value();
    REQUIRE(both_until(client, service, [&] { return objects.has_value(); }));
    // Listed is what was there when the question came; the getter replaced its helper since.
    REQUIRE(objects->has_value());
    CHECK((*objects)->size() == 2);
    CHECK((*objects)->at(kdbus::ObjectPath("/o/x")).at("org.example.A").size() == 2);
}

TEMPLATE_TEST_CASE("objects may go while they are asked", "[services]", ALL_BUSES) {
    TestType bus;
    auto service = bus.connect();
    auto client = bus.connect();
    const std::string name = service.unique_name();
    Observer observer(client, name, "/o");
    auto manager = std::make_optional(service.add_object_manager("/o").value());
    kdbus::Slot object;
    kdbus::Interface interface("org.example.A");
    interface.method("Leave", [&] {
        object.reset();
        return std::string("left");
    });
    object = service.add_object("/o/x", std::move(interface)).value();
    std::vector<std::string> answers;
    const auto note = [&](const auto& reply) {
        answers.push_back(reply ? "ok" : reply.error().name);
    };
    auto leave = client.call_async({name, "/o/x", "org.example.A", "Leave"}, note).value();
    REQUIRE(
        both_until(client, service, [&] { return observer.lines.size() + answers.size() == 3; }));
    CHECK(observer.lines == Texts{"+/o/x org.example.A{}", "-/o/x org.example.A of /o"});
    CHECK(answers == Texts{"ok"});
    // The manager itself, by a getter of an object that it is about to list.
    bool armed = false;
    kdbus::Interface hostile("org.example.A");
    hostile.property("Value", [&] {
        if (armed) {
            manager.reset();
            object.reset();
        }
        return 1;
    });
    object = service.add_object("/o/x", std::move(hostile)).value();
    armed = true;
    answers.clear();
    auto get = client.call_async({name, "/o", object_manager, "GetManagedObjects"}, note).value();
    REQUIRE(both_until(client, service, [&] { return !answers.empty(); }));
    CHECK(answers == Texts{"ok"});
    answers.clear();
    get = client.call_async({name, "/o", object_manager, "GetManagedObjects"}, note).value();
    REQUIRE(both_until(client, service, [&] { return !answers.empty(); }));
    CHECK(answers == Texts{error_names::unknown_object});
}

TEMPLATE_TEST_CASE("what cannot be announced is not exported", "[services]", ALL_BUSES) {
    TestType bus;
    auto service = bus.connect();
    auto manager = service.add_object_manager("/o").value();
    kdbus::Interface interface("org.example.A");
    interface.property("Value", [] { return kdbus::ObjectPath("not a path"); });
    CHECK(service.add_object("/o/x", std::move(interface)).error().name ==
          error_names::invalid_args);
    CHECK(service.add_object("/o/x", with_value("org.example.A", 1)));
}

TEMPLATE_TEST_CASE("introspection shows an object manager", "[services]", ALL_BUSES) {
    TestType bus;
    auto service = bus.connect();
    auto client = bus.connect();
    auto manager = service.add_object_manager("/o").value();
    std::string xml;
    auto call =
        client
            .call_async(
                {service.unique_name(), "/o", "org.freedesktop.DBus.Introspectable", "Introspect"},
                [&](const auto& reply) { xml = reply.value().template get<std::string>().value(); })
            .value();
    REQUIRE(both_until(client, service, [&] { return !xml.empty(); }));
    CHECK(xml.find("<interface name=\"org.freedesktop.DBus.ObjectManager\">") != std::string::npos);
    CHECK(xml.find("<method name=\"GetManagedObjects\">\n"
                   "   <arg type=\"a{oa{sa{sv}}}\" name=\"objpath_interfaces_and_properties\" "
                   "direction=\"out\"/>") != std::string::npos);
    CHECK(xml.find("<signal name=\"InterfacesAdded\">\n   <arg type=\"o\" name=\"object_path\"/>\n"
                   "   <arg type=\"a{sa{sv}}\" name=\"interfaces_and_properties\"/>") !=
          std::string::npos);
    CHECK(xml.find("<signal name=\"InterfacesRemoved\">\n"
                   "   <arg type=\"o\" name=\"object_path\"/>\n"
                   "   <arg type=\"as\" name=\"interfaces\"/>") != std::string::npos);
}

TEMPLATE_TEST_CASE("who is behind a name", "[services]", ALL_BUSES) {
    TestType bus;
    auto other = bus.connect({.description = "the-other"});
    auto client = bus.connect();
    const std::string name = other.unique_name();
    if (TestType::is_bus) {
        other.request_name(service_name).value();
        other.request_name("org.example.Second").value();
    }
    const auto info = client.info(TestType::is_bus ? service_name : "").value();
    CHECK(info.unique_name == name);
    REQUIRE(info.credentials);
    CHECK(info.credentials->pid == getpid());
    CHECK(info.credentials->euid == geteuid());
    if (TestType::is_bus) {
        REQUIRE(info.names);
        auto names = *info.names;
        std::sort(names.begin(), names.end());
        CHECK(names == Texts{"org.example.Second", service_name});
        CHECK(client.info(client.unique_name()).value().names == Texts());
        CHECK(client.info("org.example.Nobody").error().name == error_names::name_has_no_owner);
        CHECK(client.info(":1.99999").error().name == error_names::name_has_no_owner);
        // Parts that were not asked for are absent.
        const auto little = client.info(name, KDBUS_ATTACH_PIDS).value();
        CHECK(little.credentials->pid == getpid());
        CHECK(little.credentials->euid == kdbus::Credentials::unknown_uid);
        CHECK_FALSE(little.names);
        CHECK_FALSE(little.groups);
        CHECK_FALSE(client.info(name, KDBUS_ATTACH_NAMES).value().credentials);
    } else {
        CHECK(client.info("a.b").error().name == error_names::not_supported);
        CHECK_FALSE(info.names);
    }
    if (info.groups) { // dbus-daemon tells since 1.12, all others always did
        std::vector<gid_t> groups(static_cast<std::size_t>(getgroups(0, nullptr)));
        (void)!getgroups(static_cast<int>(groups.size()), groups.data());
        for (const gid_t group : groups)
            CHECK(std::count(info.groups->begin(), info.groups->end(), group) == 1);
    }
#ifdef KDBUS_TEST_KERNEL
    REQUIRE(info.groups);
    CHECK(info.description == "the-other");
    CHECK(info.process_name == own_process_name());
    REQUIRE(info.command_line);
    CHECK(info.command_line->front().ends_with(program_invocation_short_name));
    CHECK(info.executable->ends_with(program_invocation_short_name));
    CHECK(info.cgroup->starts_with("/"));
    REQUIRE(info.capabilities);
    CHECK(info.capabilities->last >= CAP_AUDIT_READ);
    CHECK(info.capabilities->has(CAP_SYS_ADMIN) == (geteuid() == 0));
    CHECK_FALSE(info.capabilities->has(64));
#endif
}

TEMPLATE_TEST_CASE("what a message says of its sender", "[services]", ALL_BUSES) {
    TestType bus;
    auto sender = bus.connect({.description = "sender"});
    auto all = bus.connect({.metadata = _KDBUS_ATTACH_ANY});
    std::optional<kdbus::ConnectionInfo> info;
    Texts names;
    std::optional<kdbus::Result<bool>> changed;
    auto slot = all.subscribe(Match::signal().member("Tick"),
                              [&](const kdbus::Message& signal) {
                                  info = signal.sender_info();
                                  for (std::string_view name : signal.sender_names())
                                      names.emplace_back(name);
                                  changed = all.sender_changed(signal);
                              })
                    .value();
    if (TestType::is_bus)
        sender.request_name(service_name).value();
    sender.emit({path, interface_name, "Tick"}).value();
    // What it owns later does not matter.
    if (TestType::is_bus)
        sender.release_name(service_name).value();
    REQUIRE(both_until(all, sender, [&] { return info.has_value(); }));
    CHECK(info->unique_name == sender.unique_name());
    REQUIRE(changed->has_value());
    CHECK_FALSE(**changed);
#ifdef KDBUS_TEST_KERNEL
    CHECK(names == Texts{service_name});
    CHECK(info->names == names);
    CHECK(info->credentials->tid == gettid());
    CHECK(info->groups);
    CHECK(info->process_name == own_process_name());
    CHECK(info->thread_name);
    CHECK(info->executable);
    CHECK(info->command_line->size() >= 1);
    CHECK(info->cgroup);
    CHECK(info->capabilities->effective == info->capabilities->permitted);
    CHECK(info->description == "sender");
    // Not asked for: absent.
    auto few = std::optional(bus.connect({.metadata = 0}));
    info.reset();
    auto other = few->subscribe(Match::signal().member("Tick"),
                                [&](const kdbus::Message& signal) {
                                    info = signal.sender_info();
                                    changed = few->sender_changed(signal);
                                })
                     .value();
    sender.emit({path, interface_name, "Tick"}).value();
    REQUIRE(process_until(*few, [&] { return info.has_value(); }));
    CHECK(info->names == Texts());
    CHECK_FALSE(info->credentials);
    CHECK_FALSE(info->process_name);
    CHECK_FALSE(info->capabilities);
    CHECK_FALSE(**changed); // there is nothing to confuse
#else
    CHECK(names.empty());
    CHECK_FALSE(info->names);
    CHECK_FALSE(info->credentials);
#endif
}

#ifdef KDBUS_TEST_KERNEL
TEST_CASE("a message of another process than the one that connected is told apart", "[services]") {
    KernelBus bus;
    auto receiver = bus.connect();
    auto opened = bus.connect();
    auto secretive = bus.connect({.metadata_shown = 0});
    std::map<std::string, kdbus::Result<bool>> changed;
    std::map<std::string, pid_t> senders;
    auto slot = receiver
                    .subscribe(Match::signal().member("Tick"),
                               [&](const kdbus::Message& signal, const std::string& tag) {
                                   changed.emplace(tag, receiver.sender_changed(signal));
                                   senders[tag] = receiver.credentials(signal).value().pid;
                               })
                    .value();
    const kdbus::Signal tick{path, interface_name, "Tick"};
    const pid_t child = fork();
    if (child == 0) {
        (void)opened.emit(tick, "child");
        (void)secretive.emit(tick, "secretive");
        _exit(0);
    }
    waitpid(child, nullptr, 0);
    opened.emit(tick, "opener").value();
    REQUIRE(process_until(receiver, [&] { return changed.size() == 3; }));
    CHECK(senders["child"] == child);
    CHECK(changed.at("child").value());
    CHECK_FALSE(changed.at("opener").value());
    // Who hides who opened it is not trusted.
    CHECK(changed.at("secretive").error().name == error_names::failed);
    if (geteuid() == 0) {
        std::array<int, 2> ends{};
        REQUIRE(pipe(ends.data()) == 0);
        const pid_t changing = fork();
        if (changing == 0) {
            close(ends[1]);
            auto own = bus.connect();
            (void)!setresgid(65534, 65534, 65534);
            (void)!setresuid(65534, 65534, 65534);
            (void)own.emit(tick, "dropped");
            char end = 0;
            (void)!read(ends[0], &end, 1); // whoever has gone cannot be asked about
            _exit(0);
        }
        close(ends[0]);
        const bool told = process_until(receiver, [&] { return changed.size() == 4; });
        close(ends[1]);
        waitpid(changing, nullptr, 0);
        REQUIRE(told);
        CHECK(changed.at("dropped").value());
    }
}
#endif

TEMPLATE_TEST_CASE("a client and a service with exceptions", "[services]", ALL_BUSES) {
    using kdbus::throwing::Connection;
    TestType bus;
    auto service = Connection(bus.connect());
    auto client = Connection(bus.connect());
    const std::string name = service.unique_name();
    const auto name_of = [](auto&& what) -> std::string {
        try {
            what();
        } catch (const kdbus::Exception& error) {
            return error.name();
        }
        return "none";
    };

    kdbus::Interface interface(interface_name);
    int value = 5;
    interface.method("Add", [](int a, int b) { return a + b; });
    interface.method("Both", [](int a, const std::string& b) { return std::tuple(a, b); });
    interface.method("Nothing", [] {});
    interface.method("Fail", [] { throw kdbus::Exception("org.example.Error.X", "on purpose"); });
    interface.property(
        "Value", [&] { return value; }, [&](int wanted) { value = wanted; });
    const auto object = service.add_object(path, std::move(interface));
    const auto manager = service.add_object_manager("/m");
    CHECK(name_of([&] { (void)service.add_object("bad", kdbus::Interface("a.b")); }) ==
          error_names::invalid_args);
    Texts ticks;
    const auto tick = client.subscribe(Match::signal().member("Tick"),
                                       [&](std::string_view text) { ticks.emplace_back(text); });
    CHECK(name_of([&] { (void)client.subscribe("bogus='1'", [] {}); }) ==
          error_names::match_rule_invalid);
    if (TestType::is_bus) {
        CHECK(service.request_name(service_name) == kdbus::NameState::owner);
        CHECK(client.name_owner(service_name) == name);
        CHECK(client.list_names().size() >= 4);
        CHECK(client.info(service_name).unique_name == name);
        CHECK(client.credentials(name).pid == getpid());
        CHECK(name_of([&] { client.release_name("org.example.Nobody"); }) ==
              error_names::name_has_no_owner);
    } else {
        CHECK(name_of([&] { service.request_name(service_name); }) == error_names::not_supported);
        CHECK(name_of([&] {
                  (void)client.watch_name(service_name, [](std::string_view, std::string_view) {});
              }) == error_names::not_supported);
    }

    std::atomic<bool> stop = false;
    std::thread thread([&] {
        while (!stop)
            service.wait(10ms);
    });
    const auto at = [&](std::string_view member) {
        return kdbus::Method{name, path, interface_name, member};
    };
    CHECK(client.call<int>(at("Add"), 1, 2) == 3);
    CHECK(client.call<int, std::string>(at("Both"), 1, "x") == std::tuple(1, std::string("x")));
    client.call(at("Nothing"));
    CHECK(client.call<kdbus::Message>(at("Add"), 3, 4).template get<int>().value() == 7);
    CHECK(kdbus::throwing::call<int>(client, at("Add"), 5, 6) == 11);
    CHECK(name_of([&] { client.call(at("Fail")); }) == "org.example.Error.X");
    CHECK(name_of([&] { client.template call<std::string>(at("Add"), 1, 2); }) ==
          error_names::invalid_args);
    CHECK(client.template get_property<int>(at("Value")) == 5);
    client.set_property(at("Value"), 6);
    CHECK(client.template get_property<int>(at("Value")) == 6);
    CHECK(name_of([&] { (void)client.template get_property<std::string>(at("Value")); }) ==
          error_names::invalid_args);
    CHECK(name_of([&] { client.set_property(at("Other"), 1); }) == error_names::unknown_property);
    client.call_no_reply(at("Nothing"));
    Texts answers;
    const auto failed = [&](const kdbus::Error& error) {
        answers.push_back(error.name);
    };
    const auto sum = client.call_async<int>(
        at("Add"), [&](int n) { answers.push_back(std::to_string(n)); }, failed, 20, 1);
    const auto nothing = client.call_async(
        at("Nothing"), [&] { answers.push_back("nothing"); }, failed);
    const auto text = client.call_async<int, std::string_view>(
        at("Both"), [&](int, std::string_view t) { answers.emplace_back(t); }, failed, 1, "text");
    const auto whole = client.call_async<kdbus::Message>(
        at("Add"), [&](const kdbus::Message& m) { answers.emplace_back(m.signature()); }, failed, 1,
        1);
    const auto error = client.call_async<>(
        at("Fail"), [] {}, failed);
    const auto wrong = client.call_async<std::string>(
        at("Add"), [&](const std::string&) { answers.push_back("?"); }, failed, 1, 1);
    REQUIRE(process_until(client, [&] { return answers.size() == 6; }));
    CHECK(answers ==
          Texts{"21", "nothing", "text", "i", "org.example.Error.X", error_names::invalid_args});
    stop = true;
    thread.join();
    service.emit({path, interface_name, "Tick"}, "t");
    REQUIRE(process_until(client, [&] { return !ticks.empty(); }));
    CHECK(ticks == Texts{"t"});
    CHECK(name_of([&] {
              service.emit({"bad", interface_name, "Tick"});
          }) == error_names::invalid_args);
    constexpr std::array<std::string_view, 1> unknown{"Unknown"};
    CHECK(name_of([&] { service.emit_properties_changed(path, interface_name, unknown); }) ==
          error_names::unknown_property);
    CHECK(name_of([&] { (void)Connection::open("nothing:"); }) == error_names::not_supported);
}
