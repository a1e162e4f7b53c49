// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel_transport.hpp"

#include "kernel_errors.hpp"

#include <kdbus/wire/names.hpp>
#include <kdbus/wire/notification.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <new>
#include <poll.h>

namespace kdbus::detail {
namespace {

/// Bodies above this, the kernel's limit for one piece less the longest footer, which belongs to
/// the same piece, travel as memory files. Below it a file is never cheaper than a copy: its pages
/// are made and unmade for one message, and faulted in by the receiver, while the pool and our
/// buffers keep theirs. In millions of instructions (`kdbus-bench bodies`), for a body written and
/// read once:
///
///                            64 KiB  256 KiB  512 KiB  1 MiB  2 MiB  4 MiB
///     inline                   0.08     0.24     0.45   0.87   1.72   3.41
///     copied into a file       0.22     0.68     1.32   2.57   5.07  10.09
///     made in a mapped file    0.26     0.83     1.60   3.13   6.18  12.28
///
/// That is also why bodies are not made in memory files to begin with. (Historical clients change
/// over at 512 KiB, and read either, dbus-on-kdbus.md 1.6.)
constexpr std::size_t max_footer = wire::max_signature_length + 3 + sizeof(std::uint64_t);
constexpr std::size_t max_inline_body = KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE - max_footer;
/// A smaller body that its receiver has no room for needs little more room than its header.
constexpr std::size_t min_file_body = std::size_t{16} * 1024;

/// Attempts to send a signal to a name whose owner keeps changing.
constexpr int max_resolve_attempts = 8;

/// Characters the kernel takes in a description (abi.md 2.2).
std::string description_from(std::string_view text) {
    const auto inner = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    std::string result;
    for (char c : text.substr(0, KDBUS_SYSNAME_MAX_LEN))
        result += inner(c) || c == '-' || c == '.' ? c : '_';
    if (!result.empty() && !inner(result.front()))
        result.front() = '_';
    if (!result.empty() && !inner(result.back()))
        result.back() = '_';
    return result;
}

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (auto byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

bool is_peer(std::uint64_t hello_flags) noexcept {
    return (hello_flags &
            (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER | KDBUS_HELLO_MONITOR)) == 0;
}

wire::Notification::Kind notification_kind(std::uint64_t type) noexcept {
    using Kind = wire::Notification::Kind;
    switch (type) {
    case KDBUS_ITEM_NAME_ADD:
        return Kind::name_add;
    case KDBUS_ITEM_NAME_REMOVE:
        return Kind::name_remove;
    case KDBUS_ITEM_NAME_CHANGE:
        return Kind::name_change;
    case KDBUS_ITEM_ID_ADD:
        return Kind::id_add;
    case KDBUS_ITEM_ID_REMOVE:
        return Kind::id_remove;
    case KDBUS_ITEM_REPLY_TIMEOUT:
        return Kind::reply_timeout;
    default:
        return Kind::reply_dead;
    }
}

struct ToWire {
    wire::Notification operator()(const abi::NameNotification& from) const noexcept {
        return {.kind = notification_kind(from.type),
                .old_id = from.old_owner.id,
                .old_flags = from.old_owner.flags,
                .new_id = from.new_owner.id,
                .new_flags = from.new_owner.flags,
                .name = from.name};
    }
    wire::Notification operator()(const abi::IdNotification& from) const noexcept {
        return {.kind = notification_kind(from.type),
                .new_id = from.connection.id,
                .new_flags = from.connection.flags};
    }
    wire::Notification operator()(const abi::ReplyNotification& from) const noexcept {
        return {.kind = notification_kind(from.type), .cookie_reply = from.cookie};
    }
};

abi::match::Rule to_rule(const wire::NotificationMatch& from) {
    using Kind = wire::NotificationMatch::Kind;
    using NameKind = abi::match::NameChange::Kind;
    using IdKind = abi::match::IdChange::Kind;
    const auto name = [&](NameKind kind) {
        abi::match::NameChange rule{kind, from.old_id, from.new_id, std::nullopt};
        if (!from.name.empty())
            rule.name = from.name;
        return rule;
    };
    switch (from.kind) {
    case Kind::name_add:
        return name(NameKind::add);
    case Kind::name_remove:
        return name(NameKind::remove);
    case Kind::name_change:
        return name(NameKind::change);
    case Kind::id_add:
        return abi::match::IdChange{IdKind::add, from.new_id};
    case Kind::id_remove:
        break;
    }
    return abi::match::IdChange{IdKind::remove, from.new_id};
}

std::vector<abi::match::Rule> to_rules(const wire::SignalMatch& from) {
    std::vector<abi::match::Rule> rules;
    if (from.sender_id)
        rules.emplace_back(abi::match::SenderId{*from.sender_id});
    if (from.destination_id)
        rules.emplace_back(abi::match::DestinationId{*from.destination_id});
    if (!from.mask.empty())
        rules.emplace_back(abi::match::BloomMask{from.mask});
    if (!from.sender_name.empty())
        rules.emplace_back(abi::match::SenderName{from.sender_name});
    // Without any rule the kernel would send notifications as well.
    if (rules.empty())
        rules.emplace_back(abi::match::SenderId{KDBUS_MATCH_ID_ANY});
    return rules;
}

} // namespace

std::expected<std::unique_ptr<Transport>, std::error_code>
KernelTransport::open(const std::string& node_path, const ConnectionOptions& options) {
    const std::string description = description_from(
        options.description.empty() ? std::string_view(program_invocation_short_name)
                                    : std::string_view(options.description));
    auto connection = abi::Connection::open(
        node_path, {.flags = options.accept_fds ? std::uint64_t{KDBUS_HELLO_ACCEPT_FD} : 0,
                    .attach_flags_send = options.metadata_shown,
                    .attach_flags_recv = options.metadata | KDBUS_ATTACH_NAMES,
                    .pool_size = options.pool_size,
                    .description = description});
    if (!connection)
        return std::unexpected(connection.error());
    const wire::BloomParameter bloom{connection->bloom().size, connection->bloom().n_hash};
    if (!bloom.acceptable() || bloom.size > KDBUS_BUS_BLOOM_MAX_SIZE)
        return std::unexpected(wire::make_error_code(wire::Errc::bad_bloom));
    return std::make_unique<KernelTransport>(std::move(*connection));
}

KernelTransport::KernelTransport(abi::Connection connection)
    : connection_(std::move(connection)), unique_name_(wire::UniqueName(connection_.id()).view()),
      bus_id_(hexadecimal(connection_.bus_uuid())), bloom_{connection_.bloom().size,
                                                           connection_.bloom().n_hash} {}

short KernelTransport::events() const noexcept {
    return POLLIN;
}

bool KernelTransport::hung_up() const noexcept {
    pollfd entry{.fd = connection_.fd(), .events = 0, .revents = 0};
    return poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR)) != 0;
}

