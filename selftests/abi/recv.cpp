// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 6 (RECV).
#include "support.hpp"

using namespace test;

namespace {

constexpr u64 peek = KDBUS_RECV_PEEK, drop = KDBUS_RECV_DROP, by_priority = KDBUS_RECV_USE_PRIORITY;
constexpr u64 poison = 0xdeadbeefdeadbeef;

struct Pair {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect();
    void send(u64 cookie, s64 priority = 0) const {
        REQUIRE(sender.send(Message(receiver.id(), cookie).priority(priority)) == 0);
    }
};

// RECV with all outputs poisoned before.
Received raw_recv(const Connection& c, u64 flags, s64 priority = 0) {
    Command<kdbus_cmd_recv> cmd;
    cmd->flags = flags;
    cmd->priority = priority;
    cmd->return_flags = cmd->dropped_msgs = poison;
    cmd->msg = {poison, poison, poison};
    Received r;
    r.error = c.run(KDBUS_CMD_RECV, cmd.address());
    r.cmd = cmd.head();
    return r;
}

} // namespace

TEST_CASE("messages 6.1 oldest first, ignoring priority") {
    Pair p;
    const s64 priorities[] = {5, -5, 0, INT64_MIN, INT64_MAX};
    for (u64 i = 0; i < 5; i++)
        p.send(i, priorities[i]);
    for (u64 i = 0; i < 5; i++)
        CHECK(p.receiver.take()->cookie == i);
    CHECK(p.receiver.recv().error == EAGAIN);
}

TEST_CASE(
    "messages 6.1 USE_PRIORITY: numerically lowest, oldest among equals, not above the bound") {
    Pair p;
    const s64 priorities[] = {5, -5, 0, -5, INT64_MAX, 5, INT64_MIN};
    for (u64 i = 0; i < 7; i++)
        p.send(i, priorities[i]);
    CHECK(p.receiver.take(by_priority, 0)->cookie == 6);
    CHECK(p.receiver.take(by_priority, -5)->cookie == 1);
    CHECK(p.receiver.recv(by_priority, -6).error == EAGAIN);
    CHECK(p.receiver.take(by_priority, INT64_MAX)->cookie == 3);
    CHECK(p.receiver.recv(by_priority, -1).error == EAGAIN);
    CHECK(p.receiver.take(by_priority, 0)->cookie == 2);
    CHECK(p.receiver.recv(by_priority, 4).error == EAGAIN);
    CHECK(p.receiver.take(by_priority, 5)->cookie == 0);
    // Without the flag it is the oldest, whatever the bound says.
    CHECK(p.receiver.take(0, INT64_MIN)->cookie == 4);
    CHECK(p.receiver.recv(by_priority, 4).error == EAGAIN);
    CHECK(p.receiver.take(by_priority, INT64_MAX)->cookie == 5);
    CHECK(p.receiver.recv(by_priority, INT64_MAX).error == EAGAIN);
}

