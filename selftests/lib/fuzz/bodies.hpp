// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_FUZZ_BODIES_HPP
#define KDBUS_SELFTESTS_FUZZ_BODIES_HPP

#include "fuzz.hpp"

#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/message.hpp>

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace fuzz {

using kdbus::wire::Buffer;
using kdbus::wire::Format;
using kdbus::wire::Reader;
using kdbus::wire::Variant;
using kdbus::wire::Writer;

/// Appends some of all there is.
inline void write_example(Writer& writer) {
    writer.append(std::uint8_t{1}, true, std::int16_t{-2}, std::uint32_t{3}, std::int64_t{-4}, 5.5);
    writer.append("text").append(kdbus::wire::ObjectPath("/path"));
    writer.append(kdbus::wire::Signature("a{sv}")).append(kdbus::wire::UnixFd{0});
    writer.append(std::vector<std::string>{"a", "", "bc"});
    writer.append(std::vector<double>{1, 2});
    writer.append(std::map<std::string, Variant>{
        {"one", Variant(std::uint64_t{1})},
        {"two", Variant(std::vector<std::tuple<bool, std::string>>{{true, "yes"}})}});
    writer.append(std::tuple<std::uint8_t, std::tuple<std::uint64_t>>{1, {2}});
    writer.append(Variant(Variant::nested(Variant(std::uint16_t{7}))));
}

/// Reads everything, value by value. False as soon as something is wrong.
inline bool walk(Reader& reader) {
    while (!reader.at_end()) {
        const char type = reader.peek_type();
        bool good;
        switch (type) {
        case 's':
        case 'o':
        case 'g':
            good = reader.read_text(type).has_value();
            break;
        case 'a':
            good = reader.enter_array() && walk(reader) && reader.exit();
            break;
        case '(':
            good = reader.enter_struct() && walk(reader) && reader.exit();
            break;
        case '{':
            good = reader.enter_dict_entry() && walk(reader) && reader.exit();
            break;
        case 'v':
            good = reader.enter_variant() && walk(reader) && reader.exit();
            break;
        default:
            good = reader.read_fixed(type).has_value();
        }
        if (!good)
            return false;
    }
    return !reader.error();
}

/// Copies a body that is valid, value by value.
inline std::vector<std::byte> rewrite(Format from, std::string_view signature,
                                      std::span<const std::byte> body, Format to) {
    Buffer buffer;
    Writer writer(buffer, to);
    Reader reader(from, signature, body);
    while (!reader.at_end())
        writer.append_value(reader);
    REQUIRE(reader.finish());
    REQUIRE(writer.finish());
    REQUIRE(writer.signature() == signature);
    const auto written = writer.body();
    return {written.begin(), written.end()};
}

} // namespace fuzz

#endif
