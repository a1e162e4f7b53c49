// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 4 (calls and replies, asynchronous).
#include "support.hpp"

using namespace test;

namespace {

struct Pair {
    Bus bus;
    Connection caller = bus.connect(), callee = bus.connect();

    int call(u64 cookie, u64 ms = 60'000) const {
        return caller.send(Message(callee.id(), cookie).call(in_ms(ms)));
    }
    int reply(u64 cookie) const { return callee.send(reply_to(caller.id(), cookie)); }
};

} // namespace

TEST_CASE("messages 4 call and reply") {
    Pair p;
    REQUIRE(p.call(7) == 0);
    const Received request = p.callee.take();
    CHECK(request->flags == KDBUS_MSG_EXPECT_REPLY);
    CHECK(request->cookie == 7);
    Message answer = reply_to(request->src_id, 7, 55);
    answer.body("answer");
    CHECK(p.callee.send(answer) == 0);
    const Received r = p.caller.take();
    CHECK(r->cookie_reply == 7);
    CHECK(r->cookie == 55);
    CHECK(r->flags == 0);
    CHECK(r->src_id == p.callee.id());
    CHECK(r.body() == "answer");
    CHECK(p.callee.send(answer) == EBADSLT);
    CHECK(p.caller.empty());
}

TEST_CASE("messages 4.2 a reply can be sent before the request is read, and by name") {
    Pair p;
    REQUIRE(p.caller.acquire("a.caller") == 0);
    REQUIRE(p.call(7) == 0);
    Message answer = reply_to(0, 7);
    answer.to("a.caller");
    CHECK(p.callee.send(answer) == 0);
    CHECK(p.caller.take()->cookie_reply == 7);
    // The request itself is never withdrawn.
    CHECK(p.callee.take()->cookie == 7);
}

TEST_CASE("messages 4.2 EBADSLT") {
    Pair p;
    Connection third = p.bus.connect();
    CHECK(p.reply(1) == EBADSLT);
    REQUIRE(p.call(2) == 0);
    CHECK(p.reply(3) == EBADSLT);
    CHECK(third.send(reply_to(p.caller.id(), 2)) == EBADSLT);
    CHECK(p.caller.send(reply_to(p.callee.id(), 2)) == EBADSLT);
    CHECK(p.reply(2) == 0);
    CHECK(p.reply(2) == EBADSLT);
    p.caller.take();
    REQUIRE(p.call(4, 10) == 0);
    REQUIRE(p.caller.readable(10'000));
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, 4);
    CHECK(p.reply(4) == EBADSLT);
    // A plain message opens no slot, a signal neither.
    REQUIRE(p.caller.send(Message(p.callee.id(), 5)) == 0);
    CHECK(p.reply(5) == EBADSLT);
    // A call whose delivery failed opens none.
    CHECK(p.caller.send(Message(p.callee.id(), 6).filler(300'000).call(in_ms(60'000))) == ENOBUFS);
    CHECK(p.reply(6) == EBADSLT);
}

TEST_CASE("messages 4.2 the caller is gone: ENXIO") {
    Pair p;
    REQUIRE(p.call(1) == 0);
    const u64 id = p.caller.id();
    p.caller.close();
    CHECK(p.callee.send(reply_to(id, 1)) == ENXIO);
    // The request is still there.
    CHECK(p.callee.take()->cookie == 1);
}

TEST_CASE("messages 1.2 a call with cookie 0 cannot be answered") {
    Pair p;
    REQUIRE(p.call(0, 50) == 0);
    REQUIRE(p.caller.readable(10'000));
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, 0);
    REQUIRE(p.call(0) == 0);
    // cookie_reply 0 makes a plain message.
    CHECK(p.callee.send(reply_to(p.caller.id(), 0)) == 0);
    CHECK(p.caller.take()->src_id == p.callee.id());
    p.callee.close();
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_DEAD, 0);
    CHECK(p.caller.empty());
}

