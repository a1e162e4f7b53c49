// SPDX-License-Identifier: LGPL-2.1-or-later
#include "objects.hpp"

#include "introspection.hpp"
#include "message_data.hpp"

#include <kdbus/wire/names.hpp>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace kdbus::detail {
namespace {

constexpr std::string_view peer_interface = "org.freedesktop.DBus.Peer";
constexpr std::string_view introspectable_interface = "org.freedesktop.DBus.Introspectable";
constexpr std::string_view properties_interface = "org.freedesktop.DBus.Properties";

bool is_standard(std::string_view interface) noexcept {
    return interface == peer_interface || interface == introspectable_interface ||
           interface == properties_interface;
}

/// The standard interface with a member of that name, for calls that name no interface.
std::string_view standard_interface_of(std::string_view member) noexcept {
    if (member == "Ping" || member == "GetMachineId")
        return peer_interface;
    if (member == "Introspect")
        return introspectable_interface;
    if (member == "Get" || member == "GetAll" || member == "Set")
        return properties_interface;
    return {};
}

Error unknown_method(const wire::Message& call) {
    return {error_names::unknown_method, "No method " + std::string(call.member) +
                                             " in interface " + std::string(call.interface) +
                                             " of " + std::string(call.path)};
}

Error unknown_interface(std::string_view interface, std::string_view path) {
    return {error_names::unknown_interface,
            "No interface " + std::string(interface) + " at " + std::string(path)};
}

Error unknown_object(std::string_view path) {
    return {error_names::unknown_object, "No object at " + std::string(path)};
}

Error in_use(std::string_view path, std::string_view interface) {
    return {error_names::object_path_in_use,
            std::string(path) + " has the interface " + std::string(interface)};
}

Error unknown_property(std::string_view property) {
    return {error_names::unknown_property, "No property " + std::string(property)};
}

/// Whether @p path lies below @p parent.
bool is_below(std::string_view path, std::string_view parent) noexcept {
    if (parent == "/")
        return path.size() > 1;
    return path.size() > parent.size() && path.starts_with(parent) && path[parent.size()] == '/';
}

Result<void> check_names(std::string_view path, const Interface& interface) {
    const auto bad = [](std::string_view what, std::string_view name) {
        return Error{error_names::invalid_args,
                     "Not " + std::string(what) + ": " + std::string(name)};
    };
    if (!wire::is_object_path(path))
        return bad("an object path", path);
    if (!wire::is_interface(interface.name()))
        return bad("an interface name", interface.name());
    if (is_standard(interface.name()))
        return bad("an interface to be exported", interface.name());
    for (const auto& [name, method] : interface.methods()) {
        if (!wire::is_member(name))
            return bad("a method name", name);
        if (!wire::is_signature(method.in_signature) || !wire::is_signature(method.out_signature))
            return bad("a signature", method.in_signature + ", " + method.out_signature);
    }
    for (const auto& [name, property] : interface.properties()) {
        // The specification would rather see member names, and does not ask for them.
        if (name.empty() || !wire::is_text(name))
            return bad("a property name", name);
        if (!wire::is_single_type(property.signature))
            return bad("one complete type", property.signature);
    }
    for (const auto& [name, signal] : interface.signals()) {
        if (!wire::is_member(name))
            return bad("a signal name", name);
        if (!wire::is_signature(signal.signature))
            return bad("a signature", signal.signature);
    }
    return {};
}

Result<std::string> machine_id() {
    for (const char* path : {"/etc/machine-id", "/var/lib/dbus/machine-id"}) {
        std::ifstream file(path);
        std::string id;
        if (file >> id && id.size() == 32 &&
            id.find_first_not_of("0123456789abcdef") == std::string::npos)
            return id;
    }
    return Error{"org.freedesktop.DBus.Error.FileNotFound", "This machine has no id"};
}

Error wrong_arguments(const wire::Message& call, std::string_view wanted) {
    return {error_names::invalid_args, std::string(call.member) + " takes (" + std::string(wanted) +
                                           "), not (" + std::string(call.signature) + ")"};
}

/// Those that can be read, now; one that cannot shall not hide the others.
PropertyMap read_properties(Interface& interface) {
    PropertyMap values;
    for (const auto& [name, property] : interface.properties()) {
        if (!property.getter)
            continue;
        auto* writable = interface.find_property(name);
        auto value = guarded([&] { return writable->getter(); });
        if (value)
            values.emplace(name, *std::move(value));
    }
    return values;
}

/// What an object manager says of an interface: signals to all cannot carry descriptors.
PropertyMap listed_properties(Interface& interface) {
    PropertyMap values = read_properties(interface);
    std::erase_if(values, [](const auto& property) {
        return property.second.type().find('h') != std::string_view::npos;
    });
    return values;
}

/// Whether a call has the arguments of a method. (What is valid and the beginning of something
/// valid ends where a type does.)
bool fits(std::string_view signature, const Interface::Method& method) noexcept {
    return signature.size() >= method.in_required &&
           std::string_view(method.in_signature).starts_with(signature);
}

} // namespace

