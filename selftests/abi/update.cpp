// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 6.5 (UPDATE) and policy holders: 5.2 column P, 6.4/13-15 as far as policy entries are
// concerned, 11.4 for their databases, 11.5, and the life of entries.
#include "handles.hpp"
#include "support.hpp"

#include <sched.h>

using namespace test;

namespace {

constexpr u64 see = KDBUS_POLICY_SEE, talk = KDBUS_POLICY_TALK, own = KDBUS_POLICY_OWN;
constexpr u64 bad_mask = u64{1} << 40;
const Grants anybody_owns = {for_world(own)};

int update(const Connection& c, Plain p) {
    return c.run(KDBUS_CMD_UPDATE, p.address());
}

int update(const Connection& c, const std::vector<Entry>& entries) {
    return update(c, policy_command(entries));
}

Plain masks(std::optional<u64> send, std::optional<u64> recv) {
    Plain c;
    if (send)
        c.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, *send);
    if (recv)
        c.word(KDBUS_ITEM_ATTACH_FLAGS_RECV, *recv);
    return c;
}

Connection activate(const Bus& bus, const std::string& name, const Grants& grants = {},
                    u64 recv = 0) {
    return bus.connect(
        {.flags = KDBUS_HELLO_ACTIVATOR, .recv = recv, .name = name, .grants = grants});
}

int hello(int fd, const HelloOptions& options) {
    auto c = hello_command(options);
    return command(fd, KDBUS_CMD_HELLO, c.address());
}

int hello(const Bus& bus, const HelloOptions& options) {
    return hello(bus.open().get(), options);
}

HelloOptions holder_of(const std::string& name, const Grants& grants = {}) {
    return {.flags = KDBUS_HELLO_POLICY_HOLDER, .name = name, .grants = grants};
}

HelloOptions activator_of(const std::string& name, const Grants& grants = {}) {
    return {.flags = KDBUS_HELLO_ACTIVATOR, .name = name, .grants = grants};
}

// Whether user 1000 may own a name, which must be free.
struct Probe {
    Connection user;
    explicit Probe(const Bus& bus) : user(connect_as(bus, 1000)) {}
    bool owns(const std::string& name) const {
        const int error = as(1000, [&] { return user.acquire(name); });
        user.release(name);
        must(error == 0 || error == EPERM, "NAME_ACQUIRE", error);
        return error == 0;
    }
};

} // namespace

TEST_CASE("abi 5.2 P: policy holder") {
    Bus bus;
    Connection holder = hold(bus, "a.b");
    check_commands(
        holder.fd(),
        {KDBUS_CMD_BUS_MAKE, KDBUS_CMD_ENDPOINT_MAKE, KDBUS_CMD_HELLO, KDBUS_CMD_ENDPOINT_UPDATE},
        EBADFD);
    check_commands(
        holder.fd(),
        {KDBUS_CMD_UPDATE, KDBUS_CMD_CONN_INFO, KDBUS_CMD_BUS_CREATOR_INFO, KDBUS_CMD_LIST},
        EFAULT);
    check_commands(holder.fd(),
                   {KDBUS_CMD_BYEBYE, KDBUS_CMD_FREE, KDBUS_CMD_SEND, KDBUS_CMD_RECV,
                    KDBUS_CMD_NAME_ACQUIRE, KDBUS_CMD_NAME_RELEASE, KDBUS_CMD_MATCH_ADD,
                    KDBUS_CMD_MATCH_REMOVE},
                   EOPNOTSUPP);
    CHECK(poke(holder.fd(), _IOW(KDBUS_IOCTL_MAGIC, 0x99, kdbus_cmd)) == ENOTTY);
    CHECK(holder.events() == (POLLOUT | POLLWRNORM));
    // Its results stay in the pool, as it may not free them.
    Command<kdbus_cmd_info> info;
    info->id = holder.id();
    REQUIRE(holder.run(KDBUS_CMD_CONN_INFO, info.address()) == 0);
    CHECK(info->offset >= 32);
    u64 id = 0;
    std::memcpy(&id, holder.at(info->offset) + 8, 8);
    CHECK(id == holder.id());
    bus.close();
    CHECK(poke(holder.fd(), KDBUS_CMD_UPDATE) == ECONNRESET);
    CHECK(holder.events() == (POLLERR | POLLHUP));
}

