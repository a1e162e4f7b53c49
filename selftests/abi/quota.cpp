// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 10 (quotas and accounting).
#include "support.hpp"

#include <map>
#include <random>

using namespace test;

namespace {

// A message of exactly `slice` bytes in the receiver's pool.
Message sized(u64 id, u64 slice) {
    Message m(id);
    if (slice > 64) {
        REQUIRE(slice >= 104);
        m.filler(std::min<u64>(slice - 96, KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE));
        if (slice - 96 > KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE)
            m.filler(slice - 96 - 32 - KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE);
    }
    return m;
}

// The rule of 10.2, as written.
struct Model {
    explicit Model(u64 pool_size) : half(pool_size / 2) {}
    struct User {
        u64 bytes = 0, messages = 0, fds = 0;
    };
    u64 half;
    u64 used = 0;
    std::map<int, User> users;

    int queue(int user, u64 m, u64 f) {
        User& u = users[user];
        if (half < used)
            return ENOBUFS;
        const u64 share = (half - used + u.bytes) / 3;
        if (share < u.bytes || share - u.bytes < m)
            return ENOBUFS;
        if (u.messages >= 256)
            return ENOBUFS;
        if (u.fds + f > 16)
            return EMFILE;
        used += m;
        u.bytes += m;
        u.messages++;
        u.fds += f;
        return 0;
    }
    void release(int user, u64 m, u64 f) {
        User& u = users[user];
        used -= m;
        u.bytes -= m;
        u.messages--;
        u.fds -= f;
    }
};

} // namespace

TEST_CASE("messages 10.2 a lone sender: a sixth of the pool, exactly") {
    Bus bus;
    Connection sender = bus.connect();
    for (u64 pool : {4 * page, 16 * page, 100 * page}) {
        CAPTURE(pool);
        const u64 largest = pool / 2 / 3 / 8 * 8;
        Connection receiver = bus.connect({.pool_size = pool});
        CHECK(sender.send(sized(receiver.id(), largest + 8)) == ENOBUFS);
        CHECK(sender.send(sized(receiver.id(), largest)) == 0);
        CHECK(sender.send(Message(receiver.id())) == ENOBUFS);
        receiver.take();
        // In several pieces.
        CHECK(sender.send(sized(receiver.id(), largest - 128)) == 0);
        CHECK(sender.send(Message(receiver.id())) == 0);
        CHECK(sender.send(Message(receiver.id())) == 0);
        CHECK(sender.send(Message(receiver.id())) == ENOBUFS);
        CHECK(drain(receiver) == 3);
    }
}

TEST_CASE("messages 10.2 a pool of 16 MiB: 2796202 bytes in flight") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.pool_size = u64{16} << 20});
    CHECK(sender.send(sized(receiver.id(), 2796208)) == ENOBUFS);
    CHECK(sender.send(sized(receiver.id(), 2796200)) == 0);
    CHECK(sender.send(Message(receiver.id())) == ENOBUFS);
    CHECK(receiver.take().cmd.msg.msg_size == 2796200);
}

TEST_CASE("messages 10.2 256 unread messages per user, inclusive") {
    Bus bus;
    Connection first = bus.connect(), second = bus.connect(), receiver = bus.connect();
    for (int i = 0; i < KDBUS_CONN_MAX_MSGS; i++)
        REQUIRE((i % 2 ? first : second).send(Message(receiver.id())) == 0);
    // One bucket for all connections of a user.
    CHECK(first.send(Message(receiver.id())) == ENOBUFS);
    CHECK(second.send(Message(receiver.id())) == ENOBUFS);
    CHECK(receiver.send(Message(receiver.id())) == ENOBUFS);
    // PEEK and FREE release nothing, RECV and DROP do.
    const u64 offset = receiver.recv(KDBUS_RECV_PEEK).offset();
    CHECK(receiver.free(offset) == 0);
    CHECK(first.send(Message(receiver.id())) == ENOBUFS);
    const Received r = receiver.recv();
    CHECK(first.send(Message(receiver.id())) == 0);
    CHECK(first.send(Message(receiver.id())) == ENOBUFS);
    CHECK(receiver.free(r.offset()) == 0);
    CHECK(first.send(Message(receiver.id())) == ENOBUFS);
    CHECK(receiver.recv(KDBUS_RECV_DROP).error == 0);
    CHECK(first.send(Message(receiver.id())) == 0);
    // Another receiver is another bucket.
    Connection other = bus.connect();
    CHECK(first.send(Message(other.id())) == 0);
}

