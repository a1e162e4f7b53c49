// SPDX-License-Identifier: LGPL-2.1-or-later
#include "socket_bus.hpp"

#include "kernel_errors.hpp"
#include "name_watch.hpp"

#include <kdbus/abi/send.hpp>
#include <kdbus/wire/names.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace kdbus::detail {
namespace {

constexpr std::chrono::seconds driver_timeout(25);

/// Flags and results of RequestName and ReleaseName (D-Bus specification).
constexpr std::uint32_t flag_allow_replacement = 1;
constexpr std::uint32_t flag_replace_existing = 2;
constexpr std::uint32_t flag_do_not_queue = 4;
enum RequestResult : std::uint32_t { primary_owner = 1, in_queue, exists, already_owner };
enum ReleaseResult : std::uint32_t { released = 1, non_existent, not_owner };

bool is_from_driver(const wire::Message& message) noexcept {
    return message.sender == wire::driver_name;
}

/// What a bus understands of a rule. It lets the same through or more.
wire::MatchRule for_bus(wire::MatchRule rule) {
    using Kind = wire::MatchRule::ArgKind;
    std::erase_if(rule.arguments, [](const auto& argument) {
        return argument.kind == Kind::has ||
               (argument.kind == Kind::name_namespace && argument.index != 0);
    });
    if (rule.path_namespace == "/") // everything, but dbus-broker takes it for path='/'
        rule.path_namespace.clear();
    rule.eavesdrop = false; // calls to others are not for us to answer
    return rule;
}

/// The number that is all of an answer; 0 if it is none.
std::uint32_t result_of(const Message& answer) {
    const auto number = answer.get<std::uint32_t>();
    return number ? *number : 0;
}

/// What GetConnectionCredentials says, as far as it was asked for.
ConnectionInfo info_from(const std::map<std::string, Variant>& known, std::uint64_t what) {
    ConnectionInfo info;
    const auto value = [&]<class T>(const char* key, std::type_identity<T>) -> std::optional<T> {
        const auto found = known.find(key);
        if (found == known.end())
            return std::nullopt;
        auto read = found->second.template get<T>();
        if (!read)
            return std::nullopt;
        return *std::move(read);
    };
    constexpr std::type_identity<std::uint32_t> number;
    const auto uid = (what & KDBUS_ATTACH_CREDS) != 0 ? value("UnixUserID", number) : std::nullopt;
    const auto pid = (what & KDBUS_ATTACH_PIDS) != 0 ? value("ProcessID", number) : std::nullopt;
    if (uid || pid) {
        auto& credentials = info.credentials.emplace();
        credentials.euid = uid.value_or(Credentials::unknown_uid);
        credentials.pid = static_cast<pid_t>(pid.value_or(0));
    }
    if ((what & KDBUS_ATTACH_AUXGROUPS) != 0)
        info.groups = value("UnixGroupIDs", std::type_identity<std::vector<gid_t>>());
    if ((what & KDBUS_ATTACH_SECLABEL) != 0)
        if (const auto label =
                value("LinuxSecurityLabel", std::type_identity<std::vector<std::uint8_t>>()))
            info.security_label.emplace(label->begin(), std::find(label->begin(), label->end(), 0));
    return info;
}

Error strange_answer(std::string_view member) {
    return {error_names::failed, "A strange answer to " + std::string(member)};
}

} // namespace

template <class... A>
Result<std::uint64_t> SocketBus::start(std::string_view member, const A&... args) {
    return with_arguments([&](const ArgumentsRef& ref) { return start_raw(member, ref, 0); },
                          args...);
}

template <class... A>
Result<Message> SocketBus::ask(std::string_view member, const A&... args) {
    const auto serial = start(member, args...);
    if (!serial)
        return serial.error();
    return finish(*serial);
}

Result<std::uint64_t> SocketBus::start_raw(std::string_view member, const ArgumentsRef& args,
                                           std::uint8_t flags) {
    if (++last_serial_ < first_transport_serial)
        last_serial_ = first_transport_serial;
    wire::Buffer body;
    wire::Writer writer(body, format());
    args.write(writer);
    if (auto done = writer.finish(); !done)
        return Error::from_code(done.error(), "Arguments");
    wire::Message header;
    header.type = MessageType::method_call;
    header.flags = flags;
    header.format = format();
    header.serial = last_serial_;
    header.path = wire::driver_path;
    header.interface = wire::driver_name;
    header.member = member;
    header.destination = wire::driver_name;
    header.signature = writer.signature();
    header.body = writer.body();
    if (auto sent = SocketTransport::send({.message = header, .body = &body}); !sent)
        return std::move(sent).error();
    return header.serial;
}

Result<Message> SocketBus::finish(std::uint64_t serial) {
    return answer(await_reply(serial, abi::deadline_after(driver_timeout)));
}

