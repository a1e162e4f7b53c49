// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_CORE_HPP
#define KDBUS_LIB_BUS_CORE_HPP

#include "buffer_pool.hpp"
#include "objects.hpp"
#include "transport.hpp"

#include <kdbus/bus.hpp>
#include <kdbus/wire/match.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace kdbus::detail {

/// What a Connection is about: open calls, subscriptions, exported objects, on any transport.
class ConnectionCore : public std::enable_shared_from_this<ConnectionCore> {
public:
    using ReplyCallback = std::move_only_function<void(Result<Message>)>;
    using SignalHandler = std::move_only_function<void(const Message&)>;

    /// A Connection on a transport.
    static Connection make(std::unique_ptr<Transport> transport);

    explicit ConnectionCore(std::unique_ptr<Transport> transport);

    Transport& transport() noexcept { return *transport_; }

    Result<Message> call(const Method& method, const ArgumentsRef& args);
    Result<Slot> call_async(const Method& method, ReplyCallback callback, const ArgumentsRef& args);
    Result<void> call_no_reply(const Method& method, const ArgumentsRef& args);
    Result<void> emit(std::string_view destination, const Signal& signal, const ArgumentsRef& args);
    /// Answers a call; what cannot be sent is answered with an error instead.
    void reply(std::string_view caller, std::uint64_t serial, const ArgumentsRef& args,
               std::span<const int> fds);
    void reply_error(std::string_view caller, std::uint64_t serial, const Error& error);

    Result<Slot> add_object(std::string_view path, Interface interface);
    Result<void> emit_properties_changed(std::string_view path, std::string_view interface,
                                         std::span<const std::string_view> properties);
    Result<Slot> subscribe(std::string_view rule, SignalHandler handler);
    Result<NameState> request_name(std::string_view name, NameFlags flags);
    Result<void> release_name(std::string_view name);
    /// Ends what a slot stands for.
    void remove(Slot::Kind kind, std::uint64_t id) noexcept;

    [[nodiscard]] std::optional<std::uint64_t> timeout_ns() const noexcept;
    Result<bool> process();
    Result<bool> wait(std::chrono::nanoseconds limit);
    Result<void> run();
    void stop() noexcept { stopped_ = running_; }

private:
    struct PendingCall {
        ReplyCallback callback;
        std::uint64_t deadline_ns;
    };
    struct Subscription {
        wire::MatchRule rule;
        std::string installed; ///< key in rules_
        SignalHandler handler;
    };
    /// A rule known to the transport, shared by equal subscriptions.
    struct InstalledRule {
        std::uint64_t cookie;
        std::size_t users;
    };

    [[nodiscard]] Result<void> check_destination(const Method& method) const;
    /// Header of a call; the text is the method's.
    [[nodiscard]] wire::Message call_header(const Method& method);
    /// Writes the arguments and calls @p use(Outgoing&) with the complete message.
    template <class Use>
    auto with_message(wire::Message header, const ArgumentsRef& args, std::span<const int> fds,
                      Use use) -> decltype(use(std::declval<Outgoing&>()));
    Result<void> send_reply(wire::Message header, const ArgumentsRef& args,
                            std::span<const int> fds);
    [[nodiscard]] std::uint64_t next_serial() noexcept;
    [[nodiscard]] bool is_own_name(std::string_view name);

    void dispatch(Message message);
    void dispatch_call(const Message& message);
    void dispatch_reply(Message message);
    void dispatch_signal(const Message& message);
    std::optional<ReplyCallback> take_pending(std::uint64_t serial) noexcept;
    /// Fails calls whose deadline has passed. True if there were any.
    bool expire_calls();
    void fail_all_calls(const Error& error);

    std::unique_ptr<Transport> transport_;
    BufferPool buffers_;
    Objects objects_;
    std::map<std::uint64_t, std::shared_ptr<Subscription>> subscriptions_;
    std::map<std::string, InstalledRule, std::less<>> rules_;
    std::unordered_map<std::uint64_t, PendingCall> pending_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> deadlines_; ///< (deadline, serial)
    std::set<std::string, std::less<>> owned_names_; ///< as far as we know: they can be taken away
    std::uint64_t last_id_ = 0;
    std::uint32_t last_serial_ = 0;
    bool dispatching_ = false;
    bool running_ = false;
    bool stopped_ = false;
};

} // namespace kdbus::detail

#endif
