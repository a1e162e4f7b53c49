// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 5 (handles), 2.4 (death of a bus) and 6.6 (BYEBYE).
#include "handles.hpp"
#include "support.hpp"

using namespace test;

namespace {

// Passes a descriptor through a UNIX socket.
Fd pass(int fd) {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    Fd a(ends[0]), b(ends[1]);
    char byte = 0;
    iovec iov{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr m{};
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
    REQUIRE(sendmsg(a.get(), &m, 0) == 1);
    REQUIRE(recvmsg(b.get(), &m, 0) == 1);
    int received = -1;
    std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof received);
    return Fd(received);
}

} // namespace

TEST_CASE("abi 5.2 C: fresh control handle") {
    Fd fd = open_control();
    CHECK(poke(fd.get(), KDBUS_CMD_BUS_MAKE) == EFAULT);
    CHECK(poke(fd.get(), KDBUS_CMD_HELLO) == EBADFD);
    check_commands(fd.get(), connection_commands, EBADFD);
    check_files(fd.get());
    CHECK(map_error(fd.get()) == EBADFD);
}

TEST_CASE("abi 5.2 B: bus owner") {
    Bus bus;
    check_each(bus.owner.get(), EBADFD, EBADFD, EBADFD);
    check_files(bus.owner.get());
    CHECK(map_error(bus.owner.get()) == EBADFD);
    // Whatever the payload says.
    auto c = bus_command(unique_bus_name());
    CHECK(command(bus.owner.get(), KDBUS_CMD_BUS_MAKE, c.address()) == EBADFD);
}

TEST_CASE("abi 5.2 D: fresh handle of the default endpoint") {
    Bus bus;
    Fd fd = bus.open();
    CHECK(poke(fd.get(), KDBUS_CMD_BUS_MAKE) == EBADFD);
    CHECK(poke(fd.get(), KDBUS_CMD_HELLO) == EFAULT);
    check_commands(fd.get(), connection_commands, EBADFD);
    check_files(fd.get());
    CHECK(map_error(fd.get()) == EBADFD);
}

TEST_CASE("abi 5.2 O: ordinary connection") {
    Bus bus;
    Connection c = bus.connect();
    check_each(c.fd(), EBADFD, EBADFD, EFAULT);
    auto hello = hello_command();
    CHECK(c.run(KDBUS_CMD_HELLO, hello.address()) == EBADFD);
    check_files(c.fd());
}

TEST_CASE("abi 5.2 A, M: activator and monitor") {
    Bus bus;
    const bool activator = GENERATE(true, false);
    CAPTURE(activator);
    HelloOptions options{.flags = activator ? KDBUS_HELLO_ACTIVATOR : KDBUS_HELLO_MONITOR};
    if (activator)
        options.name = "a.b";
    Connection c = bus.connect(options);
    check_commands(
        c.fd(),
        {KDBUS_CMD_BUS_MAKE, KDBUS_CMD_ENDPOINT_MAKE, KDBUS_CMD_HELLO, KDBUS_CMD_ENDPOINT_UPDATE},
        EBADFD);
    check_commands(c.fd(),
                   {KDBUS_CMD_UPDATE, KDBUS_CMD_FREE, KDBUS_CMD_CONN_INFO,
                    KDBUS_CMD_BUS_CREATOR_INFO, KDBUS_CMD_LIST, KDBUS_CMD_RECV},
                   EFAULT);
    check_commands(c.fd(),
                   {KDBUS_CMD_BYEBYE, KDBUS_CMD_SEND, KDBUS_CMD_NAME_ACQUIRE,
                    KDBUS_CMD_NAME_RELEASE, KDBUS_CMD_MATCH_ADD, KDBUS_CMD_MATCH_REMOVE},
                   EOPNOTSUPP);
    check_files(c.fd());
    CHECK(c.events() == (POLLOUT | POLLWRNORM));
    // What is allowed works.
    CHECK(c.recv().error == EAGAIN);
    CHECK(c.info(c.id()).head().id == c.id());
    CHECK(c.list(KDBUS_LIST_UNIQUE).size() == (activator ? 1 : 0));
    Command<kdbus_cmd_info> creator;
    CHECK(c.run(KDBUS_CMD_BUS_CREATOR_INFO, creator.address()) == 0);
    CHECK(c.free(creator->offset) == 0);
    // abi 5.2 Z: of any kind.
    bus.close();
    check_commands(c.fd(), connection_commands, ECONNRESET);
    CHECK(c.events() == (POLLERR | POLLHUP));
}

