// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core.hpp"

#include "cancellation.hpp"
#include "wait.hpp"

#include <kdbus/abi/send.hpp>
#include <kdbus/object_manager.hpp>
#include <kdbus/wire/names.hpp>

#include <algorithm>
#include <exception>
#include <limits>
#include <new>
#include <vector>

namespace kdbus::detail {
namespace {

/// Messages handled by one process(): others in the same event loop want their turn.
constexpr int batch_size = 32;
/// Until who owns a name is asked again, if it could not be told: room has to be made first, say.
/// Longer each time.
constexpr std::uint64_t min_retry_ns = 100'000'000;
constexpr std::uint64_t max_retry_ns = 60'000'000'000;

/// Holds a flag while something is going on, exceptions included.
class Guard {
public:
    explicit Guard(bool& flag) noexcept : flag_(flag) { flag_ = true; }
    Guard(const Guard&) = delete;
    ~Guard() { flag_ = false; }

private:
    bool& flag_;
};

Error called_by_handler(std::string_view what) {
    return {error_names::failed, std::string(what) + " was called from a handler"};
}

/// A body that refers to descriptors which are not there would be taken for a broken message.
Result<void> check_fds(const wire::Writer& body, const wire::FdList& fds) {
    if (body.unix_fds_needed() > fds.all().size())
        return Error{error_names::invalid_args,
                     "An argument refers to a descriptor that is not there"};
    return {};
}

} // namespace

Connection ConnectionCore::make(std::unique_ptr<Transport> transport) {
    return Connection(std::make_shared<ConnectionCore>(std::move(transport)));
}

ConnectionCore::ConnectionCore(std::unique_ptr<Transport> transport)
    : transport_(std::move(transport)),
      objects_(
          [this](std::string_view path, std::string_view interface, std::string_view property) {
              // The property is set whether or not somebody can be told.
              (void)emit_properties_changed(path, interface, std::span(&property, 1));
          }),
      retry_after_ns_(min_retry_ns) {}

ConnectionCore::~ConnectionCore() {
    // What tasks and callbacks own may lead back here, by requesting a stop or destroying slots.
    on_change_ = nullptr;
    for (auto& [serial, call] : pending_)
        call.stop.reset();
    std::exchange(tasks_, {}).clear();
    std::exchange(returned_, {}).clear();
    std::exchange(pending_, {}).clear();
}

std::uint64_t ConnectionCore::next_serial() noexcept {
    // 32 bits, for D-Bus 1 peers; 0 is no serial.
    do
        last_serial_ = (last_serial_ + 1) % first_transport_serial;
    while (last_serial_ == 0 || pending_.contains(last_serial_));
    return last_serial_;
}

wire::Message ConnectionCore::call_header(const Method& method) {
    wire::Message header;
    header.type = MessageType::method_call;
    if (!method.auto_start)
        header.flags |= wire::no_auto_start;
    if (method.interactive_authorization)
        header.flags |= wire::allow_interactive_authorization;
    header.serial = next_serial();
    header.path = method.path;
    header.interface = method.interface;
    header.member = method.member;
    header.destination = method.destination;
    return header;
}

Result<void> ConnectionCore::check_destination(const Method& method) const {
    if (method.destination.empty() && !transport_->peer_to_peer())
        return Error{error_names::invalid_args, "A call needs a destination"};
    return {};
}

bool ConnectionCore::is_own_name(std::string_view name) {
    if (name == transport_->unique_name())
        return true;
    if (!owned_names_.contains(name))
        return false;
    const auto owner = transport_->name_owner(name);
    return owner && *owner == transport_->unique_name();
}

template <class Use>
auto ConnectionCore::with_message(wire::Message header, const ArgumentsRef& args,
                                  std::span<const int> fds, Use use)
    -> decltype(use(std::declval<Outgoing&>())) {
    header.format = transport_->format();
    auto body = buffers_.borrow();
    wire::Writer writer(*body, header.format);
    wire::FdList all_fds;
    if (!all_fds.add(fds))
        return Error::from_code(make_error_code(wire::Errc::too_many_fds), "Arguments");
    writer.collect_fds(all_fds);
    Outgoing outgoing;
    if (args.memfd() != nullptr) {
        header.signature = args.memfd_signature();
        outgoing.memfd = args.memfd();
    } else {
        args.write(writer);
        if (auto done = writer.finish(); !done)
            return Error::from_code(done.error(), "Arguments");
        if (auto there = check_fds(writer, all_fds); !there)
            return std::move(there).error();
        header.signature = writer.signature();
        header.body = writer.body();
        outgoing.body = &*body;
    }
    outgoing.message = header;
    outgoing.fds = all_fds.all();
    return use(outgoing);
}

Result<Message> ConnectionCore::call(const Method& method, const ArgumentsRef& args) {
    const ChangeNotice notice(*this);
    if (auto good = check_destination(method); !good)
        return std::move(good).error();
    if (!transport_->peer_to_peer() && is_own_name(method.destination))
        return Error{error_names::failed, "A blocking call to oneself would never be answered"};
    if (method.stop.stop_requested())
        return cancelled("The call");
    std::optional<CancelFd> cancel;
    if (auto made = CancelFd::make(method.stop, cancel); !made)
        return std::move(made).error();
    return with_message(call_header(method), args, method.fds,
                        [&](Outgoing& outgoing) -> Result<Message> {
                            outgoing.cancel = cancel ? &*cancel : nullptr;
                            outgoing.deadline_ns = abi::deadline_after(method.timeout);
                            outgoing.priority = method.priority;
                            auto reply = transport_->call(outgoing);
                            if (!reply)
                                return std::move(reply).error();
                            Message message(std::move(*reply));
                            if (message.type() == MessageType::error)
                                return error_of(message.wire());
                            return message;
                        });
}

Result<Slot> ConnectionCore::call_async(const Method& method, ReplyCallback callback,
                                        const ArgumentsRef& args) {
    const ChangeNotice notice(*this);
    if (auto good = check_destination(method); !good)
        return std::move(good).error();
    if (method.stop.stop_requested())
        return cancelled("The call");
    const wire::Message header = call_header(method);
    return with_message(header, args, method.fds, [&](Outgoing& outgoing) -> Result<Slot> {
        outgoing.deadline_ns = abi::deadline_after(method.timeout);
        outgoing.priority = method.priority;
        // Noted first: running out of memory after the call is out would lose the answer.
        Slot slot =
            add_pending(header.serial, std::move(callback), outgoing.deadline_ns, method.stop);
        if (auto sent = transport_->send(outgoing); !sent)
            return std::move(sent).error();
        return slot;
    });
}

Result<Slot> ConnectionCore::start_timer(std::chrono::nanoseconds duration,
                                         const std::stop_token& stop, ReplyCallback callback) {
    const ChangeNotice notice(*this);
    if (stop.stop_requested())
        return cancelled("The wait");
    const std::uint64_t serial = next_serial();
    Slot slot = add_pending(serial, std::move(callback), abi::deadline_after(duration), stop);
    pending_.at(serial).timer = true;
    return slot;
}

Slot ConnectionCore::spawn(Task<void> task, std::uint64_t object) {
    const auto alive = shared_from_this(); // the task may destroy the connection
    const TaskKey key(object, ++last_id_);
    const auto strand = std::make_shared<Strand>([weak = weak_from_this(), key](Strand::End end) {
        const auto core = weak.lock();
        if (!core)
            return;
        auto node = core->tasks_.extract(key);
        if (end == Strand::End::elsewhere && node) {
            core->returned_.insert(std::move(node));
            core->tell_change();
        }
    });
    tasks_.emplace(key, strand);
    strand->start(std::move(task));
    return Slot(weak_from_this(), Slot::Kind::task, key.second);
}

Result<void> ConnectionCore::call_no_reply(const Method& method, const ArgumentsRef& args) {
    const ChangeNotice notice(*this);
    if (auto good = check_destination(method); !good)
        return good;
    wire::Message header = call_header(method);
    header.flags |= wire::no_reply_expected;
    return with_message(header, args, method.fds, [&](Outgoing& outgoing) {
        outgoing.priority = method.priority;
        return transport_->send(outgoing);
    });
}

Result<void> ConnectionCore::emit(std::string_view destination, const Signal& signal,
                                  const ArgumentsRef& args) {
    const ChangeNotice notice(*this);
    wire::Message header;
    header.type = MessageType::signal;
    header.flags = wire::no_reply_expected;
    header.serial = next_serial();
    header.path = signal.path;
    header.interface = signal.interface;
    header.member = signal.member;
    header.destination = destination;
    return with_message(header, args, signal.fds, [&](Outgoing& outgoing) {
        outgoing.priority = signal.priority;
        return transport_->send(outgoing);
    });
}

Result<void> ConnectionCore::send_reply(wire::Message header, const ArgumentsRef& args,
                                        std::span<const int> fds) {
    const ChangeNotice notice(*this);
    header.flags = wire::no_reply_expected;
    header.serial = next_serial();
    return with_message(header, args, fds,
                        [&](Outgoing& outgoing) { return transport_->send(outgoing); });
}

void ConnectionCore::reply(std::string_view caller, std::uint64_t serial, const ArgumentsRef& args,
                           std::span<const int> fds) {
    wire::Message header;
    header.type = MessageType::method_return;
    header.reply_serial = serial;
    header.destination = caller;
    const auto sent = send_reply(header, args, fds);
    // The caller may be gone or tired of waiting. But if it is the answer that cannot be sent, it
    // still waits (messages.md 13.53).
    if (!sent)
        reply_error(caller, serial, sent.error());
}

void ConnectionCore::reply_error(std::string_view caller, std::uint64_t serial,
                                 const Error& error) {
    wire::Message header;
    header.type = MessageType::error;
    header.reply_serial = serial;
    header.destination = caller;
    // A handler may have made up a name or text that D-Bus does not allow.
    header.error_name = wire::is_error_name(error.name) ? std::string_view(error.name)
                                                        : std::string_view(error_names::failed);
    const auto text =
        wire::is_text(error.message) ? std::string_view(error.message) : std::string_view();
    (void)send_reply(header, ArgumentsRef([&](wire::Writer& writer) { writer.append(text); }), {});
}

Result<Slot> ConnectionCore::add_object(std::string_view path, std::vector<Interface> interfaces) {
    const std::uint64_t id = ++last_id_;
    if (auto added = objects_.add(id, path, std::move(interfaces)); !added)
        return std::move(added).error();
    return announce_added(id, path);
}

Result<Slot> ConnectionCore::add_object_manager(std::string_view path) {
    const std::uint64_t id = ++last_id_;
    if (auto added = objects_.add_manager(id, path); !added)
        return std::move(added).error();
    return announce_added(id, path);
}

Result<Slot> ConnectionCore::announce_added(std::uint64_t id, std::string_view path) {
    if (const std::string_view manager = objects_.manager_of(path); !manager.empty()) {
        // What nobody could be told of shall not be there.
        const auto take_back = [&]() noexcept {
            objects_.remove(id, [](std::string_view, std::string_view, const auto&) {});
        };
        try {
            const InterfaceMap interfaces = objects_.added(id, path);
            const auto write = [&](wire::Writer& writer) {
                writer.append(ObjectPathView{path}, interfaces);
            };
            auto told = emit({}, {manager, object_manager_interface, "InterfacesAdded"},
                             ArgumentsRef(write));
            if (!told) {
                take_back();
                return std::move(told).error();
            }
        } catch (...) {
            take_back();
            throw;
        }
    }
    return Slot(weak_from_this(), Slot::Kind::object, id);
}

void ConnectionCore::announce_removed(std::string_view manager, std::string_view path,
                                      const Objects::Interfaces& interfaces) noexcept {
    try {
        const auto write = [&](wire::Writer& writer) {
            writer.append(ObjectPathView{path}).open_array("s");
            for (const auto& [name, entry] : interfaces)
                writer.append(name);
            writer.close();
        };
        // It is gone whether or not somebody can be told.
        (void)emit({}, {manager, object_manager_interface, "InterfacesRemoved"},
                   ArgumentsRef(write));
    } catch (const std::bad_alloc&) {
    }
}

Result<void> ConnectionCore::emit_properties_changed(std::string_view path,
                                                     std::string_view interface,
                                                     std::span<const std::string_view> properties) {
    const auto found = objects_.find(path, interface);
    if (!found)
        return found.error();
    std::vector<std::pair<std::string_view, Variant>> changed;
    std::vector<std::string_view> invalidated;
    for (std::string_view name : properties) {
        auto* property = (*found)->find_property(name);
        if (property == nullptr)
            return Error{error_names::unknown_property, "No property " + std::string(name)};
        const Emits emits = property->options.emits;
        if (emits == Emits::invalidation || (emits == Emits::change && !property->getter)) {
            invalidated.push_back(name);
        } else if (emits == Emits::change) {
            auto value = guarded([&] { return property->getter(); });
            if (!value)
                return std::move(value).error();
            changed.emplace_back(name, std::move(*value));
        }
    }
    if (changed.empty() && invalidated.empty())
        return {};
    const auto write = [&](wire::Writer& writer) {
        writer.append(interface);
        writer.open_array("{sv}");
        for (const auto& [name, value] : changed)
            writer.open_dict_entry("sv").append(name).append(value).close();
        writer.close();
        writer.append(invalidated);
    };
    return emit({}, {path, "org.freedesktop.DBus.Properties", "PropertiesChanged"},
                ArgumentsRef(write));
}

Result<Slot> ConnectionCore::subscribe(std::string_view text, SignalHandler handler,
                                       EndHandler ended) {
    auto rule = wire::MatchRule::parse(text, wire::MatchSyntax::extended);
    if (!rule) {
        const bool too_long = rule.error() == wire::make_error_code(wire::Errc::match_rule_limit);
        return Error{too_long ? error_names::limits_exceeded : error_names::match_rule_invalid,
                     "Match rule " + std::string(text)};
    }
    return subscribe(*std::move(rule), std::move(handler), std::move(ended));
}

Result<Slot> ConnectionCore::subscribe(wire::MatchRule rule, SignalHandler handler,
                                       EndHandler ended) {
    const ChangeNotice notice(*this);
    const std::uint64_t id = ++last_id_;
    const std::string key = rule.canonical();
    // What is kept is made before, so that nothing fails once the match is in.
    Subscriptions made;
    made.emplace(id, std::make_shared<Subscription>(
                         Subscription{std::move(rule), key, std::move(handler), std::move(ended)}));
    if (const auto installed = rules_.find(key); installed != rules_.end()) {
        ++installed->second.users;
    } else {
        decltype(rules_) installing;
        installing.emplace(key, InstalledRule{.cookie = id, .users = 1});
        if (auto added = transport_->add_match(id, made.begin()->second->rule); !added)
            return std::move(added).error();
        rules_.merge(installing);
    }
    subscriptions_.merge(made);
    return Slot(weak_from_this(), Slot::Kind::subscription, id);
}

Result<Slot> ConnectionCore::watch_name(std::string_view name, NameWatch::Handler handler) {
    const ChangeNotice notice(*this);
    if (!wire::is_bus_name(name))
        return Error{error_names::invalid_args, "Not a name: " + std::string(name)};
    auto watch = std::make_shared<NameWatch>(std::string(name), std::move(handler));
    // First, so that no change is missed.
    auto slot = subscribe(owner_rule(name), [this, watch](const Message& signal) {
        const auto change = signal.get<std::string_view, std::string_view, std::string_view>();
        if (!change)
            return;
        const auto& [changed, from, to] = *change;
        if (from == watch->owner())
            watch->change(to);
        else if (to != watch->owner())
            update_owner(*watch); // from before the watch, or something was lost
    });
    if (!slot)
        return slot;
    const std::uint64_t id = last_id_;
    auto owner = transport_->name_owner(name);
    if (owner)
        watch->change(*owner);
    else if (owner.error().name != error_names::name_has_no_owner)
        return std::move(owner).error();
    watches_.emplace(id, std::move(watch));
    unreported_.insert(id);
    return slot;
}

void ConnectionCore::update_owner(NameWatch& watch) {
    const auto owner = transport_->name_owner(watch.name());
    if (owner || owner.error().name == error_names::name_has_no_owner) {
        watch.set_doubtful(false);
        watch.change(owner ? std::string_view(*owner) : std::string_view());
    } else if (owner.error().name != error_names::disconnected) {
        // (After the end of the connection nothing is told any more.)
        watch.set_doubtful(true);
        retry_ns_ = now_ns() + retry_after_ns_;
    }
}

bool ConnectionCore::update_owners(bool only_doubtful) {
    for (auto next = watches_.begin(); next != watches_.end();) {
        if (stopping())
            return false;
        const std::uint64_t id = next->first;
        const std::shared_ptr<NameWatch> watch = next->second;
        if (!only_doubtful || watch->doubtful())
            update_owner(*watch);
        next = watches_.upper_bound(id); // handlers may add and remove watches
    }
    return true;
}

bool ConnectionCore::ask_again() {
    if (!retry_ns_ || now_ns() < *retry_ns_)
        return false;
    // If a handler throws or stops, the others have their turn the next time.
    const std::uint64_t due = *retry_ns_;
    retry_after_ns_ = std::min(2 * retry_after_ns_, max_retry_ns);
    if (update_owners(true) && retry_ns_ == due) {
        retry_ns_.reset();
        retry_after_ns_ = min_retry_ns;
    }
    return true;
}

bool ConnectionCore::report_owners() {
    const bool any = !unreported_.empty();
    // Those that handlers add have their turn the next time.
    const std::uint64_t last = last_id_;
    while (!unreported_.empty() && *unreported_.begin() <= last && !stopping()) {
        const std::shared_ptr<NameWatch> watch = watches_.at(*unreported_.begin());
        unreported_.erase(unreported_.begin());
        watch->report();
    }
    return any;
}

void ConnectionCore::recover_lost() {
    const std::uint64_t lost = transport_->lost_signals();
    if (lost_ == lost)
        return;
    if (update_owners(false))
        lost_ = lost; // not if a handler threw or stopped: then they are all looked at again
}

Result<NameState> ConnectionCore::request_name(std::string_view name, NameFlags flags) {
    const ChangeNotice notice(*this);
    auto state = transport_->request_name(name, flags);
    if (state && *state != NameState::queued)
        owned_names_.emplace(name);
    return state;
}

Result<void> ConnectionCore::release_name(std::string_view name) {
    const ChangeNotice notice(*this);
    auto released = transport_->release_name(name);
    if (const auto owned = owned_names_.find(name); released && owned != owned_names_.end())
        owned_names_.erase(owned);
    return released;
}

Result<std::string> ConnectionCore::name_owner(std::string_view name) {
    const ChangeNotice notice(*this);
    return transport_->name_owner(name);
}

Result<std::vector<std::string>> ConnectionCore::list_names() {
    const ChangeNotice notice(*this);
    return transport_->list_names();
}

Result<ConnectionInfo> ConnectionCore::info(std::string_view name, std::uint64_t what) {
    const ChangeNotice notice(*this);
    return transport_->info(name, what);
}

void ConnectionCore::remove(Slot::Kind kind, std::uint64_t id) noexcept {
    const ChangeNotice notice(*this);
    switch (kind) {
    case Slot::Kind::object:
        objects_.remove(id, [this](auto&&... removed) { announce_removed(removed...); });
        // One by one: what a task owns may end others.
        for (auto task = tasks_.lower_bound({id, 0});
             task != tasks_.end() && task->first.first == id; task = tasks_.lower_bound({id, 0}))
            end_task(task);
        break;
    case Slot::Kind::call:
        (void)take_pending(id);
        break;
    case Slot::Kind::task:
        if (const auto task = tasks_.find({0, id}); task != tasks_.end())
            end_task(task);
        else // what it owns is destroyed when it is in no list any more
            (void)returned_.extract({0, id});
        break;
    case Slot::Kind::subscription: {
        auto node = subscriptions_.extract(id);
        if (node.empty())
            break;
        unreported_.erase(id);
        const auto watch = watches_.extract(id);
        const auto rule = rules_.find(node.mapped()->installed);
        if (--rule->second.users == 0) {
            transport_->remove_match(rule->second.cookie);
            rules_.erase(rule);
        }
        if (node.mapped()->ended)
            ended_.insert(std::move(node));
        break;
    }
    }
}

Slot ConnectionCore::add_pending(std::uint64_t serial, ReplyCallback callback,
                                 std::uint64_t deadline_ns, const std::stop_token& stop) {
    PendingCall& call = pending_[serial];
    Slot slot(weak_from_this(), Slot::Kind::call, serial);
    call.callback = std::move(callback);
    call.deadline_ns = deadline_ns;
    deadlines_.emplace(deadline_ns, serial);
    if (stop.stop_possible())
        call.stop.emplace(stop, Cancel{this, serial});
    return slot;
}

void ConnectionCore::cancel(std::uint64_t serial) noexcept {
    const ChangeNotice notice(*this);
    const auto found = pending_.find(serial);
    if (found == pending_.end())
        return;
    PendingCall& call = found->second;
    call.cancelled = true;
    // Reuses the memory: this must not fail.
    auto deadline = deadlines_.extract({call.deadline_ns, serial});
    call.deadline_ns = 0;
    deadline.value().first = 0;
    deadlines_.insert(std::move(deadline));
}

std::optional<ConnectionCore::ReplyCallback>
ConnectionCore::take_pending(std::uint64_t serial) noexcept {
    const auto found = pending_.find(serial);
    if (found == pending_.end())
        return std::nullopt;
    deadlines_.erase({found->second.deadline_ns, serial});
    std::optional callback = std::move(found->second.callback);
    pending_.erase(found);
    return callback;
}

bool ConnectionCore::expire_calls() {
    const std::uint64_t now = now_ns();
    bool any = false;
    while (!deadlines_.empty() && deadlines_.begin()->first <= now && !stopping()) {
        any = true;
        const std::uint64_t serial = deadlines_.begin()->second;
        const PendingCall& call = pending_.at(serial);
        Error error = call.cancelled ? cancelled(call.timer ? "The wait" : "The call")
                      : call.timer   ? Error{}
                                     : Error{error_names::no_reply, "No answer in time"};
        if (auto callback = take_pending(serial))
            (*callback)(std::move(error));
    }
    return any;
}

void ConnectionCore::end_task(Tasks::iterator task) noexcept {
    auto node = tasks_.extract(task);
    if (!node.mapped()->give_up())
        returned_.insert(std::move(node));
}

bool ConnectionCore::end_late(bool stoppable) {
    const bool any = !ended_.empty() || !returned_.empty();
    while (!ended_.empty() && !(stoppable && stopping()))
        ended_.extract(ended_.begin()).mapped()->ended();
    while (!returned_.empty() && !(stoppable && stopping()))
        returned_.extract(returned_.begin()).mapped()->finish();
    return any;
}

void ConnectionCore::end() {
    while (!pending_.empty())
        if (auto callback = take_pending(pending_.begin()->first))
            (*callback)(Error{error_names::no_reply, "The connection has ended"});
    for (auto next = subscriptions_.begin(); next != subscriptions_.end();) {
        const std::uint64_t id = next->first;
        const std::shared_ptr<Subscription> subscription = next->second;
        if (auto ended = std::exchange(subscription->ended, {}))
            ended();
        next = subscriptions_.upper_bound(id);
    }
    // Nobody need call process() any more.
    while (end_late(false))
        continue;
}

void ConnectionCore::dispatch(Message message) {
    switch (message.type()) {
    case MessageType::method_call:
        dispatch_call(std::move(message));
        break;
    case MessageType::method_return:
    case MessageType::error:
        dispatch_reply(std::move(message));
        break;
    case MessageType::signal:
        dispatch_signal(message);
        break;
    default:
        break; // types yet to be invented are to be ignored
    }
}

void ConnectionCore::dispatch_call(Message message) {
    auto body = buffers_.borrow();
    wire::Writer writer(*body, transport_->format());
    wire::FdList fds;
    writer.collect_fds(fds);
    Invocation invocation(message, writer, weak_from_this());
    auto done = objects_.invoke(invocation);
    // (A deferred call may have been taken away.)
    if (invocation.deferred() || !message.wire().expects_reply())
        return;
    const wire::Message& call = message.wire();
    if (done) {
        if (auto finished = writer.finish(); !finished)
            done = Error{error_names::failed,
                         "The answer cannot be expressed: " + finished.error().message()};
        else if (auto there = check_fds(writer, fds); !there)
            done = std::move(there);
    }
    if (!done) {
        reply_error(call.sender, call.serial, done.error());
        return;
    }
    wire::Message header;
    header.type = MessageType::method_return;
    header.flags = wire::no_reply_expected;
    header.format = writer.format();
    header.serial = next_serial();
    header.reply_serial = call.serial;
    header.destination = call.sender;
    header.signature = writer.signature();
    header.body = writer.body();
    const auto sent = transport_->send({.message = header, .body = &*body, .fds = fds.all()});
    if (!sent) // see reply()
        reply_error(call.sender, call.serial, sent.error());
}

void ConnectionCore::dispatch_reply(Message message) {
    auto callback = take_pending(message.wire().reply_serial);
    if (!callback)
        return; // forgotten, or timed out before
    if (message.type() == MessageType::error)
        (*callback)(error_of(message.wire()));
    else
        (*callback)(std::move(message));
}

void ConnectionCore::dispatch_signal(const Message& message) {
    sender_names_.clear();
    transport_->add_sender_names(message, sender_names_);
    // Handlers may add and remove subscriptions, and with them names that the transport knows: so
    // first who is meant, then what they do. Those added now begin with the next signal.
    auto meant = std::exchange(meant_, {});
    for (const auto& [id, subscription] : subscriptions_)
        if (subscription->rule.matches(message.wire(), sender_names_))
            meant.emplace_back(id, subscription);
    std::exception_ptr thrown;
    for (const auto& [id, subscription] : meant) {
        if (!subscriptions_.contains(id))
            continue;
        try {
            subscription->handler(message);
        } catch (...) { // the others want the signal, too
            if (!thrown)
                thrown = std::current_exception();
        }
    }
    meant.clear();
    meant_ = std::move(meant);
    if (thrown)
        std::rethrow_exception(thrown);
}

std::optional<std::uint64_t> ConnectionCore::timeout_ns() const noexcept {
    auto earliest = transport_->timeout_ns();
    if (!deadlines_.empty())
        earliest = std::min(earliest.value_or(std::numeric_limits<std::uint64_t>::max()),
                            deadlines_.begin()->first);
    if (retry_ns_)
        earliest = std::min(earliest.value_or(*retry_ns_), *retry_ns_);
    if (!unreported_.empty() || !ended_.empty() || !returned_.empty() ||
        lost_ != transport_->lost_signals())
        earliest = 0; // at once
    return earliest;
}

void ConnectionCore::on_change(std::move_only_function<void()> callback) {
    on_change_ = std::move(callback);
    awaited_ = {transport_->events(), timeout_ns()};
}

void ConnectionCore::tell_change() noexcept {
    if (!on_change_ || dispatching_) // process() tells when it has done
        return;
    const Awaited now{transport_->events(), timeout_ns()};
    if (now == awaited_)
        return;
    awaited_ = now;
    on_change_();
}

Result<bool> ConnectionCore::process() {
    if (dispatching_)
        return called_by_handler("process()");
    const auto alive = shared_from_this(); // a handler may destroy the connection
    const ChangeNotice notice(*this);
    const Guard guard(dispatching_);
    bool any = report_owners();
    any = end_late() || any;
    any = ask_again() || any;
    for (int i = 0; i < batch_size && !stopping(); ++i) {
        auto received = transport_->receive();
        if (!received) {
            if (received.error().name == error_names::disconnected)
                end();
            return std::move(received).error();
        }
        const bool more = received->has_value();
        if (more && **received)
            dispatch(Message(std::move(**received)));
        recover_lost();
        if (!more)
            return expire_calls() || any;
        any = true;
    }
    expire_calls();
    return true;
}

Result<bool> ConnectionCore::wait(std::chrono::nanoseconds limit) {
    if (dispatching_)
        return called_by_handler("wait()");
    const std::uint64_t end = abi::deadline_after(limit);
    const std::uint64_t until = std::min(end, timeout_ns().value_or(end));
    if (auto waited = wait_for(transport_->fd(), transport_->events(), until); !waited)
        return std::move(waited).error();
    return process();
}

Result<void> ConnectionCore::run() {
    if (dispatching_) // an outer run() shall go on
        return called_by_handler("run()");
    const auto alive = shared_from_this();
    const Guard guard(running_);
    stopped_ = false;
    while (!stopped_)
        if (auto done = wait(std::chrono::nanoseconds::max()); !done)
            return std::move(done).error();
    return {};
}

} // namespace kdbus::detail
