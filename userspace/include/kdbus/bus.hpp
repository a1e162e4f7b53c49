// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_BUS_HPP
#define KDBUS_BUS_HPP

#include <kdbus/arguments.hpp>
#include <kdbus/coroutine.hpp>
#include <kdbus/export.hpp>
#include <kdbus/handler.hpp>
#include <kdbus/interface.hpp>
#include <kdbus/match.hpp>
#include <kdbus/message.hpp>
#include <kdbus/responder.hpp>
#include <kdbus/result.hpp>
#include <kdbus/slot.hpp>
#include <kdbus/task.hpp>
#include <kdbus/wire/match.hpp>

#include <linux/kdbus.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Layer 3: what a program that uses D-Bus needs. Call methods, serve objects, emit and receive
/// signals, own names.
namespace kdbus {

/// How to connect. Over sockets, description, metadata and pool mean nothing.
struct ConnectionOptions {
    /// Label that tools show, at most 63 letters, digits, "_", "-", "."; the program's name if
    /// empty.
    std::string description = {};
    /// KDBUS_ATTACH_*: what the kernel shall attach to each message received. More costs time;
    /// names are always asked for, match rules need them.
    std::uint64_t metadata = KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS;
    /// KDBUS_ATTACH_*: what others may learn about us.
    std::uint64_t metadata_shown = _KDBUS_ATTACH_ANY;
    /// Bytes of receive memory, a multiple of the page size; used as needed. It bounds the size of
    /// what peers can send at once, memory files excepted: a message with these has at most 128
    /// MiB, and where they have holes it costs its sender nothing. They are mapped, and take memory
    /// when they are read; but a body that its sender cut in pieces is copied when it is received,
    /// into memory that is given back with the message.
    std::uint64_t pool_size = 16 * 1024 * 1024;
    /// Whether peers may pass descriptors to us. If not, over sockets nor can we to them.
    bool accept_fds = true;
    /// Whether Connection::from_socket() as the server lets users in who are neither our own nor
    /// root.
    bool other_users = false;
};

/// Which end of a socket between two peers we are (D-Bus specification, "Authentication Protocol").
/// It matters for nothing but the beginning.
enum class PeerRole {
    client, ///< authenticates itself, as who connects does
    server, ///< lets the other end authenticate itself
};

/// A method to call. Members are views: the text must live until the call returns.
struct Method {
    std::string_view destination;    ///< unique or well-known name; may be empty from peer to peer
    std::string_view path;           ///< object
    std::string_view interface = {}; ///< may be empty
    std::string_view member;         ///< name of the method
    /// How long to wait for the answer; std::chrono::nanoseconds::max() means for ever.
    std::chrono::nanoseconds timeout = std::chrono::seconds(25);
    /// Start the service if it does not run.
    bool auto_start = true;
    /// The service may ask the user for authorization meanwhile.
    bool interactive_authorization = false;
    /// Descriptors to pass, at most 16; arguments of type UnixFd are indices into them. They
    /// stay the caller's. Arguments of type UniqueFd and BorrowedFd come on top of them.
    std::span<const int> fds = {};
    /// Lower values are more urgent, for receivers that care.
    std::int64_t priority = 0;
    /// Ends the wait for the answer with the error System.Error.ECANCELED; the service does not
    /// learn of it. A blocking call can be stopped by any thread. A stop of other calls must be
    /// requested by the connection's thread, and takes effect with the next process(), which
    /// timeout() then asks for.
    std::stop_token stop = {};
};

/// A signal to emit. Views, as above.
struct Signal {
    std::string_view path;      ///< object that emits
    std::string_view interface; ///< interface of the signal
    std::string_view member;    ///< name of the signal
    /// Descriptors to pass; unicast signals only, unless from peer to peer.
    std::span<const int> fds = {};
    std::int64_t priority = 0; ///< as in Method
};

/// Flags for request_name() (D-Bus specification, "RequestName").
enum class NameFlags : std::uint8_t {
    none = 0,
    allow_replacement = 1, ///< others may take the name
    replace_existing = 2,  ///< take it from an owner that allows it
    queue = 4,             ///< wait for it if it is taken
};
[[nodiscard]] constexpr NameFlags operator|(NameFlags a, NameFlags b) noexcept {
    return static_cast<NameFlags>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
/// Whether @p flag is in @p set.
[[nodiscard]] constexpr bool has_flag(NameFlags set, NameFlags flag) noexcept {
    return (static_cast<unsigned>(set) & static_cast<unsigned>(flag)) != 0;
}

/// What became of a name request.
enum class NameState {
    owner,         ///< we own it now
    already_owner, ///< we did before
    queued,        ///< we wait for it
};

/// A connection to a bus: the kernel's, or that of a daemon behind a socket. Or to one other peer
/// (from_socket()): then nobody has names, functions about names fail with NotSupported, whoever
/// is addressed the other peer is meant, and its messages have no sender.
///
/// What cannot be the same everywhere: over sockets messages carry no timestamp, credentials or
/// other metadata; a daemon tells the sender of a signal or call nothing right away, so that
/// failures come as the call's answer or not at all; and an array has at most 64 MiB.
///
/// A single-threaded object: use it, and everything that came from it (messages excepted), from one
/// thread at a time. Different connections are independent. Movable.
///
/// Messages are handled, and handlers and callbacks run, inside process(), wait() and run() only;
/// blocking calls leave everything else in the queue. Handlers may use the connection freely,
/// except for those three. An exception that leaves a signal handler or a reply callback leaves
/// process() too, after which the connection is as usable as before.
///
/// In a foreign event loop: poll fd() for events() until timeout() at the latest, then call
/// process(); on_change() tells when to look at the two again. Adapters for the usual loops are in
/// <kdbus/loop/...>.
class KDBUS_EXPORT Connection {
public:
    /// Connects to the first address of a D-Bus address list that works (D-Bus specification,
    /// "Server Addresses"; dbus-on-kdbus.md 11): `kernel:path=...`, `unix:path=...`,
    /// `unix:abstract=...`, `unix:runtime=yes` ($XDG_RUNTIME_DIR/bus); `unix:` may have `guid=...`,
    /// the id that the server must have. After a kernel address failed for a reason other than that
    /// there is no such bus, no address of another transport is tried. If none works, the error
    /// says what is wrong with each. Gives up a daemon that does not answer for half a minute.
    [[nodiscard]] static Result<Connection> open(std::string_view addresses,
                                                 const ConnectionOptions& options = {});
    /// Connects to the system bus: where DBUS_SYSTEM_BUS_ADDRESS says if that names a kernel bus;
    /// else to /dev/kdbus/0-system/bus; if there is none, where the variable says, or without it to
    /// the daemon at /var/run/dbus/system_bus_socket. The variable is ignored in programs that run
    /// with raised privileges.
    [[nodiscard]] static Result<Connection> system(const ConnectionOptions& options = {});
    /// Connects to the user's bus, likewise: DBUS_SESSION_BUS_ADDRESS, `/dev/kdbus/<uid>-user/bus`,
    /// $XDG_RUNTIME_DIR/bus.
    [[nodiscard]] static Result<Connection> session(const ConnectionOptions& options = {});
    /// Talks to the one peer at the other end of a connected AF_UNIX stream socket, one of a socket
    /// pair, say. Does not wait for it: both ends may be of one thread. Authentication goes on
    /// whenever either end processes, and what is sent before it is over waits. The other end has
    /// half a minute for it. If then it turns out not to take descriptors, but some were sent, the
    /// connection ends. Fails with InvalidArgs if it is no such socket; as the server, with
    /// AccessDenied if the other end belongs to another user (see ConnectionOptions).
    [[nodiscard]] static Result<Connection> from_socket(abi::UniqueFd socket, PeerRole role,
                                                        const ConnectionOptions& options = {});

    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;
    /// Disconnects. Callbacks of open calls do not run any more.
    ~Connection();

    /// Our unique name, ":1.<n>"; empty from peer to peer.
    [[nodiscard]] const std::string& unique_name() const noexcept;
    /// The bus's UUID, 32 hexadecimal digits. From peer to peer the server's, the same for all its
    /// connections, which a client does not know before it has received something.
    [[nodiscard]] const std::string& bus_id() const noexcept;

    // ---- calling ----------------------------------------------------------------------------

    /// Calls a method and waits for its answer. An error reply is an Error. Others: ServiceUnknown
    /// nobody has that name; NoReply no answer in time, or the service went away; AccessDenied;
    /// InvalidArgs the call cannot be expressed; LimitsExceeded the service, or we, have too much
    /// pending; Disconnected. A single argument of type abi::SealedMemfd is passed as an array of
    /// bytes, SealedArray<T> (<kdbus/memfd_array.hpp>) as one of numbers, on the kernel's bus
    /// without a copy.
    template <class... A>
    Result<Message> call(const Method& method, const A&... args) {
        return detail::with_arguments(
            [&](const detail::ArgumentsRef& ref) { return call_raw(method, ref); }, args...);
    }

    /// Calls a method; @p callback (a callable taking Result<Message>) runs once, from process(),
    /// with the answer or an Error. If the call cannot be sent, the Error is returned and the
    /// callback never runs. Destroying the slot forgets the answer.
    template <class Callback, class... A>
    [[nodiscard]] Result<Slot> call_async(const Method& method, Callback callback,
                                          const A&... args) {
        return detail::with_arguments(
            [&](const detail::ArgumentsRef& ref) {
                return call_async_raw(method, std::move(callback), ref);
            },
            args...);
    }

    /// Calls a method whose answer nobody wants.
    template <class... A>
    Result<void> call_no_reply(const Method& method, const A&... args) {
        return detail::with_arguments(
            [&](const detail::ArgumentsRef& ref) { return call_no_reply_raw(method, ref); },
            args...);
    }

    /// Calls a method from a coroutine: `co_await bus.co_call(...)` gives a Result<Message>. The
    /// call is made right away, before it is awaited.
    template <class... A>
    [[nodiscard]] AsyncCall co_call(const Method& method, const A&... args) {
        return AsyncCall([&](ReplyCallback callback) {
            return call_async(method, std::move(callback), args...);
        });
    }

    // ---- coroutines -------------------------------------------------------------------------

    /// Runs a task: now until it waits for the first time, then from within process(), until it
    /// ends, the slot is destroyed, or the connection ends to be. What the task throws leaves
    /// spawn() or process(), also where something else than the connection resumed it. What it owns
    /// is destroyed with it; a task that destroys its own slot ends where it waits next. One that
    /// waits for something else than the connection, or runs because of that, ends in the next
    /// process() after its slot was destroyed, and must not destroy the connection.
    [[nodiscard]] Slot spawn(Task<void> task);

    /// Runs a task as run() does, until it ends, and returns its result: Result<T>, for a T that is
    /// a Result that itself. Other things are processed meanwhile. Throws what the task throws.
    /// Fails, and ends the task, as wait() does: if the connection ends and the task goes on
    /// waiting, above all.
    template <class T>
    detail::TaskResult<T> run(Task<T> task) {
        std::optional<detail::TaskResult<T>> result;
        const Slot slot = spawn(detail::keep_result(std::move(task), result));
        while (!result)
            if (auto done = wait(); !done && !result)
                return std::move(done).error();
        return *std::move(result);
    }

    /// Waits in a coroutine: `co_await bus.co_sleep(...)` gives a Result<void>. Fails with
    /// System.Error.ECANCELED if @p stop says so, see Method::stop, and with NoReply if the
    /// connection ends.
    [[nodiscard]] AsyncSleep co_sleep(std::chrono::nanoseconds duration,
                                      const std::stop_token& stop = {}) {
        return AsyncSleep([&](ReplyCallback callback) {
            return start_timer(duration, stop, std::move(callback));
        });
    }

    // ---- serving ----------------------------------------------------------------------------

    /// Exports an interface of the object at @p path, until the slot is destroyed. One object may
    /// have several; Introspectable, Peer and Properties come by themselves. Fails with InvalidArgs
    /// (a path, name or signature that is not valid), ObjectPathInUse (it has that interface).
    [[nodiscard]] Result<Slot> add_object(std::string_view path, Interface interface);
    /// Same for several interfaces of one object at once, all or none of them, which an object
    /// manager announces in one signal. InvalidArgs if there are none.
    [[nodiscard]] Result<Slot> add_object(std::string_view path, std::vector<Interface> interfaces);

    /// Gives the object at @p path the interface org.freedesktop.DBus.ObjectManager (D-Bus
    /// specification, "org.freedesktop.DBus.ObjectManager"), until the slot is destroyed: clients
    /// can get all objects below the path with their interfaces and properties, and are told by the
    /// signals InterfacesAdded and InterfacesRemoved when add_object() adds some or their slots are
    /// destroyed. What cannot be announced is not added; add_object() then fails as emit() does.
    /// Objects that are there already are not announced. Of several managers above an object the
    /// nearest one emits the signals; all of them list it, and inner managers. Not listed are
    /// interfaces that every object has, and properties that cannot be read or are descriptors.
    /// Fails with InvalidArgs, ObjectPathInUse.
    [[nodiscard]] Result<Slot> add_object_manager(std::string_view path);

    /// Announces changed properties of an exported object (org.freedesktop.DBus.Properties), with
    /// their values or without as their options say. Fails with UnknownObject, UnknownInterface,
    /// UnknownProperty.
    Result<void> emit_properties_changed(std::string_view path, std::string_view interface,
                                         std::span<const std::string_view> properties);

    // ---- signals ----------------------------------------------------------------------------

    /// Emits a signal to everybody who subscribed to it. It is no error if nobody did, or if a
    /// receiver has no room for it.
    template <class... A>
    Result<void> emit(const Signal& signal, const A&... args) {
        return detail::with_arguments(
            [&](const detail::ArgumentsRef& ref) { return emit_raw({}, signal, ref); }, args...);
    }
    /// Emits a signal to one connection. On the kernel's bus fails with ServiceUnknown if there is
    /// nobody of that name.
    template <class... A>
    Result<void> emit_to(std::string_view destination, const Signal& signal, const A&... args) {
        return detail::with_arguments(
            [&](const detail::ArgumentsRef& ref) { return emit_raw(destination, signal, ref); },
            args...);
    }

    /// Subscribes to the signals that match a rule (D-Bus specification, "Match Rules"), until the
    /// slot is destroyed. @p handler is a callable taking the signal's arguments, or a `const
    /// Message&`, or both in the opposite order; signals with other arguments pass it by.
    /// NameOwnerChanged of org.freedesktop.DBus is available as usual. Fails with MatchRuleInvalid,
    /// LimitsExceeded.
    template <class Handler>
    [[nodiscard]] Result<Slot> subscribe(std::string_view rule, Handler handler) {
        return subscribe_raw(rule, signal_handler(std::move(handler)));
    }
    /// Same, with a rule made of typed parts.
    template <class Handler>
    [[nodiscard]] Result<Slot> subscribe(const Match& match, Handler handler) {
        return subscribe_raw(match, signal_handler(std::move(handler)));
    }

    /// Subscribes to the signals that match a rule, for a coroutine to wait for one by one. Their
    /// arguments must have the types @p T, none of which may be a view. While nobody waits, up to
    /// @p limit signals are kept. Fails as subscribe() does.
    template <class... T>
    [[nodiscard]] Result<SignalStream<T...>> signals(std::string_view rule,
                                                     std::size_t limit = 1024) {
        return SignalStream<T...>::make(limit, [&](SignalHandler handler, EndHandler ended) {
            return subscribe_raw(rule, std::move(handler), std::move(ended));
        });
    }
    /// Same, with a rule made of typed parts.
    template <class... T>
    [[nodiscard]] Result<SignalStream<T...>> signals(const Match& match, std::size_t limit = 1024) {
        return SignalStream<T...>::make(limit, [&](SignalHandler handler, EndHandler ended) {
            return subscribe_raw(match, std::move(handler), std::move(ended));
        });
    }

    // ---- names ------------------------------------------------------------------------------

    /// Asks for a well-known name. Fails with FileExists if somebody else owns it and we do not
    /// wait for it; AccessDenied; InvalidArgs; LimitsExceeded.
    Result<NameState> request_name(std::string_view name, NameFlags flags = NameFlags::none);
    /// Gives up a name, or waiting for it. Fails with NameHasNoOwner, or AddressInUse if it is not
    /// ours.
    Result<void> release_name(std::string_view name);
    /// Unique name of a name's owner. Fails with NameHasNoOwner.
    Result<std::string> name_owner(std::string_view name);
    /// Tells of a name's owners, until the slot is destroyed: @p handler runs, from process(), with
    /// the owner there was before and the one there is now, both unique names, or empty if there is
    /// none. First comes the owner at present, even if there is none, as if there had been none
    /// before; then every change. No change is missed in between, and none is told twice; if
    /// notifications got lost (lost_signals()), what they said is found out, be it after several
    /// attempts, and told as one change.
    /// @p name may be a unique name, which is its own owner for as long as the connection lasts.
    /// Fails with InvalidArgs (not a name), LimitsExceeded, NotSupported (from peer to peer).
    [[nodiscard]] Result<Slot>
    watch_name(std::string_view name,
               std::move_only_function<void(std::string_view old_owner, std::string_view new_owner)>
                   handler);
    /// All names on the bus, unique and well-known.
    Result<std::vector<std::string>> list_names();
    /// Who is behind a name: the process that connected. Behind an empty name, from peer to peer,
    /// the other one. Over sockets effective ids and the process are all that is known. Fails with
    /// NameHasNoOwner, and Failed if it does not let others know.
    Result<Credentials> credentials(std::string_view name);
    /// Who sent a message: the credentials in it, or else those of the connection it came from.
    Result<Credentials> credentials(const Message& message);
    /// All that is known of who is behind a name, empty from peer to peer. @p what: KDBUS_ATTACH_*,
    /// the parts wanted; asking for less costs less, over sockets above all without names. The
    /// process is the one that connected, as it was then; names are those of now. Fails with
    /// NameHasNoOwner.
    Result<ConnectionInfo> info(std::string_view name, std::uint64_t what = _KDBUS_ATTACH_ANY);
    /// Whether somebody else sent a message than who opened the connection it came from: another
    /// process, or one with other user or group ids by now. On the kernel's bus a message has the
    /// credentials of who sent it. A privileged program that was made to write to a descriptor it
    /// inherited lends its own to what the opener of the descriptor prepared: who acts on
    /// privileges should refuse messages for which this is true, or fails. Harmless programs that
    /// pass a connection on to a child, or give up privileges after they connected, are told apart
    /// by comparing credentials(message) with credentials(message.sender()).
    ///
    /// Over sockets, and if credentials are not attached to messages (ConnectionOptions::metadata),
    /// there is nothing to confuse, as credentials(message) is who opened the connection, and the
    /// result is false. Fails with NameHasNoOwner if the connection has ended, Failed if it does
    /// not let others know who opened it.
    Result<bool> sender_changed(const Message& message);

    // ---- the event loop ---------------------------------------------------------------------

    /// The one descriptor to poll. Belongs to the connection.
    [[nodiscard]] int fd() const noexcept;
    /// POLLIN and friends: what to poll for. May change with every call of a function.
    [[nodiscard]] short events() const noexcept;
    /// When process() must be called at the latest, even if nothing happens on fd().
    [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> timeout() const noexcept;
    /// Handles what is there, without waiting: some messages at most, and deadlines that passed.
    /// True if there was anything; then more may be there, which level-triggered polling and
    /// timeout() will tell.
    /// Fails with Disconnected after the connection ended (open calls have got their NoReply by
    /// then), Failed if called from a handler. Any other error passes, a lack of memory, say: poll
    /// on, and call it again.
    Result<bool> process();
    /// Has @p callback called whenever events() or timeout() give something else than at the last
    /// call of it (or of this function): after sending, a blocking call, destroying a slot, and at
    /// the end of process(). It must not throw and may use fd(), events() and timeout() only. There
    /// is one; an empty one stands for none.
    void on_change(std::move_only_function<void()> callback);

    /// Waits for something to do, no longer than @p limit, and does it. False if nothing was done.
    Result<bool> wait(std::chrono::nanoseconds limit = std::chrono::nanoseconds::max());
    /// Waits and processes until stop() is called, or the connection ends. Fails as process() and
    /// wait() do; it may be called again unless the error is Disconnected.
    Result<void> run();
    /// Makes run() return when what is handled just now is: a message, with all handlers that it is
    /// for, or a deadline. The rest comes with the next process(). Does nothing if run() does not
    /// run: it is for handlers, and neither a later run() nor wait() or a run() with a task, which
    /// returns when the task does, takes notice.
    void stop() noexcept;

    /// Signals and notifications lost because they came faster than we took them; none over
    /// sockets.
    [[nodiscard]] std::uint64_t lost_signals() const noexcept;

private:
    friend class detail::ConnectionCore;
    using ReplyCallback = std::move_only_function<void(Result<Message>)>;
    using SignalHandler = std::move_only_function<void(const Message&)>;
    using EndHandler = std::move_only_function<void()>;

    explicit Connection(std::shared_ptr<detail::ConnectionCore> core) noexcept;
    Result<Message> call_raw(const Method& method, const detail::ArgumentsRef& args);
    Result<Slot> call_async_raw(const Method& method, ReplyCallback callback,
                                const detail::ArgumentsRef& args);
    Result<void> call_no_reply_raw(const Method& method, const detail::ArgumentsRef& args);
    Result<void> emit_raw(std::string_view destination, const Signal& signal,
                          const detail::ArgumentsRef& args);
    Result<Slot> subscribe_raw(std::string_view rule, SignalHandler handler, EndHandler ended = {});
    Result<Slot> subscribe_raw(const Match& match, SignalHandler handler, EndHandler ended = {});
    Result<Slot> start_timer(std::chrono::nanoseconds duration, const std::stop_token& stop,
                             ReplyCallback callback);

    template <class Handler>
    static SignalHandler signal_handler(Handler handler) {
        return [handler = std::move(handler)](const Message& message) mutable {
            using P = detail::ParametersOf<Handler>;
            static_assert(!P::wants_responder, "signals are not answered");
            static_assert(!detail::is_task<typename detail::Callable<Handler>::Return>,
                          "a coroutine takes signals from signals()");
            if constexpr (P::wants_message && std::tuple_size_v<typename P::Values> == 0) {
                handler(message);
            } else {
                auto values =
                    detail::read_values(message, std::type_identity<typename P::Values>{});
                if (values)
                    detail::call_handler(handler, message, nullptr, std::move(*values));
            }
        };
    }

    std::shared_ptr<detail::ConnectionCore> core_;
};

} // namespace kdbus

#endif
