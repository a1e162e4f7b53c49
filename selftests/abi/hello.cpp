// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 6.4 (HELLO), 5.3 (privilege) and the limit of connections in 12.
#include "support.hpp"

#include <sched.h>

using namespace test;

namespace {

int hello(int fd, Command<kdbus_cmd_hello> c) {
    return command(fd, KDBUS_CMD_HELLO, c.address());
}

int hello(const Bus& bus, Command<kdbus_cmd_hello> c) {
    Fd fd = bus.open();
    return hello(fd.get(), std::move(c));
}

int hello(const Bus& bus, const HelloOptions& options) {
    return hello(bus, hello_command(options));
}

Bus bus_of(uid_t uid) {
    AsUser user(uid);
    return Bus();
}

} // namespace

TEST_CASE("abi 6.4 the result: fields and slice") {
    Bus bus({.flags = KDBUS_MAKE_ACCESS_WORLD | KDBUS_MAKE_ACCESS_GROUP,
             .bloom_size = 64,
             .n_hash = 7});
    Fd fd = bus.open();
    auto c = hello_command({.flags = KDBUS_HELLO_ACCEPT_FD,
                            .send = all_ones,
                            .recv = KDBUS_ATTACH_CREDS,
                            .pool_size = 16 * page,
                            .description = "some.label"});
    const u64 size = c->size;
    c->return_flags = c->bus_flags = c->id = c->offset = c->items_size = 0x55;
    std::memset(c->id128, 0x55, 16);
    REQUIRE(command(fd.get(), KDBUS_CMD_HELLO, c.address()) == 0);
    // Inputs are echoed as supplied.
    CHECK(c->size == size);
    CHECK(c->flags == KDBUS_HELLO_ACCEPT_FD);
    CHECK(c->attach_flags_send == all_ones);
    CHECK(c->attach_flags_recv == KDBUS_ATTACH_CREDS);
    CHECK(c->pool_size == 16 * page);
    // Outputs.
    CHECK(c->return_flags == 0);
    CHECK(c->bus_flags == (KDBUS_MAKE_ACCESS_WORLD | KDBUS_MAKE_ACCESS_GROUP));
    CHECK(c->id != 0);
    CHECK(c->id != all_ones);
    CHECK(c->offset == 0);
    CHECK(c->items_size == 32);
    CHECK((c->id128[6] & 0xf0) == 0x40);
    CHECK((c->id128[8] & 0xc0) == 0x80);

    auto* pool = static_cast<u64*>(mmap(nullptr, page, PROT_READ, MAP_SHARED, fd.get(), 0));
    REQUIRE(pool != MAP_FAILED);
    CHECK(pool[0] == 32);
    CHECK(pool[1] == 7);
    CHECK(pool[2] == 64);
    CHECK(pool[3] == 7);
    munmap(pool, page);

    // The slice is allocated until it is freed: 13.7, 13.10.
    Command<kdbus_cmd_free> free;
    CHECK(command(fd.get(), KDBUS_CMD_FREE, free.address()) == 0);
    CHECK(command(fd.get(), KDBUS_CMD_FREE, free.address()) == ENXIO);
}

TEST_CASE("abi 6.4 the command can be reused for the next HELLO") {
    Bus bus;
    auto c = hello_command({.recv = all_ones});
    Fd a = bus.open(), b = bus.open();
    REQUIRE(command(a.get(), KDBUS_CMD_HELLO, c.address()) == 0);
    const u64 first = c->id;
    REQUIRE(command(b.get(), KDBUS_CMD_HELLO, c.address()) == 0);
    CHECK(c->id > first);
}

TEST_CASE("abi 1 one counter for buses and connections") {
    Bus bus;
    Connection a = bus.connect();
    Connection b = bus.connect();
    CHECK(b.id() == a.id() + 1);
    Bus other;
    Connection c = other.connect();
    CHECK(c.id() == b.id() + 2);
    b.close();
    Connection d = bus.connect();
    CHECK(d.id() == c.id() + 1);
}

