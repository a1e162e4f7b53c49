// SPDX-License-Identifier: LGPL-2.1-or-later
#include "message_data.hpp"

#include <kdbus/message.hpp>

#include <string>
#include <utility>

namespace kdbus {
void detail::MessageDataDeleter::operator()(MessageData* data) const noexcept {
    MessagePool::give_back(data);
}

void detail::MessagePool::give_back(MessageData* message) noexcept {
    const std::shared_ptr<MessagePool> pool = std::move(message->home);
    if (!pool) {
        delete message;
        return;
    }
    message->view = {};
    message->slice = {};
    message->mappings.clear();
    message->fds.clear();
    message->incomplete_fds = false;
    message->storage.clear();
    if (message->storage.capacity() > max_kept)
        message->storage = wire::Buffer();
    for (auto& place : pool->places_) {
        MessageData* none = nullptr;
        if (place.load(std::memory_order_relaxed) == nullptr &&
            place.compare_exchange_strong(none, message, std::memory_order_release,
                                          std::memory_order_relaxed))
            return;
    }
    delete message;
}

std::string detail::describe_arguments(std::string_view types, std::size_t required) {
    std::string text(types);
    if (required < types.size())
        text.insert(required, "[").append("]");
    return text;
}

Error detail::error_of(const wire::Message& reply) {
    Error error{std::string(reply.error_name), {}};
    if (reply.signature.starts_with('s'))
        if (const auto text = reply.reader().read_text('s'))
            error.message = *text;
    return error;
}

Message::Message(std::unique_ptr<detail::MessageData, detail::MessageDataDeleter> data) noexcept
    : data_(std::move(data)) {}

const wire::Message& Message::wire() const noexcept {
    return data_->view;
}

std::optional<Timestamp> Message::timestamp() const noexcept {
    const auto stamp = metadata().timestamp();
    if (!stamp)
        return std::nullopt;
    using std::chrono::nanoseconds;
    return Timestamp{stamp->seqnum, nanoseconds(stamp->monotonic_ns),
                     std::chrono::sys_time<nanoseconds>(nanoseconds(stamp->realtime_ns))};
}

std::optional<Credentials> Message::credentials() const noexcept {
    return credentials_of(metadata());
}

std::vector<std::string_view> Message::sender_names() const {
    std::vector<std::string_view> names;
    metadata().for_each_owned_name(
        [&](const abi::OwnedName& owned) { names.push_back(owned.name); });
    return names;
}

ConnectionInfo Message::sender_info() const {
    // On the kernel's bus names are always asked for.
    const bool of_kernel_bus = data_->slice.header().payload_type == KDBUS_PAYLOAD_DBUS;
    ConnectionInfo info = info_of(metadata(), of_kernel_bus);
    info.unique_name = sender();
    return info;
}

abi::Metadata Message::metadata() const noexcept {
    return data_->slice.metadata();
}

wire::Result<int> detail::take_fd(MessageData& data, std::uint32_t index) noexcept {
    if (index >= data.view.unix_fds)
        return wire::fail(wire::Errc::no_such_fd);
    abi::UniqueFd& fd = data.fds[index];
    if (!fd)
        return wire::fail(data.incomplete_fds ? wire::Errc::fd_lost : wire::Errc::no_such_fd);
    return fd.release();
}

Result<abi::UniqueFd> Message::take_fd(UnixFd index) const {
    const auto fd = detail::take_fd(*data_, index.index);
    if (!fd)
        return Error::from_code(fd.error(), "Taking a descriptor");
    return abi::UniqueFd(*fd);
}

wire::Reader Message::reader() const noexcept {
    wire::Reader reader = wire().reader();
    reader.set_fd_source({data_.get(), [](void* data, std::uint32_t index) {
                              return detail::take_fd(*static_cast<detail::MessageData*>(data),
                                                     index);
                          }});
    return reader;
}

Error Message::wrong_signature(std::string_view wanted, std::size_t required) const {
    return {error_names::invalid_args, "Expected arguments (" +
                                           detail::describe_arguments(wanted, required) +
                                           "), got (" + std::string(signature()) + ")"};
}

Error Message::malformed(std::error_code code) {
    // The message is as it should be, its values are not.
    if (code == std::errc::invalid_argument || code == std::errc::too_many_files_open)
        return Error::from_code(code, "Arguments");
    return {error_names::inconsistent_message, "Malformed arguments: " + code.message()};
}

} // namespace kdbus
