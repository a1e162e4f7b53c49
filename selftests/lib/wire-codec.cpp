// SPDX-License-Identifier: LGPL-2.1-or-later
// Reader, Writer, Variant and the mapping of C++ types (dbus-on-kdbus.md 1.4, 1.5, 8).
#include <catch2/catch.hpp>

#include <limits>

#include <kdbus/wire/bloom.hpp>
#include <kdbus/wire/convert.hpp>
#include <kdbus/wire/match.hpp>
#include <linux/kdbus.h>

#include "wire-support.hpp"

using namespace kdbus::wire;
using namespace std::literals;
using wire_test::Body;
using wire_test::body_of;
using wire_test::bytes_of;
using wire_test::error_of;
using wire_test::hex;

namespace {

using Strings = std::vector<std::string>;
using Dict = std::map<std::string, Variant>;

/// Writes the values, compares the bytes, reads the values back, and takes them through D-Bus 1.
template <class... Ts>
void check_vector(std::string_view signature, std::string_view body, std::string_view footer,
                  const Ts&... values) {
    INFO(signature);
    const Body gvariant = body_of(Format::gvariant, values...);
    CHECK(gvariant.signature == signature);
    CHECK(signature_of<Ts...> == signature);
    CHECK(hex(gvariant.bytes) == hex(bytes_of(body)));

    Buffer tail;
    REQUIRE(append_kdbus_footer(gvariant.signature, gvariant.bytes.size(), 16, tail));
    CHECK(hex(tail.bytes().first(tail.size() - 1)) == hex(bytes_of(footer)));

    for (Format format : {Format::gvariant, dbus1_native}) {
        const Body written = body_of(format, values...);
        CHECK(validate_body(format, signature, written.bytes).has_value());
        Reader reader(format, signature, written.bytes);
        [[maybe_unused]] const auto same = [](const auto& result, const auto& value) {
            return result && *result == value;
        };
        CHECK((same(reader.read<Ts>(), values) && ...));
        CHECK(reader.at_end());
        CHECK(reader.finish());
        Buffer other;
        const Format to = format == Format::gvariant ? dbus1_native : Format::gvariant;
        REQUIRE(convert_body(format, signature, written.bytes, to, other));
        CHECK(hex(other) == hex(body_of(to, values...).bytes));
    }
}

std::error_code read_error(Format format, std::string_view signature, std::string_view body) {
    return error_of(validate_body(format, signature, bytes_of(body)));
}

} // namespace

TEST_CASE("bodies of 1.4, byte for byte", "[codec]") {
    check_vector("", "00", "00 28 29");
    check_vector("y", "11", "00 28 79 29", std::uint8_t{0x11});
    check_vector("yu", "01 000000 02000000", "00 28 79 75 29", std::uint8_t{1}, 2u);
    check_vector("(uy)", "01000000 02 000000", "00 28 28 75 79 29 29",
                 std::tuple(1u, std::uint8_t{2}));
    check_vector("ay", "010203", "00 28 61 79 29", std::vector<std::uint8_t>{1, 2, 3});
    check_vector("as", "", "00 28 61 73 29", Strings{});
    check_vector("sas", "6b00 02", "00 28 73 61 73 29", "k"s, Strings{});
    check_vector("a{sv}u", "09000000 00", "00 28 61 7b 73 76 7d 75 29", Dict{}, 9u);
    check_vector("v", "03000000 00 287529", "00 28 76 29", Variant(std::tuple(3u)));
    check_vector("v", "7800 00 73 00 76", "00 28 76 29", Variant::nested(Variant("x")));
    check_vector("aas", "6100 02 6200 6300 02 04 03 09", "00 28 61 61 73 29",
                 std::vector<Strings>{{"a"}, {"b", "c"}});
    check_vector("s(sas)u", "7000 7100 7200 737400 02 05 02 4d000000 0c 02",
                 "00 28 73 28 73 61 73 29 75 29", "p"s, std::tuple("q"s, Strings{"r", "st"}), 77u);
    check_vector("go", "617b73767d00 2f7800 06", "00 28 67 6f 29", Signature("a{sv}"),
                 ObjectPath("/x"));
    check_vector("asd",
                 "6f6e6500 74776f00 746872656500 04 08 0e 00000000000000 000000000000f83f 11",
                 "00 28 61 73 64 29", Strings{"one", "two", "three"}, 1.5);
    check_vector("av", "01000000 00 75 0000 7a00 00 73 06 0c", "00 28 61 76 29",
                 std::vector{Variant(1u), Variant("z")});
    // Section 1.9: a call with an fd.
    check_vector("sbh", "78 00 01 00 00000000 02", "00 28 73 62 68 29", "x"s, true, UnixFd{0});
}

