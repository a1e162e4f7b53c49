// SPDX-License-Identifier: LGPL-2.1-or-later
// Goes on where transports.cpp ends, on each transport: matches, names, objects, peers, exceptions.
#include "transports.hpp"

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

using Texts = std::vector<std::string>;

/// Processes two connections until something is so: two peers get acquainted at first.
template <class Condition>
bool both_until(kdbus::Connection& one, kdbus::Connection& other, Condition condition) {
    return process_until(one, [&] {
        other.process().value();
        return condition();
    });
}

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

