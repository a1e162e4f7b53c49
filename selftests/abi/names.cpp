// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 9 (well-known names), 6.11 (NAME_ACQUIRE) and 6.12 (NAME_RELEASE).
#include "names.hpp"
#include "support.hpp"

using namespace test;

namespace {

struct Result {
    int error;
    u64 flags;
    bool operator==(const Result&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Result& r) {
    return out << "{error " << r.error << ", flags 0x" << std::hex << r.flags << std::dec << "}";
}

Result acquire(const Connection& c, u64 flags = 0, const std::string& n = name) {
    Result r{0, 0xdead};
    r.error = c.acquire(n, flags, &r.flags);
    return r;
}

struct Peers {
    Bus bus;
    Connection observer = bus.connect(), a = bus.connect(), b = bus.connect(), c = bus.connect();
    Peers() { REQUIRE(observer.match_all() == 0); }

    void changed(u64 type, u64 old_id, u64 old_flags, u64 new_id, u64 new_flags) const {
        expect_name_notification(observer, type, old_id, old_flags, new_id, new_flags, name);
    }
    void quiet() const { CHECK(observer.empty()); }
};

} // namespace

TEST_CASE("abi 9.1 syntax") {
    Bus bus;
    Connection c = bus.connect();
    const std::string longest = "a." + std::string(253, 'b');
    struct Row {
        std::string name;
        bool valid;
    };
    const Row rows[] = {
        {"", false},
        {".", false},
        {"a", false},
        {"..", false},
        {"a.", false},
        {".a", false},
        {".a.b", false},
        {"a..b", false},
        {"a.b.", false},
        {"a.b", true},
        {"a.b.c.d.e", true},
        {"A.Z", true},
        {"a_.b-", true},
        {"_.-", true},
        {"-a.-b", true},
        {"_a._b", true},
        {"a1.b2", true},
        {"1a.b", false},
        {"a.1b", false},
        {"a.b.9", false},
        {"a.-1", true},
        {"a.b c", false},
        {"a.b/c", false},
        {"a.b@c", false},
        {"a.*", false},
        {"a.b.*", false},
        {"*", false},
        {"*.a", false},
        {"a.b*", false},
        {"a.\xe9", false},
        {"a.\xc3\xa9", false},
        {"a.b\n", false},
        {"a:b.c", false},
        {":1.2", false},
        {longest, true},
        {longest + "b", false},
        {std::string(2000, 'a') + ".b", false},
        {[] {
             std::string s = "a";
             for (int i = 0; i < 127; i++)
                 s += ".a";
             return s;
         }(),
         true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        CHECK(c.acquire(row.name) == (row.valid ? 0 : EINVAL));
        // Elsewhere a malformed name is merely unknown.
        CHECK(c.release(row.name) == (row.valid ? 0 : ESRCH));
        if (!row.name.empty())
            CHECK(c.info(0, 0, row.name).error == ESRCH);
        Message m;
        m.to(row.name);
        CHECK(c.send(m) == (row.valid ? ESRCH : EINVAL));
        Command<kdbus_cmd_match> match;
        match.text(KDBUS_ITEM_NAME, row.name);
        CHECK(c.match(match) == (row.valid ? 0 : EINVAL));
    }
    for (int ch = 1; ch < 256; ch++) {
        CAPTURE(ch);
        const bool first =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || ch == '-';
        const bool later = first || (ch >= '0' && ch <= '9');
        const std::string s(1, static_cast<char>(ch));
        CHECK(c.acquire("a." + s) == (first ? 0 : EINVAL));
        CHECK(c.acquire("a.b" + s) == (later ? 0 : EINVAL));
        c.release("a." + s);
        c.release("a.b" + s);
    }
}

TEST_CASE("abi 9.2/1 no owner") {
    Peers p;
    SECTION("plain") {
        CHECK(acquire(p.a) == Result{0, primary | acquired});
        p.changed(KDBUS_ITEM_NAME_ADD, 0, 0, p.a.id(), primary);
    }
    SECTION("saved flags; REPLACE_EXISTING is never reported") {
        CHECK(acquire(p.a, replace | allow | queue) ==
              Result{0, allow | queue | primary | acquired});
        p.changed(KDBUS_ITEM_NAME_ADD, 0, 0, p.a.id(), allow | queue | primary);
    }
    CHECK(owner_of(p.b) == p.a.id());
    p.quiet();
}

TEST_CASE("abi 9.2/3 re-acquiring one's own name updates the flags silently") {
    Peers p;
    REQUIRE(p.a.acquire(name, allow) == 0);
    drain(p.observer);
    CHECK(acquire(p.a) == Result{0, primary});
    CHECK(acquire(p.a, queue | replace) == Result{0, queue | primary});
    CHECK(acquire(p.b, replace) == Result{EEXIST, 0});
    CHECK(acquire(p.a, allow) == Result{0, allow | primary});
    p.quiet();
    CHECK(acquire(p.b, replace) == Result{0, primary | acquired});
    p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), allow | primary, p.b.id(), primary);
}