TEST_CASE("messages 10.2 16 unread fds per user; memfds do not count") {
    Bus bus;
    Connection sender = bus.connect(),
               receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD, .recv = 0});
    Fd file = open_node("/dev/null"), memfd = make_memfd("x");
    auto with_fds = [&](std::size_t n) {
        Message m(receiver.id());
        m.fds(std::vector<int>(n, file.get())).memfd(memfd.get(), 0, 1);
        return m;
    };
    CHECK(sender.send(with_fds(7)) == 0);
    CHECK(sender.send(with_fds(8)) == 0);
    CHECK(sender.send(with_fds(2)) == EMFILE);
    CHECK(sender.send(with_fds(1)) == 0);
    CHECK(sender.send(with_fds(1)) == EMFILE);
    CHECK(sender.send(Message(receiver.id()).memfd(memfd.get(), 0, 1)) == 0);
    const Received r = receiver.take();
    close_descriptors(r);
    CHECK(sender.send(with_fds(8)) == EMFILE);
    CHECK(sender.send(with_fds(7)) == 0);
    drain(receiver);
    CHECK(sender.send(with_fds(16)) == 0);
    drain(receiver);
}

TEST_CASE("messages 10.1 the identities: real uid of the opener, faked uid if privileged") {
    Bus bus;
    Connection root = bus.connect(), receiver = bus.connect(),
               faked = bus.connect({.creds = creds_of(1000)}),
               faked_too = bus.connect({.creds = creds_of(1000)}),
               other = bus.connect({.creds = creds_of(1001)});
    std::optional<Connection> as_effective;
    {
        AsUser user(1000, 0);
        as_effective.emplace(bus.connect()); // bus owner by euid, real uid 1000
    }
    const u64 largest = receiver.pool_size() / 6 / 8 * 8;
    REQUIRE(faked.send(sized(receiver.id(), largest)) == 0);
    CHECK(faked.send(Message(receiver.id())) == ENOBUFS);
    CHECK(faked_too.send(Message(receiver.id())) == ENOBUFS);
    CHECK(as_effective->send(Message(receiver.id())) == ENOBUFS);
    CHECK(root.send(Message(receiver.id())) == 0);
    CHECK(other.send(Message(receiver.id())) == 0);
    CHECK(drain(receiver) == 3);
}

TEST_CASE("messages 10.2 a third of what remains for each further user") {
    Bus bus;
    constexpr u64 pool = 1 << 20;
    Connection receiver = bus.connect({.pool_size = pool});
    u64 remaining = pool / 2;
    for (u64 uid = 5000; uid < 5006; uid++) {
        CAPTURE(uid);
        Connection sender = bus.connect({.creds = creds_of(uid)});
        const u64 share = remaining / 3 / 8 * 8;
        CHECK(sender.send(sized(receiver.id(), share + 8)) == ENOBUFS);
        CHECK(sender.send(sized(receiver.id(), share)) == 0);
        remaining -= share;
    }
}

