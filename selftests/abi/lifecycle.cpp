// SPDX-License-Identifier: LGPL-2.1-or-later
// Peers that vanish at any instant, slow senders, and stress. That nothing is leaked is checked
// at the end of the program.
#include "slow-page.hpp"
#include "support.hpp"

#include <atomic>
#include <random>

using namespace test;

namespace {

struct SlowSend {
    Bus bus;
    Connection slow = bus.connect(), fast = bus.connect(), receiver = bus.connect();
    SlowPage memory;

    std::future<int> start(Message m, u64 flags = 0) {
        auto sending =
            std::async(std::launch::async, [this, flags, message = std::move(m)]() mutable {
                return slow.send(message, flags);
            });
        REQUIRE(memory.wanted());
        return sending;
    }
    Message message(u64 cookie = 1) {
        Message m(receiver.id(), cookie);
        m.vec(memory.address(), 100);
        return m;
    }
};

} // namespace

TEST_CASE("design: a sender whose memory faults slowly stops nobody") {
    SlowSend s;
    SECTION("the receiver receives from others, and they all go on") {
        auto sending = s.start(s.message());
        for (u64 i = 10; i < 20; i++) {
            REQUIRE(s.fast.send(Message(s.receiver.id(), i).body("others")) == 0);
            CHECK(s.receiver.take()->cookie == i);
            CHECK(s.receiver.send(Message(s.fast.id(), i)) == 0);
            CHECK(s.fast.take()->cookie == i);
            // The slow connection itself too.
            CHECK(s.fast.send(Message(s.slow.id(), i)) == 0);
            CHECK(s.slow.take()->cookie == i);
            CHECK(s.receiver.acquire("a.b") == 0);
            CHECK(s.receiver.release("a.b") == 0);
            CHECK(s.receiver.info(s.slow.id()).error == 0);
            Connection another = s.bus.connect();
        }
        CHECK(!s.receiver.readable());
        s.memory.fill('s');
        CHECK(sending.get() == 0);
        CHECK(s.receiver.take().body() == std::string(100, 's'));
    }
    SECTION("a broadcast too") {
        REQUIRE(s.receiver.match_all() == 0);
        auto m = broadcast();
        m.vec(s.memory.address(), 100);
        auto sending = s.start(m);
        REQUIRE(s.fast.send(Message(s.receiver.id(), 5)) == 0);
        CHECK(s.receiver.take()->cookie == 5);
        REQUIRE(s.fast.send(broadcast(0, 6)) == 0);
        CHECK(s.receiver.take()->cookie == 6);
        s.memory.fill('b');
        CHECK(sending.get() == 0);
        CHECK(s.receiver.take().body() == std::string(100, 'b'));
    }
    SECTION("the receiver says BYEBYE meanwhile") {
        auto sending = s.start(s.message());
        const int bye = s.receiver.bye();
        CHECK((bye == 0 || bye == EBUSY));
        s.memory.fill('x');
        const int error = sending.get();
        CHECK(error == (bye == 0 ? ECONNRESET : 0));
    }
    SECTION("the receiver closes meanwhile") {
        const u64 id = s.receiver.id();
        auto sending = s.start(s.message());
        auto closing = std::async(std::launch::async, [&] { s.receiver.close(); });
        CHECK(closing.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
        CHECK(s.fast.info(id).error == ENXIO);
        s.memory.fill('x');
        CHECK(sending.get() == ECONNRESET);
    }
    SECTION("the bus dies meanwhile") {
        auto sending = s.start(s.message());
        auto closing = std::async(std::launch::async, [&] { s.bus.close(); });
        CHECK(closing.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
        s.memory.fill('x');
        CHECK(sending.get() == ECONNRESET);
        CHECK(s.receiver.events() == (POLLERR | POLLHUP));
    }
    SECTION("a reply's slot is closed meanwhile") {
        REQUIRE(s.receiver.send(Message(s.slow.id(), 9).call(in_ms(60'000))) == 0);
        Message reply = reply_to(s.receiver.id(), 9);
        reply.vec(s.memory.address(), 100);
        auto sending = s.start(reply);
        CHECK(s.slow.send(reply_to(s.receiver.id(), 9)) == EBADSLT);
        s.memory.fill('r');
        CHECK(sending.get() == 0);
        CHECK(s.receiver.take().body() == std::string(100, 'r'));
    }
    SECTION("a call that nobody has received yet cannot be answered") {
        void* hidden = mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        Message call = s.message(77);
        call.call(in_ms(60'000)).vec(hidden, 8);
        auto sending = s.start(call, KDBUS_SEND_SYNC_REPLY);
        CHECK(s.receiver.send(reply_to(s.slow.id(), 77)) == EBADSLT);
        s.memory.fill('c');
        CHECK(sending.get() == EFAULT);
        CHECK(s.slow.empty());
        munmap(hidden, page);
    }
}

TEST_CASE("design: a sender killed while its memory faults leaves nothing behind") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect();
    Pipe ready;
    Child child([&] {
        SlowPage memory;
        std::thread([&] {
            if (memory.wanted() && write(ready.write.get(), "!", 1) != 1)
                abort();
        }).detach();
        Message m(receiver.id());
        m.vec(memory.address(), 100);
        return sender.send(m);
    });
    char c = 0;
    REQUIRE(read(ready.read.get(), &c, 1) == 1);
    child.kill();
    CHECK(receiver.empty());
    // Neither pool nor quota are used.
    CHECK(sender.send(Message(receiver.id()).filler(170'000)) == 0);
    CHECK(receiver.take().offset() == 0);
}

TEST_CASE("design: the command itself faults slowly while the connection ends") {
    SlowSend s;
    auto sending = std::async(std::launch::async,
                              [&] { return s.slow.run(KDBUS_CMD_SEND, s.memory.address()); });
    REQUIRE(s.memory.wanted());
    CHECK(s.slow.bye() == 0);
    s.memory.fill(0);
    // A command of size 0, or an ended connection, whichever is found first.
    const int error = sending.get();
    CHECK((error == EINVAL || error == ECONNRESET));
}

TEST_CASE("lifecycle: the bus owner is killed while everybody is busy") {
    for (int round = 0; round < 4; round++) {
        Pipe ready, go;
        const std::string name = unique_bus_name();
        Child owner([&] {
            Fd fd = open_control();
            auto c = bus_command(name);
            if (command(fd.get(), KDBUS_CMD_BUS_MAKE, c.address()) != 0 ||
                write(ready.write.get(), "!", 1) != 1)
                return 1;
            pause();
            return 0;
        });
        char c = 0;
        REQUIRE(read(ready.read.get(), &c, 1) == 1);
        const std::string path = "/dev/kdbus/" + name + "/bus";
        // The owner is killed once everybody is connected.
        auto connect = [&](const HelloOptions& options) {
            Connection self(open_node(path), options);
            must(write(go.write.get(), "!", 1) == 1, "write");
            return self;
        };
        std::vector<Child> peers;
        for (int i = 0; i < 3; i++) {
            peers.emplace_back([&] {
                Connection self = connect({.recv = all_ones});
                int set_up = self.match_all();
                if (set_up == 0)
                    set_up = self.acquire("a.b", KDBUS_NAME_QUEUE);
                if (set_up != 0)
                    return set_up == ECONNRESET ? 42 : 1;
                for (u64 n = 0;; n++) {
                    int errors[] = {
                        self.send(broadcast(0, n).body("to all")),
                        self.send(Message(0, n).to("a.b").body("call").call(in_ms(50))),
                        self.recv(KDBUS_RECV_DROP).error,
                        self.recv(KDBUS_RECV_DROP).error,
                    };
                    for (int error : errors) {
                        if (error == ECONNRESET)
                            return 42;
                        // ESRCH while names go, just before the own end shows.
                        const int expected[] = {0, EAGAIN, ENOBUFS, EMLINK, ESRCH};
                        if (std::count(std::begin(expected), std::end(expected), error) == 0)
                            return 100 + error % 100;
                    }
                }
            });
        }
        Child blocked([&] {
            Connection self = connect({});
            return self.call(Message(self.id(), 1).call(in_ms(60'000))).error == ECONNRESET ? 42
                                                                                            : 1;
        });
        Child polling([&] {
            Connection self = connect({});
            return self.events(POLLIN, 60'000) == (POLLERR | POLLHUP) ? 42 : 1;
        });
        for (int i = 0; i < 5; i++)
            REQUIRE(read(go.read.get(), &c, 1) == 1);
        sleep_ms(60 * round);
        owner.kill();
        CHECK(blocked.wait() == 42);
        CHECK(polling.wait() == 42);
        for (Child& p : peers)
            CHECK(p.wait() == 42);
        CHECK(eventually([&] { return open_error(path) == ENOENT; }));
    }
}

TEST_CASE("lifecycle: clients are killed at random moments while others talk") {
    Bus bus;
    Connection observer = bus.connect();
    Command<kdbus_cmd_match> rule;
    rule.words(KDBUS_ITEM_ID_REMOVE, {all_ones, 0});
    REQUIRE(observer.match(rule) == 0);
    auto client = [&](unsigned seed) {
        std::minstd_rand random(seed);
        Connection self = bus.connect(
            {.flags = KDBUS_HELLO_ACCEPT_FD, .recv = known_attach_flags, .pool_size = 64 * page});
        Fd file = make_memfd("some content to be passed");
        u64 peers[8] = {};
        self.match_all();
        for (u64 n = 1;; n++) {
            const u64 peer = peers[random() % 8];
            switch (random() % 9) {
            case 0:
                self.send(broadcast(random(), n).filler(random() % 3000 + 1));
                break;
            case 1:
                self.send(Message(peer, n).filler(random() % 3000 + 1));
                break;
            case 2:
                self.send(Message(peer, n).fds({file.get()}).memfd(file.get(), 0, 9));
                break;
            case 3:
                self.send(Message(peer, n).call(in_ms(random() % 40)).body("a call"));
                break;
            case 4:
                self.call(Message(peer, n).call(in_ms(random() % 10)).body("a synchronous call"));
                break;
            case 5:
                self.acquire("n.x" + std::to_string(random() % 4),
                             KDBUS_NAME_QUEUE | KDBUS_NAME_ALLOW_REPLACEMENT | random() % 2);
                break;
            case 6:
                self.release("n.x" + std::to_string(random() % 4));
                break;
            default:
                for (int i = 0; i < 5; i++) {
                    const Received r = self.recv(random() % 8 == 0 ? KDBUS_RECV_DROP : 0);
                    if (r.error != 0 || r.slice.empty())
                        continue;
                    if (r->src_id != 0)
                        peers[random() % 8] = r->src_id;
                    if (r->flags & KDBUS_MSG_EXPECT_REPLY) {
                        Message reply = reply_to(r->src_id, r->cookie);
                        self.send(reply.filler(random() % 500 + 1));
                    }
                    close_descriptors(r);
                    self.free(r.offset());
                }
            }
        }
        return 0;
    };
    std::minstd_rand random(99);
    std::vector<Child> clients;
    const u64 end = in_ms(6000);
    unsigned born = 0;
    while (now_ns() < end || born < 10) {
        if (clients.size() < 5) {
            clients.emplace_back([&, seed = ++born] { return client(seed); });
            continue;
        }
        sleep_ms(static_cast<int>(random() % 40));
        const auto victim = clients.begin() + static_cast<long>(random() % clients.size());
        victim->kill();
        clients.erase(victim);
        drain(observer);
    }
    CHECK(born > clients.size());
    for (Child& c : clients)
        c.kill();
    // The observer is alone again, and everything works.
    CHECK(eventually([&] { return observer.list(KDBUS_LIST_UNIQUE).size() == 1; }));
    CHECK(observer.list(KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED).empty());
    drain(observer);
    Connection other = bus.connect();
    CHECK(other.acquire("n.x0") == 0);
    CHECK(observer.send(Message(0, 1).to("n.x0").body("well")) == 0);
    CHECK(other.take().body() == "well");
}

TEST_CASE("lifecycle: connections come and go while a broadcaster never stops") {
    Bus bus;
    Connection sender = bus.connect();
    std::atomic<bool> stop = false;
    std::atomic<int> failures = 0;
    std::thread broadcaster([&] {
        for (u64 i = 1; !stop; i++)
            if (sender.send(broadcast(all_ones, i).body("tick")) != 0)
                failures++;
    });
    for (int i = 0; i < 150; i++) {
        Connection c = bus.connect({.recv = KDBUS_ATTACH_CREDS, .pool_size = 16 * page});
        REQUIRE(c.match_all() == 0);
        u64 last = 0;
        for (int n = 0; n < 3; n++) {
            REQUIRE(c.readable(10'000));
            const Received r = c.take();
            CHECK(r.body() == "tick");
            CHECK(r->cookie > last);
            last = r->cookie;
        }
    }
    stop = true;
    broadcaster.join();
    CHECK(failures == 0);
}

TEST_CASE("lifecycle: two threads send calls to each other and reply") {
    Bus bus;
    Connection a = bus.connect(), b = bus.connect();
    std::atomic<bool> stop = false;
    std::thread server([&] {
        while (!stop) {
            const Received r = b.recv();
            if (r.error != 0) {
                b.readable(20);
                continue;
            }
            b.free(r.offset());
            Message reply = reply_to(r->src_id, r->cookie);
            b.send(reply.body(r.body()));
        }
    });
    for (u64 i = 1; i <= 300; i++) {
        const std::string text = "call " + std::to_string(i);
        const Received r = a.call(Message(b.id(), i).call(in_ms(30'000)).body(text));
        REQUIRE(r.error == 0);
        CHECK(r->cookie_reply == i);
        CHECK(r.body() == text);
    }
    stop = true;
    server.join();
}

TEST_CASE("lifecycle: the same handle is ended by several threads at once") {
    for (int i = 0; i < 30; i++) {
        Bus bus;
        Connection c = bus.connect(), peer = bus.connect();
        std::atomic<bool> go = false;
        auto wait_and = [&](auto what) {
            return std::async(std::launch::async, [&go, what] {
                while (!go)
                    std::this_thread::yield();
                return what();
            });
        };
        auto first = wait_and([&] { return c.bye(); }), second = wait_and([&] { return c.bye(); });
        auto sender = wait_and([&] { return peer.send(Message(c.id())); });
        auto closer = wait_and([&] {
            if (i % 2)
                bus.close();
            return 0;
        });
        go = true;
        const int x = first.get(), y = second.get(), s = sender.get();
        closer.get();
        CAPTURE(i, x, y, s);
        CHECK((x == 0 || x == EBUSY || x == ECONNRESET));
        CHECK((y == 0 || y == EBUSY || y == ECONNRESET));
        CHECK(!(x == 0 && y == 0));
        CHECK((s == 0 || s == ENXIO || s == ECONNRESET));
    }
}

TEST_CASE("lifecycle: closing a handle with everything outstanding") {
    Bus bus;
    Connection peer = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
    for (int i = 0; i < 5; i++) {
        Connection c = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD, .recv = all_ones});
        Fd file = make_memfd("content");
        REQUIRE(c.match_all() == 0);
        REQUIRE(c.acquire("c.owned") == 0);
        REQUIRE(peer.acquire("p.owned") == 0);
        REQUIRE(c.acquire("p.owned", KDBUS_NAME_QUEUE) == 0);
        REQUIRE(c.send(Message(peer.id(), 1).call(in_ms(60'000)).fds({file.get()})) == 0);
        REQUIRE(peer.send(Message(c.id(), 2).call(in_ms(60'000)).memfd(file.get(), 0, 7)) == 0);
        REQUIRE(c.recv(KDBUS_RECV_PEEK).error == 0);
        REQUIRE(c.info(peer.id(), 0, {}, true).error == 0);
        const u64 id = c.id();
        c.close();
        const Received request = peer.take();
        CHECK(request->cookie == 1);
        close_descriptors(request);
        expect_reply_notification(peer, KDBUS_ITEM_REPLY_DEAD, 2);
        CHECK(peer.empty());
        CHECK(peer.send(reply_to(id, 1)) == ENXIO);
        CHECK(peer.list(KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED).size() == 1);
        REQUIRE(peer.release("p.owned") == 0);
    }
}