TEST_CASE("abi 1/11.5 a policy holder is listed, not addressable, and does not own its name") {
    Bus bus;
    Connection observer = bus.connect();
    REQUIRE(observer.match_all() == 0);
    Connection holder = hold(bus, "a.b");
    const u64 id = holder.id();
    expect_id_notification(observer, KDBUS_ITEM_ID_ADD, id, KDBUS_HELLO_POLICY_HOLDER);
    CHECK(observer.empty());
    CHECK(observer.send(Message(id)) == ENXIO);
    CHECK(observer.send(Message(0).to("a.b")) == ESRCH);
    CHECK(observer.info(0, 0, "a.b").error == ESRCH);
    CHECK(observer.info(id).head().flags == KDBUS_HELLO_POLICY_HOLDER);
    CHECK(observer.list(KDBUS_LIST_UNIQUE).size() == 2);
    CHECK(observer.list(KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED | KDBUS_LIST_ACTIVATORS).empty());
    holder.close();
    expect_id_notification(observer, KDBUS_ITEM_ID_REMOVE, id, KDBUS_HELLO_POLICY_HOLDER);
    CHECK(observer.empty());
}

TEST_CASE("abi 6.4/13-14 conflicting and bad entries at HELLO; the handle stays fresh") {
    Bus bus;
    Probe probe(bus);
    Connection holder = hold(bus, "a.b", {for_user(1000, own)}), activator = activate(bus, "a.act");
    Connection observer = bus.connect();
    REQUIRE(observer.match_all() == 0);
    Fd fd = bus.open();
    // At most the connection is seen to come and go.
    auto fails = [&](const HelloOptions& options, int error) {
        drain(observer);
        CHECK(hello(fd.get(), options) == error);
        std::vector<u64> types;
        for (Received r = observer.recv(); r.error == 0; r = observer.recv()) {
            types.push_back(r.word(72));
            observer.free(r.offset());
        }
        const std::vector<u64> id_only = {KDBUS_ITEM_ID_ADD, KDBUS_ITEM_ID_REMOVE},
                               with_name = {KDBUS_ITEM_ID_ADD, KDBUS_ITEM_NAME_ADD,
                                            KDBUS_ITEM_NAME_REMOVE, KDBUS_ITEM_ID_REMOVE};
        CHECK((types == id_only || (types == with_name && options.flags == KDBUS_HELLO_ACTIVATOR)));
        CHECK(observer.list(KDBUS_LIST_UNIQUE).size() == 4);
        CHECK(observer.list(KDBUS_LIST_NAMES | KDBUS_LIST_ACTIVATORS).size() == 1);
        CHECK(probe.owns("a.b"));
    };
    SECTION("two holders") {
        fails(holder_of("a.b"), EEXIST);
    }
    SECTION("holder, then activator (13.41)") {
        fails(activator_of("a.b", {for_world(own)}), EEXIST);
        CHECK(observer.info(0, 0, "a.b").error == ESRCH);
        CHECK(observer.acquire("a.b") == 0);
    }
    SECTION("activator, then holder") {
        fails(holder_of("a.act", {for_world(own)}), EEXIST);
        CHECK(!probe.owns("a.act"));
    }
    SECTION("two activators, before the policy is looked at") {
        fails(activator_of("a.act"), EEXIST);
        fails(activator_of("a.act", {{9, 9, 9}}), EEXIST);
    }
    SECTION("bad records") {
        for (const kdbus_policy_access& bad :
             {kdbus_policy_access{0, own, 0}, kdbus_policy_access{4, own, 0},
              kdbus_policy_access{KDBUS_POLICY_ACCESS_WORLD, 3, 0},
              kdbus_policy_access{KDBUS_POLICY_ACCESS_WORLD, all_ones, 0},
              kdbus_policy_access{KDBUS_POLICY_ACCESS_USER, own, 0xffffffff},
              kdbus_policy_access{KDBUS_POLICY_ACCESS_GROUP, see, all_ones}}) {
            CAPTURE(bad.type, bad.access, bad.id);
            fails(holder_of("n.new", {for_world(own), bad}), EINVAL);
            fails(activator_of("n.new", {bad, for_world(own)}), EINVAL);
            CHECK(!probe.owns("n.new"));
        }
    }
    SECTION("POLICY_ACCESS before NAME") {
        for (u64 kind : {u64{KDBUS_HELLO_POLICY_HOLDER}, u64{KDBUS_HELLO_ACTIVATOR}}) {
            auto c = hello_command({.flags = kind});
            c.object(KDBUS_ITEM_POLICY_ACCESS, for_world(own)).text(KDBUS_ITEM_NAME, "n.new");
            CHECK(command(fd.get(), KDBUS_CMD_HELLO, c.address()) == EINVAL);
            CHECK(!probe.owns("n.new"));
        }
    }
    SECTION("a second NAME fails parsing") {
        auto c = hello_command(holder_of("n.new"));
        c.text(KDBUS_ITEM_NAME, "n.more");
        CHECK(command(fd.get(), KDBUS_CMD_HELLO, c.address()) == EINVAL);
        CHECK(observer.empty());
    }
    CHECK(hello(fd.get(), holder_of("n.new", {for_user(1000, own)})) == 0);
    CHECK(probe.owns("n.new"));
}