TEST_CASE("abi 5.2 Z: ended connection") {
    Bus bus;
    Connection c = bus.connect();
    REQUIRE(c.bye() == 0);
    check_each(c.fd(), EBADFD, ECONNRESET, ECONNRESET);
    check_files(c.fd());
    CHECK(map_error(c.fd()) == 0);
}

TEST_CASE("abi 2.4 connection on a dead bus") {
    Bus bus;
    Connection c = bus.connect();
    REQUIRE(c.send(Message(c.id()).body("left behind")) == 0);
    const Received queued = c.recv(KDBUS_RECV_PEEK);
    bus.close();
    check_each(c.fd(), EBADFD, ECONNRESET, ECONNRESET);
    CHECK(c.events() == (POLLERR | POLLHUP));
    check_pool_of_ended(c, queued);
}

TEST_CASE("abi 2.4 fresh handle of a dead endpoint") {
    Bus bus;
    Fd fd = bus.open();
    bus.close();
    check_each(fd.get(), ESHUTDOWN, EBADFD, EBADFD);
    auto hello = hello_command();
    CHECK(command(fd.get(), KDBUS_CMD_HELLO, hello.address()) == ESHUTDOWN);
    CHECK(events_of(fd.get()) == (POLLERR | POLLHUP));
    CHECK(map_error(fd.get()) == EBADFD);
    check_files(fd.get());
}

TEST_CASE("abi 2.4 a stale handle does not disturb a new bus of the same name") {
    Bus bus;
    Connection old = bus.connect();
    Fd fresh = bus.open();
    bus.close();
    Fd control = open_control();
    auto make = bus_command(bus.name);
    REQUIRE(command(control.get(), KDBUS_CMD_BUS_MAKE, make.address()) == 0);
    auto hello = hello_command();
    CHECK(command(fresh.get(), KDBUS_CMD_HELLO, hello.address()) == ESHUTDOWN);
    Connection c(bus.open(), {});
    CHECK(c.info(old.id()).error == ENXIO);
    old.close();
    fresh.reset();
    CHECK(c.send(Message(c.id()).body("alive")) == 0);
    CHECK(c.take().body() == "alive");
}

TEST_CASE("abi 5.1 one HELLO of two racing ones succeeds") {
    Bus bus;
    for (int i = 0; i < 10; i++) {
        Fd fd = bus.open();
        auto attempt = [&] {
            auto c = hello_command();
            return command(fd.get(), KDBUS_CMD_HELLO, c.address());
        };
        auto other = std::async(std::launch::async, attempt);
        const int mine = attempt(), theirs = other.get();
        CAPTURE(mine, theirs);
        CHECK(((mine == 0 && theirs == EBADFD) || (mine == EBADFD && theirs == 0)));
    }
}

TEST_CASE("abi 5.1 a handle can be inherited, duplicated and passed over a UNIX socket") {
    Bus bus;
    Connection c = bus.connect();
    Connection peer = bus.connect();

    Fd copy(dup(c.fd()));
    Fd passed = pass(copy.get());
    copy.reset();
    Message m(peer.id());
    m.body("from the passed handle");
    Command<kdbus_cmd_send> send;
    send->msg_address = reinterpret_cast<u64>(m.address());
    CHECK(command(passed.get(), KDBUS_CMD_SEND, send.address()) == 0);
    Received r = peer.take();
    CHECK(r->src_id == c.id());

    CHECK(in_child([&] { return peer.send(Message(c.id()).body("from a child")); }) == 0);
    CHECK(c.take()->src_id == peer.id());

    // The connection lives as long as any copy is open.
    const u64 id = c.id();
    c.close();
    CHECK(peer.info(id).error == 0);
    passed.reset();
    CHECK(peer.info(id).error == ENXIO);
}

