// SPDX-License-Identifier: LGPL-2.1-or-later
// Match rules and their kernel entries, and stand-in serials.
#include "matches.hpp"
#include "serials.hpp"

#include <kdbus/wire/names.hpp>

#include <catch2/catch.hpp>

#include <map>
#include <set>
#include <string>

using namespace kdbus;
using namespace kdbus::proxy;
namespace match = abi::match;

namespace {

/// The kernel's part: entries by cookie, and its limit.
class Entries : public MatchInstaller {
public:
    std::map<std::uint64_t, std::size_t> installed; ///< cookie, number of rules in the entry
    std::size_t highest = 0;
    std::size_t limit = KDBUS_MATCH_MAX;
    int failure = EMFILE; ///< what going over the limit fails with

    abi::Result<void> add_match(std::uint64_t cookie, std::span<const match::Rule> rules) override {
        if (installed.size() >= limit)
            return abi::fail(failure);
        REQUIRE(installed.emplace(cookie, rules.size()).second);
        highest = std::max(highest, installed.size());
        return {};
    }
    abi::Result<void> remove_match(std::uint64_t cookie) override {
        if (installed.erase(cookie) == 0)
            return abi::fail(EBADSLT);
        return {};
    }
    [[nodiscard]] bool has_catch_all() const {
        return std::any_of(installed.begin(), installed.end(),
                           [](const auto& entry) { return entry.second == 0; });
    }
};

wire::MatchRule rule(std::string_view text) {
    auto parsed = wire::MatchRule::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

wire::Message signal(std::string_view interface, std::string_view member) {
    wire::Message message;
    message.type = wire::MessageType::signal;
    message.serial = 1;
    message.path = "/";
    message.interface = interface;
    message.member = member;
    message.sender = ":1.7";
    message.format = wire::dbus1_native;
    return message;
}

} // namespace

TEST_CASE("the standing entries fit beside the budget") {
    Entries kernel;
    REQUIRE(Matches::install_standing(kernel, 42));
    CHECK(kernel.installed.size() == 5);
    CHECK_FALSE(kernel.has_catch_all());
    CHECK(kernel.installed.size() + Matches::budget + 1 == KDBUS_MATCH_MAX);
}

TEST_CASE("equal entries are shared, and go with their last rule") {
    Entries kernel;
    Matches matches({});
    const auto one = rule("type='signal',interface='a.b',member='C'");
    REQUIRE(matches.add(kernel, one));
    REQUIRE(kernel.installed.size() == 1);
    REQUIRE(matches.add(kernel, rule("member='C',type='signal',interface='a.b'")));
    CHECK(matches.size() == 2);
    CHECK(kernel.installed.size() == 1);
    // Rules that only user space tells apart need the same entries.
    REQUIRE(matches.add(kernel, rule("type='signal',interface='a.b',member='C',arg1='x'")));
    CHECK(kernel.installed.size() == 1);

    CHECK(matches.remove(kernel, one));
    CHECK(matches.remove(kernel, one));
    CHECK_FALSE(matches.remove(kernel, one));
    CHECK(kernel.installed.size() == 1);
    CHECK(matches.remove(kernel, rule("type='signal',interface='a.b',member='C',arg1='x'")));
    CHECK(kernel.installed.empty());
    CHECK(matches.size() == 0);
}

TEST_CASE("a rule for everything needs the six entries of notifications once") {
    Entries kernel;
    Matches matches({});
    REQUIRE(matches.add(kernel, rule("")));
    REQUIRE(matches.add(kernel, rule("arg0namespace='x'")));
    REQUIRE(matches.add(kernel, rule("path_namespace='/'")));
    CHECK_FALSE(kernel.has_catch_all());
    CHECK(kernel.installed.size() <= 6 + 2);
}

TEST_CASE("512 rules work with 256 kernel entries") {
    Entries kernel;
    Matches matches({});
    REQUIRE(Matches::install_standing(kernel, 42));
    const auto text = [](int i) {
        return "type='signal',interface='a.b" + std::to_string(i) + "'";
    };
    for (int i = 0; i < 512; ++i) {
        REQUIRE(matches.add(kernel, rule(text(i))));
        CHECK(matches.catches_all() == (i >= static_cast<int>(Matches::budget)));
    }
    CHECK(kernel.highest <= KDBUS_MATCH_MAX);
    CHECK(kernel.has_catch_all());
    CHECK(kernel.installed.size() == 6);
    CHECK(matches.wanted(signal("a.b511", "X")));
    CHECK(matches.wanted(signal("a.b0", "X")));
    CHECK_FALSE(matches.wanted(signal("a.b512", "X")));

    // Back to selecting when there is room again, without a gap.
    for (int i = 511; i >= 100; --i)
        REQUIRE(matches.remove(kernel, rule(text(i))));
    CHECK_FALSE(matches.catches_all());
    CHECK_FALSE(kernel.has_catch_all());
    CHECK(kernel.installed.size() == 5 + 100);
    CHECK_FALSE(matches.wanted(signal("a.b100", "X")));
    CHECK(matches.wanted(signal("a.b99", "X")));
    for (int i = 0; i < 100; ++i)
        REQUIRE(matches.remove(kernel, rule(text(i))));
    CHECK(kernel.installed.size() == 5);
}

TEST_CASE("a kernel with less room is met by letting everything through earlier") {
    Entries kernel;
    kernel.limit = 10;
    Matches matches({});
    for (int i = 0; i < 9; ++i)
        REQUIRE(matches.add(kernel, rule("member='M" + std::to_string(i) + "',interface='a.b'")));
    kernel.limit = 9; // full: not even the entry for everything fits
    CHECK_FALSE(matches.add(kernel, rule("member='X',interface='a.b'")));
    CHECK(matches.size() == 9);
    CHECK(kernel.installed.size() == 9);
}

TEST_CASE("a failure leaves no trace") {
    Entries kernel;
    kernel.limit = 3;
    kernel.failure = ENOMEM;
    Matches matches({});
    REQUIRE(matches.add(kernel, rule("interface='a.b',member='X'")));
    const auto before = kernel.installed;
    const auto failed = matches.add(kernel, rule("")); // needs six
    REQUIRE_FALSE(failed);
    CHECK(failed.error().value() == ENOMEM);
    CHECK(kernel.installed == before);
    CHECK(matches.size() == 1);
    kernel.limit = 100;
    CHECK(matches.add(kernel, rule("")));
    CHECK(matches.remove(kernel, rule("")));
    CHECK(kernel.installed == before);
}

TEST_CASE("a rule on nothing but an id does not ask for notifications") {
    Entries kernel;
    Matches matches({});
    REQUIRE(matches.add(kernel, rule("sender=':1.9'")));
    CHECK(kernel.installed.size() == 1);
    CHECK_FALSE(kernel.has_catch_all());
}

TEST_CASE("what is wanted is decided rule by rule, with the sender's names") {
    Entries kernel;
    Matches matches({});
    CHECK_FALSE(matches.wanted(signal("a.b", "C")));
    REQUIRE(matches.add(kernel, rule("sender='x.y'")));
    CHECK_FALSE(matches.wanted(signal("a.b", "C")));
    const std::string_view names[] = {"x.z", "x.y"};
    CHECK(matches.wanted(signal("a.b", "C"), names));
}

TEST_CASE("serials: short cookies pass, long ones get a stand-in") {
    Serials serials;
    CHECK(serials.for_call(1, 1) == 1);
    CHECK(serials.for_call(1, 0xffffffff) == 0xffffffff);
    CHECK(serials.for_reply(1, 0xffffffff) == 0xffffffff);

    const auto one = serials.for_call(1, 0x100000001);
    const auto two = serials.for_call(1, 0x200000001);
    const auto three = serials.for_call(2, 0x100000001);
    CHECK(std::set{one, two, three}.size() == 3);
    CHECK(one != 0);
    // A short cookie that equals a stand-in of the same caller must not be mistaken for it.
    const auto four = serials.for_call(1, one);
    CHECK(four != one);
    CHECK(serials.for_call(2, one) == one);

    CHECK(serials.for_reply(2, one) == one);
    CHECK(serials.for_reply(1, one) == 0x100000001);
    CHECK(serials.for_reply(1, one) == one); // used up
    CHECK(serials.for_reply(1, four) == one);
    CHECK(serials.for_reply(1, two) == 0x200000001);
    CHECK(serials.for_reply(2, three) == 0x100000001);

    CHECK(serials.for_call(1, 0) != 0);
    for (std::uint64_t i = 0; i < 3 * Serials::capacity; ++i)
        CHECK(serials.for_call(3, 0x500000000 + i) != 0);
}