TEST_CASE("every basic type keeps its value", "[codec]") {
    check_vector("ybnqiuxtdsogh",
                 "ff 01 feff ffff 0000 fdffffff ffffffff 0000000000000080 ffffffffffffffff"
                 "000000000000f83f c3a900 2f00 7300 00 07000000 2f 2d 2b",
                 "00 28 79 62 6e 71 69 75 78 74 64 73 6f 67 68 29", std::uint8_t{255}, true,
                 std::int16_t{-2}, std::uint16_t{65535}, std::int32_t{-3}, 0xffffffffu,
                 std::numeric_limits<std::int64_t>::min(),
                 std::numeric_limits<std::uint64_t>::max(), 1.5, "\xc3\xa9"s, ObjectPath("/"),
                 Signature("s"), UnixFd{7});
}

TEST_CASE("D-Bus 1 bodies, byte for byte", "[codec]") {
    if (dbus1_native != Format::dbus1_le)
        return;
    const auto dbus1 = [](const auto&... values) {
        return hex(body_of(Format::dbus1_le, values...).bytes);
    };
    CHECK(dbus1() == "");
    CHECK(dbus1(std::uint8_t{1}, "hi", 7u, true) ==
          hex(bytes_of("01000000 02000000 686900 00 07000000 01000000")));
    CHECK(dbus1(Signature("a{sv}"), ObjectPath("/")) ==
          hex(bytes_of("05 617b73767d 00 00 01000000 2f 00")));
    CHECK(dbus1(std::vector<std::uint64_t>{}) == hex(bytes_of("00000000 00000000")));
    CHECK(dbus1(std::vector<std::uint64_t>{1}) ==
          hex(bytes_of("08000000 00000000 0100000000000000")));
    CHECK(dbus1(std::vector{std::tuple(std::uint8_t{1}), std::tuple(std::uint8_t{2})}) ==
          hex(bytes_of("09000000 00000000 01 00000000000000 02")));
    CHECK(dbus1(Dict{{"k", Variant(5u)}}) ==
          hex(bytes_of("10000000 00000000 01000000 6b00 017500 000000 05000000")));
}

TEST_CASE("foreign byte order is read and converted", "[codec]") {
    const auto body = bytes_of("01 00 0002 00000003 0000000000000004 3ff8000000000000 00000002 "
                               "6869 00 00 00000004 0005 0006 "
                               "01 71 00 00 0007");
    const std::string_view signature = "yqutdsaqv";
    Reader reader(Format::dbus1_be, signature, body);
    CHECK(reader.read<std::uint8_t>() == std::uint8_t{1});
    CHECK(reader.read<std::uint16_t>() == std::uint16_t{2});
    CHECK(reader.read<std::uint32_t>() == 3u);
    CHECK(reader.read<std::uint64_t>() == std::uint64_t{4});
    CHECK(reader.read<double>() == 1.5);
    CHECK(reader.read<std::string_view>() == "hi"sv);
    CHECK(error_of(reader.read<std::span<const std::uint16_t>>()) == Errc::misaligned);
    CHECK(reader.read<std::vector<std::uint16_t>>() == std::vector<std::uint16_t>{5, 6});
    CHECK(reader.read<Variant>() == Variant(std::uint16_t{7}));
    CHECK(reader.finish());

    Buffer out;
    REQUIRE(convert_body(Format::dbus1_be, signature, body, Format::gvariant, out));
    CHECK(hex(out) ==
          hex(body_of(Format::gvariant, std::uint8_t{1}, std::uint16_t{2}, 3u, std::uint64_t{4},
                      1.5, "hi", std::vector<std::uint16_t>{5, 6}, Variant(std::uint16_t{7}))
                  .bytes));
    Buffer writer_out;
    Writer writer(writer_out,
                  dbus1_native == Format::dbus1_le ? Format::dbus1_be : Format::dbus1_le);
    CHECK(error_of(writer.append(1u).finish()) == Errc::wrong_format);
}

