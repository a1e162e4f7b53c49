// SPDX-License-Identifier: LGPL-2.1-or-later
#include "client.hpp"

#include "log.hpp"
#include "proxy.hpp"
#include "translate.hpp"

#include <kdbus/wire/mapping.hpp>

#include <fmt/format.h>
#include <linux/kdbus.h>
#include <poll.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>
#include <variant>

namespace kdbus::proxy {

using wire::MessageType;

namespace {

/// Messages taken from the kernel's queue before other clients get their turn: as many as one
/// sending user can have there.
constexpr unsigned drain_batch = KDBUS_CONN_MAX_MSGS;
/// Messages an answer may wait for. More than one sender's share of the queue, so that only a
/// flood from several can make an answer overtake what was there before it.
constexpr unsigned drain_before_answer = 1024;
/// Pause after the system ran short of something.
constexpr std::chrono::milliseconds retry_delay{100};
/// Descriptors that may wait for the rest of their message: as many as one sendmsg(2) carries.
constexpr std::size_t max_pending_fds = 253;
/// Destination of answers to those who have no name yet, as the reference daemon has it.
constexpr std::string_view no_name_yet = ":not.active.yet";

/// Lets go of a message's memory at the end of a scope.
template <class T>
class Releaser {
public:
    explicit Releaser(T& held) : held_(held) {}
    Releaser(const Releaser&) = delete;
    ~Releaser() { held_.release(); }

private:
    T& held_;
};

bool is_reply(const wire::Message& message) {
    return message.type == MessageType::method_return || message.type == MessageType::error;
}

/// An error name (without prefix) and text.
struct Failure {
    std::string_view name;
    std::string text;
};

/// What sending failed with, as D-Bus error (dbus-on-kdbus.md 6.1).
Failure describe(std::error_code error, const wire::Message& message) {
    const auto to = message.destination;
    if (error.category() != std::generic_category()) {
        if (error == make_error_code(wire::Errc::message_too_long) ||
            error == make_error_code(wire::Errc::array_too_long))
            return {"LimitsExceeded", "The message is too long for the bus"};
        return {"Failed", fmt::format("The message cannot be sent: {}", error.message())};
    }
    switch (error.value()) {
    case ENXIO:
    case ESRCH:
    case ECONNRESET: // of the receiver: the own connection was looked at
        if ((message.flags & wire::no_auto_start) != 0)
            return {"NameHasNoOwner", fmt::format("The name \"{}\" has no owner", to)};
        return {"ServiceUnknown", fmt::format("The name \"{}\" has no owner, and nothing is known "
                                              "that provides it",
                                              to)};
    case EADDRNOTAVAIL:
        return {"NameHasNoOwner", fmt::format("The name \"{}\" has no owner", to)};
    case EPERM:
        return {"AccessDenied", fmt::format("You may not send to \"{}\"", to)};
    case ECOMM:
        return {"NotSupported", fmt::format("\"{}\" does not take file descriptors", to)};
    case ENOTUNIQ:
        return {"NotSupported", "File descriptors cannot be broadcast"};
    case EOPNOTSUPP:
        return {"NotSupported", "A file descriptor is of a kind that cannot be passed"};
    case ENOBUFS:
    case EXFULL:
        return {"LimitsExceeded", fmt::format("\"{}\" has too much unread", to)};
    case EMFILE:
        return {"LimitsExceeded", "Too many file descriptors"};
    case EMLINK:
        return {"LimitsExceeded", "Too many calls wait for their reply"};
    case EMSGSIZE:
    case E2BIG:
        return {"LimitsExceeded", "The message is too long for the bus"};
    case ENOMEM:
        return {"NoMemory", "Not enough memory"};
    default:
        return {"Failed", fmt::format("The message cannot be sent: {}", error.message())};
    }
}

/// Failures after which the caller waits in vain: its slot was closed before the delivery of the
/// reply was tried (messages.md 4.2).
bool reply_is_lost(int error) {
    return error == ECOMM || error == ENOBUFS || error == EMFILE || error == EXFULL ||
           error == EFAULT;
}

} // namespace

Client::Client(Proxy& proxy, abi::UniqueFd socket, PeerIdentity peer)
    : proxy_(proxy), socket_(std::move(socket)), peer_(std::move(peer)),
      auth_(proxy.bus().id(), peer_.uid, true),
      matches_({.size = proxy.bus().bloom().size, .hashes = proxy.bus().bloom().n_hash}),
      timer_(proxy.loop(), [this] { on_time(); }), retry_(proxy.loop(), [this] { on_retry(); }),
      socket_io_(proxy.loop(), socket_.get(), EPOLLIN,
                 [this](std::uint32_t events) { on_socket(events); }) {
    timer_.set(proxy_.limits().auth_timeout);
}

Client::~Client() = default;

// ---- events
// --------------------------------------------------------------------------------------

template <class Work>
void Client::guarded(Work&& work) noexcept {
    if (left_)
        return;
    // Whatever goes wrong with one client must not reach the others.
    try {
        work();
    } catch (const std::exception& error) {
        leave(error.what());
    }
    watch();
}

void Client::on_socket(std::uint32_t events) noexcept {
    guarded([&] {
        if ((events & (EPOLLHUP | EPOLLERR)) != 0)
            peer_gone_ = true;
        flush();
        const bool readable = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
        const bool end = readable && (!held_ || peer_gone_) && receive_some();
        if (end)
            peer_gone_ = true;
        advance();
        flush();
        if (end)
            leave("the peer has closed the connection");
    });
}

void Client::on_bus(std::uint32_t events) noexcept {
    guarded([&] {
        if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
            leave("the kernel connection has ended");
            return;
        }
        advance();
        if (unsigned budget = drain_batch; !held_)
            (void)drain(budget);
        flush();
    });
}

