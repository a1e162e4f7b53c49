// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shapes.hpp"

namespace kdbus::codec_bench {

const char* name_of(Shape shape) noexcept {
    switch (shape) {
    case Shape::small:
        return "small call";
    case Shape::dict:
        return "properties";
    case Shape::rows:
        return "1000 structs";
    case Shape::doubles:
        return "64 KiB";
    case Shape::nested:
        break;
    }
    return "nested variants";
}

const char* signature_of(Shape shape) noexcept {
    switch (shape) {
    case Shape::small:
        return "su";
    case Shape::dict:
        return "a{sv}";
    case Shape::rows:
        return "a(isd)";
    case Shape::doubles:
        return "ad";
    case Shape::nested:
        break;
    }
    return "v";
}

const Data& data() {
    static const Data data = [] {
        Data made;
        made.text = "a name of ordinary length";
        for (std::uint32_t i = 0; i < 32; ++i) {
            Property property{"PropertyName" + std::to_string(i), {}, 0};
            if (i % 8 == 7)
                property.number = i;
            else
                property.text = "the value of property " + std::to_string(i) + ", some text";
            made.properties.push_back(property);
        }
        for (std::int32_t i = 0; i < 1000; ++i)
            made.rows.push_back({i, "row " + std::to_string(i), i * 1.5});
        for (int i = 0; i < 8192; ++i)
            made.doubles.push_back(i);
        return made;
    }();
    return data;
}

std::uint64_t checksum_of(Shape shape) {
    const Data& from = data();
    std::uint64_t sum = 0;
    switch (shape) {
    case Shape::small:
        return from.text.size() + from.number;
    case Shape::dict:
        for (const Property& property : from.properties)
            sum += property.key.size() + property.text.size() + property.number;
        return sum;
    case Shape::rows:
        for (const Row& row : from.rows)
            sum += static_cast<std::uint64_t>(row.number) + row.text.size() +
                   static_cast<std::uint64_t>(row.real);
        return sum;
    case Shape::doubles:
        return from.doubles.size() + static_cast<std::uint64_t>(from.doubles.back());
    case Shape::nested:
        break;
    }
    return from.number;
}

} // namespace kdbus::codec_bench