TEST_CASE("abi 1 the UUID is the bus's") {
    Bus bus, other;
    Connection a = bus.connect(), b = bus.connect(), c = other.connect();
    CHECK(std::memcmp(a.hello.id128, b.hello.id128, 16) == 0);
    CHECK(std::memcmp(a.hello.id128, c.hello.id128, 16) != 0);
}

TEST_CASE("abi 6.4/1 pool_size") {
    Bus bus;
    for (u64 size : {u64{0}, u64{1}, u64{8}, page - 1, page + 1, page + 8, 3 * page / 2, all_ones,
                     (u64{1} << 32) + 1}) {
        CAPTURE(size);
        CHECK(hello(bus, {.pool_size = size}) == EINVAL);
    }
    for (u64 size : {page, 2 * page, 3 * page, u64{16} << 20})
        CHECK(hello(bus, {.pool_size = size}) == 0);
}

TEST_CASE("abi 6.4/9 absurd pool sizes: ENOMEM or EINVAL") {
    Bus bus;
    for (u64 size : {~(page - 1), u64{1} << 63, u64{1} << 56}) {
        CAPTURE(size);
        const int error = hello(bus, {.pool_size = size});
        CHECK((error == ENOMEM || error == EINVAL));
    }
}

TEST_CASE("abi 6.4/2 at most one special kind") {
    Bus bus;
    const u64 a = KDBUS_HELLO_ACTIVATOR, p = KDBUS_HELLO_POLICY_HOLDER, m = KDBUS_HELLO_MONITOR;
    for (u64 flags : {a | p, a | m, p | m, a | p | m}) {
        for (bool named : {false, true}) {
            CAPTURE(flags, named);
            auto c = hello_command({.flags = flags});
            if (named)
                c.text(KDBUS_ITEM_NAME, "a.b");
            CHECK(hello(bus, std::move(c)) == EINVAL);
        }
    }
}

TEST_CASE("abi 6.4/3 NAME if and only if activator or policy holder") {
    Bus bus;
    auto with_name = [](u64 flags, std::string_view name = "a.b") {
        auto c = hello_command({.flags = flags});
        c.text(KDBUS_ITEM_NAME, name);
        return c;
    };
    CHECK(hello(bus, with_name(0)) == EINVAL);
    CHECK(hello(bus, with_name(KDBUS_HELLO_ACCEPT_FD)) == EINVAL);
    CHECK(hello(bus, with_name(KDBUS_HELLO_MONITOR)) == EINVAL);
    // 13.6: for everyone, before any permission check.
    for (uid_t uid : {0u, 1000u}) {
        AsUser user(uid);
        CAPTURE(uid);
        CHECK(hello(bus, {.flags = KDBUS_HELLO_ACTIVATOR}) == EINVAL);
        CHECK(hello(bus, {.flags = KDBUS_HELLO_POLICY_HOLDER}) == EINVAL);
        CHECK(hello(bus, with_name(KDBUS_HELLO_MONITOR)) == EINVAL);
    }
}

TEST_CASE("abi 6.4/4 syntax of NAME, then 6.4/6 the right to a special kind") {
    Bus bus;
    const std::string longest = "a." + std::string(253, 'b');
    struct Row {
        u64 kind;
        std::string name;
        bool valid;
    };
    const Row rows[] = {
        {KDBUS_HELLO_ACTIVATOR, "", false},
        {KDBUS_HELLO_ACTIVATOR, "example", false},
        {KDBUS_HELLO_ACTIVATOR, ".example.a", false},
        {KDBUS_HELLO_ACTIVATOR, "a.b.*", false},
        {KDBUS_HELLO_ACTIVATOR, "a.b", true},
        {KDBUS_HELLO_ACTIVATOR, longest, true},
        {KDBUS_HELLO_ACTIVATOR, longest + "b", false},
        {KDBUS_HELLO_POLICY_HOLDER, "example", false},
        {KDBUS_HELLO_POLICY_HOLDER, ".example.a", false},
        {KDBUS_HELLO_POLICY_HOLDER, "*", false},
        {KDBUS_HELLO_POLICY_HOLDER, "a.*.b", false},
        {KDBUS_HELLO_POLICY_HOLDER, "a.b*", false},
        {KDBUS_HELLO_POLICY_HOLDER, "a.b", true},
        {KDBUS_HELLO_POLICY_HOLDER, "a.b.*", true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.kind, row.name);
        auto build = [&] {
            auto c = hello_command({.flags = row.kind});
            c.text(KDBUS_ITEM_NAME, row.name);
            return c;
        };
        CHECK(hello(bus, build()) == (row.valid ? 0 : EINVAL));
        AsUser user(1000);
        CHECK(hello(bus, build()) == (row.valid ? EPERM : EINVAL));
    }
    CHECK(hello(bus, {.flags = KDBUS_HELLO_MONITOR}) == 0);
    AsUser user(1000);
    CHECK(hello(bus, {.flags = KDBUS_HELLO_MONITOR}) == EPERM);
}

