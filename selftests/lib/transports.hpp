// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_LIB_TRANSPORTS_HPP
#define KDBUS_SELFTESTS_LIB_TRANSPORTS_HPP

#include "test-buses.hpp"

#include <kdbus/bus.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

/// What the suites use that run on each transport: the kernel's bus in a guest, the others here.
#ifdef KDBUS_TEST_KERNEL
#define ALL_BUSES KernelBus
#define BUSES_WITH_NAMES KernelBus
#else
#define ALL_BUSES DaemonBus, BrokerBus, PeerPair
#define BUSES_WITH_NAMES DaemonBus, BrokerBus
#endif

inline constexpr const char* path = "/org/example/Test";
inline constexpr const char* interface_name = "org.example.Test";
inline constexpr const char* service_name = "org.example.Service";
/// What large messages take on a slow machine.
inline constexpr auto patience = std::chrono::minutes(10);
inline constexpr const char* properties = "org.freedesktop.DBus.Properties";

inline kdbus::Method method(std::string_view member, std::string_view interface = interface_name) {
    return {service_name, path, interface, member, patience};
}

/// Processes until something is so, or for half a minute.
template <class Condition>
bool process_until(kdbus::Connection& connection, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition() && std::chrono::steady_clock::now() < end)
        connection.wait(std::chrono::milliseconds(100)).value();
    return condition();
}

/// Whether nothing that the caller notices happens for a while.
template <class Condition>
bool stays(kdbus::Connection& connection, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    while (condition() && std::chrono::steady_clock::now() < end)
        connection.wait(std::chrono::milliseconds(10)).value();
    return condition();
}

/// A service in a thread of its own, until it is destroyed.
class Service {
public:
    using Define = std::function<void(kdbus::Connection&, kdbus::Interface&)>;

    template <class Bus>
    Service(Bus& bus, const Define& define) : connection_(bus.connect()) {
        kdbus::Interface interface(interface_name);
        define(connection_, interface);
        object_ = connection_.add_object(path, std::move(interface)).value();
        if constexpr (Bus::is_bus)
            connection_.request_name(service_name).value();
        thread_ = std::thread([this] {
            while (!stop_)
                if (!connection_.wait(std::chrono::milliseconds(20)))
                    break;
        });
    }
    ~Service() {
        stop_ = true;
        thread_.join();
    }

private:
    kdbus::Connection connection_;
    kdbus::Slot object_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

/// A service and its client in one thread.
template <class Bus>
struct Pair {
    Bus bus;
    std::optional<kdbus::Connection> service = bus.connect();
    std::optional<kdbus::Connection> client = bus.connect();
    kdbus::Slot object;

    template <class Define>
    explicit Pair(Define define) {
        kdbus::Interface interface(interface_name);
        define(interface);
        object = service->add_object(path, std::move(interface)).value();
        if constexpr (Bus::is_bus)
            service->request_name(service_name).value();
    }
    /// Processes both until something is so, or for half a minute.
    template <class Condition>
    bool until(Condition condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!condition() && std::chrono::steady_clock::now() < end) {
            if (service)
                service->wait(std::chrono::milliseconds(1)).value();
            if (client)
                (void)client->wait(std::chrono::milliseconds(1));
        }
        return condition();
    }
};

/// Says when it is destroyed.
struct Guard {
    bool* gone;
    ~Guard() { *gone = true; }
};

inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// A result as text: what came, or the error's name.
inline std::string outcome(const kdbus::Result<kdbus::Message>& reply) {
    if (!reply)
        return reply.error().name;
    return reply->signature() == "s" ? reply->get<std::string>().value()
                                     : "(" + std::string(reply->signature()) + ")";
}

#endif
