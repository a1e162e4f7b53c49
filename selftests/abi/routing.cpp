// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 3 (addressing and routing), as far as it needs no activator and no policy entry.
#include "support.hpp"

#include <atomic>

using namespace test;

namespace {

const std::string name = "a.name";

struct Peers {
    Bus bus;
    Connection a = bus.connect(), b = bus.connect(), c = bus.connect();
};

// Calls SEND in this thread with other credentials.
int send_as(uid_t uid, const Connection& c, Message m) {
    AsUser user(uid);
    return c.send(m);
}

} // namespace

TEST_CASE("messages 3.1 destination forms") {
    Peers p;
    REQUIRE(p.b.acquire(name) == 0);
    CHECK(p.a.send(Message(0)) == EDESTADDRREQ);
    CHECK(p.a.send(Message(0).to(name)) == 0);
    CHECK(p.a.send(Message(0).to("un.known")) == ESRCH);
    CHECK(p.a.send(Message(p.b.id())) == 0);
    CHECK(p.a.send(Message(99999999)) == ENXIO);
    CHECK(p.a.send(Message(all_ones - 1)) == ENXIO);
    CHECK(p.a.send(Message(p.b.id()).to(name)) == 0);
    CHECK(p.a.send(Message(p.c.id()).to(name)) == EREMCHG);
    CHECK(p.a.send(Message(99999999).to(name)) == EREMCHG);
    CHECK(p.a.send(Message(p.b.id()).to("un.known")) == ESRCH);
    CHECK(p.a.send(Message(99999999).to("un.known")) == ESRCH);
    CHECK(p.a.send(Message(all_ones).to(name)) == EBADMSG);
    CHECK(drain(p.b) == 3);
    CHECK(p.c.empty());
}

