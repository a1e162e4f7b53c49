// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 9 (metadata), for TIMESTAMP, CREDS, PIDS, AUXGROUPS, NAMES, TID_COMM, PID_COMM and
// CONN_DESCRIPTION. (process.cpp has the rest.)
#include "support.hpp"

#include <sched.h>

using namespace test;

namespace {

constexpr u64 offered = KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS |
                        KDBUS_ATTACH_AUXGROUPS | KDBUS_ATTACH_NAMES | KDBUS_ATTACH_TID_COMM |
                        KDBUS_ATTACH_PID_COMM | KDBUS_ATTACH_CONN_DESCRIPTION;

u64 own_pid() {
    return static_cast<u64>(getpid());
}

} // namespace

TEST_CASE("messages 9.1/13.39 without attach flags a message has no metadata") {
    Bus bus;
    Connection sender = bus.connect({.send = all_ones, .description = "d"}),
               receiver = bus.connect();
    REQUIRE(sender.send(Message(receiver.id())) == 0);
    CHECK(receiver.take()->size == 64);
}

TEST_CASE("messages 9.1 each flag attaches its item, whatever the sender permits") {
    for (u64 permitted : {u64{0}, all_ones}) {
        Bus bus;
        Connection sender = bus.connect({.send = permitted, .description = "d"});
        REQUIRE(sender.acquire("a.b") == 0);
        for (u64 bit = 0; bit < 14; bit++) {
            if (!(offered >> bit & 1))
                continue;
            CAPTURE(permitted, bit);
            Connection receiver = bus.connect({.recv = u64{1} << bit});
            REQUIRE(sender.send(Message(receiver.id())) == 0);
            CHECK(types(receiver.take()) == std::vector<u64>{KDBUS_ITEM_TIMESTAMP + bit});
        }
    }
}

TEST_CASE("messages 9.2 the items, in order, with exact sizes and content") {
    Bus bus;
    Connection sender = bus.connect({.description = "label"}),
               receiver = bus.connect({.recv = offered});
    REQUIRE(sender.acquire("z.first") == 0);
    REQUIRE(sender.acquire("a.second", KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
    const u64 monotonic = now_ns(), realtime = now_ns(CLOCK_REALTIME);
    REQUIRE(sender.send(Message(receiver.id()).body("x")) == 0);
    const Received r = receiver.take();
    CHECK(types(r) == std::vector<u64>{KDBUS_ITEM_PAYLOAD_OFF, KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS,
                                       KDBUS_ITEM_AUXGROUPS, KDBUS_ITEM_TID_COMM,
                                       KDBUS_ITEM_PID_COMM, KDBUS_ITEM_OWNED_NAME,
                                       KDBUS_ITEM_OWNED_NAME, KDBUS_ITEM_CONN_DESCRIPTION,
                                       KDBUS_ITEM_TIMESTAMP});
    const auto items = r.items();
    CHECK(items[1].words() == std::vector<u64>(8, 0));
    CHECK(items[1].size == 64);
    CHECK(items[2].words() == std::vector<u64>{own_pid(), own_pid(), static_cast<u64>(getppid())});
    CHECK(items[2].size == 24);
    CHECK(items[3].size % 8 == 0);
    CHECK(items[4].text() == "abi-metadata");
    CHECK(items[5].text() == "abi-metadata");
    CHECK(items[6].word(0) == KDBUS_NAME_PRIMARY);
    CHECK(items[6].text(8) == "z.first");
    CHECK(items[7].word(0) == (KDBUS_NAME_PRIMARY | KDBUS_NAME_ALLOW_REPLACEMENT));
    CHECK(items[7].text(8) == "a.second");
    CHECK(items[8].text() == "label");
    CHECK(items[9].size == 24);
    CHECK(items[9].word(1) >= monotonic);
    CHECK(items[9].word(1) <= now_ns());
    CHECK(items[9].word(2) >= realtime);
    CHECK(items[9].word(2) <= now_ns(CLOCK_REALTIME));
    // Padding between items is zero.
    for (std::size_t i = 0; i + 1 < items.size(); i++)
        for (const std::uint8_t* b = items[i].data + items[i].size; b < items[i + 1].data - 16; b++)
            CHECK(*b == 0);
}

TEST_CASE("messages 9.1 all known flags: what is offered is there, in order") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.recv = all_ones});
    REQUIRE(sender.send(Message(receiver.id())) == 0);
    std::vector<u64> seen;
    for (u64 type : types(receiver.take()))
        if (offered >> (type - KDBUS_ITEM_TIMESTAMP) & 1)
            seen.push_back(type);
    CHECK(seen == std::vector<u64>{KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS, KDBUS_ITEM_AUXGROUPS,
                                   KDBUS_ITEM_TID_COMM, KDBUS_ITEM_PID_COMM, KDBUS_ITEM_TIMESTAMP});
}

