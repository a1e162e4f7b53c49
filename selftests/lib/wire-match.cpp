// SPDX-License-Identifier: LGPL-2.1-or-later
// Match rules and notifications (dbus-on-kdbus.md 3.4, 4, 6.2).
#include <catch2/catch.hpp>

#include <linux/kdbus.h>

#include <kdbus/wire/match.hpp>
#include <kdbus/wire/names.hpp>
#include <kdbus/wire/notification.hpp>

#include "wire-support.hpp"

using namespace kdbus::wire;
using namespace std::literals;
using wire_test::Body;
using wire_test::body_of;
using wire_test::error_of;

namespace {

constexpr BloomParameter usual{64, 8};
constexpr std::uint64_t any = KDBUS_MATCH_ID_ANY;

MatchRule rule(std::string_view text, MatchSyntax syntax = MatchSyntax::extended) {
    INFO(text);
    auto parsed = MatchRule::parse(text, syntax);
    REQUIRE(error_of(parsed) == std::error_code());
    return *parsed;
}

/// A signal that owns its body.
struct Signal {
    Body body;
    Message message;

    template <class... Ts>
    explicit Signal(Format format, const Ts&... arguments) : body(body_of(format, arguments...)) {
        message.type = MessageType::signal;
        message.flags = no_reply_expected;
        message.serial = 1;
        message.path = "/a/b";
        message.interface = "a.b";
        message.member = "Sig";
        message.sender = ":1.7";
        message.format = format;
        message.signature = body.signature;
        message.body = body.bytes;
    }
    Signal(const Signal&) = delete;
};

std::vector<NotificationMatch> notifications(std::string_view text) {
    return rule(text).compile(usual).notifications;
}

using Kind = NotificationMatch::Kind;

std::vector<NotificationMatch> all_kinds(std::uint64_t old_id, std::uint64_t new_id,
                                         std::string name) {
    return {{Kind::name_add, any, new_id, name},
            {Kind::name_remove, old_id, any, name},
            {Kind::name_change, old_id, new_id, name}};
}

} // namespace