TEST_CASE("spans are read in place", "[codec]") {
    const std::vector<std::uint32_t> numbers{1, 2, 3};
    for (Format format : {Format::gvariant, dbus1_native}) {
        const Body body =
            body_of(format, numbers, std::vector<double>{}, std::vector<UnixFd>{{4}, {2}});
        Reader reader(format, body.signature, body.bytes);
        const auto span = reader.read<std::span<const std::uint32_t>>();
        REQUIRE(span);
        CHECK(std::equal(span->begin(), span->end(), numbers.begin(), numbers.end()));
        CHECK(reinterpret_cast<const std::byte*>(span->data()) >= body.bytes.data());
        CHECK(reader.read<std::span<const double>>()->empty());
        CHECK(reader.read<std::vector<UnixFd>>() == std::vector<UnixFd>{{4}, {2}});
        CHECK(reader.unix_fds_needed() == 5);
        CHECK(reader.finish());

        // The same bytes one further on: no span, but the values.
        std::vector<std::byte> shifted(body.bytes.size() + 1);
        std::copy(body.bytes.begin(), body.bytes.end(), shifted.begin() + 1);
        Reader misaligned(format, body.signature, std::span(shifted).subspan(1));
        CHECK(error_of(misaligned.read_span<std::uint32_t>()) == Errc::misaligned);
        CHECK(misaligned.read<std::vector<std::uint32_t>>() == numbers);
        CHECK(misaligned.finish());
    }
}

TEST_CASE("wrong types neither move nor stick", "[codec]") {
    for (Format format : {Format::gvariant, dbus1_native}) {
        const Body body = body_of(format, "text", std::vector{1, 2}, std::tuple(true, 2.5));
        Reader reader(format, body.signature, body.bytes);
        CHECK(error_of(reader.read<std::uint32_t>()) == Errc::type_mismatch);
        CHECK(error_of(reader.read<ObjectPath>()) == Errc::type_mismatch);
        CHECK(error_of(reader.enter_array()) == Errc::type_mismatch);
        CHECK(error_of(reader.enter_struct()) == Errc::type_mismatch);
        CHECK(error_of(reader.enter_dict_entry()) == Errc::type_mismatch);
        CHECK(error_of(reader.enter_variant()) == Errc::type_mismatch);
        CHECK(error_of(reader.read_fixed('s')) == Errc::type_mismatch);
        CHECK(error_of(reader.exit()) == Errc::container_state);
        CHECK(reader.read<std::string>() == "text"s);
        CHECK(error_of(reader.read_text('a')) == Errc::type_mismatch);
        CHECK(error_of(reader.read<std::vector<unsigned>>()) == Errc::type_mismatch);
        CHECK(error_of(reader.read_fixed_array('u')) == Errc::type_mismatch);
        CHECK(error_of(reader.read<std::array<int, 2>>()) == std::error_code());
        CHECK(error_of(reader.read<std::tuple<bool, std::string>>()) == Errc::type_mismatch);
        CHECK(reader.read<std::pair<bool, double>>() == std::pair(true, 2.5));
        CHECK(error_of(reader.read<bool>()) == Errc::type_mismatch);
        CHECK(error_of(reader.skip()) == Errc::type_mismatch);
        CHECK_FALSE(reader.error());
        CHECK(reader.finish());
    }
}

TEST_CASE("containers can be left half read", "[codec]") {
    const Dict dict{{"a", Variant(1)}, {"b", Variant(Strings{"x", "y"})}, {"c", Variant(true)}};
    for (Format format : {Format::gvariant, dbus1_native}) {
        const Body body = body_of(format, dict, 5u);
        Reader reader(format, body.signature, body.bytes);
        CHECK(reader.peek_signature() == "a{sv}");
        REQUIRE(reader.enter_array());
        REQUIRE(reader.enter_dict_entry());
        CHECK(reader.read<std::string_view>() == "a"sv);
        REQUIRE(reader.exit());
        REQUIRE(reader.enter_dict_entry());
        REQUIRE(reader.skip());
        CHECK(reader.enter_variant() == "as"sv);
        REQUIRE(reader.enter_array());
        CHECK(reader.read<std::string_view>() == "x"sv);
        REQUIRE(reader.exit());
        REQUIRE(reader.exit());
        REQUIRE(reader.exit());
        REQUIRE(reader.exit());
        CHECK(reader.read<std::uint32_t>() == 5u);
        CHECK(reader.finish());
        Reader copy(format, body.signature, body.bytes);
        REQUIRE(copy.enter_array());
        REQUIRE(copy.enter_dict_entry());
        CHECK(copy.finish()); // from the middle
        Reader whole(format, body.signature, body.bytes);
        CHECK(whole.read<Dict>() == dict);
    }
}

