// SPDX-License-Identifier: LGPL-2.1-or-later
#include "command.hpp"

#include <kdbus/abi/connection.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <iterator>
#include <sys/ioctl.h>
#include <vector>

namespace kdbus::abi {
namespace {

/// Most messages fit; the kernel itself copies small ones to its stack as well.
constexpr std::size_t small_message_size = 1024;

/// A SEND with room for a CANCEL_FD item.
struct SendCommand {
    kdbus_cmd_send cmd;
    std::array<std::uint64_t, 2> cancel_head;
    std::array<int, 2> cancel_fd;
};
static_assert(sizeof(SendCommand) == sizeof(kdbus_cmd_send) + 24);

struct SendOutcome {
    Result<void> done;
    kdbus_msg_info reply;
};

/// Encodes into @p buffer and sends from there.
SendOutcome send_from(int fd, const OutgoingMessage& message, std::span<std::byte> buffer,
                      const CallOptions* call) noexcept {
    const auto encoded = encode(message, buffer);
    if (!encoded)
        return {std::unexpected(encoded.error()), {}};
    SendCommand send{.cmd = {.size = sizeof(kdbus_cmd_send),
                             .msg_address = reinterpret_cast<std::uintptr_t>(buffer.data())}};
    if (call != nullptr) {
        send.cmd.flags = KDBUS_SEND_SYNC_REPLY;
        if (call->cancel_fd >= 0) {
            send.cancel_head = {item_header_size + sizeof(int), KDBUS_ITEM_CANCEL_FD};
            send.cancel_fd = {call->cancel_fd, 0};
            send.cmd.size = sizeof send;
        }
    }
    // An interrupted synchronous call has been sent already. The same command goes on
    // waiting for its reply: the slot is found by the cookie (messages.md 5.3).
    while (ioctl(fd, KDBUS_CMD_SEND, &send) < 0) {
        if (errno != EINTR || (call != nullptr && !call->resume_interrupted))
            return {fail(), {}};
    }
    return {{}, send.cmd.reply};
}

[[gnu::noinline]] SendOutcome send_large(int fd, const OutgoingMessage& message,
                                         const CallOptions* call) noexcept {
    alignas(8) std::array<std::byte, KDBUS_CMD_MAX_SIZE> buffer;
    return send_from(fd, message, buffer, call);
}

[[gnu::noinline]] SendOutcome send_small(int fd, const OutgoingMessage& message,
                                         const CallOptions* call) noexcept {
    alignas(8) std::array<std::byte, small_message_size> buffer;
    return send_from(fd, message, buffer, call);
}

SendOutcome send_any(int fd, const OutgoingMessage& message, const CallOptions* call) noexcept {
    return encoded_size(message) <= small_message_size ? send_small(fd, message, call)
                                                       : send_large(fd, message, call);
}

/// Writes one match rule as an item.
struct RuleWriter {
    CommandWriter& writer;

