// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bus.hpp"

#include <kdbus/wire/names.hpp>

#include <fmt/format.h>
#include <linux/kdbus.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace kdbus::proxy {

namespace {

/// Ids that are not known stay unset.
kdbus_creds unknown_creds() {
    constexpr auto unknown = abi::unknown_id;
    return {unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown};
}

std::optional<std::uint32_t> known(std::uint64_t id) {
    if (id >= abi::unknown_id)
        return std::nullopt;
    return static_cast<std::uint32_t>(id);
}

} // namespace

abi::Result<Bus> Bus::make(std::string_view name, bool for_all) {
    abi::BusOptions options;
    options.name = name;
    const std::uint64_t access = for_all ? KDBUS_MAKE_ACCESS_WORLD : 0;
    // Portals and the like pass sockets.
    options.flags = access | KDBUS_MAKE_ALLOW_UNIX_FDS;
    options.attach_flags_send = _KDBUS_ATTACH_ANY;
    auto made = abi::Bus::make(options);
    if (!made && made.error().value() == EINVAL) {
        // A module that does not know of that.
        options.flags = access;
        made = abi::Bus::make(options);
    }
    if (!made)
        return std::unexpected(made.error());
    auto bus = join(made->node_path());
    if (bus)
        bus->made_ = std::move(*made);
    return bus;
}

abi::Result<Bus> Bus::join(const std::string& node_path) {
    // Speaking for oneself takes the same right as speaking for clients: know now.
    auto creds = unknown_creds();
    creds.uid = creds.euid = geteuid();
    creds.gid = creds.egid = getegid();
    abi::HelloOptions options;
    options.flags = 0;
    options.description = "bus-proxy";
    options.pool_size = 4 * 1024 * 1024;
    options.creds = creds;
    options.pids = kdbus_pids{static_cast<std::uint64_t>(getpid()), 0, 0};
    auto own = abi::Connection::open(node_path, options);
    if (!own)
        return std::unexpected(own.error());
    Bus bus;
    bus.node_path_ = node_path;
    for (const auto byte : own->bus_uuid())
        bus.id_ += fmt::format("{:02x}", byte);
    bus.own_ = std::move(*own);
    return bus;
}

abi::Result<abi::Connection> Bus::connect(const PeerIdentity& peer, bool accept_fds) const {
    // The socket tells the effective ids only. The real uid is given as well, because
    // that is the one which the kernel counts the connection and its messages against:
    // otherwise all clients would share one quota.
    auto creds = unknown_creds();
    creds.uid = creds.euid = peer.uid;
    creds.egid = peer.gid;
    abi::HelloOptions options;
    options.flags = accept_fds ? KDBUS_HELLO_ACCEPT_FD : 0;
    // Rules on well-known senders need to know the names.
    options.attach_flags_recv = KDBUS_ATTACH_NAMES;
    options.description = "bus-proxy-client";
    options.creds = creds;
    if (peer.pid)
        options.pids = kdbus_pids{*peer.pid, 0, 0};
    if (peer.label)
        options.seclabel = *peer.label;
    auto connection = abi::Connection::open(node_path_, options);
    if (!connection && connection.error().value() == EINVAL && options.pids) {
        // The process that connected is gone; another may still use the socket.
        options.pids.reset();
        connection = abi::Connection::open(node_path_, options);
    }
    return connection;
}

abi::Result<void> Bus::discard_mail() const noexcept {
    for (;;) {
        const auto received = own_->recv(KDBUS_RECV_DROP);
        if (!received)
            return std::unexpected(received.error());
        if (!received->discarded)
            return {};
    }
}

bool Bus::is_peer(const abi::InfoView& info) const noexcept {
    constexpr auto special =
        KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER | KDBUS_HELLO_MONITOR;
    return (info.flags & special) == 0 && info.id != own_->id();
}

abi::Result<std::uint64_t> Bus::owner(std::string_view name) const {
    const auto list = own_->info(name, 0);
    if (!list)
        return std::unexpected(list.error());
    const auto info = list->first();
    if (!info)
        return abi::fail(EBADMSG);
    if (!is_peer(*info))
        return abi::fail(ESRCH);
    return info->id;
}

abi::Result<bool> Bus::exists(std::uint64_t id) const {
    if (id == KDBUS_DST_ID_NAME || id == KDBUS_DST_ID_BROADCAST)
        return false;
    const auto list = own_->info(id, 0);
    if (!list && list.error().value() == ENXIO)
        return false;
    if (!list)
        return std::unexpected(list.error());
    const auto info = list->first();
    return info && is_peer(*info);
}

abi::Result<std::vector<std::string>> Bus::names() const {
    const auto list = own_->list(KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES);
    if (!list)
        return std::unexpected(list.error());
    std::vector<std::uint64_t> ids;
    std::vector<std::string> well_known;
    list->for_each([&](const abi::InfoView& info) {
        if (!is_peer(info))
            return;
        ids.push_back(info.id);
        info.metadata().for_each_owned_name([&](const abi::OwnedName& owned) {
            if (owned.name != wire::driver_name)
                well_known.emplace_back(owned.name);
        });
    });
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    std::sort(well_known.begin(), well_known.end());
    std::vector<std::string> names;
    names.reserve(ids.size() + well_known.size());
    for (const auto id : ids)
        names.emplace_back(wire::UniqueName(id).view());
    std::move(well_known.begin(), well_known.end(), std::back_inserter(names));
    return names;
}

abi::Result<std::vector<std::uint64_t>> Bus::queue(std::string_view name) const {
    const auto list = own_->list(KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED);
    if (!list)
        return std::unexpected(list.error());
    std::optional<std::uint64_t> owner;
    std::vector<std::uint64_t> waiting;
    list->for_each([&](const abi::InfoView& info) {
        if (!is_peer(info))
            return;
        info.metadata().for_each_owned_name([&](const abi::OwnedName& owned) {
            if (owned.name != name)
                return;
            if ((owned.flags & KDBUS_NAME_PRIMARY) != 0)
                owner = info.id;
            else if ((owned.flags & KDBUS_NAME_IN_QUEUE) != 0)
                waiting.push_back(info.id);
        });
    });
    // The kernel does not tell the order of those who wait (dbus-on-kdbus.md 5.1).
    std::sort(waiting.begin(), waiting.end());
    if (owner)
        waiting.insert(waiting.begin(), *owner);
    return waiting;
}

abi::Result<Identity> Bus::identity(std::uint64_t id) const {
    const auto list = own_->info(id, KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS |
                                         KDBUS_ATTACH_AUXGROUPS | KDBUS_ATTACH_SECLABEL);
    if (!list)
        return std::unexpected(list.error());
    const auto info = list->first();
    if (!info)
        return abi::fail(EBADMSG);
    const auto metadata = info->metadata();
    Identity identity;
    const auto creds = metadata.creds();
    if (creds)
        identity.uid = known(creds->euid);
    if (const auto pids = metadata.pids(); pids && pids->pid != 0)
        identity.pid = known(pids->pid);
    if (const auto groups = metadata.auxgroups(); groups && creds && known(creds->egid)) {
        std::vector<std::uint32_t> all{static_cast<std::uint32_t>(creds->egid)};
        for (const auto group : *groups)
            all.push_back(static_cast<std::uint32_t>(group));
        std::sort(all.begin(), all.end());
        all.erase(std::unique(all.begin(), all.end()), all.end());
        identity.groups = std::move(all);
    }
    if (const auto label = metadata.seclabel(); label && !label->empty())
        identity.label = *label;
    return identity;
}

} // namespace kdbus::proxy
