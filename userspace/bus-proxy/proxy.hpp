// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_PROXY_HPP
#define KDBUS_PROXY_PROXY_HPP

#include "bus.hpp"
#include "client.hpp"
#include "event.hpp"
#include "limits.hpp"
#include "translate.hpp"

#include <linux/kdbus.h>
#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace kdbus::proxy {

/// All clients, and what they share. One thread.
class Proxy {
public:
    /// @p everybody: users other than the bus's own and root may connect. Throws std::system_error.
    Proxy(Loop& loop, Bus bus, Limits limits, bool everybody);
    ~Proxy();
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;

    /// Takes a new connection on a listening socket, or closes it if its user may not have it.
    void accept(abi::UniqueFd socket) noexcept;

    [[nodiscard]] Loop& loop() noexcept { return loop_; }
    [[nodiscard]] const Bus& bus() const noexcept { return bus_; }
    [[nodiscard]] const Limits& limits() const noexcept { return limits_; }

    /// Memory for the one message that is being handled.
    [[nodiscard]] ToKernel& to_kernel() noexcept { return to_kernel_; }
    [[nodiscard]] FromKernel& from_kernel() noexcept { return from_kernel_; }

    /// The client with that connection, nullptr if it is not one of ours.
    [[nodiscard]] Client* find(std::uint64_t id) noexcept;
    /// @p client has said Hello. Throws std::bad_alloc.
    void completed(Client& client);
    /// A client's message with that much inline went to the bus.
    void sent(std::size_t bytes) noexcept {
        ++unread_messages_;
        unread_bytes_ += bytes;
    }
    /// Lets all clients take their mail if so much was sent that their kernel queues could overflow
    /// before their turn comes: one thread both fills and empties them. To be called between
    /// messages.
    void relieve() noexcept;

    /// @p client has come to its end; it is destroyed when no handler runs.
    void retire(Client& client) noexcept;

private:
    /// Connections of one user.
    struct Usage {
        std::size_t incomplete = 0;
        std::size_t all = 0;
    };

    /// Half of what a receiver may have unread from one user, and a fifth of what its pool has room
    /// for.
    static constexpr std::size_t max_unread_messages = KDBUS_CONN_MAX_MSGS / 2;
    static constexpr std::size_t max_unread_bytes = 512 * 1024;

    [[nodiscard]] bool may_connect(std::uint32_t uid);
    void bury() noexcept;

    Loop& loop_;
    Bus bus_;
    Limits limits_;
    bool everybody_;
    ToKernel to_kernel_;
    FromKernel from_kernel_;
    std::map<std::uint32_t, Usage> usage_;
    std::unordered_map<Client*, std::unique_ptr<Client>> clients_;
    std::unordered_map<std::uint64_t, Client*> by_id_;
    std::vector<Client*> retired_;
    std::size_t unread_messages_ = 0; ///< at most, since all clients took their mail
    std::size_t unread_bytes_ = 0;
    std::vector<pollfd> poll_fds_;
    std::vector<Client*> poll_clients_;
    std::unique_ptr<Io> bus_io_;
};

} // namespace kdbus::proxy

#endif
