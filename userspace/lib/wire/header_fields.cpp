// SPDX-License-Identifier: LGPL-2.1-or-later
#include "header_fields.hpp"

namespace kdbus::wire {

Result<void> FieldCollector::take_all(Reader& reader, Result<void> (Reader::*enter)() noexcept,
                                      char key) noexcept {
    if (auto entered = reader.enter_array(); !entered)
        return entered;
    while (!reader.at_end()) {
        if (auto entered = (reader.*enter)(); !entered)
            return entered;
        const auto field = reader.read_fixed(key);
        if (!field)
            return std::unexpected(field.error());
        if (auto taken = take(*field, reader); !taken)
            return taken;
        if (auto left = reader.exit(); !left)
            return left;
    }
    return reader.finish();
}

Result<void> FieldCollector::take(std::uint64_t key, Reader& reader) noexcept {
    if (key == 0)
        return fail(Errc::bad_field);
    if (key > last_known_field)
        return reader.skip();
    const auto field = static_cast<Field>(key);
    if (has(field))
        return fail(Errc::duplicate_field);
    seen_ |= 1U << key;

    const auto type = reader.enter_variant();
    if (!type)
        return std::unexpected(type.error());
    const char wanted = field_type(field, format_);
    if (*type != std::string_view(&wanted, 1))
        return fail(Errc::bad_field);
    if (wanted == 't' || wanted == 'u') {
        const auto number = reader.read_fixed(wanted);
        if (!number)
            return std::unexpected(number.error());
        if (field == Field::unix_fds)
            message_.unix_fds = static_cast<std::uint32_t>(*number);
        else if (*number == 0)
            return fail(Errc::bad_serial);
        else
            message_.reply_serial = *number;
    } else {
        const auto text = reader.read_text(wanted);
        if (!text)
            return std::unexpected(text.error());
        // Empty means absent in a Message; of all the fields only a signature may be empty.
        if (text->empty() && field != Field::signature)
            return fail(Errc::bad_field);
        field_text(message_, field) = *text;
    }
    return reader.exit();
}

} // namespace kdbus::wire