TEST_CASE("abi 6.4 the earlier of two failures decides") {
    Bus bus;
    AsUser user(1000);
    // 1 before 6, 3 before 7, 6 and 7 before 8.
    CHECK(hello(bus, {.flags = KDBUS_HELLO_MONITOR, .pool_size = 5}) == EINVAL);
    CHECK(hello(bus, {.pool_size = 5, .creds = creds_of(1000)}) == EINVAL);
    auto named = hello_command({.creds = creds_of(1000)});
    named.text(KDBUS_ITEM_NAME, "a.b");
    CHECK(hello(bus, std::move(named)) == EINVAL);
    CHECK(hello(bus, {.flags = KDBUS_HELLO_MONITOR, .send = u64{1} << 20}) == EPERM);
    CHECK(hello(bus, {.send = u64{1} << 20, .creds = creds_of(1000)}) == EPERM);
    CHECK(hello(bus, {.send = u64{1} << 20}) == EINVAL);
}

TEST_CASE("abi 6.4/7 faked metadata needs bus-owner rights") {
    const kdbus_pids pids{static_cast<u64>(getpid()), static_cast<u64>(getpid()), 1};
    Bus bus = bus_of(1000);
    auto all_three = [&](int expected) {
        CHECK(hello(bus, {.creds = creds_of(1000)}) == expected);
        CHECK(hello(bus, {.pids = pids}) == expected);
        CHECK(hello(bus, {.seclabel = "label"}) == expected);
    };
    SECTION("the user who made the bus") {
        AsUser user(1000);
        all_three(0);
    }
    SECTION("its effective uid counts") {
        AsUser user(1001, 1000);
        all_three(0);
    }
    SECTION("its real uid does not") {
        AsUser user(1000, 1001);
        all_three(EPERM);
    }
    SECTION("another user") {
        AsUser user(1001);
        all_three(EPERM);
    }
    SECTION("CAP_IPC_OWNER") {
        all_three(0);
    }
    SECTION("root without CAP_IPC_OWNER") {
        WithoutIpcOwner less;
        all_three(EPERM);
    }
    SECTION("credentials of the opener: another user's handle in root's hands") {
        Fd fd;
        {
            AsUser user(1001);
            fd = bus.open();
        }
        CHECK(hello(fd.get(), hello_command({.creds = creds_of(1000)})) == EPERM);
    }
    SECTION("credentials of the opener: root's handle in another user's hands") {
        Fd fd = bus.open();
        AsUser user(1001);
        CHECK(hello(fd.get(), hello_command({.creds = creds_of(1000)})) == 0);
    }
}

TEST_CASE("abi 5.3 capabilities held in a child user namespace do not count") {
    Bus bus = bus_of(1000);
    const int rc = in_child([&] {
        if (syscall(SYS_setresgid, 1001, 1001, 1001) || syscall(SYS_setresuid, 1001, 1001, 1001))
            return 100;
        if (unshare(CLONE_NEWUSER))
            return 101;
        Fd fd(::open(bus.path().c_str(), O_RDWR | O_CLOEXEC));
        if (hello(fd.get(), hello_command({.seclabel = "label"})) != EPERM)
            return 102;
        return hello(fd.get(), hello_command());
    });
    CHECK(rc == 0);
}

