// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fuzz.hpp"

#include <kdbus/wire/error_names.hpp>
#include <kdbus/wire/names.hpp>

namespace wire = kdbus::wire;

namespace {

/// UTF-8 by the book: a sequence is the shortest for a code point that exists and is not 0.
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i++]);
        const int more = lead < 0x80 ? 0 : lead < 0xc0 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (more < 0 || lead >= 0xf8 || static_cast<std::size_t>(more) > text.size() - i)
            return false;
        std::uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
        for (int k = 0; k < more; ++k) {
            const auto next = static_cast<unsigned char>(text[i++]);
            if ((next & 0xc0) != 0x80)
                return false;
            point = point << 6 | (next & 0x3fu);
        }
        constexpr std::uint32_t least[] = {1, 0x80, 0x800, 0x10000};
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
    }
    return true;
}

} // namespace

std::vector<std::string> fuzz::seeds() {
    return {":1.42",
            ":1.18446744073709551615",
            "org.example-x.Name_1",
            "org",
            "/",
            "/org/example/Path_1",
            "Member",
            "org.freedesktop.DBus.Error.Failed",
            "System.Error.EBADMSG",
            "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
            "\xed\xa0\x80"};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::Input(data, size).text();
    const auto name = fuzz::view(text);
    const bool unique = wire::is_unique_name(name), known = wire::is_well_known_name(name);
    REQUIRE(!(unique && known));
    REQUIRE(wire::is_bus_name(name) == (unique || known));
    REQUIRE(!known || wire::is_name_namespace(name));
    REQUIRE(wire::is_interface(name) == wire::is_error_name(name));
    REQUIRE(!wire::is_interface(name) || known);
    REQUIRE(!wire::is_member(name) || wire::is_name_namespace(name));
    REQUIRE(!wire::is_member(name) || wire::is_object_path("/" + std::string(name)));
    const bool plain = wire::is_bus_name(name) || wire::is_object_path(name);
    REQUIRE(!plain || wire::is_text(name));
    REQUIRE(wire::is_text(name) == is_utf8(name));
    if (const auto id = wire::unique_name_id(name)) {
        REQUIRE(unique);
        REQUIRE(wire::UniqueName(*id).view() == name);
    }
    const int error = wire::errno_from_error_name(name);
    REQUIRE((error == 0) == name.empty());
    REQUIRE(wire::is_error_name(wire::error_name_from_errno(error)));
    return 0;
}
