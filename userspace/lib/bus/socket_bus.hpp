// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_SOCKET_BUS_HPP
#define KDBUS_LIB_BUS_SOCKET_BUS_HPP

#include "socket_transport.hpp"

#include <kdbus/arguments.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace kdbus::detail {

/// A message bus at the other end of a socket: dbus-daemon, dbus-broker, bus-proxy (D-Bus
/// specification, "Message Bus Specification").
class SocketBus final : public SocketTransport {
public:
    /// Says Hello to the bus at the other end of a connected socket. @p guid: what the server's id
    /// must be, empty if any will do.
    static Result<std::unique_ptr<Transport>> open(abi::UniqueFd socket, std::string guid,
                                                   const ConnectionOptions& options);

    const std::string& unique_name() const noexcept override { return unique_name_; }
    const std::string& bus_id() const noexcept override { return bus_id_; }
    Result<void> send(const Outgoing& outgoing) override;
    Result<NameState> request_name(std::string_view name, NameFlags flags) override;
    Result<void> release_name(std::string_view name) override;
    Result<std::string> name_owner(std::string_view name) override;
    Result<std::vector<std::string>> list_names() override;
    Result<ConnectionInfo> info(std::string_view name, std::uint64_t what) override;
    Result<void> add_match(std::uint64_t cookie, const wire::MatchRule& rule) override;
    void remove_match(std::uint64_t cookie) noexcept override;
    void add_sender_names(const Message& message,
                          std::vector<std::string_view>& names) const override;

private:
    struct Rule {
        std::string text;
        std::string sender; ///< its well-known sender, whose owner is watched; empty if none
    };
    /// A name in rules. A message tells the unique name of its sender only.
    struct Watched {
        std::string rule;  ///< that tells of its owners
        std::string owner; ///< as of the message received last; empty if there is none
        std::size_t users; ///< rules it is in
    };

    explicit SocketBus(SocketStream stream) noexcept : SocketTransport(std::move(stream)) {}
    bool arrived(MessageData& message) override;
    Result<void> hello();

    /// Calls a method of the bus driver; start() does not wait for the answer.
    template <class... A>
    Result<Message> ask(std::string_view member, const A&... args);
    template <class... A>
    Result<std::uint64_t> start(std::string_view member, const A&... args);
    Result<std::uint64_t> start_raw(std::string_view member, const ArgumentsRef& args,
                                    std::uint8_t flags);
    Result<Message> finish(std::uint64_t serial);
    static Result<Message> answer(Result<MessagePointer> reply);
    /// Has the bus match a rule, or throws without.
    Result<void> install(const std::string& rule);
    /// Has a rule removed, whose answer nobody waits for.
    void forget(std::string_view rule) noexcept;

    /// The well-known names that a connection owns.
    Result<std::vector<std::string>> names_of(std::string_view owner);
    Result<void> watch(const std::string& name);
    void unwatch(std::string_view name) noexcept;

    std::string unique_name_;
    std::string bus_id_;
    std::map<std::uint64_t, Rule> rules_; ///< by cookie
    std::map<std::string, Watched, std::less<>> watched_;
    std::uint32_t last_serial_ = first_transport_serial;
};

} // namespace kdbus::detail

#endif
