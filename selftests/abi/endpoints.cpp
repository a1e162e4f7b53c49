// SPDX-License-Identifier: LGPL-2.1-or-later
// Custom endpoints: abi.md 6.2 (ENDPOINT_MAKE) with what 2.1-2.3, 5.2 and 5.3 say of them, 2.4
// (their end), 6.3 (ENDPOINT_UPDATE as a command) and the account of their connections.
#include "handles.hpp"
#include "nodes.hpp"
#include "objects.hpp"
#include "support.hpp"

#include <atomic>
#include <sched.h>

using namespace test;

namespace {

int make(int fd, Plain c) {
    return command(fd, KDBUS_CMD_ENDPOINT_MAKE, c.address());
}

int make(const Bus& bus, const std::string& name, u64 flags = 0) {
    Fd fd = bus.open();
    return make(fd.get(), endpoint_command(name, flags));
}

int hello(int fd, const HelloOptions& options = {}) {
    auto c = hello_command(options);
    return command(fd, KDBUS_CMD_HELLO, c.address());
}

const std::vector<Entry> open_to_all = {{"a.b", {for_world(KDBUS_POLICY_OWN)}}};

} // namespace

TEST_CASE("abi 2.1/13.1 the node is there when ENDPOINT_MAKE returns and gone when close does") {
    Bus bus;
    const std::string name = unique_bus_name(), path = bus.directory() + "/" + name;
    for (int i = 0; i < 20; i++) {
        Fd owner = bus.open();
        REQUIRE(make(owner.get(), endpoint_command(name)) == 0);
        check_life_of_node(path, std::move(owner));
        CHECK(open_error(bus.path()) == 0);
    }
}

TEST_CASE("abi 2.1 the endpoint lives until the last copy of its owner handle is closed") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection c = endpoint.connect();
    Fd copy(fcntl(endpoint.owner.get(), F_DUPFD_CLOEXEC, 0));
    REQUIRE(copy);
    endpoint.close();
    CHECK(open_error(endpoint.path()) == 0);
    CHECK(c.list(KDBUS_LIST_UNIQUE).size() == 1);
    copy.reset();
    CHECK(open_error(endpoint.path()) == ENOENT);
    CHECK(poke(c.fd(), KDBUS_CMD_LIST) == ECONNRESET);
}

TEST_CASE("abi 2.1 a bus takes its custom endpoints with it") {
    Bus bus;
    Endpoint first(bus), second(bus);
    bus.close();
    CHECK(open_error(first.path()) == ENOENT);
    CHECK(open_error(second.path()) == ENOENT);
    CHECK(access(bus.directory().c_str(), F_OK) == -1);
}

TEST_CASE("abi 2.2/1-4 form of names of custom endpoints") {
    Bus bus;
    check_forms_of_names([&](const std::string& payload) {
        Plain c;
        c.item(KDBUS_ITEM_MAKE_NAME, payload.data(), payload.size());
        Fd fd = bus.open();
        return make(fd.get(), std::move(c));
    });
}

TEST_CASE(
    "abi 2.2/5 the prefix is the caller's current effective uid, for privileged callers too") {
    Bus bus;
    for (const char* name : {"bus", "foo", "1000-x", "00-x", "-x", "0x", "4294967295-x"}) {
        CAPTURE(name);
        CHECK(make(bus, name) == EINVAL);
    }
    CHECK(make(bus, "0-x") == 0);
    // The right comes with the handle, the prefix from who uses it.
    Fd fd = bus.open();
    as(Identity(1001, 1000), [&] {
        CHECK(make(fd.get(), endpoint_command("0-x")) == EINVAL);
        CHECK(make(fd.get(), endpoint_command("1001-x")) == EINVAL);
        CHECK(make(fd.get(), endpoint_command("1000-x")) == 0);
    });
    const struct stat st = stat_of(bus.directory() + "/1000-x");
    CHECK(st.st_uid == 1000);
    CHECK(st.st_gid == 1000);
}

TEST_CASE("abi 2.2/6 a name is unique in its bus: EEXIST, after the prefix check") {
    Bus bus, other;
    Endpoint endpoint(bus);
    CHECK(make(bus, endpoint.name) == EEXIST);
    CHECK(make(other, endpoint.name) == 0);
    Fd fd = bus.open();
    as(1000, [&] { CHECK(make(fd.get(), endpoint_command(endpoint.name)) == EINVAL); });
    endpoint.close();
    CHECK(make(bus, endpoint.name) == 0);
    // A bus and its endpoint may share a name.
    CHECK(make(bus, bus.name) == 0);
}

