// SPDX-License-Identifier: LGPL-2.1-or-later
// Syntax of names, paths, text, signatures and addresses; error names.
#include <catch2/catch.hpp>

#include <cerrno>

#include <kdbus/wire/address.hpp>
#include <kdbus/wire/error_names.hpp>
#include <kdbus/wire/names.hpp>
#include <kdbus/wire/signature.hpp>

#include "wire-support.hpp"

using namespace kdbus::wire;
using namespace std::literals;
using wire_test::error_of;

TEST_CASE("names follow the specification (7.3)", "[names]") {
    const std::string longest = "a." + std::string(253, 'b');
    for (std::string_view name :
         {"org.example.Name"sv, "a.b"sv, "_a._1"sv, std::string_view(longest)}) {
        INFO(name);
        CHECK(is_interface(name));
        CHECK(is_error_name(name));
        CHECK(is_well_known_name(name));
        CHECK(is_bus_name(name));
    }
    const std::string too_long = longest + "b";
    for (std::string_view name :
         {""sv, "org"sv, "."sv, "a."sv, ".a"sv, "a..b"sv, "a.1b"sv, "1a.b"sv, "a.b c"sv,
          "a.\xc3\xa9"sv, "a.b\0c"sv, "a/b.c"sv, std::string_view(too_long)}) {
        INFO(name);
        CHECK_FALSE(is_interface(name));
        CHECK_FALSE(is_error_name(name));
        CHECK_FALSE(is_well_known_name(name));
        CHECK_FALSE(is_bus_name(name));
    }
    CHECK(is_well_known_name("a-b.-c"));
    CHECK_FALSE(is_interface("a-b.c"));

    CHECK(is_unique_name(":1.5"));
    CHECK(is_unique_name(":not.active.yet"));
    CHECK(is_bus_name(":1.5"));
    CHECK_FALSE(is_well_known_name(":1.5"));
    CHECK_FALSE(is_unique_name("a.b"));
    CHECK_FALSE(is_unique_name(":"));
    CHECK_FALSE(is_unique_name(":1."));
    CHECK_FALSE(is_unique_name("::1.1"));
    CHECK_FALSE(is_unique_name(":" + std::string(255, '1')));

    CHECK(is_name_namespace("org"));
    CHECK(is_name_namespace("org.example"));
    CHECK_FALSE(is_name_namespace(""));
    CHECK_FALSE(is_name_namespace("org."));
    CHECK_FALSE(is_name_namespace("1a"));

    CHECK(is_member("Frobate_2"));
    CHECK(is_member(std::string(255, 'm')));
    for (std::string_view name : {""sv, "2a"sv, "a.b"sv, "a-b"sv, "a b"sv, "\xc3\xa9"sv})
        CHECK_FALSE(is_member(name));
    CHECK_FALSE(is_member(std::string(256, 'm')));
}

TEST_CASE("object paths (7.3)", "[names]") {
    for (std::string_view path : {"/"sv, "/a"sv, "/a/b_9/0"sv})
        CHECK(is_object_path(path));
    for (std::string_view path :
         {""sv, "a"sv, "//"sv, "/a/"sv, "/a//b"sv, "/a-b"sv, "/a b"sv, "/a\0"sv, "/\xc3\xa9"sv})
        CHECK_FALSE(is_object_path(path));
    CHECK(is_object_path("/" + std::string(100000, 'x')));
}

TEST_CASE("text is UTF-8 without NUL", "[names]") {
    for (std::string_view text :
         {""sv, "plain"sv, "exactly8"sv, "\x7f"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv,
          "\xed\x9f\xbf"sv, "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv,
          "\xf4\x8f\xbf\xbf"sv, "12345678\xe2\x82\xac 12345678"sv}) {
        INFO(wire_test::hex(std::as_bytes(std::span(text))));
        CHECK(is_text(text));
    }
    for (std::string_view text : {"\0"sv,
                                  "a\0b"sv,
                                  "1234567\0"sv,
                                  "12345678\0"sv,
                                  "\x80"sv,
                                  "\xbf"sv,
                                  "\xc0\x80"sv,
                                  "\xc1\xbf"sv,
                                  "\xc2"sv,
                                  "\xc2\x41"sv,
                                  "\xe0\x9f\xbf"sv,
                                  "\xe1\x80"sv,
                                  "\xed\xa0\x80"sv,
                                  "\xed\xbf\xbf"sv,
                                  "\xf0\x8f\xbf\xbf"sv,
                                  "\xf0\x90\x80"sv,
                                  "\xf4\x90\x80\x80"sv,
                                  "\xf5\x80\x80\x80"sv,
                                  "\xff"sv,
                                  "abcdefgh\xe2\x82"sv}) {
        INFO(wire_test::hex(std::as_bytes(std::span(text))));
        CHECK_FALSE(is_text(text));
    }
}