TEST_CASE("messages 4.1 cookies need not be unique; the most recent slot is consumed") {
    Pair p;
    // The older call has the shorter deadline: it must be the one to time out.
    REQUIRE(p.call(9, 300) == 0);
    REQUIRE(p.call(9, 60'000) == 0);
    CHECK(p.reply(9) == 0);
    // It may have done so before the reply.
    std::vector<u64> sources;
    for (int i = 0; i < 2; i++) {
        REQUIRE(p.caller.readable(10'000));
        const Received r = p.caller.take();
        CHECK(r->cookie_reply == 9);
        if (r->src_id == KDBUS_SRC_ID_KERNEL)
            CHECK(r.word(72) == KDBUS_ITEM_REPLY_TIMEOUT);
        sources.push_back(r->src_id);
    }
    std::sort(sources.begin(), sources.end());
    CHECK(sources == std::vector<u64>{KDBUS_SRC_ID_KERNEL, p.callee.id()});
    CHECK(p.reply(9) == EBADSLT);
    REQUIRE(p.call(9) == 0);
    REQUIRE(p.call(9) == 0);
    CHECK(p.reply(9) == 0);
    CHECK(p.reply(9) == 0);
    CHECK(p.reply(9) == EBADSLT);
    // The same cookie at two callees.
    Connection other = p.bus.connect();
    REQUIRE(p.call(8) == 0);
    REQUIRE(p.caller.send(Message(other.id(), 8).call(in_ms(60'000))) == 0);
    CHECK(p.reply(8) == 0);
    CHECK(p.reply(8) == EBADSLT);
    CHECK(other.send(reply_to(p.caller.id(), 8)) == 0);
}

TEST_CASE("messages 4.1/13.13 128 open calls, sync and async together, over several callees") {
    Bus bus;
    Connection caller = bus.connect();
    std::vector<Connection> callees;
    for (int i = 0; i < 4; i++)
        callees.push_back(bus.connect());
    auto call = [&](std::size_t to, u64 cookie, u64 ms) {
        return caller.send(Message(callees[to].id(), cookie).call(in_ms(ms)));
    };
    for (u64 i = 0; i < KDBUS_CONN_MAX_REQUESTS_PENDING; i++)
        REQUIRE(call(i % 4, i + 1, i == 0 ? 100 : 60'000) == 0);
    CHECK(call(0, 200, 60'000) == EMLINK);
    Message sync(callees[1].id(), 201);
    CHECK(caller.call(sync.call(in_ms(60'000))).error == EMLINK);
    // Timed out, but unread at the callee: still counted.
    REQUIRE(caller.readable(10'000));
    expect_reply_notification(caller, KDBUS_ITEM_REPLY_TIMEOUT, 1);
    CHECK(call(0, 202, 60'000) == EMLINK);
    // Read, and so released.
    CHECK(callees[0].take()->cookie == 1);
    CHECK(call(0, 203, 60'000) == 0);
    CHECK(call(0, 204, 60'000) == EMLINK);
    // Answered but unread: still counted; then read.
    CHECK(callees[1].send(reply_to(caller.id(), 2)) == 0);
    CHECK(call(1, 205, 60'000) == EMLINK);
    CHECK(callees[1].take()->cookie == 2);
    CHECK(call(1, 206, 60'000) == 0);
    CHECK(call(1, 207, 60'000) == EMLINK);
    // Read but open: counted; then answered.
    CHECK(callees[2].take()->cookie == 3);
    CHECK(call(2, 208, 60'000) == EMLINK);
    CHECK(callees[2].send(reply_to(caller.id(), 3)) == 0);
    CHECK(call(2, 209, 60'000) == 0);
    // Dropped: both at once.
    CHECK(call(3, 210, 60'000) == EMLINK);
    CHECK(callees[3].recv(KDBUS_RECV_DROP).error == 0);
    CHECK(call(3, 211, 60'000) == 0);
    // The death of a callee releases all of its calls.
    CHECK(call(0, 212, 60'000) == EMLINK);
    callees[3].close();
    for (u64 i = 0; i < 32; i++)
        REQUIRE(call(0, 300 + i, 60'000) == 0);
    CHECK(call(0, 400, 60'000) == EMLINK);
    // Plain messages are not concerned.
    CHECK(caller.send(Message(callees[0].id())) == 0);
}

TEST_CASE("messages 4.1 a PEEK does not release the unit, the limit is each connection's own") {
    Pair p;
    Connection other = p.bus.connect();
    for (u64 i = 0; i < KDBUS_CONN_MAX_REQUESTS_PENDING; i++)
        REQUIRE(p.call(i + 1) == 0);
    CHECK(p.reply(1) == 0);
    CHECK(p.callee.recv(KDBUS_RECV_PEEK).error == 0);
    CHECK(p.call(500) == EMLINK);
    CHECK(other.send(Message(p.callee.id(), 1).call(in_ms(60'000))) == 0);
}

TEST_CASE(
    "messages 4.2/13.53 a failed validation leaves the slot open, a failed delivery closes it") {
    Pair p;
    Fd file = open_node("/dev/null");
    auto with_fds = [&](u64 cookie, int fd) {
        Message m = reply_to(p.caller.id(), cookie);
        m.fds({fd});
        return m;
    };
    SECTION("validation and addressing") {
        REQUIRE(p.call(1) == 0);
        CHECK(p.callee.send(with_fds(1, p.caller.fd())) == EOPNOTSUPP);
        CHECK(p.callee.send(with_fds(1, 4000)) == EBADF);
        Message wrong = reply_to(p.caller.id(), 1);
        CHECK(p.callee.send(wrong.hole(u64{1} << 30)) == EMSGSIZE);
        CHECK(p.callee.send(reply_to(99999999, 1)) == ENXIO);
        CHECK(p.reply(1) == 0);
    }
    SECTION("ECOMM") {
        REQUIRE(p.call(2) == 0);
        CHECK(p.callee.send(with_fds(2, file.get())) == ECOMM);
        CHECK(p.reply(2) == EBADSLT);
        CHECK(p.caller.empty());
    }
    SECTION("ENOBUFS") {
        REQUIRE(p.call(3) == 0);
        Message large = reply_to(p.caller.id(), 3);
        CHECK(p.callee.send(large.filler(300'000)) == ENOBUFS);
        CHECK(p.reply(3) == EBADSLT);
        CHECK(p.caller.empty());
    }
    SECTION("EFAULT") {
        REQUIRE(p.call(4) == 0);
        GuardedPages pages(1);
        Message bad = reply_to(p.caller.id(), 4);
        CHECK(p.callee.send(bad.vec(pages.end(), 8)) == EFAULT);
        CHECK(p.reply(4) == EBADSLT);
        CHECK(p.caller.empty());
    }
    // 128 calls fit: nothing leaked.
    drain(p.callee);
    for (u64 i = 0; i < KDBUS_CONN_MAX_REQUESTS_PENDING; i++)
        REQUIRE(p.call(1000 + i) == 0);
    CHECK(p.call(2000) == EMLINK);
}

TEST_CASE("messages 4.2 a reply that exceeds the caller's fd quota or pool closes the slot") {
    Bus bus;
    Connection caller = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD, .pool_size = 16 * page}),
               callee = bus.connect();
    Fd file = open_node("/dev/null");
    REQUIRE(caller.send(Message(callee.id(), 1).call(in_ms(60'000))) == 0);
    SECTION("EMFILE") {
        REQUIRE(callee.send(Message(caller.id()).fds(std::vector(16, file.get()))) == 0);
        CHECK(callee.send(reply_to(caller.id(), 1).fds({file.get()})) == EMFILE);
        close_descriptors(caller.take());
    }
    SECTION("EXFULL") {
        u64 last = 0;
        for (Info i; (i = caller.info(caller.id(), 0, {}, true)).error == 0;)
            last = i.offset;
        CHECK(callee.send(reply_to(caller.id(), 1)) == EXFULL);
        // Room for a notification there would be, but none comes.
        for (u64 offset = 0; offset <= last; offset += 24)
            CHECK(caller.free(offset) == 0);
    }
    CHECK(callee.send(reply_to(caller.id(), 1)) == EBADSLT);
    CHECK(caller.empty());
    callee.close();
    CHECK(caller.empty());
}

TEST_CASE("messages 4.3 the callee's endpoint ends: REPLY_DEAD") {
    Bus bus;
    Connection caller = bus.connect();
    Endpoint endpoint(bus);
    Connection callee = endpoint.connect();
    REQUIRE(caller.send(Message(callee.id(), 1).call(in_ms(60'000))) == 0);
    REQUIRE(caller.send(Message(callee.id(), 2).call(in_ms(60'000))) == 0);
    callee.take();
    endpoint.close();
    expect_dead_calls(caller, {1, 2});
    CHECK(caller.empty());
}

TEST_CASE("messages 4.3 the callee disconnects: exactly one REPLY_DEAD per open call") {
    Pair p;
    for (u64 cookie : {1, 2, 3, 4})
        REQUIRE(p.call(cookie, cookie == 4 ? 20 : 60'000) == 0);
    REQUIRE(p.caller.readable(10'000));
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, 4);
    p.callee.take(); // 1 is read, 2 answered, 3 unread and open
    REQUIRE(p.reply(2) == 0);
    SECTION("close") {
        p.callee.close();
    }
    SECTION("BYEBYE") {
        drain(p.callee);
        REQUIRE(p.callee.bye() == 0);
    }
    CHECK(p.caller.take()->cookie_reply == 2);
    expect_dead_calls(p.caller, {1, 3});
    CHECK(p.caller.empty());
}

TEST_CASE("messages 4.3 RECV_DROP of a call; reading it changes nothing") {
    Pair p;
    REQUIRE(p.call(1) == 0);
    REQUIRE(p.call(2) == 0);
    p.callee.take();
    CHECK(p.caller.empty());
    REQUIRE(p.callee.recv(KDBUS_RECV_DROP).error == 0);
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_DEAD, 2);
    CHECK(p.reply(2) == EBADSLT);
    CHECK(p.reply(1) == 0);
    p.caller.take();
    // Dropping a call whose slot has ended is silent.
    REQUIRE(p.call(3) == 0);
    CHECK(p.reply(3) == 0);
    p.caller.take();
    REQUIRE(p.callee.recv(KDBUS_RECV_DROP).error == 0);
    CHECK(p.caller.empty());
}

TEST_CASE("messages 4.3 the callee merely loses its name: unchanged") {
    Pair p;
    Connection next = p.bus.connect();
    REQUIRE(p.callee.acquire("a.b") == 0);
    REQUIRE(next.acquire("a.b", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(p.caller.send(Message(0, 1).to("a.b").call(in_ms(60'000))) == 0);
    REQUIRE(p.callee.release("a.b") == 0);
    CHECK(next.empty());
    CHECK(next.send(reply_to(p.caller.id(), 1)) == EBADSLT);
    CHECK(p.reply(1) == 0);
    CHECK(p.caller.take()->cookie_reply == 1);
    // Also when the name vanishes.
    REQUIRE(p.caller.send(Message(0, 2).to("a.b").call(in_ms(60'000))) == 0);
    REQUIRE(next.release("a.b") == 0);
    CHECK(next.send(reply_to(p.caller.id(), 2)) == 0);
}

TEST_CASE("messages 4.3 the caller disconnects: the slot is forgotten") {
    Pair p;
    REQUIRE(p.call(1) == 0);
    REQUIRE(p.caller.bye() == 0);
    CHECK(p.callee.send(reply_to(p.caller.id(), 1)) == ENXIO);
    REQUIRE(p.callee.recv(KDBUS_RECV_DROP).error == 0);
}

TEST_CASE("messages 4.4 deadlines: never early, in the past at once, each on its own") {
    Pair p;
    SECTION("not before the deadline") {
        for (u64 ms : {1, 30, 150}) {
            const u64 deadline = in_ms(ms);
            REQUIRE(p.caller.send(Message(p.callee.id(), ms).call(deadline)) == 0);
            REQUIRE(p.caller.readable(10'000));
            CHECK(now_ns() >= deadline);
            const Received r = expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, ms);
            CHECK(r.get(KDBUS_ITEM_TIMESTAMP).word(1) >= deadline);
        }
    }
    SECTION("a deadline in the past: delivered, and times out at once") {
        REQUIRE(p.caller.send(Message(p.callee.id(), 5).call(1)) == 0);
        CHECK(p.callee.take()->cookie == 5);
        REQUIRE(p.caller.readable(10'000));
        expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, 5);
    }
    SECTION("in order of deadlines, whatever the order of calls") {
        const u64 now = now_ns();
        const u64 delays[] = {400, 100, 300, 200};
        for (u64 ms : delays)
            REQUIRE(p.caller.send(Message(p.callee.id(), ms).call(now + ms * 1'000'000)) == 0);
        for (u64 ms : {100, 200, 300, 400}) {
            REQUIRE(p.caller.readable(10'000));
            CHECK(now_ns() >= now + ms * 1'000'000);
            expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, ms);
        }
        CHECK(p.caller.empty());
    }
    SECTION("an answered call does not time out") {
        for (u64 ms = 100;; ms *= 4) {
            REQUIRE(p.call(6, ms) == 0);
            const int replied = p.reply(6);
            if (replied == 0) {
                p.caller.take();
                sleep_ms(static_cast<int>(ms) + 100);
                CHECK(p.caller.empty());
                break;
            }
            REQUIRE(replied == EBADSLT); // too late
            REQUIRE(p.caller.readable(10'000));
            p.caller.take();
        }
    }
    SECTION("no upper bound, and unsigned") {
        for (u64 deadline : {u64{1} << 62, u64{1} << 63, all_ones}) {
            REQUIRE(p.caller.send(Message(p.callee.id(), 7).call(deadline)) == 0);
            sleep_ms(20);
            CHECK(p.caller.empty());
            CHECK(p.reply(7) == 0);
            p.caller.take();
        }
    }
    SECTION("a later, nearer deadline is not missed") {
        REQUIRE(p.call(1, 60'000) == 0);
        REQUIRE(p.call(2, 50) == 0);
        REQUIRE(p.caller.readable(30'000));
        expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, 2);
    }
}

TEST_CASE("messages 4.5/14.7 notifications that do not fit are lost without being counted") {
    Bus bus;
    Connection caller = bus.connect({.pool_size = page}), callee = bus.connect();
    while (caller.info(caller.id(), 0, {}, true).error == 0) {
    }
    REQUIRE(caller.send(Message(callee.id(), 1).call(in_ms(20))) == 0);
    sleep_ms(150);
    REQUIRE(caller.send(Message(callee.id(), 2).call(in_ms(60'000))) == 0);
    callee.close();
    const Received r = caller.recv();
    CHECK(r.error == EAGAIN);
    CHECK(r.cmd.dropped_msgs == 0);
    CHECK(!caller.readable());
}

TEST_CASE("messages 4.2 an asynchronous reply is queued in order with other traffic") {
    Pair p;
    REQUIRE(p.call(1) == 0);
    REQUIRE(p.callee.send(Message(p.caller.id(), 10)) == 0);
    REQUIRE(p.reply(1) == 0);
    REQUIRE(p.callee.send(Message(p.caller.id(), 11)) == 0);
    CHECK(p.caller.take()->cookie == 10);
    CHECK(p.caller.take()->cookie_reply == 1);
    CHECK(p.caller.take()->cookie == 11);
}

TEST_CASE("messages 4 a call to oneself") {
    Bus bus;
    Connection c = bus.connect();
    REQUIRE(c.send(Message(c.id(), 3).call(in_ms(60'000))) == 0);
    CHECK(c.take()->cookie == 3);
    CHECK(c.send(reply_to(c.id(), 3)) == 0);
    CHECK(c.take()->cookie_reply == 3);
    // Closing with an open call to oneself.
    REQUIRE(c.send(Message(c.id(), 4).call(in_ms(60'000))) == 0);
    c.close();
}
