// SPDX-License-Identifier: LGPL-2.1-or-later
#include "driver.hpp"

#include <kdbus/wire/error_names.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/match.hpp>
#include <kdbus/wire/names.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kdbus.h>
#include <systemd/sd-id128.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <new>
#include <optional>
#include <utility>

namespace kdbus::proxy::driver {

using wire::UniqueName;

namespace {

constexpr std::string_view dbus_interface = "org.freedesktop.DBus";
constexpr std::string_view properties_interface = "org.freedesktop.DBus.Properties";
constexpr std::string_view introspectable_interface = "org.freedesktop.DBus.Introspectable";
constexpr std::string_view peer_interface = "org.freedesktop.DBus.Peer";

/// One call being answered. Handlers read arguments (whose types are checked already), and
/// return what was written, or fail().
class Call {
public:
    Call(const wire::Message& message, Caller* caller)
        : message_(message), caller_(caller), reader_(message.reader()),
          writer_(reply_.body, wire::dbus1_native) {}

    [[nodiscard]] Caller& caller() { return *caller_; }
    [[nodiscard]] const wire::Message& message() const { return message_; }
    [[nodiscard]] wire::Writer& out() { return writer_; }
    void attach(abi::UniqueFd fd) { reply_.fds.push_back(std::move(fd)); }

    /// The next argument. It was validated with the message, so reading cannot fail.
    [[nodiscard]] std::string_view text() { return reader_.read_text('s').value_or(""); }
    [[nodiscard]] std::uint32_t number() {
        return static_cast<std::uint32_t>(reader_.read_fixed('u').value_or(0));
    }

    void fail(std::string_view name, std::string_view text) {
        error_.emplace(error_reply(name, text));
    }

