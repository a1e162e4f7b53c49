// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 7 (signals: broadcast and unicast) and the policy of 3.2 for them.
#include "support.hpp"

using namespace test;

namespace {

Message unicast_signal(u64 id, u64 cookie = 1) {
    Message m(id, cookie);
    m.flags(KDBUS_MSG_SIGNAL).bloom(0, {0});
    return m;
}

void fill_pool(const Connection& c) {
    while (c.info(c.id(), 0, {}, true).error == 0) {
    }
}

// Maps a page that cannot be read.
void* unreadable() {
    void* p = mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    return p;
}

} // namespace

TEST_CASE("messages 7.1 a broadcast without any receiver succeeds") {
    Bus bus;
    Connection c = bus.connect();
    CHECK(c.send(broadcast().body("nobody listens")) == 0);
}

TEST_CASE("messages 7.2 every matching connection gets its copy") {
    Bus bus;
    Connection sender = bus.connect();
    std::vector<Connection> receivers;
    for (int i = 0; i < 5; i++) {
        receivers.push_back(bus.connect({.recv = i % 2 ? all_ones : 0}));
        Command<kdbus_cmd_match> m;
        m.word(KDBUS_ITEM_ID, sender.id());
        REQUIRE(receivers.back().match(m) == 0);
    }
    REQUIRE(sender.send(broadcast(0x77, 42, 9).body("to all")) == 0);
    for (const Connection& c : receivers) {
        const Received r = c.take();
        CHECK(r->flags == KDBUS_MSG_SIGNAL);
        CHECK(r->dst_id == KDBUS_DST_ID_BROADCAST);
        CHECK(r->src_id == sender.id());
        CHECK(r->cookie == 42);
        CHECK(r->cookie_reply == 0);
        CHECK(r->payload_type == payload_type);
        CHECK(r.body() == "to all");
        // The filter is kept.
        CHECK(r.get(KDBUS_ITEM_BLOOM_FILTER).words() == std::vector<u64>{9, 0x77});
    }
}

TEST_CASE("messages 7.2 undeliverable broadcasts are counted at the receiver; others get them") {
    Bus bus;
    Connection sender = bus.connect(), small = bus.connect({.pool_size = page}),
               large = bus.connect();
    REQUIRE(small.match_all() == 0);
    REQUIRE(large.match_all() == 0);
    SECTION("quota") {
        for (int i = 0; i < 3; i++)
            CHECK(sender.send(broadcast().filler(2000)) == 0);
    }
    SECTION("pool") {
        fill_pool(small);
        for (int i = 0; i < 3; i++)
            CHECK(sender.send(broadcast().filler(8)) == 0);
    }
    CHECK(drain(large) == 3);
    const Received r = small.recv();
    CHECK(r.error == EAGAIN);
    CHECK(r.cmd.dropped_msgs == 3);
    CHECK(small.recv().cmd.dropped_msgs == 0);
}

TEST_CASE("messages 7.1 unreadable payload: SEND succeeds, receivers count a loss") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect();
    REQUIRE(receiver.match_all() == 0);
    void* hidden = unreadable();
    CHECK(sender.send(broadcast().vec(hidden, 16)) == 0);
    CHECK(receiver.readable());
    const Received r = receiver.recv();
    CHECK(r.error == EAGAIN);
    CHECK(r.cmd.dropped_msgs == 1);
    // A unicast signal is lost without being counted.
    CHECK(sender.send(unicast_signal(receiver.id()).vec(hidden, 16)) == 0);
    CHECK(receiver.recv().cmd.dropped_msgs == 0);
    munmap(hidden, page);
    CHECK(sender.send(broadcast().body("fine")) == 0);
    CHECK(receiver.take().body() == "fine");
}

TEST_CASE("messages 7.2/13.46 not matched or not permitted: skipped, not counted") {
    Bus bus;
    Connection sender = bus.connect(), deaf = bus.connect({.pool_size = page}),
               stranger = connect_as(bus, 1000);
    REQUIRE(stranger.match_all() == 0);
    fill_pool(deaf);
    CHECK(sender.send(broadcast()) == 0);
    CHECK(sender.send(unicast_signal(deaf.id())) == 0);
    CHECK(sender.send(unicast_signal(stranger.id())) == 0);
    for (const Connection* c : {&deaf, &stranger}) {
        CHECK(!c->readable());
        const Received r = c->recv();
        CHECK(r.error == EAGAIN);
        CHECK(r.cmd.dropped_msgs == 0);
    }
}

TEST_CASE("messages 7.2 unicast signal: delivered if it matches, lost uncounted if it cannot be") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.pool_size = page}),
               other = bus.connect();
    REQUIRE(other.match_all() == 0);
    CHECK(sender.send(unicast_signal(receiver.id(), 1)) == 0);
    REQUIRE(receiver.match_all() == 0);
    CHECK(sender.send(unicast_signal(receiver.id(), 2).body("hello")) == 0);
    const Received r = receiver.take();
    CHECK(r->cookie == 2);
    CHECK(r->flags == KDBUS_MSG_SIGNAL);
    CHECK(r->dst_id == receiver.id());
    CHECK(r.body() == "hello");
    CHECK(receiver.empty());
    CHECK(other.empty());
    fill_pool(receiver);
    CHECK(sender.send(unicast_signal(receiver.id(), 3)) == 0);
    CHECK(!receiver.readable());
    CHECK(receiver.recv().cmd.dropped_msgs == 0);
}

