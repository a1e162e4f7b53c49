// SPDX-License-Identifier: LGPL-2.1-or-later
// Activators: abi.md 9.4, 9.2/2, 9.5 and messages.md 3.4 (the hand-over of mail and open calls).
#include "names.hpp"
#include "slow-page.hpp"
#include "support.hpp"

#include <atomic>
#include <map>
#include <numeric>

using namespace test;

namespace {

Connection activate(const Bus& bus, HelloOptions options = {}, const std::string& n = name) {
    options.flags |= KDBUS_HELLO_ACTIVATOR;
    options.name = n;
    return bus.connect(options);
}

int hello(const Bus& bus, HelloOptions options) {
    Fd fd = bus.open();
    options.flags |= KDBUS_HELLO_ACTIVATOR;
    auto c = hello_command(options);
    return command(fd.get(), KDBUS_CMD_HELLO, c.address());
}

Message mail(u64 cookie, u64 id = 0, const std::string& n = name) {
    Message m(id, cookie);
    m.to(n);
    return m;
}

Message request(u64 cookie, u64 ms = 60'000) {
    Message m = mail(cookie);
    m.call(in_ms(ms));
    return m;
}

// The cookies of everything queued, which is taken.
std::vector<u64> cookies(const Connection& c) {
    std::vector<u64> result;
    for (;;) {
        const Received r = c.recv();
        if (r.error == EAGAIN)
            return result;
        must(r.error == 0, "RECV", r.error);
        result.push_back(r->cookie);
        close_descriptors(r);
        must(c.free(r.offset()) == 0, "FREE");
    }
}

using Cookies = std::vector<u64>;

struct Record {
    u64 id, flags, name_flags;
    std::string name;
    bool operator==(const Record&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Record& r) {
    return out << "{" << r.id << ", " << r.flags << ", " << r.name_flags << ", " << r.name << "}";
}

std::vector<Record> list(const Connection& c, u64 flags) {
    std::vector<Record> result;
    for (const Info& info : c.list(flags)) {
        Record r{info.head().id, info.head().flags, 0, {}};
        const auto items = info.items();
        if (!items.empty()) {
            must(items.size() == 1 && items[0].type == KDBUS_ITEM_OWNED_NAME, "one OWNED_NAME");
            r.name_flags = items[0].word(0);
            r.name = items[0].text(8);
        }
        result.push_back(r);
    }
    return result;
}

// A synchronous call in a thread of its own, told by its priority from what else is queued.
std::future<Received> call_by(const Connection& c, u64 cookie) {
    return std::async(std::launch::async,
                      [&c, cookie] { return c.call(request(cookie).priority(-1)); });
}

// Waits until the synchronous call is queued.
void await_call(const Connection& c) {
    Received r;
    REQUIRE(eventually([&] {
        r = c.recv(KDBUS_RECV_PEEK | KDBUS_RECV_USE_PRIORITY, -1);
        return r.error == 0;
    }));
    REQUIRE(c.free(r.offset()) == 0);
}

struct Peers {
    Bus bus;
    Connection observer = bus.connect(), caller = bus.connect(), service = bus.connect();
    Connection activator = activate(bus);
    Peers() { REQUIRE(observer.match_all() == 0); }

    void changed(u64 type, u64 old_id, u64 old_flags, u64 new_id, u64 new_flags) const {
        expect_name_notification(observer, type, old_id, old_flags, new_id, new_flags, name);
    }
    void quiet() const { CHECK(observer.empty()); }
    int reply(const Connection& from, u64 cookie) const {
        return from.send(reply_to(caller.id(), cookie));
    }
};

} // namespace

TEST_CASE("abi 6.4 an activator of a free name: ID_ADD, then NAME_ADD") {
    Bus bus;
    Connection observer = bus.connect();
    REQUIRE(observer.match_all() == 0);
    Connection a = activate(bus, {.flags = KDBUS_HELLO_ACCEPT_FD});
    const u64 id = a.id(), flags = KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_ACCEPT_FD;
    expect_id_notification(observer, KDBUS_ITEM_ID_ADD, id, flags);
    expect_name_notification(observer, KDBUS_ITEM_NAME_ADD, 0, 0, id, in_charge, name);
    CHECK(observer.empty());
    // abi 9.5: its end in charge.
    a.close();
    expect_name_notification(observer, KDBUS_ITEM_NAME_REMOVE, id, in_charge, 0, 0, name);
    expect_id_notification(observer, KDBUS_ITEM_ID_REMOVE, id, flags);
    CHECK(observer.empty());
    CHECK(observer.info(0, 0, name).error == ESRCH);
}

TEST_CASE("abi 6.4 an activator behind an owner: ID_ADD alone, and its end says no more") {
    Bus bus;
    Connection owner = bus.connect(), observer = bus.connect();
    REQUIRE(owner.acquire(name) == 0);
    REQUIRE(observer.match_all() == 0);
    Connection a = activate(bus);
    const u64 id = a.id();
    expect_id_notification(observer, KDBUS_ITEM_ID_ADD, id, KDBUS_HELLO_ACTIVATOR);
    CHECK(observer.empty());
    CHECK(owner_of(observer) == owner.id());
    a.close();
    expect_id_notification(observer, KDBUS_ITEM_ID_REMOVE, id, KDBUS_HELLO_ACTIVATOR);
    CHECK(observer.empty());
    // abi 13.42: the running owner keeps the name.
    CHECK(owner_of(observer) == owner.id());
    REQUIRE(owner.release(name) == 0);
    expect_name_notification(observer, KDBUS_ITEM_NAME_REMOVE, owner.id(), primary, 0, 0, name);
}

TEST_CASE("abi 6.4/13, 9.4 one activator for each name") {
    Bus bus;
    Connection observer = bus.connect(), owner = bus.connect();
    Connection first = activate(bus);
    REQUIRE(observer.match_all() == 0);
    for (bool owned : {false, true}) {
        CAPTURE(owned);
        if (owned) {
            REQUIRE(owner.acquire(name) == 0);
            drain(observer);
        }
        Fd fd = bus.open();
        auto c = hello_command({.flags = KDBUS_HELLO_ACTIVATOR, .name = name});
        CHECK(command(fd.get(), KDBUS_CMD_HELLO, c.address()) == EEXIST);
        // It had already appeared.
        const u64 id = observer.take().word(80);
        expect_id_notification(observer, KDBUS_ITEM_ID_REMOVE, id, KDBUS_HELLO_ACTIVATOR);
        CHECK(observer.empty());
        CHECK(owner_of(observer) == (owned ? owner.id() : first.id()));
        // The handle is fresh: as an activator of another name.
        auto other = hello_command({.flags = KDBUS_HELLO_ACTIVATOR, .name = "another.name"});
        CHECK(command(fd.get(), KDBUS_CMD_HELLO, other.address()) == 0);
        fd.reset();
        drain(observer);
    }
    first.close();
    CHECK(hello(bus, {.name = name}) == 0);
}

TEST_CASE("abi 6.4/14 an activator's entry: bad or taken; nothing of the name remains") {
    Bus bus;
    Connection observer = bus.connect();
    Connection holder = hold(bus, "held.name");
    REQUIRE(observer.match_all() == 0);
    struct Row {
        std::string name;
        kdbus_policy_access grant;
        int error;
    };
    const Row rows[] = {
        {name, {KDBUS_POLICY_ACCESS_WORLD, 3, 0}, EINVAL},
        {name, {0, KDBUS_POLICY_TALK, 0}, EINVAL},
        {name, {4, KDBUS_POLICY_TALK, 0}, EINVAL},
        // abi 13.41
        {"held.name", for_world(KDBUS_POLICY_TALK), EEXIST},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name, row.grant.type, row.grant.access);
        CHECK(hello(bus, {.name = row.name, .grants = {row.grant}}) == row.error);
        CHECK(owner_of(observer, row.name) == 0);
        // What had appeared has gone: whatever was added was removed.
        std::map<u64, int> seen;
        for (Received r = observer.recv(); r.error == 0; r = observer.recv()) {
            seen[r.word(72)]++;
            observer.free(r.offset());
        }
        CHECK(seen[KDBUS_ITEM_ID_ADD] == 1);
        CHECK(seen[KDBUS_ITEM_ID_REMOVE] == 1);
        CHECK(seen[KDBUS_ITEM_NAME_ADD] == seen[KDBUS_ITEM_NAME_REMOVE]);
    }
    CHECK(observer.acquire("held.name") == 0);
}

