// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/convert.hpp>

#include <kdbus/wire/writer.hpp>

namespace kdbus::wire {

Result<std::uint32_t> convert_body(Format from, std::string_view signature,
                                   std::span<const std::byte> body, Format to,
                                   Buffer& out) noexcept {
    const std::size_t base = out.size();
    Writer writer(out, to);
    // A body that was never written, for want of arguments, stands for the empty one.
    if (!signature.empty() || !body.empty()) {
        Reader reader(from, signature, body);
        while (!reader.at_end() && !writer.error())
            writer.append_value(reader);
        if (auto read = writer.error() ? Result<void>() : reader.finish(); !read) {
            out.truncate(base);
            return std::unexpected(read.error());
        }
    }
    if (auto done = writer.finish(); !done)
        return std::unexpected(done.error());
    return writer.unix_fds_needed();
}

Result<Message> convert_message(const Message& message, Format to, Buffer& body_out) noexcept {
    if (to != Format::gvariant &&
        (message.serial > UINT32_MAX || message.reply_serial > UINT32_MAX))
        return fail(Errc::not_convertible);
    const std::size_t base = body_out.size();
    const auto fds_needed =
        convert_body(message.format, message.signature, message.body, to, body_out);
    if (!fds_needed)
        return std::unexpected(fds_needed.error());
    if (*fds_needed > message.unix_fds) {
        body_out.truncate(base);
        return fail(Errc::fds_mismatch);
    }
    Message converted = message;
    converted.format = to;
    converted.body = body_out.bytes().subspan(base);
    return converted;
}

} // namespace kdbus::wire
