// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_stream.hpp"

#include "wait.hpp"

#include <kdbus/wire/convert.hpp>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace kdbus::detail {
namespace {

constexpr std::uint64_t millisecond = 1'000'000;
/// For who has connected and says nothing, as in dbus-daemon.
constexpr std::uint64_t authentication_ns = 30'000 * millisecond;
/// The system says when it passes descriptors again to nobody.
constexpr std::uint64_t retry_ns = 10 * millisecond;

bool is_gone(int value) noexcept {
    return value == EPIPE || value == ECONNRESET || value == ENOTCONN;
}

Error send_failure(int value) {
    switch (value) {
    case ENOBUFS:
        return {error_names::limits_exceeded, "Too much is waiting to be sent"};
    case ETOOMANYREFS:
    case EMFILE:
    case ENFILE:
        return {error_names::limits_exceeded, "Too many descriptors on their way"};
    default:
        return Error::from_errno(value, "Sending");
    }
}

/// The same message, with its body in this machine's byte order: then numbers can be read in place.
wire::Result<wire::Buffer> to_native(const wire::Message& foreign) {
    wire::Buffer body;
    const auto converted = wire::convert_message(foreign, wire::dbus1_native, body);
    if (!converted)
        return std::unexpected(converted.error());
    wire::Buffer whole;
    if (auto done = wire::serialise_dbus1(*converted, whole); !done)
        return std::unexpected(done.error());
    return whole;
}

} // namespace

SocketStream::SocketStream(abi::UniqueFd socket, Sasl sasl, std::string guid)
    : socket_(std::move(socket)), guid_(std::move(guid)), sasl_(std::move(sasl)),
      sasl_deadline_ns_(now_ns() + authentication_ns) {}

SocketStream SocketStream::client(abi::UniqueFd socket, bool fds, std::string guid) {
    std::string opening;
    SaslClient sasl(geteuid(), fds, std::move(guid), opening);
    SocketStream stream(std::move(socket), std::move(sasl), {});
    stream.outbox_.push_text(opening);
    stream.flush();
    return stream;
}

SocketStream SocketStream::server(abi::UniqueFd socket, std::uint32_t uid, bool fds,
                                  std::string guid) {
    return {std::move(socket), SaslServer(guid, uid, fds), guid};
}

short SocketStream::events() const noexcept {
    const bool can_write = !outbox_.idle() && !retry_ns_;
    return static_cast<short>(can_write ? POLLIN | POLLOUT : POLLIN);
}

std::optional<std::uint64_t> SocketStream::timeout_ns() const noexcept {
    if (!sasl_ && inbox_.ready())
        return 0;
    if (sasl_ && !ended_)
        return std::min(sasl_deadline_ns_, retry_ns_.value_or(sasl_deadline_ns_));
    return retry_ns_;
}

Result<void> SocketStream::send(const wire::Message& message, std::span<const int> fds) {
    if (ended_)
        return *ended_;
    if (unwritable_)
        return Error{error_names::disconnected, "The other end takes nothing any more"};
    if (fds.size() > max_fds)
        return Error{error_names::limits_exceeded, "Too many descriptors in a message"};
    if (!fds.empty() && !sasl_ && !fds_agreed_)
        return Error{error_names::not_supported, "The other end does not take descriptors"};
    head_.clear();
    if (auto written = wire::write_dbus1_header(message, head_); !written)
        return Error::from_code(written.error(), "Message header");
    const auto sent = outbox_.send(fd(), head_.bytes(), message.body, fds);
    if (sent)
        return {};
    if (!is_gone(sent.error().value()))
        return send_failure(sent.error().value());
    // What it sent before it went can still be received.
    unwritable_ = true;
    outbox_.clear();
    return Error{error_names::disconnected, "The other end went away"};
}