    [[nodiscard]] Reply finish() && {
        const auto finished = writer_.finish();
        if (error_)
            return std::move(*error_);
        if (!finished)
            return error_reply("NoMemory", finished.error().message());
        reply_.signature = writer_.signature();
        return std::move(reply_);
    }

private:
    const wire::Message& message_;
    Caller* caller_;
    wire::Reader reader_;
    Reply reply_;
    wire::Writer writer_;
    std::optional<Reply> error_;
};

// ---- helpers
// -------------------------------------------------------------------------------------

/// What a kernel error is called towards a client, where the method has no better name for it.
void fail_with(Call& call, std::error_code error, std::string_view what) {
    switch (error.value()) {
    case E2BIG:
    case EMFILE:
    case ENOBUFS:
    case EXFULL:
        return call.fail("LimitsExceeded", fmt::format("{}: {}", what, error.message()));
    case EPERM:
        return call.fail("AccessDenied", fmt::format("{}: {}", what, error.message()));
    case ENOMEM:
        return call.fail("NoMemory", what);
    default:
        return call.fail("Failed", fmt::format("{}: {}", what, error.message()));
    }
}

void no_owner(Call& call, std::string_view name) {
    call.fail("NameHasNoOwner", fmt::format("The name \"{}\" has no owner", name));
}

/// The connection that a name of any kind stands for; nothing if none. The driver is not meant.
abi::Result<std::optional<std::uint64_t>> find_peer(Call& call, std::string_view name) {
    auto& registry = call.caller().registry;
    if (name.starts_with(':')) {
        const auto id = wire::unique_name_id(name);
        if (!id)
            return std::nullopt;
        const auto exists = registry.exists(*id);
        if (!exists)
            return std::unexpected(exists.error());
        return *exists ? id : std::nullopt;
    }
    if (!wire::is_well_known_name(name))
        return std::nullopt;
    const auto owner = registry.owner(name);
    if (owner)
        return *owner;
    if (owner.error().value() == ESRCH)
        return std::nullopt;
    return std::unexpected(owner.error());
}

/// Identity of the connection named in the next argument; fails the call if there is none.
std::optional<Identity> find_identity(Call& call) {
    const auto name = call.text();
    if (name == wire::driver_name)
        return call.caller().registry.bus_identity();
    const auto peer = find_peer(call, name);
    if (!peer) {
        fail_with(call, peer.error(), "Looking the name up");
        return std::nullopt;
    }
    if (!*peer) {
        no_owner(call, name);
        return std::nullopt;
    }
    auto identity = call.caller().registry.identity(**peer);
    if (identity)
        return std::move(*identity);
    if (identity.error().value() == ENXIO)
        no_owner(call, name);
    else
        fail_with(call, identity.error(), "Asking about the connection");
    return std::nullopt;
}

/// Whether clients may own that name; fails the call if not.
bool check_ownable(Call& call, std::string_view name) {
    if (name.starts_with(':'))
        call.fail("InvalidArgs",
                  fmt::format("\"{}\" is a unique name; those are given by the bus", name));
    else if (!wire::is_well_known_name(name))
        call.fail("InvalidArgs", fmt::format("\"{}\" is not a valid bus name", name));
    else if (name == wire::driver_name)
        call.fail("InvalidArgs", fmt::format("\"{}\" belongs to the bus itself", name));
    else
        return true;
    return false;
}

// ---- org.freedesktop.DBus
// ------------------------------------------------------------------------

void hello(Call& call) {
    call.fail("Failed", "Hello was said before");
}

void request_name(Call& call) {
    // Flags and results of the specification, "org.freedesktop.DBus.RequestName".
    constexpr std::uint32_t allow_replacement = 1, replace_existing = 2, do_not_queue = 4;
    constexpr std::uint32_t primary_owner = 1, in_queue = 2, exists = 3, already_owner = 4;

    const auto name = call.text();
    const auto flags = call.number();
    if (!check_ownable(call, name))
        return;
    std::uint64_t kernel_flags = 0;
    if ((flags & allow_replacement) != 0)
        kernel_flags |= KDBUS_NAME_ALLOW_REPLACEMENT;
    if ((flags & replace_existing) != 0)
        kernel_flags |= KDBUS_NAME_REPLACE_EXISTING;
    if ((flags & do_not_queue) == 0)
        kernel_flags |= KDBUS_NAME_QUEUE;

    const auto outcome = call.caller().registry.acquire_name(name, kernel_flags);
    std::uint32_t result = exists;
    if (!outcome) {
        if (outcome.error().value() == EINVAL)
            return call.fail("InvalidArgs", fmt::format("\"{}\" is not a valid bus name", name));
        if (outcome.error().value() != EEXIST)
            return fail_with(call, outcome.error(), "Requesting the name");
    } else if (outcome->in_queue()) {
        result = in_queue;
    } else if (outcome->primary()) {
        result = outcome->acquired() ? primary_owner : already_owner;
    }
    call.out().append_fixed('u', result);
}

void release_name(Call& call) {
    constexpr std::uint32_t released = 1, non_existent = 2, not_owner = 3;
    const auto name = call.text();
    if (!check_ownable(call, name))
        return;
    const auto outcome = call.caller().registry.release_name(name);
    std::uint32_t result = released;
    if (!outcome) {
        if (outcome.error().value() == ESRCH)
            result = non_existent;
        else if (outcome.error().value() == EADDRINUSE)
            result = not_owner;
        else
            return fail_with(call, outcome.error(), "Releasing the name");
    }
    call.out().append_fixed('u', result);
}

void list_queued_owners(Call& call) {
    const auto name = call.text();
    std::vector<std::string> owners;
    if (name == wire::driver_name) {
        owners.emplace_back(name);
    } else if (name.starts_with(':')) {
        const auto peer = find_peer(call, name);
        if (!peer)
            return fail_with(call, peer.error(), "Looking the name up");
        if (*peer)
            owners.emplace_back(name);
    } else if (wire::is_well_known_name(name)) {
        const auto queue = call.caller().registry.queue(name);
        if (!queue)
            return fail_with(call, queue.error(), "Listing the queue");
        for (const auto id : *queue)
            owners.emplace_back(UniqueName(id).view());
    }
    if (owners.empty())
        return no_owner(call, name);
    call.out().append(owners);
}

void list_names(Call& call) {
    auto names = call.caller().registry.names();
    if (!names)
        return fail_with(call, names.error(), "Listing names");
    names->insert(names->begin(), std::string(wire::driver_name));
    call.out().append(*names);
}

void list_activatable_names(Call& call) {
    call.out().append(std::array{wire::driver_name});
}

void name_has_owner(Call& call) {
    const auto name = call.text();
    if (name == wire::driver_name) {
        call.out().append(true);
        return;
    }
    const auto peer = find_peer(call, name);
    if (!peer)
        return fail_with(call, peer.error(), "Looking the name up");
    call.out().append(peer->has_value());
}

void get_name_owner(Call& call) {
    const auto name = call.text();
    if (name == wire::driver_name) {
        call.out().append(name);
        return;
    }
    const auto peer = find_peer(call, name);
    if (!peer)
        return fail_with(call, peer.error(), "Looking the name up");
    if (!*peer)
        return no_owner(call, name);
    call.out().append(UniqueName(**peer).view());
}

void start_service_by_name(Call& call) {
    constexpr std::uint32_t already_running = 2;
    const auto name = call.text();
    (void)call.number(); // flags: none are defined
    bool running = name == wire::driver_name;
    if (!running && !name.starts_with(':')) {
        const auto peer = find_peer(call, name);
        if (!peer)
            return fail_with(call, peer.error(), "Looking the name up");
        running = peer->has_value();
    }
    if (!running)
        return call.fail("ServiceUnknown",
                         fmt::format("Nothing is known that provides the name \"{}\"", name));
    call.out().append_fixed('u', already_running);
}

void update_activation_environment(Call& call) {
    const auto bus_uid = call.caller().registry.bus_identity().uid;
    if (call.caller().uid != 0 && call.caller().uid != bus_uid)
        return call.fail("AccessDenied", "Only the owner of the bus may do that");
    call.fail("NotSupported", "This bus does not start services");
}

void reload_config(Call& call) {
    call.fail("NotSupported", "This bus has no configuration file");
}

void get_connection_unix_user(Call& call) {
    const auto identity = find_identity(call);
    if (!identity)
        return;
    if (!identity->uid)
        return call.fail("Failed", "The user is not known");
    call.out().append(*identity->uid);
}

void get_connection_unix_process_id(Call& call) {
    const auto identity = find_identity(call);
    if (!identity)
        return;
    if (!identity->pid)
        return call.fail("UnixProcessIdUnknown", "The process is not known");
    call.out().append(*identity->pid);
}

void get_connection_credentials(Call& call) {
    const auto identity = find_identity(call);
    if (!identity)
        return;
    auto& out = call.out();
    const auto entry = [&](std::string_view key, std::string_view type) -> wire::Writer& {
        return out.open_dict_entry("sv").append(key).open_variant(type);
    };
    out.open_array("{sv}");
    if (identity->uid)
        entry("UnixUserID", "u").append(*identity->uid).close().close();
    if (identity->groups)
        entry("UnixGroupIDs", "au").append(*identity->groups).close().close();
    if (identity->pid)
        entry("ProcessID", "u").append(*identity->pid).close().close();
    if (identity->pidfd >= 0 && call.caller().accepts_fds) {
        if (abi::UniqueFd copy(fcntl(identity->pidfd, F_DUPFD_CLOEXEC, 0)); copy) {
            call.attach(std::move(copy));
            entry("ProcessFD", "h").append_fixed('h', 0).close().close();
        }
    }
    if (identity->label) {
        // With one NUL here, unlike in GetConnectionSELinuxSecurityContext.
        entry("LinuxSecurityLabel", "ay")
            .append_fixed_array('y', identity->label->c_str(), identity->label->size() + 1)
            .close()
            .close();
    }
    out.close();
}

void get_connection_selinux_security_context(Call& call) {
    const auto identity = find_identity(call);
    if (!identity)
        return;
    if (!identity->label)
        return call.fail("SELinuxSecurityContextUnknown", "The security context is not known");
    call.out().append_fixed_array('y', identity->label->data(), identity->label->size());
}

void get_adt_audit_session_data(Call& call) {
    if (find_identity(call))
        call.fail("AdtAuditDataUnknown", "There is no such data on this system");
}

void rule_error(Call& call, std::error_code error) {
    if (error == make_error_code(wire::Errc::match_rule_limit))
        call.fail("LimitsExceeded", error.message());
    else
        call.fail("MatchRuleInvalid", error.message());
}

void add_match(Call& call) {
    auto rule = wire::MatchRule::parse(call.text());
    if (!rule)
        return rule_error(call, rule.error());
    auto& caller = call.caller();
    if (caller.matches.size() >= caller.max_match_rules)
        return call.fail("LimitsExceeded",
                         fmt::format("There may be {} match rules", caller.max_match_rules));
    if (auto added = caller.matches.add(caller.installer, std::move(*rule)); !added)
        fail_with(call, added.error(), "Adding the match rule");
}

void remove_match(Call& call) {
    const auto rule = wire::MatchRule::parse(call.text());
    if (!rule)
        return rule_error(call, rule.error());
    if (!call.caller().matches.remove(call.caller().installer, *rule))
        call.fail("MatchRuleNotFound", "No such rule was added");
}

void get_id(Call& call) {
    call.out().append(call.caller().bus_id);
}

// ---- interfaces of every object
// ------------------------------------------------------------------

void introspect(Call& call) {
    call.out().append(introspection(call.message().path));
}

void ping(Call&) {}

void get_machine_id(Call& call) {
    sd_id128_t id;
    if (const int result = sd_id128_get_machine(&id); result < 0)
        return call.fail(result == -ENOENT ? "FileNotFound" : "InvalidFileContent",
                         "This machine has no valid id");
    std::array<char, SD_ID128_STRING_MAX> text;
    call.out().append(std::string_view(sd_id128_to_string(id, text.data())));
}

// ---- properties
// ----------------------------------------------------------------------------------

/// Optional features, as the specification names them. Unknown header fields do not get through.
constexpr std::array<std::string_view, 1> features{"HeaderFiltering"};
/// Optional interfaces: none so far.
constexpr std::array<std::string_view, 0> interfaces{};

struct Property {
    std::string_view name;
    std::span<const std::string_view> value;
};
constexpr std::array<Property, 2> properties{{{"Features", features}, {"Interfaces", interfaces}}};

const Property* find_property(Call& call, std::string_view interface, std::string_view name) {
    if (interface != dbus_interface) {
        call.fail("UnknownInterface", fmt::format("There is no interface \"{}\"", interface));
        return nullptr;
    }
    const auto found =
        std::find_if(properties.begin(), properties.end(),
                     [&](const Property& property) { return property.name == name; });
    if (found != properties.end())
        return &*found;
    call.fail("UnknownProperty", fmt::format("There is no property \"{}\"", name));
    return nullptr;
}

void append_property(wire::Writer& out, const Property& property) {
    out.open_variant("as").open_array("s");
    for (const auto value : property.value)
        out.append_text('s', value);
    out.close().close();
}

void get_property(Call& call) {
    const auto interface = call.text();
    if (const auto* property = find_property(call, interface, call.text()))
        append_property(call.out(), *property);
}

void get_all_properties(Call& call) {
    if (const auto interface = call.text(); interface != dbus_interface)
        return call.fail("UnknownInterface",
                         fmt::format("There is no interface \"{}\"", interface));
    call.out().open_array("{sv}");
    for (const auto& property : properties) {
        call.out().open_dict_entry("sv").append_text('s', property.name);
        append_property(call.out(), property);
        call.out().close();
    }
    call.out().close();
}

void set_property(Call& call) {
    const auto interface = call.text();
    if (const auto* property = find_property(call, interface, call.text()))
        call.fail("PropertyReadOnly", fmt::format("\"{}\" cannot be set", property->name));
}

// ---- the table
// -----------------------------------------------------------------------------------

/// Which objects have a method. Old ones do not look at the path.
enum class Paths { any, own_else_denied, own_else_unknown };

struct Method {
    std::string_view interface;
    std::string_view member;
    std::string_view in;
    std::string_view out;
    Paths paths;
    void (*handler)(Call&);
};

constexpr Method methods[] = {
    {dbus_interface, "Hello", "", "s", Paths::any, hello},
    {dbus_interface, "RequestName", "su", "u", Paths::any, request_name},
    {dbus_interface, "ReleaseName", "s", "u", Paths::any, release_name},
    {dbus_interface, "StartServiceByName", "su", "u", Paths::any, start_service_by_name},
    {dbus_interface, "UpdateActivationEnvironment", "a{ss}", "", Paths::own_else_denied,
     update_activation_environment},
    {dbus_interface, "NameHasOwner", "s", "b", Paths::any, name_has_owner},
    {dbus_interface, "ListNames", "", "as", Paths::any, list_names},
    {dbus_interface, "ListActivatableNames", "", "as", Paths::any, list_activatable_names},
    {dbus_interface, "AddMatch", "s", "", Paths::any, add_match},
    {dbus_interface, "RemoveMatch", "s", "", Paths::any, remove_match},
    {dbus_interface, "GetNameOwner", "s", "s", Paths::any, get_name_owner},
    {dbus_interface, "ListQueuedOwners", "s", "as", Paths::any, list_queued_owners},
    {dbus_interface, "GetConnectionUnixUser", "s", "u", Paths::any, get_connection_unix_user},
    {dbus_interface, "GetConnectionUnixProcessID", "s", "u", Paths::any,
     get_connection_unix_process_id},
    {dbus_interface, "GetAdtAuditSessionData", "s", "ay", Paths::any, get_adt_audit_session_data},
    {dbus_interface, "GetConnectionSELinuxSecurityContext", "s", "ay", Paths::any,
     get_connection_selinux_security_context},
    {dbus_interface, "ReloadConfig", "", "", Paths::any, reload_config},
    {dbus_interface, "GetId", "", "s", Paths::any, get_id},
    {dbus_interface, "GetConnectionCredentials", "s", "a{sv}", Paths::any,
     get_connection_credentials},
    {properties_interface, "Get", "ss", "v", Paths::own_else_unknown, get_property},
    {properties_interface, "GetAll", "s", "a{sv}", Paths::own_else_unknown, get_all_properties},
    {properties_interface, "Set", "ssv", "", Paths::own_else_unknown, set_property},
    {introspectable_interface, "Introspect", "", "s", Paths::any, introspect},
    {peer_interface, "GetMachineId", "", "s", Paths::any, get_machine_id},
    {peer_interface, "Ping", "", "", Paths::any, ping},
};

constexpr std::string_view signals = R"(    <signal name="NameOwnerChanged">
      <arg type="s"/>
      <arg type="s"/>
      <arg type="s"/>
    </signal>
    <signal name="NameLost">
      <arg type="s"/>
    </signal>
    <signal name="NameAcquired">
      <arg type="s"/>
    </signal>
)";

void describe_arguments(std::string& xml, std::string_view signature, std::string_view direction) {
    for (const auto type : wire::SignatureTypes(signature))
        fmt::format_to(std::back_inserter(xml), "      <arg direction=\"{}\" type=\"{}\"/>\n",
                       direction, type);
}

Reply dispatch(const wire::Message& message, Caller* caller) {
    bool interface_known = message.interface.empty();
    for (const auto& method : methods) {
        if (!message.interface.empty() && message.interface != method.interface)
            continue;
        interface_known = true;
        if (message.member != method.member)
            continue;
        if (method.paths != Paths::any && message.path != wire::driver_path)
            return method.paths == Paths::own_else_denied
                       ? error_reply("AccessDenied", fmt::format("{} is to be called on {}",
                                                                 method.member, wire::driver_path))
                       : error_reply("UnknownInterface",
                                     fmt::format("{} has no interface \"{}\"", message.path,
                                                 method.interface));
        if (message.signature != method.in)
            return error_reply("InvalidArgs",
                               fmt::format("{} takes arguments of type \"{}\", not \"{}\"",
                                           method.member, method.in, message.signature));
        Call call(message, caller);
        method.handler(call);
        return std::move(call).finish();
    }
    if (!interface_known)
        return error_reply("UnknownInterface",
                           fmt::format("The bus has no interface \"{}\"", message.interface));
    return error_reply("UnknownMethod",
                       fmt::format("The bus has no method \"{}\"", message.member));
}

} // namespace