TEST_CASE("abi 6.4/15 a holder whose result cannot be written leaves no entry") {
    Bus bus;
    Probe probe(bus);
    GuardedPages pages(1);
    auto c = hello_command(holder_of("a.b", {for_user(1000, own)}));
    void* at = pages.place(c.address(), align8(c->size));
    Fd fd = bus.open();
    pages.read_only(true);
    CHECK(command(fd.get(), KDBUS_CMD_HELLO, at) == EFAULT);
    CHECK(!probe.owns("a.b"));
    CHECK(hello(bus, holder_of("a.b")) == 0);
    pages.read_only(false);
    CHECK(command(fd.get(), KDBUS_CMD_HELLO, at) == 0);
    CHECK(probe.owns("a.b"));
}

TEST_CASE("abi 6.4/7 faked metadata and a special kind go together for bus owners") {
    Bus bus;
    HelloOptions options = holder_of("a.b");
    options.creds = creds_of(7);
    options.send = KDBUS_ATTACH_CREDS;
    Connection holder = bus.connect(options), other = bus.connect();
    const Info info = other.info(holder.id(), KDBUS_ATTACH_CREDS);
    const auto items = info.items();
    REQUIRE(items.size() == 1);
    CHECK(items[0].word(0) == 7);
    as(1000, [&] {
        options.name = "a.c";
        CHECK(hello(bus, options) == EPERM);
    });
}

TEST_CASE("abi 6.5 attach masks of an ordinary connection") {
    Bus bus;
    Connection c = bus.connect(), peer = bus.connect();
    auto shown = [&] {
        return peer.info(c.id(), all_ones).items().size();
    };
    auto got = [&] {
        REQUIRE(peer.send(Message(c.id())) == 0);
        return c.take().items().size();
    };
    CHECK(shown() == 0);
    CHECK(got() == 0);
    SECTION("send: CONN_INFO at once") {
        CHECK(update(c, masks(KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS, {})) == 0);
        CHECK(shown() == 2);
        CHECK(got() == 0);
        CHECK(update(c, masks(0, {})) == 0);
        CHECK(shown() == 0);
        CHECK(update(c, masks(all_ones, {})) == 0);
        CHECK(shown() > 5);
    }
    SECTION("recv: the next message (messages 13.42)") {
        REQUIRE(peer.send(Message(c.id(), 1)) == 0);
        CHECK(update(c, masks({}, KDBUS_ATTACH_CREDS | KDBUS_ATTACH_TIMESTAMP)) == 0);
        REQUIRE(peer.send(Message(c.id(), 2)) == 0);
        CHECK(c.take().items().empty());
        const Received r = c.take();
        CHECK(r.count(KDBUS_ITEM_CREDS) == 1);
        CHECK(r.items().size() == 2);
        CHECK(shown() == 0);
        REQUIRE(peer.send(Message(c.id(), 3)) == 0);
        CHECK(update(c, masks({}, 0)) == 0);
        CHECK(c.take().items().size() == 2);
        CHECK(got() == 0);
        CHECK(update(c, masks({}, all_ones)) == 0);
        CHECK(got() > 5);
    }
    SECTION("both, from any process that holds the handle") {
        CHECK(in_child([&] {
                  return as(1000, [&] {
                      return update(c, masks(KDBUS_ATTACH_CREDS, KDBUS_ATTACH_CREDS));
                  });
              }) == 0);
        CHECK(shown() == 1);
        CHECK(got() == 1);
    }
    SECTION("a failure changes neither") {
        REQUIRE(update(c, masks(KDBUS_ATTACH_CREDS, KDBUS_ATTACH_CREDS)) == 0);
        for (u64 bad : {bad_mask, known_attach_flags + 1, all_ones - 1, u64{1} << 63}) {
            CAPTURE(bad);
            CHECK(update(c, masks(bad, {})) == EINVAL);
            CHECK(update(c, masks({}, bad)) == EINVAL);
            CHECK(update(c, masks(0, bad)) == EINVAL);
            CHECK(update(c, masks(bad, 0)) == EINVAL);
        }
        CHECK(update(c, masks(0, 0).text(KDBUS_ITEM_NAME, "a.b")) == EOPNOTSUPP);
        CHECK(update(c, masks(0, 0).word(KDBUS_ITEM_ATTACH_FLAGS_SEND, 0)) == EINVAL);
        CHECK(shown() == 1);
        CHECK(got() == 1);
    }
    SECTION("nothing and negotiation: no change") {
        REQUIRE(update(c, masks(KDBUS_ATTACH_CREDS, KDBUS_ATTACH_CREDS)) == 0);
        Plain none;
        none->return_flags = 99;
        CHECK(c.run(KDBUS_CMD_UPDATE, none.address()) == 0);
        CHECK(none->return_flags == 0);
        Plain probe = masks(0, 0);
        probe->flags = KDBUS_FLAG_NEGOTIATE;
        CHECK(c.run(KDBUS_CMD_UPDATE, probe.address()) == 0);
        CHECK(probe->flags == 0);
        CHECK(shown() == 1);
        CHECK(got() == 1);
    }
    SECTION("after the end") {
        REQUIRE(c.bye() == 0);
        CHECK(update(c, masks(bad_mask, {})) == ECONNRESET);
    }
}