TEST_CASE("messages 10.2 random traffic of several users agrees with the rule") {
    Bus bus;
    for (u64 pool : {8 * page, 64 * page, 256 * page}) {
        Connection receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD, .pool_size = pool});
        std::vector<Connection> senders;
        for (u64 uid = 6000; uid < 6004; uid++)
            senders.push_back(bus.connect({.creds = creds_of(uid)}));
        Fd file = open_node("/dev/null");
        Model model(pool);
        struct Queued {
            int user;
            u64 m, f;
        };
        std::list<Queued> queue;
        std::minstd_rand random(static_cast<unsigned>(pool));
        int results[3] = {};
        for (int step = 0; step < 1500; step++) {
            if (random() % 3 != 0 || queue.empty()) {
                const int user = static_cast<int>(random() % senders.size());
                const u64 f = random() % 8 == 0 ? random() % 6 + 1 : 0;
                u64 m = 64;
                Message message(receiver.id());
                if (f > 0) {
                    message.fds(std::vector<int>(f, file.get()));
                    m += align8(16 + 4 * f);
                }
                if (random() % 2) {
                    const u64 n = random() % (pool / (random() % 60 + 4)) + 1;
                    message.filler(n);
                    m += 32 + align8(n);
                }
                const int expected = model.queue(user, m, f);
                const int error = senders[static_cast<std::size_t>(user)].send(message);
                if (error != expected) {
                    CAPTURE(pool, step, user, m, f);
                    REQUIRE(error == expected);
                }
                results[error == 0 ? 0 : error == ENOBUFS ? 1 : 2]++;
                if (error == 0)
                    queue.push_back({user, m, f});
            } else {
                const Queued q = queue.front();
                queue.pop_front();
                model.release(q.user, q.m, q.f);
                if (random() % 4 == 0) {
                    REQUIRE(receiver.recv(KDBUS_RECV_DROP).error == 0);
                } else {
                    const Received r = receiver.take();
                    REQUIRE(r.cmd.msg.msg_size == q.m);
                    close_descriptors(r);
                }
            }
        }
        CHECK(results[0] > 100);
        CHECK(results[1] > 10);
    }
}

TEST_CASE("messages 10.2/14.6 accounting is undone on every failure") {
    Bus bus;
    Connection sender = bus.connect(),
               receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD, .pool_size = 16 * page});
    const u64 largest = receiver.pool_size() / 6 / 8 * 8;
    std::vector<u64> kept;
    for (Info r; (r = receiver.info(receiver.id(), 0, {}, true)).error == 0;)
        kept.push_back(r.offset);
    Fd file = open_node("/dev/null");
    for (int i = 0; i < 300; i++) {
        Message m(receiver.id());
        REQUIRE(sender.send(m.fds({file.get()})) == EXFULL);
    }
    for (u64 offset : kept)
        REQUIRE(receiver.free(offset) == 0);
    CHECK(sender.send(Message(receiver.id()).fds(std::vector<int>(16, file.get()))) == 0);
    drain(receiver);
    CHECK(sender.send(sized(receiver.id(), largest)) == 0);
}

TEST_CASE("messages 10 disconnects give everything back") {
    Bus bus;
    Connection receiver = bus.connect();
    const u64 largest = receiver.pool_size() / 6 / 8 * 8;
    for (int i = 0; i < 3; i++) {
        Connection sender = bus.connect();
        CHECK(sender.send(sized(receiver.id(), largest)) == 0);
        sender.close();
        // The message of a sender that is gone still counts, until it is read.
        Connection next = bus.connect();
        CHECK(next.send(Message(receiver.id())) == ENOBUFS);
        CHECK(receiver.take()->size == 96);
    }
}

TEST_CASE("messages 10.2 replies and signals obey the same rule") {
    Bus bus;
    Connection caller = bus.connect({.pool_size = 16 * page}), callee = bus.connect();
    const u64 largest = caller.pool_size() / 6 / 8 * 8;
    REQUIRE(caller.match_all() == 0);
    REQUIRE(caller.send(Message(callee.id(), 5).call(in_ms(60'000))) == 0);
    REQUIRE(callee.send(sized(caller.id(), largest - 64)) == 0);
    CHECK(callee.send(broadcast()) == 0); // 96 bytes do not fit
    Message reply = reply_to(caller.id(), 5);
    CHECK(callee.send(reply) == 0); // 64 do
    Received r = caller.take();
    CHECK(r.cmd.dropped_msgs == 1);
    CHECK(caller.take()->cookie_reply == 5);
}

TEST_CASE("messages 5.1/10.2 a synchronous reply counts until it is picked up, not after") {
    Bus bus;
    Connection caller = bus.connect({.pool_size = 16 * page}), callee = bus.connect();
    const u64 largest = caller.pool_size() / 6 / 8 * 8;
    for (u64 i = 1; i <= 4; i++) {
        auto call = std::async(std::launch::async, [&] {
            return caller.call(Message(callee.id(), i).call(in_ms(60'000)));
        });
        REQUIRE(callee.readable(10'000));
        callee.take();
        Message reply = reply_to(caller.id(), i);
        CHECK(callee.send(reply.filler(largest - 96)) == 0);
        CHECK(call.get().error == 0);
    }
}