void Client::take_mail() noexcept {
    guarded([&] {
        unsigned budget = drain_batch;
        (void)drain(budget);
        flush();
    });
}

void Client::on_time() noexcept {
    leave(complete() ? "descriptors came without their message" : "no Hello in time");
}

void Client::on_retry() noexcept {
    guarded([&] {
        short_of_resources_ = false;
        flush();
        advance();
        flush();
    });
}

void Client::leave(std::string_view reason) noexcept {
    if (left_)
        return;
    left_ = true;
    try {
        log::debug("client {} of user {}: {}", name_.empty() ? "without name" : name_, peer_.uid,
                   reason);
        flush(); // why it is disconnected, perhaps
    } catch (const std::exception&) {
        // It is disconnected anyway.
    }
    outbox_.clear();
    held_.reset();
    timer_.cancel();
    retry_.cancel();
    socket_io_.pause();
    if (bus_io_)
        bus_io_->pause();
    proxy_.retire(*this);
}

void Client::watch() noexcept {
    if (left_)
        return;
    std::uint32_t events = 0;
    if (!held_)
        events |= EPOLLIN;
    if (!outbox_.empty() && !short_of_resources_)
        events |= EPOLLOUT;
    socket_io_.watch(events);
    if (bus_io_) {
        const auto& limits = proxy_.limits();
        const bool room =
            outbox_.bytes() < limits.max_outgoing_bytes && outbox_.fds() < limits.max_outgoing_fds;
        bus_io_->watch(room && !short_of_resources_ && !peer_gone_ ? std::uint32_t{EPOLLIN} : 0);
    }
}

// ---- the socket
// ----------------------------------------------------------------------------------

bool Client::receive_some() {
    const auto receipt = receive(socket_.get(), inbox_);
    if (!receipt)
        throw std::system_error(receipt.error(), "receiving");
    if (*receipt == Receipt::data && auth_.state() != detail::SaslServer::State::done)
        authenticate();
    return *receipt == Receipt::end;
}

void Client::authenticate() {
    const auto received = inbox_.bytes();
    std::string replies;
    const auto used =
        auth_.feed({reinterpret_cast<const char*>(received.data()), received.size()}, replies);
    if (!replies.empty())
        outbox_.push_text(replies);
    inbox_.consume(used);
    if (auth_.state() == detail::SaslServer::State::failed)
        leave("authentication failed");
    else if (auth_.state() != detail::SaslServer::State::done && inbox_.fd_count() > 0)
        leave("descriptors during authentication");
}

