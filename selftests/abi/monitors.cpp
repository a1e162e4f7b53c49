// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 11: monitors.
#include "names.hpp"
#include "support.hpp"

#include <atomic>

using namespace test;

namespace {

Connection watch(const Bus& bus, HelloOptions options = {}) {
    options.flags |= KDBUS_HELLO_MONITOR;
    return bus.connect(options);
}

// The connections appear before the monitor does, so that it starts with an empty queue.
struct Peers {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect();
    Connection monitor = watch(bus);

    // The monitor's next message, which must be the original as it was sent.
    Received copied(u64 cookie, const Connection& from, u64 destination) const {
        const Received r = monitor.take();
        CHECK(r->cookie == cookie);
        CHECK(r->src_id == from.id());
        CHECK(r->dst_id == destination);
        return r;
    }
    void quiet() const { CHECK(monitor.empty()); }
};

} // namespace

TEST_CASE("abi 1, 13.19-20, 13.29 a monitor is neither announced, listed nor addressable") {
    Bus bus;
    Connection observer = bus.connect();
    REQUIRE(observer.match_all() == 0);
    Connection monitor = watch(bus);
    const u64 id = monitor.id();
    CHECK(observer.empty());
    for (const Connection* c : {&observer, &monitor}) {
        const auto all = c->list(KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES | KDBUS_LIST_ACTIVATORS |
                                 KDBUS_LIST_QUEUED);
        REQUIRE(all.size() == 1);
        CHECK(all[0].head().id == observer.id());
    }
    CHECK(observer.send(Message(id)) == ENXIO);
    CHECK(observer.send(Message(id).flags(KDBUS_MSG_SIGNAL).bloom(0, {0})) == ENXIO);
    CHECK(observer.send(reply_to(id, 1)) == ENXIO);
    CHECK(monitor.empty());
    // abi 6.8: by id it can be looked up.
    CHECK(observer.info(id).head().flags == KDBUS_HELLO_MONITOR);
    monitor.close();
    CHECK(observer.empty());
    CHECK(observer.info(id).error == ENXIO);
}

TEST_CASE("abi 13.31 a monitor has no matches, and needs none") {
    Peers p;
    CHECK(p.monitor.match_all() == EOPNOTSUPP);
    CHECK(p.monitor.unmatch(1) == EOPNOTSUPP);
    CHECK(p.monitor.acquire(name) == EOPNOTSUPP);
    CHECK(p.monitor.bye() == EOPNOTSUPP);
    CHECK(p.sender.send(broadcast(0, 7)) == 0);
    p.copied(7, p.sender, KDBUS_DST_ID_BROADCAST);
    p.quiet();
}