TEST_CASE("abi 6.4/8 attach masks") {
    Bus bus;
    for (u64 mask : {u64{0}, u64{1}, known_attach_flags, all_ones}) {
        CAPTURE(mask);
        CHECK(hello(bus, {.send = mask}) == 0);
        CHECK(hello(bus, {.recv = mask}) == 0);
    }
    for (u64 mask : {known_attach_flags + 1, u64{1} << 63, all_ones - 1, all_ones >> 1}) {
        CAPTURE(mask);
        CHECK(hello(bus, {.send = mask}) == EINVAL);
        CHECK(hello(bus, {.recv = mask}) == EINVAL);
    }
}

TEST_CASE("abi 6.4/10 faked values must resolve") {
    Bus bus;
    kdbus_creds good = creds_of(7);
    CHECK(hello(bus, {.creds = good}) == 0);
    auto* field = reinterpret_cast<u64*>(&good);
    for (int i = 0; i < 8; i++) {
        CAPTURE(i);
        good = creds_of(7);
        field[i] = 0xffffffff; // unset
        CHECK(hello(bus, {.creds = good}) == 0);
        for (u64 bad : {all_ones, u64{0x100000000}, u64{0x1ffffffff}, (u64{1} << 63) + 7}) {
            CAPTURE(bad);
            field[i] = bad;
            CHECK(hello(bus, {.creds = good}) == EINVAL);
        }
    }
    const u64 self = static_cast<u64>(getpid());
    CHECK(hello(bus, {.pids = kdbus_pids{0, 0, 0}}) == 0);
    CHECK(hello(bus, {.pids = kdbus_pids{self, self, 1}}) == 0);
    for (u64 bad : {u64{0x7ffffff0}, all_ones, u64{0x100000001}, u64{1} << 63}) {
        CAPTURE(bad);
        CHECK(hello(bus, {.pids = kdbus_pids{bad, self, self}}) == EINVAL);
        CHECK(hello(bus, {.pids = kdbus_pids{self, bad, self}}) == EINVAL);
        CHECK(hello(bus, {.pids = kdbus_pids{self, self, bad}}) == EINVAL);
    }
    CHECK(hello(bus, {.seclabel = ""}) == 0);
}

TEST_CASE("abi 6.4 POLICY_ACCESS is ignored for an ordinary connection") {
    Bus bus;
    auto c = hello_command();
    c.words(KDBUS_ITEM_POLICY_ACCESS, {77, 77, 77}).words(KDBUS_ITEM_POLICY_ACCESS, {1, 0, 0});
    CHECK(hello(bus, std::move(c)) == 0);
}

TEST_CASE("abi 13.3 any number of failing HELLOs may precede a good one") {
    Bus bus;
    Fd fd = bus.open();
    alignas(8) std::uint8_t odd[120] = {};
    CHECK(command(fd.get(), KDBUS_CMD_HELLO, odd + 1) == EFAULT);
    auto short_one = hello_command();
    short_one->size = 95;
    CHECK(hello(fd.get(), short_one) == EINVAL);
    short_one->size = 1;
    CHECK(hello(fd.get(), short_one) == EINVAL);
    CHECK(hello(fd.get(), hello_command({.flags = u64{1} << 32})) == EINVAL);
    CHECK(hello(fd.get(), hello_command({.pool_size = 4097})) == EINVAL);
    CHECK(hello(fd.get(), hello_command({.send = u64{1} << 50})) == EINVAL);
    auto good = hello_command();
    CHECK(command(fd.get(), KDBUS_CMD_HELLO, good.address()) == 0);
    CHECK(hello(fd.get(), good) == EBADFD);
}

TEST_CASE("abi 13.28 HELLOs that fail before step 13 are silent") {
    Bus bus;
    Connection observer = bus.connect();
    REQUIRE(observer.match_all() == 0);
    CHECK(hello(bus, {.pool_size = 3}) == EINVAL);
    CHECK(hello(bus, {.recv = u64{1} << 50}) == EINVAL);
    CHECK(hello(bus, {.creds = creds_of(all_ones)}) == EINVAL);
    {
        AsUser user(1000);
        CHECK(hello(bus, {.flags = KDBUS_HELLO_MONITOR}) == EPERM);
        CHECK(hello(bus, {.seclabel = "x"}) == EPERM);
    }
    CHECK(observer.empty());
}