void Client::advance() {
    while (!left_) {
        if (held_) {
            if (!drain(held_budget_))
                return;
            if (!left_ && !peer_gone_)
                outbox_.push(std::move(*held_));
            held_.reset();
        } else if (!take_message()) {
            break;
        }
    }
    if (left_)
        return;
    if (inbox_.fd_count() > (auth_.fds_agreed() ? max_pending_fds : 0)) {
        leave("descriptors that it may not send");
    } else if (complete()) {
        if (inbox_.fd_count() == 0)
            timer_.cancel();
        else if (!timer_.armed())
            timer_.set(proxy_.limits().pending_fd_timeout);
    }
}

bool Client::take_message() {
    if (auth_.state() != detail::SaslServer::State::done)
        return false;
    const auto bytes = inbox_.message();
    if (!bytes) {
        leave(bytes.error().message());
        return false;
    }
    if (!*bytes)
        return false;
    const auto message = wire::parse_dbus1(**bytes);
    if (!message) {
        leave(message.error().message());
        return false;
    }
    if (message->unix_fds > inbox_.fd_count()) {
        leave("fewer descriptors than the message says");
        return false;
    }
    handle(*message, inbox_.take_fds(message->unix_fds));
    inbox_.consume((*bytes)->size());
    proxy_.relieve();
    return true;
}

void Client::flush() {
    if (peer_gone_) {
        outbox_.clear();
        return;
    }
    const auto flushed = outbox_.flush(socket_.get());
    if (!flushed) {
        // What it sent before it went still counts, so it is read to the end.
        peer_gone_ = true;
        outbox_.clear();
    } else if (*flushed == Outbox::Flushed::later) {
        short_of_resources_ = true;
        retry_.set(retry_delay);
    }
}

void Client::push(Outgoing outgoing) {
    if (!peer_gone_)
        outbox_.push(std::move(outgoing));
}

// ---- from the client
// -----------------------------------------------------------------------------

/// The place for the policy on sending is in front of broadcast() and unicast().
void Client::handle(const wire::Message& message, std::vector<abi::UniqueFd> fds) {
    if (message.type == MessageType::method_call && message.destination.empty())
        answer(message, driver::answer_undirected(message), "");
    else if (!complete())
        before_hello(message);
    else if (message.type > MessageType::signal)
        return; // unknown types are to be ignored
    else if (message.destination == wire::driver_name)
        call_driver(message);
    else if (!message.destination.empty())
        unicast(message, fds);
    else if (message.type == MessageType::signal)
        broadcast(message, fds);
}

void Client::before_hello(const wire::Message& message) {
    if (message.destination != wire::driver_name) {
        leave("its first message was not Hello");
    } else if (message.type != MessageType::method_call) {
        return;
    } else if (message.member != "Hello" ||
               (!message.interface.empty() && message.interface != wire::driver_name)) {
        answer(message, driver::error_reply("AccessDenied", "Say Hello first"), no_name_yet);
    } else if (!message.signature.empty()) {
        answer(message, driver::error_reply("InvalidArgs", "Hello takes no arguments"),
               no_name_yet);
    } else {
        hello(message);
    }
}

void Client::hello(const wire::Message& message) {
    auto connection = proxy_.bus().connect(peer_, auth_.fds_agreed());
    if (!connection) {
        log::debug("HELLO for user {}: {}", peer_.uid, connection.error().message());
        const bool limit = connection.error().value() == EMFILE;
        answer(message,
               driver::error_reply(limit ? "LimitsExceeded" : "Failed",
                                   fmt::format("No connection to the kernel bus: {}",
                                               connection.error().message())),
               no_name_yet);
        return;
    }
    connection_ = std::move(*connection);
    try {
        if (auto installed = Matches::install_standing(*this, id()); !installed)
            throw std::system_error(installed.error(), "match rules");
        bus_io_ = std::make_unique<Io>(proxy_.loop(), connection_->fd(), EPOLLIN,
                                       [this](std::uint32_t events) { on_bus(events); });
        proxy_.completed(*this);
    } catch (...) {
        bus_io_.reset();
        connection_.reset();
        throw;
    }
    name_ = wire::UniqueName(id()).view();
    timer_.cancel();

    driver::Reply reply;
    wire::Writer writer(reply.body, wire::dbus1_native);
    writer.append(name_);
    if (!writer.finish())
        throw std::bad_alloc();
    reply.signature = "s";
    push(render(message.serial, std::move(reply), name_));
    announce("NameAcquired", name_);
}

