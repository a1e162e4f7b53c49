// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_transport.hpp"

#include "wait.hpp"

#include <kdbus/wire/writer.hpp>

#include <utility>

namespace kdbus::detail {
namespace {

bool is_reply_to(const wire::Message& message, std::uint64_t serial) noexcept {
    return message.reply_serial == serial &&
           (message.type == MessageType::method_return || message.type == MessageType::error);
}

std::size_t cost_of(const MessageData& message) noexcept {
    return sizeof message + message.storage.capacity();
}

} // namespace

std::optional<std::uint64_t> SocketTransport::timeout_ns() const noexcept {
    // Nothing will happen on the socket for what is here already.
    return queue_.empty() ? stream_.timeout_ns() : 0;
}

Result<void> SocketTransport::send(const Outgoing& outgoing) {
    wire::Message message = outgoing.message;
    message.unix_fds = static_cast<std::uint32_t>(outgoing.fds.size());
    if (message.type != MessageType::method_call)
        message.flags |= wire::no_reply_expected;
    if (outgoing.memfd == nullptr)
        return stream_.send(message, outgoing.fds);

    // Whether the other end could map a memory file is not known.
    const auto mapping = outgoing.memfd->map();
    if (!mapping)
        return Error::from_code(mapping.error(), "Memory file");
    auto body = buffers_.borrow();
    wire::Writer writer(*body, wire::dbus1_native);
    const char type = message.signature[1];
    writer.append_fixed_array(type, mapping->bytes().data(),
                              mapping->bytes().size() / wire::dbus1_fixed_size(type));
    if (auto done = writer.finish(); !done)
        return Error::from_code(done.error(), "Memory file");
    message.body = writer.body();
    return stream_.send(message, outgoing.fds);
}

Result<MessagePointer> SocketTransport::call(const Outgoing& outgoing) {
    if (auto sent = send(outgoing); !sent)
        return std::move(sent).error();
    return await_reply(outgoing.message.serial, outgoing.deadline_ns, outgoing.cancel);
}

Result<MessagePointer> SocketTransport::await_reply(std::uint64_t serial, std::uint64_t deadline_ns,
                                                    const CancelFd* cancel) {
    for (;;) {
        auto next = stream_.next();
        if (!next)
            return std::move(next).error();
        if (*next && is_reply_to((**next)->view, serial))
            return std::move(**next);
        if (*next)
            if (auto kept = enqueue(std::move(**next)); !kept)
                return std::move(kept).error();
        // However much else comes.
        if (cancel != nullptr && cancel->requested())
            return cancelled("The call");
        if (now_ns() >= deadline_ns)
            return Error{error_names::no_reply, "No answer in time"};
        if (!*next)
            if (auto waited = stream_.wait(deadline_ns, descriptor_of(cancel)); !waited)
                return std::move(waited).error();
    }
}

Result<void> SocketTransport::enqueue(MessagePointer message) {
    const std::size_t cost = cost_of(*message);
    if (cost > max_queued - queued_)
        return stream_.end("Too much came while a call waited for its answer");
    queue_.push_back(std::move(message));
    queued_ += cost;
    return {};
}

Result<std::optional<MessagePointer>> SocketTransport::receive() {
    for (;;) {
        MessagePointer message;
        if (!queue_.empty()) {
            message = std::move(queue_.front());
            queue_.pop_front();
            queued_ -= cost_of(*message);
        } else {
            auto next = stream_.next();
            if (!next || !*next)
                return next;
            message = std::move(**next);
        }
        if (arrived(*message))
            return std::optional(std::move(message));
    }
}

} // namespace kdbus::detail