TEST_CASE("abi 2.3 owner, group and mode of a custom endpoint") {
    struct Row {
        u64 flags;
        mode_t mode;
    };
    const mode_t old_mask = umask(0777);
    Bus bus({.flags = 0});
    for (const Row& row :
         {Row{0, 0600}, Row{KDBUS_MAKE_ACCESS_GROUP, 0660}, Row{KDBUS_MAKE_ACCESS_WORLD, 0666},
          Row{KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD, 0666}}) {
        CAPTURE(row.flags);
        const std::string name = "1000-mode" + std::to_string(row.flags);
        Fd fd = bus.open();
        as(Identity(1001, 1000, 1002, 1003, {1004}),
           [&] { REQUIRE(make(fd.get(), endpoint_command(name, row.flags)) == 0); });
        const struct stat st = stat_of(bus.directory() + "/" + name);
        CHECK((st.st_mode & 07777) == row.mode);
        CHECK(st.st_uid == 1000);
        CHECK(st.st_gid == 1003);
    }
    umask(old_mask);
    // The bus flags are the bus's.
    Endpoint endpoint(bus);
    CHECK(endpoint.connect().hello.bus_flags == 0);
}

TEST_CASE("abi 2.3/13.8 open is decided by the endpoint's own mode") {
    Bus bus;
    for (u64 flags : {u64{0}, u64{KDBUS_MAKE_ACCESS_GROUP}, u64{KDBUS_MAKE_ACCESS_WORLD}}) {
        CAPTURE(flags);
        Endpoint endpoint(bus, {}, flags);
        const bool world = flags == KDBUS_MAKE_ACCESS_WORLD;
        const bool group = flags == KDBUS_MAKE_ACCESS_GROUP;
        as(1000, [&] {
            CHECK(open_error(endpoint.path()) == (world ? 0 : EACCES));
            CHECK(open_error(endpoint.path(), O_RDONLY) == (world ? 0 : EACCES));
            // It can open the default endpoint, but make no endpoint of its own.
            CHECK(make(bus, "1000-x") == EPERM);
        });
        as(Identity(1000, 1000, {0}),
           [&] { CHECK(open_error(endpoint.path()) == (world || group ? 0 : EACCES)); });
    }
    // A custom endpoint may admit whom the default one refuses.
    Bus closed({.flags = 0});
    Endpoint wide(closed);
    as(1000, [&] {
        CHECK(open_error(closed.path()) == EACCES);
        CHECK(open_error(wide.path()) == 0);
    });
}

TEST_CASE("abi 5.3/6.2 ENDPOINT_MAKE is for bus owners, by the credentials of the opener") {
    std::optional<Bus> bus;
    as(1000, [&] { bus.emplace(); });
    auto attempt = [&](const Identity& who) {
        return as(who, [&] {
            Fd fd = bus->open();
            return make(fd.get(), endpoint_command(std::to_string(who.euid) + "-x"));
        });
    };
    CHECK(attempt(1000) == 0);
    CHECK(attempt({1001, 1000}) == 0);
    CHECK(attempt({1000, 1001}) == EPERM);
    CHECK(attempt(1001) == EPERM);
    CHECK(attempt({1001, 1001, 1000, 1000, {1000}}) == EPERM);
    CHECK(attempt(0) == 0);
    {
        WithoutIpcOwner less;
        CHECK(attempt(0) == EPERM);
    }
    // Another user's handle in root's hands, and root's in another user's.
    Fd weak = as(1001, [&] { return bus->open(); });
    CHECK(make(weak.get(), endpoint_command("0-y")) == EPERM);
    Fd strong = bus->open();
    as(1001, [&] { CHECK(make(strong.get(), endpoint_command("1001-y")) == 0); });
}

TEST_CASE("abi 5.3 capabilities of a child user namespace make no bus owner") {
    std::optional<Bus> bus;
    as(1000, [&] { bus.emplace(); });
    CHECK(in_child([&] {
              if (syscall(SYS_setresgid, 1001, 1001, 1001) ||
                  syscall(SYS_setresuid, 1001, 1001, 1001) || unshare(CLONE_NEWUSER))
                  return 255;
              Fd fd(::open(bus->path().c_str(), O_RDWR | O_CLOEXEC));
              return make(fd.get(), endpoint_command("1001-x"));
          }) == EPERM);
}