TEST_CASE("messages 7.2 unicast signal by name") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect();
    REQUIRE(receiver.match_all() == 0);
    REQUIRE(receiver.acquire("a.b") == 0);
    drain(receiver);
    CHECK(sender.send(unicast_signal(0).to("a.b")) == 0);
    const Received r = receiver.take();
    CHECK(r->dst_id == 0);
    CHECK(r.get(KDBUS_ITEM_DST_NAME).text() == "a.b");
}

TEST_CASE("messages 3.3 unicast signal: addressing errors are reported") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect();
    REQUIRE(receiver.acquire("a.b") == 0);
    CHECK(sender.send(unicast_signal(1234567)) == ENXIO);
    CHECK(sender.send(unicast_signal(0).to("no.body")) == ESRCH);
    CHECK(sender.send(unicast_signal(sender.id()).to("a.b")) == EREMCHG);
}

TEST_CASE("messages 7.2 fds: allowed on a unicast signal, ECOMM ignored; memfds on broadcasts") {
    Bus bus;
    Connection sender = bus.connect(), accepts = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}),
               refuses = bus.connect();
    for (const Connection* c : {&accepts, &refuses})
        REQUIRE(c->match_all() == 0);
    Fd file = make_memfd("content");
    CHECK(sender.send(unicast_signal(accepts.id()).fds({file.get()})) == 0);
    const auto fds = accepts.take().get(KDBUS_ITEM_FDS).ints();
    REQUIRE(fds.size() == 1);
    CHECK(same_file(Fd(fds[0]).get(), file.get()));
    CHECK(sender.send(unicast_signal(refuses.id()).fds({file.get()})) == 0);
    CHECK(refuses.recv().error == EAGAIN);
    CHECK(refuses.recv().cmd.dropped_msgs == 0);
    CHECK(sender.send(broadcast().memfd(file.get(), 0, 7)) == 0);
    for (const Connection* c : {&accepts, &refuses}) {
        const auto r = c->take();
        kdbus_memfd m{};
        std::memcpy(&m, r.get(KDBUS_ITEM_PAYLOAD_MEMFD).data, 24);
        CHECK(read_memfd(Fd(m.fd).get(), 0, 7) == "content");
    }
}

TEST_CASE("messages 3.2/7.2/13.47 who receives whose signals without policy entries") {
    Bus bus;
    struct Peer {
        const char* name;
        Connection connection;
        uid_t uid;
    };
    std::vector<Peer> peers;
    peers.push_back({"owner", bus.connect(), 0});
    peers.push_back({"user", connect_as(bus, 1000), 1000});
    peers.push_back({"same user", connect_as(bus, 1000), 1000});
    peers.push_back({"other user", connect_as(bus, 1001), 1001});
    for (const Peer& p : peers)
        REQUIRE(p.connection.match_all() == 0);
    for (const Peer& p : peers)
        drain(p.connection);
    for (const Peer& sender : peers) {
        // The sender needs no permission at all.
        REQUIRE(sender.connection.send(broadcast()) == 0);
        for (const Peer& receiver : peers) {
            CAPTURE(sender.name, receiver.name);
            const bool expected = receiver.uid == 0 || receiver.uid == sender.uid;
            CHECK(drain(receiver.connection) == (expected ? 1 : 0));
            REQUIRE(sender.connection.send(unicast_signal(receiver.connection.id())) == 0);
            CHECK(drain(receiver.connection) == (expected ? 1 : 0));
        }
    }
}

TEST_CASE("messages 3.2 the receiver's euid and the sender's real uid, both at open") {
    Bus bus;
    auto open_as = [&](uid_t real, uid_t effective) {
        AsUser user(real, effective);
        return bus.connect();
    };
    Connection sender = open_as(1000, 1001), by_real = open_as(1002, 1000),
               by_effective = open_as(1002, 1001);
    REQUIRE(by_real.match_all() == 0);
    REQUIRE(by_effective.match_all() == 0);
    // Whoever calls SEND.
    CHECK(sender.send(broadcast()) == 0);
    CHECK(drain(by_real) == 1);
    CHECK(drain(by_effective) == 0);
}

TEST_CASE("messages 7.2 kernel broadcasts reach everybody who matches") {
    Bus bus;
    Connection user = connect_as(bus, 1000);
    REQUIRE(user.match_all() == 0);
    Connection root = bus.connect();
    expect_id_notification(user, KDBUS_ITEM_ID_ADD, root.id(), 0);
    REQUIRE(root.acquire("a.b") == 0);
    expect_name_notification(user, KDBUS_ITEM_NAME_ADD, 0, 0, root.id(), KDBUS_NAME_PRIMARY, "a.b");
}
