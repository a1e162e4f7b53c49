// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 2 (payload and the received layout).
#include "support.hpp"

#include <atomic>
#include <random>
#include <sys/resource.h>

using namespace test;

namespace {

struct Pair {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});

    Received exchange(Message& m) const {
        m->dst_id = receiver.id();
        REQUIRE(sender.send(m) == 0);
        return receiver.take();
    }
    Received exchange(Message&& m) const { return exchange(m); }
};

kdbus_memfd memfd_of(const Item& item) {
    REQUIRE(item.type == KDBUS_ITEM_PAYLOAD_MEMFD);
    REQUIRE(item.size == 24);
    kdbus_memfd m{};
    std::memcpy(&m, item.data, 24);
    return m;
}

bool close_on_exec(int fd) {
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

// Lowers the descriptor limit so that `n` more can be opened, until the end of the scope. Free
// numbers below the highest used one are filled up.
class FewDescriptors {
public:
    explicit FewDescriptors(rlim_t n) {
        REQUIRE(getrlimit(RLIMIT_NOFILE, &saved_) == 0);
        int highest = 0;
        for (int fd = 0; fd < 1024; fd++)
            if (fcntl(fd, F_GETFD) >= 0)
                highest = fd;
        for (;;) {
            fillers_.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            REQUIRE(fillers_.back());
            if (fillers_.back().get() > highest)
                break;
        }
        const rlim_t limit = static_cast<rlim_t>(fillers_.back().get());
        fillers_.pop_back();
        rlimit now{limit + n, saved_.rlim_max};
        REQUIRE(setrlimit(RLIMIT_NOFILE, &now) == 0);
    }
    ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &saved_); }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;

private:
    rlimit saved_{};
    std::vector<Fd> fillers_;
};

int open_descriptors() {
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

} // namespace