TEST_CASE("abi 9.2/4 replacing an owner") {
    Peers p;
    SECTION("who does not queue loses the name") {
        REQUIRE(p.a.acquire(name, allow) == 0);
        drain(p.observer);
        CHECK(acquire(p.b, replace) == Result{0, primary | acquired});
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), allow | primary, p.b.id(), primary);
        CHECK(p.a.release(name) == EADDRINUSE);
        CHECK(p.b.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_REMOVE, p.b.id(), primary, 0, 0);
    }
    SECTION("who queues comes second, before the waiters") {
        REQUIRE(p.a.acquire(name, allow | queue) == 0);
        REQUIRE(p.c.acquire(name, queue) == 0);
        drain(p.observer);
        CHECK(acquire(p.b, replace | queue) == Result{0, queue | primary | acquired});
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), allow | queue | primary, p.b.id(),
                  queue | primary);
        CHECK(p.b.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.b.id(), queue | primary, p.a.id(),
                  allow | queue | primary);
        CHECK(p.a.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), allow | queue | primary, p.c.id(),
                  queue | primary);
    }
    SECTION("a waiter replaces from its place in the queue") {
        REQUIRE(p.a.acquire(name, allow) == 0);
        REQUIRE(p.c.acquire(name, queue) == 0);
        REQUIRE(p.b.acquire(name, queue) == 0);
        drain(p.observer);
        CHECK(acquire(p.b, replace) == Result{0, primary | acquired});
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), allow | primary, p.b.id(), primary);
        CHECK(p.b.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.b.id(), primary, p.c.id(), queue | primary);
        CHECK(p.c.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_REMOVE, p.c.id(), queue | primary, 0, 0);
    }
    SECTION("without ALLOW_REPLACEMENT or without REPLACE_EXISTING nothing is replaced") {
        REQUIRE(p.a.acquire(name, queue) == 0);
        CHECK(acquire(p.b, replace) == Result{EEXIST, 0});
        REQUIRE(p.a.acquire(name, allow) == 0);
        CHECK(acquire(p.b, allow) == Result{EEXIST, allow});
        CHECK(owner_of(p.b) == p.a.id());
        p.changed(KDBUS_ITEM_NAME_ADD, 0, 0, p.a.id(), queue | primary);
    }
    SECTION("mail already queued at the old owner stays there") {
        REQUIRE(p.a.acquire(name, allow | queue) == 0);
        REQUIRE(p.c.send(Message(0, 7).to(name)) == 0);
        REQUIRE(p.b.acquire(name, replace) == 0);
        CHECK(p.a.take()->cookie == 7);
        CHECK(p.b.empty());
        REQUIRE(p.c.send(Message(0, 8).to(name)) == 0);
        CHECK(p.b.take()->cookie == 8);
        CHECK(drain(p.observer) == 2);
    }
    p.quiet();
}

TEST_CASE("abi 9.2/5-7 queueing, staying, leaving") {
    Peers p;
    REQUIRE(p.a.acquire(name) == 0);
    drain(p.observer);
    CHECK(acquire(p.b, queue | allow) == Result{0, queue | allow | in_queue | acquired});
    CHECK(acquire(p.c, queue | replace) == Result{0, queue | in_queue | acquired});
    // Asking again keeps the place and replaces the flags.
    CHECK(acquire(p.b, queue) == Result{0, queue | in_queue});
    SECTION("the oldest waiter is promoted, with its flags") {
        CHECK(p.a.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), primary, p.b.id(), queue | primary);
        CHECK(p.b.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.b.id(), queue | primary, p.c.id(), queue | primary);
    }
    SECTION("without QUEUE a waiter leaves") {
        CHECK(acquire(p.b, allow) == Result{0, allow});
        CHECK(acquire(p.b, allow) == Result{EEXIST, allow});
        CHECK(p.b.release(name) == EADDRINUSE);
        p.quiet();
        CHECK(p.a.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), primary, p.c.id(), queue | primary);
    }
    SECTION("a waiter releases") {
        CHECK(p.b.release(name) == 0);
        CHECK(p.b.release(name) == EADDRINUSE);
        p.quiet();
        CHECK(p.a.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), primary, p.c.id(), queue | primary);
    }
    SECTION("a waiter disconnects") {
        const u64 id = p.b.id();
        p.b.close();
        expect_id_notification(p.observer, KDBUS_ITEM_ID_REMOVE, id, 0);
        CHECK(p.a.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.a.id(), primary, p.c.id(), queue | primary);
    }
    p.quiet();
}