TEST_CASE("variants hold any value", "[codec]") {
    const Variant deep(
        Dict{{"k", Variant(std::vector{Variant(std::tuple(1, "s"s)), Variant(2.5)})}});
    CHECK(deep.type() == "a{sv}");
    CHECK(deep.get<Dict>()->at("k").get<std::vector<Variant>>()->at(1).get<double>() == 2.5);
    CHECK(error_of(deep.get<std::string>()) == Errc::type_mismatch);
    CHECK(Variant("view").get<std::string_view>() == "view"sv);
    CHECK(Variant(1) == Variant(1));
    CHECK_FALSE(Variant(1) == Variant(1u));
    CHECK_FALSE(Variant(1) == Variant(2));
    CHECK(Variant::nested(deep).get<Variant>() == deep);
    CHECK(Variant().empty());
    CHECK(Variant("\xff").empty());
    CHECK(Variant(ObjectPath("nonsense")).empty());
    CHECK(error_of(Variant().get<int>()) == Errc::type_mismatch);
    Buffer buffer;
    Writer writer(buffer, Format::gvariant);
    CHECK(error_of(writer.append(1, Variant()).finish()) == Errc::bad_signature);
    CHECK(buffer.empty());
}

TEST_CASE("what follows a nested variant keeps its type, however deep", "[codec]") {
    // In each variant a struct: a variant, then members of other types than those inside it.
    for (Format format : {Format::gvariant, dbus1_native}) {
        constexpr int levels = 20;
        const auto type = [](int level) {
            return level % 2 == 0 ? "(vst)"sv : "(v(yn)as)"sv;
        };
        Buffer buffer;
        Writer writer(buffer, format);
        for (int i = 0; i < levels; i++)
            writer.open_variant(type(i)).open_struct(type(i).substr(1, type(i).size() - 2));
        writer.append(Variant("core"));
        for (int i = levels - 1; i >= 0; i--) {
            if (i % 2 == 0)
                writer.append(std::to_string(i), std::uint64_t(i));
            else
                writer.append(std::tuple(std::uint8_t(i), std::int16_t(-i)), Strings{"x", "y"});
            writer.close().close();
        }
        REQUIRE(writer.finish());
        CHECK(validate_body(format, "v", writer.body()).has_value());
        Reader reader(format, "v", writer.body());
        for (int i = 0; i < levels; i++) {
            CHECK(reader.enter_variant() == type(i));
            REQUIRE(reader.enter_struct());
        }
        CHECK(reader.read<Variant>() == Variant("core"));
        for (int i = levels - 1; i >= 0; i--) {
            if (i % 2 == 0) {
                CHECK(reader.read<std::string>() == std::to_string(i));
                CHECK(reader.read<std::uint64_t>() == std::uint64_t(i));
            } else {
                CHECK(reader.read<std::tuple<std::uint8_t, std::int16_t>>() ==
                      std::tuple(std::uint8_t(i), std::int16_t(-i)));
                CHECK(reader.read<Strings>() == Strings{"x", "y"});
            }
            REQUIRE(reader.exit());
            REQUIRE(reader.exit());
        }
        CHECK(reader.finish());
    }
}

TEST_CASE("a writer refuses what is not valid and leaves nothing behind", "[codec]") {
    for (Format format : {Format::gvariant, dbus1_native}) {
        Buffer buffer;
        REQUIRE(buffer.append("before", 6));
        const auto attempt = [&](auto write) {
            Writer writer(buffer, format);
            write(writer);
            const auto done = writer.finish();
            CHECK(writer.error() == error_of(done));
            CHECK(buffer.size() == (done ? 6 + writer.body().size() : 6));
            buffer.truncate(6);
            return error_of(done);
        };
        CHECK(attempt([](Writer& w) { w.append("ok\xff"); }) == Errc::bad_string);
        CHECK(attempt([](Writer& w) { w.append("nul\0inside"sv); }) == Errc::bad_string);
        CHECK(attempt([](Writer& w) { w.append(ObjectPathView{"a/b"}); }) == Errc::bad_object_path);
        CHECK(attempt([](Writer& w) { w.append(SignatureView{"()"}); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.append_text('u', "x"); }) == Errc::type_mismatch);
        CHECK(attempt([](Writer& w) { w.append_fixed('s', 1); }) == Errc::type_mismatch);
        CHECK(attempt([](Writer& w) { w.append_fixed_array('b', "", 1); }) == Errc::type_mismatch);
        CHECK(attempt([](Writer& w) { w.open_array("m"); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.open_array(""); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.open_array("ss"); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.open_struct(""); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.open_struct("s)(s"); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.open_dict_entry("sv"); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.open_variant(""); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.open_variant("ss"); }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) { w.close(); }) == Errc::container_state);
        CHECK(attempt([](Writer& w) { w.open_array("s"); }) == Errc::container_state);
        CHECK(attempt([](Writer& w) { w.open_array("s").append(1).close(); }) ==
              Errc::type_mismatch);
        CHECK(attempt([](Writer& w) { w.open_struct("ss").append("a").close(); }) ==
              Errc::container_state);
        CHECK(attempt([](Writer& w) { w.open_struct("s").append("a", "b").close(); }) ==
              Errc::type_mismatch);
        CHECK(attempt([](Writer& w) { w.open_variant("s").close(); }) == Errc::container_state);
        CHECK(attempt([](Writer& w) { w.open_struct("(s)(s)").open_struct("s)(s"); }) ==
              Errc::type_mismatch);
        CHECK(attempt([](Writer& w) { w.open_array("{sv}").open_dict_entry("ss"); }) ==
              Errc::type_mismatch);
        CHECK(attempt([](Writer& w) {
                  for (int i = 0; i < 256; i++)
                      w.append(std::uint8_t{1});
              }) == Errc::bad_signature);
        CHECK(attempt([](Writer& w) {
                  for (int i = 0; i < 255; i++)
                      w.append(std::uint8_t{1});
              }) == std::error_code());
        Writer finished(buffer, format);
        CHECK(finished.append(1).finish());
        CHECK(finished.append(2).error() == Errc::container_state);
    }
}

