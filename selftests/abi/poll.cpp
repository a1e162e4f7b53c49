// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 8 and messages.md 6.5 (poll, epoll, select).
#include "support.hpp"

#include <sys/epoll.h>
#include <sys/select.h>

using namespace test;

namespace {

constexpr short idle = POLLOUT | POLLWRNORM;
constexpr short with_message = idle | POLLIN | POLLRDNORM;
constexpr short ended = POLLERR | POLLHUP;

// Polls for POLLIN alone in another thread; the events found, 0 after ten seconds.
std::future<short> wait_for_input(const Connection& c) {
    auto waiter = std::async(std::launch::async, [fd = c.fd()] {
        pollfd p{fd, POLLIN, 0};
        ::poll(&p, 1, 10'000);
        return p.revents;
    });
    sleep_ms(50);
    return waiter;
}

// Leaves no free extent in the pool.
void fill_pool(const Connection& c) {
    while (c.info(c.id(), 0, {}, true).error == 0) {
    }
}

} // namespace

TEST_CASE("abi 8 fresh and owner handles: ERR and HUP, at once and always") {
    Bus bus;
    Fd control = open_control(), endpoint = bus.open();
    for (int fd : {control.get(), endpoint.get(), bus.owner.get()}) {
        CHECK(events_of(fd) == ended);
        pollfd p{fd, 0, 0};
        CHECK(::poll(&p, 1, 10'000) == 1);
        CHECK(p.revents == ended);
    }
}

TEST_CASE("abi 8 live connection: OUT always, IN with a message") {
    Bus bus;
    Connection c = bus.connect(), sender = bus.connect();
    CHECK(c.events() == idle);
    for (int i = 0; i < 2; i++)
        REQUIRE(sender.send(Message(c.id())) == 0);
    CHECK(c.events() == with_message);
    // PEEK does not clear it.
    CHECK(c.recv(KDBUS_RECV_PEEK).error == 0);
    CHECK(c.events() == with_message);
    c.take();
    CHECK(c.events() == with_message);
    CHECK(c.recv(KDBUS_RECV_DROP).error == 0);
    CHECK(c.events() == idle);
    REQUIRE(sender.send(Message(c.id())) == 0);
    c.take();
    CHECK(c.events() == idle);
    CHECK(sender.events() == idle);
}

TEST_CASE("abi 8 POLLOUT says nothing about a destination's capacity") {
    Bus bus;
    Connection c = bus.connect({.pool_size = page});
    fill_pool(c);
    CHECK(c.send(Message(c.id())) == EXFULL);
    CHECK(c.events() == idle);
}

TEST_CASE("abi 8 a lost broadcast alone makes it readable until reported") {
    Bus bus;
    Connection c = bus.connect({.pool_size = page}), sender = bus.connect();
    REQUIRE(c.match_all() == 0);
    drain(c);
    fill_pool(c);
    REQUIRE(sender.send(broadcast()) == 0);
    CHECK(c.events() == with_message);
    const Received r = c.recv();
    CHECK(r.error == EAGAIN);
    CHECK(r.cmd.dropped_msgs == 1);
    CHECK(r.cmd.return_flags == KDBUS_RECV_RETURN_DROPPED_MSGS);
    CHECK(c.events() == idle);
}

TEST_CASE("abi 8 ended connection: ERR and HUP only, even with queued messages") {
    Bus bus;
    Connection a = bus.connect(), b = bus.connect();
    REQUIRE(b.send(Message(b.id())) == 0);
    REQUIRE(a.bye() == 0);
    CHECK(a.events() == ended);
    bus.close();
    CHECK(b.events() == ended);
}

TEST_CASE("abi 8 a poller is woken by a message") {
    Bus bus;
    Connection c = bus.connect(), sender = bus.connect();
    auto waiter = wait_for_input(c);
    REQUIRE(sender.send(Message(c.id())) == 0);
    CHECK(waiter.get() == POLLIN);
}

TEST_CASE("abi 8 a poller is woken by the first lost broadcast") {
    Bus bus;
    Connection c = bus.connect({.pool_size = page}), sender = bus.connect();
    REQUIRE(c.match_all() == 0);
    drain(c);
    fill_pool(c);
    auto waiter = wait_for_input(c);
    REQUIRE(sender.send(broadcast()) == 0);
    CHECK(waiter.get() == POLLIN);
}

TEST_CASE("abi 8/2.4 a poller is woken by the end of the connection") {
    Bus bus;
    Connection c = bus.connect(), d = bus.connect();
    auto first = wait_for_input(c);
    REQUIRE(c.bye() == 0);
    CHECK(first.get() == ended);
    auto second = wait_for_input(d);
    bus.close();
    CHECK(second.get() == ended);
}

TEST_CASE("abi 8 a poller is woken by a notification") {
    Bus bus;
    Connection c = bus.connect();
    REQUIRE(c.match_all() == 0);
    auto waiter = wait_for_input(c);
    Connection other = bus.connect();
    CHECK(waiter.get() == POLLIN);
}

TEST_CASE("abi 8 several pollers of one connection") {
    Bus bus;
    Connection c = bus.connect();
    auto first = wait_for_input(c), second = wait_for_input(c);
    REQUIRE(c.send(Message(c.id())) == 0);
    CHECK(first.get() == POLLIN);
    CHECK(second.get() == POLLIN);
}

TEST_CASE("abi 8 edge-triggered epoll works on wake-ups") {
    Bus bus;
    Connection c = bus.connect(), sender = bus.connect();
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {}};
    REQUIRE(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, c.fd(), &event) == 0);
    epoll_event found{};
    CHECK(epoll_wait(epoll.get(), &found, 1, 0) == 0);
    for (int i = 0; i < 3; i++) {
        // Nothing is received in between: each message is an edge.
        REQUIRE(sender.send(Message(c.id())) == 0);
        CHECK(epoll_wait(epoll.get(), &found, 1, 10'000) == 1);
        CHECK((found.events & EPOLLIN) != 0);
        CHECK(epoll_wait(epoll.get(), &found, 1, 0) == 0);
    }
    drain(c);
    REQUIRE(c.bye() == 0);
    CHECK(epoll_wait(epoll.get(), &found, 1, 10'000) == 1);
    CHECK((found.events & EPOLLHUP) != 0);
}

TEST_CASE("abi 8 epoll that knew the handle before HELLO is woken") {
    const std::uint32_t edge = GENERATE(std::uint32_t{0}, std::uint32_t{EPOLLET});
    Bus bus;
    Fd fd = bus.open();
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN | edge, .data = {}};
    REQUIRE(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event) == 0);
    epoll_event found{};
    CHECK(epoll_wait(epoll.get(), &found, 1, 0) == 1);
    CHECK(found.events == (EPOLLERR | EPOLLHUP));
    Connection c(std::move(fd), {}), sender = bus.connect();
    CHECK(epoll_wait(epoll.get(), &found, 1, 0) == 0);
    REQUIRE(sender.send(Message(c.id())) == 0);
    CHECK(epoll_wait(epoll.get(), &found, 1, 10'000) == 1);
    CHECK(found.events == EPOLLIN);
    drain(c);
    REQUIRE(c.bye() == 0);
    CHECK(epoll_wait(epoll.get(), &found, 1, 10'000) == 1);
    CHECK(found.events == (EPOLLERR | EPOLLHUP));
}

TEST_CASE("abi 8 level-triggered epoll and select") {
    Bus bus;
    Connection c = bus.connect();
    Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN, .data = {}};
    REQUIRE(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, c.fd(), &event) == 0);
    epoll_event found{};
    CHECK(epoll_wait(epoll.get(), &found, 1, 0) == 0);
    REQUIRE(c.send(Message(c.id())) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(epoll_wait(epoll.get(), &found, 1, 0) == 1);

    fd_set in, out, urgent;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&urgent);
    FD_SET(c.fd(), &in);
    FD_SET(c.fd(), &out);
    FD_SET(c.fd(), &urgent);
    timeval now{};
    CHECK(select(c.fd() + 1, &in, &out, &urgent, &now) == 2);
    CHECK(FD_ISSET(c.fd(), &in));
    CHECK(FD_ISSET(c.fd(), &out));
    CHECK(!FD_ISSET(c.fd(), &urgent));

    drain(c);
    CHECK(epoll_wait(epoll.get(), &found, 1, 0) == 0);
}

TEST_CASE("abi 8 a synchronous reply is not reported by poll") {
    Bus bus;
    Connection c = bus.connect(), server = bus.connect();
    auto done = std::async(std::launch::async,
                           [&] { return c.call(Message(server.id(), 3).call(in_ms(20'000))); });
    REQUIRE(server.readable(10'000));
    auto waiter = wait_for_input(c);
    CHECK(server.send(reply_to(c.id(), 3)) == 0);
    CHECK(done.get().error == 0);
    CHECK(c.events() == idle);
    REQUIRE(c.send(Message(c.id())) == 0);
    CHECK(waiter.get() == POLLIN);
}