Result<std::optional<MessagePointer>> SocketStream::next() {
    if (ended_)
        return *ended_;
    flush();
    for (;;) {
        if (!sasl_) {
            auto bytes = inbox_.next();
            if (!bytes)
                return end("Not a message: " + bytes.error().message());
            if (*bytes) {
                auto message = parse(std::move(**bytes));
                if (!message)
                    return std::move(message).error();
                return std::optional(std::move(*message));
            }
        }
        const auto receipt = inbox_.fill(fd());
        if (!receipt)
            return end("Receiving: " + receipt.error().message());
        if (*receipt == SocketInbox::Receipt::end)
            return end("The other end closed the connection");
        if (*receipt == SocketInbox::Receipt::nothing) {
            if (unwritable_)
                return end("The other end went away");
            if (sasl_ && now_ns() >= sasl_deadline_ns_)
                return end("The other end did not authenticate in time");
            return std::optional<MessagePointer>();
        }
        if (sasl_)
            converse();
        if (inbox_.fd_count() > 0 && (sasl_ || !fds_agreed_))
            return end("Descriptors came that were not agreed on");
        if (ended_)
            return *ended_;
    }
}

void SocketStream::converse() {
    std::string answer;
    const auto state = [&](auto& sasl) {
        inbox_.consume(sasl.feed(inbox_.text(), answer));
        if (!answer.empty())
            outbox_.push_text(answer);
        using State = typename std::remove_reference_t<decltype(sasl)>::State;
        if (sasl.state() == State::failed) {
            flush(); // so that the other end knows why
            end("Authentication failed");
        }
        return sasl.state() == State::done ? std::optional(sasl.fds_agreed()) : std::nullopt;
    };
    const auto fds_agreed = std::visit(state, *sasl_);
    if (ended_)
        return;
    if (fds_agreed)
        authenticated(*fds_agreed);
    flush();
}

void SocketStream::authenticated(bool fds_agreed) {
    if (const auto* client = std::get_if<SaslClient>(&*sasl_))
        guid_ = client->guid();
    sasl_.reset();
    fds_agreed_ = fds_agreed;
    // It was too early to say no when they were sent.
    if (!fds_agreed && outbox_.has_fds())
        end("The other end does not take descriptors, but some were sent");
    outbox_.open();
}

void SocketStream::flush() {
    if (outbox_.idle() || ended_ || (retry_ns_ && now_ns() < *retry_ns_))
        return;
    retry_ns_.reset();
    const auto flushed = outbox_.flush(fd());
    if (!flushed) {
        unwritable_ = true;
        outbox_.clear();
    } else if (*flushed == SocketOutbox::Flushed::later) {
        retry_ns_ = now_ns() + retry_ns;
    }
}

Result<MessagePointer> SocketStream::parse(wire::Buffer bytes) {
    auto data = MessagePool::take(messages_);
    std::swap(data->storage, bytes);
    inbox_.reuse(std::move(bytes));
    auto message = wire::parse_dbus1(data->storage.bytes());
    if (message && message->format != wire::dbus1_native) {
        auto native = to_native(*message);
        if (!native)
            return end("Not a message: " + native.error().message());
        data->storage = std::move(*native);
        message = wire::parse_dbus1(data->storage.bytes());
    }
    if (!message)
        return end("Not a message: " + message.error().message());
    data->view = *message;
    if (!inbox_.take_fds(message->unix_fds, data->fds))
        return end("A message without the descriptors it is said to have");
    data->incomplete_fds =
        std::any_of(data->fds.begin(), data->fds.end(), [](const auto& one) { return !one; });
    return data;
}

Result<void> SocketStream::wait(std::uint64_t until_ns, int cancel_fd) {
    return wait_for(fd(), events(), std::min(until_ns, timeout_ns().value_or(until_ns)), cancel_fd);
}

Error SocketStream::end(std::string reason) {
    if (!ended_) {
        ended_ = Error{error_names::disconnected, std::move(reason)};
        shutdown(fd(), SHUT_RDWR);
        outbox_.clear();
        retry_ns_.reset();
    }
    return *ended_;
}

} // namespace kdbus::detail
