// SPDX-License-Identifier: LGPL-2.1-or-later
#include "command.hpp"

#include <kdbus/abi/send.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>

namespace kdbus::abi {
namespace {

constexpr std::uint64_t never_ns = std::uint64_t{1} << 62;

} // namespace

std::uint64_t deadline_after(std::chrono::nanoseconds timeout) noexcept {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    const std::uint64_t now = static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
                              static_cast<std::uint64_t>(time.tv_nsec);
    const auto wait = static_cast<std::uint64_t>(std::max<std::int64_t>(timeout.count(), 0));
    if (wait >= never_ns - now)
        return never_ns;
    return std::max<std::uint64_t>(now + wait, 1);
}

std::uint64_t encoded_size(const OutgoingMessage& message) noexcept {
    std::uint64_t size = sizeof(kdbus_msg);
    const auto add = [&](std::uint64_t payload) {
        size = align8(size) + item_header_size + payload;
    };
    if (!message.dst_name.empty())
        add(message.dst_name.size() + 1);
    for (const Part& part : message.payload)
        if (part.size() != 0)
            add(part.kind() == Part::Kind::memfd ? sizeof(kdbus_memfd) : sizeof(kdbus_vec));
    if (message.bloom)
        add(sizeof(kdbus_bloom_filter) + message.bloom->words.size_bytes());
    if (!message.fds.empty())
        add(message.fds.size_bytes());
    return size;
}

Result<std::size_t> encode(const OutgoingMessage& message, std::span<std::byte> buffer) noexcept {
    const bool is_call = (message.flags & KDBUS_MSG_EXPECT_REPLY) != 0;
    if ((is_call ? message.cookie_reply : message.timeout_ns) != 0 ||
        reinterpret_cast<std::uintptr_t>(buffer.data()) % 8 != 0)
        return fail(EINVAL);
    if (encoded_size(message) > KDBUS_CMD_MAX_SIZE)
        return fail(EMSGSIZE);

    kdbus_msg head{.flags = message.flags,
                   .priority = message.priority,
                   .dst_id = message.dst_id,
                   .payload_type = message.payload_type,
                   .cookie = message.cookie};
    head.timeout_ns = is_call ? message.timeout_ns : message.cookie_reply;
    CommandWriter writer(buffer);
    writer.fixed(head);
    if (!message.dst_name.empty())
        writer.string_item(KDBUS_ITEM_DST_NAME, message.dst_name);
    for (const Part& part : message.payload) {
        if (part.size() == 0)
            continue;
        if (part.kind() == Part::Kind::memfd) {
            writer.item(KDBUS_ITEM_PAYLOAD_MEMFD,
                        kdbus_memfd{.start = part.start(), .size = part.size(), .fd = part.fd()});
        } else {
            kdbus_vec vec{.size = part.size()};
            vec.address = reinterpret_cast<std::uintptr_t>(part.data());
            writer.item(KDBUS_ITEM_PAYLOAD_VEC, vec);
        }
    }
    if (message.bloom)
        writer.item(KDBUS_ITEM_BLOOM_FILTER,
                    {std::as_bytes(std::span(&message.bloom->generation, 1)),
                     std::as_bytes(message.bloom->words)});
    if (!message.fds.empty())
        writer.item(KDBUS_ITEM_FDS, {std::as_bytes(message.fds)});
    return writer.finish();
}

} // namespace kdbus::abi
