// SPDX-License-Identifier: LGPL-2.1-or-later
#include "message_data.hpp"

#include <kdbus/message.hpp>

#include <string>
#include <utility>

namespace kdbus {
namespace {

/// The kernel's 64-bit ids say "unknown" with 32 set bits (messages.md 13.35).
std::uint32_t narrow_id(std::uint64_t id) noexcept {
    return id >= abi::unknown_id ? ~std::uint32_t{0} : static_cast<std::uint32_t>(id);
}

} // namespace

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

std::optional<Credentials> credentials_of(const abi::Metadata& metadata) noexcept {
    const auto creds = metadata.creds();
    const auto pids = metadata.pids();
    if (!creds && !pids)
        return std::nullopt;
    Credentials result;
    if (creds) {
        result.uid = narrow_id(creds->uid);
        result.euid = narrow_id(creds->euid);
        result.suid = narrow_id(creds->suid);
        result.fsuid = narrow_id(creds->fsuid);
        result.gid = narrow_id(creds->gid);
        result.egid = narrow_id(creds->egid);
        result.sgid = narrow_id(creds->sgid);
        result.fsgid = narrow_id(creds->fsgid);
    }
    if (pids) {
        result.pid = static_cast<pid_t>(pids->pid);
        result.tid = static_cast<pid_t>(pids->tid);
        result.ppid = static_cast<pid_t>(pids->ppid);
    }
    return result;
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
