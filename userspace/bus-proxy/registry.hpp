// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_REGISTRY_HPP
#define KDBUS_PROXY_REGISTRY_HPP

#include <kdbus/abi/connection.hpp>
#include <kdbus/abi/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kdbus::proxy {

/// What is known about who is behind a connection. Absent: unknown.
struct Identity {
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> pid;
    /// Primary and supplementary groups, ascending.
    std::optional<std::vector<std::uint32_t>> groups;
    /// Of the security module, without NUL.
    std::optional<std::string> label;
    /// Refers to the process; not owned. -1: none.
    int pidfd = -1;
};

/// Names and connections of a bus, as one client acts on and sees them: what
/// the driver needs to answer its methods. Ids are kernel connection ids.
class Registry {
public:
    virtual ~Registry() = default;

    /// As abi::Connection::acquire_name() and release_name(), for the client.
    virtual abi::Result<abi::NameOutcome> acquire_name(std::string_view name,
                                                       std::uint64_t flags) = 0;
    virtual abi::Result<void> release_name(std::string_view name) = 0;

    /// The connection that owns a well-known name, not one that could be activated. Errors: ESRCH
    /// none.
    virtual abi::Result<std::uint64_t> owner(std::string_view name) = 0;
    /// Whether there is such a peer.
    virtual abi::Result<bool> exists(std::uint64_t id) = 0;
    /// Unique and well-known names of all peers, each once.
    virtual abi::Result<std::vector<std::string>> names() = 0;
    /// Owner of a well-known name, then those who wait for it; empty if nobody.
    virtual abi::Result<std::vector<std::uint64_t>> queue(std::string_view name) = 0;
    /// Who is behind a connection. Errors: ENXIO no such connection.
    virtual abi::Result<Identity> identity(std::uint64_t id) = 0;
    /// Who the bus itself is.
    virtual Identity bus_identity() = 0;
};

} // namespace kdbus::proxy

#endif