/// Encodes a message and calls @p deliver(abi::OutgoingMessage&) to send it.
template <class Deliver>
Result<void> KernelTransport::encode_and(const Outgoing& outgoing, Deliver deliver) {
    wire::Message message = outgoing.message;
    message.unix_fds = static_cast<std::uint32_t>(outgoing.fds.size());
    // The kernel takes a message that expects a reply for a call.
    if (message.type != MessageType::method_call)
        message.flags |= wire::no_reply_expected;

    auto head = buffers_.borrow();
    const auto fields_end = wire::write_kdbus_head(message, *head);
    if (!fields_end)
        return Error::from_code(fields_end.error(), "Message header");

    std::array<std::uint64_t, KDBUS_BUS_BLOOM_MAX_SIZE / sizeof(std::uint64_t)> filter;
    const auto words = std::span(filter).first(bloom_.words());
    if (message.type == MessageType::signal)
        if (auto made = wire::make_signal_filter(message, bloom_, words); !made)
            return Error::from_code(made.error(), "Signal");

    // (Historical receivers never saw memory files in broadcasts.)
    const bool broadcast = message.destination.empty();
    const std::uint64_t body_size = outgoing.memfd ? outgoing.memfd->size() : message.body.size();
    if (body_size > wire::max_message_size)
        return send_error(EMSGSIZE, message, false);
    const bool in_line = outgoing.memfd == nullptr && body_size <= max_inline_body;
    // Body and footer are one piece if they can be: the receiver then reads them in place. The
    // footer may move the body, so nothing looks at message.body any more after that.
    auto separate_tail = buffers_.borrow();
    wire::Buffer& tail = in_line ? *outgoing.body : *separate_tail;
    std::optional<abi::SealedMemfd> copy;
    const auto copy_body = [&](std::span<const std::byte> body) -> Result<void> {
        auto sealed = abi::SealedMemfd::copy(body, "kdbus-body");
        if (!sealed)
            return Error::from_code(sealed.error(), "Memory file for a large message");
        copy = std::move(*sealed);
        return {};
    };
    if (!in_line && outgoing.memfd == nullptr)
        if (auto copied = copy_body(message.body); !copied)
            return copied;
    const auto footer = wire::append_kdbus_footer(message.signature, body_size, *fields_end, tail);
    if (!footer)
        return Error::from_code(footer.error(), "Message");
    const auto file_part = [](const abi::SealedMemfd& file) {
        return abi::Part::memfd(file.fd(), 0, file.size());
    };
    std::array parts{abi::Part::bytes(head->bytes()),
                     in_line ? abi::Part::bytes({}) : file_part(copy ? *copy : *outgoing.memfd),
                     abi::Part::bytes(tail.bytes())};

    abi::OutgoingMessage out;
    out.cookie = message.serial;
    out.cookie_reply = message.reply_serial;
    out.priority = outgoing.priority;
    out.payload = parts;
    out.fds = outgoing.fds;
    if (message.expects_reply()) {
        out.flags |= KDBUS_MSG_EXPECT_REPLY;
        out.timeout_ns = outgoing.deadline_ns;
    }
    if ((message.flags & wire::no_auto_start) != 0)
        out.flags |= KDBUS_MSG_NO_AUTO_START;
    if (message.type == MessageType::signal) {
        out.flags |= KDBUS_MSG_SIGNAL;
        out.bloom = abi::BloomFilter{0, words};
    }
    if (broadcast) {
        out.dst_id = KDBUS_DST_ID_BROADCAST;
    } else if (const auto id = wire::unique_name_id(message.destination)) {
        if (*id == KDBUS_DST_ID_NAME || *id == KDBUS_DST_ID_BROADCAST)
            return send_error(ENXIO, message, false);
        out.dst_id = *id;
    } else if (message.destination.starts_with(':')) {
        // A unique name, but not one of this bus.
        return send_error(ENXIO, message, false);
    } else {
        out.dst_name = message.destination;
    }
    abi::Result<void> done = deliver(out);
    // The receiver may have room for a memory file, which takes none of its pool.
    if (!done && in_line && !broadcast && body_size >= min_file_body &&
        (done.error().value() == ENOBUFS || done.error().value() == EXFULL)) {
        if (auto copied = copy_body(tail.bytes().first(body_size)); !copied)
            return copied;
        parts[1] = file_part(*copy);
        parts[2] = abi::Part::bytes(tail.bytes().subspan(body_size));
        done = deliver(out);
    }
    if (!done) {
        const int value = done.error().value();
        return send_error(value, message, value == ECONNRESET && hung_up());
    }
    return {};
}