Result<Message> SocketBus::answer(Result<MessagePointer> reply) {
    if (!reply)
        return std::move(reply).error();
    if ((*reply)->view.type == MessageType::error)
        return error_of((*reply)->view);
    return Message(std::move(*reply));
}

Result<std::unique_ptr<Transport>> SocketBus::open(abi::UniqueFd socket, std::string guid,
                                                   const ConnectionOptions& options) {
    std::unique_ptr<SocketBus> bus(new SocketBus(
        SocketStream::client(std::move(socket), options.accept_fds, std::move(guid))));
    if (auto done = bus->hello(); !done)
        return std::move(done).error();
    return std::unique_ptr<Transport>(std::move(bus));
}

Result<void> SocketBus::hello() {
    // Both at once: one round trip less.
    const auto name_serial = start("Hello");
    if (!name_serial)
        return name_serial.error();
    const auto id_serial = start("GetId");
    if (!id_serial)
        return id_serial.error();
    const auto name = finish(*name_serial);
    if (!name)
        return name.error();
    const auto name_text = name->get<std::string>();
    if (!name_text || !wire::is_unique_name(*name_text))
        return strange_answer("Hello");
    unique_name_ = *name_text;
    const auto id = finish(*id_serial);
    if (!id)
        return id.error();
    const auto id_text = id->get<std::string>();
    if (!id_text)
        return strange_answer("GetId");
    bus_id_ = *id_text;
    return {};
}

Result<void> SocketBus::send(const Outgoing& outgoing) {
    // The kernel's bus cannot, and who hears a signal should not depend on the bus.
    if (outgoing.message.destination.empty() && !outgoing.fds.empty())
        return Error{error_names::not_supported, "Descriptors cannot be broadcast"};
    return SocketTransport::send(outgoing);
}

bool SocketBus::arrived(MessageData& message) {
    const wire::Message& view = message.view;
    if (view.reply_serial >= first_transport_serial)
        return false; // to forget(), or too late
    if (view.type != MessageType::signal || view.member != "NameOwnerChanged" ||
        view.interface != wire::driver_name || !is_from_driver(view) || view.signature != "sss")
        return true;
    wire::Reader reader = view.reader();
    std::array<std::string_view, 3> texts;
    for (auto& text : texts)
        text = reader.read_text('s').value_or(std::string_view());
    if (const auto found = watched_.find(texts[0]); found != watched_.end())
        found->second.owner = texts[2];
    return true;
}

Result<NameState> SocketBus::request_name(std::string_view name, NameFlags flags) {
    if (!wire::is_well_known_name(name) || name == wire::driver_name)
        return request_name_error(EINVAL, name);
    std::uint32_t bus_flags = 0;
    if (has_flag(flags, NameFlags::allow_replacement))
        bus_flags |= flag_allow_replacement;
    if (has_flag(flags, NameFlags::replace_existing))
        bus_flags |= flag_replace_existing;
    if (!has_flag(flags, NameFlags::queue))
        bus_flags |= flag_do_not_queue;
    const auto reply = ask("RequestName", name, bus_flags);
    if (!reply)
        return reply.error();
    switch (result_of(*reply)) {
    case primary_owner:
        return NameState::owner;
    case in_queue:
        return NameState::queued;
    case exists:
        return request_name_error(EEXIST, name);
    case already_owner:
        return NameState::already_owner;
    default:
        return strange_answer("RequestName");
    }
}

Result<void> SocketBus::release_name(std::string_view name) {
    const auto reply = ask("ReleaseName", name);
    if (!reply)
        return reply.error();
    switch (result_of(*reply)) {
    case released:
        return {};
    case non_existent:
        return release_name_error(ESRCH, name);
    case not_owner:
        return release_name_error(EADDRINUSE, name);
    default:
        return strange_answer("ReleaseName");
    }
}

Result<std::string> SocketBus::name_owner(std::string_view name) {
    const auto reply = ask("GetNameOwner", name);
    if (!reply)
        return reply.error();
    return reply->get<std::string>();
}

Result<std::vector<std::string>> SocketBus::list_names() {
    const auto reply = ask("ListNames");
    if (!reply)
        return reply.error();
    auto names = reply->get<std::vector<std::string>>();
    // As on the kernel's bus: the driver, then the others in order.
    if (names)
        std::sort(names->begin(), names->end(), [](const auto& a, const auto& b) {
            return std::pair(a != wire::driver_name, std::string_view(a)) <
                   std::pair(b != wire::driver_name, std::string_view(b));
        });
    return names;
}