TEST_CASE("abi 6.5 no notifications") {
    Bus bus;
    Connection observer = bus.connect(), c = bus.connect(), holder = hold(bus, "a.b");
    REQUIRE(observer.match_all() == 0);
    REQUIRE(update(c, masks(all_ones, all_ones)) == 0);
    REQUIRE(update(holder, {{"a.c", anybody_owns}}) == 0);
    CHECK(update(holder, {{"a..c", {}}}) == EINVAL);
    CHECK(observer.empty());
}

TEST_CASE("abi 6.5 attach masks of an activator: only what it receives") {
    Bus bus;
    Connection activator = activate(bus, "a.b"), peer = bus.connect();
    auto got = [&] {
        REQUIRE(peer.send(Message(0).to("a.b")) == 0);
        return activator.take().items().size();
    };
    CHECK(got() == 1); // DST_NAME
    CHECK(update(activator, masks({}, KDBUS_ATTACH_CREDS)) == 0);
    CHECK(got() == 2);
    // Each refusal leaves that.
    CHECK(update(activator, masks(0, {})) == EOPNOTSUPP);
    CHECK(update(activator, masks(bad_mask, {})) == EOPNOTSUPP);
    CHECK(update(activator, masks(0, 0)) == EOPNOTSUPP);
    CHECK(update(activator, masks(0, bad_mask)) == EOPNOTSUPP);
    CHECK(update(activator, masks({}, bad_mask)) == EINVAL);
    CHECK(update(activator, masks({}, bad_mask).text(KDBUS_ITEM_NAME, "a.b")) == EINVAL);
    CHECK(update(activator, masks({}, 0).text(KDBUS_ITEM_NAME, "a.b")) == EOPNOTSUPP);
    CHECK(update(activator, {{"a.b", {}}}) == EOPNOTSUPP);
    CHECK(got() == 2);
    CHECK(update(activator, Plain()) == 0);
    CHECK(got() == 2);
}

