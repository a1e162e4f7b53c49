// SPDX-License-Identifier: LGPL-2.1-or-later
// Buses that let AF_UNIX sockets pass (KDBUS_MAKE_ALLOW_UNIX_FDS, an addition to the interface).
#include "support.hpp"

#include <linux/io_uring.h>

using namespace test;

namespace {

constexpr u64 allow_unix = KDBUS_MAKE_ALLOW_UNIX_FDS;
constexpr u64 accept_fd = KDBUS_HELLO_ACCEPT_FD;
constexpr std::size_t limit = 64;
constexpr std::size_t per_message = 16;

struct Sockets {
    Fd one, two;
    explicit Sockets(int type = SOCK_STREAM) {
        int ends[2];
        must(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0, "socketpair", errno);
        one = Fd(ends[0]);
        two = Fd(ends[1]);
    }
};

Bus open_bus() {
    return Bus({.flags = KDBUS_MAKE_ACCESS_WORLD | allow_unix});
}

// A sender, and as many receivers as the quota of descriptors at each of them demands.
struct Peers {
    Bus bus = open_bus();
    Connection sender = bus.connect();
    std::vector<Connection> receivers;
    Sockets sockets;

    Peers() {
        for (std::size_t i = 0; i < limit / per_message + 1; i++)
            receivers.push_back(bus.connect({.flags = accept_fd}));
    }
    int send(std::size_t receiver, std::size_t n = per_message) const {
        return sender.send(
            Message(receivers.at(receiver).id()).fds(std::vector(n, sockets.one.get())));
    }
    void fill() const {
        for (std::size_t i = 0; i < limit / per_message; i++)
            REQUIRE(send(i) == 0);
        REQUIRE(send(limit / per_message, 1) == EMFILE);
    }
    // Whether exactly `n` more may be sent; leaves them queued at the last receiver.
    void check_room(std::size_t n) const {
        for (std::size_t i = 0; i < n; i++)
            CHECK(send(limit / per_message, 1) == 0);
        CHECK(send(limit / per_message, 1) == EMFILE);
    }
};

// Puts descriptors into a socket's queue.
void queue_at_peer(int socket, const std::vector<int>& fds) {
    char byte = 0;
    iovec iov{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
    msghdr m{};
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
    must(sendmsg(socket, &m, 0) == 1, "sendmsg", errno);
}

bool hung_up(const Fd& fd) {
    pollfd p{fd.get(), POLLIN, 0};
    return ::poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

} // namespace

TEST_CASE("ALLOW_UNIX_FDS is negotiated: by BUS_MAKE, not by ENDPOINT_MAKE") {
    Plain make;
    make->flags = KDBUS_FLAG_NEGOTIATE;
    Fd control = open_control();
    REQUIRE(command(control.get(), KDBUS_CMD_BUS_MAKE, make.address()) == 0);
    CHECK(make->flags ==
          (KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD | KDBUS_MAKE_ALLOW_UNIX_FDS));
    CHECK(make->flags == 0x7);
    Bus bus = open_bus();
    Fd fd = bus.open();
    make->flags = KDBUS_FLAG_NEGOTIATE;
    REQUIRE(command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, make.address()) == 0);
    CHECK(make->flags == 0x3);
    auto endpoint = endpoint_command(unique_bus_name(), allow_unix);
    CHECK(command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, endpoint.address()) == EINVAL);
}

TEST_CASE("ALLOW_UNIX_FDS is reported by HELLO and BUS_CREATOR_INFO") {
    for (u64 flags : {u64{0}, allow_unix, allow_unix | KDBUS_MAKE_ACCESS_WORLD}) {
        Bus bus({.flags = flags});
        Connection c = bus.connect();
        CHECK(c.hello.bus_flags == flags);
        Command<kdbus_cmd_info> info;
        REQUIRE(c.run(KDBUS_CMD_BUS_CREATOR_INFO, info.address()) == 0);
        kdbus_info record{};
        std::memcpy(&record, c.at(info->offset), sizeof record);
        CHECK(record.flags == flags);
    }
}

