// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_CORE_HPP
#define KDBUS_LIB_BUS_CORE_HPP

#include "buffer_pool.hpp"
#include "name_watch.hpp"
#include "objects.hpp"
#include "transport.hpp"

#include <kdbus/bus.hpp>
#include <kdbus/task.hpp>
#include <kdbus/wire/match.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kdbus::detail {

/// What a Connection is about: open calls, subscriptions, exported objects, on any transport.
class ConnectionCore : public std::enable_shared_from_this<ConnectionCore> {
public:
    using ReplyCallback = std::move_only_function<void(Result<Message>)>;
    using SignalHandler = std::move_only_function<void(const Message&)>;
    using EndHandler = std::move_only_function<void()>;

    /// A Connection on a transport.
    static Connection make(std::unique_ptr<Transport> transport);

    explicit ConnectionCore(std::unique_ptr<Transport> transport);
    ConnectionCore(const ConnectionCore&) = delete;
    ~ConnectionCore();

    Transport& transport() noexcept { return *transport_; }

    Result<Message> call(const Method& method, const ArgumentsRef& args);
    Result<Slot> call_async(const Method& method, ReplyCallback callback, const ArgumentsRef& args);
    Result<void> call_no_reply(const Method& method, const ArgumentsRef& args);
    Result<void> emit(std::string_view destination, const Signal& signal, const ArgumentsRef& args);
    /// Answers a call; what cannot be sent is answered with an error instead.
    void reply(std::string_view caller, std::uint64_t serial, const ArgumentsRef& args,
               std::span<const int> fds);
    void reply_error(std::string_view caller, std::uint64_t serial, const Error& error);

    Result<Slot> add_object(std::string_view path, std::vector<Interface> interfaces);
    Result<Slot> add_object_manager(std::string_view path);
    Result<void> emit_properties_changed(std::string_view path, std::string_view interface,
                                         std::span<const std::string_view> properties);
    /// @p ended, if there is one, is called when no more signals can come.
    Result<Slot> subscribe(std::string_view rule, SignalHandler handler, EndHandler ended);
    Result<Slot> subscribe(wire::MatchRule rule, SignalHandler handler, EndHandler ended = {});
    /// Calls @p callback after that time with an error without a name; with another one if it is
    /// cancelled or the connection ends.
    Result<Slot> start_timer(std::chrono::nanoseconds duration, const std::stop_token& stop,
                             ReplyCallback callback);
    /// Runs a task of an object: for as long as that is there.
    Slot spawn(Task<void> task, std::uint64_t object = 0);
    Result<NameState> request_name(std::string_view name, NameFlags flags);
    Result<void> release_name(std::string_view name);
    Result<Slot> watch_name(std::string_view name, NameWatch::Handler handler);
    Result<std::string> name_owner(std::string_view name);
    Result<std::vector<std::string>> list_names();
    Result<ConnectionInfo> info(std::string_view name, std::uint64_t what);
    /// Ends what a slot stands for.
    void remove(Slot::Kind kind, std::uint64_t id) noexcept;

    [[nodiscard]] std::optional<std::uint64_t> timeout_ns() const noexcept;
    void on_change(std::move_only_function<void()> callback);
    Result<bool> process();
    Result<bool> wait(std::chrono::nanoseconds limit);
    Result<void> run();
    void stop() noexcept { stopped_ = running_; }

private:
    [[nodiscard]] bool stopping() const noexcept { return running_ && stopped_; }
    /// Makes a call fail as soon as process() is called.
    struct Cancel {
        ConnectionCore* core;
        std::uint64_t serial;
        void operator()() const noexcept { core->cancel(serial); }
    };
    struct PendingCall {
        ReplyCallback callback;
        std::uint64_t deadline_ns = 0;
        bool timer = false; ///< nothing but time is waited for
        bool cancelled = false;
        std::optional<std::stop_callback<Cancel>> stop = {};
    };
    struct Subscription {
        wire::MatchRule rule;
        std::string installed; ///< key in rules_
        SignalHandler handler;
        EndHandler ended;
    };
    using Subscriptions = std::map<std::uint64_t, std::shared_ptr<Subscription>>;
    /// (Object, 0 if it is none's; own id).
    using TaskKey = std::pair<std::uint64_t, std::uint64_t>;
    using Tasks = std::map<TaskKey, std::shared_ptr<Strand>>;
    /// A rule known to the transport, shared by equal subscriptions.
    struct InstalledRule {
        std::uint64_t cookie;
        std::size_t users;
    };