TEST_CASE("abi 6.2 EPERM is decided before the argument is read; on a custom endpoint for all") {
    Bus bus;
    Endpoint endpoint(bus);
    as(1000, [&] {
        CHECK(poke(bus.open().get(), KDBUS_CMD_ENDPOINT_MAKE) == EPERM);
        CHECK(poke(endpoint.open().get(), KDBUS_CMD_ENDPOINT_MAKE) == EPERM);
    });
    CHECK(poke(bus.open().get(), KDBUS_CMD_ENDPOINT_MAKE) == EFAULT);
    CHECK(poke(endpoint.open().get(), KDBUS_CMD_ENDPOINT_MAKE) == EPERM);
    CHECK(make(endpoint.open().get(), endpoint_command("0-x")) == EPERM);
}

TEST_CASE("abi 6.2 items: one MAKE_NAME, no policy") {
    Bus bus;
    Fd fd = bus.open();
    CHECK(make(fd.get(), Plain()) == EINVAL);
    CHECK(make(fd.get(), endpoint_command("0-x").text(KDBUS_ITEM_MAKE_NAME, "0-y")) == EINVAL);
    CHECK(make(fd.get(), endpoint_command("0-x").text(KDBUS_ITEM_NAME, "a.b")) == EINVAL);
    CHECK(make(fd.get(), endpoint_command("0-x").object(KDBUS_ITEM_POLICY_ACCESS,
                                                        for_world(KDBUS_POLICY_SEE))) == EINVAL);
    CHECK(make(fd.get(), endpoint_command("0-x", u64{1} << 2)) == EINVAL);
    // Negotiating makes nothing.
    Plain probe = endpoint_command("0-x", KDBUS_FLAG_NEGOTIATE);
    CHECK(command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, probe.address()) == 0);
    CHECK(probe->flags == (KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD));
    CHECK(open_error(bus.directory() + "/0-x") == ENOENT);
    // After all this the handle is still fresh.
    Plain good = endpoint_command("0-x");
    good->return_flags = 77;
    CHECK(command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, good.address()) == 0);
    CHECK(good->return_flags == 0);
    CHECK(make(fd.get(), endpoint_command("0-z")) == EBADFD);
}

TEST_CASE("abi 5.1 a failing ENDPOINT_MAKE leaves a handle that may say HELLO") {
    Bus bus;
    Endpoint endpoint(bus);
    Fd fd = bus.open();
    CHECK(make(fd.get(), endpoint_command(endpoint.name)) == EEXIST);
    CHECK(hello(fd.get()) == 0);
    CHECK(make(fd.get(), endpoint_command("0-x")) == EBADFD);
}

TEST_CASE("abi 4.2 ENDPOINT_MAKE is undone if its result cannot be written") {
    Bus bus;
    GuardedPages pages(1);
    Plain c = endpoint_command("0-x");
    void* at = pages.place(c.address(), align8(c->size));
    pages.read_only(true);
    Fd fd = bus.open();
    CHECK(command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, at) == EFAULT);
    CHECK(open_error(bus.directory() + "/0-x") == ENOENT);
    CHECK(make(fd.get(), endpoint_command("0-x")) == 0);
}

TEST_CASE("abi 5.1 two tasks race for one handle or one name: one wins") {
    Bus bus;
    for (int i = 0; i < 10; i++) {
        Fd fd = bus.open();
        auto other = std::async(std::launch::async, [&] { return hello(fd.get()); });
        const int mine = make(fd.get(), endpoint_command("0-race")), theirs = other.get();
        CAPTURE(mine, theirs);
        CHECK(((mine == 0 && theirs == EBADFD) || (mine == EBADFD && theirs == 0)));
    }
    for (int i = 0; i < 10; i++) {
        Fd a = bus.open(), b = bus.open();
        auto other = std::async(std::launch::async,
                                [&] { return make(a.get(), endpoint_command("0-race")); });
        const int mine = make(b.get(), endpoint_command("0-race")), theirs = other.get();
        CAPTURE(mine, theirs);
        CHECK(((mine == 0 && theirs == EEXIST) || (mine == EEXIST && theirs == 0)));
    }
}

