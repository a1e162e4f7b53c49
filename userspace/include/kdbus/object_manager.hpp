// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_OBJECT_MANAGER_HPP
#define KDBUS_OBJECT_MANAGER_HPP

#include <kdbus/bus.hpp>
#include <kdbus/proxy.hpp>

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kdbus {

/// Properties by name, interfaces by name, objects by path: what an object manager lists.
///@{
using PropertyMap = std::map<std::string, Variant>;
using InterfaceMap = std::map<std::string, PropertyMap>;
using ManagedObjects = std::map<ObjectPath, InterfaceMap>;
///@}

/// The object manager of a service (D-Bus specification, "org.freedesktop.DBus.ObjectManager");
/// Connection::add_object_manager() is the other side.
///
///     kdbus::ObjectManagerProxy manager(bus, "org.example.Depot", "/org/example/Depot");
///     auto added = manager.on_added([&](const kdbus::ObjectPath& path,
///                                       const kdbus::InterfaceMap& interfaces) { ... });
///     auto removed = manager.on_removed([&](const kdbus::ObjectPath& path,
///                                           const std::vector<std::string>& interfaces) { ... });
///     auto objects = manager.get();
///
/// Who subscribes first and gets the objects then misses none; some may come twice, as both listed
/// and added. Refers to its connection, which must outlive it and stay where it is; belongs to its
/// thread.
class ObjectManagerProxy {
public:
    /// @p manager: path of the object.
    ObjectManagerProxy(Connection& connection, std::string destination, std::string manager,
                       std::chrono::nanoseconds timeout = std::chrono::seconds(25))
        : connection_(&connection), destination_(std::move(destination)), path_(std::move(manager)),
          timeout_(timeout) {}

    /// All objects below the manager. Fails as Connection::call().
    [[nodiscard]] Result<ManagedObjects> get() {
        return detail::outputs<ManagedObjects>(connection_->call(method()));
    }

    /// Same; @p callback takes a Result<ManagedObjects>.
    template <class Callback>
    [[nodiscard]] Result<Slot> get_async(Callback callback) {
        return connection_->call_async(
            method(), [callback = std::move(callback)](const Result<Message>& reply) mutable {
                callback(detail::outputs<ManagedObjects>(reply));
            });
    }

    /// @p handler takes what was added: an ObjectPath and an InterfaceMap (after a `const Message&`
    /// if wanted), from managers below this one, too. Fails as Connection::subscribe().
    template <class Handler>
    [[nodiscard]] Result<Slot> on_added(Handler handler) {
        static_assert(detail::ParametersOf<Handler>::signature ==
                          detail::types_of<ObjectPath, InterfaceMap>,
                      "the handler takes an ObjectPath and an InterfaceMap");
        return connection_->subscribe(match("InterfacesAdded"), std::move(handler));
    }

    /// @p handler takes what was removed: an ObjectPath and a std::vector<std::string> of the
    /// interfaces that it has no more; likewise.
    template <class Handler>
    [[nodiscard]] Result<Slot> on_removed(Handler handler) {
        static_assert(detail::ParametersOf<Handler>::signature ==
                          detail::types_of<ObjectPath, std::vector<std::string>>,
                      "the handler takes an ObjectPath and a std::vector<std::string>");
        return connection_->subscribe(match("InterfacesRemoved"), std::move(handler));
    }

private:
    static constexpr const char* interface_name = "org.freedesktop.DBus.ObjectManager";

    [[nodiscard]] Method method() const {
        return {.destination = destination_,
                .path = path_,
                .interface = interface_name,
                .member = "GetManagedObjects",
                .timeout = timeout_};
    }

    [[nodiscard]] Match match(std::string member) const {
        Match match = Match::signal();
        match.path_namespace(path_).interface(interface_name).member(std::move(member));
        if (!destination_.empty())
            match.sender(destination_);
        return match;
    }

    Connection* connection_;
    std::string destination_;
    std::string path_;
    std::chrono::nanoseconds timeout_;
};

} // namespace kdbus

#endif
