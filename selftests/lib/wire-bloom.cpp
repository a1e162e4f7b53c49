// SPDX-License-Identifier: LGPL-2.1-or-later
// Bloom filters against the vectors of dbus-on-kdbus.md 3.
#include <catch2/catch.hpp>

#include <kdbus/wire/bloom.hpp>
#include <kdbus/wire/match.hpp>

#include "wire-support.hpp"

using namespace kdbus::wire;
using wire_test::body_of;
using wire_test::bytes_of;
using wire_test::error_of;
using wire_test::hex;

namespace {

constexpr BloomParameter usual{64, 8};

std::string filter_of(std::string_view label, std::string_view value,
                      BloomParameter parameter = usual) {
    std::vector<std::uint64_t> filter(parameter.words());
    bloom_add(filter, parameter, label, value);
    return hex(std::as_bytes(std::span(filter)));
}

/// The bits that a string sets one after the other: k = 1, 2, 3, ... each add the next.
std::vector<unsigned> indices(std::string_view label, std::string_view value,
                              BloomParameter parameter) {
    std::vector<unsigned> result;
    std::vector<std::uint64_t> before(parameter.words());
    for (std::uint64_t k = 1; k <= parameter.hashes; k++) {
        std::vector<std::uint64_t> filter(parameter.words());
        bloom_add(filter, {parameter.size, k}, label, value);
        for (unsigned bit = 0; bit < parameter.size * 8; bit++)
            if (((filter[bit / 64] ^ before[bit / 64]) >> (bit % 64) & 1) != 0)
                result.push_back(bit);
        before = filter;
    }
    return result;
}

struct Signal {
    Message message;
    wire_test::Body body;

    template <class... Ts>
    Signal(Format format, std::string_view path, std::string_view interface,
           std::string_view member, const Ts&... arguments)
        : body(body_of(format, arguments...)) {
        message.type = MessageType::signal;
        message.flags = no_reply_expected;
        message.serial = 1;
        message.path = path;
        message.interface = interface;
        message.member = member;
        message.format = format;
        message.signature = body.signature;
        message.body = body.bytes;
    }
    Signal(const Signal&) = delete;
};

std::string filter_of(const Signal& signal) {
    std::vector<std::uint64_t> filter(usual.words(), 0xdead);
    REQUIRE(make_signal_filter(signal.message, usual, filter));
    return hex(std::as_bytes(std::span(filter)));
}

} // namespace

TEST_CASE("SipHash-2-4 (3.2)", "[bloom]") {
    const auto key0 = bytes_of("b9660bf0467047c18875c49c54b9bd15");
    const auto key1 = bytes_of("aaa154a2e0714b39bfe1dd2e9fc54a3b");
    const auto hash = [](std::string_view text, const std::vector<std::byte>& key) {
        return siphash24(std::as_bytes(std::span(text)),
                         std::span<const std::byte, 16>(key.data(), 16));
    };
    CHECK(hash("", key0) == 0x0fa091affb6debe9);
    CHECK(hash("interface:org.freedesktop.DBus", key0) == 0x012a5a32803ba355);
    CHECK(hash("interface:org.freedesktop.DBus", key1) == 0xda69a107f9783db1);
    // The published vector: key 00..0f, message 00..0e.
    CHECK(siphash24(bytes_of("000102030405060708090a0b0c0d0e"),
                    std::span<const std::byte, 16>(
                        bytes_of("000102030405060708090a0b0c0d0e0f").data(), 16)) ==
          0xa129ca6149be45e5);
}