TEST_CASE("unique names and ids (2)", "[names]") {
    CHECK(UniqueName(5).view() == ":1.5");
    CHECK(UniqueName(UINT64_MAX).view() == ":1.18446744073709551615");
    CHECK(unique_name_id(":1.0") == 0);
    CHECK(unique_name_id(":1.18446744073709551615") == UINT64_MAX);
    for (std::string_view name :
         {""sv, ":1."sv, ":1.05"sv, ":1.+5"sv, ":1.-1"sv, ":1.5x"sv, ":1.5.6"sv, ":2.5"sv, "1.5"sv,
          ":1.18446744073709551616"sv, ":1. 5"sv})
        CHECK_FALSE(unique_name_id(name).has_value());
}

TEST_CASE("signatures and their limits (7.3)", "[signature]") {
    const std::string arrays32 = std::string(32, 'a') + "y";
    const std::string structs32 = std::string(32, '(') + "y" + std::string(32, ')');
    const std::string both = std::string(32, 'a') + structs32;
    const std::string long255(255, 'y');
    for (std::string_view s :
         {"s"sv, "v"sv, "a{sv}"sv, "(y)"sv, "a{s(iia{yv})}"sv, "aaay"sv, "((y)(sas))"sv,
          std::string_view(arrays32), std::string_view(structs32), std::string_view(both)}) {
        INFO(s);
        CHECK(is_signature(s));
        CHECK(is_single_type(s));
        CHECK(first_type_length(s) == s.size());
    }
    CHECK(is_signature(""));
    CHECK_FALSE(is_single_type(""));
    CHECK(is_signature("sas(y)"));
    CHECK_FALSE(is_single_type("ss"));
    CHECK(is_signature(long255));
    for (std::string_view s :
         {"a"sv,    "("sv,     ")"sv,      "()"sv,      "a()"sv,    "(y"sv,      "y)"sv,
          "{sv}"sv, "a{vs}"sv, "a{s}"sv,   "a{}"sv,     "a{svs}"sv, "a{(s)v}"sv, "a{asv}"sv,
          "a{sv"sv, "m"sv,     "ms"sv,     "r"sv,       "e"sv,      "*"sv,       "?"sv,
          "s\0"sv,  "as}"sv,   "({sv})"sv, "a{s{sv}}"sv}) {
        INFO(s);
        CHECK_FALSE(is_signature(s));
        CHECK_FALSE(is_single_type(s));
    }
    CHECK_FALSE(is_signature("a" + arrays32));
    CHECK_FALSE(is_signature("(" + structs32 + ")"));
    CHECK_FALSE(is_signature("a{s" + structs32 + "}"));
    CHECK_FALSE(is_signature(long255 + "y"));

    std::vector<std::string_view> types;
    for (std::string_view type : SignatureTypes("sa{sv}(yas)uaa(y)"))
        types.push_back(type);
    CHECK(types == std::vector<std::string_view>{"s", "a{sv}", "(yas)", "u", "aa(y)"});
    for (std::string_view type : SignatureTypes("")) {
        INFO(type);
        FAIL_CHECK("an empty signature has no types");
    }
}

TEST_CASE("layouts as GVariant (1.4)", "[signature]") {
    struct Row {
        std::string_view type;
        unsigned alignment, size;
    };
    for (const Row& row :
         {Row{"y", 1, 1},  {"b", 1, 1},    {"n", 2, 2},    {"u", 4, 4},       {"h", 4, 4},
          {"t", 8, 8},     {"d", 8, 8},    {"s", 1, 0},    {"o", 1, 0},       {"g", 1, 0},
          {"v", 8, 0},     {"as", 1, 0},   {"at", 8, 0},   {"a{sv}", 8, 0},   {"(uy)", 4, 8},
          {"(yu)", 4, 8},  {"(yy)", 1, 2}, {"(us)", 4, 0}, {"((y)t)", 8, 16}, {"(y(yn)y)", 2, 8},
          {"a(yn)", 2, 0}, {"a{yt}", 8, 0}}) {
        INFO(row.type);
        CHECK(gvariant_layout(row.type).alignment == row.alignment);
        CHECK(gvariant_layout(row.type).size == row.size);
    }
    CHECK(gvariant_tuple_layout("").size == 1);
    CHECK(gvariant_tuple_layout("uy").size == 8);
    CHECK(gvariant_tuple_layout("us").size == 0);
}

