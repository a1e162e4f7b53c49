// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/variant.hpp>

#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/writer.hpp>

namespace kdbus::wire {

Result<Variant> Variant::take(Reader& source) {
    Buffer buffer;
    Writer writer(buffer, Format::gvariant);
    if (auto done = writer.append_value(source).finish(); !done)
        return std::unexpected(done.error());
    Variant value;
    value.type_ = writer.signature();
    value.bytes_.assign(writer.body().begin(), writer.body().end());
    return value;
}

Variant Variant::nested(const Variant& inner) {
    Buffer buffer;
    Writer writer(buffer, Format::gvariant);
    Variant outer;
    if (writer.append(inner).finish()) {
        outer.type_ = writer.signature();
        outer.bytes_.assign(writer.body().begin(), writer.body().end());
    }
    return outer;
}

} // namespace kdbus::wire