TEST_CASE("abi 2.1/2.2 the name of an endpoint is taken until its node is gone") {
    constexpr u64 enough = 100;
    Bus bus;
    std::atomic<u64> made = 0;
    std::atomic<bool> stop = false;
    auto race = [&] {
        for (; !stop && made < enough;) {
            Fd fd = bus.open();
            const int error = make(fd.get(), endpoint_command("0-race"));
            must(error == 0 || error == EEXIST, "ENDPOINT_MAKE", error);
            if (error == 0) {
                made++;
                must(open_error(bus.directory() + "/0-race") == 0, "the node is there");
            }
        }
    };
    // Whoever comes in while the node is being removed must not make the kernel complain.
    auto other = std::async(std::launch::async, race);
    try {
        race();
    } catch (...) {
        stop = true;
        throw;
    }
    other.get();
    CHECK(made >= enough);
    CHECK(open_error(bus.directory() + "/0-race") == ENOENT);
}

TEST_CASE("abi 6.2 no limit of its own on the number of custom endpoints") {
    Bus bus;
    std::vector<std::unique_ptr<Endpoint>> endpoints;
    for (int i = 0; i < 300; i++)
        endpoints.push_back(std::make_unique<Endpoint>(bus));
    for (const auto& endpoint : endpoints)
        CHECK(open_error(endpoint->path()) == 0);
}

TEST_CASE("abi 5.2 X: fresh handle of a custom endpoint") {
    Bus bus;
    Endpoint endpoint(bus);
    Fd fd = endpoint.open();
    CHECK(poke(fd.get(), KDBUS_CMD_BUS_MAKE) == EBADFD);
    CHECK(poke(fd.get(), KDBUS_CMD_ENDPOINT_MAKE) == EPERM);
    CHECK(poke(fd.get(), KDBUS_CMD_HELLO) == EFAULT);
    CHECK(poke(fd.get(), KDBUS_CMD_ENDPOINT_UPDATE) == EBADFD);
    check_commands(fd.get(), connection_commands, EBADFD);
    check_files(fd.get());
    CHECK(map_error(fd.get()) == EBADFD);
    CHECK(events_of(fd.get()) == (POLLERR | POLLHUP));
    CHECK(hello(fd.get()) == 0);
}

TEST_CASE("abi 5.2 E: endpoint owner") {
    Bus bus;
    Endpoint endpoint(bus);
    const int fd = endpoint.owner.get();
    check_each(fd, EBADFD, EFAULT, EBADFD);
    check_files(fd);
    CHECK(map_error(fd) == EBADFD);
    CHECK(events_of(fd) == (POLLERR | POLLHUP));
    // Whatever the payload says.
    CHECK(make(fd, endpoint_command("0-x")) == EBADFD);
    CHECK(hello(fd) == EBADFD);
}

TEST_CASE("abi 5.2 ENDPOINT_UPDATE and ENDPOINT_MAKE on handles of other roles") {
    Bus bus;
    Endpoint endpoint(bus, open_to_all);
    Fd control = open_control(), fresh = bus.open();
    for (int fd : {control.get(), bus.owner.get(), fresh.get()})
        CHECK(poke(fd, KDBUS_CMD_ENDPOINT_UPDATE) == EBADFD);
    for (int fd : {control.get(), bus.owner.get()})
        CHECK(poke(fd, KDBUS_CMD_ENDPOINT_MAKE) == EBADFD);
    Connection inside = endpoint.connect(), outside = bus.connect();
    for (Connection* c : {&inside, &outside}) {
        check_each(c->fd(), EBADFD, EBADFD, EFAULT);
        check_files(c->fd());
        REQUIRE(c->bye() == 0);
        check_each(c->fd(), EBADFD, ECONNRESET, ECONNRESET);
        check_files(c->fd());
    }
}

TEST_CASE("abi 2.4 connection on a dead endpoint") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection c = endpoint.connect(), sender = bus.connect();
    REQUIRE(sender.send(Message(c.id()).body("left behind")) == 0);
    const Received queued = c.recv(KDBUS_RECV_PEEK);
    SECTION("by its owner") {
        endpoint.close();
    }
    SECTION("with the bus") {
        bus.close();
    }
    check_each(c.fd(), EBADFD, ECONNRESET, ECONNRESET);
    check_files(c.fd());
    CHECK(c.events() == (POLLERR | POLLHUP));
    check_pool_of_ended(c, queued);
}

