// SPDX-License-Identifier: LGPL-2.1-or-later
// Message bodies: Reader, Writer, convert_body(), typed values.
#include "bodies.hpp"

#include <kdbus/wire/convert.hpp>

namespace wire = kdbus::wire;
using fuzz::Format;

namespace {

/// Reads the body as C++ types; @p valid says whether it is a body of @p signature.
template <class T>
void read_typed(Format format, std::string_view signature, std::span<const std::byte> body,
                bool valid) {
    wire::Reader reader(format, signature, body);
    const auto value = reader.read<T>();
    if (signature != wire::signature_of<T>)
        return;
    // Elements that lie misaligned or the wrong way round are no error of the body.
    if (!value && value.error() == wire::make_error_code(wire::Errc::misaligned))
        return;
    // A container for values that are all different takes each once.
    REQUIRE((value && reader.finish()) == valid);
    if (!valid || format != wire::dbus1_native)
        return;
    wire::Buffer buffer;
    wire::Writer writer(buffer, format);
    writer.append(*value);
    REQUIRE(writer.finish());
    // (Dictionaries are sorted, and have each key once.)
    if (signature.find('{') == signature.npos)
        REQUIRE(fuzz::equal(writer.body(), body));
}

void check_copies(Format format, std::string_view signature, std::span<const std::byte> body) {
    const auto variant = fuzz::rewrite(format, signature, body, Format::gvariant);
    const auto dbus1 = fuzz::rewrite(format, signature, body, wire::dbus1_native);
    // (A true boolean may be any number in GVariant.)
    if (format == Format::gvariant)
        REQUIRE(variant.size() == body.size());
    if (format == wire::dbus1_native)
        REQUIRE(fuzz::equal(dbus1, body));
    REQUIRE(fuzz::equal(fuzz::rewrite(Format::gvariant, signature, variant, wire::dbus1_native),
                        dbus1));
    REQUIRE(fuzz::equal(fuzz::rewrite(wire::dbus1_native, signature, dbus1, Format::gvariant),
                        variant));
    for (const auto to : {Format::gvariant, wire::dbus1_native}) {
        wire::Buffer out;
        REQUIRE(wire::convert_body(format, signature, body, to, out) ==
                wire::validate_body(format, signature, body));
        REQUIRE(fuzz::equal(out.bytes(), to == Format::gvariant ? variant : dbus1));
    }
}

} // namespace

std::vector<std::string> fuzz::seeds() {
    std::vector<std::string> seeds;
    for (const auto format : {Format::dbus1_le, Format::gvariant}) {
        wire::Buffer buffer;
        wire::Writer writer(buffer, format);
        fuzz::write_example(writer);
        REQUIRE(writer.finish());
        seeds.push_back(fuzz::seed(format == Format::gvariant ? 2 : 0, writer.signature().size(),
                                   writer.signature(), fuzz::view(writer.body())));
    }
    // The types that are read typed below, once each.
    for (const char* signature : {"a{sv}", "as", "a(yt)", "ad", "(sa{ub})", "v", "ah", "aay"})
        seeds.push_back(fuzz::seed(0, std::string_view(signature).size(), signature,
                                   std::string_view("\0\0\0\0\0\0\0\0", 8)));
    return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto format = static_cast<Format>(input.byte() % 3);
    const auto types = input.text(input.byte());
    const auto signature = fuzz::view(types);
    const auto body = input.bytes();

    const auto valid = wire::validate_body(format, signature, body);
    wire::Reader reader(format, signature, body);
    REQUIRE((fuzz::walk(reader) && reader.finish()) == valid.has_value());
    if (valid) {
        REQUIRE(reader.unix_fds_needed() == *valid);
        check_copies(format, signature, body);
    }
    const bool good = valid.has_value();
    read_typed<std::map<std::string, wire::Variant>>(format, signature, body, good);
    read_typed<std::vector<std::string_view>>(format, signature, body, good);
    read_typed<std::vector<std::tuple<std::uint8_t, std::uint64_t>>>(format, signature, body, good);
    read_typed<std::span<const double>>(format, signature, body, good);
    read_typed<std::vector<std::int16_t>>(format, signature, body, good);
    read_typed<std::tuple<std::string, std::map<std::uint32_t, bool>>>(format, signature, body,
                                                                       good);
    read_typed<wire::Variant>(format, signature, body, good);
    read_typed<std::vector<wire::UnixFd>>(format, signature, body, good);
    read_typed<std::vector<std::vector<std::byte>>>(format, signature, body, good);
    read_typed<std::vector<wire::ObjectPath>>(format, signature, body, good);
    return 0;
}