Result<void> Objects::add(std::uint64_t id, std::string_view path,
                          std::vector<Interface> interfaces) {
    if (interfaces.empty())
        return Error{error_names::invalid_args, "No interface for " + std::string(path)};
    Interfaces entries;
    for (Interface& interface : interfaces) {
        if (auto checked = check_names(path, interface); !checked)
            return checked;
        const std::string name = interface.name();
        if (entries.contains(name))
            return in_use(path, name);
        entries.emplace(name, Entry{id, std::make_shared<Interface>(std::move(interface))});
    }
    return insert(path, entries);
}

Result<void> Objects::add_manager(std::uint64_t id, std::string_view path) {
    Interface manager(object_manager_interface);
    manager
        .method("GetManagedObjects", [this, own = std::string(path)] { return below(own); },
                {.out = {"objpath_interfaces_and_properties"}})
        .signal<ObjectPath, InterfaceMap>("InterfacesAdded",
                                          {"object_path", "interfaces_and_properties"})
        .signal<ObjectPath, std::vector<std::string>>("InterfacesRemoved",
                                                      {"object_path", "interfaces"});
    if (auto checked = check_names(path, manager); !checked)
        return checked;
    Interfaces entries;
    entries.emplace(object_manager_interface,
                    Entry{id, std::make_shared<Interface>(std::move(manager)), true});
    return insert(path, entries);
}

Result<void> Objects::insert(std::string_view path, Interfaces& entries) {
    if (const Interfaces* present = interfaces_at(path))
        for (const auto& [name, entry] : entries)
            if (present->contains(name))
                return in_use(path, name);
    objects_[std::string(path)].merge(entries);
    return {};
}

void Objects::remove(std::uint64_t id, const Removed& removed) noexcept {
    // Handlers may own slots, whose end leads back here: let them go when all is in order.
    Interfaces gone;
    for (auto object = objects_.begin(); object != objects_.end(); ++object) {
        Interfaces& interfaces = object->second;
        for (auto next = interfaces.begin(); next != interfaces.end();) {
            const auto entry = next++;
            if (entry->second.id == id)
                gone.insert(interfaces.extract(entry));
        }
        if (gone.empty())
            continue;
        if (const std::string_view manager = manager_of(object->first); !manager.empty())
            removed(manager, object->first, gone);
        if (interfaces.empty())
            objects_.erase(object);
        return;
    }
}

std::string_view Objects::manager_of(std::string_view path) const noexcept {
    while (path.size() > 1) {
        const auto slash = path.rfind('/');
        path = slash == 0 ? std::string_view("/") : path.substr(0, slash);
        if (const Interfaces* interfaces = interfaces_at(path))
            if (const auto found = interfaces->find(object_manager_interface);
                found != interfaces->end() && found->second.manager)
                return path;
    }
    return {};
}

InterfaceMap Objects::added(std::uint64_t id, std::string_view path) const {
    // Getters may add and remove objects: look first, ask then.
    std::vector<std::shared_ptr<Interface>> chosen;
    if (const Interfaces* interfaces = interfaces_at(path))
        for (const auto& [name, entry] : *interfaces)
            if (entry.id == id)
                chosen.push_back(entry.interface);
    InterfaceMap result;
    for (const auto& interface : chosen)
        result.emplace(interface->name(), listed_properties(*interface));
    return result;
}