TEST_CASE("abi 2.4 fresh handle of a dead endpoint") {
    Bus bus;
    Endpoint endpoint(bus);
    Fd custom = endpoint.open(), standard = bus.open();
    Fd weak = as(1000, [&] { return bus.open(); });
    SECTION("by its owner") {
        endpoint.close();
        standard.reset();
        weak.reset();
    }
    SECTION("with the bus") {
        bus.close();
    }
    for (const Fd* fd : {&custom, &standard, &weak}) {
        if (!*fd)
            continue;
        // Liveness precedes the right to ENDPOINT_MAKE.
        check_each(fd->get(), ESHUTDOWN, EBADFD, EBADFD);
        CHECK(hello(fd->get()) == ESHUTDOWN);
        CHECK(make(fd->get(), endpoint_command("0-x")) == ESHUTDOWN);
        CHECK(events_of(fd->get()) == (POLLERR | POLLHUP));
        CHECK(map_error(fd->get()) == EBADFD);
        check_files(fd->get());
    }
}

TEST_CASE("abi 2.4 endpoint owner after the death of the bus") {
    Bus bus;
    Endpoint endpoint(bus, open_to_all);
    bus.close();
    const int fd = endpoint.owner.get();
    check_each(fd, EBADFD, ESHUTDOWN, ESHUTDOWN);
    CHECK(endpoint.update(open_to_all) == ESHUTDOWN);
    check_files(fd);
    CHECK(events_of(fd) == (POLLERR | POLLHUP));
    CHECK(map_error(fd) == EBADFD);
    CHECK(open_error(endpoint.path()) == ENOENT);
}

TEST_CASE("abi 2.4 stale handles do not disturb a new endpoint or bus of the same name") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection old = endpoint.connect();
    Fd fresh = endpoint.open();
    SECTION("endpoint") {
        endpoint.close();
    }
    SECTION("bus, with the owner handle left") {
        bus.close();
        bus.owner = open_control();
        auto c = bus_command(bus.name, KDBUS_MAKE_ACCESS_WORLD);
        REQUIRE(command(bus.owner.get(), KDBUS_CMD_BUS_MAKE, c.address()) == 0);
    }
    Fd owner = bus.open();
    REQUIRE(make(owner.get(), endpoint_command(endpoint.name)) == 0);
    Connection c(open_node(endpoint.path()), {});
    CHECK(hello(fresh.get()) == ESHUTDOWN);
    old.close();
    fresh.reset();
    endpoint.close();
    CHECK(c.events() == (POLLOUT | POLLWRNORM));
    CHECK(c.list(KDBUS_LIST_UNIQUE).size() == 1);
    CHECK(open_error(endpoint.path()) == 0);
}

