// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_LIB_TEST_BUSES_HPP
#define KDBUS_SELFTESTS_LIB_TEST_BUSES_HPP

#include <kdbus/abi/bus.hpp>
#include <kdbus/bus.hpp>

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

/// What a program may find at the other end: each of these can `connect()`, several times if it
/// `is_bus`, else twice, and what is connected can talk to each other.

/// A program that ends with its owner.
class Child {
public:
    /// @p kept: a descriptor that the program gets, too, under the same number.
    Child(const std::vector<std::string>& command, int kept);
    Child(const Child&) = delete;
    ~Child();

private:
    pid_t pid_;
};

/// A folder that goes away with everything in it.
class TemporaryFolder {
public:
    TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    ~TemporaryFolder();
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

/// dbus-daemon with a configuration that allows everything.
class DaemonBus {
public:
    static constexpr bool is_bus = true;
    DaemonBus();
    [[nodiscard]] std::string address() const { return "unix:path=" + folder_.path() + "/bus"; }
    kdbus::Connection connect(const kdbus::ConnectionOptions& options = {});

private:
    TemporaryFolder folder_;
    std::optional<Child> daemon_;
};

/// dbus-broker without its launcher, which wants systemd: this class is its controller. They talk
/// from peer to peer.
class BrokerBus {
public:
    static constexpr bool is_bus = true;
    BrokerBus();
    [[nodiscard]] std::string address() const { return "unix:path=" + folder_.path() + "/bus"; }
    kdbus::Connection connect(const kdbus::ConnectionOptions& options = {});

private:
    TemporaryFolder folder_;
    std::optional<Child> broker_;
    std::optional<kdbus::Connection> controller_;
};

/// A socket pair, each end of which is one of two peers.
class PeerPair {
public:
    static constexpr bool is_bus = false;
    PeerPair();
    kdbus::Connection connect(const kdbus::ConnectionOptions& options = {});

private:
    kdbus::abi::UniqueFd server_;
    kdbus::abi::UniqueFd client_;
};

/// The kernel's own.
class KernelBus {
public:
    static constexpr bool is_bus = true;
    KernelBus();
    [[nodiscard]] std::string address() const { return "kernel:path=" + bus_.node_path(); }
    kdbus::Connection connect(const kdbus::ConnectionOptions& options = {});

private:
    kdbus::abi::Bus bus_;
};

#endif