TEST_CASE("abi 6.5/13.31 attach masks of a monitor: both, from the next message on") {
    Bus bus;
    Connection monitor = bus.connect({.flags = KDBUS_HELLO_MONITOR}), a = bus.connect(),
               b = bus.connect();
    drain(monitor);
    auto copied = [&] {
        REQUIRE(a.send(Message(b.id())) == 0);
        return monitor.take().items().size();
    };
    CHECK(copied() == 0);
    REQUIRE(a.send(Message(b.id())) == 0);
    CHECK(update(monitor, masks(KDBUS_ATTACH_PIDS, KDBUS_ATTACH_CREDS)) == 0);
    CHECK(monitor.take().items().empty());
    CHECK(copied() == 1);
    CHECK(a.info(monitor.id(), all_ones).items().size() == 1);
    CHECK(update(monitor, masks(0, bad_mask)) == EINVAL);
    CHECK(update(monitor, masks(0, 0).text(KDBUS_ITEM_NAME, "a.b")) == EOPNOTSUPP);
    CHECK(update(monitor, {{"a.b", anybody_owns}}) == EOPNOTSUPP);
    CHECK(copied() == 1);
    CHECK(a.info(monitor.id(), all_ones).items().size() == 1);
}

TEST_CASE("abi 6.5 a policy holder has no attach masks to update, nor is its entry harmed") {
    Bus bus;
    Probe probe(bus);
    Connection holder = hold(bus, "a.b", {for_user(1000, own)});
    for (const auto& attempt :
         {masks(0, {}), masks({}, 0), masks(bad_mask, {}), masks({}, bad_mask), masks(0, 0)})
        CHECK(update(holder, attempt) == EOPNOTSUPP);
    // Before the policy items are looked at, wherever they stand.
    Plain bad = policy_command({{"a..b", {}}});
    bad.word(KDBUS_ITEM_ATTACH_FLAGS_RECV, 0);
    CHECK(update(holder, bad) == EOPNOTSUPP);
    Plain good = policy_command({{"a.b", {}}});
    good.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, 0);
    CHECK(update(holder, good) == EOPNOTSUPP);
    CHECK(probe.owns("a.b"));
    CHECK(update(holder, Plain()) == 0);
    CHECK(probe.owns("a.b"));
}

TEST_CASE("abi 6.5/13.39 policy items on an ordinary connection: EOPNOTSUPP, from any uid") {
    Bus bus;
    for (uid_t uid : {0u, 1000u}) {
        Connection c = connect_as(bus, uid);
        CAPTURE(uid);
        as(uid, [&] {
            CHECK(update(c, {{"a.b", anybody_owns}}) == EOPNOTSUPP);
            CHECK(update(c, {{"not a name", {}}}) == EOPNOTSUPP);
            Plain alone;
            alone.object(KDBUS_ITEM_POLICY_ACCESS, for_world(own));
            CHECK(update(c, alone) == EOPNOTSUPP);
            // The masks come first, wherever they stand.
            Plain both = policy_command({{"a.b", {}}});
            both.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, bad_mask);
            CHECK(update(c, both) == EINVAL);
            Plain recv = policy_command({{"a.b", {}}});
            recv.word(KDBUS_ITEM_ATTACH_FLAGS_RECV, bad_mask);
            CHECK(update(c, recv) == EINVAL);
        });
    }
}