TEST_CASE("abi 9.2/8 busy: EEXIST, and return_flags are the saved flags") {
    Peers p;
    REQUIRE(p.a.acquire(name) == 0);
    drain(p.observer);
    CHECK(acquire(p.b) == Result{EEXIST, 0});
    CHECK(acquire(p.b, allow | replace) == Result{EEXIST, allow});
    CHECK(p.b.release(name) == EADDRINUSE);
    p.quiet();
}

TEST_CASE("abi 9.3/13.21 flags compare exactly") {
    Peers p;
    auto flags_of = [&](u64 id) {
        for (const Info& r : p.observer.list(KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED))
            if (r.items().size() == 1 && r.head().id == id)
                return r.items()[0].word(0);
        return u64{0};
    };
    REQUIRE(p.a.acquire(name) == 0);
    CHECK(flags_of(p.a.id()) == 0x20);
    REQUIRE(p.a.acquire(name, allow) == 0);
    CHECK(flags_of(p.a.id()) == 0x22);
    REQUIRE(p.b.acquire(name, queue) == 0);
    CHECK(flags_of(p.b.id()) == 0x0c);
    REQUIRE(p.c.acquire(name, replace) == 0);
    CHECK(flags_of(p.c.id()) == 0x20);
    CHECK(flags_of(p.a.id()) == 0);
    REQUIRE(p.c.release(name) == 0);
    CHECK(flags_of(p.b.id()) == 0x24);
}

TEST_CASE("abi 9.5/13.23 NAME_RELEASE") {
    Peers p;
    CHECK(p.a.release(name) == ESRCH);
    CHECK(p.a.release("malformed") == ESRCH);
    CHECK(p.a.release("") == ESRCH);
    REQUIRE(p.a.acquire(name) == 0);
    p.changed(KDBUS_ITEM_NAME_ADD, 0, 0, p.a.id(), primary);
    CHECK(p.b.release(name) == EADDRINUSE);
    Plain c;
    c->return_flags = 0x99;
    c.text(KDBUS_ITEM_NAME, name);
    CHECK(p.a.run(KDBUS_CMD_NAME_RELEASE, c.address()) == 0);
    CHECK(c->return_flags == 0);
    p.changed(KDBUS_ITEM_NAME_REMOVE, p.a.id(), primary, 0, 0);
    CHECK(p.a.release(name) == ESRCH);
    CHECK(owner_of(p.b) == 0);
    // Case counts, and so does every byte.
    REQUIRE(p.a.acquire(name) == 0);
    CHECK(p.a.release("org.example.name") == ESRCH);
    CHECK(p.a.release(name + "x") == ESRCH);
    CHECK(p.a.release(name.substr(0, name.size() - 1)) == ESRCH);
}

TEST_CASE("abi 9.5 mail is not moved when a waiter is promoted") {
    Peers p;
    REQUIRE(p.a.acquire(name) == 0);
    REQUIRE(p.b.acquire(name, queue) == 0);
    REQUIRE(p.c.send(Message(0, 1).to(name)) == 0);
    REQUIRE(p.a.release(name) == 0);
    CHECK(p.b.empty());
    CHECK(p.a.take()->cookie == 1);
}

TEST_CASE("abi 9.6 disconnect releases the names in order of first request") {
    Peers p;
    const std::string names[] = {"z.first", "a.second", "m.third", "b.fourth"};
    REQUIRE(p.a.acquire(names[0]) == 0);
    REQUIRE(p.b.acquire(names[1]) == 0);
    REQUIRE(p.a.acquire(names[1], queue) == 0); // waits, then owns: keeps its place
    REQUIRE(p.a.acquire(names[2]) == 0);
    REQUIRE(p.b.release(names[1]) == 0);
    REQUIRE(p.a.acquire(names[3], allow) == 0);
    REQUIRE(p.c.acquire(names[2], queue) == 0);
    drain(p.observer);
    const u64 id = p.a.id();
    SECTION("close") {
        p.a.close();
    }
    SECTION("BYEBYE") {
        REQUIRE(p.a.bye() == 0);
    }
    expect_name_notification(p.observer, KDBUS_ITEM_NAME_REMOVE, id, primary, 0, 0, names[0]);
    expect_name_notification(p.observer, KDBUS_ITEM_NAME_REMOVE, id, queue | primary, 0, 0,
                             names[1]);
    expect_name_notification(p.observer, KDBUS_ITEM_NAME_CHANGE, id, primary, p.c.id(),
                             queue | primary, names[2]);
    expect_name_notification(p.observer, KDBUS_ITEM_NAME_REMOVE, id, allow | primary, 0, 0,
                             names[3]);
    expect_id_notification(p.observer, KDBUS_ITEM_ID_REMOVE, id, 0);
    p.quiet();
}

