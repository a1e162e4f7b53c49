// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_OBJECTS_HPP
#define KDBUS_LIB_BUS_OBJECTS_HPP

#include <kdbus/interface.hpp>
#include <kdbus/object_manager.hpp>
#include <kdbus/result.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kdbus::detail {

inline constexpr const char* object_manager_interface = "org.freedesktop.DBus.ObjectManager";

/// The objects a connection exports, and the interfaces every object has: Introspectable, Peer,
/// Properties. Knows nothing of transports: it fills in replies.
class Objects {
public:
    /// What is called after a property was set over the bus and is to be announced.
    using Announce = std::function<void(std::string_view path, std::string_view interface,
                                        std::string_view property)>;

    explicit Objects(Announce announce) : announce_(std::move(announce)) {}

    struct Entry {
        std::uint64_t id;
        std::shared_ptr<Interface> interface;
        bool manager = false; ///< an ObjectManager of ours
    };
    using Interfaces = std::map<std::string, Entry, std::less<>>;
    using Removed = std::function<void(std::string_view manager, std::string_view path,
                                       const Interfaces& interfaces)>;

    /// Adds interfaces of one object under an id, all or none. Errors: InvalidArgs,
    /// ObjectPathInUse.
    Result<void> add(std::uint64_t id, std::string_view path, std::vector<Interface> interfaces);
    /// Adds an object manager. Same errors.
    Result<void> add_manager(std::uint64_t id, std::string_view path);
    /// Removes what is there under an id, and calls @p removed, which does not throw, with the path
    /// of the manager in charge if there is one.
    void remove(std::uint64_t id, const Removed& removed) noexcept;

    /// Path of the manager that is to announce what happens to an object: the nearest one above it.
    /// Empty if there is none. Points into @p path or lives for ever.
    [[nodiscard]] std::string_view manager_of(std::string_view path) const noexcept;
    /// The interfaces of an object that were added under an id, with their properties.
    [[nodiscard]] InterfaceMap added(std::uint64_t id, std::string_view path) const;

    /// Answers a call: calls the method, or fails with what to answer. What a method throws is an
    /// error like any other.
    Result<void> invoke(Invocation& invocation);

    /// An exported interface. Errors: UnknownObject, UnknownInterface.
    Result<std::shared_ptr<Interface>> find(std::string_view path,
                                            std::string_view interface) const;

private:
    [[nodiscard]] const Interfaces* interfaces_at(std::string_view path) const noexcept;
    [[nodiscard]] bool has_children(std::string_view path) const noexcept;
    Result<void> insert(std::string_view path, Interfaces& entries);
    /// What an object manager lists.
    [[nodiscard]] ManagedObjects below(std::string_view manager) const;
    Result<void> invoke_own(Invocation& invocation, std::string_view path,
                            const Interfaces& interfaces, bool& found);
    Result<void> peer(Invocation& invocation);
    Result<void> introspect(Invocation& invocation);
    Result<void> properties(Invocation& invocation, const Interfaces& interfaces);
    Result<void> get_property(Invocation& invocation, const Interfaces& interfaces);
    Result<void> get_all_properties(Invocation& invocation, const Interfaces& interfaces);
    Result<void> set_property(Invocation& invocation, const Interfaces& interfaces);

    std::map<std::string, Interfaces, std::less<>> objects_;
    Announce announce_;
};

/// Calls something of the application's and turns what it throws into an Error.
template <class F>
auto guarded(F&& call) -> decltype(call()) {
    try {
        return call();
    } catch (...) {
        return Error::from_current_exception();
    }
}

} // namespace kdbus::detail

#endif
