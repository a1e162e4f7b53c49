// SPDX-License-Identifier: LGPL-2.1-or-later
#include "roundtrip.hpp"

#include <fmt/format.h>
#include <list>
#include <stdexcept>
#include <sys/socket.h>

#include "measurements.hpp"
#include "profile.hpp"

namespace kdbus::bench {

namespace {

constexpr std::uint64_t metadata = KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS;
/// A sender may fill a sixth of an empty pool.
constexpr std::size_t pool_size = 16 << 20;
constexpr std::size_t idle_pool_size = 1 << 20;
constexpr int socket_buffer = 3 << 20;
constexpr std::uint64_t forever = std::uint64_t{1} << 62;

void check_echo(const std::vector<std::uint64_t>& payload, const std::byte* data,
                std::size_t size) {
    // The words that change from call to call.
    const auto* words = reinterpret_cast<const std::uint64_t*>(data);
    if (size != payload.size() * 8 || words[0] != payload.front() ||
        words[payload.size() - 1] != payload.back())
        throw std::runtime_error("the reply is not what was sent");
}

std::string size_name(std::size_t size) {
    return size >= 1 << 20 ? fmt::format("{} MiB", size >> 20)
           : size >= 1024  ? fmt::format("{} KiB", size >> 10)
                           : fmt::format("{} bytes", size);
}

struct Size {
    std::size_t bytes;
    int count;
    double limit;   // times SEQPACKET
    bool may_equal; // or must be below
};

constexpr Size sizes[] = {
    {8, 2000, 1.5, true},
    {64 << 10, 400, 1, false},
    {1 << 20, 50, 1, false},
};

} // namespace

KernelEcho::KernelEcho(const Bus& bus, std::size_t size)
    : caller_(bus, metadata, pool_size), service_(bus, metadata, pool_size), payload_(size / 8),
      call_(service_.id()), child_([this]() -> int { serve(); }) {
    call_.head().flags = KDBUS_MSG_EXPECT_REPLY;
    call_.head().timeout_ns = forever;
    call_.set_payload(payload_.data(), size);
}

void KernelEcho::next_payload() {
    payload_.front()++;
    payload_.back() = payload_.front();
    call_.head().cookie++;
}

void KernelEcho::check(const kdbus_msg& reply) const {
    const auto payload = payload_of(reply);
    check_echo(payload_, payload.data(), payload.size());
}

void KernelEcho::run(int count) {
    while (count-- > 0) {
        next_payload();
        const auto& reply = caller_.call(call_);
        check(reply);
        caller_.release(reply);
    }
}

void KernelEcho::run_polling(int count) {
    while (count-- > 0) {
        next_payload();
        caller_.send(call_);
        caller_.wait();
        const auto& reply = caller_.receive();
        check(reply);
        caller_.release(reply);
    }
}

void KernelEcho::serve() const {
    Message reply(caller_.id());
    for (;;) {
        service_.wait();
        const auto& call = service_.receive();
        const auto payload = payload_of(call);
        reply.head().cookie++;
        reply.head().cookie_reply = call.cookie;
        reply.set_payload(payload.data(), payload.size());
        service_.send(reply);
        service_.release(call);
    }
}

SocketEcho::SocketEcho(std::size_t size)
    : sockets_(make_pair()), payload_(size / 8), child_([this]() -> int { serve(); }) {}

SocketEcho::Pair SocketEcho::make_pair() {
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    for (const int fd : fds)
        must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &socket_buffer, sizeof(socket_buffer)) == 0,
             "SO_SNDBUFFORCE");
    return {Fd(fds[0]), Fd(fds[1])};
}

void SocketEcho::run(int count) {
    const std::size_t size = payload_.size() * 8;
    std::vector<std::uint64_t> reply(payload_.size());
    const auto* data = reinterpret_cast<const std::byte*>(reply.data());
    while (count-- > 0) {
        payload_.front()++;
        payload_.back() = payload_.front();
        must(send(sockets_.caller.get(), payload_.data(), size, 0) == static_cast<ssize_t>(size),
             "send");
        const auto n = recv(sockets_.caller.get(), reply.data(), size, 0);
        must(n >= 0, "recv");
        check_echo(payload_, data, static_cast<std::size_t>(n));
    }
}

void SocketEcho::serve() const {
    const std::size_t size = payload_.size() * 8;
    std::vector<std::uint64_t> buffer(payload_.size());
    for (;;) {
        const auto n = recv(sockets_.service.get(), buffer.data(), size, 0);
        must(n > 0, "recv");
        must(send(sockets_.service.get(), buffer.data(), static_cast<std::size_t>(n), 0) == n,
             "send");
    }
}

void measure_round_trips(Report& report, const Options& options) {
    report.title("A call and its reply, two processes: timestamp, credentials and process ids "
                 "attached to both");
    const Bus bus;
    for (const auto& size : sizes) {
        SocketEcho sockets(size.bytes);
        const double socket = measure(size.count, [&](int n) { sockets.run(n); });
        KernelEcho echo(bus, size.bytes);
        const double call = measure(size.count, [&](int n) { echo.run(n); });
        const double polling = measure(size.count, [&](int n) { echo.run_polling(n); });

        const double ratio = call / socket;
        report.check(size.may_equal ? ratio <= size.limit : ratio < size.limit,
                     fmt::format("round trip, {}", size_name(size.bytes)),
                     fmt::format("{:.0f} ns: {:.3f} of SEQPACKET's {:.0f}; {} {}", call, ratio,
                                 socket, size.may_equal ? "at most" : "below", size.limit));
        report.note(fmt::format("same, caller polls, {}", size_name(size.bytes)),
                    fmt::format("{:.0f} ns: {:.3f}", polling, polling / socket));
        if (options.profile) {
            profile("SEQPACKET", size.count, [&](int n) { sockets.run(n); });
            profile("kdbus", size.count, [&](int n) { echo.run(n); });
        }
    }
}

void measure_idle(Report& report, const Options& options) {
    report.title("A call and its reply beside idle connections");
    constexpr std::size_t counts[] = {0, 10, 100, 1000};
    const Bus bus;
    std::list<Connection> idle;
    double alone = 0;
    for (const auto count : counts) {
        while (idle.size() < count)
            idle.emplace_back(bus, metadata, idle_pool_size);
        KernelEcho echo(bus, 8);
        const double time = measure(sizes[0].count, [&](int n) { echo.run(n); });
        const auto what = fmt::format("round trip, 8 bytes, beside {}", count);
        if (count == 0) {
            alone = time;
            report.note(what, fmt::format("{:.0f} ns", time));
            continue;
        }
        const double more = (time / alone - 1) * 100;
        report.check(
            more <= options.idle_margin, what,
            fmt::format("{:.0f} ns: {:+.2f} %; at most {:+} %", time, more, options.idle_margin));
    }
}

} // namespace kdbus::bench