TEST_CASE("messages 2.1 the header as received") {
    Pair p;
    Message m(0, 0x1111);
    m.flags(KDBUS_MSG_NO_AUTO_START | KDBUS_MSG_EXPECT_REPLY).priority(-77);
    m->payload_type = 0x2222;
    m->timeout_ns = in_ms(100'000);
    const Received r = p.exchange(m);
    CHECK(r->size == 64);
    CHECK(r->flags == (KDBUS_MSG_NO_AUTO_START | KDBUS_MSG_EXPECT_REPLY));
    CHECK(r->priority == -77);
    CHECK(r->dst_id == p.receiver.id());
    CHECK(r->src_id == p.sender.id());
    CHECK(r->payload_type == 0x2222);
    CHECK(r->cookie == 0x1111);
    CHECK(r->timeout_ns == m->timeout_ns);
    CHECK(r.cmd.msg.msg_size == 64);
    CHECK(r.cmd.msg.return_flags == 0);
}

TEST_CASE("messages 2.1/13.18 by name: dst_id 0 and DST_NAME are kept") {
    Pair p;
    REQUIRE(p.receiver.acquire("a.bcd") == 0);
    REQUIRE(p.sender.send(Message().to("a.bcd").body("x")) == 0);
    Received r = p.receiver.take();
    CHECK(r->dst_id == 0);
    auto items = r.items();
    REQUIRE(items.size() == 2);
    CHECK(items[0].type == KDBUS_ITEM_DST_NAME);
    CHECK(items[0].text() == "a.bcd");
    CHECK(items[1].type == KDBUS_ITEM_PAYLOAD_OFF);
    REQUIRE(p.sender.send(Message(p.receiver.id()).to("a.bcd")) == 0);
    r = p.receiver.take();
    CHECK(r->dst_id == p.receiver.id());
    // The unpadded end of the last item is the size.
    CHECK(r->size == 64 + 16 + 6);
    CHECK(r.cmd.msg.msg_size == align8(64 + 16 + 6));
}

TEST_CASE("messages 2.1 a message byte for byte") {
    Pair p;
    REQUIRE(p.receiver.acquire("a.b") == 0);
    const Received r =
        p.exchange(Message(0, 5).body("hello").to("a.b").body("world!!").priority(3));
    std::vector<u64> expected{64 + 32 + 24 + 32, 0, 3, p.receiver.id(), p.sender.id(),
                              payload_type,      5, 0};
    expected.insert(expected.end(), {32, KDBUS_ITEM_PAYLOAD_OFF, 5, 152});
    expected.insert(expected.end(), {20, KDBUS_ITEM_DST_NAME, 0});
    std::memcpy(&expected.back(), "a.b", 4);
    expected.insert(expected.end(), {32, KDBUS_ITEM_PAYLOAD_OFF, 7, 157});
    expected.insert(expected.end(), {0, 0});
    std::memcpy(&expected[expected.size() - 2], "helloworld!!", 12);
    CHECK(r.slice == expected);
}

TEST_CASE("messages 2.2 the example: VEC 5, hole 3, MEMFD 13, VEC 4") {
    Pair p;
    Fd file = make_memfd("0123456789abc");
    const Received r =
        p.exchange(Message().body("AAAAA").hole(3).memfd(file.get(), 0, 13, 0x77).body("BBBB"));
    const u64 base = 64 + 32 + 32 + 40 + 32;
    CHECK(r->size == base);
    auto items = r.items();
    REQUIRE(items.size() == 4);
    for (int i : {0, 1, 3})
        CHECK(items[i].type == KDBUS_ITEM_PAYLOAD_OFF);
    CHECK(items[0].words() == std::vector<u64>{5, base});
    CHECK(items[1].words() == std::vector<u64>{3, all_ones});
    CHECK(items[3].words() == std::vector<u64>{4, base + 13});
    const kdbus_memfd m = memfd_of(items[2]);
    CHECK(m.start == 0);
    CHECK(m.size == 13);
    CHECK(items[2].word(2) == (u64{0x77} << 32 | static_cast<u32>(m.fd)));
    CHECK(read_memfd(Fd(m.fd).get(), 0, 13) == "0123456789abc");
    // [5 data][3 zero][5 zero][4 data][7 pad]
    CHECK(std::memcmp(r.bytes() + base, "AAAAA\0\0\0\0\0\0\0\0BBBB\0\0\0\0\0\0\0", 24) == 0);
    CHECK(r.cmd.msg.msg_size == base + 24);
}

TEST_CASE("messages 2.2/13.2 holes of every small size, and holes alone") {
    Pair p;
    for (u64 hole = 1; hole <= 24; hole++) {
        CAPTURE(hole);
        const Received r = p.exchange(Message().body("a").hole(hole).body("b"));
        const auto items = r.items();
        REQUIRE(items.size() == 3);
        CHECK(items[0].words() == std::vector<u64>{1, 160});
        CHECK(items[1].words() == std::vector<u64>{hole, all_ones});
        CHECK(items[2].words() == std::vector<u64>{1, 161 + hole % 8});
        CHECK(r.cmd.msg.msg_size == 160 + align8(2 + hole % 8));
        CHECK(r.bytes()[160] == 'a');
        CHECK(r.bytes()[161 + hole % 8] == 'b');
        for (u64 i = 0; i < hole % 8; i++)
            CHECK(r.bytes()[161 + i] == 0);
    }
    for (u64 size : {u64{8}, u64{64}, u64{2} << 20}) {
        const Received r = p.exchange(Message().hole(size));
        CHECK(r.items().at(0).words() == std::vector<u64>{size, all_ones});
        // No bytes placed: the slice ends behind the items.
        CHECK(r.cmd.msg.msg_size == 96);
    }
    const Received r = p.exchange(Message().hole(13));
    CHECK(r.cmd.msg.msg_size == 96 + 8);
}

TEST_CASE("messages 2.2 positions are congruent modulo 8 to the logical stream") {
    Pair p;
    std::minstd_rand random(7);
    Fd file = make_memfd(std::string(100, 'm'));
    for (int round = 0; round < 200; round++) {
        Message m;
        struct Part {
            char kind;
            u64 size;
            std::string data;
        };
        std::vector<Part> parts;
        int memfds = 0;
        for (u64 i = random() % 8 + 1; i > 0; i--) {
            const u64 size = random() % 40 + 1;
            const int kind = static_cast<int>(random() % 4);
            if (kind == 0) {
                m.hole(size);
                parts.push_back({'h', size, ""});
            } else if (kind == 1 && memfds++ < 16) {
                m.memfd(file.get(), 1, size);
                parts.push_back({'m', size, ""});
            } else {
                std::string data(size, 0);
                for (char& c : data)
                    c = static_cast<char>(random());
                m.body(data);
                parts.push_back({'v', size, data});
            }
        }
        const Received r = p.exchange(m);
        close_descriptors(r);
        const auto items = r.items();
        REQUIRE(items.size() == parts.size());
        const u64 base = align8(r->size);
        u64 logical = 0, position = 0;
        std::string area;
        for (std::size_t i = 0; i < parts.size(); i++) {
            CAPTURE(round, i, parts[i].kind, parts[i].size);
            if (parts[i].kind == 'm') {
                CHECK(memfd_of(items[i]).size == parts[i].size);
                CHECK(memfd_of(items[i]).start == 1);
                area.append(parts[i].size % 8, '\0');
            } else if (parts[i].kind == 'h') {
                CHECK(items[i].words() == std::vector<u64>{parts[i].size, all_ones});
                area.append(parts[i].size % 8, '\0');
            } else {
                CHECK(items[i].words() == std::vector<u64>{parts[i].size, base + area.size()});
                CHECK((area.size() - logical) % 8 == 0);
                area += parts[i].data;
            }
            logical += parts[i].size;
            position = area.size();
        }
        CHECK(r.cmd.msg.msg_size == base + align8(position));
        area.resize(align8(position));
        CHECK(std::memcmp(r.bytes() + base, area.data(), area.size()) == 0);
    }
}

TEST_CASE("messages 2.1 the gap between two items as sent, all other padding zero") {
    Pair p;
    REQUIRE(p.receiver.acquire("a.bc") == 0);
    for (bool unpadded : {true, false}) {
        Message m;
        m.to("a.bc");
        std::memset(m.bytes() + m->size, 0xaa, align8(m->size) - m->size);
        m.body("xyz");
        Fd null = open_node("/dev/null");
        m.fds({null.get()});
        std::memset(m.bytes() + m->size, 0xbb, align8(m->size) - m->size);
        if (!unpadded)
            m->size = align8(m->size);
        const Received r = p.exchange(m);
        close_descriptors(r);
        CHECK(std::memcmp(r.bytes() + 64 + 16, "a.bc\0\xaa\xaa\xaa", 8) == 0);
        const u64 end = 64 + 24 + 32 + 20;
        // Slack behind the last item is trimmed.
        CHECK(align8(r->size) == align8(end));
        CHECK(std::memcmp(r.bytes() + end, "\0\0\0\0", 4) == 0);
        CHECK(std::memcmp(r.bytes() + align8(end), "xyz\0\0\0\0\0", 8) == 0);
    }
}

TEST_CASE("messages 2.1 metadata is appended 8-byte aligned behind trimmed slack") {
    Bus bus;
    Connection sender = bus.connect({.description = "d"}),
               receiver = bus.connect({.recv = KDBUS_ATTACH_CREDS | KDBUS_ATTACH_CONN_DESCRIPTION});
    REQUIRE(receiver.acquire("a.b") == 0);
    for (u64 pad : {0, 2, 4}) {
        Message m;
        m.body("p").to("a.b");
        m->size += pad;
        REQUIRE(sender.send(m) == 0);
        const Received r = receiver.take();
        const auto items = r.items();
        REQUIRE(items.size() == 4);
        CHECK(items[2].type == KDBUS_ITEM_CREDS);
        CHECK(items[3].type == KDBUS_ITEM_CONN_DESCRIPTION);
        const u64 end = 64 + 32 + 24 + 80 + 18;
        CHECK(align8(r->size) - r->size < 8);
        CHECK(align8(r->size) == align8(end));
        CHECK(r->size >= end);
        CHECK(items[0].word(1) == align8(end));
        CHECK(r.bytes()[align8(end)] == 'p');
    }
}

TEST_CASE("messages 2.2 the payload base differs per receiver of one broadcast") {
    Bus bus;
    Connection sender = bus.connect(), bare = bus.connect(),
               rich = bus.connect({.recv = KDBUS_ATTACH_CREDS});
    REQUIRE(bare.match_all() == 0);
    REQUIRE(rich.match_all() == 0);
    drain(bare);
    REQUIRE(sender.send(broadcast().body("same")) == 0);
    const Received a = bare.take(), b = rich.take();
    CHECK(b.get(KDBUS_ITEM_PAYLOAD_OFF).word(1) == a.get(KDBUS_ITEM_PAYLOAD_OFF).word(1) + 80);
    CHECK(a.body() == "same");
    CHECK(b.body() == "same");
}

TEST_CASE("messages 2.2 vectors of many sizes, at odd addresses and across pages") {
    Bus bus;
    Connection c = bus.connect({.pool_size = u64{16} << 20});
    std::string source(3 * page, 0);
    for (std::size_t i = 0; i < source.size(); i++)
        source[i] = static_cast<char>(i * 31 + i / 256);
    for (u64 size : {u64{1}, u64{7}, u64{8}, u64{9}, page - 1, page, page + 1, 2 * page + 3}) {
        for (u64 shift : {0, 1, 5}) {
            CAPTURE(size, shift);
            Message m(c.id());
            m.vec(source.data() + shift, size).vec(source.data() + shift + 1, size);
            REQUIRE(c.send(m) == 0);
            CHECK(c.take().body() == source.substr(shift, size) + source.substr(shift + 1, size));
        }
    }
    const std::string large(KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE, 'L');
    REQUIRE(c.send(Message(c.id()).body(large)) == 0);
    CHECK(c.take().body() == large);
    Message many(c.id());
    std::string expected;
    for (int i = 0; i < 900; i++) {
        many.vec(source.data() + i, 3);
        expected += source.substr(static_cast<std::size_t>(i), 3);
    }
    REQUIRE(c.send(many) == 0);
    CHECK(c.take().body() == expected);
}

TEST_CASE("messages 2.3 memfds: which are taken") {
    Pair p;
    const std::string content(3 * page + 5, 'c');
    auto attempt = [&](int fd, u64 start, u64 size) {
        const int error = p.sender.send(Message(p.receiver.id()).memfd(fd, start, size));
        drain(p.receiver);
        return error;
    };
    constexpr int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    for (int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL, all}) {
        Fd fd = make_memfd(content, all & ~missing);
        CHECK(attempt(fd.get(), 0, 1) == ETXTBSY);
        CHECK(attempt(fd.get(), 0, 1 << 20) == ETXTBSY);
    }
    Fd more = make_memfd(content, all | F_SEAL_FUTURE_WRITE);
    CHECK(attempt(more.get(), 0, content.size()) == 0);
    Fd fd = make_memfd(content);
    CHECK(attempt(fd.get(), 0, content.size()) == 0);
    CHECK(attempt(fd.get(), 0, 1) == 0);
    CHECK(attempt(fd.get(), 17, 9) == 0);
    CHECK(attempt(fd.get(), content.size() - 1, 1) == 0);
    CHECK(attempt(fd.get(), content.size(), 1) == EFAULT);
    CHECK(attempt(fd.get(), 0, content.size() + 1) == EFAULT);
    CHECK(attempt(fd.get(), 1, content.size()) == EFAULT);
    CHECK(attempt(fd.get(), u64{1} << 62, 8) == EFAULT);
    CHECK(attempt(fd.get(), all_ones - 8, 8) == EFAULT);
    CHECK(attempt(fd.get(), all_ones, 1) == EMSGSIZE);

    Fd shm(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (shm)
        CHECK(attempt(shm.get(), 0, 1) == ETXTBSY);
    Pipe pipe;
    CHECK(attempt(pipe.read.get(), 0, 1) == EMEDIUMTYPE);
    Fd null = open_node("/dev/null");
    CHECK(attempt(null.get(), 0, 1) == EMEDIUMTYPE);
    CHECK(attempt(p.sender.fd(), 0, 1) == EMEDIUMTYPE);
    Fd exe = open_node("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int executable = attempt(exe.get(), 0, 1);
    CHECK((executable == EMEDIUMTYPE || executable == ETXTBSY));
}

TEST_CASE("messages 2.3 the receiver's descriptor: same open file, close-on-exec") {
    Pair p;
    Fd fd = make_memfd("shared file");
    REQUIRE(fcntl(fd.get(), F_SETFD, 0) == 0);
    const Received r = p.exchange(Message().memfd(fd.get(), 7, 4));
    const kdbus_memfd m = memfd_of(r.items().at(0));
    Fd received(m.fd);
    CHECK(m.fd != fd.get());
    CHECK(close_on_exec(m.fd));
    CHECK(same_description(m.fd, fd.get()));
    CHECK(read_memfd(m.fd, m.start, m.size) == "file");
}

TEST_CASE("messages 2.3/13.15 memfds are never refused: without ACCEPT_FD, not in the fd quota") {
    Pair p;
    Connection plain = p.bus.connect();
    Fd fd = make_memfd("x");
    for (int i = 0; i < 3; i++) {
        Message m(plain.id());
        for (int j = 0; j < 16; j++)
            m.memfd(fd.get(), 0, 1);
        REQUIRE(p.sender.send(m) == 0);
    }
    CHECK(drain(plain) == 3);
}

TEST_CASE("messages 2.4 FDS: what may be passed") {
    Pair p;
    auto attempt = [&](int fd) {
        const int error = p.sender.send(Message(p.receiver.id()).fds({fd}));
        drain(p.receiver);
        return error;
    };
    Pipe pipe;
    Fd memfd = make_memfd("x", 0), null = open_node("/dev/null"),
       directory = open_node("/", O_RDONLY | O_CLOEXEC), path = open_node("/", O_PATH | O_CLOEXEC),
       kdbus_path = open_node(p.bus.path(), O_PATH | O_CLOEXEC),
       tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
       unix_stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
       unix_datagram(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)), control = open_control(),
       endpoint = p.bus.open();
    for (int fd : {pipe.read.get(), pipe.write.get(), memfd.get(), null.get(), directory.get(),
                   path.get(), kdbus_path.get(), tcp.get()})
        CHECK(attempt(fd) == 0);
    for (int fd : {unix_stream.get(), unix_datagram.get(), control.get(), endpoint.get(),
                   p.sender.fd(), p.receiver.fd(), p.bus.owner.get()})
        CHECK(attempt(fd) == EOPNOTSUPP);
    CHECK(attempt(-1) == EBADF);
    CHECK(attempt(4000) == EBADF);
    CHECK(attempt(INT32_MIN) == EBADF);
}

TEST_CASE("messages 2.5 installation: same files in order, close-on-exec, lowest numbers") {
    Pair p;
    Pipe one, two;
    Fd memfd = make_memfd("content"), other = make_memfd("other");
    const std::vector<int> sent{one.read.get(), two.write.get(), one.read.get()};
    // A gap the receiver's descriptors must fill.
    Fd gap(dup(one.read.get()));
    const int lowest = gap.get();
    Message m;
    m.memfd(memfd.get(), 0, 7).fds(sent).memfd(other.get(), 0, 5);
    m->dst_id = p.receiver.id();
    REQUIRE(p.sender.send(m) == 0);
    // Files are pinned at SEND.
    const int before = open_descriptors();
    gap.reset();
    const Received r = p.receiver.take();
    CHECK(open_descriptors() == before - 1 + 5);
    CHECK(r.cmd.msg.return_flags == 0);
    const auto fds = r.get(KDBUS_ITEM_FDS).ints();
    const auto items = r.items();
    REQUIRE(fds.size() == 3);
    const kdbus_memfd first = memfd_of(items.at(0)), second = memfd_of(items.at(2));
    // FDS entries first, then memfds, each the lowest number then free.
    CHECK(fds[0] == lowest);
    CHECK(fds[0] < fds[1]);
    CHECK(fds[1] < fds[2]);
    CHECK(fds[2] < first.fd);
    CHECK(first.fd < second.fd);
    for (std::size_t i = 0; i < 3; i++) {
        CHECK(close_on_exec(fds[i]));
        CHECK(same_description(fds[i], sent[i]));
    }
    CHECK(same_description(first.fd, memfd.get()));
    CHECK(same_description(second.fd, other.get()));
    close_descriptors(r);
}

TEST_CASE(
    "messages 2.4/2.5 the sender may close at once; descriptors belong to the process in RECV") {
    Pair p;
    Pipe pipe;
    REQUIRE(p.sender.send(Message(p.receiver.id()).fds({pipe.write.get()})) == 0);
    pipe.write.reset();
    CHECK(in_child([&] {
              const Received r = p.receiver.recv();
              const auto fds = descriptors_of(r);
              return fds.size() == 1 && write(fds[0], "!", 1) == 1 ? 0 : 1;
          }) == 0);
    char c = 0;
    CHECK(read(pipe.read.get(), &c, 1) == 1);
    CHECK(c == '!');
    // The child was the only holder.
    CHECK(read(pipe.read.get(), &c, 1) == 0);
}

TEST_CASE("messages 2.5 dropped messages and vanished receivers release the files") {
    Pair p;
    Pipe pipe;
    REQUIRE(p.sender.send(Message(p.receiver.id()).fds({pipe.write.get()})) == 0);
    REQUIRE(p.sender.send(Message(p.receiver.id()).fds({pipe.write.get()})) == 0);
    pipe.write.reset();
    REQUIRE(p.receiver.recv(KDBUS_RECV_DROP).error == 0);
    pollfd poll{pipe.read.get(), POLLIN, 0};
    CHECK(::poll(&poll, 1, 0) == 0);
    p.receiver.close();
    CHECK(::poll(&poll, 1, 10'000) == 1);
    CHECK(poll.revents == POLLHUP);
}

TEST_CASE("messages 2.5/14.2 entries that cannot be installed are -1, with INCOMPLETE_FDS") {
    Pair p;
    Fd null = open_node("/dev/null"), memfd = make_memfd("m");
    Message m;
    m.memfd(memfd.get(), 0, 1).fds({null.get(), null.get()}).memfd(memfd.get(), 0, 1);
    m->dst_id = p.receiver.id();
    for (rlim_t room = 0; room <= 4; room++) {
        CAPTURE(room);
        REQUIRE(p.sender.send(m) == 0);
        std::optional<Received> r;
        {
            FewDescriptors few(room);
            r = p.receiver.take();
        }
        CHECK(r->cmd.msg.return_flags == (room < 4 ? KDBUS_RECV_RETURN_INCOMPLETE_FDS : 0));
        const auto fds = descriptors_of(*r);
        REQUIRE(fds.size() == 4);
        for (rlim_t i = 0; i < 4; i++) {
            CAPTURE(i);
            if (i < room) {
                CHECK(fds[i] >= 0);
                CHECK(same_file(fds[i], i < 2 ? null.get() : memfd.get()));
            } else {
                CHECK(fds[i] == -1);
            }
        }
        close_descriptors(*r);
        CHECK(r->cmd.return_flags == 0);
    }
}

TEST_CASE("messages 2.5/14.3 PEEK installs nothing and shows -1; RECV fills the numbers in") {
    Pair p;
    Fd null = open_node("/dev/null"), memfd = make_memfd("m");
    Message m(p.receiver.id());
    m.fds({null.get(), null.get()}).memfd(memfd.get(), 0, 1);
    REQUIRE(p.sender.send(m) == 0);
    const int before = open_descriptors();
    for (int i = 0; i < 3; i++) {
        const Received r = p.receiver.recv(KDBUS_RECV_PEEK);
        REQUIRE(r.error == 0);
        CHECK(descriptors_of(r) == std::vector<int>{-1, -1, -1});
        CHECK(r.cmd.msg.return_flags == 0);
    }
    CHECK(open_descriptors() == before);
    const u64 offset = p.receiver.recv(KDBUS_RECV_PEEK).offset();
    const Received r = p.receiver.recv();
    CHECK(r.offset() == offset);
    const auto fds = descriptors_of(r);
    REQUIRE(fds.size() == 3);
    CHECK(same_file(fds[0], null.get()));
    CHECK(same_file(fds[2], memfd.get()));
    CHECK(open_descriptors() == before + 3);
    close_descriptors(r);
}

TEST_CASE("messages 14.8 an FDS item without entries is refused or passed, never harmful") {
    Pair p;
    const int error = p.sender.send(Message(p.receiver.id()).fds({}).body("x"));
    CHECK((error == EINVAL || error == 0));
    if (error == 0) {
        const Received r = p.receiver.take();
        CHECK(r.get(KDBUS_ITEM_FDS).size == 0);
        CHECK(r.body() == "x");
    }
    CHECK(p.sender.send(Message(p.receiver.id()).fds({})) == error);
}

TEST_CASE("messages 13.3-4 parts stay in order, one to one") {
    Pair p;
    Fd file = make_memfd("mm");
    const Received r =
        p.exchange(Message().body("1").body("2").memfd(file.get(), 0, 2).body("3").body("4"));
    std::vector<u64> types;
    for (const Item& item : r.items())
        types.push_back(item.type);
    CHECK(types == std::vector<u64>{3, 3, 4, 3, 3});
    CHECK(r.body() == "1234");
    close_descriptors(r);
    const std::string large(500'000, 'x');
    Connection big = p.bus.connect({.pool_size = u64{16} << 20});
    REQUIRE(p.sender.send(Message(big.id()).body(large)) == 0);
    const Received one = big.take();
    CHECK(one.items().size() == 1);
    CHECK(one.body() == large);
}

TEST_CASE("messages 2 payload changing while it is sent is delivered as some mixture, no more") {
    Pair p;
    std::string data(64 * 1024, 'a');
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        for (char c = 'a'; !stop; c = c == 'a' ? 'b' : 'a')
            std::memset(data.data(), c, data.size());
    });
    for (int i = 0; i < 50; i++) {
        const Received r = p.exchange(Message().vec(data.data(), data.size()));
        const std::string body = r.body();
        CHECK(body.size() == data.size());
        CHECK(std::all_of(body.begin(), body.end(), [](char c) { return c == 'a' || c == 'b'; }));
    }
    stop = true;
    writer.join();
}