TEST_CASE("messages 6.1/6.2 PEEK, DROP and their combinations") {
    Pair p;
    for (u64 i = 0; i < 4; i++)
        p.send(i, -static_cast<s64>(i));
    SECTION("PEEK") {
        for (int i = 0; i < 3; i++)
            CHECK(p.receiver.recv(peek)->cookie == 0);
        CHECK(p.receiver.recv(peek | by_priority, 0)->cookie == 3);
        CHECK(p.receiver.recv(peek | by_priority, -4).error == EAGAIN);
        CHECK(p.receiver.take()->cookie == 0);
    }
    SECTION("DROP takes the oldest and shows nothing") {
        const Received r = raw_recv(p.receiver, drop);
        CHECK(r.error == 0);
        CHECK(r.cmd.msg.offset == p.receiver.pool_size());
        CHECK(r.cmd.msg.msg_size == 0);
        CHECK(r.cmd.msg.return_flags == 0);
        CHECK(r.cmd.return_flags == 0);
        CHECK(r.cmd.dropped_msgs == 0);
        CHECK(p.receiver.take()->cookie == 1);
    }
    SECTION("PEEK with DROP is DROP") {
        const Received r = raw_recv(p.receiver, peek | drop);
        CHECK(r.error == 0);
        CHECK(r.cmd.msg.offset == p.receiver.pool_size());
        CHECK(p.receiver.take()->cookie == 1);
    }
    SECTION("DROP with USE_PRIORITY is EINVAL") {
        for (u64 flags : {drop | by_priority, drop | by_priority | peek}) {
            const Received r = raw_recv(p.receiver, flags);
            CHECK(r.error == EINVAL);
            CHECK(r.cmd.return_flags == 0);
            CHECK(r.cmd.msg.offset == poison);
            CHECK(r.cmd.msg.msg_size == poison);
            CHECK(r.cmd.msg.return_flags == poison);
            CHECK(r.cmd.dropped_msgs == poison);
        }
        CHECK(drain(p.receiver) == 4);
    }
}

TEST_CASE("messages 6.2 an empty queue: EAGAIN, and every result is written") {
    Pair p;
    for (u64 flags : {u64{0}, peek, drop, by_priority, peek | by_priority}) {
        CAPTURE(flags);
        const Received r = raw_recv(p.receiver, flags);
        CHECK(r.error == EAGAIN);
        CHECK(r.cmd.msg.offset == p.receiver.pool_size());
        CHECK(r.cmd.msg.msg_size == 0);
        CHECK(r.cmd.msg.return_flags == 0);
        CHECK(r.cmd.return_flags == 0);
        CHECK(r.cmd.dropped_msgs == 0);
        CHECK(p.receiver.free(r.cmd.msg.offset) == 0);
    }
}

TEST_CASE("messages 6.2 the inputs of RECV are not written") {
    Pair p;
    p.send(1);
    Command<kdbus_cmd_recv> c;
    c->flags = peek | by_priority;
    c->priority = 77;
    REQUIRE(p.receiver.run(KDBUS_CMD_RECV, c.address()) == 0);
    CHECK(c->size == 64);
    CHECK(c->flags == (peek | by_priority));
    CHECK(c->priority == 77);
}

TEST_CASE(
    "messages 6.2/13.16 the count of lost messages is reported once, by any outcome but EINVAL") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.pool_size = 4 * page});
    REQUIRE(receiver.match_all() == 0);
    auto lose = [&](int n) {
        for (int i = 0; i < n; i++)
            REQUIRE(sender.send(broadcast().filler(5000)) == 0);
    };
    auto check = [](const Received& r, u64 n) {
        CHECK(r.cmd.dropped_msgs == n);
        CHECK(r.cmd.return_flags == (n ? KDBUS_RECV_RETURN_DROPPED_MSGS : 0));
    };
    REQUIRE(sender.send(Message(receiver.id(), 1)) == 0);
    lose(2);
    CHECK(raw_recv(receiver, drop | by_priority).error == EINVAL); // keeps the count
    Received r = raw_recv(receiver, peek);
    CHECK(r.error == 0);
    check(r, 2);
    check(raw_recv(receiver, peek), 0);
    lose(3);
    r = raw_recv(receiver, by_priority, -1);
    CHECK(r.error == EAGAIN);
    check(r, 3);
    check(raw_recv(receiver, by_priority, -1), 0);
    lose(1);
    r = raw_recv(receiver, 0);
    CHECK(r.error == 0);
    CHECK(r.cmd.msg.return_flags == 0);
    check(r, 1);
    REQUIRE(sender.send(Message(receiver.id(), 2)) == 0);
    lose(4);
    r = raw_recv(receiver, drop);
    CHECK(r.error == 0);
    check(r, 4);
    lose(5);
    r = raw_recv(receiver, 0);
    CHECK(r.error == EAGAIN);
    check(r, 5);
    check(raw_recv(receiver, 0), 0);
}