void Client::call_driver(const wire::Message& message) {
    if (message.type != MessageType::method_call)
        return;
    driver::Caller caller{
        .registry = *this,
        .matches = matches_,
        .installer = *this,
        .bus_id = proxy_.bus().id(),
        .uid = peer_.uid,
        .accepts_fds = auth_.fds_agreed(),
        .max_match_rules = proxy_.limits().max_match_rules,
    };
    answer(message, driver::answer(message, caller), name_);
}

void Client::broadcast(const wire::Message& message, const std::vector<abi::UniqueFd>& fds) {
    if (!fds.empty()) {
        send_failed(message, KDBUS_DST_ID_BROADCAST, abi::errno_code(ENOTUNIQ));
        return;
    }
    auto& to_kernel = proxy_.to_kernel();
    const Releaser release(to_kernel);
    std::error_code error;
    if (const auto packed = to_kernel.pack(message, matches_.bloom()); !packed) {
        error = packed.error();
    } else {
        to_kernel.message().dst_id = KDBUS_DST_ID_BROADCAST;
        if (const auto sent = send(message, to_kernel.message()); !sent)
            error = sent.error();
    }
    if (error)
        send_failed(message, KDBUS_DST_ID_BROADCAST, error);
}

void Client::unicast(const wire::Message& message, const std::vector<abi::UniqueFd>& fds) {
    std::uint64_t dst_id = KDBUS_DST_ID_NAME;
    const auto send_it = [&]() -> abi::Result<void> {
        // Where it goes comes first: a reply's serial may have to be translated back.
        abi::OutgoingMessage address;
        if (auto resolved = resolve(message, address); !resolved)
            return resolved;
        dst_id = address.dst_id;
        wire::Message translated = message;
        if (is_reply(message))
            translated.reply_serial =
                serials_.for_reply(dst_id, static_cast<std::uint32_t>(message.reply_serial));

        auto& to_kernel = proxy_.to_kernel();
        const Releaser release(to_kernel);
        if (auto packed = to_kernel.pack(translated, matches_.bloom()); !packed)
            return packed;
        auto& out = to_kernel.message();
        out.dst_id = address.dst_id;
        out.dst_name = address.dst_name;
        if ((out.flags & KDBUS_MSG_EXPECT_REPLY) != 0)
            out.timeout_ns = abi::deadline_after(proxy_.limits().reply_timeout);
        std::vector<int> numbers;
        for (const auto& fd : fds)
            numbers.push_back(fd.get());
        out.fds = numbers;
        return send(message, out);
    };
    if (const auto sent = send_it(); !sent)
        send_failed(message, dst_id, sent.error());
}

abi::Result<void> Client::resolve(const wire::Message& message, abi::OutgoingMessage& out) {
    if (message.destination.starts_with(':')) {
        const auto id = wire::unique_name_id(message.destination);
        if (!id || *id == KDBUS_DST_ID_NAME || *id == KDBUS_DST_ID_BROADCAST)
            return abi::fail(ENXIO);
        out.dst_id = *id;
        return {};
    }
    out.dst_name = message.destination;
    if (message.type != MessageType::signal)
        return {};
    // The receiver's standing match sees the id only.
    const auto owner = proxy_.bus().owner(message.destination);
    if (!owner)
        return std::unexpected(owner.error());
    out.dst_id = *owner;
    return {};
}

abi::Result<void> Client::send(const wire::Message& message, abi::OutgoingMessage& out) {
    constexpr unsigned max_attempts = 16;
    for (unsigned attempt = 1;; ++attempt) {
        auto sent = connection_->send(out);
        if (sent)
            proxy_.sent(message.body.size() <= ToKernel::inline_limit ? message.body.size() : 0);
        if (sent || attempt == max_attempts)
            return sent;
        switch (sent.error().value()) {
        case EAGAIN:
        case EINTR:
            continue;
        case EREMCHG: // the name moved after it was looked up
            if (auto resolved = resolve(message, out); !resolved)
                return resolved;
            continue;
        case ENOBUFS:
        case EXFULL:
            if (is_reply(message))
                return sent; // there is one attempt only
            [[fallthrough]];
        case EMSGSIZE:
            if (!proxy_.to_kernel().use_memfd())
                return sent;
            continue;
        default:
            return sent;
        }
    }
}