TEST_CASE("nesting ends at 64 containers", "[codec]") {
    const auto nest = [](Format format, int depth) {
        Buffer buffer;
        Writer writer(buffer, format);
        for (int i = 1; i < depth; i++)
            writer.open_variant("v");
        writer.open_variant("y").append(std::uint8_t{1});
        for (int i = 0; i < depth; i++)
            writer.close();
        const auto done = writer.finish();
        if (done)
            CHECK(validate_body(format, "v", writer.body()).has_value());
        return error_of(done);
    };
    for (Format format : {Format::gvariant, dbus1_native}) {
        CHECK(nest(format, 64) == std::error_code());
        CHECK(nest(format, 65) == Errc::too_deep);
    }
    // Structs of fixed size in an array are not walked one by one, but counted.
    for (const int structs : {23, 24}) {
        const std::string type = "a" + std::string(static_cast<unsigned>(structs), '(') + "y" +
                                 std::string(static_cast<unsigned>(structs), ')');
        std::string value = "0100" + hex(std::as_bytes(std::span(type)));
        for (int i = 1; i < 40; i++)
            value += "0076";
        CHECK(read_error(Format::gvariant, "v", value) ==
              (structs == 23 ? std::error_code() : make_error_code(Errc::too_deep)));
    }
    // Hostile bytes, written by hand: 65 variants.
    std::string dbus1, gvariant = "01";
    for (int i = 0; i < 64; i++)
        dbus1 += "017600";
    dbus1 += "01790001";
    gvariant += "0079";
    for (int i = 0; i < 64; i++)
        gvariant += "0076";
    CHECK(read_error(Format::dbus1_le, "v", dbus1) == Errc::too_deep);
    CHECK(read_error(Format::dbus1_le, "v", dbus1.substr(6)) == std::error_code());
    CHECK(read_error(Format::gvariant, "v", gvariant) == Errc::too_deep);
    CHECK(read_error(Format::gvariant, "v", gvariant.substr(0, gvariant.size() - 4)) ==
          std::error_code());
}

TEST_CASE("sizes end at 64 MiB per array and 128 MiB per message (7.3)", "[codec]") {
    std::vector<std::byte> big(max_array_size + 1);
    Buffer buffer;
    const auto write = [&](Format format, std::size_t size) {
        buffer.clear();
        Writer writer(buffer, format);
        writer.append_fixed_array('y', big.data(), size);
        return error_of(writer.finish());
    };
    CHECK(write(dbus1_native, max_array_size) == std::error_code());
    CHECK(validate_body(dbus1_native, "ay", buffer.bytes()).has_value());
    CHECK(write(dbus1_native, max_array_size + 1) == Errc::array_too_long);
    CHECK(write(Format::gvariant, max_array_size + 1) == std::error_code());
    Buffer converted;
    CHECK(error_of(convert_body(Format::gvariant, "ay", buffer.bytes(), dbus1_native, converted)) ==
          Errc::array_too_long);
    CHECK(converted.empty());

    buffer.clear();
    Writer writer(buffer, dbus1_native);
    for (int i = 0; i < 3; i++)
        writer.append_fixed_array('y', big.data(), max_array_size);
    CHECK(error_of(writer.finish()) == Errc::message_too_long);
    CHECK(read_error(Format::dbus1_le, "ay", "01000004") == Errc::array_too_long);
    CHECK(read_error(Format::dbus1_le, "ay", "00000004") == Errc::truncated);
}