TEST_CASE("match rule syntax, as the reference daemon takes it (4.1)", "[match]") {
    const std::string longest = "arg0='" + std::string(1017, 'x') + "'";
    REQUIRE(longest.size() == 1024);
    // Each line was tried on dbus-daemon 1.14.10.
    for (std::string_view good : {""sv,
                                  "   "sv,
                                  "type='signal',"sv,
                                  " type='signal'"sv,
                                  "type='signal', member='A'"sv,
                                  "type=signal"sv,
                                  "type='sig'nal"sv,
                                  "type='signal',  "sv,
                                  "\tmember='A'"sv,
                                  "member ='A'"sv,
                                  "arg0=''"sv,
                                  "arg0="sv,
                                  "arg0path=''"sv,
                                  "arg0path='no path'"sv,
                                  "arg0namespace='foo'"sv,
                                  "arg0namespace='foo.bar'"sv,
                                  "arg0namespace=':1.5'"sv,
                                  "arg63='x'"sv,
                                  "arg00='x'"sv,
                                  "arg1 ='x'"sv,
                                  "path_namespace='/'"sv,
                                  "destination=':1.1'"sv,
                                  "destination='org.foo'"sv,
                                  "eavesdrop='true'"sv,
                                  "eavesdrop=false"sv,
                                  "type='error'"sv,
                                  "type='method_return'"sv,
                                  "type='method_call'"sv,
                                  "sender=':foo'"sv,
                                  "sender=':1.1'"sv,
                                  "sender='org.foo'"sv,
                                  "interface='org.foo'"sv,
                                  "arg0=a\\'b"sv,
                                  "arg0='it'\\''s'"sv,
                                  "arg0='a=b,c'"sv,
                                  "arg0=a=b"sv,
                                  "arg0=\"x\""sv,
                                  "arg0='\xc3\xa9'"sv,
                                  std::string_view(longest)}) {
        INFO(good);
        CHECK(error_of(MatchRule::parse(good)) == std::error_code());
    }
    for (std::string_view bad :
         {","sv, ",,"sv, "type='signal',,member='A'"sv, "type = 'signal'"sv,
          "type='signal' ,member='A'"sv, "type='signal"sv, "type="sv, "type=''"sv, "member=''"sv,
          "sender=''"sv, "interface=''"sv, "path=''"sv, "arg0namespace=''"sv,
          "arg0namespace='foo.'"sv, "arg0namespace='1a'"sv, "arg1namespace='foo.bar'"sv,
          "arg64='x'"sv, "arg='x'"sv, "arg0='a',arg0='b'"sv, "arg0='a',arg0path='/b'"sv,
          "arg0='a',arg0namespace='b'"sv, "arg5foo='x'"sv, "arg-1='x'"sv, "arg 1='x'"sv,
          "arg0has='x'"sv, "path='/a',path_namespace='/a'"sv, "path_namespace='/a/'"sv,
          "path='/a/'"sv, "path='a'"sv, "path_namespace=''"sv, "destination='x'"sv,
          "destination=''"sv, "eavesdrop='yes'"sv, "eavesdrop=''"sv,
          "eavesdrop='true',eavesdrop='true'"sv, "type='invalid'"sv, "type='Signal'"sv,
          "type='signal',type='signal'"sv, "sender='org'"sv, "interface='foo'"sv, "member='1a'"sv,
          "member='a.b'"sv, "foo='bar'"sv, "Type='signal'"sv, "type"sv, "type,"sv, "member=a b"sv,
          "member=a\\"sv, "arg0='a\\'b'"sv, "member='A'\t"sv, "type='signal',type"sv,
          // Where we are stricter than the daemon: an empty key, a sign before the number.
          "='x'"sv, "=x"sv, "arg+1='x'"sv,
          // Not text.
          "arg0='\xff'"sv, "arg0='a\0b'"sv}) {
        INFO(bad);
        CHECK(error_of(MatchRule::parse(bad)) == Errc::match_rule_invalid);
    }
    CHECK(error_of(MatchRule::parse(longest + " ")) == Errc::match_rule_limit);
    CHECK(error_of(MatchRule::parse(std::string(100000, '\''))) == Errc::match_rule_limit);
    CHECK(error_of(MatchRule::parse("arg0has='x',arg3has='y',arg4namespace='z'",
                                    MatchSyntax::extended)) == std::error_code());
}

TEST_CASE("the specification's quoting (4.1)", "[match]") {
    const auto value = [](std::string_view text) {
        return rule("arg0=" + std::string(text)).arguments.at(0).value;
    };
    CHECK(value("'a\\b'") == "a\\b");
    CHECK(value("a\\b") == "a\\b");
    CHECK(value("a\\") == "a\\");
    CHECK(value("\\'") == "'");
    CHECK(value("\\\\'x") == "\\'x"); // the second backslash escapes the apostrophe
    CHECK(value("'it'\\''s'") == "it's");
    CHECK(value("'a'b'c'") == "abc");
    CHECK(value("'a,b'") == "a,b");
    CHECK(value("''''''") == "");
    CHECK(value(" x ") == " x ");
}