TEST_CASE("abi 5.1 a connection outlives the process that made it") {
    Bus bus;
    Connection observer = bus.connect();
    Fd fd = bus.open();
    CHECK(in_child([&] {
              auto c = hello_command();
              return command(fd.get(), KDBUS_CMD_HELLO, c.address());
          }) == 0);
    const auto records = observer.list(KDBUS_LIST_UNIQUE);
    REQUIRE(records.size() == 2);
    Plain bye;
    CHECK(command(fd.get(), KDBUS_CMD_BYEBYE, bye.address()) == 0);
    CHECK(observer.list(KDBUS_LIST_UNIQUE).size() == 1);
}

TEST_CASE("abi 5.1 teardown when the process that holds the handle dies") {
    Bus bus;
    Connection observer = bus.connect();
    Pipe ready;
    Child child([&] {
        Connection c = bus.connect();
        const u64 id = c.id();
        if (write(ready.write.get(), &id, 8) != 8)
            return 1;
        pause();
        return 0;
    });
    u64 id = 0;
    REQUIRE(read(ready.read.get(), &id, 8) == 8);
    CHECK(observer.info(id).error == 0);
    child.kill();
    CHECK(eventually([&] { return observer.info(id).error == ENXIO; }));
}

TEST_CASE("abi 6.6 BYEBYE: EBUSY while messages are queued, ECONNRESET when ended") {
    Bus bus;
    Connection c = bus.connect();
    REQUIRE(c.send(Message(c.id()).body("one")) == 0);
    Plain bye;
    bye->return_flags = 99;
    CHECK(c.run(KDBUS_CMD_BYEBYE, bye.address()) == EBUSY);
    CHECK(bye->return_flags == 0);
    // Nothing changed.
    CHECK(c.send(Message(c.id()).body("two")) == 0);
    CHECK(c.recv(KDBUS_RECV_PEEK).error == 0);
    CHECK(c.bye() == EBUSY);
    const Received kept = c.recv();
    CHECK(kept.error == 0);
    CHECK(c.bye() == EBUSY);
    CHECK(c.recv(KDBUS_RECV_DROP).error == 0);
    // The slice that was received but not freed does not count.
    CHECK(c.bye() == 0);
    CHECK(c.bye() == ECONNRESET);
    CHECK(c.free(kept.offset()) == ECONNRESET);
    CHECK(c.events() == (POLLERR | POLLHUP));
    CHECK(std::memcmp(c.at(kept.offset()), kept.bytes(), 64) == 0);
}

TEST_CASE("abi 13.43 BYEBYE: a queued broadcast makes it EBUSY") {
    Bus bus;
    Connection c = bus.connect(), sender = bus.connect();
    REQUIRE(c.match_all() == 0);
    REQUIRE(sender.send(broadcast()) == 0);
    CHECK(c.bye() == EBUSY);
    CHECK(c.recv().error == 0);
    CHECK(c.bye() == 0);
    CHECK(c.bye() == ECONNRESET);
}

TEST_CASE("abi 6.6 BYEBYE: a lost-broadcast count does not make it EBUSY") {
    Bus bus;
    Connection c = bus.connect({.pool_size = page}), sender = bus.connect();
    REQUIRE(c.match_all() == 0);
    auto big = broadcast();
    big.filler(3000);
    REQUIRE(sender.send(big) == 0);
    REQUIRE(c.readable());
    CHECK(c.bye() == 0);
}