    void operator()(const match::BloomMask& rule) const noexcept {
        writer.item(KDBUS_ITEM_BLOOM_MASK, {std::as_bytes(rule.words)});
    }
    void operator()(const match::SenderId& rule) const noexcept {
        writer.item(KDBUS_ITEM_ID, rule.id);
    }
    void operator()(const match::SenderName& rule) const noexcept {
        writer.string_item(KDBUS_ITEM_NAME, rule.name);
    }
    void operator()(const match::DestinationId& rule) const noexcept {
        writer.item(KDBUS_ITEM_DST_ID, rule.id);
    }
    void operator()(const match::NameChange& rule) const noexcept {
        const kdbus_notify_name_change change{.old_id = {.id = rule.old_id},
                                              .new_id = {.id = rule.new_id}};
        const auto type = static_cast<std::uint64_t>(rule.kind);
        if (rule.name)
            writer.string_item(type, *rule.name, std::as_bytes(std::span(&change, 1)));
        else
            writer.item(type, change);
    }
    void operator()(const match::IdChange& rule) const noexcept {
        writer.item(static_cast<std::uint64_t>(rule.kind), kdbus_notify_id_change{.id = rule.id});
    }
};

/// Reads the fixed part back from a command buffer.
template <class T>
T head_of(std::span<const std::byte> buffer) noexcept {
    T head;
    std::memcpy(&head, buffer.data(), sizeof head);
    return head;
}

} // namespace

std::optional<InfoView> InfoList::next(std::span<const std::byte>& rest) noexcept {
    if (rest.size() < sizeof(kdbus_info))
        return std::nullopt;
    kdbus_info info;
    std::memcpy(&info, rest.data(), sizeof info);
    if (info.size < sizeof info || info.size > rest.size())
        return std::nullopt;
    const ItemRange items(rest.subspan(sizeof info, info.size - sizeof info));
    rest = rest.subspan(std::min<std::uint64_t>(align8(info.size), rest.size()));
    return InfoView{info.id, info.flags, items};
}

Result<Connection> Connection::open(const std::string& node_path, const HelloOptions& options) {
    UniqueFd handle(::open(node_path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (!handle)
        return fail();
    return hello(std::move(handle), options);
}

Result<Connection> Connection::hello(UniqueFd handle, const HelloOptions& options) {
    // A security label has no fixed bound; the command as a whole has one.
    std::vector<std::uint64_t> words(KDBUS_CMD_MAX_SIZE / sizeof(std::uint64_t));
    const auto buffer = std::as_writable_bytes(std::span(words));
    CommandWriter writer(buffer);
    writer.fixed(kdbus_cmd_hello{.flags = options.flags,
                                 .attach_flags_send = options.attach_flags_send,
                                 .attach_flags_recv = options.attach_flags_recv,
                                 .pool_size = options.pool_size});
    if (!options.description.empty())
        writer.string_item(KDBUS_ITEM_CONN_DESCRIPTION, options.description);
    if (options.creds)
        writer.item(KDBUS_ITEM_CREDS, *options.creds);
    if (options.pids)
        writer.item(KDBUS_ITEM_PIDS, *options.pids);
    if (options.seclabel)
        writer.string_item(KDBUS_ITEM_SECLABEL, *options.seclabel);
    if (!writer.finish())
        return fail(EMSGSIZE);
    if (const auto done = command(handle.get(), KDBUS_CMD_HELLO, buffer.data()); !done)
        return std::unexpected(done.error());

    const auto reply = head_of<kdbus_cmd_hello>(buffer);
    auto memory = Mapping::map(handle.get(), 0, options.pool_size, Mapping::Access::read);
    if (!memory)
        return std::unexpected(memory.error());
    Connection connection;
    connection.pool_ = std::make_shared<const Pool>(std::move(handle), std::move(*memory));
    connection.id_ = reply.id;
    connection.bus_flags_ = reply.bus_flags;
    std::copy(std::begin(reply.id128), std::end(reply.id128), connection.uuid_.begin());

    const Slice items(connection.pool_, reply.offset, reply.items_size);
    const auto item = ItemRange(items.bytes()).find(KDBUS_ITEM_BLOOM_PARAMETER);
    const auto bloom = item ? item->as<kdbus_bloom_parameter>() : std::nullopt;
    if (!bloom)
        return fail(EPROTO);
    connection.bloom_ = *bloom;
    return connection;
}

Connection& Connection::operator=(Connection&& other) noexcept {
    if (this != &other) {
        end();
        pool_ = std::move(other.pool_);
        id_ = other.id_;
        bus_flags_ = other.bus_flags_;
        bloom_ = other.bloom_;
        uuid_ = other.uuid_;
    }
    return *this;
}

Connection::~Connection() {
    end();
}

/// Closing the handle ends a connection, but slices still out keep it open: leave by
/// command then. BYEBYE wants an empty queue; what is in it would be lost anyway.
void Connection::end() noexcept {
    constexpr int attempts = 64;
    if (pool_ && pool_.use_count() > 1) {
        const int saved = errno;
        for (int i = 0; i < attempts; ++i) {
            const auto left = byebye();
            if (left || left.error().value() != EBUSY)
                break;
            for (auto got = recv(KDBUS_RECV_DROP); got && got->discarded;)
                got = recv(KDBUS_RECV_DROP);
        }
        errno = saved;
    }
    pool_.reset();
}

Result<void> Connection::send(const OutgoingMessage& message) const noexcept {
    return send_any(fd(), message, nullptr).done;
}

Result<ReceivedMessage> Connection::call(const OutgoingMessage& message,
                                         const CallOptions& options) const noexcept {
    const auto outcome = send_any(fd(), message, &options);
    if (!outcome.done)
        return std::unexpected(outcome.done.error());
    return ReceivedMessage::adopt(Slice(pool_, outcome.reply.offset, outcome.reply.msg_size),
                                  outcome.reply.return_flags);
}

Result<Received> Connection::recv(std::uint64_t flags, std::int64_t priority) const noexcept {
    kdbus_cmd_recv cmd{.size = sizeof cmd, .flags = flags, .priority = priority};
    const auto done = command(fd(), KDBUS_CMD_RECV, &cmd);
    if (!done && done.error().value() != EAGAIN)
        return std::unexpected(done.error());
    Received result;
    result.dropped = cmd.dropped_msgs;
    if (!done)
        return result;
    if (cmd.msg.offset == pool_->size()) {
        result.discarded = true;
        return result;
    }
    const bool owns_fds = (flags & KDBUS_RECV_PEEK) == 0;
    auto message = ReceivedMessage::adopt(Slice(pool_, cmd.msg.offset, cmd.msg.msg_size),
                                          cmd.msg.return_flags, owns_fds);
    if (!message)
        return std::unexpected(message.error());
    result.message = std::move(*message);
    return result;
}

Result<NameOutcome> Connection::acquire_name(std::string_view name,
                                             std::uint64_t flags) const noexcept {
    if (name.size() > KDBUS_NAME_MAX_LEN)
        return fail(EINVAL);
    alignas(8) std::array<std::byte, named_command_size> buffer;
    CommandWriter writer(buffer);
    writer.fixed(kdbus_cmd{.flags = flags});
    writer.string_item(KDBUS_ITEM_NAME, name);
    (void)writer.finish();
    if (const auto done = command(fd(), KDBUS_CMD_NAME_ACQUIRE, buffer.data()); !done)
        return std::unexpected(done.error());
    return NameOutcome{head_of<kdbus_cmd>(buffer).return_flags};
}

Result<void> Connection::release_name(std::string_view name) const noexcept {
    if (name.size() > KDBUS_NAME_MAX_LEN)
        return fail(ESRCH);
    alignas(8) std::array<std::byte, named_command_size> buffer;
    CommandWriter writer(buffer);
    writer.fixed(kdbus_cmd{});
    writer.string_item(KDBUS_ITEM_NAME, name);
    (void)writer.finish();
    return command(fd(), KDBUS_CMD_NAME_RELEASE, buffer.data());
}

Result<InfoList> Connection::list(std::uint64_t flags) const noexcept {
    kdbus_cmd_list cmd{.size = sizeof cmd, .flags = flags};
    if (const auto done = command(fd(), KDBUS_CMD_LIST, &cmd); !done)
        return std::unexpected(done.error());
    return InfoList(Slice(pool_, cmd.offset, cmd.list_size));
}

Result<InfoList> Connection::info(std::uint64_t id, std::uint64_t attach_flags) const noexcept {
    kdbus_cmd_info cmd{.size = sizeof cmd, .id = id, .attach_flags = attach_flags};
    if (const auto done = command(fd(), KDBUS_CMD_CONN_INFO, &cmd); !done)
        return std::unexpected(done.error());
    return InfoList(Slice(pool_, cmd.offset, cmd.info_size));
}

Result<InfoList> Connection::info(std::string_view name, std::uint64_t attach_flags,
                                  std::uint64_t id) const noexcept {
    if (name.size() > KDBUS_NAME_MAX_LEN)
        return fail(ESRCH);
    alignas(8) std::array<std::byte, named_command_size> buffer;
    CommandWriter writer(buffer);
    writer.fixed(kdbus_cmd_info{.id = id, .attach_flags = attach_flags});
    writer.string_item(KDBUS_ITEM_NAME, name);
    (void)writer.finish();
    if (const auto done = command(fd(), KDBUS_CMD_CONN_INFO, buffer.data()); !done)
        return std::unexpected(done.error());
    const auto head = head_of<kdbus_cmd_info>(buffer);
    return InfoList(Slice(pool_, head.offset, head.info_size));
}

Result<void> Connection::add_match(std::uint64_t cookie, std::span<const match::Rule> rules,
                                   std::uint64_t flags) const noexcept {
    alignas(8) std::array<std::byte, KDBUS_CMD_MAX_SIZE> buffer;
    CommandWriter writer(buffer);
    writer.fixed(kdbus_cmd_match{.flags = flags, .cookie = cookie});
    for (const match::Rule& rule : rules)
        std::visit(RuleWriter{writer}, rule);
    if (!writer.finish())
        return fail(EMSGSIZE);
    return command(fd(), KDBUS_CMD_MATCH_ADD, buffer.data());
}

Result<void> Connection::remove_match(std::uint64_t cookie) const noexcept {
    kdbus_cmd_match cmd{.size = sizeof cmd, .cookie = cookie};
    return command(fd(), KDBUS_CMD_MATCH_REMOVE, &cmd);
}

Result<void> Connection::byebye() const noexcept {
    kdbus_cmd cmd{.size = sizeof cmd};
    return command(fd(), KDBUS_CMD_BYEBYE, &cmd);
}

} // namespace kdbus::abi