void Client::send_failed(const wire::Message& message, std::uint64_t dst_id,
                         std::error_code error) {
    const bool from_kernel = error.category() == std::generic_category();
    if (from_kernel && error.value() == EBADSLT)
        return; // nobody waits for this reply
    if (from_kernel && error.value() == ECONNRESET) {
        pollfd own{connection_->fd(), 0, 0};
        if (poll(&own, 1, 0) > 0 && (own.revents & (POLLHUP | POLLERR)) != 0) {
            leave("the kernel connection has ended");
            return;
        }
    }
    const auto failure = describe(error, message);
    if (is_reply(message) && (!from_kernel || reply_is_lost(error.value())))
        if (auto* const caller = proxy_.find(dst_id))
            caller->fail_call(message.reply_serial, failure.name, failure.text);
    // As the reference daemon does, whether or not it was a call.
    answer(message, driver::error_reply(failure.name, failure.text), name_);
}

// ---- answers of the proxy
// ------------------------------------------------------------------------

void Client::answer(const wire::Message& message, driver::Reply reply,
                    std::string_view destination) {
    if (left_ || peer_gone_)
        return;
    held_ = render(message.serial, std::move(reply), destination);
    held_budget_ = drain_before_answer;
}

Outgoing Client::render(std::uint64_t reply_serial, driver::Reply reply,
                        std::string_view destination) {
    wire::Message message;
    message.type = reply.error_name.empty() ? MessageType::method_return : MessageType::error;
    message.flags = wire::no_reply_expected;
    message.format = wire::dbus1_native;
    message.unix_fds = static_cast<std::uint32_t>(reply.fds.size());
    message.serial = next_serial();
    message.reply_serial = reply_serial;
    message.error_name = reply.error_name;
    message.destination = destination;
    // Who was not addressed has no name.
    message.sender = destination.empty() ? std::string_view() : wire::driver_name;
    message.signature = reply.signature;
    message.body = reply.body.bytes();
    auto outgoing = to_client(message);
    if (!outgoing)
        throw std::system_error(outgoing.error(), "an answer of the bus");
    outgoing->fds = std::move(reply.fds);
    return std::move(*outgoing);
}

void Client::announce(std::string_view member, std::string_view name) {
    wire::Buffer body;
    wire::Writer writer(body, wire::dbus1_native);
    writer.append(name);
    if (!writer.finish())
        throw std::bad_alloc();
    wire::Message message;
    message.type = MessageType::signal;
    message.flags = wire::no_reply_expected;
    message.format = wire::dbus1_native;
    message.serial = next_serial();
    message.path = wire::driver_path;
    message.interface = wire::driver_name;
    message.member = member;
    message.destination = name_;
    message.sender = wire::driver_name;
    message.signature = "s";
    message.body = body.bytes();
    auto outgoing = to_client(message);
    if (!outgoing)
        throw std::system_error(outgoing.error(), "a signal of the bus");
    push(std::move(*outgoing));
}

void Client::fail_call(std::uint64_t serial, std::string_view error,
                       std::string_view text) noexcept {
    guarded([&] {
        if (peer_gone_)
            return;
        push(render(serial, driver::error_reply(error, text), name_));
        flush();
    });
}

std::uint32_t Client::next_serial() noexcept {
    if (++serial_ == 0)
        serial_ = 1;
    return serial_;
}

// ---- from the bus
// --------------------------------------------------------------------------------

bool Client::has_room() {
    const auto& limits = proxy_.limits();
    const auto room = [&] {
        return outbox_.bytes() < limits.max_outgoing_bytes &&
               outbox_.fds() < limits.max_outgoing_fds && !short_of_resources_;
    };
    if (room())
        return true;
    flush();
    return room();
}