TEST_CASE("addresses (11)", "[address]") {
    const auto list =
        parse_addresses("kernel:path=/dev/kdbus/0-system/bus;unix:path=/run/a%20b,guid=00ff;");
    REQUIRE(list.has_value());
    REQUIRE(list->size() == 2);
    CHECK((*list)[0].transport == "kernel");
    REQUIRE((*list)[0].find("path") != nullptr);
    CHECK(*(*list)[0].find("path") == "/dev/kdbus/0-system/bus");
    CHECK((*list)[0].find("guid") == nullptr);
    CHECK(*(*list)[1].find("path") == "/run/a b");
    CHECK(*(*list)[1].find("guid") == "00ff");
    CHECK((*list)[1].text() == "unix:path=/run/a%20b,guid=00ff");

    CHECK(parse_addresses("autolaunch:")->at(0).parameters.empty());
    CHECK(parse_addresses("autolaunch:")->at(0).text() == "autolaunch:");
    CHECK(parse_addresses("x:a=\\*-._/")->at(0).parameters[0].second == "\\*-._/");
    CHECK(parse_addresses("x:a=")->at(0).parameters[0].second.empty());
    CHECK(parse_addresses("x:a=b=c").has_value() == false); // "=" must be escaped in values

    for (std::string_view bad :
         {""sv, ";"sv, "unix"sv, ":path=/a"sv, "unix:path"sv, "unix:=x"sv, "unix:path=/a,"sv,
          "unix:,path=/a"sv, "unix:path=/a,path=/b"sv, "unix:path=/a b"sv, "unix:path=%"sv,
          "unix:path=%4"sv, "unix:path=%4g"sv, "unix:path=%00"sv, "unix:path=/a;;unix:path=/b"sv,
          "unix:path=\xc3\xa9"sv, "u x:a=b"sv}) {
        INFO(bad);
        CHECK(error_of(parse_addresses(bad)) == Errc::bad_address);
    }

    const auto check = [](std::string_view text, bool listen) {
        return check_transport(parse_addresses(text)->at(0), listen).has_value();
    };
    CHECK(check("kernel:path=/x", false));
    CHECK_FALSE(check("kernel:guid=00", false));
    CHECK_FALSE(check("kernel:path=", false));
    CHECK(check("unix:abstract=a", false));
    CHECK_FALSE(check("unix:abstract=a,path=/b", false));
    CHECK_FALSE(check("unix:guid=1", false));
    CHECK_FALSE(check("unix:tmpdir=/tmp", false));
    CHECK(check("unix:tmpdir=/tmp", true));
    CHECK(check("unix:runtime=yes", true));
    CHECK_FALSE(check("unix:runtime=no", true));
    CHECK_FALSE(check("unix:path=", false));
    CHECK(check("tcp:host=a", false));

    std::string all;
    for (int c = 1; c < 256; c++)
        all += static_cast<char>(c);
    const auto back = parse_addresses("x:v=" + escape_address_value(all));
    REQUIRE(back.has_value());
    CHECK(back->at(0).parameters[0].second == all);
}

TEST_CASE("errno and error names (6.3)", "[errors]") {
    CHECK(error_name_from_errno(EPERM) == "org.freedesktop.DBus.Error.AccessDenied");
    CHECK(error_name_from_errno(ENOBUFS) == "org.freedesktop.DBus.Error.LimitsExceeded");
    CHECK(error_name_from_errno(ETIME) == "org.freedesktop.DBus.Error.Timeout");
    CHECK(error_name_from_errno(EXFULL) == "System.Error.EXFULL");
    CHECK(error_name_from_errno(123456) == "org.freedesktop.DBus.Error.Failed");
    CHECK(error_name_from_errno(-EPERM) == "org.freedesktop.DBus.Error.Failed");
    CHECK(errno_from_error_name("System.Error.EXFULL") == EXFULL);
    CHECK(errno_from_error_name("System.Error.NOPE") == EIO);
    CHECK(errno_from_error_name("org.freedesktop.DBus.Error.Failed") == EACCES);
    CHECK(errno_from_error_name("org.freedesktop.DBus.Error.UnknownMethod") == EBADR);
    CHECK(errno_from_error_name("org.example.Error") == EIO);
    CHECK(errno_from_error_name("") == 0);
    for (int error = 1; error < 134; error++)
        CHECK(is_error_name(error_name_from_errno(error)));
}

TEST_CASE("error codes compare with generic conditions", "[errors]") {
    CHECK(make_error_code(Errc::bad_offset) == std::errc::bad_message);
    CHECK(make_error_code(Errc::no_memory) == std::errc::not_enough_memory);
    CHECK(make_error_code(Errc::message_too_long) == std::errc::message_size);
    CHECK(make_error_code(Errc::not_convertible) == std::errc::operation_not_supported);
    CHECK(std::string(wire_category().name()) == "kdbus.wire");
    for (int i = 1; i <= static_cast<int>(Errc::no_memory); i++)
        CHECK(wire_category().message(i) != "unknown error");
    CHECK(wire_category().message(static_cast<int>(Errc::no_memory) + 1) == "unknown error");
}
