// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 12 (ordering a client may rely on).
#include "support.hpp"

#include <atomic>

using namespace test;

TEST_CASE("messages 12/1-2 delivery is synchronous, and one sender's messages stay in order") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect();
    REQUIRE(receiver.match_all() == 0);
    REQUIRE(receiver.send(Message(sender.id(), 1).call(in_ms(60'000))) == 0);
    std::vector<u64> expected;
    for (u64 i = 1; i <= 60; i++) {
        Message m(receiver.id(), i);
        if (i % 3 == 1)
            m = broadcast(0, i);
        else if (i % 3 == 2)
            m.flags(KDBUS_MSG_SIGNAL).bloom(0, {0});
        if (i == 30)
            m = reply_to(receiver.id(), 1, i);
        REQUIRE(sender.send(m) == 0);
        CHECK(receiver.readable());
        expected.push_back(i);
    }
    for (u64 cookie : expected)
        CHECK(receiver.take()->cookie == cookie);
}

TEST_CASE("messages 12/2,4 several senders: each one's messages in order, kernel's included") {
    Bus bus;
    Connection receiver = bus.connect();
    Command<kdbus_cmd_match> rule;
    rule.words(KDBUS_ITEM_NAME_ADD, {all_ones, 0, all_ones, 0});
    REQUIRE(receiver.match(rule) == 0);
    constexpr u64 per_sender = 60;
    auto traffic = [&](u64 n) {
        Connection c = bus.connect();
        for (u64 i = 1; i <= per_sender; i++) {
            Message m(receiver.id(), i);
            if (c.send(m) != 0)
                return 1;
            if (i % 20 == 0 && c.acquire("s.n" + std::to_string(n * 1000 + i)) != 0)
                return 2;
        }
        return 0;
    };
    std::vector<Child> children;
    for (u64 n = 1; n <= 3; n++)
        children.emplace_back([&, n] { return traffic(n); });
    for (Child& c : children)
        CHECK(c.wait() == 0);
    std::vector<std::pair<u64, u64>> last; // sender, cookie
    int notifications = 0;
    auto cookie_of = [&](u64 id) -> u64& {
        for (auto& [sender, cookie] : last)
            if (sender == id)
                return cookie;
        last.emplace_back(id, 0);
        return last.back().second;
    };
    while (!receiver.empty()) {
        const Received r = receiver.take();
        if (r->src_id == 0) {
            // A name is announced behind what its new owner had sent before.
            notifications++;
            CHECK(cookie_of(r.word(96)) % 20 == 0);
        } else {
            CHECK(r->cookie == ++cookie_of(r->src_id));
        }
    }
    CHECK(notifications == 9);
    CHECK(last.size() == 3);
}

TEST_CASE("messages 12/3 causality") {
    Bus bus;
    Connection a = bus.connect(), b = bus.connect(), c = bus.connect();
    std::atomic<bool> stop = false;
    // c tells b whatever a told c.
    std::thread relay([&] {
        while (!stop) {
            const Received r = c.recv();
            if (r.error != 0) {
                c.readable(20);
                continue;
            }
            c.free(r.offset());
            c.send(Message(b.id(), r.slice[6]));
        }
    });
    for (u64 i = 1; i <= 100; i++) {
        REQUIRE(a.send(Message(b.id(), i)) == 0);
        REQUIRE(a.send(Message(c.id(), i)) == 0);
        REQUIRE(b.readable(10'000));
        Received first = b.take();
        CHECK(first->src_id == a.id());
        CHECK(first->cookie == i);
        REQUIRE(b.readable(10'000));
        Received second = b.take();
        CHECK(second->src_id == c.id());
        CHECK(second->cookie == i);
    }
    stop = true;
    relay.join();
}

TEST_CASE("messages 12/5 USE_PRIORITY is first in, first out within one priority value") {
    Bus bus;
    Connection c = bus.connect();
    for (u64 i = 0; i < 60; i++)
        REQUIRE(c.send(Message(c.id(), i).priority(static_cast<s64>(i % 3) - 1)) == 0);
    for (s64 priority : {-1, 0, 1})
        for (u64 i = 0; i < 20; i++)
            CHECK(c.take(KDBUS_RECV_USE_PRIORITY, priority)->cookie ==
                  3 * i + static_cast<u64>(priority + 1));
}

TEST_CASE("messages 12/1 the notification of one's own doing is there when the call returns") {
    Bus bus;
    Connection c = bus.connect();
    REQUIRE(c.match_all() == 0);
    for (int i = 0; i < 50; i++) {
        REQUIRE(c.acquire("a.b") == 0);
        expect_name_notification(c, KDBUS_ITEM_NAME_ADD, 0, 0, c.id(), KDBUS_NAME_PRIMARY, "a.b");
        REQUIRE(c.release("a.b") == 0);
        expect_name_notification(c, KDBUS_ITEM_NAME_REMOVE, c.id(), KDBUS_NAME_PRIMARY, 0, 0,
                                 "a.b");
        Connection other = bus.connect({.pool_size = page});
        const u64 id = other.id();
        expect_id_notification(c, KDBUS_ITEM_ID_ADD, id, 0);
        other.close();
        expect_id_notification(c, KDBUS_ITEM_ID_REMOVE, id, 0);
    }
}