TEST_CASE("rules compare by meaning (RemoveMatch)", "[match]") {
    CHECK(rule("type='signal',member='A'") == rule("member=A,  type=signal,"));
    CHECK(rule("arg2='x',arg0='y'") == rule("arg0='y',arg02='x'"));
    CHECK(rule("eavesdrop='false'") == rule(""));
    CHECK_FALSE(rule("eavesdrop='true'") == rule(""));
    CHECK_FALSE(rule("arg0='x'") == rule("arg0path='x'"));
    CHECK_FALSE(rule("path='/a'") == rule("path_namespace='/a'"));
    CHECK_FALSE(rule("arg0=''") == rule(""));
    for (std::string_view text :
         {"", "type='signal'", "arg0='it'\\''s',arg3path='/x',arg5has='',arg7namespace='a.b'",
          "arg0=\\'a\\'",
          "eavesdrop='true',sender=':1.5',interface='a.b',member='M',path='/x',destination='c.d'",
          "path_namespace='/',arg0='back\\slash, and comma'"}) {
        const MatchRule parsed = rule(text);
        INFO(parsed.canonical());
        CHECK(rule(parsed.canonical()) == parsed);
        CHECK(rule(parsed.canonical()).canonical() == parsed.canonical());
    }
}

TEST_CASE("what matches (4.1)", "[match]") {
    for (Format format : {Format::gvariant, dbus1_native}) {
        const Signal signal(format, "org.example.X", 5u, ObjectPath("/x/y"), "/dir/",
                            std::vector<std::string>{"p", "q"}, Signature("s"));
        const std::array<std::string_view, 2> names{"org.one", "org.two"};
        const auto matches = [&](std::string_view text) {
            return rule(text).matches(signal.message, names);
        };
        for (std::string_view yes : {"",
                                     "type='signal'",
                                     "sender=':1.7'",
                                     "sender='org.two'",
                                     "interface='a.b'",
                                     "member='Sig'",
                                     "path='/a/b'",
                                     "path_namespace='/a/b'",
                                     "path_namespace='/a'",
                                     "path_namespace='/'",
                                     "eavesdrop='true'",
                                     "arg0='org.example.X'",
                                     "arg0namespace='org'",
                                     "arg0namespace='org.example'",
                                     "arg0namespace='org.example.X'",
                                     "arg2path='/x/y'",
                                     "arg2path='/x/'",
                                     "arg2path='/'",
                                     "arg3path='/dir/'",
                                     "arg3path='/dir/sub'",
                                     "arg3path='/dir/sub/'",
                                     "arg3path='/'",
                                     "arg3='/dir/'",
                                     "arg4has='q'",
                                     "arg0='org.example.X',arg2path='/x/',arg4has='p'",
                                     "arg0path='org.example.X'"}) {
            INFO(yes);
            CHECK(matches(yes));
        }
        for (std::string_view no : {"type='method_call'",
                                    "sender=':1.8'",
                                    "sender='org.three'",
                                    "interface='a.c'",
                                    "member='Other'",
                                    "path='/a'",
                                    "path_namespace='/a/b/c'",
                                    "path_namespace='/a/bc'",
                                    "path_namespace='/x'",
                                    "destination=':1.7'",
                                    "destination='a.b'",
                                    "arg0='org.example'",
                                    "arg0=''",
                                    "arg0namespace='org.ex'",
                                    "arg0namespace='org.example.X.Y'",
                                    "arg1='5'",
                                    "arg2='/x/y'",
                                    "arg2path='/x'",
                                    "arg2path='/x/y/z'",
                                    "arg2path='/x/y/'",
                                    "arg3path='/dir'",
                                    "arg4='p'",
                                    "arg4has='r'",
                                    "arg0has='org.example.X'",
                                    "arg5='s'",
                                    "arg6='x'",
                                    "arg63='x'",
                                    "arg0='org.example.X',arg4has='r'"}) {
            INFO(no);
            CHECK_FALSE(matches(no));
        }
        CHECK_FALSE(rule("sender='org.two'").matches(signal.message));
    }
    // A rule that looks at arguments does not match a malformed body; others do.
    Signal broken(Format::gvariant, "text", "more");
    broken.body.bytes[4] = std::byte{'x'};
    CHECK_FALSE(rule("arg1='more'").matches(broken.message));
    CHECK(rule("member='Sig'").matches(broken.message));
    Signal direct(Format::gvariant, "text");
    direct.message.destination = ":1.9";
    CHECK(rule("destination=':1.9'").matches(direct.message));
    Signal no_path(Format::gvariant);
    no_path.message.path = {};
    CHECK_FALSE(rule("path_namespace='/'").matches(no_path.message));
    CHECK_FALSE(rule("arg0=''").matches(no_path.message));
}

