// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_BENCH_ROUNDTRIP_HPP
#define KDBUS_BENCH_ROUNDTRIP_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bus.hpp"
#include "system.hpp"

namespace kdbus::bench {

/// Calls a service in another process, which sends the payload back.
class KernelEcho {
public:
    explicit KernelEcho(const Bus& bus, std::size_t size);

    /// SEND with SYNC_REPLY, FREE; the service: poll(), RECV, SEND, FREE.
    void run(int count);
    /// The same, but the caller sleeps in poll(): SEND, poll(), RECV, FREE.
    void run_polling(int count);
    pid_t service() const { return child_.pid(); }

private:
    void next_payload();
    void check(const kdbus_msg& reply) const;
    [[noreturn]] void serve() const;

    Connection caller_, service_;
    std::vector<std::uint64_t> payload_;
    Message call_;
    Child child_;
};

/// The same through a pair of AF_UNIX sockets of type SEQPACKET.
class SocketEcho {
public:
    explicit SocketEcho(std::size_t size);

    void run(int count);
    pid_t service() const { return child_.pid(); }

private:
    struct Pair {
        Fd caller, service;
    };

    static Pair make_pair();
    [[noreturn]] void serve() const;

    Pair sockets_;
    std::vector<std::uint64_t> payload_;
    Child child_;
};

} // namespace kdbus::bench

#endif