TEST_CASE("abi 9.7 256 names, owned and queued alike, inclusive") {
    Bus bus;
    Connection c = bus.connect(), other = bus.connect();
    auto nth = [](int i) {
        return "n.x" + std::to_string(i);
    };
    for (int i = 0; i < 100; i++)
        REQUIRE(other.acquire(nth(i)) == 0);
    for (int i = 0; i < KDBUS_CONN_MAX_NAMES; i++) {
        u64 flags = 0;
        REQUIRE(c.acquire(nth(i), queue, &flags) == 0);
        CHECK((flags & (i < 100 ? in_queue : primary)) != 0);
    }
    CHECK(c.acquire("n.free") == E2BIG);
    // Also when the request could only have failed otherwise; syntax comes before.
    REQUIRE(other.acquire("n.busy") == 0);
    CHECK(c.acquire("n.busy") == E2BIG);
    CHECK(c.acquire("n.busy", queue) == E2BIG);
    CHECK(c.acquire("malformed") == EINVAL);
    Plain e2big;
    e2big->flags = allow;
    e2big->return_flags = 0x99;
    e2big.text(KDBUS_ITEM_NAME, "n.free");
    CHECK(c.run(KDBUS_CMD_NAME_ACQUIRE, e2big.address()) == E2BIG);
    CHECK(e2big->return_flags == 0);
    // Names among the 256 are no problem.
    CHECK(c.acquire(nth(0), queue) == 0);
    CHECK(c.acquire(nth(200)) == 0);
    CHECK(c.release(nth(50)) == 0);
    CHECK(c.acquire("n.free") == 0);
    CHECK(c.acquire("n.other") == E2BIG);
    CHECK(c.release(nth(255)) == 0);
    CHECK(c.acquire("n.other") == 0);
}

TEST_CASE("abi 9.7 any number of waiters") {
    Bus bus;
    Connection owner = bus.connect();
    REQUIRE(owner.acquire(name) == 0);
    std::vector<Connection> waiters;
    for (int i = 0; i < 300; i++) {
        waiters.push_back(bus.connect({.pool_size = page}));
        REQUIRE(waiters.back().acquire(name, queue) == 0);
    }
    for (const Connection& w : waiters) {
        CHECK(owner_of(owner) != w.id());
        const u64 current = owner_of(owner);
        if (current == owner.id())
            REQUIRE(owner.release(name) == 0);
        else
            REQUIRE((&w - 1)->release(name) == 0);
        CHECK(owner_of(owner) == w.id());
    }
}

TEST_CASE(
    "abi 6.11/13.35 without OWN nobody but bus owners acquires: EPERM before existence shows") {
    Bus bus;
    Connection root = bus.connect(), user = connect_as(bus, 1000);
    REQUIRE(root.acquire(name, allow) == 0);
    u64 flags = 0x99;
    CHECK(user.acquire("free.name", 0, &flags) == EPERM);
    CHECK(flags == 0);
    CHECK(user.acquire(name, replace) == EPERM);
    CHECK(user.acquire(name, queue) == EPERM);
    // Syntax comes before.
    CHECK(user.acquire("malformed") == EINVAL);
    // The right is frozen into the connection, whoever uses the handle.
    CHECK(user.acquire("free.name") == EPERM);
    AsUser other(1000);
    CHECK(root.acquire("free.name") == 0);
    // Releasing needs no permission.
    CHECK(user.release(name) == EADDRINUSE);
    CHECK(user.release("unknown.name") == ESRCH);
}

TEST_CASE("abi 6.11 a user may own names on a bus of its own") {
    AsUser user(1000);
    Bus bus;
    Connection c = bus.connect();
    CHECK(c.acquire(name) == 0);
}

TEST_CASE("abi 9 names are per bus") {
    Bus first, second;
    Connection a = first.connect(), b = second.connect();
    CHECK(a.acquire(name) == 0);
    CHECK(owner_of(b) == 0);
    CHECK(b.acquire(name) == 0);
}