abi::Result<void> KernelTransport::deliver(abi::OutgoingMessage& message,
                                           const Outgoing& outgoing) {
    const bool named_signal =
        outgoing.message.type == MessageType::signal && !message.dst_name.empty();
    if (!named_signal)
        return connection_.send(message);
    // The receiver's match sees the id only (dbus-on-kdbus.md 2).
    abi::Result<void> done;
    for (int attempt = 0; attempt < max_resolve_attempts; ++attempt) {
        const auto owner = connection_.info(message.dst_name, 0);
        if (!owner)
            return std::unexpected(owner.error());
        const auto record = owner->first();
        if (!record)
            return abi::fail(EPROTO);
        message.dst_id = record->id;
        done = connection_.send(message);
        if (done || done.error().value() != EREMCHG)
            break;
    }
    return done;
}

Result<void> KernelTransport::send(const Outgoing& outgoing) {
    return encode_and(outgoing,
                      [&](abi::OutgoingMessage& message) { return deliver(message, outgoing); });
}

Result<MessagePointer> KernelTransport::call(const Outgoing& outgoing) {
    MessagePointer reply;
    auto done = encode_and(outgoing, [&](abi::OutgoingMessage& message) -> abi::Result<void> {
        auto received = connection_.call(message, {.cancel_fd = descriptor_of(outgoing.cancel)});
        if (!received)
            return std::unexpected(received.error());
        reply = parse(std::move(*received));
        return {};
    });
    if (!done)
        return std::move(done).error();
    if (!reply || reply->view.reply_serial != outgoing.message.serial)
        return Error{error_names::inconsistent_message, "The answer is malformed"};
    return reply;
}

