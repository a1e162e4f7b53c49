// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_MESSAGE_HPP
#define KDBUS_MESSAGE_HPP

#include <kdbus/abi/fd.hpp>
#include <kdbus/abi/metadata.hpp>
#include <kdbus/arguments.hpp>
#include <kdbus/credentials.hpp>
#include <kdbus/descriptors.hpp>
#include <kdbus/export.hpp>
#include <kdbus/result.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/message.hpp>
#include <kdbus/wire/structs.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

namespace kdbus {

using wire::MessageType;
using wire::ObjectPath;
using wire::ObjectPathView;
using wire::Signature;
using wire::SignatureView;
using wire::UnixFd;
using wire::Variant;

/// When a message was sent, by the kernel's clocks (abi.md 3.5, messages.md 9.7).
struct Timestamp {
    std::uint64_t sequence = 0;           ///< number of the message on its bus
    std::chrono::nanoseconds monotonic{}; ///< CLOCK_MONOTONIC, as std::chrono::steady_clock counts
    std::chrono::sys_time<std::chrono::nanoseconds> realtime{}; ///< CLOCK_REALTIME
};

namespace detail {
template <class T>
inline constexpr bool has_view = false;
/// Whether values of a type point into the message that they were read from.
template <class T>
inline constexpr bool is_view = has_view<T>;
template <wire::detail::PlainAggregate T>
inline constexpr bool is_view<T> = has_view<wire::detail::MembersOf<T>>;

/// The same, struct members aside.
template <>
inline constexpr bool has_view<std::string_view> = true;
template <>
inline constexpr bool has_view<ObjectPathView> = true;
template <>
inline constexpr bool has_view<SignatureView> = true;
template <class T>
inline constexpr bool has_view<T&> = is_view<T>;
template <class T, std::size_t N>
inline constexpr bool has_view<std::span<T, N>> = true;
template <class T, std::size_t N>
inline constexpr bool has_view<std::array<T, N>> = is_view<T>;
template <template <class...> class C, class... T>
inline constexpr bool has_view<C<T...>> = (is_view<T> || ...);

struct MessageData;
struct MessageDataDeleter {
    KDBUS_EXPORT void operator()(MessageData* data) const noexcept;
};
} // namespace detail

/// A message received. Owns the memory it lies in (on the kernel's bus a slice of the pool, which
/// fills up if messages are kept for long) and the descriptors that came with it. All views it
/// gives live as long as it. Movable; not thread-safe. A moved-from message may only be assigned to
/// or destroyed.
class KDBUS_EXPORT Message {
public:
    /// For the library.
    explicit Message(
        std::unique_ptr<detail::MessageData, detail::MessageDataDeleter> data) noexcept;

    /// Header and body as the wire layer sees them.
    [[nodiscard]] const wire::Message& wire() const noexcept;

    /// Call, answer, error or signal.
    [[nodiscard]] MessageType type() const noexcept { return wire().type; }
    /// Object: the one called, or the one that emits.
    [[nodiscard]] std::string_view path() const noexcept { return wire().path; }
    /// Interface of the member; calls may have none.
    [[nodiscard]] std::string_view interface() const noexcept { return wire().interface; }
    /// Method or signal.
    [[nodiscard]] std::string_view member() const noexcept { return wire().member; }
    /// Unique name of the sender, vouched for by the bus; org.freedesktop.DBus for what the bus
    /// itself has to say. Empty from peer to peer.
    [[nodiscard]] std::string_view sender() const noexcept { return wire().sender; }
    /// Whom it was sent to; broadcasts have none.
    [[nodiscard]] std::string_view destination() const noexcept { return wire().destination; }
    /// Name of the error; empty unless it is one.
    [[nodiscard]] std::string_view error_name() const noexcept { return wire().error_name; }
    /// Types of the arguments, without parentheses.
    [[nodiscard]] std::string_view signature() const noexcept { return wire().signature; }