TEST_CASE("framing offsets widen where the reader expects it (1.5)", "[codec]") {
    // Content and one offset fit 255 bytes together, or need two-byte offsets.
    for (std::size_t size :
         {252, 253, 254, 255, 256, 65530, 65531, 65532, 65533, 65534, 65535, 65536}) {
        const std::string text(size, 'x');
        const Body body = body_of(Format::gvariant, text, "");
        const std::size_t content = size + 2;
        const std::size_t width = content + 1 <= 0xFF ? 1 : content + 2 <= 0xFFFF ? 2 : 4;
        CHECK(body.bytes.size() == content + width);
        Reader reader(Format::gvariant, "ss", body.bytes);
        CHECK(reader.read<std::string_view>() == text);
        CHECK(reader.read<std::string_view>() == ""sv);
        CHECK(reader.finish());
        const Body array = body_of(Format::gvariant, Strings{text, ""});
        Reader array_reader(Format::gvariant, "as", array.bytes);
        CHECK(array_reader.read<Strings>() == Strings{text, ""});
        CHECK(array_reader.finish());
    }
}

TEST_CASE("framing offsets wider than needed are not normal", "[codec]") {
    // 253 bytes and two one-byte offsets make 255; with two-byte offsets 257, which reads as such.
    const std::string text = hex(std::vector<std::byte>(248, std::byte{'x'})) + "00 6100 6200";
    CHECK(read_error(Format::gvariant, "sss", text + "fbf9") == std::error_code());
    CHECK(read_error(Format::gvariant, "sss", text + "fb00 f900") == Errc::bad_offset);
    const std::string two = hex(std::vector<std::byte>(250, std::byte{'x'})) + "00 6100";
    CHECK(read_error(Format::gvariant, "as", two + "fb fd") == std::error_code());
    CHECK(read_error(Format::gvariant, "as", two + "fb00 fd00") == Errc::bad_offset);
}

TEST_CASE("malformed D-Bus 1 bodies", "[codec]") {
    struct Row {
        std::string_view signature, body;
        Errc error;
    };
    for (const Row& row : {
             Row{"b", "02000000", Errc::bad_boolean},
             {"b", "00000001", Errc::bad_boolean},
             {"ab", "04000000 02000000", Errc::bad_boolean},
             {"yu", "01 000001 02000000", Errc::bad_padding},
             {"yu", "01 0000", Errc::truncated},
             {"u", "010000", Errc::truncated},
             {"u", "", Errc::truncated},
             {"u", "01000000 00", Errc::trailing_bytes},
             {"", "00", Errc::trailing_bytes},
             {"s", "02000000 6869", Errc::truncated},
             {"s", "02000000 6869 01", Errc::bad_string},
             {"s", "03000000 686900 00", Errc::bad_string},
             {"s", "02000000 c328 00", Errc::bad_string},
             {"s", "ffffffff 00", Errc::truncated},
             {"s", "fbffffff 00", Errc::truncated},
             {"o", "02000000 2f2f 00", Errc::bad_object_path},
             {"o", "00000000 00", Errc::bad_object_path},
             {"g", "02 2829 00", Errc::bad_signature},
             {"g", "01 6d 00", Errc::bad_signature},
             {"g", "05 79 00", Errc::truncated},
             {"au", "03000000 000000", Errc::array_too_long},
             {"au", "08000000 00000000", Errc::truncated},
             {"at", "00000000", Errc::truncated},
             {"at", "00000000 01000000", Errc::bad_padding},
             {"as", "05000000 01000000 61", Errc::truncated},
             {"a(y)", "02000000 00000000 0101", Errc::truncated},
             {"a(y)", "09000000 00000000 01 01000000000000 01", Errc::bad_padding},
             {"v", "", Errc::truncated},
             {"v", "01 79", Errc::truncated},
             {"v", "00 00", Errc::bad_signature},
             {"v", "02 7979 00 01 01", Errc::bad_signature},
             {"v", "01 6d 00 01", Errc::bad_signature},
             {"v", "01 79 01 01", Errc::bad_signature},
             {"v", "01 79 00", Errc::truncated},
             {"v", "04 7b73767d 00", Errc::bad_signature},
             {"()", "", Errc::bad_signature},
             {"a{vs}", "00000000", Errc::bad_signature},
         }) {
        INFO(row.signature << " " << row.body);
        CHECK(read_error(Format::dbus1_le, row.signature, row.body) == row.error);
    }
}