TEST_CASE("messages 6.3 PEEK, RECV and FREE share one hold") {
    Pair p;
    p.send(1);
    SECTION("PEEK then RECV: same offset, one FREE") {
        const u64 offset = p.receiver.recv(peek).offset();
        CHECK(p.receiver.recv().offset() == offset);
        CHECK(p.receiver.free(offset) == 0);
        CHECK(p.receiver.free(offset) == ENXIO);
    }
    SECTION("PEEK, FREE, RECV") {
        const u64 offset = p.receiver.recv(peek).offset();
        CHECK(p.receiver.free(offset) == 0);
        CHECK(p.receiver.free(offset) == ENXIO);
        const Received r = p.receiver.recv();
        CHECK(r.offset() == offset);
        CHECK(r->cookie == 1);
        CHECK(p.receiver.free(offset) == 0);
    }
    SECTION("PEEK then DROP: the slice survives until FREE") {
        const Received peeked = p.receiver.recv(peek);
        REQUIRE(p.receiver.recv(drop).error == 0);
        p.send(2);
        CHECK(p.receiver.take().offset() != peeked.offset());
        CHECK(std::memcmp(p.receiver.at(peeked.offset()), peeked.bytes(), 64) == 0);
        CHECK(p.receiver.free(peeked.offset()) == 0);
        CHECK(p.receiver.free(peeked.offset()) == ENXIO);
    }
    SECTION("PEEK, FREE, DROP: gone") {
        const u64 offset = p.receiver.recv(peek).offset();
        CHECK(p.receiver.free(offset) == 0);
        REQUIRE(p.receiver.recv(drop).error == 0);
        CHECK(p.receiver.free(offset) == ENXIO);
        p.send(2);
        CHECK(p.receiver.take().offset() == offset);
    }
    CHECK(p.receiver.empty());
}

TEST_CASE("messages 6.3 unfreed slices lead to EXFULL, not ENOBUFS") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.pool_size = 4 * page});
    std::vector<u64> kept;
    int error = 0;
    while ((error = sender.send(Message(receiver.id()).filler(1000))) == 0)
        kept.push_back(receiver.recv().offset());
    CHECK(error == EXFULL);
    CHECK(kept.size() == 4 * page / 1096);
    REQUIRE(receiver.free(kept[3]) == 0);
    CHECK(sender.send(Message(receiver.id()).filler(1000)) == 0);
    CHECK(receiver.recv().offset() == kept[3]);
}

TEST_CASE("messages 6 several processes receive from one connection: each message once") {
    Pair p;
    constexpr u64 count = 200;
    for (u64 i = 0; i < count; i++)
        p.send(i);
    auto receive = [&] {
        std::vector<u64> cookies;
        for (;;) {
            Command<kdbus_cmd_recv> c;
            if (p.receiver.run(KDBUS_CMD_RECV, c.address()) != 0)
                return cookies;
            u64 cookie = 0;
            std::memcpy(&cookie, p.receiver.at(c->msg.offset + 48), 8);
            cookies.push_back(cookie);
        }
    };
    auto other = std::async(std::launch::async, receive);
    std::vector<u64> all = receive(), theirs = other.get();
    // Each of them in order.
    CHECK(std::is_sorted(all.begin(), all.end()));
    CHECK(std::is_sorted(theirs.begin(), theirs.end()));
    all.insert(all.end(), theirs.begin(), theirs.end());
    std::sort(all.begin(), all.end());
    CHECK(all.size() == count);
    CHECK(std::unique(all.begin(), all.end()) == all.end());
}

TEST_CASE("messages 6.2 RECV never blocks, even with a blocking descriptor") {
    Pair p;
    REQUIRE((fcntl(p.receiver.fd(), F_GETFL) & O_NONBLOCK) == 0);
    const u64 start = now_ns();
    CHECK(p.receiver.recv().error == EAGAIN);
    CHECK(now_ns() - start < 30'000'000'000);
}