TEST_CASE("abi 6.4/15 a result that cannot be written: seen, removed, and the handle is fresh") {
    Bus bus;
    Connection observer = bus.connect();
    REQUIRE(observer.match_all() == 0);
    GuardedPages pages(1);
    auto c = hello_command();
    void* at = pages.place(c.address(), c->size);
    pages.read_only(true);
    Fd fd = bus.open();
    CHECK(command(fd.get(), KDBUS_CMD_HELLO, at) == EFAULT);
    const Received added = observer.take();
    CHECK(added.word(72) == KDBUS_ITEM_ID_ADD);
    expect_id_notification(observer, KDBUS_ITEM_ID_REMOVE, added.word(80), 0);
    CHECK(observer.empty());
    CHECK(observer.list(KDBUS_LIST_UNIQUE).size() == 1);
    pages.read_only(false);
    CHECK(command(fd.get(), KDBUS_CMD_HELLO, at) == 0);
}

TEST_CASE("abi 12 1024 connections per real uid of the opener, inclusive") {
    Bus bus;
    constexpr uid_t uid = 2001;
    std::vector<Fd> handles;
    {
        AsUser user(uid, 2002);
        for (int i = 0; i < KDBUS_USER_MAX_CONN; i++) {
            handles.push_back(bus.open());
            const int error = hello(handles.back().get(), hello_command({.pool_size = page}));
            if (error != 0) {
                CAPTURE(i);
                REQUIRE(error == 0);
            }
        }
        CHECK(hello(bus, {.pool_size = page}) == EMFILE);
        // Checks that come before the limit still decide.
        CHECK(hello(bus, {.pool_size = 1}) == EINVAL);
    }
    {
        // The effective uid does not count, and neither does who calls HELLO.
        AsUser user(2003, uid);
        CHECK(hello(bus, {.pool_size = page}) == 0);
    }
    Fd opened_by_user;
    {
        AsUser user(uid);
        opened_by_user = bus.open();
    }
    CHECK(hello(opened_by_user.get(), hello_command({.pool_size = page})) == EMFILE);
    // The limit is the domain's, not the bus's.
    Bus other;
    {
        AsUser user(uid);
        CHECK(hello(other, {.pool_size = page}) == EMFILE);
    }
    // BYEBYE alone gives nothing back, close does.
    Plain bye;
    REQUIRE(command(handles.back().get(), KDBUS_CMD_BYEBYE, bye.address()) == 0);
    CHECK(hello(opened_by_user.get(), hello_command({.pool_size = page})) == EMFILE);
    handles.pop_back();
    CHECK(hello(opened_by_user.get(), hello_command({.pool_size = page})) == 0);
}

TEST_CASE("abi 6.4 accounting: a privileged handle charges the faked uid, a mere owner itself") {
    constexpr uid_t faked = 2101, owner = 2102;
    Bus bus = bus_of(owner);
    auto fill = [&](std::vector<Fd>& handles, const HelloOptions& options, int count) {
        for (int i = 0; i < count; i++) {
            handles.push_back(bus.open());
            const int error = hello(handles.back().get(), hello_command(options));
            if (error != 0)
                return error;
        }
        return 0;
    };
    std::vector<Fd> by_root, by_owner;
    const HelloOptions as_faked{.pool_size = page, .creds = creds_of(faked)};
    REQUIRE(fill(by_root, as_faked, KDBUS_USER_MAX_CONN) == 0);
    CHECK(fill(by_root, as_faked, 1) == EMFILE);
    // Root itself is not charged, and an unset uid charges root.
    CHECK(hello(bus, {.pool_size = page}) == 0);
    kdbus_creds unset = creds_of(faked);
    unset.uid = 0xffffffff;
    CHECK(hello(bus, {.pool_size = page, .creds = unset}) == 0);
    {
        AsUser user(faked);
        CHECK(hello(bus, {.pool_size = page}) == EMFILE);
    }
    AsUser user(owner);
    CHECK(fill(by_owner, as_faked, 10) == 0);
}