TEST_CASE("malformed and non-normal GVariant bodies", "[codec]") {
    struct Row {
        std::string_view signature, body;
        Errc error;
    };
    for (const Row& row : {
             Row{"", "", Errc::truncated},
             {"", "01", Errc::bad_padding},
             {"", "0000", Errc::trailing_bytes},
             {"u", "010000", Errc::truncated},
             {"u", "0100000000", Errc::trailing_bytes},
             {"yu", "01 000100 02000000", Errc::bad_padding},
             {"uy", "01000000 02 000001", Errc::bad_padding},
             {"s", "", Errc::bad_string},
             {"s", "6869", Errc::bad_string},
             {"s", "68006900", Errc::bad_string},
             {"s", "ff00", Errc::bad_string},
             {"o", "2f2f00", Errc::bad_object_path},
             {"g", "282900", Errc::bad_signature},
             {"ss", "6100 6200 05", Errc::bad_offset},
             {"ss", "6100 6200 00", Errc::bad_string},
             {"ss", "", Errc::bad_offset},
             {"su", "6100 0000 01000000 00 02", Errc::bad_offset},
             {"su", "6100 0100 01000000 02", Errc::bad_padding},
             {"su", "6100 0000 01000000 07", Errc::bad_string},
             {"sss", "6100 6200 6300 02 04", Errc::bad_string},
             {"ayayay", "01020304 02 04", Errc::bad_offset},
             {"ayu", "01000000 02000000 05", Errc::truncated},
             {"ayu", "01000000 02000000 03 0000000003", Errc::bad_offset},
             {"as", "6100 6200 02 05", Errc::bad_string},
             {"as", "6100 6200 04 02", Errc::bad_offset},
             {"as", "6100 6200 03 04", Errc::bad_string},
             {"as", "ff", Errc::bad_offset},
             {"as", "00", Errc::bad_string},
             {"au", "0100000002", Errc::array_too_long},
             {"a(yu)", "01000000020000", Errc::array_too_long},
             {"av", "01 00 79 0000000000 02 00 79 03 0c", Errc::bad_signature},
             {"av", "01 00 79 0100000000 02 00 79 03 0b", Errc::bad_padding},
             {"v", "", Errc::bad_signature},
             {"v", "00", Errc::bad_signature},
             {"v", "01 79", Errc::bad_signature},
             {"v", "0100 7979", Errc::bad_signature},
             {"v", "00 00 2829", Errc::bad_signature},
             {"v", "0000 6d79", Errc::bad_signature},
             {"v", "00 79", Errc::truncated},
             {"v", "0102 00 79", Errc::trailing_bytes},
             {"v", "010203 00 75", Errc::truncated},
             {"a{sv}", "6b00 0000000000 00 01 00 79 02 0b", Errc::bad_string},
             {"a{sv}", "6b00 000000000000 01 00 79 03 0c", Errc::bad_string},
         }) {
        INFO(row.signature << " " << row.body);
        CHECK(read_error(Format::gvariant, row.signature, row.body) == row.error);
    }
    // Booleans are the exception (1.4): any byte but 0 is true, and conversion normalises.
    CHECK(read_error(Format::gvariant, "bab", "02 00 ff") == std::error_code());
    Buffer out;
    REQUIRE(convert_body(Format::gvariant, "b", bytes_of("02"), Format::dbus1_le, out));
    CHECK(hex(out) == "01000000");
}

TEST_CASE("arrays of fixed-size structs are checked to the last byte", "[codec]") {
    using Element = std::tuple<std::uint8_t, std::tuple<UnixFd, std::uint8_t>, std::uint64_t, bool>;
    const std::vector<Element> elements{{1, {UnixFd{3}, 2}, 7, true},
                                        {4, {UnixFd{6}, 5}, 8, false}};
    const Body body = body_of(Format::gvariant, elements);
    REQUIRE(body.signature == "a(y(hy)tb)");
    REQUIRE(body.bytes.size() == 2 * 32);
    CHECK(validate_body(Format::gvariant, body.signature, body.bytes) == 7u);
    const std::string_view element_use = "v...vvvvv.......vvvvvvvvv.......";
    for (std::size_t at = 0; at < body.bytes.size(); at++) {
        auto damaged = body.bytes;
        damaged[at] |= std::byte{0x80};
        INFO(at);
        const bool padding = element_use[at % 32] == '.';
        CHECK(error_of(validate_body(Format::gvariant, body.signature, damaged)) ==
              (padding ? make_error_code(Errc::bad_padding) : std::error_code()));
        Reader reader(Format::gvariant, body.signature, damaged);
        CHECK(reader.read<std::vector<Element>>().has_value() == !padding);
    }
}