TEST_CASE("abi 6.6/9.6 after BYEBYE the id is gone and messages do not arrive") {
    Bus bus;
    Connection c = bus.connect(), peer = bus.connect();
    REQUIRE(c.acquire("a.b") == 0);
    REQUIRE(c.bye() == 0);
    CHECK(peer.send(Message(c.id())) == ENXIO);
    CHECK(peer.send(Message().to("a.b")) == ESRCH);
    CHECK(peer.info(c.id()).error == ENXIO);
    CHECK(peer.acquire("a.b") == 0);
    CHECK(peer.list(KDBUS_LIST_UNIQUE).size() == 1);
}

TEST_CASE("abi 13.44 close with queued messages is always possible") {
    Bus bus;
    Connection c = bus.connect(), peer = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
    Fd file = make_memfd("some content");
    Pipe pipe;
    for (int i = 0; i < 10; i++)
        REQUIRE(
            c.send(
                Message(peer.id()).filler(100).memfd(file.get(), 0, 12).fds({pipe.write.get()})) ==
            0);
    pipe.write.reset();
    peer.close();
    // The pinned files were released.
    char byte = 0;
    CHECK(read(pipe.read.get(), &byte, 1) == 0);
    CHECK(c.send(Message(peer.hello.id)) == ENXIO);
}

#ifdef __x86_64__

namespace {

// ioctl through the 32-bit entry of the kernel; the argument must lie below 4 GiB.
int command32(int fd, unsigned long number, void* argument) {
    int result = 0;
    asm volatile("int $0x80"
                 : "=a"(result)
                 : "a"(54), "b"(fd), "c"(static_cast<u32>(number)),
                   "d"(static_cast<u32>(reinterpret_cast<u64>(argument)))
                 : "memory", "r8", "r9", "r10", "r11");
    return -result;
}

} // namespace

TEST_CASE("abi conventions: the 32-bit path takes the same numbers and structures") {
    // Only kernels with that entry have the setting.
    if (access("/proc/sys/abi/vsyscall32", F_OK) != 0) {
        WARN("this kernel has no 32-bit entry");
        return;
    }
    auto* low = static_cast<std::uint8_t*>(mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
    REQUIRE(low != MAP_FAILED);
    Bus bus;
    Fd fd = bus.open();
    auto copy = [&](std::size_t at, auto& block) {
        std::memcpy(low + at, block.address(), align8(block->size));
        return static_cast<void*>(low + at);
    };

    auto hello = hello_command();
    auto* hello_result = static_cast<kdbus_cmd_hello*>(copy(0, hello));
    REQUIRE(command32(fd.get(), KDBUS_CMD_HELLO, low + 1) == EFAULT);
    REQUIRE(command32(fd.get(), KDBUS_CMD_HELLO, hello_result) == 0);
    CHECK(hello_result->items_size == 32);

    static constexpr char text[] = "thirty-two";
    std::memcpy(low + 3 * page, text, sizeof text);
    Message m(hello_result->id);
    m.vec(low + 3 * page, sizeof text);
    Command<kdbus_cmd_send> send;
    send->msg_address = reinterpret_cast<u64>(copy(page, m));
    CHECK(command32(fd.get(), KDBUS_CMD_SEND, copy(2 * page, send)) == 0);

    Command<kdbus_cmd_recv> recv;
    auto* result = static_cast<kdbus_cmd_recv*>(copy(page, recv));
    CHECK(command32(fd.get(), KDBUS_CMD_RECV, result) == 0);
    void* map = mmap(nullptr, hello_result->pool_size, PROT_READ, MAP_SHARED, fd.get(), 0);
    REQUIRE(map != MAP_FAILED);
    auto* msg = reinterpret_cast<kdbus_msg*>(static_cast<char*>(map) + result->msg.offset);
    CHECK(msg->size == 96);
    CHECK(msg->src_id == hello_result->id);
    CHECK(std::memcmp(reinterpret_cast<char*>(msg) + 96, text, sizeof text) == 0);
    CHECK(command32(fd.get(), KDBUS_CMD_RECV, result) == EAGAIN);
    CHECK(command32(fd.get(), _IO(KDBUS_IOCTL_MAGIC, 0x91), result) == ENOTTY);
    munmap(map, hello_result->pool_size);
    munmap(low, 4 * page);
}

#endif