TEST_CASE("messages 3.1 the primary owner gets it, not a waiter, and never more than one") {
    Peers p;
    REQUIRE(p.b.acquire(name, KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
    REQUIRE(p.c.acquire(name, KDBUS_NAME_QUEUE) == 0);
    CHECK(p.a.send(Message(0, 1).to(name)) == 0);
    CHECK(p.a.send(Message(p.c.id()).to(name)) == EREMCHG);
    REQUIRE(p.c.acquire(name, KDBUS_NAME_REPLACE_EXISTING) == 0);
    CHECK(p.a.send(Message(0, 2).to(name)) == 0);
    CHECK(p.a.send(Message(p.b.id()).to(name)) == EREMCHG);
    CHECK(p.b.take()->cookie == 1);
    CHECK(p.b.empty());
    CHECK(p.c.take()->cookie == 2);
    CHECK(p.c.empty());
}

TEST_CASE("messages 3.1 NO_AUTO_START has no effect with a real owner or by id") {
    Peers p;
    REQUIRE(p.b.acquire(name) == 0);
    CHECK(p.a.send(Message(0).to(name).flags(KDBUS_MSG_NO_AUTO_START)) == 0);
    CHECK(p.a.send(Message(p.b.id()).flags(KDBUS_MSG_NO_AUTO_START)) == 0);
    CHECK(p.a.send(Message(0).to("un.known").flags(KDBUS_MSG_NO_AUTO_START)) == ESRCH);
    CHECK(drain(p.b) == 2);
}

TEST_CASE("messages 3.1 to oneself, by id and by name") {
    Peers p;
    REQUIRE(p.a.acquire(name) == 0);
    CHECK(p.a.send(Message(p.a.id()).body("id")) == 0);
    CHECK(p.a.send(Message(0).to(name).body("name")) == 0);
    CHECK(p.a.take().body() == "id");
    const Received r = p.a.take();
    CHECK(r.body() == "name");
    CHECK(r->src_id == p.a.id());
    // The same quotas.
    CHECK(p.a.send(Message(p.a.id()).filler(200'000)) == ENOBUFS);
}

TEST_CASE("messages 3.1 an id of another bus is unknown") {
    Bus first, second;
    Connection a = first.connect(), b = second.connect();
    CHECK(a.send(Message(b.id())) == ENXIO);
}

TEST_CASE("messages 3.2/abi 13.35 plain messages and calls without policy entries") {
    Bus bus;
    struct Peer {
        uid_t uid;
        Connection connection;
    };
    std::vector<Peer> peers;
    for (uid_t uid : {0u, 1000u, 1000u, 1001u})
        peers.push_back({uid, connect_as(bus, uid)});
    REQUIRE(peers[0].connection.acquire(name) == 0);
    for (const Peer& from : peers) {
        for (const Peer& to : peers) {
            CAPTURE(from.uid, to.uid);
            const int expected = from.uid == 0 || from.uid == to.uid ? 0 : EPERM;
            // Judged with the credentials of the task calling SEND.
            CHECK(send_as(from.uid, from.connection, Message(to.connection.id())) == expected);
            CHECK(send_as(from.uid, from.connection,
                          Message(to.connection.id()).call(in_ms(60'000))) == expected);
            CHECK(drain(to.connection) == (expected ? 0 : 2));
        }
        CHECK(send_as(from.uid, from.connection, Message(0).to(name)) ==
              (from.uid == 0 ? 0 : EPERM));
        drain(peers[0].connection);
    }
}

TEST_CASE("messages 3.2 the sender's current euid, the receiver's real uid at open") {
    Bus bus;
    auto open_as = [&](uid_t real, uid_t effective) {
        AsUser user(real, effective);
        return bus.connect();
    };
    Connection sender = open_as(1000, 1000), real = open_as(1002, 1003),
               effective = open_as(1003, 1002);
    auto send_with = [&](uid_t r, uid_t e, u64 id) {
        AsUser user(r, e);
        return sender.send(Message(id));
    };
    CHECK(send_with(1000, 1002, real.id()) == 0);
    CHECK(send_with(1002, 1000, real.id()) == EPERM);
    CHECK(send_with(1000, 1002, effective.id()) == EPERM);
    CHECK(send_with(1000, 1003, effective.id()) == 0);
    // The uid the sender's handle was opened with is nothing.
    CHECK(send_with(1005, 1005, sender.id()) == EPERM);
    CHECK(send_with(1005, 1000, sender.id()) == 0);
    // Being root now does not make a bus owner: only the opener's right counts, or root's euid
    // being the receiver's uid.
    CHECK(sender.send(Message(real.id())) == EPERM);
    Connection root = bus.connect();
    CHECK(sender.send(Message(root.id())) == 0);
    CHECK(send_with(1000, 1000, root.id()) == EPERM);
}

TEST_CASE("messages 3.2 bus owner: frozen into the connection") {
    Bus bus;
    Connection owner = bus.connect(), user = connect_as(bus, 1000);
    CHECK(send_as(1001, owner, Message(user.id())) == 0);
    // The bus's maker need not be root.
    std::optional<Bus> own;
    std::optional<Connection> maker;
    {
        AsUser as(1000);
        own.emplace();
        maker.emplace(own->connect());
    }
    Connection stranger = connect_as(*own, 1001), root = own->connect();
    CHECK(send_as(1000, *maker, Message(stranger.id())) == 0);
    CHECK(send_as(1000, *maker, Message(root.id())) == 0);
    CHECK(send_as(0, root, Message(stranger.id())) == 0);
    CHECK(send_as(1001, stranger, Message(maker->id())) == EPERM);
    CHECK(send_as(1001, stranger, Message(root.id())) == EPERM);
}

TEST_CASE("messages 3.2 a reply with an open slot needs no permission, once") {
    Bus bus;
    Connection root = bus.connect(), user = connect_as(bus, 1000);
    REQUIRE(root.send(Message(user.id(), 9).call(in_ms(60'000))) == 0);
    CHECK(send_as(1000, user, Message(root.id())) == EPERM);
    CHECK(send_as(1000, user, reply_to(root.id(), 9)) == 0);
    CHECK(send_as(1000, user, reply_to(root.id(), 9)) == EBADSLT);
    CHECK(root.take()->cookie_reply == 9);
}

TEST_CASE("messages 3.3 order: addressing, EPERM, EMLINK") {
    Bus bus;
    Connection user = connect_as(bus, 1000), same = connect_as(bus, 1000), root = bus.connect();
    auto call = [&](u64 id) {
        return send_as(1000, user, Message(id).call(in_ms(60'000)));
    };
    for (int i = 0; i < KDBUS_CONN_MAX_REQUESTS_PENDING; i++)
        REQUIRE(call(same.id()) == 0);
    CHECK(call(same.id()) == EMLINK);
    CHECK(call(root.id()) == EPERM);
    CHECK(call(99999999) == ENXIO);
    CHECK(send_as(1000, user, Message(0).to("un.known").call(in_ms(60'000))) == ESRCH);
    // Before delivery.
    CHECK(send_as(1000, user, Message(same.id()).filler(400'000).call(in_ms(60'000))) == EMLINK);
    // An expired synchronous call comes first of all.
    Message late(99999999);
    late.call(1);
    CHECK(send_as(1000, user, late) == ENXIO);
    Command<kdbus_cmd_send> c;
    c->flags = KDBUS_SEND_SYNC_REPLY;
    c->msg_address = reinterpret_cast<u64>(late.address());
    CHECK(user.run(KDBUS_CMD_SEND, c.address()) == ETIMEDOUT);
}

TEST_CASE("messages 3.3 reply: addressing before EBADSLT") {
    Peers p;
    CHECK(p.a.send(reply_to(99999999, 1)) == ENXIO);
    Message by_name = reply_to(0, 1);
    by_name.to("un.known");
    CHECK(p.a.send(by_name) == ESRCH);
    CHECK(p.a.send(reply_to(p.b.id(), 1)) == EBADSLT);
}

TEST_CASE("messages 3 a name's atomicity against sends: each message goes to exactly one owner") {
    Peers p;
    REQUIRE(p.b.acquire(name, KDBUS_NAME_ALLOW_REPLACEMENT | KDBUS_NAME_QUEUE) == 0);
    std::atomic<bool> stop = false;
    std::thread thief([&] {
        while (!stop) {
            p.c.acquire(name, KDBUS_NAME_REPLACE_EXISTING);
            p.c.release(name);
        }
    });
    int sent = 0, b_got = 0, c_got = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 20; i++) {
            Message m;
            m.to(name);
            const int error = p.a.send(m);
            CHECK(error == 0);
            sent += error == 0;
        }
        b_got += drain(p.b);
        c_got += drain(p.c);
    }
    stop = true;
    thief.join();
    CHECK(b_got + c_got == sent);
}
