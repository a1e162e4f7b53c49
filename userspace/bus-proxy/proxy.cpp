// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proxy.hpp"

#include "log.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <utility>

namespace kdbus::proxy {

Proxy::Proxy(Loop& loop, Bus bus, Limits limits, bool everybody)
    : loop_(loop), bus_(std::move(bus)), limits_(limits), everybody_(everybody) {
    loop_.after_each_round([this] { bury(); });
    bus_io_ = std::make_unique<Io>(loop_, bus_.fd(), EPOLLIN, [this](std::uint32_t events) {
        if ((events & (EPOLLHUP | EPOLLERR)) == 0 && bus_.discard_mail())
            return;
        log::error("the bus {} is gone", bus_.node_path());
        bus_io_->pause();
        loop_.quit(EXIT_FAILURE);
    });
}

Proxy::~Proxy() = default;

void Proxy::accept(abi::UniqueFd socket) noexcept {
    try {
        auto peer = peer_identity(socket.get());
        if (!peer) {
            log::debug("a peer without identity: {}", peer.error().message());
            return;
        }
        const auto uid = peer->uid;
        if (!may_connect(uid)) {
            log::debug("user {} may not connect (again)", uid);
            return;
        }
        auto client = std::make_unique<Client>(*this, std::move(socket), std::move(*peer));
        auto& usage = usage_[uid];
        retired_.reserve(clients_.size() + 1);
        auto* const address = client.get();
        clients_.emplace(address, std::move(client));
        ++usage.incomplete;
        ++usage.all;
    } catch (const std::exception& error) {
        log::warning("cannot take a connection: {}", error.what());
    }
}

/// The place for a policy on connecting. Until there is one: what the reference daemon does without
/// configuration, the bus's own user, plus root, who could become that user anyway.
bool Proxy::may_connect(std::uint32_t uid) {
    if (!everybody_ && uid != geteuid() && uid != 0)
        return false;
    const auto found = usage_.find(uid);
    return found == usage_.end() || (found->second.incomplete < limits_.max_incomplete_per_user &&
                                     found->second.all < limits_.max_connections_per_user);
}

Client* Proxy::find(std::uint64_t id) noexcept {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
}

void Proxy::completed(Client& client) {
    by_id_.emplace(client.id(), &client);
    --usage_[client.peer().uid].incomplete;
}

void Proxy::relieve() noexcept {
    if (unread_messages_ < max_unread_messages && unread_bytes_ < max_unread_bytes)
        return;
    unread_messages_ = unread_bytes_ = 0;
    try {
        poll_fds_.clear();
        poll_clients_.clear();
        for (const auto& [id, client] : by_id_) {
            poll_fds_.push_back({client->bus_fd(), POLLIN, 0});
            poll_clients_.push_back(client);
        }
    } catch (const std::exception&) {
        return; // they get their turn, only later
    }
    if (poll(poll_fds_.data(), poll_fds_.size(), 0) <= 0)
        return;
    for (std::size_t i = 0; i < poll_fds_.size(); ++i)
        if ((poll_fds_[i].revents & POLLIN) != 0)
            poll_clients_[i]->take_mail();
}

void Proxy::retire(Client& client) noexcept {
    if (client.complete())
        by_id_.erase(client.id());
    retired_.push_back(&client); // there is room: accept() saw to that
}

void Proxy::bury() noexcept {
    for (auto* const client : retired_) {
        const auto usage = usage_.find(client->peer().uid);
        if (!client->complete())
            --usage->second.incomplete;
        if (--usage->second.all == 0)
            usage_.erase(usage);
        clients_.erase(client);
    }
    retired_.clear();
}

} // namespace kdbus::proxy