TEST_CASE("what matches here passes the mask too", "[match]") {
    const Signal signal(Format::gvariant, "org.example.X", "second", std::vector<std::string>{"p"});
    std::vector<std::uint64_t> filter(usual.words());
    REQUIRE(make_signal_filter(signal.message, usual, filter));
    for (std::string_view text :
         {"type='signal'", "interface='a.b'", "member='Sig'", "path='/a/b'",
          "path_namespace='/a/b'", "path_namespace='/a'", "path_namespace='/'",
          "arg0='org.example.X'", "arg0namespace='org'", "arg0namespace='org.example'",
          "arg1='second'", "arg2has='p'", "arg0path='org.example.X'",
          "type='signal',interface='a.b',member='Sig',path='/a/b',arg0='org.example.X'"}) {
        INFO(text);
        REQUIRE(rule(text).matches(signal.message));
        const auto compiled = rule(text).compile(usual);
        REQUIRE(compiled.signals);
        CHECK((compiled.signals->mask.empty() || bloom_passes(filter, compiled.signals->mask)));
    }
    const Signal list(Format::gvariant, std::vector<std::string>{"p", ""});
    REQUIRE(make_signal_filter(list.message, usual, filter));
    for (std::string_view text : {"arg0has='p'", "arg0has=''"}) {
        REQUIRE(rule(text).matches(list.message));
        CHECK(bloom_passes(filter, rule(text).compile(usual).signals->mask));
    }
    const auto other = rule("member='Other',arg0='x'").compile(usual);
    CHECK_FALSE(bloom_passes(filter, other.signals->mask));
}

TEST_CASE("kernel entries for signals (4.1)", "[match]") {
    const auto signals = [](std::string_view text) {
        return rule(text).compile(usual).signals;
    };
    const auto mask =
        [](std::initializer_list<std::pair<std::string_view, std::string_view>> strings) {
            std::vector<std::uint64_t> bits(usual.words());
            for (const auto& [label, value] : strings)
                bloom_add(bits, usual, label, value);
            return bits;
        };
    CHECK(signals("")->mask.empty());
    CHECK_FALSE(signals("")->sender_id);
    CHECK_FALSE(signals("")->destination_id);
    CHECK(signals("")->sender_name.empty());
    CHECK(signals("sender=':1.7'")->sender_id == 7u);
    CHECK(signals("sender=':1.7'")->sender_name.empty());
    CHECK(signals("sender='a.b'")->sender_name == "a.b");
    CHECK_FALSE(signals("sender='a.b'")->sender_id);
    CHECK(signals("destination=':1.7'")->destination_id == 7u);
    CHECK_FALSE(signals("destination='a.b'")->destination_id);
    CHECK(signals("destination='a.b'")->mask.empty());
    CHECK(signals("type='signal'")->mask == mask({{"message-type", "signal"}}));
    CHECK(signals("type='method_call'")->mask == mask({{"message-type", "method_call"}}));
    CHECK(signals("path_namespace='/a'")->mask == mask({{"path-slash-prefix", "/a"}}));
    CHECK(signals("arg0='x',member='M'")->mask == mask({{"arg0", "x"}, {"member", "M"}}));
    CHECK(signals("arg0=''")->mask == mask({{"arg0", ""}}));
    CHECK(signals("arg0namespace='a.b'")->mask == mask({{"arg0-dot-prefix", "a.b"}}));
    CHECK(signals("arg0has='x'")->mask == mask({{"arg0-has", "x"}}));
    // Filtered here only: arguments that historical senders leave out (3.3), and two-way prefixes.
    for (std::string_view text : {"arg1='x'", "arg63='x'", "arg0path='/x'", "arg1has='x'",
                                  "arg1namespace='x'", "eavesdrop='true'"})
        CHECK(signals(text)->mask.empty());
    for (std::string_view text :
         {"sender='org.freedesktop.DBus.Local'", "interface='org.freedesktop.DBus.Local'",
          "path='/org/freedesktop/DBus/Local'", "sender=':2.5'", "destination=':2.5'",
          "sender=':1.05'"}) {
        CHECK_FALSE(signals(text));
        CHECK(notifications(text).empty());
    }
}