TEST_CASE("abi 6.5/11.4 UPDATE of a policy holder: each failure, and the old entry stays") {
    Bus bus;
    Probe probe(bus);
    Connection holder = hold(bus, "a.b", {for_user(1000, own)}), other = hold(bus, "o.other"),
               wild = hold(bus, "o.*"), activator = activate(bus, "o.act");
    auto fails = [&](const Plain& c, int error) {
        CHECK(update(holder, c) == error);
        CHECK(probe.owns("a.b"));
        CHECK(!probe.owns("n.new"));
    };
    const Entry fresh{"n.new", anybody_owns};
    SECTION("POLICY_ACCESS before NAME") {
        Plain c;
        c.object(KDBUS_ITEM_POLICY_ACCESS, for_world(own)).text(KDBUS_ITEM_NAME, "n.new");
        fails(c, EINVAL);
        c.text(KDBUS_ITEM_NAME, "n.more");
        fails(c, EINVAL);
        Plain alone;
        alone.object(KDBUS_ITEM_POLICY_ACCESS, for_world(own));
        fails(alone, EINVAL);
    }
    SECTION("a second NAME, before its syntax") {
        fails(policy_command({fresh, {"n.more", {}}}), E2BIG);
        fails(policy_command({fresh, fresh}), E2BIG);
        fails(policy_command({fresh, {"not a name", {}}}), E2BIG);
        fails(policy_command({fresh, {"o.other", {}}}), E2BIG);
        fails(policy_command({{"a.b", {}}, {"a.b", {}}}), E2BIG);
    }
    SECTION("syntax") {
        for (const char* name : {"", "a", "a..b", ".a.b", "a.b*", "*", "a.*.b", "a.9"}) {
            CAPTURE(name);
            fails(policy_command({{name, anybody_owns}}), EINVAL);
        }
        fails(policy_command({{"a." + std::string(254, 'x'), anybody_owns}}), EINVAL);
    }
    SECTION("records") {
        for (const kdbus_policy_access& bad :
             {kdbus_policy_access{0, own, 0}, kdbus_policy_access{4, own, 0},
              kdbus_policy_access{(u64{1} << 32) | KDBUS_POLICY_ACCESS_WORLD, own, 0},
              kdbus_policy_access{KDBUS_POLICY_ACCESS_WORLD, 3, 0},
              kdbus_policy_access{KDBUS_POLICY_ACCESS_WORLD, u64{1} << 32, 0},
              kdbus_policy_access{KDBUS_POLICY_ACCESS_USER, own, 0xffffffff},
              kdbus_policy_access{KDBUS_POLICY_ACCESS_GROUP, own, all_ones}}) {
            CAPTURE(bad.type, bad.access, bad.id);
            fails(policy_command({{"n.new", {for_world(own), bad}}}), EINVAL);
            fails(policy_command({{"a.b", {bad}}}), EINVAL);
        }
    }
    SECTION("names of others") { // 13.40
        fails(policy_command({{"o.other", {for_user(1000, own)}}}), EEXIST);
        fails(policy_command({{"o.*", anybody_owns}}), EEXIST);
        fails(policy_command({{"o.act", anybody_owns}}), EEXIST);
        CHECK(!probe.owns("o.other"));
    }
    // What would have come in comes in.
    CHECK(update(holder, {fresh}) == 0);
    CHECK(probe.owns("n.new"));
    CHECK(!probe.owns("a.b"));
}

TEST_CASE("abi 6.5/13.40 one's own name is no conflict, another one frees the former at once") {
    Bus bus;
    Probe probe(bus);
    Connection holder = hold(bus, "a.b", {for_user(1000, own)}), second = hold(bus, "a.c");
    CHECK(update(holder, {{"a.b", {for_user(1000, talk)}}}) == 0);
    CHECK(!probe.owns("a.b"));
    CHECK(update(holder, {{"a.b", {for_user(1000, own)}}}) == 0);
    CHECK(probe.owns("a.b"));
    CHECK(update(second, {{"a.b", {}}}) == EEXIST);
    CHECK(update(holder, {{"a.d", {for_user(1000, own)}}}) == 0);
    CHECK(!probe.owns("a.b"));
    CHECK(probe.owns("a.d"));
    CHECK(update(second, {{"a.b", {for_user(1000, own)}}}) == 0);
    CHECK(probe.owns("a.b"));
    CHECK(update(holder, {{"a.c", {}}}) == 0);
    CHECK(update(holder, {{"a.b", {}}}) == EEXIST);
    // A NAME alone grants nothing and still occupies.
    CHECK(update(second, {{"a.b", {}}}) == 0);
    CHECK(!probe.owns("a.b"));
    CHECK(update(holder, {{"a.b", anybody_owns}}) == EEXIST);
    CHECK(hello(bus, holder_of("a.b")) == EEXIST);
}

TEST_CASE("abi 11.6/13.40 a.b, a.b.c and a.b.* coexist, each unique on its own") {
    Bus bus;
    Connection exact = hold(bus, "a.b"), longer = hold(bus, "a.b.c"), wild = hold(bus, "a.b.*");
    for (const char* name : {"a.b", "a.b.c", "a.b.*"}) {
        CAPTURE(name);
        CHECK(hello(bus, holder_of(name)) == EEXIST);
    }
    CHECK(hello(bus, holder_of("a.*")) == 0);
    CHECK(hello(bus, activator_of("a.b.d")) == 0);
    CHECK(update(exact, {{"a.b.*", {}}}) == EEXIST);
    wild.close();
    CHECK(update(exact, {{"a.b.*", {}}}) == 0);
    CHECK(hello(bus, holder_of("a.b")) == 0);
    CHECK(hello(bus, holder_of("a.b.*")) == EEXIST);
    CHECK(hello(bus, activator_of("a.b.*")) == EINVAL);
}

