// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 7 (pool), 6.7 (FREE), and pool pages under memory pressure.
#include "objects.hpp"
#include "support.hpp"

#include <fstream>
#include <random>

using namespace test;

namespace {

// A slice of `n` bytes at user's disposal: records of CONN_INFO without metadata have 24.
u64 keep_info(const Connection& c) {
    return c.info(c.id(), 0, {}, true).offset;
}

int map_error(int fd, std::size_t length, int protection, int flags, off_t offset) {
    void* map = mmap(nullptr, length, protection, flags, fd, offset);
    if (map == MAP_FAILED)
        return errno;
    munmap(map, length);
    return 0;
}

// Sends a message to itself whose slice has `slice` bytes, and receives it.
u64 keep_message(const Connection& c, u64 slice) {
    Message m(c.id());
    if (slice > 64)
        m.filler(slice - 96);
    REQUIRE(c.send(m) == 0);
    const Received r = c.recv();
    REQUIRE(r.error == 0);
    REQUIRE(r.cmd.msg.msg_size == slice);
    return r.offset();
}

// Lets the kernel take back what it can: 2 objects of the kernel's, 3 also cached files.
void drop_caches(int what) {
    std::ofstream file("/proc/sys/vm/drop_caches");
    file << what << std::flush;
    must(file.good(), "drop_caches");
}

} // namespace