TEST_CASE("abi 2.4 a task blocked in poll wakes") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection c = endpoint.connect();
    auto waiting = std::async(std::launch::async, [&] { return c.events(POLLIN, 60'000); });
    sleep_ms(50);
    SECTION("endpoint") {
        endpoint.close();
    }
    SECTION("bus") {
        bus.close();
    }
    CHECK(waiting.get() == (POLLERR | POLLHUP));
}

TEST_CASE("abi 2.4 an endpoint's end disconnects its own connections only") {
    Bus bus;
    Endpoint dying(bus, {{"in.side", {for_world(KDBUS_POLICY_OWN)}},
                         {"in.other", {for_world(KDBUS_POLICY_OWN)}}});
    Endpoint other(bus, {{"in.side", {for_world(KDBUS_POLICY_SEE)}}});
    const Connection holders[] = {hold(bus, "in.side", {for_world(KDBUS_POLICY_OWN)}),
                                  hold(bus, "in.other", {for_world(KDBUS_POLICY_OWN)})};
    Connection victim = dying.connect({.flags = KDBUS_HELLO_ACCEPT_FD}), outside = bus.connect(),
               elsewhere = other.connect(), waiter = bus.connect();
    REQUIRE(victim.acquire("in.side") == 0);
    REQUIRE(victim.acquire("in.other") == 0);
    REQUIRE(waiter.acquire("in.other", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(outside.send(Message(victim.id(), 7).call(in_ms(600'000))) == 0);
    for (const Connection* c : {&outside, &elsewhere, &victim})
        REQUIRE(c->match_all() == 0);
    dying.close();
    CHECK(poke(victim.fd(), KDBUS_CMD_LIST) == ECONNRESET);
    expect_name_notification(outside, KDBUS_ITEM_NAME_REMOVE, victim.id(), KDBUS_NAME_PRIMARY, 0, 0,
                             "in.side");
    expect_name_notification(outside, KDBUS_ITEM_NAME_CHANGE, victim.id(), KDBUS_NAME_PRIMARY,
                             waiter.id(), KDBUS_NAME_PRIMARY | KDBUS_NAME_QUEUE, "in.other");
    expect_reply_notification(outside, KDBUS_ITEM_REPLY_DEAD, 7);
    expect_id_notification(outside, KDBUS_ITEM_ID_REMOVE, victim.id(), KDBUS_HELLO_ACCEPT_FD);
    CHECK(outside.empty());
    // Through another endpoint only what it may see.
    expect_name_notification(elsewhere, KDBUS_ITEM_NAME_REMOVE, victim.id(), KDBUS_NAME_PRIMARY, 0,
                             0, "in.side");
    expect_id_notification(elsewhere, KDBUS_ITEM_ID_REMOVE, victim.id(), KDBUS_HELLO_ACCEPT_FD);
    CHECK(elsewhere.empty());
    CHECK(outside.info(victim.id()).error == ENXIO);
    CHECK(outside.send(Message(victim.id())) == ENXIO);
    CHECK(outside.list(KDBUS_LIST_UNIQUE).size() == 5);
    CHECK(outside.acquire("in.side") == 0);
}

TEST_CASE("abi 2.4/messages 13.49 synchronous calls end with the endpoint") {
    Bus bus;
    Endpoint endpoint(bus, open_to_all);
    Connection holder = hold(bus, "a.b", {for_world(KDBUS_POLICY_OWN)});
    Connection inside = endpoint.connect(), outside = bus.connect();
    REQUIRE(inside.acquire("a.b") == 0);
    auto calling = [](const Connection& from, u64 to) {
        return std::async(std::launch::async, [&from, to] {
            return from.call(Message(to).call(in_ms(600'000))).error;
        });
    };
    auto to_inside = calling(outside, inside.id());
    // Through the endpoint only owners of names can be called; itself is one.
    auto from_inside = calling(inside, inside.id());
    REQUIRE(eventually([&] { return inside.recv().error == 0; }));
    REQUIRE(eventually([&] { return inside.recv().error == 0; }));
    endpoint.close();
    CHECK(to_inside.get() == EPIPE);
    CHECK(from_inside.get() == ECONNRESET);
}

TEST_CASE("abi 2.4 endpoint and bus may end at once") {
    for (int i = 0; i < 20; i++) {
        Bus bus;
        Endpoint endpoint(bus, open_to_all);
        Connection inside = endpoint.connect(), outside = bus.connect();
        Fd fresh = endpoint.open();
        auto other = std::async(std::launch::async, [&] { endpoint.close(); });
        bus.close();
        other.get();
        CHECK(poke(inside.fd(), KDBUS_CMD_LIST) == ECONNRESET);
        CHECK(poke(outside.fd(), KDBUS_CMD_LIST) == ECONNRESET);
        CHECK(hello(fresh.get()) == ESHUTDOWN);
        CHECK(access(bus.directory().c_str(), F_OK) == -1);
    }
}

TEST_CASE("abi 6.4 HELLO on a custom endpoint: the same bus") {
    Bus bus({.flags = KDBUS_MAKE_ACCESS_WORLD, .bloom_size = 64, .n_hash = 3});
    Endpoint endpoint(bus);
    Connection a = bus.connect(), b = endpoint.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
    CHECK(b.hello.bus_flags == KDBUS_MAKE_ACCESS_WORLD);
    CHECK(std::memcmp(a.hello.id128, b.hello.id128, 16) == 0);
    CHECK(b.id() == a.id() + 1);
    CHECK(b.hello.items_size == 32);
    // One space of ids and names, and messages from one endpoint to another.
    CHECK(a.info(b.id()).head().flags == KDBUS_HELLO_ACCEPT_FD);
    CHECK(a.send(Message(b.id()).body("across")) == 0);
    CHECK(b.take()->src_id == a.id());
}

TEST_CASE("abi 6.4/5-7 special kinds and faked metadata on a custom endpoint, root too") {
    Bus bus;
    Endpoint endpoint(bus, open_to_all);
    const kdbus_pids pids{static_cast<u64>(getpid()), 0, 0};
    const u64 bad_mask = u64{1} << 40;
    for (uid_t uid : {0u, 1000u}) {
        CAPTURE(uid);
        as(uid, [&] {
            Fd fd = endpoint.open();
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_MONITOR}) == EOPNOTSUPP);
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_ACTIVATOR, .name = "a.b"}) == EPERM);
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_POLICY_HOLDER, .name = "a.b"}) == EPERM);
            CHECK(hello(fd.get(), {.creds = creds_of(uid)}) == EPERM);
            CHECK(hello(fd.get(), {.pids = pids}) == EPERM);
            CHECK(hello(fd.get(), {.seclabel = "label"}) == EPERM);
            // Order: 1-4, 5, 6, 7, 8.
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_MONITOR, .pool_size = 1}) == EINVAL);
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_MONITOR, .name = "a.b"}) == EINVAL);
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_ACTIVATOR}) == EINVAL);
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_POLICY_HOLDER, .name = "a"}) == EINVAL);
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_MONITOR, .creds = creds_of(0)}) ==
                  EOPNOTSUPP);
            CHECK(hello(fd.get(), {.flags = KDBUS_HELLO_MONITOR, .send = bad_mask}) == EOPNOTSUPP);
            CHECK(hello(fd.get(), {.recv = bad_mask, .creds = creds_of(0)}) == EPERM);
            CHECK(hello(fd.get(), {.recv = bad_mask}) == EINVAL);
            CHECK(hello(fd.get()) == 0);
        });
    }
}