TEST_CASE("abi 6.5/13.39 anyone who holds the handle may update, by the ids of his namespace") {
    Bus bus;
    Probe probe(bus);
    Connection holder = hold(bus, "a.b");
    CHECK(in_child([&] {
              if (syscall(SYS_setresgid, 1001, 1001, 1001) ||
                  syscall(SYS_setresuid, 1001, 1001, 1001))
                  return 255;
              return update(holder, {{"a.b", {for_user(1000, own)}}});
          }) == 0);
    CHECK(probe.owns("a.b"));
    // In a user namespace that maps nobody no id is valid; the world is.
    CHECK(in_child([&] {
              if (unshare(CLONE_NEWUSER))
                  return 255;
              return update(holder, {{"a.b", {for_user(1000, talk)}}});
          }) == EINVAL);
    CHECK(probe.owns("a.b"));
    CHECK(in_child([&] {
              if (unshare(CLONE_NEWUSER))
                  return 255;
              return update(holder, {{"a.b", {for_world(talk)}}});
          }) == 0);
    CHECK(!probe.owns("a.b"));
}

TEST_CASE("abi 11.5/13.38 entries live as long as the handle is open in any process") {
    Bus bus;
    Probe probe(bus);
    Connection holder = hold(bus, "a.b", {for_user(1000, own)});
    Pipe go;
    Child child([&] {
        go.write.reset();
        char c = 0;
        return static_cast<int>(read(go.read.get(), &c, 1));
    });
    holder.close();
    CHECK(probe.owns("a.b"));
    CHECK(hello(bus, holder_of("a.b")) == EEXIST);
    go.write.reset();
    REQUIRE(child.wait() == 0);
    CHECK(!probe.owns("a.b"));
    CHECK(hello(bus, holder_of("a.b")) == 0);
}

TEST_CASE("abi 11.1/11.5 an activator's grants: given at HELLO, gone with it (13.42)") {
    Bus bus;
    Probe probe(bus);
    Connection talker = connect_as(bus, 1001), owner = bus.connect();
    auto send = [&](u64 to) {
        return as(1001, [&] { return talker.send(Message(to)); });
    };
    {
        Connection activator = activate(bus, "a.b", {for_user(1000, own), for_group(1001, talk)});
        CHECK(probe.owns("a.b"));
        REQUIRE(owner.acquire("a.b") == 0);
        CHECK(send(owner.id()) == 0);
        CHECK(hello(bus, holder_of("a.b", anybody_owns)) == EEXIST);
    }
    // The owner keeps the name; the right to talk to it is gone.
    CHECK(talker.info(0, 0, "a.b").head().id == owner.id());
    CHECK(send(owner.id()) == EPERM);
    Connection holder = hold(bus, "a.b", {for_user(1001, talk)});
    CHECK(send(owner.id()) == 0);
    CHECK(hello(bus, activator_of("a.b")) == EEXIST);
    REQUIRE(owner.release("a.b") == 0);
    CHECK(!probe.owns("a.b"));
    // An activator without grants occupies the name all the same.
    const Connection bare = activate(bus, "a.c");
    CHECK(!probe.owns("a.c"));
    CHECK(hello(bus, holder_of("a.c")) == EEXIST);
}

TEST_CASE("abi 11.1 the bus's entries are the bus's own") {
    Bus bus, other;
    Probe here(bus), there(other);
    const Connection holder = hold(bus, "a.b", {for_user(1000, own)}), second = hold(other, "a.b");
    CHECK(here.owns("a.b"));
    CHECK(!there.owns("a.b"));
}

TEST_CASE("abi 6.5 two tasks update one holder or contend for one name: one state or the other") {
    Bus bus;
    Connection a = hold(bus, "a.a"), b = hold(bus, "a.b");
    for (int i = 0; i < 50; i++) {
        auto other = std::async(std::launch::async, [&] { return update(a, {{"c.c", {}}}); });
        const int mine = update(b, {{"c.c", {}}}), theirs = other.get();
        CAPTURE(mine, theirs);
        CHECK(((mine == 0 && theirs == EEXIST) || (mine == EEXIST && theirs == 0)));
        REQUIRE(update(a, {{"a.a", {}}}) == 0);
        REQUIRE(update(b, {{"a.b", {}}}) == 0);
    }
}