TEST_CASE("abi 6.7 FREE") {
    Bus bus;
    Connection c = bus.connect({.pool_size = 16 * page, .free_result = false});
    SECTION("the result of HELLO") {
        CHECK(c.free(8) == ENXIO);
        CHECK(c.free(c.hello.offset) == 0);
        CHECK(c.free(c.hello.offset) == ENXIO);
    }
    SECTION("pool size, any number of times; beyond it ENXIO") {
        for (int i = 0; i < 3; i++)
            CHECK(c.free(c.pool_size()) == 0);
        for (u64 offset : {c.pool_size() + 1, c.pool_size() + 8, u64{1} << 40, all_ones})
            CHECK(c.free(offset) == ENXIO);
    }
    SECTION("never handed out, and inside a slice") {
        const u64 offset = keep_info(c);
        for (u64 wrong : {offset + 1, offset + 8, offset + 16, offset + 24, c.pool_size() - 8,
                          c.pool_size() - 1})
            CHECK(c.free(wrong) == ENXIO);
        CHECK(c.free(offset) == 0);
        CHECK(c.free(offset) == ENXIO);
    }
    SECTION("LIST") {
        Command<kdbus_cmd_list> list;
        list->flags = KDBUS_LIST_UNIQUE;
        REQUIRE(c.run(KDBUS_CMD_LIST, list.address()) == 0);
        CHECK(c.free(list->offset) == 0);
        CHECK(c.free(list->offset) == ENXIO);
    }
    SECTION("an empty LIST") {
        Command<kdbus_cmd_list> list;
        REQUIRE(c.run(KDBUS_CMD_LIST, list.address()) == 0);
        CHECK(list->offset == c.pool_size());
        CHECK(list->list_size == 0);
        CHECK(c.free(list->offset) == 0);
    }
    SECTION("messages: queued, peeked, received") {
        REQUIRE(c.send(Message(c.id()).body("m")) == 0);
        const u64 guess = 32; // where best fit puts it, behind the result of HELLO
        CHECK(c.free(guess) == ENXIO);
        const u64 offset = c.recv(KDBUS_RECV_PEEK).offset();
        CHECK(offset == guess);
        // One user hold, however often it is reported.
        CHECK(c.recv(KDBUS_RECV_PEEK).offset() == offset);
        CHECK(c.free(offset) == 0);
        CHECK(c.free(offset) == ENXIO);
        // The message is still queued, at the same place.
        const Received r = c.recv();
        REQUIRE(r.error == 0);
        CHECK(r.offset() == offset);
        CHECK(r.body() == "m");
        CHECK(c.free(offset) == 0);
        CHECK(c.free(offset) == ENXIO);
    }
    SECTION("a synchronous reply") {
        Connection server = bus.connect();
        Message call(server.id(), 5);
        call.call(in_ms(20'000));
        Command<kdbus_cmd_send> send;
        send->flags = KDBUS_SEND_SYNC_REPLY;
        send->msg_address = reinterpret_cast<u64>(call.address());
        auto done =
            std::async(std::launch::async, [&] { return c.run(KDBUS_CMD_SEND, send.address()); });
        REQUIRE(server.readable(10'000));
        CHECK(server.send(reply_to(server.take()->src_id, 5)) == 0);
        CHECK(done.get() == 0);
        CHECK(c.free(send->reply.offset) == 0);
        CHECK(c.free(send->reply.offset) == ENXIO);
    }
}

TEST_CASE("abi 7 slices: alignment and rounded sizes") {
    Bus bus;
    Connection c = bus.connect();
    REQUIRE(c.acquire("a.bc") == 0);
    for (u64 flags : {KDBUS_LIST_UNIQUE, KDBUS_LIST_NAMES}) {
        Command<kdbus_cmd_list> list;
        list->flags = flags;
        REQUIRE(c.run(KDBUS_CMD_LIST, list.address()) == 0);
        CHECK(list->offset % 8 == 0);
        CHECK(list->list_size % 8 == 0);
    }
    for (u64 n = 1; n <= 17; n++) {
        REQUIRE(c.send(Message(c.id()).filler(n)) == 0);
        const Received r = c.recv();
        CHECK(r.offset() % 8 == 0);
        CHECK(r.cmd.msg.msg_size == 96 + align8(n));
    }
}

TEST_CASE("abi 7 best fit, cut from the low end, free extents merge at once") {
    Bus bus;
    Connection c = bus.connect({.pool_size = 16 * page});
    // A completely free pool yields offset 0.
    CHECK(keep_info(c) == 0);
    REQUIRE(c.free(0) == 0);

    // Layout: 24 | 200 | 24 | 104 | 24 | 120 | 24 | free rest.
    const u64 a = keep_info(c), big = keep_message(c, 200), b = keep_info(c),
              small = keep_message(c, 104), d = keep_info(c), middle = keep_message(c, 120),
              e = keep_info(c);
    CHECK(a == 0);
    CHECK(big == 24);
    CHECK(b == 224);
    CHECK(small == 248);
    CHECK(d == 352);
    CHECK(middle == 376);
    CHECK(e == 496);
    REQUIRE(c.free(big) == 0);
    REQUIRE(c.free(small) == 0);
    REQUIRE(c.free(middle) == 0);
    // The smallest extent that suffices, at its low end.
    CHECK(keep_message(c, 112) == middle);
    CHECK(keep_message(c, 96 + 8) == small);
    CHECK(keep_message(c, 112) == big);
    // 8 bytes are left behind `middle`, 88 behind `big`: 64 fit only there.
    CHECK(keep_message(c, 64) == big + 112);
    REQUIRE(c.free(small) == 0);
    // A hole of 104 between `b` and `d`, then `b` and `d` go too: one hole of 24 + 104 + 24, with
    // the 24 left over in front of `b`.
    REQUIRE(c.free(d) == 0);
    REQUIRE(c.free(b) == 0);
    CHECK(keep_message(c, 24 + 24 + 104 + 24) == big + 112 + 64);
}

TEST_CASE("abi 13.12 the same request on an otherwise empty pool yields the same offset") {
    Bus bus;
    Connection c = bus.connect();
    for (int i = 0; i < 5; i++) {
        CHECK(c.info(c.id(), KDBUS_ATTACH_CREDS).offset == 0);
        CHECK(keep_message(c, 4096 + i * 8) == 0);
        CHECK(c.free(0) == 0);
    }
}

TEST_CASE("abi 7 EXFULL when no free extent is large enough, and recovery") {
    Bus bus;
    Connection c = bus.connect({.pool_size = page});
    std::vector<u64> kept;
    for (;;) {
        const Info r = c.info(c.id(), 0, {}, true);
        if (r.error != 0) {
            CHECK(r.error == EXFULL);
            break;
        }
        kept.push_back(r.offset);
    }
    CHECK(kept.size() == page / 24);
    Command<kdbus_cmd_list> list;
    list->flags = KDBUS_LIST_UNIQUE;
    CHECK(c.run(KDBUS_CMD_LIST, list.address()) == EXFULL);
    list->flags = 0;
    CHECK(c.run(KDBUS_CMD_LIST, list.address()) == 0);
    CHECK(c.send(Message(c.id())) == EXFULL);
    // Fragmentation: every other one is freed.
    for (std::size_t i = 1; i < kept.size(); i += 2)
        REQUIRE(c.free(kept[i]) == 0);
    CHECK(c.send(Message(c.id())) == EXFULL);
    CHECK(c.info(c.id()).offset == kept[1]);
    for (std::size_t i = 0; i < kept.size(); i += 2)
        REQUIRE(c.free(kept[i]) == 0);
    CHECK(c.send(Message(c.id())) == 0);
    CHECK(c.take().offset() == 0);
}

TEST_CASE("abi 13.11/13.25 results never freed do not break later calls while space remains") {
    Bus bus;
    Connection c = bus.connect({.pool_size = 16 * page});
    for (int i = 0; i < 100; i++) {
        Command<kdbus_cmd_list> list;
        list->flags = KDBUS_LIST_UNIQUE;
        REQUIRE(c.run(KDBUS_CMD_LIST, list.address()) == 0);
        CHECK(list->offset == static_cast<u64>(i) * 24);
    }
    CHECK(c.send(Message(c.id()).body("still here")) == 0);
    CHECK(c.take().body() == "still here");
}

TEST_CASE("abi 7 mmap") {
    Bus bus;
    Connection c = bus.connect({.pool_size = 4 * page});
    const int fd = c.fd();
    for (int flags : {MAP_SHARED, MAP_PRIVATE}) {
        CAPTURE(flags);
        CHECK(map_error(fd, page, PROT_READ | PROT_WRITE, flags, 0) == EPERM);
        CHECK(map_error(fd, page, PROT_WRITE, flags, 0) == EPERM);
        CHECK(map_error(fd, 5 * page, PROT_READ, flags, 0) == EFAULT);
        CHECK(map_error(fd, 4 * page + 1, PROT_READ, flags, 0) == EFAULT);
        CHECK(map_error(fd, 4 * page, PROT_READ, flags, 0) == 0);
        CHECK(map_error(fd, 4 * page, PROT_READ, flags, page) == 0);
        CHECK(map_error(fd, page, PROT_READ, flags, 3 * page) == 0);
        CHECK(map_error(fd, page, PROT_READ, flags, 100 * page) == 0);
        CHECK(map_error(fd, 1, PROT_READ, flags, 0) == 0);
    }
    // Writing is refused before the length is looked at.
    CHECK(map_error(fd, 5 * page, PROT_READ | PROT_WRITE, MAP_SHARED, 0) == EPERM);
}

TEST_CASE("abi 7/13.27 mappings at any page see the pool") {
    Bus bus;
    Connection c = bus.connect({.pool_size = 64 * page});
    const std::string text(9000, 'q');
    std::string body;
    for (std::size_t i = 0; i < 9000; i++)
        body.push_back(static_cast<char>('a' + i % 23));
    keep_message(c, 3 * page); // so that the next one starts elsewhere
    REQUIRE(c.send(Message(c.id()).body(body)) == 0);
    const Received r = c.recv();
    const u64 start = r.offset() & ~(page - 1), skip = r.offset() - start;
    for (int flags : {MAP_SHARED, MAP_PRIVATE}) {
        const std::size_t length = skip + r.cmd.msg.msg_size;
        auto* map = static_cast<std::uint8_t*>(
            mmap(nullptr, length, PROT_READ, flags, c.fd(), static_cast<off_t>(start)));
        REQUIRE(map != MAP_FAILED);
        CHECK(std::memcmp(map + skip, r.bytes(), r.cmd.msg.msg_size) == 0);
        munmap(map, length);
    }
}

TEST_CASE("abi 7 pages past the end of the pool raise SIGBUS") {
    Bus bus;
    Connection c = bus.connect({.pool_size = 2 * page});
    for (int flags : {MAP_SHARED, MAP_PRIVATE}) {
        auto* map =
            static_cast<volatile char*>(mmap(nullptr, 2 * page, PROT_READ, flags, c.fd(), page));
        REQUIRE(map != MAP_FAILED);
        CHECK(in_child([&] {
                  ::signal(SIGBUS, SIG_DFL);
                  ::signal(SIGSEGV, SIG_DFL);
                  return static_cast<int>(map[0]);
              }) == 0);
        CHECK(in_child([&] {
                  ::signal(SIGBUS, SIG_DFL);
                  ::signal(SIGSEGV, SIG_DFL);
                  return static_cast<int>(map[page]) + 1;
              }) == 256 + SIGBUS);
        munmap(const_cast<char*>(map), 2 * page);
    }
}

TEST_CASE("abi 7/13.13 the mapping cannot be made writable") {
    Bus bus;
    Connection c = bus.connect();
    for (int flags : {MAP_SHARED, MAP_PRIVATE}) {
        void* map = mmap(nullptr, page, PROT_READ, flags, c.fd(), 0);
        REQUIRE(map != MAP_FAILED);
        CHECK(mprotect(map, page, PROT_READ | PROT_WRITE) == -1);
        CHECK(errno == EACCES);
        CHECK(mprotect(map, page, PROT_NONE) == 0);
        CHECK(mprotect(map, page, PROT_READ) == 0);
        munmap(map, page);
    }
}

TEST_CASE("abi 7 the mapping cannot be written through /proc/self/mem") {
    Bus bus;
    Connection c = bus.connect();
    Fd mem(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
    REQUIRE(mem);
    const u64 junk = all_ones;
    CHECK(pwrite(mem.get(), &junk, 8, static_cast<off_t>(reinterpret_cast<u64>(c.at(0)))) == -1);
    CHECK(*reinterpret_cast<const u64*>(c.at(0)) != junk);
}

TEST_CASE("abi 7 zero-filled at first") {
    Bus bus;
    Connection c = bus.connect({.pool_size = 16 * page});
    CHECK(std::all_of(c.at(32), c.at(c.pool_size()), [](std::uint8_t b) { return b == 0; }));
}

TEST_CASE("abi 7/13.50 a mapping stays readable after the handle is closed") {
    Bus bus;
    Fd fd = bus.open();
    auto hello = hello_command({.pool_size = 4 * page});
    REQUIRE(command(fd.get(), KDBUS_CMD_HELLO, hello.address()) == 0);
    auto* map = static_cast<u64*>(mmap(nullptr, 4 * page, PROT_READ, MAP_SHARED, fd.get(), 0));
    REQUIRE(map != MAP_FAILED);
    Connection other = bus.connect();
    fd.reset();
    // The mapping does not keep the connection alive.
    CHECK(other.info(hello->id).error == ENXIO);
    CHECK(map[0] == 32);
    CHECK(map[1] == KDBUS_ITEM_BLOOM_PARAMETER);
    CHECK(map[3 * page / 8] == 0);
    munmap(map, 4 * page);
}

TEST_CASE("abi 7 a mapping keeps the module, which serves it, from being unloaded") {
    auto references = [] {
        long n = -1;
        std::ifstream("/sys/module/kdbus/refcnt") >> n;
        return n;
    };
    const long before = references();
    REQUIRE(before >= 0);
    void* map = nullptr;
    {
        Bus bus;
        Connection c = bus.connect();
        map = mmap(nullptr, page, PROT_READ, MAP_SHARED, c.fd(), 0);
        REQUIRE(map != MAP_FAILED);
    }
    CHECK(references() > before);
    munmap(map, page);
    CHECK(eventually([&] { return references() == before; }));
}

TEST_CASE("abi 7 fork: one connection, one queue, one pool") {
    Bus bus;
    Connection c = bus.connect();
    REQUIRE(c.send(Message(c.id()).body("shared")) == 0);
    CHECK(in_child([&] {
              const Received r = c.recv();
              return r.error == 0 && r.body() == "shared" ? 0 : 1;
          }) == 0);
    CHECK(c.empty());
    // The child's slice was not reclaimed when it exited; anyone may free it.
    CHECK(c.free(0) == 0);
    CHECK(c.free(0) == ENXIO);
}

TEST_CASE("abi 7 a slice is not changed between handing it out and FREE") {
    Bus bus;
    Connection c = bus.connect({.pool_size = 64 * page});
    std::vector<Received> kept;
    for (u64 i = 0; i < 8; i++) {
        REQUIRE(c.send(Message(c.id(), i).filler(1000 + i, static_cast<char>('a' + i))) == 0);
        kept.push_back(c.recv());
    }
    for (int i = 0; i < 200; i++) {
        REQUIRE(c.send(Message(c.id()).filler(500)) == 0);
        REQUIRE(c.send(Message(c.id()).filler(700)) == 0);
        c.take();
        c.take();
        c.info(c.id(), known_attach_flags);
    }
    for (const Received& r : kept)
        CHECK(std::memcmp(c.at(r.offset()), r.bytes(), r.cmd.msg.msg_size) == 0);
}

TEST_CASE("abi 7 payload taken from pool mappings, the receiver's own too") {
    Bus bus;
    Connection a = bus.connect({.pool_size = 64 * page}), b = bus.connect();
    const std::string text(5000, 't');
    REQUIRE(b.send(Message(a.id()).body(text)) == 0);
    const Received r = a.recv();
    const u64 body = r.offset() + r.get(KDBUS_ITEM_PAYLOAD_OFF).word(1);
    for (const Connection* receiver : {&a, &b}) {
        // Received bytes, and pages nobody has touched yet.
        Message m(receiver->id());
        m.vec(a.at(body), text.size()).vec(a.at(a.pool_size() - 5000), 5000);
        REQUIRE(a.send(m) == 0);
        CHECK(receiver->take().body() == text + std::string(5000, 0));
    }
    // Bytes of the very extent the message is written to.
    Message m(a.id());
    m.vec(a.at(align8(r.offset() + r.cmd.msg.msg_size)), 4000);
    REQUIRE(a.send(m) == 0);
    CHECK(a.take().body().size() == 4000);
    // A command in the mapping cannot be answered.
    CHECK(a.run(KDBUS_CMD_RECV, const_cast<std::uint8_t*>(a.at(a.pool_size() - 64))) == EINVAL);
}

TEST_CASE("design: pages given back under memory pressure never corrupt messages") {
    Bus bus;
    Connection c = bus.connect({.pool_size = u64{4} << 20});
    std::minstd_rand random(42);
    struct Kept {
        Received message;
        std::string body;
    };
    std::list<Kept> queue;
    auto content = [&](std::size_t n) {
        std::string s(n, 0);
        for (char& ch : s)
            ch = static_cast<char>(random());
        return s;
    };
    for (int round = 0; round < 12; round++) {
        std::vector<std::string> sent;
        for (int i = 0; i < 20; i++) {
            sent.push_back(content(1 + random() % 30'000));
            REQUIRE(c.send(Message(c.id()).body(sent.back())) == 0);
        }
        drop_caches(3);
        // Queued messages and handed-out slices are covered, free pages may go.
        for (std::size_t i = 0; i < sent.size(); i++) {
            Received r = c.recv();
            REQUIRE(r.error == 0);
            CHECK(r.body() == sent[i]);
            if (i % 5 == 0)
                queue.push_back({std::move(r), sent[i]});
            else
                REQUIRE(c.free(r.offset()) == 0);
        }
        drop_caches(3);
        for (const Kept& k : queue)
            CHECK(std::memcmp(c.at(k.message.offset()), k.message.bytes(),
                              k.message.cmd.msg.msg_size) == 0);
        while (queue.size() > 10) {
            REQUIRE(c.free(queue.front().message.offset()) == 0);
            queue.pop_front();
        }
    }
}

TEST_CASE("design: the kernel may ask for more pages than there are") {
    Bus bus;
    Connection c = bus.connect({.pool_size = u64{4} << 20});
    // Asked at this priority, a shrinker is asked for twice what it says it has.
    for (int round = 0; round < 3; round++) {
        REQUIRE(c.send(Message(c.id()).filler(40'000)) == 0);
        c.take();
        drop_caches(2);
        CHECK(read_counters().at("page") == 0);
    }
}