TEST_CASE("kernel entries for NameOwnerChanged (4.2)", "[match]") {
    std::vector<NotificationMatch> every = all_kinds(any, any, "");
    every.push_back({Kind::id_add, 0, any, ""});
    every.push_back({Kind::id_remove, 0, any, ""});
    for (std::string_view text :
         {"", "type='signal'", "path_namespace='/'", "arg0namespace='x'", "arg0path='/x'",
          "arg2path='/x'", "arg0=''", "arg1='',arg2=''", "sender='org.freedesktop.DBus'",
          "member='NameOwnerChanged'", "interface='org.freedesktop.DBus'",
          "path='/org/freedesktop/DBus'"}) {
        INFO(text);
        CHECK(notifications(text) == every);
    }
    for (std::string_view text :
         {"type='error'", "sender=':1.5'", "sender='a.b'", "interface='a.b'",
          "member='NameAcquired'", "path='/'", "destination=':1.5'", "destination='a.b'",
          "arg1='x'", "arg2='a.b'", "arg0=':1.5',arg1=':1.6'", "arg0=':1.5',arg2=':1.6'",
          "arg0='not a name'", "arg0=':foo'"}) {
        INFO(text);
        CHECK(notifications(text).empty());
    }
    CHECK(notifications("arg0='a.b'") == all_kinds(any, any, "a.b"));
    CHECK(notifications("arg0='a.b',arg2=':1.3'") ==
          std::vector<NotificationMatch>{{Kind::name_add, any, 3, "a.b"},
                                         {Kind::name_change, any, 3, "a.b"}});
    CHECK(notifications("arg0=':1.5'") ==
          std::vector<NotificationMatch>{{Kind::id_add, 0, 5, ""}, {Kind::id_remove, 0, 5, ""}});
    CHECK(notifications("arg0=':1.5',arg1=':1.5'") ==
          std::vector<NotificationMatch>{{Kind::id_remove, 0, 5, ""}});
    CHECK(notifications("arg0=':1.5',arg2=':1.5'") ==
          std::vector<NotificationMatch>{{Kind::id_add, 0, 5, ""}});
    CHECK(notifications("member='NameOwnerChanged',arg1=':1.42'") ==
          std::vector<NotificationMatch>{{Kind::name_remove, 42, any, ""},
                                         {Kind::name_change, 42, any, ""},
                                         {Kind::id_remove, 0, 42, ""}});
    CHECK(notifications("arg2=':1.42'") ==
          std::vector<NotificationMatch>{{Kind::name_add, any, 42, ""},
                                         {Kind::name_change, any, 42, ""},
                                         {Kind::id_add, 0, 42, ""}});
    CHECK(notifications("arg1=':1.1',arg2=':1.2'") ==
          std::vector<NotificationMatch>{{Kind::name_change, 1, 2, ""}});
}