/// Delivers what the kernel has for this client, at most @p budget messages. False if there may be
/// more that cannot be delivered now.
bool Client::drain(unsigned& budget) {
    while (complete() && !left_ && !peer_gone_ && budget > 0) {
        if (!has_room())
            return false;
        auto received = connection_->recv();
        if (!received) {
            switch (received.error().value()) {
            case EAGAIN:
                return true;
            case EBADMSG: // and gone
                --budget;
                continue;
            case ECONNRESET:
                leave("the kernel connection has ended");
                return true;
            default:
                log::debug("receiving for {}: {}", name_, received.error().message());
                short_of_resources_ = true;
                retry_.set(retry_delay);
                return false;
            }
        }
        if (received->dropped > 0)
            log::debug("{} is too slow: {} signals lost", name_, received->dropped);
        if (!received->message)
            return true;
        --budget;
        deliver(*received->message);
    }
    return true;
}

/// The place for the policy on receiving is in front of forward().
void Client::deliver(abi::ReceivedMessage& received) {
    if (received.is_kernel()) {
        if (const auto notification = received.notification())
            notify(*notification);
        return;
    }
    const auto& header = received.header();
    if (header.payload_type != KDBUS_PAYLOAD_DBUS) {
        undeliverable(received, make_error_code(wire::Errc::wrong_format));
        return;
    }
    auto& from_kernel = proxy_.from_kernel();
    const Releaser release(from_kernel);
    auto message = from_kernel.unpack(received, id());
    if (!message) {
        undeliverable(received, message.error());
        return;
    }
    // Clients are known to misbehave on broadcasts that they did not ask for.
    if (header.dst_id == KDBUS_DST_ID_BROADCAST &&
        !matches_.wanted(*message, from_kernel.sender_names()))
        return;
    forward(received, *message);
}

void Client::forward(abi::ReceivedMessage& received, wire::Message& message) {
    constexpr std::uint64_t max_serial = std::numeric_limits<std::uint32_t>::max();
    const auto& header = received.header();
    if (received.incomplete_fds()) {
        undeliverable(received, abi::errno_code(EMFILE));
        return;
    }
    if (message.reply_serial > max_serial)
        return; // not a serial this client ever used
    if (message.expects_reply())
        message.serial = serials_.for_call(header.src_id, header.cookie);
    else if (message.serial > max_serial)
        message.serial = next_serial();
    auto outgoing = to_client(message);
    if (!outgoing) {
        undeliverable(received, outgoing.error());
        return;
    }
    for (std::size_t i = 0; i < received.fds().size(); ++i) {
        auto fd = received.take_fd(i);
        if (!fd) {
            undeliverable(received, fd.error());
            return;
        }
        outgoing->fds.push_back(std::move(*fd));
    }
    push(std::move(*outgoing));
}

/// Nobody shall wait for what cannot arrive.
void Client::undeliverable(const abi::ReceivedMessage& received, std::error_code error) {
    const auto& header = received.header();
    log::debug("message from {} to {} cannot be delivered: {}", header.src_id, name_,
               error.message());
    const bool limit = error.category() == std::generic_category() ||
                       error == make_error_code(wire::Errc::message_too_long) ||
                       error == make_error_code(wire::Errc::array_too_long) ||
                       error == make_error_code(wire::Errc::no_memory);
    const std::string_view name = limit ? "LimitsExceeded" : "InconsistentMessage";
    const auto text = fmt::format("The message cannot be delivered: {}", error.message());
    if ((header.flags & KDBUS_MSG_SIGNAL) != 0)
        return;
    if ((header.flags & KDBUS_MSG_EXPECT_REPLY) == 0) {
        if (header.cookie_reply != 0 &&
            header.cookie_reply <= std::numeric_limits<std::uint32_t>::max())
            push(render(header.cookie_reply, driver::error_reply(name, text), name_));
        return;
    }
    const auto reply = driver::error_reply(name, text);
    const wire::UniqueName caller(header.src_id);
    wire::Message message;
    message.type = MessageType::error;
    message.format = wire::dbus1_native;
    message.serial = wire::synthetic_serial;
    message.reply_serial = header.cookie;
    message.error_name = reply.error_name;
    message.destination = caller.view();
    message.signature = reply.signature;
    message.body = reply.body.bytes();
    auto& to_kernel = proxy_.to_kernel();
    const Releaser release(to_kernel);
    if (!to_kernel.pack(message, matches_.bloom()))
        return;
    to_kernel.message().dst_id = header.src_id;
    (void)send(message, to_kernel.message());
}