TEST_CASE("errors stick to a reader", "[codec]") {
    const auto bytes = bytes_of("02000000 01000000");
    Reader reader(Format::dbus1_le, "bu", bytes);
    CHECK(error_of(reader.read<bool>()) == Errc::bad_boolean);
    CHECK(error_of(reader.read<std::uint32_t>()) == Errc::bad_boolean);
    CHECK(reader.at_end());
    CHECK(reader.peek_signature().empty());
    CHECK(error_of(reader.skip()) == Errc::bad_boolean);
    CHECK(error_of(reader.finish()) == Errc::bad_boolean);
}

TEST_CASE("fixed-size arrays want their number of elements", "[codec]") {
    for (Format format : {Format::gvariant, dbus1_native}) {
        const Body body = body_of(format, std::array<int, 3>{1, 2, 3}, 4);
        Reader reader(format, body.signature, body.bytes);
        CHECK(error_of(reader.read<std::array<int, 2>>()) == Errc::wrong_size);
        CHECK(reader.read<int>() == 4);
    }
}

TEST_CASE("a message's whole way does not allocate once buffers are warm", "[codec]") {
    Buffer body, head, tail, scratch, converted, socket, back;
    std::vector<std::uint64_t> filter(8);
    const auto rule =
        MatchRule::parse("type='signal',path_namespace='/a',arg0='hello',arg2path='/x/'");
    REQUIRE(rule);
    const auto way = [&] {
        for (Buffer* buffer : {&body, &head, &tail, &converted, &socket, &back})
            buffer->clear();
        Writer writer(body, Format::gvariant);
        writer.append("hello", 7, ObjectPathView{"/x/y"}, std::tuple(1, true));
        writer.open_array("{sv}")
            .open_dict_entry("sv")
            .append("key")
            .open_variant("u")
            .append(5u)
            .close()
            .close()
            .close();
        if (!writer.finish())
            return false;
        Message message;
        message.type = MessageType::signal;
        message.flags = no_reply_expected;
        message.serial = 1;
        message.path = "/a/b";
        message.interface = "a.b";
        message.member = "M";
        message.signature = writer.signature();
        message.body = writer.body();
        KernelHead kernel;
        kernel.flags = KDBUS_MSG_SIGNAL;
        kernel.cookie = 1;
        kernel.sender = ":1.7";
        if (!make_signal_filter(message, BloomParameter{}, filter) ||
            !serialise_kdbus(message, head, tail))
            return false;
        const std::array<Piece, 2> pieces{{{head.data(), head.size()}, {tail.data(), tail.size()}}};
        const auto parsed = parse_kdbus(pieces, kernel, scratch);
        if (!parsed || !rule->matches(*parsed))
            return false;
        const auto dbus1 = convert_message(*parsed, dbus1_native, converted);
        if (!dbus1 || !serialise_dbus1(*dbus1, socket))
            return false;
        const auto again = parse_dbus1(socket.bytes());
        return again && convert_message(*again, Format::gvariant, back);
    };
    REQUIRE(way());
    const std::array before{body.data(),      head.data(),   tail.data(),
                            converted.data(), socket.data(), back.data()};
    const std::uint64_t count = wire_test::allocations;
    bool good = true;
    for (int i = 0; i < 10; i++)
        good = way() && good;
    CHECK(wire_test::allocations == count); // by operator new; the buffers' own memory:
    CHECK(good);
    CHECK(before == std::array{body.data(), head.data(), tail.data(), converted.data(),
                               socket.data(), back.data()});
    CHECK(scratch.capacity() == 0);
}

TEST_CASE("reused buffers and writers do not allocate", "[codec]") {
    Buffer buffer;
    Writer writer(buffer, Format::gvariant);
    const void* place = nullptr;
    for (int i = 0; i < 100; i++) {
        buffer.clear();
        writer.reset(buffer, i % 2 != 0 ? Format::gvariant : dbus1_native);
        REQUIRE(writer.append("hello", 7, std::tuple(1, "x")).finish());
        if (i == 0)
            place = buffer.data();
        CHECK(buffer.data() == place);
    }
    alignas(8) std::array<std::byte, 64> storage;
    Buffer borrowed{std::span<std::byte>(storage)};
    writer.reset(borrowed, Format::gvariant);
    REQUIRE(writer.append("hello").finish());
    CHECK(borrowed.data() == storage.data());
    REQUIRE(borrowed.append_zeros(100));
    CHECK(borrowed.data() != storage.data());
    CHECK(hex(borrowed.bytes().first(6)) == "68656c6c6f00");
    Buffer moved = std::move(borrowed);
    CHECK(moved.size() == 106);
    CHECK(borrowed.empty());
}