TEST_CASE("abi 6.3 whoever holds the owner handle may update, unprivileged children too") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection c = endpoint.connect();
    const Connection holder = hold(bus, "a.b", {for_world(KDBUS_POLICY_OWN)});
    CHECK(c.acquire("a.b") == EPERM);
    CHECK(in_child([&] { return as(1000, [&] { return endpoint.update(open_to_all); }); }) == 0);
    CHECK(c.acquire("a.b") == 0);
}

TEST_CASE("abi 6.2/12 1024 connections for the whole endpoint, apart from every uid") {
    constexpr uid_t uid = 2201, second = 2202;
    Bus bus;
    Endpoint endpoint(bus), other(bus);
    const HelloOptions small{.pool_size = page};
    std::vector<Fd> handles;
    for (int i = 0; i < KDBUS_USER_MAX_CONN; i++) {
        as(i % 2 ? uid : second, [&] { handles.push_back(endpoint.open()); });
        const int error = hello(handles.back().get(), small);
        if (error != 0) {
            CAPTURE(i);
            REQUIRE(error == 0);
        }
    }
    for (uid_t who : {0u, uid, second, 2203u}) {
        CAPTURE(who);
        as(who, [&] {
            CHECK(hello(endpoint.open().get(), small) == EMFILE);
            // Not so elsewhere.
            CHECK(hello(bus.open().get(), small) == 0);
            CHECK(hello(other.open().get(), small) == 0);
            CHECK(hello(endpoint.open().get(), {.pool_size = 1}) == EINVAL);
        });
    }
    Plain bye;
    REQUIRE(command(handles.back().get(), KDBUS_CMD_BYEBYE, bye.address()) == 0);
    CHECK(hello(endpoint.open().get(), small) == EMFILE);
    handles.pop_back();
    CHECK(hello(endpoint.open().get(), small) == 0);
}

TEST_CASE("abi 12 an account of a uid that is full does not close custom endpoints to it") {
    constexpr uid_t uid = 2211;
    Bus bus;
    Endpoint endpoint(bus);
    const HelloOptions small{.pool_size = page};
    std::vector<Fd> handles;
    as(uid, [&] {
        for (int i = 0; i < KDBUS_USER_MAX_CONN; i++) {
            handles.push_back(bus.open());
            REQUIRE(hello(handles.back().get(), small) == 0);
        }
        CHECK(hello(bus.open().get(), small) == EMFILE);
        CHECK(hello(endpoint.open().get(), small) == 0);
    });
}

