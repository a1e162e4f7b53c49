// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 11 (policy) in both databases, with the rows of 5.3, 6.3, 6.8, 6.10 and 13 that rest on
// it, and messages.md 3.2 and 7.2 as far as they need policy entries.
#include "support.hpp"

#include <atomic>
#include <sched.h>

using namespace test;

namespace {

constexpr u64 see = KDBUS_POLICY_SEE, talk = KDBUS_POLICY_TALK, own = KDBUS_POLICY_OWN;
constexpr u64 primary = KDBUS_NAME_PRIMARY;
constexpr uid_t nobody = 5000; // never granted anything

Message unicast_signal(u64 id) {
    Message m(id);
    m.flags(KDBUS_MSG_SIGNAL).bloom(0, {0});
    return m;
}

// 11.2 in the plainest way: the level that a list of grants gives, -1 for none.
int level(const Grants& grants, const Identity& who) {
    int best = -1;
    for (const kdbus_policy_access& g : grants) {
        bool applies = g.type == KDBUS_POLICY_ACCESS_WORLD;
        if (g.type == KDBUS_POLICY_ACCESS_USER)
            applies = g.id == who.euid;
        if (g.type == KDBUS_POLICY_ACCESS_GROUP)
            applies = g.id == who.egid ||
                      std::count(who.groups.begin(), who.groups.end(), gid_t(g.id)) > 0;
        if (applies)
            best = std::max(best, static_cast<int>(g.access));
    }
    return best;
}

std::string text_of(const Grants& grants) {
    std::string text;
    for (const kdbus_policy_access& g : grants)
        text += std::string(1, " UGW"[g.type]) + "STO"[g.access] + std::to_string(g.id) + " ";
    return text;
}

const Identity identities[] = {
    {1000},                                 // the user, and a group of the same number
    {1001},                                 // somebody else
    {1000, 1001, 1001, 1001},               // the real uid does not count
    {1001, 1000, 1001, 1001},               // the effective one does
    {1001, 1001, 1000, 1001},               // nor the real gid
    {1001, 1001, 1001, 1000},               // but the effective one
    {1001, 1001, 1001, 1001, {7, 1000, 8}}, // and supplementary groups
    {1001, 1001, 1001, 1001, {7, 8, 1000}},
    {1001, 1001, 1001, 1001, {7, 8}},
};

std::vector<Grants> grant_lists() {
    std::vector<Grants> lists = {{}};
    for (u64 a : {see, talk, own}) {
        lists.push_back({for_user(1000, a)});
        lists.push_back({for_group(1000, a)});
        lists.push_back({for_world(a)});
        lists.push_back({for_user(2000, a), for_group(2000, a)});
        for (u64 b : {see, talk, own}) {
            lists.push_back({for_user(1000, a), for_group(1000, b)});
            lists.push_back({for_world(a), for_user(1000, b)});
            lists.push_back({for_group(1000, a), for_world(b)});
            lists.push_back({for_user(1000, a), for_user(1000, b)});
        }
    }
    lists.push_back({for_user(1001, see), for_world(talk), for_group(1000, own)});
    lists.push_back({for_group(8, talk), for_group(7, see), for_user(1000, own)});
    // 13.36: in the middle of a long list.
    Grants many;
    for (u64 id = 30'000; id < 30'300; id++) {
        many.push_back(id % 2 ? for_user(id, own) : for_group(id, own));
        if (id == 30'150)
            many.push_back(for_user(1000, own));
    }
    lists.push_back(many);
    return lists;
}

// A database under test: the bus's, filled by a policy holder; or an endpoint's over a bus that
// grants everything.
struct Database {
    bool custom;
    Bus bus{};
    Connection holder = hold(bus, "a.b", {for_world(own)});
    std::optional<Endpoint> endpoint{};

    explicit Database(bool is_custom) : custom(is_custom) {
        if (custom)
            endpoint.emplace(bus);
    }
    Connection connect(const Identity& who) const {
        return custom ? connect_as(*endpoint, who) : connect_as(bus, who);
    }
    void set(const Grants& grants) const {
        Plain c = policy_command({{"a.b", grants}});
        must((custom ? endpoint->update(c) : holder.run(KDBUS_CMD_UPDATE, c.address())) == 0,
             "new policy");
    }
};

int update(const Connection& holder, const std::vector<Entry>& entries) {
    Plain c = policy_command(entries);
    return holder.run(KDBUS_CMD_UPDATE, c.address());
}

// Whether LIST shows this name.
bool listed(const Connection& c, const std::string& name) {
    for (const Info& record : c.list(KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED | KDBUS_LIST_ACTIVATORS))
        for (const Item& item : record.items())
            if (item.text(8) == name)
                return true;
    return false;
}

int send_as(const Identity& who, const Connection& c, Message m) {
    return as(who, [&] { return c.send(m); });
}

int acquire_as(const Identity& who, const Connection& c, const std::string& name, u64 flags = 0) {
    return as(who, [&] { return c.acquire(name, flags); });
}

const Grants anybody_talks = {for_world(talk)}, anybody_owns = {for_world(own)};

} // namespace

TEST_CASE("abi 11.2/13.36 who may own and talk: users, groups, world; the highest access wins") {
    for (bool custom : {false, true}) {
        Database db(custom);
        Connection caller = db.connect(nobody), target = db.bus.connect();
        for (const Grants& grants : grant_lists()) {
            db.set(grants);
            for (const Identity& who : identities) {
                const int expected = level(grants, who);
                CAPTURE(custom, text_of(grants), who.uid, who.euid, who.gid, who.egid,
                        who.groups.size());
                CHECK(acquire_as(who, caller, "a.b") == (expected >= 2 ? 0 : EPERM));
                caller.release("a.b");
                REQUIRE(target.acquire("a.b") == 0);
                const int sent = send_as(who, caller, Message(target.id()));
                CHECK(sent == (expected >= 1 ? 0 : EPERM));
                CHECK(send_as(who, caller, Message(0).to("a.b").call(in_ms(600'000))) == sent);
                CHECK(drain(target) == (sent == 0 ? 2 : 0));
                // Answered, so that the calls do not add up.
                if (sent == 0)
                    CHECK(target.send(reply_to(caller.id(), 1)) == 0);
                drain(caller);
                REQUIRE(target.release("a.b") == 0);
            }
        }
    }
}

TEST_CASE("abi 11.2/11.3 whose signals reach whom: the receiver's rights, as it was opened") {
    for (bool custom : {false, true}) {
        Database db(custom);
        Connection sender = db.bus.connect();
        REQUIRE(sender.acquire("a.b") == 0);
        std::vector<std::pair<Identity, Connection>> receivers;
        for (const Identity& who : identities) {
            receivers.emplace_back(who, db.connect(who));
            Command<kdbus_cmd_match> signals;
            signals.word(KDBUS_ITEM_ID, KDBUS_MATCH_ID_ANY);
            REQUIRE(receivers.back().second.match(signals) == 0);
        }
        for (const Grants& grants : grant_lists()) {
            db.set(grants);
            // Whoever sends.
            REQUIRE(send_as(nobody, sender, broadcast()) == 0);
            for (const auto& [who, receiver] : receivers) {
                const bool expected = level(grants, who) >= 1;
                CAPTURE(custom, text_of(grants), who.uid, who.euid, who.gid, who.egid,
                        who.groups.size());
                CHECK(drain(receiver) == (expected ? 1 : 0));
                REQUIRE(sender.send(unicast_signal(receiver.id())) == 0);
                CHECK(drain(receiver) == (expected ? 1 : 0));
            }
        }
    }
}

TEST_CASE("abi 11.2/11.3 who sees a name and its owner through a custom endpoint") {
    Database db(true);
    Connection caller = db.connect(nobody), owner = db.bus.connect();
    std::vector<std::pair<Identity, Connection>> watchers;
    for (const Identity& who : identities) {
        watchers.emplace_back(who, db.connect(who));
        Command<kdbus_cmd_match> names;
        names.item(KDBUS_ITEM_NAME_ADD, std::vector<u64>{0, 0, all_ones, 0}.data(), 32);
        REQUIRE(watchers.back().second.match(names) == 0);
    }
    for (const Grants& grants : grant_lists()) {
        db.set(grants);
        REQUIRE(owner.acquire("a.b") == 0);
        for (const auto& [who, watcher] : watchers) {
            const bool visible = level(grants, who) >= 0;
            CAPTURE(text_of(grants), who.uid, who.euid, who.gid, who.egid, who.groups.size());
            // CONN_INFO and LIST go by who calls, notifications by who opened.
            as(who, [&] {
                CHECK(caller.info(0, 0, "a.b").error == (visible ? 0 : ESRCH));
                CHECK(caller.info(owner.id(), 0, "a.b").error == (visible ? 0 : ESRCH));
                CHECK(caller.info(owner.id()).error == (visible ? 0 : ENXIO));
                CHECK(listed(caller, "a.b") == visible);
            });
            CHECK(drain(watcher) == (visible ? 1 : 0));
        }
        REQUIRE(owner.release("a.b") == 0);
    }
}

TEST_CASE("abi 11.1 without an entry: no access") {
    Bus bus;
    Endpoint endpoint(bus);
    const Connection holders[] = {hold(bus, "a.b", anybody_owns), hold(bus, "a.c", anybody_owns)};
    Connection outside = connect_as(bus, 1000), inside = connect_as(endpoint, 1000),
               target = bus.connect();
    CHECK(acquire_as(1000, outside, "a.d") == EPERM);
    CHECK(acquire_as(1000, inside, "a.b") == EPERM);
    REQUIRE(target.acquire("a.d") == 0);
    CHECK(send_as(1000, outside, Message(target.id())) == EPERM);
    REQUIRE(target.acquire("a.b") == 0);
    CHECK(send_as(1000, outside, Message(target.id())) == 0);
    CHECK(send_as(1000, inside, Message(target.id())) == EPERM);
    // Other names' entries give nothing.
    REQUIRE(endpoint.update({{"a.c", anybody_owns}}) == 0);
    CHECK(send_as(1000, inside, Message(target.id())) == EPERM);
    CHECK(acquire_as(1000, inside, "a.b") == EPERM);
}

TEST_CASE("abi 11.1/11.3 both databases must agree on a custom endpoint, each by its level") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection holder = hold(bus, "a.b"), target = bus.connect();
    for (uid_t uid : {0u, 1000u}) {
        Connection inside = connect_as(endpoint, uid);
        for (const Grants& bus_grants :
             {Grants{}, Grants{for_world(see)}, Grants{for_world(talk)}, Grants{for_world(own)}}) {
            for (const Grants& endpoint_grants :
                 {Grants{}, Grants{for_world(see)}, Grants{for_world(talk)},
                  Grants{for_world(own)}}) {
                REQUIRE(update(holder, {{"a.b", bus_grants}}) == 0);
                REQUIRE(endpoint.update({{"a.b", endpoint_grants}}) == 0);
                const int lower = std::min(level(bus_grants, uid), level(endpoint_grants, uid));
                CAPTURE(uid, text_of(bus_grants), text_of(endpoint_grants));
                // Being root, who made the bus, replaces neither half for a name.
                CHECK(acquire_as(uid, inside, "a.b") == (lower >= 2 ? 0 : EPERM));
                inside.release("a.b");
                REQUIRE(target.acquire("a.b") == 0);
                // The target is root's: the same user satisfies the bus half of sending.
                const bool may = uid == 0 ? level(endpoint_grants, uid) >= 1 : lower >= 1;
                CHECK(send_as(uid, inside, Message(target.id())) == (may ? 0 : EPERM));
                drain(target);
                REQUIRE(target.release("a.b") == 0);
                // Seeing asks the endpoint alone.
                REQUIRE(target.acquire("a.b") == 0);
                CHECK(as(uid, [&] { return inside.info(target.id()).error; }) ==
                      (level(endpoint_grants, uid) >= 0 ? 0 : ENXIO));
                REQUIRE(target.release("a.b") == 0);
            }
        }
    }
}

TEST_CASE("abi 11.1 SEE grants in the bus database are accepted but never consulted") {
    Bus bus;
    const Connection holder = hold(bus, "a.b");
    Connection user = connect_as(bus, 1000), target = bus.connect();
    REQUIRE(user.match_all() == 0);
    REQUIRE(target.acquire("a.b") == 0);
    expect_name_notification(user, KDBUS_ITEM_NAME_ADD, 0, 0, target.id(), primary, "a.b");
    as(1000, [&] {
        CHECK(user.info(0, 0, "a.b").error == 0);
        CHECK(user.info(target.id()).error == 0);
        CHECK(listed(user, "a.b"));
    });
}

TEST_CASE("abi 11.3 bus owners need no entry, and none stops them (13.26)") {
    std::optional<Bus> bus;
    as(1000, [&] { bus.emplace(); });
    Connection holder =
        connect_as(*bus, 1000, {.flags = KDBUS_HELLO_POLICY_HOLDER, .name = "a.b", .grants = {}});
    Connection maker = connect_as(*bus, 1000), root = bus->connect(),
               stranger = connect_as(*bus, 1001);
    CHECK(acquire_as(1001, stranger, "a.b") == EPERM);
    for (const Connection* c : {&maker, &root}) {
        // Frozen when HELLO ran: whoever acts now.
        CHECK(acquire_as(1001, *c, "a.b") == 0);
        CHECK(send_as(1001, stranger, Message(c->id())) == EPERM);
        CHECK(send_as(1001, *c, Message(stranger.id())) == 0);
        CHECK(c->release("a.b") == 0);
    }
    // Root without the capability, and a real uid, make no owner.
    Connection weak = [&] {
        WithoutIpcOwner less;
        return bus->connect();
    }();
    CHECK(weak.acquire("a.b") == EPERM);
    CHECK(weak.send(Message(stranger.id())) == EPERM);
    Connection real_only = connect_as(*bus, Identity(1000, 1001));
    CHECK(acquire_as(1000, real_only, "a.b") == EPERM);
    CHECK(send_as(1000, real_only, Message(root.id())) == EPERM);
}

TEST_CASE("abi 5.3/11.3 privilege is a capability of the opener at open, not of who acts") {
    std::optional<Bus> bus;
    as(1000, [&] { bus.emplace(); });
    Fd weak = as(1001, [&] { return bus->open(); });
    Connection by_root(std::move(weak), {}); // HELLO by root
    CHECK(by_root.acquire("a.b") == EPERM);
    Fd strong = bus->open();
    Connection by_user = as(1001, [&] { return Connection(std::move(strong), {}); });
    CHECK(acquire_as(1001, by_user, "a.b") == 0);
    // The same for a holder, who opened it and not who says HELLO.
    Fd opened = bus->open();
    as(1001, [&] {
        Connection holder(std::move(opened),
                          {.flags = KDBUS_HELLO_POLICY_HOLDER, .name = "a.c", .grants = {}});
        CHECK(holder.id() > 0);
    });
}

TEST_CASE("abi 5.3 on a custom endpoint nobody is privileged or bus owner") {
    Bus bus;
    Endpoint endpoint(bus, {{"a.b", anybody_owns}});
    Connection inside = endpoint.connect(), user = connect_as(bus, 1000);
    REQUIRE(inside.match_all() == 0);
    CHECK(inside.acquire("a.b") == EPERM);
    CHECK(inside.send(Message(user.id())) == EPERM);
    REQUIRE(user.send(broadcast()) == 0);
    CHECK(inside.empty());
    const Connection holder = hold(bus, "a.b", {for_user(0, own)});
    CHECK(inside.acquire("a.b") == 0);
}

TEST_CASE("abi 11.3 the same user: bus half only, never the endpoint's") {
    Bus bus;
    Endpoint endpoint(bus);
    const Connection holder = hold(bus, "a.b", {for_user(1000, own)});
    Connection inside = connect_as(endpoint, 1000), outside = connect_as(bus, 1000),
               second = connect_as(endpoint, 1000);
    for (const Connection* c : {&inside, &outside})
        REQUIRE(c->match_all() == 0);
    CHECK(send_as(1000, outside, Message(inside.id())) == 0);
    CHECK(send_as(1000, inside, Message(outside.id())) == EPERM);
    CHECK(send_as(1000, inside, Message(second.id())) == EPERM);
    CHECK(send_as(1000, inside, Message(inside.id())) == EPERM);
    REQUIRE(inside.send(broadcast()) == 0);
    CHECK(drain(outside) == 1);
    drain(inside);
    REQUIRE(outside.send(broadcast()) == 0);
    CHECK(inside.empty());
    // With a name the endpoint lets one talk to, the user suffices for the bus.
    REQUIRE(endpoint.update({{"a.b", {for_user(1000, talk)}}}) == 0);
    REQUIRE(acquire_as(1000, outside, "a.b") == 0);
    drain(inside);
    REQUIRE(update(holder, {{"a.b", {}}}) == 0);
    CHECK(send_as(1000, inside, Message(outside.id())) == 0);
    CHECK(send_as(1001, inside, Message(outside.id())) == EPERM);
    drain(outside);
    REQUIRE(outside.send(broadcast()) == 0);
    CHECK(drain(inside) == 1);
}

TEST_CASE("abi 11.3 by connection, by the most permissive of all its names") {
    Bus bus;
    const Connection good = hold(bus, "a.good", {for_user(1000, talk)}), bad = hold(bus, "a.bad");
    Connection user = connect_as(bus, 1000), target = bus.connect(), rival = bus.connect();
    REQUIRE(user.match_all() == 0);
    REQUIRE(target.acquire("a.bad") == 0);
    CHECK(send_as(1000, user, Message(0).to("a.bad")) == EPERM);
    REQUIRE(target.acquire("a.good", KDBUS_NAME_ALLOW_REPLACEMENT | KDBUS_NAME_QUEUE) == 0);
    drain(user);
    for (int i = 0; i < 2; i++) {
        CHECK(send_as(1000, user, Message(0).to("a.good")) == 0);
        CHECK(send_as(1000, user, Message(0).to("a.bad")) == 0);
        CHECK(send_as(1000, user, Message(target.id())) == 0);
        CHECK(send_as(1000, user, Message(target.id()).to("a.bad")) == 0);
        CHECK(drain(target) == 4);
        REQUIRE(target.send(broadcast()) == 0);
        CHECK(drain(user) == 1);
        if (i == 0) {
            // A name one waits for does not count; it does again when it is one's turn.
            REQUIRE(rival.acquire("a.good", KDBUS_NAME_REPLACE_EXISTING) == 0);
            drain(user);
            CHECK(send_as(1000, user, Message(target.id())) == EPERM);
            CHECK(send_as(1000, user, Message(0).to("a.bad")) == EPERM);
            CHECK(send_as(1000, user, Message(rival.id())) == 0);
            REQUIRE(target.send(broadcast()) == 0);
            CHECK(user.empty());
            REQUIRE(rival.release("a.good") == 0);
            drain(user);
        }
    }
    REQUIRE(target.release("a.good") == 0);
    CHECK(send_as(1000, user, Message(target.id())) == EPERM);
}

TEST_CASE("abi 11.3 the same on a custom endpoint; the two grants may be on different names") {
    Bus bus;
    const Connection holder = hold(bus, "a.bus", {for_user(1000, talk)});
    Endpoint endpoint(bus, {{"a.endpoint", {for_user(1000, talk)}}, {"a.seen", {for_world(see)}}});
    Connection inside = connect_as(endpoint, 1000), target = bus.connect(), rival = bus.connect();
    auto send = [&] {
        return send_as(1000, inside, Message(target.id()));
    };
    auto seen = [&] {
        return as(1000, [&] { return inside.info(target.id()).error; });
    };
    CHECK(send() == EPERM);
    CHECK(seen() == ENXIO);
    REQUIRE(target.acquire("a.bus") == 0);
    CHECK(send() == EPERM);
    CHECK(seen() == ENXIO);
    REQUIRE(target.acquire("a.endpoint") == 0);
    CHECK(send() == 0);
    CHECK(seen() == 0);
    REQUIRE(target.release("a.bus") == 0);
    CHECK(send() == EPERM);
    CHECK(seen() == 0);
    REQUIRE(target.release("a.endpoint") == 0);
    CHECK(seen() == ENXIO);
    REQUIRE(rival.acquire("a.seen") == 0);
    REQUIRE(target.acquire("a.seen", KDBUS_NAME_QUEUE) == 0);
    CHECK(seen() == ENXIO);
    REQUIRE(rival.release("a.seen") == 0);
    CHECK(seen() == 0);
    CHECK(send() == EPERM);
}

TEST_CASE("abi 11.3 an activator in charge counts as owner, a waiting one does not") {
    Bus bus;
    Endpoint endpoint(bus, {{"a.b", {for_user(1000, talk)}}});
    Connection activator = bus.connect(
        {.flags = KDBUS_HELLO_ACTIVATOR, .name = "a.b", .grants = {for_user(1000, talk)}});
    Connection inside = connect_as(endpoint, 1000), outside = connect_as(bus, 1000),
               owner = bus.connect();
    auto info = [&] {
        return as(1000, [&] { return inside.info(activator.id()).error; });
    };
    CHECK(send_as(1000, inside, Message(0).to("a.b")) == 0);
    CHECK(send_as(1000, outside, Message(0).to("a.b")) == 0);
    CHECK(info() == 0);
    CHECK(drain(activator) == 2);
    // 13.25: TALK for the name; the id is nobody's.
    CHECK(send_as(1001, outside, Message(0).to("a.b")) == EPERM);
    CHECK(send_as(1001, outside, Message(activator.id())) == ENXIO);
    CHECK(outside.send(Message(activator.id())) == ENXIO);
    REQUIRE(owner.acquire("a.b") == 0);
    CHECK(info() == ENXIO);
    CHECK(as(1000, [&] { return inside.info(owner.id()).error; }) == 0);
    CHECK(send_as(1000, inside, Message(owner.id())) == 0);
}

TEST_CASE("abi 11.3 EPERM comes after the errors of addressing and before EMLINK and delivery") {
    Bus bus;
    const Connection holder = hold(bus, "a.b");
    Endpoint endpoint(bus, {{"a.talk", anybody_talks}});
    Connection outside = connect_as(bus, 1000), inside = connect_as(endpoint, 1000),
               target = bus.connect(), other = bus.connect();
    Connection activator = bus.connect({.flags = KDBUS_HELLO_ACTIVATOR, .name = "a.sleeps"});
    REQUIRE(target.acquire("a.b") == 0);
    for (const Connection* c : {&outside, &inside}) {
        CAPTURE(c == &inside);
        auto send = [&](Message m) {
            return send_as(1000, *c, std::move(m));
        };
        CHECK(send(Message(99999999)) == ENXIO);
        CHECK(send(Message(0).to("no.body")) == ESRCH);
        CHECK(send(Message(other.id()).to("a.b")) == EREMCHG);
        CHECK(send(Message(activator.id())) == ENXIO);
        CHECK(send(Message(0).to("a.sleeps").flags(KDBUS_MSG_NO_AUTO_START)) == EADDRNOTAVAIL);
        CHECK(send(Message(holder.id())) == ENXIO);
        // On custom endpoints too this shows that the name exists.
        CHECK(send(Message(0).to("a.b")) == EPERM);
        CHECK(send(Message(0).to("a.sleeps")) == EPERM);
        CHECK(send(Message(target.id())) == EPERM);
        Fd file = make_memfd("x");
        CHECK(send(Message(target.id()).fds({file.get()})) == EPERM);
        CHECK(send(Message(target.id()).filler(400'000)) == EPERM);
        CHECK(send(Message(target.id()).filler(64).flags(KDBUS_MSG_NO_AUTO_START)) == EPERM);
        // Unicast signals report addressing only.
        CHECK(send(unicast_signal(99999999)) == ENXIO);
        CHECK(send(unicast_signal(0).to("no.body")) == ESRCH);
        CHECK(send(unicast_signal(other.id()).to("a.b")) == EREMCHG);
        CHECK(send(unicast_signal(target.id())) == 0);
        // Replies: no slot, not no right.
        CHECK(send(reply_to(target.id(), 1)) == EBADSLT);
        CHECK(send(reply_to(99999999, 1)) == ENXIO);
    }
    Connection friendly = connect_as(bus, 1000);
    for (int i = 0; i < KDBUS_CONN_MAX_REQUESTS_PENDING; i++)
        REQUIRE(send_as(1000, outside, Message(friendly.id()).call(in_ms(600'000))) == 0);
    CHECK(send_as(1000, outside, Message(friendly.id()).call(in_ms(600'000))) == EMLINK);
    CHECK(send_as(1000, outside, Message(target.id()).call(in_ms(600'000))) == EPERM);
    CHECK(drain(target) == 0);
}

TEST_CASE("abi 11.3 the reply to a pending call always passes, out of an endpoint too, once") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection inside = connect_as(endpoint, 1000), caller = bus.connect();
    REQUIRE(caller.send(Message(inside.id(), 9).call(in_ms(600'000))) == 0);
    CHECK(send_as(1000, inside, Message(caller.id())) == EPERM);
    CHECK(send_as(1000, inside, reply_to(caller.id(), 8)) == EBADSLT);
    CHECK(send_as(1000, inside, reply_to(caller.id(), 9)) == 0);
    CHECK(send_as(1000, inside, reply_to(caller.id(), 9)) == EBADSLT);
    CHECK(caller.take()->cookie_reply == 9);
    CHECK(caller.empty());
}

TEST_CASE("abi 6.11/11.3 OWN is decided after the syntax and before anything about the name") {
    Bus bus;
    Endpoint endpoint(bus, {{"a.b", anybody_talks}});
    const Connection holder = hold(bus, "a.b", anybody_talks);
    Connection outside = connect_as(bus, 1000), inside = connect_as(endpoint, 1000),
               owner = bus.connect();
    REQUIRE(owner.acquire("a.b", KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
    for (const Connection* c : {&outside, &inside}) {
        CAPTURE(c == &inside);
        CHECK(acquire_as(1000, *c, "a..b") == EINVAL);
        CHECK(acquire_as(1000, *c, "a.*") == EINVAL);
        for (u64 flags : {u64{0}, u64{KDBUS_NAME_QUEUE}, u64{KDBUS_NAME_REPLACE_EXISTING}}) {
            CHECK(acquire_as(1000, *c, "a.b", flags) == EPERM);
            CHECK(acquire_as(1000, *c, "un.known", flags) == EPERM);
        }
        // Releasing asks nobody.
        CHECK(as(1000, [&] { return c->release("a.b"); }) == EADDRINUSE);
        CHECK(as(1000, [&] { return c->release("un.known"); }) == ESRCH);
    }
    // Before the limit of names.
    Connection holder_of_all = hold(bus, "n.*", anybody_owns);
    for (int i = 0; i < KDBUS_CONN_MAX_NAMES; i++)
        REQUIRE(acquire_as(1000, outside, "n.n" + std::to_string(i)) == 0);
    CHECK(acquire_as(1000, outside, "n.more") == E2BIG);
    CHECK(acquire_as(1000, outside, "a.b") == EPERM);
}

TEST_CASE("abi 11.3/13.37 changes take effect for the next operation and revoke nothing") {
    Bus bus;
    Connection holder = hold(bus, "a.b", {for_user(1000, own), for_user(1001, own)});
    Connection first = connect_as(bus, 1000), second = connect_as(bus, 1001),
               reader = connect_as(bus, 1002);
    REQUIRE(reader.match_all() == 0);
    REQUIRE(acquire_as(1000, first, "a.b") == 0);
    REQUIRE(acquire_as(1001, second, "a.b", KDBUS_NAME_QUEUE) == 0);
    drain(reader);
    CHECK(send_as(1001, second, Message(first.id()).body("before")) == 0);
    CHECK(send_as(1002, reader, Message(first.id())) == EPERM);

    REQUIRE(update(holder, {{"a.b", {for_user(1002, talk)}}}) == 0);
    // For connections that exist and have already talked.
    CHECK(send_as(1001, second, Message(first.id())) == EPERM);
    CHECK(send_as(1002, reader, Message(first.id())) == 0);
    REQUIRE(first.send(broadcast()) == 0);
    CHECK(drain(reader) == 1);
    // The message queued, the name owned and the place in the queue remain.
    CHECK(first.take().body() == "before");
    CHECK(acquire_as(1000, first, "a.b") == EPERM);
    CHECK(reader.info(0, 0, "a.b").head().id == first.id());
    CHECK(as(1000, [&] { return first.release("a.b"); }) == 0);
    CHECK(reader.info(0, 0, "a.b").head().id == second.id());
    CHECK(acquire_as(1001, second, "a.b") == EPERM);
    CHECK(as(1001, [&] { return second.release("a.b"); }) == 0);
    CHECK(acquire_as(1001, second, "a.b") == EPERM);
}

TEST_CASE("abi 11.3 signals already queued stay when the right to them goes") {
    Bus bus;
    Endpoint endpoint(bus, {{"a.b", anybody_talks}});
    const Connection holder = hold(bus, "a.b", anybody_talks);
    Connection inside = connect_as(endpoint, 1000), sender = bus.connect();
    REQUIRE(sender.acquire("a.b") == 0);
    REQUIRE(inside.match_all() == 0);
    REQUIRE(sender.send(broadcast(0, 1)) == 0);
    REQUIRE(endpoint.update(std::vector<Entry>{}) == 0);
    REQUIRE(sender.send(broadcast(0, 2)) == 0);
    CHECK(inside.take()->cookie == 1);
    CHECK(inside.empty());
    // Not permitted is not lost.
    CHECK(inside.recv().cmd.dropped_msgs == 0);
}

TEST_CASE("abi 11.3 current credentials for what one does, those at open for what one receives") {
    Bus bus;
    const Connection holder = hold(bus, "a.b", {for_user(1000, own), for_group(2000, talk)});
    Connection target = bus.connect();
    // Opened by the one, used by the other.
    Connection strong = connect_as(bus, 1000), weak = connect_as(bus, 1001);
    for (const Connection* c : {&strong, &weak})
        REQUIRE(c->match_all() == 0);
    CHECK(acquire_as(1001, strong, "a.b") == EPERM);
    CHECK(acquire_as(1000, weak, "a.b") == 0);
    REQUIRE(weak.release("a.b") == 0);
    REQUIRE(target.acquire("a.b") == 0);
    CHECK(send_as(1001, strong, Message(target.id())) == EPERM);
    CHECK(send_as(1000, weak, Message(target.id())) == 0);
    CHECK(send_as({1001, 1001, {2000}}, weak, Message(target.id())) == 0);
    for (const Connection* c : {&strong, &weak})
        drain(*c);
    REQUIRE(target.send(broadcast()) == 0);
    CHECK(drain(strong) == 1);
    CHECK(drain(weak) == 0);
    // RECV by whoever holds the handle.
    REQUIRE(target.send(broadcast()) == 0);
    CHECK(as(nobody, [&] { return drain(strong); }) == 1);
}

TEST_CASE("abi 11.3 LIST on a custom endpoint: hidden names hide their owner's record too") {
    Bus bus;
    const Connection holder = hold(bus, "x.y");
    Endpoint endpoint(bus, {{"a.seen", {for_user(1000, see)}}, {"a.act", {for_user(1000, see)}}});
    Connection inside = connect_as(endpoint, 1000), both = bus.connect(), hidden = bus.connect(),
               none = bus.connect(), waiting = bus.connect();
    REQUIRE(both.acquire("a.seen") == 0);
    REQUIRE(both.acquire("a.hidden") == 0);
    REQUIRE(hidden.acquire("b.hidden") == 0);
    REQUIRE(waiting.acquire("a.seen", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(waiting.acquire("b.hidden", KDBUS_NAME_QUEUE) == 0);
    const Connection activators[] = {
        bus.connect({.flags = KDBUS_HELLO_ACTIVATOR, .name = "a.act"}),
        bus.connect({.flags = KDBUS_HELLO_ACTIVATOR, .name = "b.act"})};
    using Records = std::vector<std::pair<u64, std::string>>;
    auto list = [&](u64 flags) {
        Records records;
        for (const Info& r : as(1000, [&] { return inside.list(flags); })) {
            const auto items = r.items();
            records.emplace_back(r.head().id, items.empty() ? "" : items[0].text(8));
        }
        std::sort(records.begin(), records.end());
        return records;
    };
    auto sorted = [](Records r) {
        std::sort(r.begin(), r.end());
        return r;
    };
    CHECK(list(KDBUS_LIST_NAMES) == Records{{both.id(), "a.seen"}});
    CHECK(list(KDBUS_LIST_QUEUED) == Records{{waiting.id(), "a.seen"}});
    CHECK(list(KDBUS_LIST_ACTIVATORS) == Records{{activators[0].id(), "a.act"}});
    // With UNIQUE alone everybody.
    CHECK(list(KDBUS_LIST_UNIQUE) == sorted({{holder.id(), ""},
                                             {inside.id(), ""},
                                             {both.id(), ""},
                                             {hidden.id(), ""},
                                             {none.id(), ""},
                                             {waiting.id(), ""},
                                             {activators[0].id(), ""},
                                             {activators[1].id(), ""}}));
    // Names that were selected but are hidden leave no record of their owner.
    CHECK(list(KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES) == sorted({{holder.id(), ""},
                                                                {inside.id(), ""},
                                                                {both.id(), "a.seen"},
                                                                {none.id(), ""},
                                                                {waiting.id(), ""},
                                                                {activators[0].id(), ""},
                                                                {activators[1].id(), ""}}));
    CHECK(list(0xf) == sorted({{holder.id(), ""},
                               {inside.id(), ""},
                               {both.id(), "a.seen"},
                               {none.id(), ""},
                               {waiting.id(), "a.seen"},
                               {activators[0].id(), "a.act"}}));
    // Nothing of this on the default endpoint.
    Connection outside = connect_as(bus, 1000);
    CHECK(as(1000, [&] { return outside.list(KDBUS_LIST_NAMES).size(); }) == 3);
}

TEST_CASE("abi 6.8/11.3 CONN_INFO on a custom endpoint: invisible is absent") {
    Bus bus;
    Endpoint endpoint(bus);
    const Connection holder = hold(bus, "a.b", anybody_owns);
    Connection inside = connect_as(endpoint, 1000), owner = bus.connect({.send = all_ones});
    REQUIRE(owner.acquire("a.b") == 0);
    REQUIRE(owner.acquire("a.hidden") == 0);
    auto info = [&](u64 id, std::string_view name = {}) {
        return as(1000, [&] { return inside.info(id, KDBUS_ATTACH_NAMES, name); });
    };
    CHECK(info(owner.id()).error == ENXIO);
    CHECK(info(0, "a.b").error == ESRCH);
    CHECK(info(owner.id(), "a.b").error == ESRCH);
    CHECK(info(99999999).error == ENXIO);
    CHECK(info(0, "no.body").error == ESRCH);
    CHECK(info(inside.id()).error == ENXIO); // itself
    CHECK(info(holder.id()).error == ENXIO);
    REQUIRE(endpoint.update({{"a.b", {for_user(1000, see)}}}) == 0);
    CHECK(info(inside.id()).error == ENXIO);
    CHECK(info(inside.id(), "a.b").error == ESRCH); // the id of another
    CHECK(info(0, "a.hidden").error == ESRCH);
    // What is shown of a visible connection is not filtered.
    const Info shown = info(0, "a.b");
    REQUIRE(shown.error == 0);
    CHECK(count_items(shown.items(), KDBUS_ITEM_OWNED_NAME) == 2);
    CHECK(info(owner.id()).error == 0);
    // The mask is still checked first.
    CHECK(as(1000, [&] { return inside.info(owner.id(), u64{1} << 40).error; }) == EINVAL);
    REQUIRE(owner.release("a.b") == 0);
    REQUIRE(endpoint.update({{"a.b", {for_user(1000, own)}}}) == 0);
    REQUIRE(acquire_as(1000, inside, "a.b") == 0);
    CHECK(info(inside.id()).error == 0);
}

TEST_CASE("messages 9.2 owned names on messages are not filtered by SEE") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection inside = endpoint.connect({.recv = KDBUS_ATTACH_NAMES}), sender = bus.connect();
    REQUIRE(sender.acquire("a.hidden") == 0);
    REQUIRE(sender.send(Message(inside.id())) == 0);
    CHECK(inside.take().get(KDBUS_ITEM_OWNED_NAME).text(8) == "a.hidden");
}

TEST_CASE("abi 13.33/messages 13.44 notifications on a custom endpoint") {
    Bus bus;
    Endpoint endpoint(bus);
    const Connection holder = hold(bus, "a.b", anybody_owns);
    Connection inside = connect_as(endpoint, 1000);
    REQUIRE(inside.match_all() == 0);
    // Coming and going of everybody.
    Connection owner = bus.connect(), second = bus.connect();
    expect_id_notification(inside, KDBUS_ITEM_ID_ADD, owner.id(), 0);
    expect_id_notification(inside, KDBUS_ITEM_ID_ADD, second.id(), 0);
    Connection hidden = hold(bus, "x.y");
    const u64 hidden_id = hidden.id();
    hidden.close();
    expect_id_notification(inside, KDBUS_ITEM_ID_ADD, hidden_id, KDBUS_HELLO_POLICY_HOLDER);
    expect_id_notification(inside, KDBUS_ITEM_ID_REMOVE, hidden_id, KDBUS_HELLO_POLICY_HOLDER);
    // Names only if they may be seen: an empty policy, another name, another user.
    for (const std::vector<Entry>& entries : {std::vector<Entry>{},
                                              {{"a.c", anybody_owns}},
                                              {{"a.b", {for_user(1001, own)}}},
                                              {{"a.b", {}}}}) {
        REQUIRE(endpoint.update(entries) == 0);
        REQUIRE(owner.acquire("a.b") == 0);
        REQUIRE(owner.release("a.b") == 0);
        CHECK(inside.empty());
        CHECK(inside.recv().cmd.dropped_msgs == 0);
    }
    REQUIRE(owner.acquire("a.b") == 0);
    REQUIRE(endpoint.update({{"a.b", {for_user(1000, see)}}}) == 0);
    CHECK(inside.empty()); // an update itself reports nothing
    as(1000, [&] {
        CHECK(inside.info(0, 0, "a.b").error == 0);
        CHECK(inside.info(owner.id()).error == 0);
    });
    REQUIRE(second.acquire("a.b", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(owner.release("a.b") == 0);
    expect_name_notification(inside, KDBUS_ITEM_NAME_CHANGE, owner.id(), primary, second.id(),
                             primary | KDBUS_NAME_QUEUE, "a.b");
    REQUIRE(second.release("a.b") == 0);
    expect_name_notification(inside, KDBUS_ITEM_NAME_REMOVE, second.id(),
                             primary | KDBUS_NAME_QUEUE, 0, 0, "a.b");
    REQUIRE(owner.acquire("a.b") == 0);
    expect_name_notification(inside, KDBUS_ITEM_NAME_ADD, 0, 0, owner.id(), primary, "a.b");
    CHECK(inside.empty());
}

TEST_CASE("abi 5.3 notifications go by the credentials at open") {
    Bus bus;
    Endpoint endpoint(bus, {{"a.b", {for_user(1000, see)}}});
    Fd opened = as(1000, [&] { return endpoint.open(); });
    Connection inside(std::move(opened), {}), weak = endpoint.connect(), owner = bus.connect();
    for (const Connection* c : {&inside, &weak})
        REQUIRE(c->match_all() == 0);
    REQUIRE(owner.acquire("a.b") == 0);
    CHECK(drain(inside) == 1);
    CHECK(drain(weak) == 0);
}

TEST_CASE("messages 11 monitors see every name and message, whatever an endpoint hides") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection monitor = bus.connect({.flags = KDBUS_HELLO_MONITOR}), inside = endpoint.connect(),
               owner = bus.connect();
    drain(monitor);
    REQUIRE(owner.acquire("a.b") == 0);
    REQUIRE(owner.send(Message(inside.id())) == 0);
    // What policy refuses is not copied.
    CHECK(inside.send(Message(owner.id())) == EPERM);
    expect_name_notification(monitor, KDBUS_ITEM_NAME_ADD, 0, 0, owner.id(), primary, "a.b");
    CHECK(monitor.take()->dst_id == inside.id());
    CHECK(monitor.empty());
}

TEST_CASE("abi 11.6 a wildcard applies to names that extend it by exactly one element") {
    const std::string longest = "a." + std::string(253, 'x');
    struct Row {
        std::string entry, name;
        bool applies;
    };
    const Row rows[] = {
        {"a.b.*", "a.b.c", true},    {"a.b.*", "a.b.cc-_9", true}, {"a.b.*", "a.b", false},
        {"a.b.*", "a.b.c.d", false}, {"a.b.*", "a.bc", false},     {"a.b.*", "a.bb.c", false},
        {"a.b.*", "a.c.b", false},   {"a.b.*", "x.a.b.c", false},  {"a.b.*", "b.c", false},
        {"a.*", "a.b", true},        {"a.*", "a.b.c", false},      {"a.*", "b.a", false},
        {"a.*", "aa.b", false},      {"a.*", longest, true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.entry, row.name);
        Bus bus;
        Endpoint endpoint(bus, {{row.entry, {for_user(1000, own)}}}),
            agreeing(bus, {{row.name, anybody_owns}});
        Connection holder = hold(bus, row.entry, {for_user(1000, own)}), target = bus.connect();
        const int expected = row.applies ? 0 : EPERM;
        Connection outside = connect_as(bus, 1000), inside = connect_as(endpoint, 1000),
                   through = connect_as(agreeing, 1000);
        for (const Connection* c : {&outside, &inside, &through}) {
            CAPTURE(c == &inside, c == &through);
            CHECK(acquire_as(1000, *c, row.name) == expected);
            CHECK(acquire_as(1001, *c, row.name) == EPERM);
            c->release(row.name);
        }
        REQUIRE(inside.match_all() == 0);
        REQUIRE(target.acquire(row.name) == 0);
        for (const Connection* c : {&outside, &inside})
            CHECK(send_as(1000, *c, Message(target.id())) == expected);
        CHECK(as(1000, [&] { return inside.info(0, 0, row.name).error; }) ==
              (row.applies ? 0 : ESRCH));
        CHECK(as(1000, [&] { return listed(inside, row.name); }) == row.applies);
        CHECK(drain(inside) == (row.applies ? 1 : 0));
        REQUIRE(target.send(broadcast()) == 0);
        CHECK(drain(inside) == (row.applies ? 1 : 0));
    }
}

TEST_CASE("abi 11.6 an exact entry shadows the wildcard, whatever it grants") {
    Bus bus;
    Endpoint endpoint(bus);
    Connection wild = hold(bus, "a.b.*", anybody_owns), outside = connect_as(bus, 1000),
               inside = connect_as(endpoint, 1000);
    auto attempt = [&](const Connection& c) {
        const int error = acquire_as(1000, c, "a.b.c");
        c.release("a.b.c");
        return error;
    };
    const Connection other = hold(bus, "a.b", {}); // shadows nothing
    CHECK(attempt(outside) == 0);
    {
        Connection exact = hold(bus, "a.b.c");
        CHECK(attempt(outside) == EPERM);
        REQUIRE(update(exact, {{"a.b.c", {for_user(1001, own)}}}) == 0);
        CHECK(attempt(outside) == EPERM);
        REQUIRE(update(exact, {{"a.b.c", {for_user(1000, own)}}}) == 0);
        REQUIRE(update(wild, {{"a.b.*", {}}}) == 0);
        CHECK(attempt(outside) == 0);
        REQUIRE(update(wild, {{"a.b.*", anybody_owns}}) == 0);
        REQUIRE(update(exact, {{"a.b.d", {}}}) == 0);
        CHECK(attempt(outside) == 0);
        REQUIRE(update(exact, {{"a.b.c", {}}}) == 0);
        CHECK(attempt(outside) == EPERM);
    }
    CHECK(attempt(outside) == 0);
    // The endpoint's database alike, in any order.
    REQUIRE(endpoint.update({{"a.b.c", {}}, {"a.b.*", anybody_owns}}) == 0);
    CHECK(attempt(inside) == EPERM);
    REQUIRE(endpoint.update({{"a.b.*", anybody_owns}, {"a.b.c", {for_world(see)}}}) == 0);
    CHECK(attempt(inside) == EPERM);
    REQUIRE(endpoint.update({{"a.b.*", {}}, {"a.b.c", anybody_owns}}) == 0);
    CHECK(attempt(inside) == 0);
    REQUIRE(endpoint.update({{"a.b.*", anybody_owns}}) == 0);
    CHECK(attempt(inside) == 0);
}

TEST_CASE("abi 11.4 ENDPOINT_UPDATE: each failure, and the old policy stays") {
    Bus bus;
    Endpoint endpoint(bus, {{"a.b", anybody_owns}, {"a.c", {for_world(see)}}});
    const Connection holders[] = {hold(bus, "a.b", anybody_owns), hold(bus, "n.*", anybody_owns)};
    Connection inside = endpoint.connect(), owner = bus.connect();
    REQUIRE(owner.acquire("a.c") == 0);
    auto old_policy = [&] {
        const bool kept = inside.acquire("a.b") == 0 && inside.acquire("n.new") == EPERM &&
                          inside.info(0, 0, "a.c").error == 0;
        inside.release("a.b");
        return kept;
    };
    REQUIRE(old_policy());
    auto fails = [&](const Plain& c, int error) {
        CHECK(endpoint.update(c) == error);
        CHECK(old_policy());
    };
    const Entry fresh{"n.new", anybody_owns};
    auto grant = [&](u64 type, u64 access, u64 id) {
        return policy_command({fresh, {"n.other", {{type, access, id}, for_world(own)}}});
    };
    SECTION("POLICY_ACCESS before the first NAME") {
        Plain c;
        c.object(KDBUS_ITEM_POLICY_ACCESS, for_world(own)).text(KDBUS_ITEM_NAME, "n.new");
        fails(c, EINVAL);
        Plain alone;
        alone.object(KDBUS_ITEM_POLICY_ACCESS, for_world(own));
        fails(alone, EINVAL);
    }
    SECTION("syntax of names") {
        const std::string longest = "a." + std::string(253, 'x');
        for (const std::string& name :
             {std::string(), std::string("a"), std::string(".a.b"), std::string("a..b"),
              std::string("a.b."), std::string("a.9"), std::string("a b.c"), std::string("*"),
              std::string("a.*.b"), std::string("a.b*"), std::string("a.**"), std::string("a.*."),
              std::string(".*"), std::string("*.a"), longest + "x"}) {
            CAPTURE(name);
            fails(policy_command({fresh, {name, anybody_owns}}), EINVAL);
            fails(policy_command({{name, {}}, fresh}), EINVAL);
        }
    }
    SECTION("access and type") {
        for (u64 bad : {u64{3}, u64{4}, all_ones, u64{1} << 32, (u64{1} << 32) | own})
            for (u64 type : {u64{KDBUS_POLICY_ACCESS_USER}, u64{KDBUS_POLICY_ACCESS_GROUP},
                             u64{KDBUS_POLICY_ACCESS_WORLD}}) {
                CAPTURE(bad, type);
                fails(grant(type, bad, 1000), EINVAL);
            }
        for (u64 bad :
             {u64{0}, u64{4}, all_ones, u64{1} << 32, (u64{1} << 32) | KDBUS_POLICY_ACCESS_WORLD}) {
            CAPTURE(bad);
            fails(grant(bad, see, 1000), EINVAL);
        }
    }
    SECTION("ids") {
        for (u64 type : {u64{KDBUS_POLICY_ACCESS_USER}, u64{KDBUS_POLICY_ACCESS_GROUP}})
            for (u64 id : {u64{0xffffffff}, all_ones, u64{0x1ffffffff}}) {
                CAPTURE(type, id);
                fails(grant(type, own, id), EINVAL);
            }
    }
    SECTION("the same name twice") {
        fails(policy_command({fresh, fresh}), EEXIST);
        fails(policy_command({fresh, {"n.x", {}}, {"n.new", {}}}), EEXIST);
        fails(policy_command({fresh, {"n.*", {}}, {"n.*", {}}}), EEXIST);
    }
    SECTION("items that are not accepted") {
        Plain c = policy_command({fresh});
        c.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, 0);
        fails(c, EINVAL);
        Plain short_record = policy_command({fresh});
        short_record.words(KDBUS_ITEM_POLICY_ACCESS, {1, 1});
        fails(short_record, EINVAL);
        Plain flags = policy_command({fresh});
        flags->flags = 1;
        fails(flags, EINVAL);
    }
    SECTION("negotiation does nothing") {
        Plain c = policy_command({fresh});
        c->flags = KDBUS_FLAG_NEGOTIATE;
        CHECK(command(endpoint.owner.get(), KDBUS_CMD_ENDPOINT_UPDATE, c.address()) == 0);
        CHECK(c->flags == 0);
        CHECK(old_policy());
    }
    // And what would have come in comes in.
    CHECK(endpoint.update({fresh}) == 0);
    CHECK(inside.acquire("n.new") == 0);
    CHECK(inside.acquire("a.b") == EPERM);
    CHECK(inside.info(0, 0, "a.c").error == ESRCH);
}

TEST_CASE("abi 11.4 what is accepted: low words of ids, any id for the world, items between") {
    Bus bus;
    Endpoint endpoint(bus);
    const Connection holder = hold(bus, "a.*", anybody_owns);
    Connection inside = endpoint.connect();
    auto owns = [&](const Identity& who, const std::string& name) {
        const bool may = acquire_as(who, inside, name) == 0;
        inside.release(name);
        return may;
    };
    const u64 high = u64{7} << 32;
    REQUIRE(endpoint.update({{"a.user", {for_user(high | 1000, own)}},
                             {"a.group", {for_group(high | 2000, own)}},
                             {"a.world", {{KDBUS_POLICY_ACCESS_WORLD, own, all_ones}}},
                             {"a.zero", {for_user(0, own)}},
                             {"a.nothing", {}}}) == 0);
    CHECK(owns(1000, "a.user"));
    CHECK(!owns(1001, "a.user"));
    CHECK(owns(2000, "a.group"));
    CHECK(!owns(1000, "a.group"));
    CHECK(owns(nobody, "a.world"));
    CHECK(owns(0, "a.zero"));
    CHECK(!owns(1000, "a.zero"));
    CHECK(!owns(0, "a.nothing"));
    // An item of another kind does not end the entry.
    Plain c;
    c.text(KDBUS_ITEM_NAME, "a.x")
        .object(KDBUS_ITEM_POLICY_ACCESS, for_user(1000, own))
        .words(KDBUS_ITEM_NEGOTIATE, {KDBUS_ITEM_NAME, KDBUS_ITEM_POLICY_ACCESS, 0x7777})
        .object(KDBUS_ITEM_POLICY_ACCESS, for_user(1001, own))
        .text(KDBUS_ITEM_NAME, "a.y")
        .object(KDBUS_ITEM_POLICY_ACCESS, for_user(1002, own));
    REQUIRE(command(endpoint.owner.get(), KDBUS_CMD_ENDPOINT_UPDATE, c.address()) == 0);
    CHECK(c.at(2)[2] == KDBUS_ITEM_NAME);
    CHECK(c.at(2)[3] == KDBUS_ITEM_POLICY_ACCESS);
    CHECK(c.at(2)[4] == 0);
    CHECK(owns(1000, "a.x"));
    CHECK(owns(1001, "a.x"));
    CHECK(!owns(1002, "a.x"));
    CHECK(owns(1002, "a.y"));
    CHECK(!owns(1000, "a.y"));
    CHECK(!owns(1000, "a.user")); // replaced
    // No items: an empty policy.
    REQUIRE(endpoint.update(Plain()) == 0);
    CHECK(!owns(1000, "a.x"));
}

TEST_CASE("abi 11.4 as many entries as a command holds") {
    Bus bus;
    Endpoint endpoint(bus);
    const Connection holder = hold(bus, "n.*", anybody_owns);
    Connection inside = endpoint.connect();
    std::vector<Entry> entries;
    for (int i = 0; i < 500; i++)
        entries.push_back({"n.n" + std::to_string(i), i % 2 ? anybody_owns : Grants{}});
    REQUIRE(endpoint.update(entries) == 0);
    for (int i = 0; i < 500; i++) {
        CAPTURE(i);
        CHECK(inside.acquire(entries[static_cast<std::size_t>(i)].name) == (i % 2 ? 0 : EPERM));
    }
    // Its own names are no conflict.
    CHECK(endpoint.update(entries) == 0);
    // Two endpoints have two databases.
    Endpoint other(bus, entries);
    CHECK(other.update(std::vector<Entry>{}) == 0);
    inside.release("n.n1");
    CHECK(inside.acquire("n.n1") == 0);
}

TEST_CASE("abi 11.4 ids are those of the caller's user namespace at the time") {
    Bus bus;
    Endpoint endpoint(bus);
    const Connection holder = hold(bus, "a.b", anybody_owns);
    Connection inside = endpoint.connect();
    Pipe to_child, to_parent;
    Child child([&] {
        char c = 0;
        if (unshare(CLONE_NEWUSER) || write(to_parent.write.get(), &c, 1) != 1 ||
            read(to_child.read.get(), &c, 1) != 1)
            return 255;
        for (const kdbus_policy_access& outside : {for_user(1000, own), for_group(1000, own)})
            if (endpoint.update({{"a.b", {outside}}}) != EINVAL)
                return 254;
        return endpoint.update({{"a.b", {for_user(7, own), for_group(9, own)}}});
    });
    char c = 0;
    REQUIRE(read(to_parent.read.get(), &c, 1) == 1);
    auto map = [&](const std::string& file, const std::string& content) {
        Fd fd(::open(("/proc/" + std::to_string(child.pid()) + "/" + file).c_str(),
                     O_WRONLY | O_CLOEXEC));
        REQUIRE(write(fd.get(), content.data(), content.size()) ==
                static_cast<ssize_t>(content.size()));
    };
    map("uid_map", "7 1000 1");
    map("gid_map", "9 2000 1");
    REQUIRE(write(to_child.write.get(), &c, 1) == 1);
    CHECK(child.wait() == 0);
    auto owns = [&](const Identity& who) {
        const int error = acquire_as(who, inside, "a.b");
        inside.release("a.b");
        return error == 0;
    };
    CHECK(owns(1000));
    CHECK(owns({1001, 1001, {2000}}));
    CHECK(!owns(7));
    CHECK(!owns({1001, 1001, {9}}));
}

TEST_CASE("abi 11.3 policy in a child user namespace: outside uids, capabilities nothing") {
    Bus bus;
    Endpoint endpoint(bus, {{"a.b", {for_user(1000, own)}}});
    const Connection holder = hold(bus, "a.b", {for_user(1000, own)});
    for (uid_t uid : {1000u, 1001u}) {
        CAPTURE(uid);
        for (const std::string& path : {bus.path(), endpoint.path()})
            CHECK(in_child([&] {
                      if (syscall(SYS_setresgid, uid, uid, uid) ||
                          syscall(SYS_setresuid, uid, uid, uid) || unshare(CLONE_NEWUSER))
                          return 255;
                      return Connection(open_node(path), {}).acquire("a.b");
                  }) == (uid == 1000 ? 0 : EPERM));
    }
}

TEST_CASE("abi 11.3 policy decides while it is replaced: always by the one or the other") {
    Bus bus;
    Endpoint endpoint(bus);
    const Connection holder = hold(bus, "a.b", anybody_talks);
    Connection inside = endpoint.connect(), target = bus.connect({.pool_size = u64{16} << 20});
    REQUIRE(target.acquire("a.b") == 0);
    // Both grant it, each by another record.
    const std::vector<Entry> first = {{"a.b", {for_user(0, talk)}}},
                             second = {{"a.*", {for_world(own)}}, {"x.y", {}}};
    REQUIRE(endpoint.update(first) == 0);
    std::atomic<bool> stop = false;
    std::thread updater([&] {
        for (int i = 0; !stop; i++)
            endpoint.update(i % 2 ? first : second);
    });
    int refused = 0, unseen = 0;
    for (int i = 0; i < 2000; i++) {
        refused += inside.send(Message(target.id())) != 0;
        unseen += inside.info(target.id()).error != 0;
        if (i % 100 == 0)
            drain(target);
    }
    stop = true;
    updater.join();
    CHECK(refused == 0);
    CHECK(unseen == 0);
}