ManagedObjects Objects::below(std::string_view manager) const {
    std::vector<std::pair<std::string, std::shared_ptr<Interface>>> chosen; // likewise
    for (const auto& [path, interfaces] : objects_)
        if (is_below(path, manager))
            for (const auto& [name, entry] : interfaces)
                chosen.emplace_back(path, entry.interface);
    ManagedObjects result;
    for (auto& [path, interface] : chosen)
        result[ObjectPath(std::move(path))].emplace(interface->name(),
                                                    listed_properties(*interface));
    return result;
}

const Objects::Interfaces* Objects::interfaces_at(std::string_view path) const noexcept {
    const auto object = objects_.find(path);
    return object == objects_.end() ? nullptr : &object->second;
}

bool Objects::has_children(std::string_view path) const noexcept {
    return std::any_of(objects_.begin(), objects_.end(),
                       [&](const auto& object) { return is_below(object.first, path); });
}

Result<std::shared_ptr<Interface>> Objects::find(std::string_view path,
                                                 std::string_view interface) const {
    const Interfaces* interfaces = interfaces_at(path);
    if (interfaces == nullptr)
        return unknown_object(path);
    const auto entry = interfaces->find(interface);
    if (entry == interfaces->end())
        return unknown_interface(interface, path);
    return entry->second.interface;
}

Result<void> Objects::invoke(Invocation& invocation) {
    const wire::Message& call = invocation.call().wire();
    const std::string_view standard =
        call.interface.empty() ? standard_interface_of(call.member) : call.interface;
    const Interfaces* interfaces = interfaces_at(call.path);
    if (interfaces != nullptr && !is_standard(call.interface)) {
        bool found = false;
        auto done = invoke_own(invocation, call.path, *interfaces, found);
        // Without an interface the object's own methods come first, the standard ones second.
        if (found || !call.interface.empty() || standard.empty())
            return done;
    }
    if (standard == peer_interface)
        return peer(invocation);
    if (interfaces == nullptr && !has_children(call.path))
        return unknown_object(call.path);
    if (standard == introspectable_interface)
        return introspect(invocation);
    if (interfaces == nullptr)
        return unknown_object(call.path);
    if (standard == properties_interface)
        return properties(invocation, *interfaces);
    return unknown_method(call);
}

Result<void> Objects::invoke_own(Invocation& invocation, std::string_view path,
                                 const Interfaces& interfaces, bool& found) {
    const wire::Message& call = invocation.call().wire();
    for (const auto& [name, entry] : interfaces) {
        if (!call.interface.empty() && call.interface != name)
            continue;
        // The handler may take its own object off the bus.
        const std::shared_ptr<Interface> interface = entry.interface;
        Interface::Method* method = interface->find_method(call.member);
        if (method == nullptr) {
            if (call.interface.empty())
                continue;
            return unknown_method(call);
        }
        found = true;
        if (!fits(call.signature, *method))
            return wrong_arguments(call,
                                   describe_arguments(method->in_signature, method->in_required));
        invocation.set_object(entry.id);
        return guarded([&]() -> Result<void> { return method->handler(invocation); });
    }
    if (call.interface.empty())
        return unknown_method(call);
    return unknown_interface(call.interface, path);
}

Result<void> Objects::peer(Invocation& invocation) {
    const wire::Message& call = invocation.call().wire();
    const bool ping = call.member == "Ping";
    if (!ping && call.member != "GetMachineId")
        return unknown_method(call);
    if (!call.signature.empty())
        return wrong_arguments(call, "");
    if (ping)
        return {};
    auto id = machine_id();
    if (!id)
        return std::move(id).error();
    invocation.reply().append(*id);
    return {};
}