    /// All arguments: one as Result<T>, several as Result<std::tuple<...>>. Fails with InvalidArgs
    /// unless the message has exactly arguments of these types, except that those for trailing
    /// std::optional<T> may be missing; or if a value does not suit its type (a std::array, a
    /// std::variant); InconsistentMessage if its body is malformed. Numbers in std::span and text
    /// in std::string_view point into the message. What is read as abi::UniqueFd is taken from the
    /// message, as by take_fd(), with its errors; if anything else fails it is closed.
    template <class... T>
    requires(sizeof...(T) > 0) [[nodiscard]] auto get() const {
        if constexpr (sizeof...(T) == 1)
            return single(get_tuple<T...>());
        else
            return get_tuple<T...>();
    }
    /// Same, always as a tuple, which may be empty.
    template <class... T>
    [[nodiscard]] Result<std::tuple<T...>> get_tuple() const {
        if (!detail::accepts<T...>(signature()))
            return wrong_signature(detail::types_of<T...>, detail::required_of<T...>);
        [[maybe_unused]] wire::Reader reader = this->reader();
        // Braces evaluate in order.
        std::tuple<wire::Result<T>...> parts{detail::Argument<T>::read(reader)...};
        std::error_code error = reader.error();
        std::apply(
            [&](const auto&... part) { ((!error&& !part ? error = part.error() : error), ...); },
            parts);
        const bool complete =
            std::apply([](const auto&... part) { return (part.has_value() && ...); }, parts);
        if (error || !complete)
            return malformed(error);
        return std::apply([](auto&&... part) { return std::tuple<T...>(std::move(*part)...); },
                          std::move(parts));
    }
    /// Reads the arguments one by one. Refers to this message, descriptors included.
    [[nodiscard]] wire::Reader reader() const noexcept;

    /// When the kernel accepted the message; nothing if it was not asked for, or did not carry the
    /// message.
    [[nodiscard]] std::optional<Timestamp> timestamp() const noexcept;
    /// The sender when it sent. Nothing if not asked for, if the sender is a proxy's client, or if
    /// the message came over a socket: then Connection::credentials(message) finds out.
    [[nodiscard]] std::optional<Credentials> credentials() const noexcept;
    /// The well-known names that the sender owned when it sent, as the kernel vouches; a name that
    /// is asked for later may have got another owner meanwhile. Over sockets this is not known, and
    /// the list empty.
    [[nodiscard]] std::vector<std::string_view> sender_names() const;
    /// The sender when it sent, all that was asked for (ConnectionOptions::metadata), copied out of
    /// the message. Over sockets the unique name only: Connection::info() finds out more.
    [[nodiscard]] ConnectionInfo sender_info() const;
    /// Everything the kernel attached, in place; nothing to a message that came over a socket.
    [[nodiscard]] abi::Metadata metadata() const noexcept;

    /// Hands out the descriptor an argument of type h stands for. Fails with InvalidArgs if there
    /// is none with that index or it was taken before, LimitsExceeded if it could not be received.
    [[nodiscard]] Result<abi::UniqueFd> take_fd(UnixFd index) const;

private:
    template <class T>
    static Result<T> single(Result<std::tuple<T>>&& tuple) {
        if (!tuple)
            return std::move(tuple).error();
        return std::get<0>(std::move(*tuple));
    }
    [[nodiscard]] Error wrong_signature(std::string_view wanted, std::size_t required) const;
    [[nodiscard]] static Error malformed(std::error_code code);

    std::unique_ptr<detail::MessageData, detail::MessageDataDeleter> data_;
};

} // namespace kdbus

/// None of these is an argument: who passes one has made a mistake.
namespace kdbus::wire {
/// Not a struct on a bus.
///@{
template <>
inline constexpr bool enable_struct<Error> = false;
template <>
inline constexpr bool enable_struct<Timestamp> = false;
template <>
inline constexpr bool enable_struct<Credentials> = false;
template <>
inline constexpr bool enable_struct<Message> = false;
///@}
} // namespace kdbus::wire

#endif