TEST_CASE("abi 9.2/2, 13.24 taking a name from its activator needs no flag") {
    Peers p;
    for (u64 flags = 0; flags <= (replace | allow | queue); flags++) {
        CAPTURE(flags);
        const u64 saved = flags & (allow | queue);
        u64 result = 0;
        CHECK(p.service.acquire(name, flags, &result) == 0);
        CHECK(result == (saved | primary | acquired));
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.activator.id(), in_charge, p.service.id(),
                  saved | primary);
        CHECK(list(p.observer, KDBUS_LIST_ACTIVATORS) ==
              std::vector<Record>{{p.activator.id(), KDBUS_HELLO_ACTIVATOR, behind, name}});
        // 9.5: the activator takes charge again.
        CHECK(p.service.release(name) == 0);
        p.changed(KDBUS_ITEM_NAME_CHANGE, p.service.id(), saved | primary, p.activator.id(),
                  in_charge);
        CHECK(list(p.observer, KDBUS_LIST_ACTIVATORS) ==
              std::vector<Record>{{p.activator.id(), KDBUS_HELLO_ACTIVATOR, in_charge, name}});
        CHECK(p.service.release(name) == EADDRINUSE);
        p.quiet();
    }
}

TEST_CASE("abi 9.4 an activator ranks behind every owner, whenever it came") {
    Bus bus;
    Connection observer = bus.connect(), one = bus.connect(), two = bus.connect(),
               three = bus.connect();
    REQUIRE(one.acquire(name) == 0);
    REQUIRE(two.acquire(name, queue) == 0);
    Connection a = activate(bus);
    REQUIRE(three.acquire(name, queue) == 0);
    REQUIRE(observer.match_all() == 0);
    auto changed = [&](const Connection& from, u64 from_flags, const Connection& to, u64 to_flags) {
        expect_name_notification(observer, KDBUS_ITEM_NAME_CHANGE, from.id(), from_flags, to.id(),
                                 to_flags, name);
    };
    REQUIRE(one.release(name) == 0);
    changed(one, primary, two, queue | primary);
    REQUIRE(two.release(name) == 0);
    changed(two, queue | primary, three, queue | primary);
    REQUIRE(three.release(name) == 0);
    changed(three, queue | primary, a, in_charge);
    CHECK(observer.empty());
}

TEST_CASE("abi 6.10 LIST: an activator's name is listed with ACTIVATORS only") {
    Peers p;
    const u64 hello_flags = KDBUS_HELLO_ACTIVATOR;
    for (bool owned : {false, true}) {
        CAPTURE(owned);
        if (owned)
            REQUIRE(p.service.acquire(name) == 0);
        const Record with_name{p.activator.id(), hello_flags, owned ? behind : in_charge, name};
        CHECK(list(p.observer, KDBUS_LIST_ACTIVATORS) == std::vector{with_name});
        for (const Record& r : list(p.observer, KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED))
            CHECK(r.id == p.service.id());
        // Without a name selected it is listed as a connection, else not again.
        const auto unique = list(p.observer, KDBUS_LIST_UNIQUE);
        CHECK(std::count(unique.begin(), unique.end(),
                         Record{p.activator.id(), hello_flags, 0, {}}) == 1);
        CHECK(unique.size() == 4);
        const auto both = list(p.observer, KDBUS_LIST_UNIQUE | KDBUS_LIST_ACTIVATORS);
        CHECK(std::count(both.begin(), both.end(), with_name) == 1);
        CHECK(both.size() == 4);
    }
}

TEST_CASE("abi 6.8 CONN_INFO by name: the owner, else the activator") {
    Peers p;
    const u64 a = p.activator.id(), s = p.service.id();
    auto error = [&](u64 id) {
        return p.caller.info(id, 0, name).error;
    };
    CHECK(owner_of(p.caller) == a);
    CHECK(error(a) == 0);
    CHECK(error(s) == ESRCH);
    CHECK(p.caller.info(a).error == 0);
    CHECK(p.caller.info(a).head().flags == KDBUS_HELLO_ACTIVATOR);
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(owner_of(p.caller) == s);
    CHECK(error(s) == 0);
    CHECK(error(a) == ESRCH);
    CHECK(p.caller.info(a).error == 0);
}

TEST_CASE("messages 3.1, abi 13.25 an activator is reached by its name, never by its id alone") {
    Peers p;
    const u64 a = p.activator.id(), s = p.service.id();
    CHECK(p.caller.send(Message(a, 1)) == ENXIO);
    CHECK(p.caller.send(mail(2)) == 0);
    CHECK(p.caller.send(mail(3, a)) == 0);
    CHECK(p.caller.send(mail(4, s)) == EREMCHG);
    CHECK(cookies(p.activator) == Cookies{2, 3});
    Connection other = connect_as(p.bus, 1000);
    auto by_stranger = [&](Message m) {
        return as(1000, [&] { return other.send(m); });
    };
    // ENXIO precedes policy.
    CHECK(by_stranger(Message(a, 5)) == ENXIO);
    CHECK(by_stranger(mail(6)) == EPERM);
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(p.caller.send(Message(a, 7)) == ENXIO);
    CHECK(p.caller.send(mail(8, a)) == EREMCHG);
    CHECK(cookies(p.activator).empty());
    p.service.close();
    p.activator.close();
    CHECK(p.caller.send(mail(9)) == ESRCH);
    CHECK(p.caller.send(mail(10, a)) == ESRCH);
}