    /// Tells of what was added under an id, if a manager is in charge of it.
    Result<Slot> announce_added(std::uint64_t id, std::string_view path);
    void announce_removed(std::string_view manager, std::string_view path,
                          const Objects::Interfaces& interfaces) noexcept;
    /// What a loop waits for.
    struct Awaited {
        short events = 0;
        std::optional<std::uint64_t> timeout_ns;
        bool operator==(const Awaited&) const = default;
    };
    /// In everything that sends or forgets: tells the loop afterwards if it awaits something else.
    class ChangeNotice {
    public:
        explicit ChangeNotice(ConnectionCore& core) noexcept : core_(core) {}
        ChangeNotice(const ChangeNotice&) = delete;
        ~ChangeNotice() { core_.tell_change(); }

    private:
        ConnectionCore& core_;
    };
    void tell_change() noexcept;

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

    /// Tells name watches of their first owners. True if there were any.
    bool report_owners();
    /// Finds out who owns a watched name now; if it cannot be told, is to be asked again.
    void update_owner(NameWatch& watch);
    /// Same for all, or those that could not be told. False if a handler stopped it.
    bool update_owners(bool only_doubtful);
    /// Asks again if it is time. True if it was.
    bool ask_again();
    /// Asks for all, if notifications were lost.
    void recover_lost();

    void dispatch(Message message);
    void dispatch_call(Message message);
    void dispatch_reply(Message message);
    void dispatch_signal(const Message& message);
    Slot add_pending(std::uint64_t serial, ReplyCallback callback, std::uint64_t deadline_ns,
                     const std::stop_token& stop);
    void cancel(std::uint64_t serial) noexcept;
    std::optional<ReplyCallback> take_pending(std::uint64_t serial) noexcept;
    /// Fails calls whose deadline has passed. True if there were any.
    bool expire_calls();
    /// Ends what could not be ended where it came to its end. True if there was anything.
    bool end_late(bool stoppable = true);
    void end_task(Tasks::iterator task) noexcept;
    /// Tells everybody who waits that the connection has ended.
    void end();

    std::unique_ptr<Transport> transport_;
    BufferPool buffers_;
    Objects objects_;
    Subscriptions subscriptions_;
    Subscriptions ended_; ///< removed, but somebody may wait for that
    std::map<std::string, InstalledRule, std::less<>> rules_;
    std::map<std::uint64_t, std::shared_ptr<NameWatch>> watches_; ///< by subscription
    std::set<std::uint64_t> unreported_;    ///< watches that wait for their first owner
    std::optional<std::uint64_t> retry_ns_; ///< when to ask for doubtful owners again
    std::uint64_t retry_after_ns_;          ///< and after which time
    std::uint64_t lost_ = 0;                ///< signals, as of the last look at the watches
    std::unordered_map<std::uint64_t, PendingCall> pending_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> deadlines_; ///< (deadline, serial)
    Tasks tasks_;
    Tasks returned_; ///< at their end, or given up, where somebody else resumes them
    std::set<std::string, std::less<>> owned_names_; ///< as far as we know: they can be taken away
    std::move_only_function<void()> on_change_;
    Awaited awaited_;                            ///< when on_change_ was called last
    std::vector<std::string_view> sender_names_; ///< of the signal being dispatched
    /// Whom the signal being dispatched is for; kept for its memory.
    std::vector<std::pair<std::uint64_t, std::shared_ptr<Subscription>>> meant_;
    std::uint64_t last_id_ = 0;
    std::uint32_t last_serial_ = 0;
    bool dispatching_ = false;
    bool running_ = false;
    bool stopped_ = false;
};

} // namespace kdbus::detail

#endif
