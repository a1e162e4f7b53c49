// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_TRANSPORT_HPP
#define KDBUS_LIB_BUS_TRANSPORT_HPP

#include "cancellation.hpp"
#include "message_data.hpp"

#include <kdbus/abi/memfd.hpp>
#include <kdbus/bus.hpp>
#include <kdbus/result.hpp>
#include <kdbus/wire/match.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kdbus::detail {

/// A message to send, in terms no transport is partial to.
struct Outgoing {
    /// Header, and the body unless it is in `memfd`. The body is in the transport's format.
    wire::Message message;
    /// The buffer that holds the body and nothing else; the transport may append to it. Always
    /// there if `memfd` is not.
    wire::Buffer* body = nullptr;
    /// A body of one argument, an array of numbers as the signature says.
    const abi::SealedMemfd* memfd = nullptr;
    std::span<const int> fds;
    /// Calls: absolute CLOCK_MONOTONIC nanoseconds.
    std::uint64_t deadline_ns = 0;
    std::int64_t priority = 0;
    /// call(): what ends the wait, if anything does.
    const CancelFd* cancel = nullptr;
};

/// Serials from here on are the transport's own; messages from above have lower ones.
inline constexpr std::uint32_t first_transport_serial = 0x80000000;

/// The way to a bus, or to one peer. What a connection needs from below; everything that is the
/// same whatever carries the messages stands above. Used by one thread at a time.
class Transport {
public:
    Transport() = default;
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;
    virtual ~Transport() = default;

    /// How bodies travel.
    [[nodiscard]] virtual wire::Format format() const noexcept = 0;
    /// Whether there is no bus but one other peer, who gets everything that is sent.
    [[nodiscard]] virtual bool peer_to_peer() const noexcept { return false; }
    [[nodiscard]] virtual const std::string& unique_name() const noexcept = 0;
    [[nodiscard]] virtual const std::string& bus_id() const noexcept = 0;

    [[nodiscard]] virtual int fd() const noexcept = 0;
    [[nodiscard]] virtual short events() const noexcept = 0;
    /// When receive() must be called at the latest, absolute CLOCK_MONOTONIC nanoseconds.
    [[nodiscard]] virtual std::optional<std::uint64_t> timeout_ns() const noexcept = 0;

    virtual Result<void> send(const Outgoing& outgoing) = 0;
    /// Sends a call and waits for its reply, a method return or error. Other messages stay; however
    /// many come, they put off neither the deadline nor a cancellation.
    virtual Result<MessagePointer> call(const Outgoing& outgoing) = 0;
    /// The next message; nothing if none is there, a null pointer for one that was thrown away.
    /// Kernel and driver notices come as messages from org.freedesktop.DBus. Fails with
    /// Disconnected, for good.
    virtual Result<std::optional<MessagePointer>> receive() = 0;

    virtual Result<NameState> request_name(std::string_view name, NameFlags flags) = 0;
    virtual Result<void> release_name(std::string_view name) = 0;
    virtual Result<std::string> name_owner(std::string_view name) = 0;
    virtual Result<std::vector<std::string>> list_names() = 0;
    /// Who is behind a name, the parts in @p what (KDBUS_ATTACH_*) as far as they are known.
    virtual Result<ConnectionInfo> info(std::string_view name, std::uint64_t what) = 0;

    /// Lets messages through that match a rule; what else comes is sorted out above.
    virtual Result<void> add_match(std::uint64_t cookie, const wire::MatchRule& rule) = 0;
    virtual void remove_match(std::uint64_t cookie) noexcept = 0;
    /// Appends the well-known names that matter to rules and that the sender of a signal owned when
    /// it sent. Asked for the message received last; the text lives until the next one is.
    virtual void add_sender_names(const Message& message,
                                  std::vector<std::string_view>& names) const = 0;

    [[nodiscard]] virtual std::uint64_t lost_signals() const noexcept = 0;
};

} // namespace kdbus::detail

#endif