void Client::notify(const abi::Notification& notification) {
    using Kind = wire::Notification::Kind;
    if (const auto* reply = std::get_if<abi::ReplyNotification>(&notification)) {
        const bool dead = reply->type == KDBUS_ITEM_REPLY_DEAD;
        push(render(reply->cookie,
                    driver::error_reply("NoReply", dead ? "The peer left the bus without replying"
                                                        : "The peer did not reply in time"),
                    name_));
        return;
    }
    wire::Notification change;
    if (const auto* name = std::get_if<abi::NameNotification>(&notification)) {
        change.kind = name->type == KDBUS_ITEM_NAME_ADD      ? Kind::name_add
                      : name->type == KDBUS_ITEM_NAME_REMOVE ? Kind::name_remove
                                                             : Kind::name_change;
        change.old_id = name->old_owner.id;
        change.old_flags = name->old_owner.flags;
        change.new_id = name->new_owner.id;
        change.new_flags = name->new_owner.flags;
        change.name = name->name;
    } else {
        const auto& id = std::get<abi::IdNotification>(notification);
        change.kind = id.type == KDBUS_ITEM_ID_ADD ? Kind::id_add : Kind::id_remove;
        change.new_id = id.connection.id;
        change.new_flags = id.connection.flags;
    }
    notify_change(change);
}

void Client::notify_change(const wire::Notification& notification) {
    const auto change = wire::owner_change(notification);
    if (!change)
        return;
    const bool well_known = !change->name.empty();
    if (well_known && change->old_id == id())
        announce("NameLost", change->name);
    wire::Buffer body;
    auto message = wire::notification_message(notification, name_, wire::dbus1_native, body);
    if (!message)
        throw std::system_error(message.error(), "a notification");
    if (*message && matches_.wanted(**message)) {
        (*message)->serial = next_serial();
        auto outgoing = to_client(**message);
        if (!outgoing)
            throw std::system_error(outgoing.error(), "a notification");
        push(std::move(*outgoing));
    }
    if (well_known && change->new_id == id())
        announce("NameAcquired", change->name);
}

// ---- Registry, MatchInstaller
// --------------------------------------------------------------------

/// The place for the policy on owning names.
abi::Result<abi::NameOutcome> Client::acquire_name(std::string_view name, std::uint64_t flags) {
    return connection_->acquire_name(name, flags);
}

abi::Result<void> Client::release_name(std::string_view name) {
    return connection_->release_name(name);
}

abi::Result<std::uint64_t> Client::owner(std::string_view name) {
    return proxy_.bus().owner(name);
}

abi::Result<bool> Client::exists(std::uint64_t id) {
    return proxy_.bus().exists(id);
}

abi::Result<std::vector<std::string>> Client::names() {
    return proxy_.bus().names();
}

abi::Result<std::vector<std::uint64_t>> Client::queue(std::string_view name) {
    return proxy_.bus().queue(name);
}

abi::Result<Identity> Client::identity(std::uint64_t id) {
    auto identity = proxy_.bus().identity(id);
    if (!identity)
        return identity;
    // The kernel knows no more of our clients than it was told; their sockets tell the rest.
    if (const auto* const client = proxy_.find(id)) {
        identity->groups = client->peer().groups;
        identity->pidfd = client->peer().pidfd.get();
    }
    return identity;
}

Identity Client::bus_identity() {
    Identity identity;
    identity.uid = geteuid();
    identity.pid = static_cast<std::uint32_t>(getpid());
    return identity;
}

abi::Result<void> Client::add_match(std::uint64_t cookie, std::span<const abi::match::Rule> rules) {
    return connection_->add_match(cookie, rules);
}

abi::Result<void> Client::remove_match(std::uint64_t cookie) {
    return connection_->remove_match(cookie);
}

} // namespace kdbus::proxy