TEST_CASE("messages 11 plain messages and calls: the original header, items and payload") {
    Peers p;
    REQUIRE(p.receiver.acquire(name) == 0);
    p.monitor.take();
    Fd memfd = make_memfd("in memory");
    Message m(p.receiver.id(), 5);
    m.body("some").hole(3).memfd(memfd.get(), 0, 9).body("text").priority(-3);
    m->payload_type = 0x1234;
    m.flags(KDBUS_MSG_NO_AUTO_START);
    REQUIRE(p.sender.send(m) == 0);
    const Received original = p.receiver.take();
    CHECK(p.monitor.readable());
    const Received copy = p.copied(5, p.sender, p.receiver.id());
    CHECK(copy->flags == KDBUS_MSG_NO_AUTO_START);
    CHECK(copy->priority == -3);
    CHECK(copy->payload_type == 0x1234);
    CHECK(copy.body() == "sometext");
    CHECK(copy.items().size() == original.items().size());
    CHECK(same_description(descriptors_of(copy).at(0), memfd.get()));
    close_descriptors(original);
    close_descriptors(copy);

    // By name: as sent.
    REQUIRE(p.sender.send(Message(0, 6).to(name)) == 0);
    CHECK(p.copied(6, p.sender, 0).get(KDBUS_ITEM_DST_NAME).text() == name);
    REQUIRE(p.sender.send(Message(p.receiver.id(), 7).to(name)) == 0);
    CHECK(p.copied(7, p.sender, p.receiver.id()).get(KDBUS_ITEM_DST_NAME).text() == name);
    // To oneself.
    REQUIRE(p.sender.send(Message(p.sender.id(), 8)) == 0);
    p.copied(8, p.sender, p.sender.id());

    const u64 deadline = in_ms(60'000);
    REQUIRE(p.sender.send(Message(p.receiver.id(), 9).call(deadline)) == 0);
    const Received call = p.copied(9, p.sender, p.receiver.id());
    CHECK(call->flags == KDBUS_MSG_EXPECT_REPLY);
    CHECK(call->timeout_ns == deadline);
    p.quiet();
}

TEST_CASE("messages 11 the copy exists although the destination refuses") {
    Bus bus;
    Connection sender = bus.connect(), small = bus.connect({.pool_size = page}),
               with_fds = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}), full = bus.connect();
    // A receiver whose pool is occupied by what it does not free.
    for (bool more = true; more;) {
        more = sender.send(Message(full.id()).filler(100'000)) == 0;
        if (more)
            REQUIRE(full.recv().error == 0);
    }
    Pipe pipe;
    const std::vector<int> sixteen(16, pipe.read.get());
    REQUIRE(sender.send(Message(with_fds.id()).fds(sixteen)) == 0);
    Connection monitor = watch(bus);
    auto attempt = [&](Message m, int error, u64 cookie) {
        CAPTURE(cookie);
        CHECK(sender.send(m) == error);
        const Received copy = monitor.take();
        CHECK(copy->cookie == cookie);
        CHECK(copy->dst_id == m->dst_id);
        CHECK(monitor.empty());
    };
    attempt(Message(small.id(), 1).filler(2000), ENOBUFS, 1);
    attempt(Message(small.id(), 2).fds({pipe.read.get()}), ECOMM, 2);
    attempt(Message(with_fds.id(), 3).fds({pipe.read.get()}), EMFILE, 3);
    attempt(Message(full.id(), 4).filler(100'000), EXFULL, 4);
    attempt(Message(small.id(), 5).filler(2000).call(in_ms(60'000)), ENOBUFS, 5);
    CHECK(sender.call(Message(small.id(), 6).filler(2000).call(in_ms(60'000))).error == ENOBUFS);
    CHECK(monitor.take()->cookie == 6);
    // A reply's, too: the slot matched.
    REQUIRE(small.send(Message(sender.id(), 7).call(in_ms(60'000))) == 0);
    CHECK(monitor.take()->cookie == 7);
    Message reply = reply_to(small.id(), 7, 8);
    attempt(reply.filler(2000), ENOBUFS, 8);
    CHECK(sender.send(reply_to(small.id(), 7, 9)) == EBADSLT);
    CHECK(monitor.empty());
}

TEST_CASE("messages 11 no copy of what fails in addressing, policy, slot limit or validation") {
    Peers p;
    Connection activator =
        p.bus.connect({.flags = KDBUS_HELLO_ACTIVATOR, .name = std::string("an.activator")});
    Connection stranger = connect_as(p.bus, 1000);
    REQUIRE(p.receiver.acquire(name) == 0);
    drain(p.monitor);
    CHECK(p.sender.send(Message(1'000'000)) == ENXIO);
    CHECK(p.sender.send(Message(0).to("no.owner")) == ESRCH);
    CHECK(p.sender.send(Message(p.sender.id()).to(name)) == EREMCHG);
    CHECK(p.sender.send(Message(0).to("an.activator").flags(KDBUS_MSG_NO_AUTO_START)) ==
          EADDRNOTAVAIL);
    CHECK(as(1000, [&] { return stranger.send(Message(p.receiver.id())); }) == EPERM);
    CHECK(p.sender.send(reply_to(p.receiver.id(), 1)) == EBADSLT);
    CHECK(p.sender.send(Message(p.receiver.id()).fds({4000})) == EBADF);
    CHECK(p.sender.send(Message(KDBUS_DST_ID_BROADCAST)) == EBADMSG);
    CHECK(p.sender.send(Message(activator.id())) == ENXIO);
    CHECK(p.sender.call(Message(p.receiver.id()).call(1)).error == ETIMEDOUT);
    p.quiet();
    for (u64 i = 0; i < 128; i++)
        REQUIRE(p.sender.send(Message(p.receiver.id()).call(in_ms(60'000))) == 0);
    CHECK(drain(p.monitor) == 128);
    CHECK(p.sender.send(Message(p.receiver.id()).call(in_ms(60'000))) == EMLINK);
    p.quiet();
}

TEST_CASE("messages 11 replies, asynchronous and synchronous") {
    Peers p;
    REQUIRE(p.sender.send(Message(p.receiver.id(), 1).call(in_ms(60'000))) == 0);
    p.copied(1, p.sender, p.receiver.id());
    Message answer = reply_to(p.sender.id(), 1, 2);
    REQUIRE(p.receiver.send(answer.body("answer")) == 0);
    Received copy = p.copied(2, p.receiver, p.sender.id());
    CHECK(copy->cookie_reply == 1);
    CHECK(copy.body() == "answer");

    auto sync = std::async(std::launch::async, [&] {
        return p.sender.call(Message(p.receiver.id(), 3).call(in_ms(60'000)));
    });
    REQUIRE(p.receiver.take()->cookie == 1);
    REQUIRE(p.receiver.readable(10'000));
    p.copied(3, p.sender, p.receiver.id());
    REQUIRE(p.receiver.send(reply_to(p.sender.id(), 3, 4)) == 0);
    CHECK(sync.get()->cookie == 4);
    CHECK(p.copied(4, p.receiver, p.sender.id())->cookie_reply == 3);
    p.quiet();
}

TEST_CASE("messages 11 unicast signals: after addressing, even if then dropped") {
    Peers p;
    Connection stranger = connect_as(p.bus, 1000);
    drain(p.monitor);
    auto signal = [](u64 to, u64 cookie) {
        return Message(to, cookie).flags(KDBUS_MSG_SIGNAL).bloom(0, {1});
    };
    // Nothing matches.
    CHECK(p.sender.send(signal(p.receiver.id(), 1)) == 0);
    CHECK(p.copied(1, p.sender, p.receiver.id()).find(KDBUS_ITEM_BLOOM_FILTER));
    // The receiver may not talk to the sender.
    REQUIRE(stranger.match_all() == 0);
    CHECK(p.sender.send(signal(stranger.id(), 2)) == 0);
    p.copied(2, p.sender, stranger.id());
    CHECK(stranger.empty());
    // It does not fit, or its fds are refused.
    REQUIRE(p.receiver.match_all() == 0);
    Pipe pipe;
    CHECK(p.sender.send(signal(p.receiver.id(), 3).fds({pipe.read.get()})) == 0);
    p.copied(3, p.sender, p.receiver.id());
    CHECK(p.receiver.empty());
    CHECK(p.sender.send(signal(p.receiver.id(), 4)) == 0);
    CHECK(p.receiver.take()->cookie == 4);
    p.copied(4, p.sender, p.receiver.id());
    CHECK(p.sender.send(signal(1'000'000, 5)) == ENXIO);
    p.quiet();
}

TEST_CASE("messages 11 broadcasts: always, once, whoever else receives them") {
    Peers p;
    CHECK(p.sender.send(broadcast(0, 1)) == 0);
    Received copy = p.copied(1, p.sender, KDBUS_DST_ID_BROADCAST);
    CHECK(copy->flags == KDBUS_MSG_SIGNAL);
    CHECK(copy.find(KDBUS_ITEM_BLOOM_FILTER));
    REQUIRE(p.receiver.match_all() == 0);
    REQUIRE(p.sender.match_all() == 0);
    CHECK(p.sender.send(broadcast(0, 2).body("content")) == 0);
    CHECK(p.copied(2, p.sender, KDBUS_DST_ID_BROADCAST).body() == "content");
    CHECK(drain(p.receiver) == 1);
    Connection stranger = connect_as(p.bus, 1000);
    drain(p.monitor);
    CHECK(as(1000, [&] { return stranger.send(broadcast(0, 3)); }) == 0);
    p.copied(3, stranger, KDBUS_DST_ID_BROADCAST);
    p.quiet();
}

TEST_CASE("messages 11 kernel broadcasts, whether or not anybody matches") {
    Bus bus;
    Connection monitor = watch(bus);
    Connection a = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}), b = bus.connect();
    expect_id_notification(monitor, KDBUS_ITEM_ID_ADD, a.id(), KDBUS_HELLO_ACCEPT_FD);
    const Received copy = expect_id_notification(monitor, KDBUS_ITEM_ID_ADD, b.id(), 0);
    CHECK(copy->flags == KDBUS_MSG_SIGNAL);
    CHECK(copy->dst_id == KDBUS_DST_ID_BROADCAST);
    REQUIRE(a.acquire(name) == 0);
    expect_name_notification(monitor, KDBUS_ITEM_NAME_ADD, 0, 0, a.id(), primary, name);
    REQUIRE(b.acquire(name, KDBUS_NAME_QUEUE) == 0);
    REQUIRE(a.release(name) == 0);
    expect_name_notification(monitor, KDBUS_ITEM_NAME_CHANGE, a.id(), primary, b.id(),
                             KDBUS_NAME_QUEUE | primary, name);
    const u64 id = b.id();
    b.close();
    expect_name_notification(monitor, KDBUS_ITEM_NAME_REMOVE, id, KDBUS_NAME_QUEUE | primary, 0, 0,
                             name);
    expect_id_notification(monitor, KDBUS_ITEM_ID_REMOVE, id, 0);
    CHECK(monitor.empty());
}

TEST_CASE("messages 11 REPLY_TIMEOUT and REPLY_DEAD, to whom they are addressed") {
    Peers p;
    auto check = [&](u64 type, u64 cookie) {
        REQUIRE(p.monitor.readable(10'000));
        const Received copy = p.monitor.take();
        CHECK(copy->src_id == KDBUS_SRC_ID_KERNEL);
        CHECK(copy->dst_id == p.sender.id());
        CHECK(copy.word(72) == type);
        CHECK(copy->cookie_reply == cookie);
        CHECK(copy->size == 120);
    };
    REQUIRE(p.sender.send(Message(p.receiver.id(), 1).call(in_ms(100))) == 0);
    p.copied(1, p.sender, p.receiver.id());
    check(KDBUS_ITEM_REPLY_TIMEOUT, 1);
    REQUIRE(p.sender.send(Message(p.receiver.id(), 2).call(in_ms(60'000))) == 0);
    p.copied(2, p.sender, p.receiver.id());
    const u64 id = p.receiver.id();
    p.receiver.close();
    check(KDBUS_ITEM_REPLY_DEAD, 2);
    expect_id_notification(p.monitor, KDBUS_ITEM_ID_REMOVE, id, 0);
    p.quiet();
    // The target is gone: nothing to tell.
    Connection callee = p.bus.connect();
    REQUIRE(p.sender.send(Message(callee.id(), 3).call(in_ms(60'000))) == 0);
    p.sender.close();
    drain(p.monitor);
    callee.close();
    const Received last = p.monitor.take();
    CHECK(last.word(72) == KDBUS_ITEM_ID_REMOVE);
    p.quiet();
}

TEST_CASE("messages 11 mail that moves at activation is not copied again") {
    Peers p;
    Connection activator = p.bus.connect({.flags = KDBUS_HELLO_ACTIVATOR, .name = name});
    drain(p.monitor);
    REQUIRE(p.sender.send(Message(0, 1).to(name)) == 0);
    REQUIRE(p.sender.send(Message(0, 2).to(name).call(in_ms(60'000))) == 0);
    p.copied(1, p.sender, 0);
    p.copied(2, p.sender, 0);
    REQUIRE(p.receiver.acquire(name) == 0);
    expect_name_notification(p.monitor, KDBUS_ITEM_NAME_CHANGE, activator.id(), in_charge,
                             p.receiver.id(), primary, name);
    p.quiet();
    REQUIRE(p.receiver.release(name) == 0);
    expect_name_notification(p.monitor, KDBUS_ITEM_NAME_CHANGE, p.receiver.id(), primary,
                             activator.id(), in_charge, name);
    p.quiet();
    CHECK(drain(activator) == 2);
}

TEST_CASE("messages 11, 6.4 a copy neither opens nor closes a slot") {
    Peers p;
    REQUIRE(p.sender.send(Message(p.receiver.id(), 1).call(in_ms(60'000))) == 0);
    REQUIRE(p.sender.send(Message(p.receiver.id(), 2).call(in_ms(60'000))) == 0);
    CHECK(p.monitor.recv(KDBUS_RECV_DROP).error == 0);
    p.copied(2, p.sender, p.receiver.id());
    p.monitor.close();
    CHECK(p.sender.empty());
    CHECK(p.receiver.send(reply_to(p.sender.id(), 1)) == 0);
    CHECK(p.receiver.send(reply_to(p.sender.id(), 2)) == 0);
    CHECK(drain(p.sender) == 2);

    // Unread copies keep no unit of the caller's limit.
    Connection other = watch(p.bus);
    drain(p.receiver);
    for (u64 i = 1; i <= 200; i++) {
        REQUIRE(p.sender.send(Message(p.receiver.id(), i).call(in_ms(60'000))) == 0);
        REQUIRE(p.receiver.send(reply_to(p.sender.id(), i)) == 0);
        REQUIRE(p.receiver.take()->cookie == i);
        REQUIRE(p.sender.take()->cookie_reply == i);
    }
}

TEST_CASE(
    "messages 11/14.3 fds: real for monitors that accept them, -1 for others; memfds always") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}),
               plain = bus.connect();
    Connection with = watch(bus, {.flags = KDBUS_HELLO_ACCEPT_FD}), without = watch(bus);
    Pipe pipe;
    Fd memfd = make_memfd("content");
    auto send = [&](u64 to, u64 cookie, int error) {
        CHECK(sender.send(Message(to, cookie)
                              .fds({pipe.read.get(), pipe.write.get()})
                              .memfd(memfd.get(), 0, 7)) == error);
    };
    const u64 refused = plain.id(), accepted = receiver.id();
    u64 cookie = 0;
    for (u64 to : {accepted, refused}) {
        CAPTURE(to == refused);
        send(to, ++cookie, to == refused ? ECOMM : 0);
        const Received a = with.take();
        CHECK(a->cookie == cookie);
        CHECK(a.cmd.msg.return_flags == 0);
        auto fds = descriptors_of(a);
        REQUIRE(fds.size() == 3);
        CHECK(same_description(fds[0], pipe.read.get()));
        CHECK(same_description(fds[1], pipe.write.get()));
        CHECK(same_description(fds[2], memfd.get()));
        for (int fd : fds)
            CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        close_descriptors(a);
        const Received b = without.take();
        CHECK(b->cookie == cookie);
        CHECK(b.cmd.msg.return_flags == 0);
        fds = descriptors_of(b);
        REQUIRE(fds.size() == 3);
        CHECK(fds[0] == -1);
        CHECK(fds[1] == -1);
        CHECK(same_description(fds[2], memfd.get()));
        close_descriptors(b);
        CHECK(dropped(without) == 0);
    }
    const Received r = receiver.take();
    CHECK(r.cmd.msg.return_flags == 0);
    CHECK(descriptors_of(r).at(0) >= 0);
    close_descriptors(r);
    CHECK(plain.empty());

    // PEEK installs nothing in a monitor either.
    send(accepted, 9, 0);
    for (const Connection* c : {&with, &without}) {
        const Received peeked = c->recv(KDBUS_RECV_PEEK);
        REQUIRE(peeked.error == 0);
        CHECK(descriptors_of(peeked) == std::vector<int>{-1, -1, -1});
        c->free(peeked.offset());
    }
}

TEST_CASE("messages 11/10.2 fds at a monitor obey its own quota") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
    Connection monitor = watch(bus, {.flags = KDBUS_HELLO_ACCEPT_FD});
    Pipe pipe;
    for (u64 i = 1; i <= 3; i++) {
        REQUIRE(sender.send(Message(receiver.id(), i).fds(std::vector(8, pipe.read.get()))) == 0);
        close_descriptors(receiver.take());
    }
    const Received r = monitor.take();
    CHECK(r->cookie == 1);
    CHECK(r.cmd.dropped_msgs == 1);
    close_descriptors(r);
    CHECK(drain(monitor) == 1);
}

TEST_CASE("messages 11/9.1 each monitor has the metadata it asked for") {
    Bus bus;
    Connection sender = bus.connect({.description = "described"}),
               receiver = bus.connect({.recv = KDBUS_ATTACH_TIMESTAMP});
    Connection none = watch(bus), creds = watch(bus, {.recv = KDBUS_ATTACH_CREDS}),
               all = watch(bus, {.recv = known_attach_flags});
    REQUIRE(sender.send(Message(receiver.id(), 1).body("same")) == 0);
    CHECK(none.take().items().size() == 1);
    const Received some = creds.take();
    CHECK(some.items().size() == 2);
    CHECK(some.find(KDBUS_ITEM_CREDS));
    const Received full = all.take();
    CHECK(full.find(KDBUS_ITEM_PIDS));
    CHECK(full.get(KDBUS_ITEM_CONN_DESCRIPTION).text() == "described");
    CHECK(full.body() == "same");
    // messages 9.7, 9.1: the same number and times for all.
    CHECK(full.get(KDBUS_ITEM_TIMESTAMP).words() ==
          receiver.take().get(KDBUS_ITEM_TIMESTAMP).words());
}

TEST_CASE("messages 11 what does not fit is counted at the monitor, and concerns nobody else") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
    Connection small = watch(bus, {.pool_size = page}), large = watch(bus);
    CHECK(sender.send(Message(receiver.id(), 1).filler(2000)) == 0);
    CHECK(small.readable());
    Received r = small.recv();
    CHECK(r.error == EAGAIN);
    CHECK(r.cmd.dropped_msgs == 1);
    CHECK(r.cmd.return_flags == KDBUS_RECV_RETURN_DROPPED_MSGS);
    CHECK_FALSE(small.readable());
    CHECK(large.take()->cookie == 1);
    CHECK(receiver.take()->cookie == 1);
    // Broadcasts, and those refused elsewhere.
    CHECK(sender.send(broadcast(0, 2).filler(2000)) == 0);
    CHECK(sender.send(Message(receiver.id(), 3).filler(300'000)) == ENOBUFS);
    CHECK(sender.send(Message(receiver.id(), 4)) == 0);
    r = small.take();
    CHECK(r->cookie == 4);
    CHECK(r.cmd.dropped_msgs == 2);
    CHECK(small.empty());
}

TEST_CASE("messages 11/10.2 a monitor's quota is each original sender's") {
    Bus bus;
    Connection one = bus.connect(), two = connect_as(bus, 1000), receiver = bus.connect(),
               own = connect_as(bus, 1000);
    Connection monitor = watch(bus);
    auto from_two = [&](u64 cookie) {
        return as(1000, [&] { return two.send(Message(own.id(), cookie)); });
    };
    for (u64 i = 1; i <= 260; i++) {
        REQUIRE(one.send(Message(receiver.id(), i)) == 0);
        REQUIRE(receiver.take()->cookie == i);
    }
    CHECK(from_two(1000) == 0);
    CHECK(dropped(monitor) == 4);
    // Notifications have their own account.
    REQUIRE(one.acquire(name) == 0);
    for (u64 i = 1; i <= 256; i++)
        REQUIRE(monitor.take()->cookie == i);
    CHECK(monitor.take()->src_id == two.id());
    expect_name_notification(monitor, KDBUS_ITEM_NAME_ADD, 0, 0, one.id(), primary, name);
    CHECK(monitor.empty());
}

TEST_CASE("messages 11 a monitor that stays, while others come and go") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect();
    Connection stays = watch(bus);
    std::atomic<bool> stop = false;
    std::atomic<u64> sent = 0;
    auto sending = std::async(std::launch::async, [&] {
        while (!stop) {
            const int error = sender.send(Message(receiver.id(), sent + 1).body("x"));
            must(error == 0, "SEND", error);
            sent++;
            must(receiver.take()->cookie == sent, "messages in order");
            must(stays.take()->cookie == sent, "copies in order");
        }
    });
    CHECK(eventually([&] { return sent > 0; }));
    for (int i = 0; i < 50; i++) {
        Connection m = watch(bus);
        m.readable(10);
    }
    stop = true;
    sending.get();
    CHECK(stays.empty());
}

TEST_CASE("messages 12.9 a monitor has a message no later than its receiver") {
    Peers p;
    constexpr u64 total = 1000;
    std::atomic<u64> taken = 0;
    auto sending = std::async(std::launch::async, [&] {
        for (u64 i = 1; i <= total; i++) {
            // No queue becomes full.
            while (i - taken > 100)
                std::this_thread::yield();
            const int error = p.sender.send(Message(p.receiver.id(), i).filler(64));
            must(error == 0, "SEND", error);
        }
    });
    u64 late = 0;
    for (u64 i = 1; i <= total; i++) {
        must(p.receiver.readable(60'000), "a message in time");
        must(p.receiver.take()->cookie == i, "messages in order");
        const Received copy = p.monitor.recv();
        late += copy.error != 0 || copy->cookie != i;
        if (copy.error == 0)
            p.monitor.free(copy.offset());
        taken = i;
    }
    sending.get();
    CHECK(late == 0);
}