TEST_CASE("filters of single strings (3.5)", "[bloom]") {
    struct Row {
        std::string_view label, value;
        std::vector<unsigned> bits;
        std::string_view filter;
    };
    const std::vector<Row> rows = {
        {"message-type",
         "signal",
         {388, 108, 102, 383, 132, 138, 312, 309},
         "00000000000000000000000040100000100400000000000000000000000000000000000000002001000000000"
         "000008010000000000000000000000000000000"},
        {"message-type",
         "method_call",
         {53, 167, 220, 139, 14, 293, 330, 225},
         "00400000000020000000000000000000000800008000000000000010020000000000000020000000000400000"
         "000000000000000000000000000000000000000"},
        {"message-type",
         "method_return",
         {240, 97, 197, 123, 221, 58, 467, 88},
         "00000000000000040000000102000008000000000000000020000020000001000000000000000000000000000"
         "000000000000000000000000000080000000000"},
        {"message-type",
         "error",
         {224, 480, 311, 359, 44, 327, 418, 121},
         "00000000001000000000000000000002000000000000000000000000010000000000000000008000800000008"
         "000000000000000040000000000000001000000"},
        {"interface",
         "org.freedesktop.DBus",
         {419, 384, 90, 1, 317, 249, 417, 474},
         "02000000000000000000000400000000000000000000000000000000000000020000000000000020000000000"
         "0000000010000000a0000000000000400000000"},
        {"member",
         "NameOwnerChanged",
         {289, 108, 414, 301, 234, 125, 244, 433},
         "00000000000000000000000000100020000000000000000000000000000410000000000002200000000000000"
         "000000000000040000002000000000000000000"},
        {"path",
         "/org/freedesktop/DBus",
         {281, 246, 377, 301, 215, 27, 143, 494},
         "00000008000000000000000000000000008000000000000000008000000040000000000200200000000000000"
         "000000200000000000000000000000000400000"},
        {"path",
         "/",
         {386, 294, 5, 148, 325, 202, 218, 3},
         "28000000000000000000000000000000000010000000000000040004000000000000000040000000200000000"
         "000000004000000000000000000000000000000"},
        {"path-slash-prefix",
         "/",
         {163, 298, 112, 257, 171, 260, 48, 403},
         "00000000000001000000000000000100000000000808000000000000000000001200000000040000000000000"
         "000000000000800000000000000000000000000"},
        {"path-slash-prefix",
         "/foo",
         {235, 24, 425, 314, 321, 144, 146, 360},
         "00000001000000000000000000000000000005000000000000000000000800000000000000000004020000000"
         "001000000000000000200000000000000000000"},
        {"arg0",
         "",
         {308, 357, 461, 426, 155, 169, 310, 83},
         "00000000000000000000080000000000000000080002000000000000000000000000000000005000000000002"
         "000000000000000000400000020000000000000"},
        {"arg0",
         "foobar",
         {13, 4, 232, 128, 14, 116, 404, 168},
         "10600000000000000000000000001000010000000001000000000000000100000000000000000000000000000"
         "000000000001000000000000000000000000000"},
        {"arg0-dot-prefix",
         "org.example",
         {228, 171, 358, 459, 291, 338, 158, 194},
         "00000000000000000000000000000000000000400008000004000000100000000000000008000000000004004"
         "000000000000000000000000008000000000000"},
        {"arg0-has",
         "aa",
         {462, 417, 194, 506, 155, 322, 413, 443},
         "00000000000000000000000000000000000000080000000004000000000000000000000000000000040000000"
         "000000000000020020000080040000000000004"},
    };
    for (const Row& row : rows) {
        INFO(row.label << ":" << row.value);
        CHECK(filter_of(row.label, row.value) == row.filter);
        CHECK(indices(row.label, row.value, usual) == row.bits);
    }
}

TEST_CASE("other parameters (3.5)", "[bloom]") {
    struct Row {
        BloomParameter parameter;
        std::vector<unsigned> bits;
    };
    for (const Row& row : std::vector<Row>{
             {{8, 1}, {13}},
             {{32, 8}, {205, 33, 96, 108, 237, 158, 19, 45}},
             {{64, 8}, {289, 108, 414, 301, 234, 125, 244, 433}},
             {{128, 8}, {289, 108, 414, 813, 746, 637, 756, 433}},
             {{4096, 8}, {19745, 24684, 28062, 4909, 24298, 7805, 18164, 21937}},
         }) {
        INFO(row.parameter.size);
        CHECK(indices("member", "NameOwnerChanged", row.parameter) == row.bits);
    }
    // 24 bytes: the mask 191 lets every bit but 64 through; 33 = 0x21 keeps its value.
    auto bits = indices("member", "NameOwnerChanged", {24, 8});
    CHECK(bits == std::vector<unsigned>{141, 33, 32, 44, 173, 158, 19, 45});
    // Only the first eight are known for more hashes: (32, 64), (64, 32), (4096, 16).
    for (const BloomParameter parameter : {BloomParameter{32, 64}, {64, 32}, {4096, 16}}) {
        std::vector<std::uint64_t> few(parameter.words()), many(parameter.words());
        bloom_add(few, {parameter.size, 8}, "member", "NameOwnerChanged");
        bloom_add(many, parameter, "member", "NameOwnerChanged");
        CHECK(bloom_passes(many, few));
        CHECK(many != few);
    }
}

