// SPDX-License-Identifier: LGPL-2.1-or-later
#include "message_data.hpp"

#include <kdbus/message.hpp>

#include <string>
#include <utility>

namespace kdbus {
void detail::MessageDataDeleter::operator()(MessageData* data) const noexcept {
    delete data;
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

Result<abi::UniqueFd> Message::take_fd(UnixFd index) const {
    if (index.index >= data_->view.unix_fds)
        return Error{error_names::invalid_args, "No such descriptor in the message"};
    if (data_->incomplete_fds && !data_->fds[index.index])
        return Error{error_names::limits_exceeded, "The descriptor could not be received"};
    if (!data_->fds[index.index])
        return Error{error_names::invalid_args, "The descriptor was taken before"};
    return std::move(data_->fds[index.index]);
}

Error Message::wrong_signature(std::string_view wanted) const {
    return {error_names::invalid_args, "Expected arguments (" + std::string(wanted) + "), got (" +
                                           std::string(signature()) + ")"};
}

Error Message::malformed(std::error_code code) {
    return {error_names::inconsistent_message, "Malformed arguments: " + code.message()};
}

} // namespace kdbus
