// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fuzz.hpp"

#include <kdbus/wire/signature.hpp>

namespace wire = kdbus::wire;

std::vector<std::string> fuzz::seeds() {
    return {"",
            "ybnqiuxtdsoghv",
            "a{sa{sv}}",
            "a(y(t)as)",
            std::string(32, 'a') + "y",
            std::string(32, '(') + "y" + std::string(32, ')'),
            "a{vs}",
            "()"};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::Input(data, size).text();
    const auto signature = fuzz::view(text);
    const bool valid = wire::is_signature(signature);
    std::vector<wire::TypeInfo> infos(wire::max_signature_length);
    REQUIRE(wire::describe_signature(signature, infos.data()) == valid);
    if (!valid) {
        REQUIRE(!wire::is_single_type(signature));
        return 0;
    }
    std::size_t length = 0, count = 0;
    for (const auto type : wire::SignatureTypes(signature)) {
        REQUIRE(wire::is_single_type(type));
        REQUIRE(type.size() == wire::first_type_length(signature.substr(length)));
        const auto layout = wire::gvariant_layout(type);
        REQUIRE(infos[length].length == type.size());
        REQUIRE(infos[length].alignment == layout.alignment);
        REQUIRE(infos[length].size == layout.size);
        REQUIRE(layout.size % layout.alignment == 0);
        length += type.size();
        ++count;
    }
    REQUIRE(length == signature.size());
    REQUIRE(wire::is_single_type(signature) == (count == 1));
    REQUIRE(wire::gvariant_tuple_layout(signature).alignment <= 8);
    return 0;
}