Result<ConnectionInfo> SocketBus::info(std::string_view name, std::uint64_t what) {
    // Asked by unique name, all answers are about the same connection.
    auto owner = name.starts_with(':') ? Result<std::string>(std::string(name)) : name_owner(name);
    if (!owner)
        return std::move(owner).error();
    const auto reply = ask("GetConnectionCredentials", *owner);
    if (!reply)
        return reply.error();
    const auto known = reply->get<std::map<std::string, Variant>>();
    if (!known)
        return known.error();
    ConnectionInfo info = info_from(*known, what);
    if ((what & KDBUS_ATTACH_NAMES) != 0) {
        auto names = names_of(*owner);
        if (!names)
            return std::move(names).error();
        info.names = *std::move(names);
    }
    info.unique_name = *std::move(owner);
    return info;
}

Result<std::vector<std::string>> SocketBus::names_of(std::string_view owner) {
    auto all = list_names();
    if (!all)
        return all;
    std::erase_if(*all, [](const std::string& name) { return name.starts_with(':'); });
    // All at once: the bus answers in order.
    std::vector<std::uint64_t> serials;
    for (const std::string& name : *all) {
        const auto serial = start("GetNameOwner", name);
        if (!serial)
            return serial.error();
        serials.push_back(*serial);
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < serials.size(); ++i) {
        const auto reply = finish(serials[i]);
        if (!reply && reply.error().name != error_names::name_has_no_owner)
            return reply.error();
        if (const auto found = reply ? reply->get<std::string_view>() : std::string_view();
            found && *found == owner)
            names.push_back(std::move((*all)[i]));
    }
    return names;
}

Result<void> SocketBus::add_match(std::uint64_t cookie, const wire::MatchRule& rule) {
    const wire::MatchRule wanted = for_bus(rule);
    const bool by_name =
        wire::is_well_known_name(wanted.sender) && wanted.sender != wire::driver_name;
    decltype(rules_) made;
    const Rule& entry =
        made.emplace(cookie, Rule{wanted.canonical(), by_name ? wanted.sender : std::string()})
            .first->second;
    // First, so that the owner is known when the first signal comes.
    if (by_name)
        if (auto watched = watch(wanted.sender); !watched)
            return watched;
    try {
        if (auto added = install(entry.text); !added) {
            if (by_name)
                unwatch(wanted.sender);
            return added;
        }
    } catch (const std::bad_alloc&) {
        if (by_name)
            unwatch(wanted.sender);
        throw;
    }
    rules_.merge(made);
    return {};
}

void SocketBus::remove_match(std::uint64_t cookie) noexcept {
    const auto node = rules_.extract(cookie);
    forget(node.mapped().text);
    if (!node.mapped().sender.empty())
        unwatch(node.mapped().sender);
}

Result<void> SocketBus::install(const std::string& rule) {
    const auto serial = start("AddMatch", rule);
    if (!serial)
        return serial.error();
    bool in_doubt = true;
    // What is not answered the bus may have added all the same. (What it refused must not be taken
    // back: that would be an equal rule's.)
    try {
        auto reply = await_reply(*serial, abi::deadline_after(driver_timeout));
        in_doubt = false;
        if (!reply)
            forget(rule);
        if (auto added = answer(std::move(reply)); !added)
            return std::move(added).error();
    } catch (const std::bad_alloc&) {
        if (in_doubt)
            forget(rule);
        throw;
    }
    return {};
}

void SocketBus::forget(std::string_view rule) noexcept {
    try {
        (void)with_arguments(
            [&](const ArgumentsRef& ref) {
                return start_raw("RemoveMatch", ref, wire::no_reply_expected);
            },
            rule);
    } catch (const std::bad_alloc&) {
        // Then more comes than is wanted.
    }
}

Result<void> SocketBus::watch(const std::string& name) {
    if (const auto found = watched_.find(name); found != watched_.end()) {
        ++found->second.users;
        return {};
    }
    decltype(watched_) made;
    Watched& watched =
        made.emplace(name, Watched{owner_rule(name).canonical(), {}, 1}).first->second;
    if (auto added = install(watched.rule); !added)
        return added;
    try {
        auto owner = name_owner(name);
        if (!owner && owner.error().name != error_names::name_has_no_owner) {
            forget(watched.rule);
            return std::move(owner).error();
        }
        if (owner)
            watched.owner = std::move(*owner);
    } catch (const std::bad_alloc&) {
        forget(watched.rule);
        throw;
    }
    watched_.merge(made);
    return {};
}

void SocketBus::unwatch(std::string_view name) noexcept {
    const auto found = watched_.find(name);
    if (--found->second.users > 0)
        return;
    forget(found->second.rule);
    watched_.erase(found);
}

void SocketBus::add_sender_names(const Message& message,
                                 std::vector<std::string_view>& names) const {
    for (const auto& [name, watched] : watched_)
        if (!watched.owner.empty() && watched.owner == message.sender())
            names.push_back(name);
}

} // namespace kdbus::detail
