// SPDX-License-Identifier: LGPL-2.1-or-later
#include "inbox.hpp"

#include <kdbus/wire/message.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

namespace kdbus::proxy {

std::span<std::byte> Inbox::room() {
    if (begin_ > 0 && capacity_ - end_ < chunk / 2) {
        std::memmove(memory_.get(), memory_.get() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (capacity_ - end_ < chunk / 2) {
        const std::size_t capacity = std::max(chunk, capacity_ * 2);
        auto* memory = static_cast<std::byte*>(std::realloc(memory_.get(), capacity));
        if (memory == nullptr)
            throw std::bad_alloc();
        (void)memory_.release();
        memory_.reset(memory);
        capacity_ = capacity;
    }
    return {memory_.get() + end_, capacity_ - end_};
}

void Inbox::consume(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ < end_)
        return;
    begin_ = end_ = capacity_ = 0;
    memory_.reset();
    aligned_ = {};
}

wire::Result<std::optional<std::span<const std::byte>>> Inbox::message() {
    const auto received = bytes();
    if (received.size() < wire::dbus1_fixed_header_size)
        return std::nullopt;
    const auto size = wire::dbus1_message_size(received);
    if (!size)
        return std::unexpected(size.error());
    if (received.size() < *size)
        return std::nullopt;
    if (reinterpret_cast<std::uintptr_t>(received.data()) % 8 == 0)
        return received.first(*size);
    // Behind a message of odd size: most are short, so a copy is cheap.
    aligned_.resize((*size + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
    std::memcpy(aligned_.data(), received.data(), *size);
    return std::as_bytes(std::span(aligned_)).first(*size);
}

std::vector<abi::UniqueFd> Inbox::take_fds(std::size_t count) {
    std::vector<abi::UniqueFd> taken;
    taken.reserve(count);
    for (; count > 0; --count) {
        taken.push_back(std::move(fds_.front()));
        fds_.pop_front();
    }
    return taken;
}

} // namespace kdbus::proxy