Result<std::optional<MessagePointer>> KernelTransport::receive() {
    auto received = connection_.recv();
    if (!received) {
        const int value = received.error().value();
        if (value == EBADMSG)
            return std::optional(MessagePointer());
        if (value == ENOMEM || value == EINTR)
            return Error::from_errno(value, "Receiving");
        if (value == ECONNRESET)
            return Error{error_names::disconnected, "The connection has ended"};
        // It will be so for ever, because the descriptor is another one, say.
        return Error{error_names::disconnected, "Receiving: " + received.error().message()};
    }
    lost_ += received->dropped;
    if (!received->message)
        return std::optional<MessagePointer>();
    abi::ReceivedMessage message = std::move(*received->message);
    switch (message.header().payload_type) {
    case KDBUS_PAYLOAD_DBUS:
        return std::optional(parse(std::move(message)));
    case KDBUS_PAYLOAD_KERNEL:
        return std::optional(parse_notification(std::move(message)));
    default:
        return std::optional(MessagePointer());
    }
}

MessagePointer KernelTransport::parse(abi::ReceivedMessage received) {
    if (received.payload_size() > wire::max_message_size)
        return nullptr;
    auto data = MessagePool::take(messages_);
    data->slice = std::move(received);
    const kdbus_msg& header = data->slice.header();
    if (header.src_id == KDBUS_SRC_ID_KERNEL)
        return nullptr;

    // Ordinary messages have two pieces; the vector is for what others may cut.
    std::array<wire::Piece, 8> few;
    std::vector<wire::Piece> many;
    std::size_t count = 0;
    bool usable = true;
    data->slice.for_each_piece([&](const abi::Piece& from) {
        wire::Piece piece{from.data.data(), from.size, from.kind == abi::Piece::Kind::memfd};
        if (from.kind == abi::Piece::Kind::memfd) {
            auto mapping = from.map();
            if (!mapping) {
                usable = false;
                return;
            }
            piece.data = mapping->bytes().data();
            data->mappings.push_back(std::move(*mapping));
        } else if (from.kind == abi::Piece::Kind::zeros) {
            piece.data = nullptr;
        }
        if (count == few.size())
            many.assign(few.begin(), few.end());
        if (count < few.size())
            few[count] = piece;
        else
            many.push_back(piece);
        ++count;
    });
    if (!usable)
        return nullptr;
    const auto pieces = count <= few.size() ? std::span<const wire::Piece>(few).first(count)
                                            : std::span<const wire::Piece>(many);

    data->sender_name = wire::UniqueName(header.src_id);
    std::string_view destination;
    if (const auto name = data->slice.dst_name()) {
        destination = *name;
    } else if (header.dst_id == KDBUS_DST_ID_NAME) {
        destination = unique_name_;
    } else if (header.dst_id != KDBUS_DST_ID_BROADCAST) {
        data->destination_name = wire::UniqueName(header.dst_id);
        destination = data->destination_name.view();
    }
    const bool expects_reply = (header.flags & KDBUS_MSG_EXPECT_REPLY) != 0;
    const auto fds = data->slice.fds();
    const auto message = wire::parse_kdbus(pieces,
                                           {.flags = header.flags,
                                            .cookie = header.cookie,
                                            .cookie_reply = expects_reply ? 0 : header.cookie_reply,
                                            .fds = static_cast<std::uint32_t>(fds.size()),
                                            .sender = data->sender_name.view(),
                                            .destination = destination},
                                           data->storage);
    if (!message)
        return nullptr;
    data->view = *message;
    data->fds.reserve(fds.size());
    for (std::size_t i = 0; i < fds.size(); ++i)
        data->fds.push_back(data->slice.take_fd(i).value_or(abi::UniqueFd()));
    data->incomplete_fds = data->slice.incomplete_fds();
    return data;
}

MessagePointer KernelTransport::parse_notification(abi::ReceivedMessage received) {
    auto data = MessagePool::take(messages_);
    data->slice = std::move(received);
    const auto notification = data->slice.notification();
    if (!notification || data->slice.header().src_id != KDBUS_SRC_ID_KERNEL)
        return nullptr;
    const auto message = wire::notification_message(std::visit(ToWire{}, *notification),
                                                    unique_name_, format(), data->storage);
    if (!message || !*message)
        return nullptr;
    data->view = **message;
    return data;
}