TEST_CASE("parameters that must be refused (3.1)", "[bloom]") {
    for (const BloomParameter good : {BloomParameter{64, 8},
                                      {64, 32},
                                      {8, 1},
                                      {32, 32},
                                      {56, 64},
                                      {8, 64},
                                      {4096, 16},
                                      {8192, 32},
                                      {std::uint64_t{1} << 32, 1}})
        CHECK(good.acceptable());
    for (const BloomParameter bad : {BloomParameter{64, 33},
                                     {8192, 33},
                                     {0, 8},
                                     {63, 8},
                                     {64, 0},
                                     {8, 65},
                                     {64, UINT64_MAX},
                                     {(std::uint64_t{1} << 32) + 8, 1},
                                     {UINT64_MAX - 7, 1}})
        CHECK_FALSE(bad.acceptable());
    const Signal signal(Format::gvariant, "/", "a.b", "C");
    std::vector<std::uint64_t> filter(8);
    CHECK(error_of(make_signal_filter(signal.message, {64, 33}, filter)) == Errc::bad_bloom);
    CHECK(error_of(make_signal_filter(signal.message, {72, 8}, filter)) == Errc::bad_bloom);
}

TEST_CASE("filters of whole signals (3.5)", "[bloom]") {
    for (Format format : {Format::gvariant, dbus1_native}) {
        CHECK(filter_of(Signal(format, "/", "org.example.Iface", "Tick")) ==
              "28000000000001200000008048100100100511000808400000040a040000080012000000400420012002"
              "00000000008014000800048104200000000000000004");
        CHECK(filter_of(Signal(format, "/foo/bar/waldo", "waldo.com", "Piep", "foobar")) ==
              "15681423000001d88401000240301100390405013809000004a05000000f0040124200210004e2058601"
              "0c2201a1008018001800080291292004018020010026");
        CHECK(filter_of(Signal(format, "/foo/bar/waldo", "waldo.com", "Piep", "foobar",
                               "second.one/x")) ==
              "15681423000041d88401200240301100b9140581380f010604a05102018f0141934202314404e245e685"
              "8c6201a12481185018908c0a93693024858420010066");
        CHECK(filter_of(Signal(format, "/foo/bar/waldo", "waldo.com", "Piep",
                               std::vector<std::string>{"aa", "bb"}, "foobar")) ==
              "051a1423000003688401400240300100302605091808000804a41008000e4060124200210004e8050608"
              "0ca201a10080100008280a420129604881a004010026");
        CHECK(filter_of(Signal(format, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                               "NameOwnerChanged", "org.example.X")) ==
              "0a100a08046029681808449c441101201084a0e008080362e4808020380450025621201a8a2d21290000"
              "0608440008d2152008451a4083820208110600404021");
        // The worked example of 1.9.
        CHECK(filter_of(
                  Signal(format, "/org/example/Obj", "org.example.Iface", "Changed", "hello", 7)) ==
              "002000000020610090010446da1001003087000008085a1000004a08028808087e8b0400800524a50002"
              "800014000090108008a11083119810100442060b0082");
        // Whatever is neither text nor an array of it ends the scan.
        CHECK(filter_of(Signal(format, "/foo/bar/waldo", "waldo.com", "Piep", "foobar", 7u,
                               "second.one/x")) ==
              filter_of(Signal(format, "/foo/bar/waldo", "waldo.com", "Piep", "foobar")));
    }
}

TEST_CASE("a malformed body fails the filter", "[bloom]") {
    Signal signal(Format::gvariant, "/", "a.b", "C", "text");
    signal.body.bytes[1] = std::byte{0xff};
    std::vector<std::uint64_t> filter(8);
    CHECK(error_of(make_signal_filter(signal.message, usual, filter)) == Errc::bad_string);
}

TEST_CASE("the mask of a match rule (3.5)", "[bloom]") {
    const auto rule =
        MatchRule::parse("path='/foo/bar/waldo',interface='waldo.com',member='Piep',arg0='foobar'");
    REQUIRE(rule);
    const auto compiled = rule->compile(usual);
    REQUIRE(compiled.signals);
    CHECK(hex(std::as_bytes(std::span(compiled.signals->mask))) ==
          "10600000000000488401000200001000210000010001000000a0000000010040000000200000c00004000020"
          "0120000000001000080001202000010000000000");
}