TEST_CASE("messages 9.2/1,3 the credentials of the thread in SEND, at that moment") {
    Bus bus;
    Connection sender = bus.connect(),
               receiver = bus.connect({.recv = KDBUS_ATTACH_CREDS | KDBUS_ATTACH_AUXGROUPS});
    auto sent_as = [&](auto&& become) {
        // Raw system calls: this thread alone.
        auto done = std::async(std::launch::async,
                               [&] { return become() ? -1 : sender.send(Message(receiver.id())); });
        REQUIRE(done.get() == 0);
        return receiver.take();
    };
    const gid_t groups[] = {5, 6, 4'000'000'000};
    Received r = sent_as([&] {
        return syscall(SYS_setgroups, 3, groups) || syscall(SYS_setresgid, 11, 12, 13) ||
               syscall(SYS_setfsgid, 14) < 0 || syscall(SYS_setresuid, 1, 2, 0) ||
               syscall(SYS_setfsuid, 1) < 0;
    });
    CHECK(r.get(KDBUS_ITEM_CREDS).words() == std::vector<u64>{1, 2, 0, 1, 11, 12, 13, 14});
    CHECK(r.get(KDBUS_ITEM_AUXGROUPS).words() == std::vector<u64>{5, 6, 4'000'000'000});
    r = sent_as([] { return syscall(SYS_setgroups, 0, nullptr) != 0; });
    CHECK(r.get(KDBUS_ITEM_CREDS).words() == std::vector<u64>(8, 0));
    CHECK(r.get(KDBUS_ITEM_AUXGROUPS).size == 0);
}

TEST_CASE("messages 9.2/2,4,5 thread and process") {
    Bus bus;
    Connection sender = bus.connect(),
               receiver = bus.connect(
                   {.recv = KDBUS_ATTACH_PIDS | KDBUS_ATTACH_TID_COMM | KDBUS_ATTACH_PID_COMM});
    u64 tid = 0;
    std::thread([&] {
        prctl(PR_SET_NAME, "a thread's name");
        tid = static_cast<u64>(syscall(SYS_gettid));
        sender.send(Message(receiver.id()));
    }).join();
    const Received r = receiver.take();
    CHECK(r.get(KDBUS_ITEM_PIDS).words() ==
          std::vector<u64>{own_pid(), tid, static_cast<u64>(getppid())});
    CHECK(tid != own_pid());
    CHECK(r.get(KDBUS_ITEM_TID_COMM).text() == "a thread's name");
    CHECK(r.get(KDBUS_ITEM_PID_COMM).text() == "abi-metadata");
}

TEST_CASE("messages 9.2/13.51 after fork each process's SEND carries its own metadata") {
    Bus bus;
    Connection sender = bus.connect(),
               receiver = bus.connect({.recv = KDBUS_ATTACH_PIDS | KDBUS_ATTACH_CREDS});
    Child child([&] {
        if (syscall(SYS_setresgid, 7, 7, 7) || syscall(SYS_setresuid, 0, 0, 0))
            return 1;
        return sender.send(Message(receiver.id()));
    });
    const u64 pid = static_cast<u64>(child.pid());
    REQUIRE(child.wait() == 0);
    const Received r = receiver.take();
    CHECK(r.get(KDBUS_ITEM_PIDS).words() == std::vector<u64>{pid, pid, own_pid()});
    CHECK(r.get(KDBUS_ITEM_CREDS).word(4) == 7);
}

TEST_CASE("messages 9.2/12 owned names: queued ones excluded, in order of first request") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.recv = KDBUS_ATTACH_NAMES});
    auto names = [&] {
        REQUIRE(sender.send(Message(receiver.id())) == 0);
        std::vector<std::pair<std::string, u64>> result;
        const Received r = receiver.take();
        for (const Item& item : r.items()) {
            CHECK(item.type == KDBUS_ITEM_OWNED_NAME);
            CHECK(item.size == 8 + item.text(8).size() + 1);
            result.emplace_back(item.text(8), item.word(0));
        }
        return result;
    };
    using Names = std::vector<std::pair<std::string, u64>>;
    CHECK(names().empty());
    REQUIRE(receiver.acquire("m.wanted") == 0);
    REQUIRE(sender.acquire("z.one") == 0);
    REQUIRE(sender.acquire("m.wanted", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(sender.acquire("a.three", KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
    CHECK(names() == Names{{"z.one", 0x20}, {"a.three", 0x22}});
    REQUIRE(receiver.release("m.wanted") == 0);
    CHECK(names() == Names{{"z.one", 0x20}, {"m.wanted", 0x24}, {"a.three", 0x22}});
    REQUIRE(sender.release("z.one") == 0);
    CHECK(names() == Names{{"m.wanted", 0x24}, {"a.three", 0x22}});
}

TEST_CASE("messages 9.1 one broadcast: captured once, identical timestamps") {
    Bus bus;
    Connection sender = bus.connect(), first = bus.connect({.recv = offered}),
               second = bus.connect({.recv = offered});
    REQUIRE(first.match_all() == 0);
    REQUIRE(second.match_all() == 0);
    drain(first);
    REQUIRE(sender.send(broadcast()) == 0);
    const Received a = first.take(), b = second.take();
    CHECK(a.slice == b.slice);
}

TEST_CASE("messages 9.4/9.5 a faked connection sends no process metadata, neither real nor faked") {
    Bus bus;
    Connection receiver = bus.connect({.recv = all_ones});
    auto check = [&](HelloOptions options) {
        options.description = "faked";
        options.send = all_ones;
        Connection sender = bus.connect(options);
        REQUIRE(sender.acquire("a.faked") == 0);
        REQUIRE(sender.send(Message(receiver.id())) == 0);
        CHECK(types(receiver.take()) == std::vector<u64>{KDBUS_ITEM_OWNED_NAME,
                                                         KDBUS_ITEM_CONN_DESCRIPTION,
                                                         KDBUS_ITEM_TIMESTAMP});
    };
    check({.creds = creds_of(77)});
    check({.pids = kdbus_pids{own_pid(), own_pid(), 1}});
    check({.seclabel = "label"});
}

TEST_CASE("abi 6.4 faking does not alter policy decisions") {
    Bus bus;
    Connection faked = bus.connect({.creds = creds_of(1000)}), user = connect_as(bus, 1000);
    // Not the same user for the other side.
    {
        AsUser as(1000);
        CHECK(user.send(Message(faked.id())) == EPERM);
    }
    CHECK(faked.send(Message(user.id())) == 0);
    CHECK(faked.acquire("a.b") == 0);
}

TEST_CASE("messages 9.1/13.40 a receiver in a child user and pid namespace") {
    Bus bus;
    Connection sender = bus.connect();
    Pipe to_child, from_child;
    Child child([&] {
        if (syscall(SYS_setresgid, 1000, 1000, 1000) || syscall(SYS_setresuid, 1000, 1000, 1000) ||
            unshare(CLONE_NEWUSER | CLONE_NEWPID))
            return 1;
        return in_child([&] {
            Connection c = bus.connect(
                {.recv = KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_AUXGROUPS});
            const u64 id = c.id();
            if (write(from_child.write.get(), &id, 8) != 8 || !c.readable(10'000))
                return 2;
            const Received r = c.take();
            if (r.get(KDBUS_ITEM_CREDS).words() != std::vector<u64>(8, 65534))
                return 3;
            if (r.get(KDBUS_ITEM_PIDS).words() != std::vector<u64>(3, 0))
                return 4;
            for (u64 gid : r.get(KDBUS_ITEM_AUXGROUPS).words())
                if (gid != 65534)
                    return 5;
            return 0;
        });
    });
    u64 id = 0;
    REQUIRE(read(from_child.read.get(), &id, 8) == 8);
    const gid_t groups[] = {3, 4};
    REQUIRE(in_child([&] {
                return syscall(SYS_setgroups, 2, groups) ? 1 : sender.send(Message(id));
            }) == 0);
    CHECK(child.wait() == 0);
}

TEST_CASE("messages 9.1 ids mapped in the receiver's user namespace are translated") {
    Bus bus;
    Connection sender = bus.connect();
    Pipe from_child, to_child;
    Child child([&] {
        if (syscall(SYS_setresgid, 1000, 1000, 1000) || syscall(SYS_setresuid, 1000, 1000, 1000) ||
            unshare(CLONE_NEWUSER))
            return 1;
        auto put = [](const char* path, std::string_view text) {
            Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
            return write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
        };
        prctl(PR_SET_DUMPABLE, 1);
        if (!put("/proc/self/uid_map", "5 1000 1") || !put("/proc/self/setgroups", "deny") ||
            !put("/proc/self/gid_map", "6 1000 1"))
            return 2;
        Connection c = bus.connect({.recv = KDBUS_ATTACH_CREDS});
        const u64 id = c.id();
        if (write(from_child.write.get(), &id, 8) != 8 || !c.readable(10'000))
            return 3;
        // Sent by real uid 1000, effective uid 0, gid 1000.
        return c.take().get(KDBUS_ITEM_CREDS).words() ==
                       std::vector<u64>{5, 65534, 65534, 65534, 6, 6, 65534, 6}
                   ? 0
                   : 4;
    });
    u64 id = 0;
    REQUIRE(read(from_child.read.get(), &id, 8) == 8);
    REQUIRE(in_child([&] {
                return syscall(SYS_setresgid, 1000, 1000, 0) || syscall(SYS_setresuid, 1000, 0, 0)
                           ? 1
                           : sender.send(Message(id));
            }) == 0);
    CHECK(child.wait() == 0);
}

TEST_CASE("messages 13.41 seen from the parent pid namespace all pids of a child are non-zero") {
    Bus bus;
    Connection receiver = bus.connect({.recv = KDBUS_ATTACH_PIDS}), sender = bus.connect();
    Pipe pids;
    CHECK(in_child([&] {
              if (unshare(CLONE_NEWPID))
                  return 1;
              return in_child(
                  [&] { return getpid() == 1 ? sender.send(Message(receiver.id())) : 2; });
          }) == 0);
    const Received r = receiver.take();
    for (u64 pid : r.get(KDBUS_ITEM_PIDS).words())
        CHECK(pid > 1);
}

TEST_CASE("messages 9.1 the pid namespace is that of the task that did HELLO") {
    Bus bus;
    Connection sender = bus.connect();
    Fd fd = bus.open();
    // HELLO in a child pid namespace, the handle used outside.
    REQUIRE(in_child([&] {
                if (unshare(CLONE_NEWPID))
                    return 1;
                return in_child([&] {
                    auto c = hello_command({.recv = KDBUS_ATTACH_PIDS});
                    return command(fd.get(), KDBUS_CMD_HELLO, c.address());
                });
            }) == 0);
    const u64 id = sender.list(KDBUS_LIST_UNIQUE).back().head().id == sender.id()
                       ? sender.list(KDBUS_LIST_UNIQUE).front().head().id
                       : sender.list(KDBUS_LIST_UNIQUE).back().head().id;
    REQUIRE(sender.send(Message(id)) == 0);
    Command<kdbus_cmd_recv> recv;
    REQUIRE(command(fd.get(), KDBUS_CMD_RECV, recv.address()) == 0);
    auto* pool =
        static_cast<std::uint8_t*>(mmap(nullptr, 1 << 20, PROT_READ, MAP_SHARED, fd.get(), 0));
    REQUIRE(pool != MAP_FAILED);
    const auto items = parse_items(pool + recv->msg.offset + 64, pool + recv->msg.offset + 104);
    REQUIRE(items.size() == 1);
    CHECK(items[0].words() == std::vector<u64>(3, 0));
    munmap(pool, 1 << 20);
}

TEST_CASE("messages 9.7 sequence numbers: one counter per bus") {
    Bus bus, other;
    Connection sender = bus.connect(), receiver = bus.connect({.recv = KDBUS_ATTACH_TIMESTAMP});
    auto next = [&](Message m) {
        m->dst_id = receiver.id();
        REQUIRE(sender.send(m) == 0);
        return receiver.take().get(KDBUS_ITEM_TIMESTAMP).word(0);
    };
    const u64 first = next(Message());
    CHECK(next(Message()) == first + 1);
    // Failed sends that passed phase 7 leave gaps, earlier failures none.
    CHECK(sender.send(Message(99999999)) == ENXIO);
    CHECK(next(Message()) == first + 3);
    CHECK(sender.send(Message(receiver.id()).fds({4000})) == EBADF);
    CHECK(next(Message()) == first + 5);
    CHECK(sender.send(Message(0)) == EDESTADDRREQ);
    Message bad(receiver.id());
    bad->payload_type = 0;
    CHECK(sender.send(bad) == EINVAL);
    CHECK(next(Message()) == first + 6);
    // A notification takes one even if nobody listens, and so does a broadcast.
    REQUIRE(sender.acquire("a.b") == 0);
    CHECK(next(Message()) == first + 8);
    REQUIRE(sender.send(broadcast()) == 0);
    CHECK(next(Message()) == first + 10);
    // Another bus counts from 1: its HELLO's ID_ADD was the first.
    Connection stranger = other.connect({.recv = KDBUS_ATTACH_TIMESTAMP});
    REQUIRE(stranger.send(Message(stranger.id())) == 0);
    CHECK(stranger.take().get(KDBUS_ITEM_TIMESTAMP).word(0) == 2);
}