Result<void> Objects::introspect(Invocation& invocation) {
    const wire::Message& call = invocation.call().wire();
    if (call.member != "Introspect")
        return unknown_method(call);
    if (!call.signature.empty())
        return wrong_arguments(call, "");
    std::vector<const Interface*> exported;
    if (const Interfaces* interfaces = interfaces_at(call.path))
        for (const auto& [name, entry] : *interfaces)
            exported.push_back(entry.interface.get());
    std::set<std::string_view> children;
    for (const auto& [path, interfaces] : objects_) {
        if (!is_below(path, call.path))
            continue;
        const std::string_view rest =
            std::string_view(path).substr(call.path == "/" ? 1 : call.path.size() + 1);
        children.insert(rest.substr(0, rest.find('/')));
    }
    invocation.reply().append(introspection_xml(exported, children));
    return {};
}

Result<void> Objects::properties(Invocation& invocation, const Interfaces& interfaces) {
    const std::string_view member = invocation.call().member();
    if (member == "Get")
        return get_property(invocation, interfaces);
    if (member == "GetAll")
        return get_all_properties(invocation, interfaces);
    if (member == "Set")
        return set_property(invocation, interfaces);
    return unknown_method(invocation.call().wire());
}

namespace {

struct FoundProperty {
    std::shared_ptr<Interface> interface;
    Interface::Property* property;
};

/// A property by interface (empty: whichever has it) and name.
template <class Interfaces>
Result<FoundProperty> find_property(const Interfaces& interfaces, std::string_view interface,
                                    std::string_view property, std::string_view path) {
    bool interface_found = interface.empty();
    for (const auto& [name, entry] : interfaces) {
        if (!interface.empty() && interface != name)
            continue;
        interface_found = true;
        if (auto* found = entry.interface->find_property(property))
            return FoundProperty{entry.interface, found};
    }
    if (!interface_found && !is_standard(interface))
        return unknown_interface(interface, path);
    return unknown_property(property);
}

} // namespace

Result<void> Objects::get_property(Invocation& invocation, const Interfaces& interfaces) {
    const Message& call = invocation.call();
    const auto names = call.get<std::string_view, std::string_view>();
    if (!names)
        return names.error();
    const auto [interface, name] = *names;
    auto found = find_property(interfaces, interface, name, call.path());
    if (!found)
        return std::move(found).error();
    if (!found->property->getter)
        return Error{error_names::invalid_args,
                     "The property " + std::string(name) + " cannot be read"};
    const auto value = guarded([&] { return found->property->getter(); });
    if (!value)
        return value.error();
    invocation.reply().append(*value);
    return {};
}

Result<void> Objects::get_all_properties(Invocation& invocation, const Interfaces& interfaces) {
    const Message& call = invocation.call();
    const auto wanted = call.get<std::string_view>();
    if (!wanted)
        return wanted.error();
    if (!wanted->empty() && !is_standard(*wanted) && !interfaces.contains(*wanted))
        return unknown_interface(*wanted, call.path());
    std::vector<std::shared_ptr<Interface>> chosen;
    for (const auto& [name, entry] : interfaces)
        if (wanted->empty() || *wanted == name)
            chosen.push_back(entry.interface);
    wire::Writer& reply = invocation.reply();
    reply.open_array("{sv}");
    for (const auto& interface : chosen)
        for (const auto& [name, value] : read_properties(*interface))
            reply.open_dict_entry("sv").append(name).append(value).close();
    reply.close();
    return {};
}

Result<void> Objects::set_property(Invocation& invocation, const Interfaces& interfaces) {
    const Message& call = invocation.call();
    const auto arguments = call.get<std::string_view, std::string_view, Variant>();
    if (!arguments)
        return arguments.error();
    const auto& [interface, name, value] = *arguments;
    auto found = find_property(interfaces, interface, name, call.path());
    if (!found)
        return std::move(found).error();
    if (!found->property->setter)
        return Error{error_names::property_read_only,
                     "The property " + std::string(name) + " cannot be set"};
    if (value.type() != found->property->signature)
        return Error{error_names::invalid_args, "The property " + std::string(name) +
                                                    " has the type " + found->property->signature +
                                                    ", not " + std::string(value.type())};
    const Variant& set = value; // lambdas of clang before 16 take no structured bindings
    auto done = guarded([&]() -> Result<void> { return found->property->setter(set); });
    if (!done)
        return done;
    announce_(call.path(), found->interface->name(), name);
    return {};
}

} // namespace kdbus::detail
