// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 8 (kernel notifications) and abi.md 10.4.
#include "support.hpp"

using namespace test;

namespace {

constexpr u64 primary = KDBUS_NAME_PRIMARY;

struct Watched {
    Bus bus;
    Connection observer = bus.connect();
    Watched() { REQUIRE(observer.match_all() == 0); }
};

// The TIMESTAMP item at `offset`, which ends the message.
void check_timestamp(const Received& r, u64 offset, u64 before_monotonic, u64 before_realtime) {
    CHECK(r.word(offset) == 40);
    CHECK(r.word(offset + 8) == KDBUS_ITEM_TIMESTAMP);
    CHECK(r.word(offset + 16) > 0);
    CHECK(r.word(offset + 24) >= before_monotonic);
    CHECK(r.word(offset + 24) <= now_ns());
    CHECK(r.word(offset + 32) >= before_realtime);
    CHECK(r.word(offset + 32) <= now_ns(CLOCK_REALTIME));
    CHECK(r->size == offset + 40);
    CHECK(r.cmd.msg.msg_size == r->size);
}

std::vector<u64> header(const Received& r) {
    return {r.slice.begin() + 1, r.slice.begin() + 8};
}

} // namespace

TEST_CASE("messages 8.1 ID_ADD and ID_REMOVE, byte for byte, whatever the attach flags") {
    for (u64 mask : {u64{0}, all_ones}) {
        Bus bus;
        Connection observer = bus.connect({.recv = mask});
        REQUIRE(observer.match_all() == 0);
        const u64 monotonic = now_ns(), realtime = now_ns(CLOCK_REALTIME);
        Connection other = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
        const u64 id = other.id();
        other.close();
        for (u64 type : {KDBUS_ITEM_ID_ADD, KDBUS_ITEM_ID_REMOVE}) {
            CAPTURE(mask, type);
            const Received r = observer.take();
            CHECK(r->size == 136);
            CHECK(header(r) == std::vector<u64>{KDBUS_MSG_SIGNAL, 0, all_ones, 0, 0, 0, 0});
            CHECK(r.word(64) == 32);
            CHECK(r.word(72) == type);
            CHECK(r.word(80) == id);
            CHECK(r.word(88) == KDBUS_HELLO_ACCEPT_FD);
            check_timestamp(r, 96, monotonic, realtime);
        }
        CHECK(observer.empty());
    }
}