TEST_CASE(
    "messages 3.1 NO_AUTO_START to an activator: EADDRNOTAVAIL, after EREMCHG, before EPERM") {
    Peers p;
    constexpr u64 no_start = KDBUS_MSG_NO_AUTO_START;
    const u64 a = p.activator.id(), s = p.service.id();
    CHECK(p.caller.send(mail(1).flags(no_start)) == EADDRNOTAVAIL);
    CHECK(p.caller.send(mail(2, a).flags(no_start)) == EADDRNOTAVAIL);
    CHECK(p.caller.send(mail(3, s).flags(no_start)) == EREMCHG);
    CHECK(p.caller.send(mail(4).flags(no_start).call(in_ms(60'000))) == EADDRNOTAVAIL);
    CHECK(p.caller.call(mail(5).flags(no_start).call(in_ms(60'000))).error == EADDRNOTAVAIL);
    // The deadline of a synchronous call is looked at before the destination.
    CHECK(p.caller.call(mail(6).flags(no_start).call(1)).error == ETIMEDOUT);
    CHECK(p.caller.send(mail(7).flags(no_start | KDBUS_MSG_SIGNAL).bloom(0, {0})) == EADDRNOTAVAIL);
    Message reply = mail(8).flags(no_start);
    reply->cookie_reply = 1;
    CHECK(p.caller.send(reply) == EADDRNOTAVAIL);
    // Before fds and quota, too.
    CHECK(p.caller.send(mail(9).flags(no_start).filler(300'000)) == EADDRNOTAVAIL);
    Connection other = connect_as(p.bus, 1000);
    auto by_stranger = [&](Message m) {
        return as(1000, [&] { return other.send(m); });
    };
    CHECK(by_stranger(mail(10).flags(no_start)) == EADDRNOTAVAIL);
    CHECK(by_stranger(mail(11, s).flags(no_start)) == EREMCHG);
    CHECK(by_stranger(mail(12)) == EPERM);
    CHECK(p.activator.empty());
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(p.caller.send(mail(13).flags(no_start)) == 0);
    CHECK(by_stranger(mail(14).flags(no_start)) == EPERM);
    CHECK(cookies(p.service) == Cookies{13});
}

TEST_CASE("messages 3.4 an activator never receives signals or notifications") {
    Peers p;
    CHECK(p.caller.send(broadcast()) == 0);
    CHECK(p.caller.send(mail(2).flags(KDBUS_MSG_SIGNAL).bloom(0, {all_ones})) == 0);
    Connection late = p.bus.connect();
    late.close();
    CHECK(p.activator.empty());
    CHECK(dropped(p.activator) == 0);
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(p.service.empty());
}

TEST_CASE("messages 3.4/13.29 mail at an activator: POLLIN, PEEK, FREE, and the hand-over") {
    Bus bus;
    Connection caller = bus.connect(), service = bus.connect();
    Connection a = activate(bus, {.recv = KDBUS_ATTACH_PIDS | KDBUS_ATTACH_PID_COMM});
    CHECK(a.events(POLLIN) == 0);
    CHECK(caller.send(mail(1).body("first")) == 0);
    CHECK(caller.send(mail(2).body("second")) == 0);
    CHECK(a.events(POLLIN) == POLLIN);
    const Received peeked = a.recv(KDBUS_RECV_PEEK);
    REQUIRE(peeked.error == 0);
    CHECK(peeked->cookie == 1);
    CHECK(peeked.get(KDBUS_ITEM_PIDS).word(0) == static_cast<u64>(getpid()));
    CHECK_FALSE(peeked.get(KDBUS_ITEM_PID_COMM).text().empty());
    CHECK(a.free(peeked.offset()) == 0);
    CHECK(a.events(POLLIN) == POLLIN);
    CHECK_FALSE(service.readable());
    REQUIRE(service.acquire(name) == 0);
    // abi 13.24
    CHECK(service.readable());
    CHECK_FALSE(a.readable());
    CHECK(a.empty());
    const Received r = service.take();
    CHECK(r.slice == peeked.slice);
    CHECK(r.body() == "first");
    CHECK(service.take().body() == "second");
    CHECK(service.empty());
}

TEST_CASE("messages 3.4/8.3 moved mail: behind what is queued, before NAME_CHANGE and later mail") {
    Peers p;
    REQUIRE(p.service.match_all() == 0);
    REQUIRE(p.caller.send(Message(p.service.id(), 100)) == 0);
    REQUIRE(p.caller.send(Message(p.service.id(), 101)) == 0);
    // The order is that of sending, whatever the priorities.
    for (u64 i = 1; i <= 5; i++)
        REQUIRE(p.caller.send(mail(i).priority(static_cast<s64>(i % 3))) == 0);
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.caller.send(mail(6)) == 0);
    for (u64 cookie : {100, 101, 1, 2, 3, 4, 5})
        CHECK(p.service.take()->cookie == cookie);
    expect_name_notification(p.service, KDBUS_ITEM_NAME_CHANGE, p.activator.id(), in_charge,
                             p.service.id(), primary, name);
    CHECK(p.service.take()->cookie == 6);
    CHECK(p.service.empty());
    // Priorities move along.
    for (u64 i = 1; i <= 3; i++)
        REQUIRE(p.caller.send(mail(i).priority(-static_cast<s64>(i))) == 0);
    REQUIRE(p.service.release(name) == 0);
    CHECK(p.activator.take(KDBUS_RECV_USE_PRIORITY, -3)->cookie == 3);
    CHECK(p.activator.recv(KDBUS_RECV_USE_PRIORITY, -3).error == EAGAIN);
    CHECK(cookies(p.activator) == Cookies{1, 2});
}

TEST_CASE("messages 3.4 a moved message is the first holder's, byte for byte") {
    Bus bus;
    Connection caller = bus.connect({.description = "caller"}), service = bus.connect();
    Connection a = activate(bus, {.recv = known_attach_flags});
    REQUIRE(caller.acquire("the.caller") == 0);
    Fd memfd = make_memfd("in memory");
    REQUIRE(caller.send(mail(1).priority(-7).body("odd").hole(5).filler(5000).body("end")) == 0);
    REQUIRE(caller.send(mail(2)) == 0);
    const Received first = a.recv(KDBUS_RECV_PEEK);
    REQUIRE(first.error == 0);
    CHECK(first.find(KDBUS_ITEM_TIMESTAMP));
    CHECK(first.find(KDBUS_ITEM_CREDS));
    CHECK(first.find(KDBUS_ITEM_OWNED_NAME));
    // What would be seen now is not recomputed.
    REQUIRE(caller.release("the.caller") == 0);
    REQUIRE(service.acquire(name) == 0);
    const Received moved = service.take();
    CHECK(moved.slice == first.slice);
    CHECK(moved.cmd.msg.msg_size == first.cmd.msg.msg_size);
    CHECK(service.take()->cookie == 2);

    // The peeked copy stays as it is until it is freed.
    CHECK(std::memcmp(a.at(first.offset()), first.slice.data(), first.slice.size() * 8) == 0);
    REQUIRE(service.release(name) == 0);
    REQUIRE(caller.send(mail(3).filler(5000, 'y')) == 0);
    REQUIRE(a.take()->cookie == 3);
    CHECK(std::memcmp(a.at(first.offset()), first.slice.data(), first.slice.size() * 8) == 0);
    CHECK(a.free(first.offset()) == 0);
    CHECK(a.free(first.offset()) == ENXIO);

    // The other way: with what the owner asked for, to an activator that asked for all.
    REQUIRE(service.acquire(name) == 0);
    REQUIRE(caller.send(mail(4).memfd(memfd.get(), 0, 9)) == 0);
    REQUIRE(service.release(name) == 0);
    const Received back = a.take();
    CHECK(back.items().size() == 2);
    const auto fds = descriptors_of(back);
    REQUIRE(fds.size() == 1);
    CHECK(same_description(fds[0], memfd.get()));
    close_descriptors(back);
}

TEST_CASE("messages 6.3 a copy that was not peeked, or was freed before, leaves nothing to free") {
    Peers p;
    REQUIRE(p.caller.send(mail(1)) == 0);
    const Received peeked = p.activator.recv(KDBUS_RECV_PEEK);
    REQUIRE(peeked.error == 0);
    REQUIRE(p.activator.free(peeked.offset()) == 0);
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(p.activator.free(peeked.offset()) == ENXIO);
    CHECK(p.service.take()->cookie == 1);
}

TEST_CASE("messages 3.4 fds: moved to whom accepts them, else the message is lost and counted") {
    Bus bus;
    const u64 accept = KDBUS_HELLO_ACCEPT_FD;
    Connection caller = bus.connect(), with = bus.connect({.flags = accept}),
               without = bus.connect();
    Connection a = activate(bus, {.flags = accept});
    auto send_end = [&](u64 cookie) {
        Pipe pipe;
        must(caller.send(mail(cookie).fds({pipe.write.get()})) == 0, "SEND");
        return std::move(pipe.read);
    };
    auto is_closed = [](const Fd& fd) {
        pollfd f{fd.get(), POLLIN, 0};
        return ::poll(&f, 1, 0) == 1 && (f.revents & POLLHUP);
    };

    Fd end = send_end(1);
    REQUIRE(with.acquire(name) == 0);
    CHECK_FALSE(is_closed(end));
    const Received r = with.take();
    CHECK(r->cookie == 1);
    const auto fds = descriptors_of(r);
    REQUIRE(fds.size() == 1);
    CHECK(write(fds[0], "x", 1) == 1);
    close_descriptors(r);

    // Back to the activator.
    end = send_end(2);
    REQUIRE(with.release(name) == 0);
    CHECK_FALSE(is_closed(end));

    REQUIRE(caller.send(mail(3)) == 0);
    REQUIRE(without.acquire(name) == 0);
    CHECK(eventually([&] { return is_closed(end); }));
    const Received next = without.take();
    CHECK(next->cookie == 3);
    CHECK(next.cmd.dropped_msgs == 1);
    CHECK(next.cmd.return_flags == KDBUS_RECV_RETURN_DROPPED_MSGS);
    CHECK(without.empty());
    CHECK(dropped(a) == 0);

    // An activator that accepts none.
    Connection plain = activate(bus, {}, "another.name");
    REQUIRE(with.acquire("another.name") == 0);
    Pipe pipe;
    REQUIRE(caller.send(mail(4, 0, "another.name").fds({pipe.read.get()})) == 0);
    REQUIRE(with.release("another.name") == 0);
    CHECK(plain.readable());
    CHECK(dropped(plain) == 1);
    CHECK(plain.empty());
    CHECK(with.empty());
}

TEST_CASE(
    "messages 3.4/10.2 what exceeds the new holder's pool is lost and counted, in both ways") {
    Bus bus;
    Connection caller = bus.connect(), small = bus.connect({.pool_size = page}),
               large = bus.connect();
    Connection a = activate(bus);
    REQUIRE(caller.send(mail(1).filler(1000)) == 0);
    REQUIRE(caller.send(mail(2).filler(100)) == 0);
    REQUIRE(caller.send(mail(3).filler(1000)) == 0);
    REQUIRE(small.acquire(name) == 0);
    CHECK(small.readable());
    Received r = small.take();
    CHECK(r->cookie == 2);
    CHECK(r.cmd.dropped_msgs == 2);
    CHECK(small.empty());
    // The quota was given back at the activator: the rest of its pool is free again.
    REQUIRE(small.release(name) == 0);
    CHECK(caller.send(mail(4).filler(170'000)) == 0);
    CHECK(cookies(a) == Cookies{4});

    Connection tiny = activate(bus, {.pool_size = page}, "another.name");
    REQUIRE(large.acquire("another.name") == 0);
    REQUIRE(caller.send(mail(5, 0, "another.name").filler(1000)) == 0);
    REQUIRE(caller.send(mail(6, 0, "another.name").filler(100)) == 0);
    REQUIRE(large.release("another.name") == 0);
    r = tiny.take();
    CHECK(r->cookie == 6);
    CHECK(r.cmd.dropped_msgs == 1);
    CHECK(tiny.empty());
    CHECK(large.empty());
    CHECK(dropped(large) == 0);
}

TEST_CASE("messages 3.4/10.2 moved mail counts at its new holder, each sender's on its own") {
    Peers p;
    Connection other = connect_as(p.bus, 1000);
    Connection a = activate(p.bus, {.grants = {for_world(KDBUS_POLICY_TALK)}}, "another.name");
    for (u64 i = 0; i < 250; i++)
        REQUIRE(p.caller.send(Message(p.service.id(), 1000 + i)) == 0);
    for (u64 i = 0; i < 10; i++) {
        REQUIRE(p.caller.send(mail(i, 0, "another.name")) == 0);
        REQUIRE(other.send(mail(100 + i, 0, "another.name")) == 0);
    }
    REQUIRE(p.service.acquire("another.name") == 0);
    CHECK(p.caller.send(Message(p.service.id())) == ENOBUFS);
    CHECK(dropped(p.service) == 4);
    const Cookies all = cookies(p.service);
    REQUIRE(all.size() == 266);
    CHECK(Cookies(all.begin() + 250, all.end()) ==
          Cookies{0, 100, 1, 101, 2, 102, 3, 103, 4, 104, 5, 105, 106, 107, 108, 109});
    // An activator's own quota is that of anybody.
    REQUIRE(p.service.release("another.name") == 0);
    for (u64 i = 0; i < 256; i++)
        REQUIRE(p.caller.send(mail(i, 0, "another.name")) == 0);
    CHECK(p.caller.send(mail(256, 0, "another.name")) == ENOBUFS);
    CHECK(other.send(mail(257, 0, "another.name")) == 0);
}

TEST_CASE("messages 3.4 a send that has yet to finish costs no mail that moves") {
    const bool by_closing = GENERATE(false, true);
    const bool with_bytes = GENERATE(false, true);
    const bool finishes_late = GENERATE(false, true);
    CAPTURE(by_closing, with_bytes, finishes_late);
    std::future<int> unfinished;
    SlowPage memory;
    Bus bus;
    Connection a = activate(bus), service = bus.connect(), next = bus.connect();
    Connection caller = bus.connect(), slow = bus.connect();
    unfinished = std::async(std::launch::async, [&] {
        Message m = mail(1000);
        m.vec(memory.address(), page);
        return slow.send(m);
    });
    REQUIRE(memory.wanted());
    REQUIRE(service.acquire(name) == 0);
    // As much as a user may have unread.
    const auto fill = [&] {
        u64 n = 0;
        int error;
        while ((error = caller.send(mail(n).filler(with_bytes ? page : 8))) == 0)
            n++;
        CHECK(error == ENOBUFS);
        return n;
    };
    const u64 n = fill();
    CHECK((with_bytes ? n < 256 : n == 256));
    if (by_closing)
        service.close();
    else
        REQUIRE(service.release(name) == 0);
    CHECK(dropped(a) == 0);
    // There is no room for it any more, and its sender can still be told.
    if (!finishes_late) {
        memory.fill('x');
        CHECK(unfinished.get() == ENOBUFS);
    }
    REQUIRE(next.acquire(name) == 0);
    CHECK(dropped(next) == 0);
    Cookies wanted(n);
    std::iota(wanted.begin(), wanted.end(), 0);
    CHECK(cookies(next) == wanted);
    if (finishes_late) {
        memory.fill('x');
        CHECK(unfinished.get() == 0);
        CHECK(next.take()->cookie == 1000);
    }
    // Nothing stays charged.
    CHECK(fill() == n);
    REQUIRE(next.release(name) == 0);
    CHECK(dropped(a) == 0);
    CHECK(cookies(a) == wanted);
    CHECK(fill() == n);
}

TEST_CASE("messages 3.4 open calls are expected from the new owner") {
    Peers p;
    REQUIRE(p.caller.send(request(1)) == 0);
    auto sync = call_by(p.caller, 2);
    await_call(p.activator);
    CHECK(p.reply(p.service, 1) == EBADSLT);
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(cookies(p.service) == Cookies{1, 2});
    Connection third = p.bus.connect();
    CHECK(p.reply(third, 1) == EBADSLT);
    CHECK(p.reply(p.service, 2) == 0);
    const Received r = sync.get();
    REQUIRE(r.error == 0);
    CHECK(r->src_id == p.service.id());
    CHECK(r->cookie_reply == 2);
    CHECK(p.reply(p.service, 1) == 0);
    CHECK(p.caller.take()->cookie_reply == 1);
    CHECK(p.reply(p.service, 1) == EBADSLT);
    // The activator's end concerns nobody any more.
    p.activator.close();
    CHECK(p.caller.empty());
}

TEST_CASE("messages 3.4, abi 9.5 release: mail to the name goes back, other mail stays") {
    Peers p;
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.service.acquire("other.name") == 0);
    REQUIRE(p.caller.send(mail(1)) == 0);
    REQUIRE(p.caller.send(Message(p.service.id(), 2)) == 0);
    REQUIRE(p.caller.send(mail(3, 0, "other.name")) == 0);
    REQUIRE(p.caller.send(mail(4, p.service.id())) == 0);
    REQUIRE(p.caller.send(mail(5)) == 0);
    drain(p.observer);
    REQUIRE(p.service.release(name) == 0);
    CHECK(p.activator.readable());
    REQUIRE(p.caller.send(mail(6)) == 0);
    CHECK(cookies(p.activator) == Cookies{1, 4, 5, 6});
    CHECK(cookies(p.service) == Cookies{2, 3});
    p.changed(KDBUS_ITEM_NAME_CHANGE, p.service.id(), primary, p.activator.id(), in_charge);
    p.quiet();
}

TEST_CASE("messages 3.4 mail to the name goes back, too, if the name was away meanwhile") {
    Bus bus;
    Connection caller = bus.connect(), service = bus.connect();
    REQUIRE(service.acquire(name) == 0);
    REQUIRE(caller.send(mail(1)) == 0);
    REQUIRE(caller.send(request(2)) == 0);
    REQUIRE(service.release(name) == 0);
    REQUIRE(service.acquire(name) == 0);
    REQUIRE(caller.send(mail(3)) == 0);
    Connection activator = activate(bus);
    REQUIRE(service.release(name) == 0);
    CHECK(cookies(activator) == Cookies{1, 2, 3});
    CHECK(service.empty());
    // The call is its, too.
    CHECK(service.send(reply_to(caller.id(), 2)) == EBADSLT);
}

TEST_CASE("messages 3.4 a peeked message goes back, too; the owner's copy stays until FREE") {
    Peers p;
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.caller.send(mail(1).body("content")) == 0);
    const Received peeked = p.service.recv(KDBUS_RECV_PEEK);
    REQUIRE(peeked.error == 0);
    REQUIRE(p.service.release(name) == 0);
    CHECK(p.service.empty());
    const Received moved = p.activator.take();
    CHECK(moved.slice == peeked.slice);
    CHECK(p.service.free(peeked.offset()) == 0);
    CHECK(p.service.free(peeked.offset()) == ENXIO);
    CHECK(p.service.bye() == 0);
}

TEST_CASE("messages 3.4/13.54 open calls by name go back, also those already read") {
    Peers p;
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.caller.send(request(1)) == 0);
    REQUIRE(p.caller.send(request(2)) == 0);
    REQUIRE(p.caller.send(Message(p.service.id(), 3).call(in_ms(60'000))) == 0);
    CHECK(p.service.take()->cookie == 1);
    REQUIRE(p.service.release(name) == 0);
    // The old owner is late.
    CHECK(p.reply(p.service, 1) == EBADSLT);
    CHECK(p.reply(p.service, 2) == EBADSLT);
    CHECK(p.reply(p.service, 3) == 0);
    CHECK(p.caller.take()->cookie_reply == 3);
    CHECK(cookies(p.service) == Cookies{3});
    // The next owner answers both.
    Connection next = p.bus.connect();
    REQUIRE(next.acquire(name) == 0);
    CHECK(cookies(next) == Cookies{2});
    CHECK(p.reply(next, 2) == 0);
    CHECK(p.reply(next, 1) == 0);
    CHECK(p.caller.take()->cookie_reply == 2);
    CHECK(p.caller.take()->cookie_reply == 1);
    CHECK(p.caller.empty());
}

TEST_CASE("messages 3.4 calls that went back: neither the old owner's death nor a timer doubles") {
    Peers p;
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.caller.send(request(1)) == 0);
    REQUIRE(p.caller.send(request(2)) == 0);
    // Long enough to survive the steps below, even on a slow machine.
    REQUIRE(p.caller.send(request(3, 1500)) == 0);
    auto sync = call_by(p.caller, 4);
    await_call(p.service);
    CHECK(cookies(p.service) == Cookies{1, 2, 3, 4});
    REQUIRE(p.service.release(name) == 0);
    p.service.close();
    REQUIRE(p.caller.readable(20'000));
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, 3);
    CHECK(p.caller.empty());
    CHECK(sync.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
    p.activator.close();
    CHECK(sync.get().error == EPIPE);
    expect_dead_calls(p.caller, {1, 2});
    CHECK(p.caller.empty());
}

TEST_CASE("messages 3.4/8.3 the owner disconnects: mail goes back, only calls by id die") {
    Peers p;
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.caller.send(request(1)) == 0);
    REQUIRE(p.caller.send(Message(p.service.id(), 2).call(in_ms(60'000))) == 0);
    REQUIRE(p.caller.send(request(3)) == 0);
    REQUIRE(p.caller.send(mail(4)) == 0);
    CHECK(p.service.take()->cookie == 1);
    REQUIRE(p.caller.match_all() == 0);
    const u64 id = p.service.id();
    p.service.close();
    expect_name_notification(p.caller, KDBUS_ITEM_NAME_CHANGE, id, primary, p.activator.id(),
                             in_charge, name);
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_DEAD, 2);
    expect_id_notification(p.caller, KDBUS_ITEM_ID_REMOVE, id, 0);
    CHECK(p.caller.empty());
    CHECK(cookies(p.activator) == Cookies{3, 4});
    Connection next = p.bus.connect();
    REQUIRE(next.acquire(name) == 0);
    CHECK(p.reply(next, 1) == 0);
    CHECK(p.reply(next, 3) == 0);
}

TEST_CASE("messages 3.4 BYEBYE with mail to the name: EBUSY; after a release it passes") {
    Peers p;
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.caller.send(mail(1)) == 0);
    CHECK(p.service.bye() == EBUSY);
    CHECK(owner_of(p.caller) == p.service.id());
    REQUIRE(p.service.release(name) == 0);
    CHECK(p.service.bye() == 0);
    CHECK(cookies(p.activator) == Cookies{1});
}

TEST_CASE(
    "messages 3.4 nothing moves while another owner is queued, or when one replaces another") {
    Peers p;
    Connection waiter = p.bus.connect();
    REQUIRE(p.service.acquire(name, allow) == 0);
    const bool by_release = GENERATE(true, false);
    if (by_release)
        REQUIRE(waiter.acquire(name, queue) == 0);
    REQUIRE(p.caller.send(mail(1)) == 0);
    REQUIRE(p.caller.send(request(2)) == 0);
    REQUIRE(p.caller.send(request(3)) == 0);
    CHECK(p.service.take()->cookie == 1);
    if (by_release)
        REQUIRE(p.service.release(name) == 0);
    else
        REQUIRE(waiter.acquire(name, replace) == 0);
    CHECK(owner_of(p.caller) == waiter.id());
    CHECK(waiter.empty());
    CHECK(p.activator.empty());
    CHECK(p.service.take()->cookie == 2);
    CHECK(p.reply(waiter, 2) == EBADSLT);
    CHECK(p.reply(p.service, 2) == 0);
    CHECK(p.caller.take()->cookie_reply == 2);
    // Nor are they moved when the next one gives the name up.
    REQUIRE(waiter.release(name) == 0);
    CHECK(p.activator.empty());
    CHECK(p.reply(p.service, 3) == 0);
    CHECK(cookies(p.service) == Cookies{3});
}

TEST_CASE("messages 3.4 an activator's end in charge: each call is answered once") {
    Peers p;
    REQUIRE(p.caller.send(request(1)) == 0);
    REQUIRE(p.caller.send(mail(2)) == 0);
    REQUIRE(p.caller.send(request(3)) == 0);
    auto sync = call_by(p.caller, 4);
    await_call(p.activator);
    // Also one that was read.
    CHECK(p.activator.take()->cookie == 1);
    REQUIRE(p.caller.match_all() == 0);
    const u64 id = p.activator.id();
    p.activator.close();
    expect_name_notification(p.caller, KDBUS_ITEM_NAME_REMOVE, id, in_charge, 0, 0, name);
    expect_dead_calls(p.caller, {1, 3});
    expect_id_notification(p.caller, KDBUS_ITEM_ID_REMOVE, id, KDBUS_HELLO_ACTIVATOR);
    CHECK(p.caller.empty());
    CHECK(sync.get().error == EPIPE);
}

TEST_CASE("messages 3.4 an activator's end behind an owner: no effect on traffic") {
    Peers p;
    REQUIRE(p.caller.send(request(1)) == 0);
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.caller.send(request(2)) == 0);
    drain(p.observer);
    const u64 id = p.activator.id();
    p.activator.close();
    expect_id_notification(p.observer, KDBUS_ITEM_ID_REMOVE, id, KDBUS_HELLO_ACTIVATOR);
    p.quiet();
    CHECK(p.caller.empty());
    CHECK(cookies(p.service) == Cookies{1, 2});
    CHECK(p.reply(p.service, 1) == 0);
    // Without an activator the name ends, and calls stay where they are.
    REQUIRE(p.service.release(name) == 0);
    p.changed(KDBUS_ITEM_NAME_REMOVE, p.service.id(), primary, 0, 0);
    CHECK(p.reply(p.service, 2) == 0);
}

TEST_CASE("messages 4.3/13.30 an activator drops a call: the caller is told at once") {
    Peers p;
    REQUIRE(p.caller.send(request(1)) == 0);
    CHECK(p.activator.recv(KDBUS_RECV_DROP).error == 0);
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_DEAD, 1);
    auto sync = call_by(p.caller, 2);
    await_call(p.activator);
    CHECK(p.activator.recv(KDBUS_RECV_DROP).error == 0);
    CHECK(sync.get().error == EPIPE);
    CHECK(p.caller.empty());
    CHECK(p.activator.empty());
    // A moved call is its new holder's to drop, in both directions.
    REQUIRE(p.caller.send(request(3)) == 0);
    REQUIRE(p.caller.send(request(4)) == 0);
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(p.service.recv(KDBUS_RECV_DROP).error == 0);
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_DEAD, 3);
    REQUIRE(p.service.release(name) == 0);
    CHECK(p.activator.recv(KDBUS_RECV_DROP).error == 0);
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_DEAD, 4);
    CHECK(p.caller.empty());
}

TEST_CASE("messages 3.4 a moved call that is lost stays open until its new holder ends") {
    Bus bus;
    Connection caller = bus.connect(), service = bus.connect();
    Connection a = activate(bus, {.flags = KDBUS_HELLO_ACCEPT_FD});
    Pipe pipe;
    REQUIRE(caller.send(request(1).fds({pipe.read.get()})) == 0);
    REQUIRE(caller.send(request(2).fds({pipe.read.get()})) == 0);
    REQUIRE(caller.send(request(3, 300).fds({pipe.read.get()})) == 0);
    REQUIRE(service.acquire(name) == 0);
    CHECK(dropped(service) == 3);
    CHECK(service.empty());
    // Until its deadline, too.
    REQUIRE(caller.readable(10'000));
    expect_reply_notification(caller, KDBUS_ITEM_REPLY_TIMEOUT, 3);
    CHECK(caller.empty());
    CHECK(service.send(reply_to(caller.id(), 2)) == 0);
    CHECK(caller.take()->cookie_reply == 2);
    a.close();
    CHECK(caller.empty());
    service.close();
    expect_reply_notification(caller, KDBUS_ITEM_REPLY_DEAD, 1);
    CHECK(caller.empty());
}

TEST_CASE("messages 3.4 the new owner's own call keeps its slot at the previous holder") {
    Peers p;
    REQUIRE(p.service.send(request(1)) == 0);
    REQUIRE(p.caller.send(request(2)) == 0);
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(cookies(p.service) == Cookies{1, 2});
    CHECK(p.service.send(reply_to(p.service.id(), 1)) == EBADSLT);
    CHECK(p.reply(p.service, 2) == 0);
    p.activator.close();
    expect_reply_notification(p.service, KDBUS_ITEM_REPLY_DEAD, 1);
    CHECK(p.service.empty());
}

TEST_CASE("messages 4.1 a call at an activator counts until it is neither open nor unread") {
    Peers p;
    for (u64 i = 1; i <= 128; i++)
        REQUIRE(p.caller.send(request(i)) == 0);
    CHECK(p.caller.send(request(129)) == EMLINK);
    REQUIRE(p.service.acquire(name) == 0);
    CHECK(p.caller.send(request(129)) == EMLINK);
    // Answered but unread.
    CHECK(p.reply(p.service, 1) == 0);
    CHECK(p.caller.send(request(129)) == EMLINK);
    CHECK(p.service.take()->cookie == 1);
    CHECK(p.caller.send(request(129)) == 0);
    CHECK(p.caller.send(request(130)) == EMLINK);
    // Read but not answered, then back at the activator.
    CHECK(p.service.take()->cookie == 2);
    REQUIRE(p.service.release(name) == 0);
    CHECK(p.caller.send(request(130)) == EMLINK);
    CHECK(p.activator.recv(KDBUS_RECV_DROP).error == 0);
    CHECK(p.caller.send(request(130)) == 0);
    CHECK(p.caller.send(request(131)) == EMLINK);
}

TEST_CASE("messages 3.4 several activators of one owner: each name's mail finds its way back") {
    Bus bus;
    Connection caller = bus.connect(), service = bus.connect();
    std::vector<Connection> activators;
    const std::vector<std::string> names{"a.one", "a.two", "a.three"};
    for (const std::string& n : names)
        activators.push_back(activate(bus, {}, n));
    for (u64 i = 0; i < 12; i++)
        REQUIRE(caller.send(mail(i, 0, names[i % 3])) == 0);
    for (const std::string& n : names)
        REQUIRE(service.acquire(n) == 0);
    for (u64 i = 12; i < 18; i++)
        REQUIRE(caller.send(mail(i, 0, names[i % 3])) == 0);
    REQUIRE(service.release(names[1]) == 0);
    CHECK(cookies(activators[1]) == Cookies{1, 4, 7, 10, 13, 16});
    // The others at its end.
    service.close();
    CHECK(cookies(activators[0]) == Cookies{0, 3, 6, 9, 12, 15});
    CHECK(cookies(activators[2]) == Cookies{2, 5, 8, 11, 14, 17});
}

TEST_CASE("messages 13.28 an activator made by a child that is gone") {
    Bus bus;
    Connection caller = bus.connect(), service = bus.connect();
    Fd fd = bus.open();
    HelloOptions options{.flags = KDBUS_HELLO_ACTIVATOR, .recv = KDBUS_ATTACH_PIDS, .name = name};
    REQUIRE(in_child([&] {
                auto c = hello_command(options);
                return command(fd.get(), KDBUS_CMD_HELLO, c.address());
            }) == 0);
    const u64 id = owner_of(caller);
    REQUIRE(id != 0);
    REQUIRE(caller.send(mail(1)) == 0);
    // 13.29: for what it asks for, POLLIN comes alone.
    pollfd p{fd.get(), POLLIN, 0};
    CHECK(::poll(&p, 1, 0) == 1);
    CHECK(p.revents == POLLIN);
    Command<kdbus_cmd_recv> recv;
    recv->flags = KDBUS_RECV_PEEK;
    REQUIRE(command(fd.get(), KDBUS_CMD_RECV, recv.address()) == 0);
    REQUIRE(service.acquire(name) == 0);
    const Received r = service.take();
    CHECK(r->cookie == 1);
    // Numbers of the namespace of the task that is gone.
    CHECK(r.get(KDBUS_ITEM_PIDS).word(0) == static_cast<u64>(getpid()));
    REQUIRE(service.release(name) == 0);
    CHECK(owner_of(caller) == id);
    fd.reset();
    CHECK(owner_of(caller) == 0);
}

TEST_CASE(
    "messages 13.31-32 a match for NAME_CHANGE of the name sees hand-overs, one for NAME_ADD not") {
    Peers p;
    auto subscribe = [&](const Connection& c, u64 type) {
        Command<kdbus_cmd_match> m;
        std::vector<std::uint8_t> rule(32 + name.size() + 1);
        const u64 head[4] = {KDBUS_MATCH_ID_ANY, 0, KDBUS_MATCH_ID_ANY, 0};
        std::memcpy(rule.data(), head, 32);
        std::memcpy(rule.data() + 32, name.c_str(), name.size() + 1);
        m.item(type, rule.data(), rule.size());
        REQUIRE(c.match(m) == 0);
    };
    Connection add_remove = p.bus.connect();
    subscribe(p.caller, KDBUS_ITEM_NAME_CHANGE);
    subscribe(add_remove, KDBUS_ITEM_NAME_ADD);
    subscribe(add_remove, KDBUS_ITEM_NAME_REMOVE);
    REQUIRE(p.service.acquire(name) == 0);
    REQUIRE(p.service.release(name) == 0);
    expect_name_notification(p.caller, KDBUS_ITEM_NAME_CHANGE, p.activator.id(), in_charge,
                             p.service.id(), primary, name);
    expect_name_notification(p.caller, KDBUS_ITEM_NAME_CHANGE, p.service.id(), primary,
                             p.activator.id(), in_charge, name);
    CHECK(p.caller.empty());
    CHECK(add_remove.empty());
}

TEST_CASE("abi 9.6 the bus ends with activators, owners and open calls") {
    Peers p;
    REQUIRE(p.caller.send(request(1)) == 0);
    auto sync = call_by(p.caller, 2);
    await_call(p.activator);
    REQUIRE(p.service.acquire(name) == 0);
    p.bus.close();
    CHECK(sync.get().error == ECONNRESET);
    CHECK(p.activator.recv().error == ECONNRESET);
    CHECK(p.service.recv().error == ECONNRESET);
}

// Tells threads to end, whatever happens, before they are waited for.
struct Stop {
    std::atomic<bool>& flag;
    ~Stop() { flag = true; }
};

// Whoever holds the name is read here, so what arrives must be each sender's numbers in order.
TEST_CASE("messages 12.7 mail while the name moves to and fro: nothing lost, doubled, reordered") {
    constexpr u64 enough = 1500;
    constexpr std::size_t n_senders = 3;
    Bus bus;
    const bool by_closing = GENERATE(false, true);
    CAPTURE(by_closing);
    Connection a = activate(bus), service = bus.connect();
    std::vector<Connection> connections;
    for (std::size_t i = 0; i < n_senders; i++)
        connections.push_back(bus.connect());
    std::atomic<bool> stop = false;
    std::vector<std::future<u64>> senders;
    Stop at_end{stop};
    for (const Connection& c : connections) {
        senders.push_back(std::async(std::launch::async, [&c, &stop] {
            u64 sent = 0;
            while (!stop && sent < enough) {
                const int error = c.send(mail(sent).filler(sent % 100 + 1));
                // The activator takes what comes too late for a holder that goes.
                must(error == 0 || error == ENOBUFS, "SEND", error);
                if (error == 0)
                    sent++;
                else
                    sleep_ms(1);
            }
            return sent;
        }));
    }
    std::map<u64, u64> next;
    u64 received = 0, lost = 0, wrong = 0;
    auto read = [&](const Connection& c, u64 at_most) {
        for (u64 i = 0; i < at_most; i++) {
            const Received r = c.recv();
            lost += r.cmd.dropped_msgs;
            if (r.error == EAGAIN)
                return;
            must(r.error == 0, "RECV", r.error);
            wrong += next[r->src_id]++ != r->cookie;
            received++;
            must(c.free(r.offset()) == 0, "FREE");
        }
    };
    const u64 end = in_ms(15'000);
    for (u64 round = 0; received < enough * n_senders && wrong == 0 && now_ns() < end; round++) {
        if (round % 2 == 0)
            a.readable(20);
        read(a, round % 7);
        REQUIRE(service.acquire(name) == 0);
        if (round % 3 == 0)
            service.readable(20);
        read(service, round % 11 * 4);
        if (by_closing) {
            service.close();
            service = bus.connect();
        } else {
            REQUIRE(service.release(name) == 0);
        }
        CHECK(service.empty());
    }
    stop = true;
    u64 sent = 0;
    for (auto& s : senders)
        sent += s.get();
    read(a, ~u64{0});
    CHECK(wrong == 0);
    CHECK(lost == 0);
    CHECK(received == sent);
}

TEST_CASE("messages 3.4/12.7 every synchronous call is answered while the name moves to and fro") {
    constexpr u64 enough = 100;
    constexpr u64 n_callers = 3;
    Bus bus;
    Connection a = activate(bus), service = bus.connect();
    std::vector<Connection> connections;
    for (u64 i = 0; i < n_callers; i++)
        connections.push_back(bus.connect());
    std::atomic<u64> finished = 0;
    std::atomic<bool> stop = false;
    std::vector<std::future<u64>> callers;
    Stop at_end{stop};
    for (const Connection& c : connections) {
        callers.push_back(std::async(std::launch::async, [&c, &finished, &stop] {
            u64 failures = 0;
            for (u64 i = 1; i <= enough && !stop; i++) {
                const Received r = c.call(request(i));
                failures += r.error != 0 || r->cookie_reply != i;
            }
            finished++;
            return failures;
        }));
    }
    // Some calls are answered where they were read, some by a later owner, some are moved unread.
    std::vector<std::pair<u64, u64>> owed;
    const u64 end = in_ms(15'000);
    u64 late = 0;
    for (u64 round = 0; finished < n_callers; round++) {
        if (now_ns() > end)
            stop = true;
        REQUIRE(service.acquire(name) == 0);
        for (const auto& [caller, cookie] : owed)
            REQUIRE(service.send(reply_to(caller, cookie)) == 0);
        owed.clear();
        if (round % 2 == 0)
            service.readable(20);
        for (u64 i = 0; i < round % 4; i++) {
            const Received r = service.recv();
            if (r.error == EAGAIN)
                break;
            REQUIRE(r.error == 0);
            REQUIRE(service.free(r.offset()) == 0);
            if (i == 2)
                owed.emplace_back(r->src_id, r->cookie);
            else
                REQUIRE(service.send(reply_to(r->src_id, r->cookie)) == 0);
        }
        REQUIRE(service.release(name) == 0);
        for (const auto& [caller, cookie] : owed)
            late += service.send(reply_to(caller, cookie)) != EBADSLT;
    }
    CHECK(late == 0);
    for (auto& c : callers)
        CHECK(c.get() == 0);
    CHECK(service.empty());
    CHECK(a.empty());
}