Reply error_reply(std::string_view name, std::string_view text) {
    Reply reply;
    reply.error_name = fmt::format("{}{}", error_prefix, name);
    wire::Writer writer(reply.body, wire::dbus1_native);
    writer.append_text('s', text);
    if (!writer.finish())
        throw std::bad_alloc();
    reply.signature = "s";
    return reply;
}

Reply answer(const wire::Message& call, Caller& caller) {
    return dispatch(call, &caller);
}

Reply answer_undirected(const wire::Message& call) {
    if (call.interface == peer_interface)
        return dispatch(call, nullptr);
    return error_reply("UnknownMethod",
                       fmt::format("Nobody was addressed who has a method \"{}\"", call.member));
}

std::string introspection(std::string_view path) {
    std::string xml = "<!DOCTYPE node PUBLIC "
                      "\"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
                      "\"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n"
                      "<node>\n";
    std::string_view open;
    const auto close_interface = [&] {
        if (open == dbus_interface) {
            for (const auto& property : properties)
                fmt::format_to(std::back_inserter(xml),
                               "    <property name=\"{}\" type=\"as\" access=\"read\">\n"
                               "      <annotation name=\"org.freedesktop.DBus.Property."
                               "EmitsChangedSignal\" value=\"const\"/>\n"
                               "    </property>\n",
                               property.name);
            xml += signals;
        }
        if (!open.empty())
            xml += "  </interface>\n";
    };
    for (const auto& method : methods) {
        if (method.paths == Paths::own_else_unknown && path != wire::driver_path)
            continue;
        if (method.interface != open) {
            close_interface();
            open = method.interface;
            fmt::format_to(std::back_inserter(xml), "  <interface name=\"{}\">\n", open);
        }
        fmt::format_to(std::back_inserter(xml), "    <method name=\"{}\">\n", method.member);
        describe_arguments(xml, method.in, "in");
        describe_arguments(xml, method.out, "out");
        xml += "    </method>\n";
    }
    close_interface();
    if (path == "/")
        xml += "  <node name=\"org/freedesktop/DBus\"/>\n";
    xml += "</node>\n";
    return xml;
}

} // namespace kdbus::proxy::driver