Result<NameState> KernelTransport::request_name(std::string_view name, NameFlags flags) {
    std::uint64_t kernel_flags = 0;
    if (has_flag(flags, NameFlags::allow_replacement))
        kernel_flags |= KDBUS_NAME_ALLOW_REPLACEMENT;
    if (has_flag(flags, NameFlags::replace_existing))
        kernel_flags |= KDBUS_NAME_REPLACE_EXISTING;
    if (has_flag(flags, NameFlags::queue))
        kernel_flags |= KDBUS_NAME_QUEUE;
    if (!wire::is_well_known_name(name) || name == wire::driver_name)
        return request_name_error(EINVAL, name);
    const auto outcome = connection_.acquire_name(name, kernel_flags);
    if (!outcome)
        return request_name_error(outcome.error().value(), name);
    if (outcome->in_queue())
        return NameState::queued;
    if (!outcome->primary()) // we waited before and have left the queue now
        return request_name_error(EEXIST, name);
    return outcome->acquired() ? NameState::owner : NameState::already_owner;
}

Result<void> KernelTransport::release_name(std::string_view name) {
    if (const auto done = connection_.release_name(name); !done)
        return release_name_error(done.error().value(), name);
    return {};
}

Result<abi::InfoList> KernelTransport::look_up(std::string_view name, std::uint64_t attach_flags) {
    const auto id = wire::unique_name_id(name);
    if (id && *id == 0)
        return lookup_error(ENXIO, name);
    auto found = id ? connection_.info(*id, attach_flags) : connection_.info(name, attach_flags);
    if (!found)
        return lookup_error(found.error().value(), name);
    // An activator holds a name for a service that does not run (dbus-on-kdbus.md 5).
    const auto record = found->first();
    if (!record || !is_peer(record->flags))
        return lookup_error(ESRCH, name);
    return std::move(*found);
}

Result<std::string> KernelTransport::name_owner(std::string_view name) {
    if (name == wire::driver_name) // as daemons say
        return std::string(name);
    auto found = look_up(name, 0);
    if (!found)
        return std::move(found).error();
    return std::string(wire::UniqueName(found->first()->id).view());
}

Result<ConnectionInfo> KernelTransport::info(std::string_view name, std::uint64_t what) {
    auto found = look_up(name, what);
    if (!found)
        return std::move(found).error();
    const auto record = found->first();
    ConnectionInfo info = info_of(record->metadata(), (what & KDBUS_ATTACH_NAMES) != 0);
    info.unique_name = wire::UniqueName(record->id).view();
    return info;
}

Result<std::vector<std::string>> KernelTransport::list_names() {
    const auto list = connection_.list(KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES);
    if (!list)
        return Error::from_code(list.error(), "Listing names");
    std::vector<std::string> names{std::string(wire::driver_name)};
    std::uint64_t last_id = 0;
    list->for_each([&](const abi::InfoView& record) {
        if (!is_peer(record.flags))
            return;
        // A connection comes once per name, otherwise once without.
        if (record.id != last_id)
            names.emplace_back(wire::UniqueName(record.id).view());
        last_id = record.id;
        record.metadata().for_each_owned_name(
            [&](const abi::OwnedName& owned) { names.emplace_back(owned.name); });
    });
    std::sort(names.begin() + 1, names.end());
    return names;
}

Result<void> KernelTransport::add_match(std::uint64_t cookie, const wire::MatchRule& rule) {
    const wire::KernelMatches matches = rule.compile(bloom_);
    const auto add = [&](std::span<const abi::match::Rule> rules) -> Result<void> {
        const auto added = connection_.add_match(cookie, rules);
        if (added)
            return {};
        if (added.error().value() == EMFILE)
            return Error{error_names::limits_exceeded, "Too many match rules"};
        return Error::from_code(added.error(), "Match rule");
    };
    const auto add_all = [&]() -> Result<void> {
        if (matches.signals)
            if (auto added = add(to_rules(*matches.signals)); !added)
                return added;
        for (const auto& notification : matches.notifications) {
            const std::array<abi::match::Rule, 1> rules{to_rule(notification)};
            if (auto added = add(rules); !added)
                return added;
        }
        return {};
    };
    // Of several, some may be in when one fails.
    try {
        auto added = add_all();
        if (!added)
            remove_match(cookie);
        return added;
    } catch (const std::bad_alloc&) {
        remove_match(cookie);
        throw;
    }
}

void KernelTransport::add_sender_names(const Message& message,
                                       std::vector<std::string_view>& names) const {
    message.metadata().for_each_owned_name(
        [&](const abi::OwnedName& owned) { names.push_back(owned.name); });
}

void KernelTransport::remove_match(std::uint64_t cookie) noexcept {
    (void)connection_.remove_match(cookie);
}

} // namespace kdbus::detail