TEST_CASE("notifications become NameOwnerChanged (4.3)", "[notification]") {
    using Note = Notification;
    struct Row {
        Note note;
        std::optional<std::array<std::string_view, 3>> arguments;
    };
    constexpr std::uint64_t queued = KDBUS_NAME_IN_QUEUE, activator = KDBUS_NAME_ACTIVATOR,
                            allow = KDBUS_NAME_ALLOW_REPLACEMENT;
    for (const Row& row : std::vector<Row>{
             {{Note::Kind::name_add, 0, 0, 7, allow, "a.b"}, {{"a.b", "", ":1.7"}}},
             {{Note::Kind::name_add, 0, 0, 7, activator, "a.b"}, {}},
             {{Note::Kind::name_add, 0, 0, 7, queued, "a.b"}, {}},
             {{Note::Kind::name_remove, 7, 0, 0, 0, "a.b"}, {{"a.b", ":1.7", ""}}},
             {{Note::Kind::name_remove, 7, activator, 0, 0, "a.b"}, {}},
             {{Note::Kind::name_change, 7, 0, 8, 0, "a.b"}, {{"a.b", ":1.7", ":1.8"}}},
             {{Note::Kind::name_change, 7, activator, 8, 0, "a.b"}, {{"a.b", "", ":1.8"}}},
             {{Note::Kind::name_change, 7, 0, 8, activator, "a.b"}, {{"a.b", ":1.7", ""}}},
             {{Note::Kind::name_change, 7, activator, 8, queued, "a.b"}, {}},
             {{Note::Kind::id_add, 0, 0, 9, KDBUS_HELLO_ACCEPT_FD, ""}, {{":1.9", "", ":1.9"}}},
             {{Note::Kind::id_remove, 0, 0, UINT64_MAX - 1, 0, ""},
              {{":1.18446744073709551614", ":1.18446744073709551614", ""}}},
             {{Note::Kind::id_add, 0, 0, 9, KDBUS_HELLO_ACTIVATOR, ""}, {}},
             {{Note::Kind::id_add, 0, 0, 9, KDBUS_HELLO_POLICY_HOLDER, ""}, {}},
             {{Note::Kind::id_remove, 0, 0, 9, KDBUS_HELLO_MONITOR, ""}, {}},
         }) {
        for (Format format : {Format::gvariant, dbus1_native}) {
            Buffer buffer;
            const auto made = notification_message(row.note, ":1.3", format, buffer);
            REQUIRE(made);
            REQUIRE(made->has_value() == row.arguments.has_value());
            if (!*made) {
                CHECK(buffer.empty());
                continue;
            }
            const Message& message = **made;
            CHECK(validate_header(message));
            CHECK(message.type == MessageType::signal);
            CHECK(message.flags == no_reply_expected);
            CHECK(message.serial == 0xFFFFFFFF);
            CHECK(message.sender == driver_name);
            CHECK(message.path == driver_path);
            CHECK(message.interface == driver_name);
            CHECK(message.member == "NameOwnerChanged");
            CHECK(message.destination.empty());
            CHECK(message.signature == "sss");
            Reader reader = message.reader();
            for (std::string_view wanted : *row.arguments)
                CHECK(reader.read<std::string_view>() == wanted);
            CHECK(reader.finish());
            CHECK(rule("member='NameOwnerChanged',arg0='" + std::string(row.arguments->at(0)) + "'")
                      .matches(message));
        }
    }
}

TEST_CASE("lost replies become errors (6.2)", "[notification]") {
    for (const auto& [kind, text] :
         {std::pair(Notification::Kind::reply_timeout, "Method call timed out"sv),
          std::pair(Notification::Kind::reply_dead, "Method call peer died"sv)}) {
        Buffer buffer;
        Notification note{.kind = kind};
        note.cookie_reply = 12;
        const auto made = notification_message(note, ":1.3", dbus1_native, buffer);
        REQUIRE((made && *made));
        const Message& message = **made;
        CHECK(validate_header(message));
        CHECK(message.type == MessageType::error);
        CHECK(message.error_name == "org.freedesktop.DBus.Error.NoReply");
        CHECK(message.reply_serial == 12);
        CHECK(message.destination == ":1.3");
        CHECK(message.sender == driver_name);
        CHECK(message.reader().read<std::string_view>() == text);
        CHECK_FALSE(owner_change(note));
    }
}