TEST_CASE("ALLOW_UNIX_FDS: sockets pass and work; without it EOPNOTSUPP") {
    Bus open = open_bus(), closed;
    Connection to_open = open.connect({.flags = accept_fd}),
               to_closed = closed.connect({.flags = accept_fd});
    for (int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
        CAPTURE(type);
        Sockets s(type);
        CHECK(to_closed.send(Message(to_closed.id()).fds({s.two.get()})) == EOPNOTSUPP);
        Pipe pipe;
        REQUIRE(to_open.send(
                    Message(to_open.id()).fds({s.two.get(), pipe.read.get(), s.two.get()})) == 0);
        s.two.reset();
        REQUIRE(write(s.one.get(), "ping", 4) == 4);
        const Received r = to_open.take();
        CHECK(r.cmd.msg.return_flags == 0);
        const auto fds = descriptors_of(r);
        REQUIRE(fds.size() == 3);
        char buffer[8] = {};
        CHECK(read(fds[0], buffer, sizeof buffer) == 4);
        CHECK(std::string_view(buffer) == "ping");
        CHECK(write(fds[2], "pong!", 5) == 5);
        CHECK(read(s.one.get(), buffer, sizeof buffer) == 5);
        CHECK(std::string_view(buffer) == "pong!");
        CHECK((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
        close_descriptors(r);
    }
    CHECK(to_closed.empty());
}

TEST_CASE("ALLOW_UNIX_FDS: kdbus's own files and io_uring stay refused") {
    Bus bus = open_bus();
    Connection c = bus.connect({.flags = accept_fd});
    Fd control = open_control(), endpoint = bus.open();
    for (int fd : {control.get(), endpoint.get(), bus.owner.get(), c.fd()})
        CHECK(c.send(Message(c.id()).fds({fd})) == EOPNOTSUPP);
    io_uring_params parameters{};
    Fd ring(static_cast<int>(syscall(SYS_io_uring_setup, 4, &parameters)));
    if (ring)
        CHECK(c.send(Message(c.id()).fds({ring.get()})) == EOPNOTSUPP);
    else
        WARN("this kernel has no io_uring");
    // What stood before the refused one is not kept.
    Sockets s;
    for (std::size_t i = 0; i < 2 * limit; i++)
        CHECK(c.send(Message(c.id()).fds({s.one.get(), control.get()})) == EOPNOTSUPP);
    CHECK(c.send(Message(c.id()).fds({s.one.get()})) == 0);
    CHECK(drain(c) == 1);
}

TEST_CASE("ALLOW_UNIX_FDS: 64 sockets of a user in flight, inclusive, on all buses together") {
    Peers p;
    p.fill();
    Bus other_bus = open_bus();
    Connection elsewhere = other_bus.connect({.flags = accept_fd});
    CHECK(elsewhere.send(Message(elsewhere.id()).fds({p.sockets.one.get()})) == EMFILE);
    // It is decided with the files, before anything of the destination.
    CHECK(p.sender.send(Message(1'000'000).fds({p.sockets.one.get()})) == EMFILE);
    // Other files and other users are not concerned.
    Pipe pipe;
    CHECK(elsewhere.send(Message(elsewhere.id()).fds({pipe.read.get()})) == 0);
    Connection stranger = connect_as(other_bus, 1000, {.flags = accept_fd});
    auto by_stranger = [&] {
        return as(1000,
                  [&] { return stranger.send(Message(stranger.id()).fds({p.sockets.one.get()})); });
    };
    CHECK(by_stranger() == 0);
    // A message that would exceed it takes none.
    drain(p.receivers[0]);
    CHECK(elsewhere.send(Message(elsewhere.id()).fds({p.sockets.one.get()})) == 0);
    CHECK(p.send(0) == EMFILE);
    CHECK(p.send(0, per_message - 1) == 0);
    CHECK(p.send(4, 1) == EMFILE);
}

TEST_CASE("ALLOW_UNIX_FDS: RECV, DROP and the receiver's end give back, PEEK does not") {
    Peers p;
    p.fill();
    const Received peeked = p.receivers[0].recv(KDBUS_RECV_PEEK);
    REQUIRE(peeked.error == 0);
    p.check_room(0);
    // Received: even before FREE.
    const Received r = p.receivers[0].recv();
    REQUIRE(r.error == 0);
    close_descriptors(r);
    p.check_room(per_message);
    drain(p.receivers.back());
    REQUIRE(p.receivers[0].free(r.offset()) == 0);

    REQUIRE(p.send(0) == 0);
    p.check_room(0);
    CHECK(p.receivers[0].recv(KDBUS_RECV_DROP).error == 0);
    p.check_room(per_message);
    drain(p.receivers.back());

    REQUIRE(p.send(0) == 0);
    p.receivers[0].close();
    p.check_room(per_message);
    drain(p.receivers.back());

    // The sender's end does not: they are still in flight.
    p.sender = p.bus.connect();
    p.check_room(per_message);
}

TEST_CASE("ALLOW_UNIX_FDS: what fails to be sent is not in flight") {
    Peers p;
    Connection plain = p.bus.connect();
    auto sockets = [&](Message m) {
        return m.fds(std::vector(per_message, p.sockets.one.get()));
    };
    for (int i = 0; i < 10; i++) {
        CHECK(p.sender.send(sockets(Message(1'000'000))) == ENXIO);
        CHECK(p.sender.send(sockets(Message(plain.id()))) == ECOMM);
        CHECK(p.sender.send(sockets(Message(p.receivers[0].id())).filler(500'000)) == ENOBUFS);
        // A signal nobody wants.
        CHECK(p.sender.send(sockets(
                  Message(p.receivers[0].id()).flags(KDBUS_MSG_SIGNAL).bloom(0, {0}))) == 0);
    }
    p.fill();
}

TEST_CASE("ALLOW_UNIX_FDS: sockets on a moved message stay charged once") {
    Peers p;
    const std::string name = "a.name";
    Connection activator =
        p.bus.connect({.flags = KDBUS_HELLO_ACTIVATOR | accept_fd, .name = name});
    Message m(0);
    m.to(name).fds(std::vector(per_message, p.sockets.one.get()));
    REQUIRE(p.sender.send(m) == 0);
    for (std::size_t i = 1; i < limit / per_message; i++)
        REQUIRE(p.send(i) == 0);
    p.check_room(0);
    REQUIRE(p.receivers[0].acquire(name) == 0);
    p.check_room(0);
    CHECK(drain(p.receivers[0]) == 1);
    p.check_room(per_message);
    drain(p.receivers.back());
    // Lost at the hand-over: given back.
    REQUIRE(p.sender.send(m) == 0);
    p.check_room(0);
    REQUIRE(p.receivers[0].release(name) == 0);
    Connection plain = p.bus.connect();
    REQUIRE(plain.acquire(name) == 0);
    CHECK(plain.recv().cmd.dropped_msgs == 1);
    p.check_room(per_message);
}

TEST_CASE("ALLOW_UNIX_FDS: what custom endpoints send is charged to the bus's user") {
    Peers p;
    REQUIRE(p.receivers[0].acquire("a.name") == 0);
    Endpoint endpoint(p.bus, {{"a.name", {for_world(KDBUS_POLICY_TALK)}}});
    Connection inside = endpoint.connect();
    auto message = [&] {
        return Message(p.receivers[0].id()).fds(std::vector(per_message, p.sockets.one.get()));
    };
    REQUIRE(inside.send(message()) == 0);
    for (std::size_t i = 1; i < limit / per_message; i++)
        REQUIRE(p.send(i) == 0);
    p.check_room(0);
    drain(p.receivers[0]);
    p.check_room(per_message);
}

// A connection's handle waits in a socket's queue, and that socket in the connection's: neither can
// be reached any more, nor does either end before the other.
TEST_CASE("ALLOW_UNIX_FDS: cycles stay within the limit and end with the bus") {
    std::vector<Pipe> witnesses;
    Bus bus = open_bus();
    Connection sender = bus.connect();
    auto make_cycle = [&] {
        Connection c = bus.connect({.flags = accept_fd});
        Sockets s;
        Pipe pipe;
        queue_at_peer(s.one.get(), {c.fd(), pipe.write.get()});
        const int error = sender.send(Message(c.id()).fds({s.two.get()}));
        pipe.write.reset();
        witnesses.push_back(std::move(pipe));
        return error;
    };
    for (std::size_t i = 0; i < limit; i++)
        REQUIRE(make_cycle() == 0);
    CHECK(make_cycle() == EMFILE);
    // The last one was none.
    CHECK(eventually([&] { return hung_up(witnesses.back().read); }));
    witnesses.pop_back();
    sender.close();
    bus.close();
    for (const Pipe& pipe : witnesses)
        CHECK(eventually([&] { return hung_up(pipe.read); }));
    // Nor does any of it count any more.
    Peers p;
    p.fill();
}