TEST_CASE("messages 10.1 one sender quota for all connections of an endpoint") {
    constexpr u64 half = KDBUS_CONN_MAX_MSGS / 2;
    Bus bus;
    const Connection holder = hold(bus, "a.b", {for_world(KDBUS_POLICY_TALK)});
    Endpoint first(bus, {{"a.b", {for_world(KDBUS_POLICY_TALK)}}}),
        second(bus, {{"a.b", {for_world(KDBUS_POLICY_TALK)}}});
    Connection receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
    REQUIRE(receiver.acquire("a.b") == 0);
    struct Peer {
        uid_t uid;
        Connection connection;
        int send(Message m) const {
            return as(uid, [&] { return connection.send(m); });
        }
    };
    const Peer a{1000, connect_as(first, 1000)}, b{1001, connect_as(first, 1001)},
        same_uid{1000, connect_as(bus, 1000)}, elsewhere{1000, connect_as(second, 1000)};
    auto to = [&] {
        return Message(receiver.id());
    };
    SECTION("messages") {
        for (u64 i = 0; i < half; i++) {
            REQUIRE(a.send(to()) == 0);
            REQUIRE(b.send(to()) == 0);
        }
        CHECK(a.send(to()) == ENOBUFS);
        CHECK(b.send(to()) == ENOBUFS);
        CHECK(same_uid.send(to()) == 0);
        CHECK(elsewhere.send(to()) == 0);
        REQUIRE(receiver.take()->src_id == a.connection.id());
        CHECK(b.send(to()) == 0);
        CHECK(a.send(to()) == ENOBUFS);
    }
    SECTION("bytes") {
        // A sixth of the pool for a lone sender.
        const u64 most = receiver.pool_size() / 6 / 2;
        REQUIRE(a.send(to().filler(most)) == 0);
        CHECK(b.send(to().filler(most)) == ENOBUFS);
        CHECK(same_uid.send(to().filler(most / 2)) == 0);
    }
    SECTION("descriptors") {
        Fd file = make_memfd("x");
        auto fds = [&](std::size_t n) {
            return to().fds(std::vector<int>(n, file.get()));
        };
        REQUIRE(a.send(fds(10)) == 0);
        CHECK(b.send(fds(7)) == EMFILE);
        CHECK(b.send(fds(6)) == 0);
        CHECK(elsewhere.send(fds(16)) == 0);
        drain(receiver);
    }
}

TEST_CASE("messages 10.1 receivers forget the account of an endpoint with what it sent") {
    const auto users = [] {
        return read_counters().at("user");
    };
    Bus bus;
    const Connection holder = hold(bus, "a.b", {for_world(KDBUS_POLICY_TALK)});
    Connection activator =
        bus.connect({.flags = KDBUS_HELLO_ACTIVATOR, .name = "c.d", .grants = {}});
    Connection receiver = bus.connect();
    REQUIRE(receiver.acquire("a.b") == 0);
    const long before = users();
    Endpoint endpoint(bus, {{"a.b", {for_world(KDBUS_POLICY_TALK)}},
                            {"c.d", {for_world(KDBUS_POLICY_TALK)}}});
    Connection sender = endpoint.connect();
    REQUIRE(users() > before);
    REQUIRE(sender.send(Message(receiver.id())) == 0);

    SECTION("read before the endpoint ends") {
        receiver.take();
        endpoint.close();
        sender.close();
        CHECK(eventually([&] { return users() == before; }));
    }
    SECTION("read after it") {
        endpoint.close();
        sender.close();
        CHECK(users() > before);
        receiver.take();
        CHECK(eventually([&] { return users() == before; }));
    }
    SECTION("handed over after it") {
        receiver.take();
        Message m;
        REQUIRE(sender.send(m.to("c.d")) == 0);
        const u64 id = sender.id();
        endpoint.close();
        sender.close();
        REQUIRE(receiver.acquire("c.d") == 0);
        CHECK(users() > before);
        CHECK(receiver.take()->src_id == id);
        CHECK(eventually([&] { return users() == before; }));
    }
    SECTION("refused after it") {
        receiver.take();
        // Handed over to nobody: there is no space.
        Connection small = bus.connect({.pool_size = page});
        Message m;
        REQUIRE(sender.send(m.to("c.d").filler(2 * page)) == 0);
        endpoint.close();
        sender.close();
        REQUIRE(small.acquire("c.d") == 0);
        CHECK(small.recv().cmd.dropped_msgs == 1);
        CHECK(eventually([&] { return users() == before; }));
    }
}
