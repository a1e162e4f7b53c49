// SPDX-License-Identifier: LGPL-2.1-or-later
// Objects that come and go. "object-manager serve" has some, "object-manager" shows them.
#include <iostream>
#include <kdbus/object_manager.hpp>
#include <map>
#include <string>
#include <string_view>

namespace {

constexpr const char* name = "org.example.Depot";
constexpr const char* path = "/org/example/Depot";

/// Adds an item for each call of Add, which Remove takes away again.
void serve(kdbus::Connection& bus) {
    std::map<std::string, kdbus::Slot> items;
    kdbus::Interface depot("org.example.Depot");
    depot.method("Add", [&](const std::string& label, std::uint32_t weight) -> kdbus::Result<void> {
        kdbus::Interface item("org.example.Depot.Item");
        item.property("Weight", [weight] { return weight; }, {.emits = kdbus::Emits::constant});
        auto slot = bus.add_object(std::string(path) + "/" + label, std::move(item));
        if (!slot)
            return slot.error();
        items[label] = *std::move(slot);
        return {};
    });
    depot.method("Remove", [&](const std::string& label) { items.erase(label); });
    auto object = bus.add_object(path, std::move(depot)).value();
    auto manager = bus.add_object_manager(path).value();
    bus.request_name(name).value();
    bus.run().value();
}

void show(const kdbus::ObjectPath& object, const kdbus::InterfaceMap& interfaces) {
    for (const auto& [interface, properties] : interfaces) {
        std::cout << object.value << " has " << interface;
        if (const auto weight = properties.find("Weight"); weight != properties.end())
            std::cout << ", weight " << weight->second.get<std::uint32_t>().value();
        std::cout << std::endl;
    }
}

void watch(kdbus::Connection& bus) {
    kdbus::ObjectManagerProxy depot(bus, name, path);
    // First, so that none is missed that comes while we ask.
    auto added = depot.on_added(show).value();
    auto removed =
        depot
            .on_removed(
                [](const kdbus::ObjectPath& object, const std::vector<std::string>& interfaces) {
                    for (const std::string& interface : interfaces)
                        std::cout << object.value << " has no more " << interface << std::endl;
                })
            .value();
    for (const auto& [object, interfaces] : depot.get().value())
        show(object, interfaces);
    bus.run().value();
}

} // namespace

int main(int argc, char** argv) try {
    auto bus = kdbus::Connection::session().value();
    if (argc > 1 && argv[1] == std::string_view("serve"))
        serve(bus);
    else
        watch(bus);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