TEST_CASE("messages 8.1 NAME_*, byte for byte, for names of every length modulo 8") {
    Watched w;
    Connection a = w.bus.connect(), b = w.bus.connect();
    drain(w.observer);
    for (std::size_t length = 3; length <= 11; length++) {
        const std::string name = "a." + std::string(length - 2, 'n');
        const u64 monotonic = now_ns(), realtime = now_ns(CLOCK_REALTIME);
        REQUIRE(a.acquire(name, KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
        REQUIRE(b.acquire(name, KDBUS_NAME_REPLACE_EXISTING | KDBUS_NAME_QUEUE) == 0);
        REQUIRE(b.release(name) == 0);
        struct Row {
            u64 type, words[4];
        };
        const u64 a_flags = primary | KDBUS_NAME_ALLOW_REPLACEMENT,
                  b_flags = primary | KDBUS_NAME_QUEUE;
        for (const Row& row : {Row{KDBUS_ITEM_NAME_ADD, {0, 0, a.id(), a_flags}},
                               Row{KDBUS_ITEM_NAME_CHANGE, {a.id(), a_flags, b.id(), b_flags}},
                               Row{KDBUS_ITEM_NAME_REMOVE, {b.id(), b_flags, 0, 0}}}) {
            CAPTURE(length, row.type);
            const Received r = w.observer.take();
            CHECK(header(r) == std::vector<u64>{KDBUS_MSG_SIGNAL, 0, all_ones, 0, 0, 0, 0});
            CHECK(r.word(64) == 49 + length);
            CHECK(r.word(72) == row.type);
            for (std::size_t i = 0; i < 4; i++)
                CHECK(r.word(80 + 8 * i) == row.words[i]);
            std::string padded = name;
            padded.resize(align8(length + 1));
            CHECK(std::memcmp(r.bytes() + 112, padded.data(), padded.size()) == 0);
            check_timestamp(r, align8(113 + length), monotonic, realtime);
        }
    }
    CHECK(w.observer.empty());
}

TEST_CASE("messages 8.1 REPLY_TIMEOUT and REPLY_DEAD, byte for byte, without any match") {
    Bus bus;
    Connection caller = bus.connect(), callee = bus.connect();
    const u64 monotonic = now_ns(), realtime = now_ns(CLOCK_REALTIME);
    REQUIRE(caller.send(Message(callee.id(), 0xabcd).call(in_ms(20))) == 0);
    REQUIRE(caller.readable(10'000));
    REQUIRE(caller.send(Message(callee.id(), 0x1234).call(in_ms(60'000))) == 0);
    callee.close();
    struct Row {
        u64 type, cookie;
    };
    for (const Row& row :
         {Row{KDBUS_ITEM_REPLY_TIMEOUT, 0xabcd}, Row{KDBUS_ITEM_REPLY_DEAD, 0x1234}}) {
        const Received r = caller.take();
        CAPTURE(row.type);
        CHECK(r->size == 120);
        CHECK(header(r) == std::vector<u64>{0, 0, caller.id(), 0, 0, 0, row.cookie});
        CHECK(r.word(64) == 16);
        CHECK(r.word(72) == row.type);
        check_timestamp(r, 80, monotonic, realtime);
    }
    CHECK(caller.empty());
}

TEST_CASE("messages 8.2/abi 13.28 one ID_ADD and one ID_REMOVE per connection life") {
    Watched w;
    for (bool bye : {false, true}) {
        Connection c = w.bus.connect();
        const u64 id = c.id();
        expect_id_notification(w.observer, KDBUS_ITEM_ID_ADD, id, 0);
        if (bye) {
            REQUIRE(c.bye() == 0);
            expect_id_notification(w.observer, KDBUS_ITEM_ID_REMOVE, id, 0);
            c.close();
        } else {
            c.close();
            expect_id_notification(w.observer, KDBUS_ITEM_ID_REMOVE, id, 0);
        }
        CHECK(w.observer.empty());
    }
}

TEST_CASE("messages 8.2/abi 13.27 a connection sees its names, never its own coming and going") {
    Watched w;
    Connection c = w.bus.connect();
    REQUIRE(c.match_all() == 0);
    CHECK(c.empty());
    REQUIRE(c.acquire("a.b") == 0);
    expect_name_notification(c, KDBUS_ITEM_NAME_ADD, 0, 0, c.id(), primary, "a.b");
    REQUIRE(c.release("a.b") == 0);
    expect_name_notification(c, KDBUS_ITEM_NAME_REMOVE, c.id(), primary, 0, 0, "a.b");
    CHECK(c.empty());
    REQUIRE(c.acquire("a.b") == 0);
    drain(c);
    CHECK(c.bye() == 0);
}

TEST_CASE("messages 8.2/abi 13.34 what only queues or changes flags is silent") {
    Watched w;
    Connection a = w.bus.connect(), b = w.bus.connect();
    REQUIRE(a.acquire("a.b") == 0);
    drain(w.observer);
    REQUIRE(a.acquire("a.b", KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
    REQUIRE(b.acquire("a.b", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(b.acquire("a.b", KDBUS_NAME_QUEUE | KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
    REQUIRE(b.acquire("a.b") == 0);
    REQUIRE(b.acquire("a.b", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(b.release("a.b") == 0);
    CHECK(w.observer.empty());
    REQUIRE(b.acquire("a.b", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(a.release("a.b") == 0);
    expect_name_notification(w.observer, KDBUS_ITEM_NAME_CHANGE, a.id(),
                             primary | KDBUS_NAME_ALLOW_REPLACEMENT, b.id(),
                             primary | KDBUS_NAME_QUEUE, "a.b");
    CHECK(w.observer.empty());
}

TEST_CASE("messages 8.3 one disconnect: names, then REPLY_DEAD, then ID_REMOVE") {
    Bus bus;
    Connection caller = bus.connect(), callee = bus.connect();
    REQUIRE(caller.match_all() == 0);
    REQUIRE(callee.acquire("z.one") == 0);
    REQUIRE(callee.acquire("a.two") == 0);
    drain(caller);
    REQUIRE(caller.send(Message(callee.id(), 11).call(in_ms(60'000))) == 0);
    REQUIRE(caller.send(Message(callee.id(), 12).call(in_ms(60'000))) == 0);
    callee.take();
    const u64 id = callee.id();
    callee.close();
    expect_name_notification(caller, KDBUS_ITEM_NAME_REMOVE, id, primary, 0, 0, "z.one");
    expect_name_notification(caller, KDBUS_ITEM_NAME_REMOVE, id, primary, 0, 0, "a.two");
    expect_dead_calls(caller, {11, 12});
    expect_id_notification(caller, KDBUS_ITEM_ID_REMOVE, id, 0);
    CHECK(caller.empty());
}

TEST_CASE("messages 8.3 the death of a bus: everybody's connection ends") {
    Bus bus;
    std::vector<Connection> peers;
    for (int i = 0; i < 4; i++) {
        peers.push_back(bus.connect());
        REQUIRE(peers.back().match_all() == 0);
        REQUIRE(peers.back().acquire("a.x" + std::to_string(i)) == 0);
    }
    REQUIRE(peers[0].send(Message(peers[1].id(), 3).call(in_ms(60'000))) == 0);
    bus.close();
    for (const Connection& c : peers)
        CHECK(c.recv().error == ECONNRESET);
}

TEST_CASE("messages 8.3 the same order for all receivers, and sequence numbers grow") {
    Bus bus;
    Connection first = bus.connect(), second = bus.connect();
    REQUIRE(first.match_all() == 0);
    REQUIRE(second.match_all() == 0);
    auto churn = [&](int n) {
        for (int i = 0; i < 20; i++) {
            Fd fd(::open(bus.path().c_str(), O_RDWR | O_CLOEXEC));
            auto c = hello_command({.pool_size = page});
            if (command(fd.get(), KDBUS_CMD_HELLO, c.address()) != 0)
                return false;
            Plain acquire;
            acquire.text(KDBUS_ITEM_NAME, "n.x" + std::to_string(n));
            if (command(fd.get(), KDBUS_CMD_NAME_ACQUIRE, acquire.address()) != 0)
                return false;
        }
        return true;
    };
    auto other = std::async(std::launch::async, churn, 1);
    CHECK(churn(2));
    CHECK(other.get());
    std::vector<std::vector<u64>> seen[2];
    for (int who = 0; who < 2; who++) {
        const Connection& c = who ? second : first;
        u64 last = 0;
        for (;;) {
            Received r = c.recv();
            if (r.error == EAGAIN)
                break;
            const u64 sequence = r.get(KDBUS_ITEM_TIMESTAMP).word(0);
            CHECK(sequence > last);
            last = sequence;
            seen[who].push_back(r.slice);
            c.free(r.offset());
        }
    }
    // 2 x 20 lives of ID_ADD, NAME_ADD, NAME_REMOVE, ID_REMOVE; first saw second's HELLO too or
    // not, depending on when it matched: it did not.
    CHECK(seen[0].size() == 160);
    CHECK(seen[0] == seen[1]);
}

TEST_CASE("messages 8.3 RECV_DROP: REPLY_DEAD is queued before it returns") {
    Bus bus;
    Connection caller = bus.connect(), callee = bus.connect();
    REQUIRE(caller.send(Message(callee.id(), 5).call(in_ms(60'000))) == 0);
    REQUIRE(callee.recv(KDBUS_RECV_DROP).error == 0);
    expect_reply_notification(caller, KDBUS_ITEM_REPLY_DEAD, 5);
    CHECK(caller.empty());
}

TEST_CASE("messages 8.3/13.45 notifications have their own quota") {
    Watched w;
    Connection sender = w.bus.connect();
    drain(w.observer);
    REQUIRE(sender.acquire("a.b") == 0); // 1
    std::vector<Connection> others;
    for (int i = 0; i < 255; i++)
        others.push_back(w.bus.connect({.pool_size = page}));
    // Now 256 are unread; a user message still fits, further notifications are counted.
    REQUIRE(sender.send(Message(w.observer.id(), 77).body("from a user")) == 0);
    CHECK(sender.release("a.b") == 0);
    others.pop_back();
    CHECK(sender.acquire("a.b") == 0);
    // The very next RECV reports the full count though older messages are returned.
    Received r = w.observer.recv();
    REQUIRE(r.error == 0);
    CHECK(r.word(72) == KDBUS_ITEM_NAME_ADD);
    CHECK(r.cmd.dropped_msgs == 3);
    CHECK(r.cmd.return_flags == KDBUS_RECV_RETURN_DROPPED_MSGS);
    for (int i = 0; i < 255; i++) {
        r = w.observer.recv();
        REQUIRE(r.error == 0);
        CHECK(r.word(72) == KDBUS_ITEM_ID_ADD);
        CHECK(r.cmd.dropped_msgs == 0);
    }
    CHECK(w.observer.take()->cookie == 77);
    CHECK(w.observer.empty());
}

TEST_CASE("messages 8.3 full user queues do not block notifications") {
    Watched w;
    Connection sender = w.bus.connect();
    drain(w.observer);
    int sent = 0;
    while (sender.send(Message(w.observer.id())) == 0)
        sent++;
    CHECK(sent == KDBUS_CONN_MAX_MSGS);
    REQUIRE(sender.acquire("a.b") == 0);
    CHECK(drain(w.observer) == KDBUS_CONN_MAX_MSGS + 1);
}
