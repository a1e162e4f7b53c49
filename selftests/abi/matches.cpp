// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 10 (matches), 6.13 (MATCH_ADD), 6.14 (MATCH_REMOVE); messages.md 7.3.
#include "support.hpp"

using namespace test;

namespace {

using Match = Command<kdbus_cmd_match>;
constexpr u64 any = KDBUS_MATCH_ID_ANY;

Match match(u64 cookie = 1, u64 flags = 0) {
    Match m;
    m->cookie = cookie;
    m->flags = flags;
    return m;
}

Bytes name_rule(u64 old_id, u64 new_id, std::optional<std::string_view> name = {}, u64 flags = 0) {
    const u64 words[4] = {old_id, flags, new_id, flags};
    std::string b(reinterpret_cast<const char*>(words), 32);
    if (name)
        b.append(*name).push_back('\0');
    return {b.begin(), b.end()};
}

// A bus with one connection that subscribes and one that signals.
struct Pair {
    explicit Pair(u64 bloom_size = 8) : bus({.bloom_size = bloom_size}) {}
    Bus bus;
    Connection receiver = bus.connect(), sender = bus.connect();

    bool gets(Message& m) const {
        REQUIRE(sender.send(m) == 0);
        const int n = drain(receiver);
        REQUIRE(n <= 1);
        return n == 1;
    }
    bool gets(Message&& m) const { return gets(m); }
    void subscribe(Match& m) const { REQUIRE(receiver.match(m) == 0); }
    void subscribe(Match&& m) const { subscribe(m); }
};

Message unicast_signal(u64 id, u64 bits = 0) {
    Message m(id);
    m.flags(KDBUS_MSG_SIGNAL).bloom(0, {bits});
    return m;
}

} // namespace

TEST_CASE("abi 10.1 without a match: no signal, but ordinary messages") {
    Pair p;
    CHECK(!p.gets(broadcast(all_ones)));
    CHECK(!p.gets(unicast_signal(p.receiver.id(), all_ones)));
    Connection other = p.bus.connect();
    CHECK(p.receiver.empty());
    CHECK(p.gets(Message(p.receiver.id())));
}

TEST_CASE("abi 10.1 a match without rules passes signals and notifications") {
    Pair p;
    p.subscribe(match());
    CHECK(p.gets(broadcast()));
    CHECK(p.gets(unicast_signal(p.receiver.id())));
    Connection other = p.bus.connect();
    CHECK(drain(p.receiver) == 1);
}

TEST_CASE("abi 10.2 BLOOM_MASK: (filter & mask) == mask") {
    Pair p;
    p.subscribe(match().word(KDBUS_ITEM_BLOOM_MASK, 0x8000000000000005));
    CHECK(p.gets(broadcast(0x8000000000000005)));
    CHECK(p.gets(broadcast(0x800000000000000f)));
    CHECK(p.gets(broadcast(all_ones)));
    CHECK(!p.gets(broadcast(0x8000000000000001)));
    CHECK(!p.gets(broadcast(0x0000000000000005)));
    CHECK(!p.gets(broadcast(0)));
    CHECK(!p.gets(broadcast(~u64{0x8000000000000005})));
}

TEST_CASE("abi 10.2 an all-zero mask passes everything, an all-ones mask only all-ones filters") {
    Pair zero;
    zero.subscribe(match().word(KDBUS_ITEM_BLOOM_MASK, 0));
    CHECK(zero.gets(broadcast(0)));
    CHECK(zero.gets(broadcast(all_ones)));
    Pair ones;
    ones.subscribe(match().word(KDBUS_ITEM_BLOOM_MASK, all_ones));
    CHECK(ones.gets(broadcast(all_ones)));
    CHECK(!ones.gets(broadcast(all_ones - 1)));
    CHECK(!ones.gets(broadcast(all_ones >> 1)));
}

TEST_CASE("abi 10.2/13.32 generations choose the mask; each word counts") {
    Pair p(64);
    std::vector<u64> first(8, 0), second(8, 0), both;
    first[0] = 1;
    first[7] = u64{1} << 63;
    second[3] = 0xf0;
    both = first;
    both.insert(both.end(), second.begin(), second.end());
    p.subscribe(match().words(KDBUS_ITEM_BLOOM_MASK, both));
    auto signal_of = [](u64 generation, const std::vector<u64>& filter) {
        Message m(KDBUS_DST_ID_BROADCAST);
        m.flags(KDBUS_MSG_SIGNAL).bloom(generation, filter);
        return m;
    };
    CHECK(p.gets(signal_of(0, first)));
    CHECK(!p.gets(signal_of(0, second)));
    for (u64 generation : {u64{1}, u64{2}, u64{3}, u64{1} << 32, all_ones}) {
        CAPTURE(generation);
        CHECK(p.gets(signal_of(generation, second)));
        CHECK(!p.gets(signal_of(generation, first)));
    }
    auto spoilt = first;
    spoilt[7] = 0;
    CHECK(!p.gets(signal_of(0, spoilt)));
    spoilt = first;
    spoilt[0] = 2;
    CHECK(!p.gets(signal_of(0, spoilt)));
}

TEST_CASE("abi 6.13 EDOM: the mask is zero or not a multiple of the bus's bloom size") {
    Pair p(64);
    for (std::size_t n : {0, 1, 8, 56, 63, 65, 72, 100, 127}) {
        CAPTURE(n);
        const Bytes mask(n);
        CHECK(p.receiver.match(match().item(KDBUS_ITEM_BLOOM_MASK, mask.data(), n)) == EDOM);
    }
    for (std::size_t n : {64, 128, 640}) {
        const Bytes mask(n);
        CHECK(p.receiver.match(match().item(KDBUS_ITEM_BLOOM_MASK, mask.data(), n)) == 0);
    }
}

TEST_CASE("abi 6.13 rules are validated in item order, before anything is removed") {
    Pair p;
    p.subscribe(match(5));
    auto edom_first = match(5, KDBUS_MATCH_REPLACE);
    edom_first.item(KDBUS_ITEM_BLOOM_MASK, nullptr, 0).text(KDBUS_ITEM_NAME, "malformed");
    CHECK(p.receiver.match(edom_first) == EDOM);
    auto einval_first = match(5, KDBUS_MATCH_REPLACE);
    einval_first.text(KDBUS_ITEM_NAME, "malformed").item(KDBUS_ITEM_BLOOM_MASK, nullptr, 0);
    CHECK(p.receiver.match(einval_first) == EINVAL);
    CHECK(p.gets(broadcast()));
}

TEST_CASE("abi 10.1 ID: the sender's id") {
    Pair p;
    SECTION("equal") {
        p.subscribe(match().word(KDBUS_ITEM_ID, p.sender.id()));
        CHECK(p.gets(broadcast()));
        CHECK(p.gets(unicast_signal(p.receiver.id())));
    }
    SECTION("different") {
        p.subscribe(match().word(KDBUS_ITEM_ID, p.receiver.id()));
        CHECK(!p.gets(broadcast()));
        REQUIRE(p.receiver.send(broadcast()) == 0);
        CHECK(drain(p.receiver) == 1);
    }
    SECTION("any: all signals, no notification") {
        p.subscribe(match().word(KDBUS_ITEM_ID, any));
        CHECK(p.gets(broadcast()));
    }
    SECTION("0 is not the kernel") {
        p.subscribe(match().word(KDBUS_ITEM_ID, 0));
        CHECK(!p.gets(broadcast()));
    }
    Connection other = p.bus.connect();
    CHECK(p.receiver.empty());
}

TEST_CASE("abi 10.1 NAME: the sender is primary owner now") {
    Pair p;
    p.subscribe(match().text(KDBUS_ITEM_NAME, "a.b"));
    CHECK(!p.gets(broadcast()));
    REQUIRE(p.sender.acquire("a.b") == 0);
    CHECK(p.gets(broadcast()));
    REQUIRE(p.sender.acquire("a.c") == 0);
    CHECK(p.gets(broadcast()));
    REQUIRE(p.sender.release("a.b") == 0);
    CHECK(!p.gets(broadcast()));
    // Waiting is not owning.
    REQUIRE(p.receiver.acquire("a.b") == 0);
    REQUIRE(p.sender.acquire("a.b", KDBUS_NAME_QUEUE) == 0);
    CHECK(!p.gets(broadcast()));
    CHECK(p.receiver.match(match().text(KDBUS_ITEM_NAME, "a.*")) == EINVAL);
    CHECK(p.receiver.empty());
}

TEST_CASE("abi 10.1 DST_ID: the field as sent") {
    Pair p;
    REQUIRE(p.receiver.acquire("a.b") == 0);
    const u64 id = p.receiver.id();
    auto to_name = [&](u64 also_id) {
        Message m = unicast_signal(also_id);
        m.to("a.b");
        return m;
    };
    SECTION("broadcasts carry ~0") {
        p.subscribe(match().word(KDBUS_ITEM_DST_ID, any));
        CHECK(p.gets(broadcast()));
        CHECK(p.gets(unicast_signal(id)));
        CHECK(p.gets(to_name(0)));
    }
    SECTION("by id") {
        p.subscribe(match().word(KDBUS_ITEM_DST_ID, id));
        CHECK(!p.gets(broadcast()));
        CHECK(p.gets(unicast_signal(id)));
        CHECK(!p.gets(to_name(0)));
        CHECK(p.gets(to_name(id)));
    }
    SECTION("by name: 0") {
        p.subscribe(match().word(KDBUS_ITEM_DST_ID, 0));
        CHECK(!p.gets(broadcast()));
        CHECK(!p.gets(unicast_signal(id)));
        CHECK(p.gets(to_name(0)));
        CHECK(!p.gets(to_name(id)));
    }
    drain(p.receiver);
    Connection other = p.bus.connect();
    CHECK(p.receiver.empty());
}

TEST_CASE("abi 10.1 ID_ADD and ID_REMOVE") {
    Pair p;
    SECTION("any id, any flags") {
        p.subscribe(match().words(KDBUS_ITEM_ID_ADD, {any, 12345}));
        CHECK(!p.gets(broadcast(all_ones)));
        Connection other = p.bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
        const u64 id = other.id();
        other.close();
        expect_id_notification(p.receiver, KDBUS_ITEM_ID_ADD, id, KDBUS_HELLO_ACCEPT_FD);
    }
    SECTION("one id") {
        Connection a = p.bus.connect(), b = p.bus.connect();
        p.subscribe(match().words(KDBUS_ITEM_ID_REMOVE, {b.id(), 0}));
        const u64 id = b.id();
        a.close();
        CHECK(p.receiver.empty());
        b.close();
        expect_id_notification(p.receiver, KDBUS_ITEM_ID_REMOVE, id, 0);
    }
    SECTION("an id still to come") {
        p.subscribe(match().words(KDBUS_ITEM_ID_ADD, {p.sender.id() + 2, 0}));
        Connection a = p.bus.connect(), b = p.bus.connect();
        expect_id_notification(p.receiver, KDBUS_ITEM_ID_ADD, b.id(), 0);
    }
    CHECK(p.receiver.empty());
}

TEST_CASE("abi 10.1 NAME_* rules: type, ids and name") {
    Pair p;
    const std::string name = "a.name";
    const u64 s = p.sender.id(), r = p.receiver.id();
    // What happens: sender acquires and releases, then receiver takes it over from sender.
    auto play = [&] {
        std::vector<u64> seen;
        REQUIRE(p.sender.acquire(name, KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
        REQUIRE(p.receiver.acquire(name, KDBUS_NAME_REPLACE_EXISTING) == 0);
        REQUIRE(p.receiver.release(name) == 0);
        for (;;) {
            const Received m = p.receiver.recv();
            if (m.error == EAGAIN)
                return seen;
            seen.push_back(m.word(72));
            p.receiver.free(m.offset());
        }
    };
    struct Row {
        u64 type, old_id, new_id;
        std::optional<std::string_view> name;
        bool passes;
    };
    const Row rows[] = {
        {KDBUS_ITEM_NAME_ADD, any, any, {}, true},
        {KDBUS_ITEM_NAME_ADD, 0, s, name, true},
        {KDBUS_ITEM_NAME_ADD, 0, any, name, true},
        {KDBUS_ITEM_NAME_ADD, any, s, {}, true},
        {KDBUS_ITEM_NAME_ADD, s, any, {}, false},
        {KDBUS_ITEM_NAME_ADD, 0, r, {}, false},
        {KDBUS_ITEM_NAME_ADD, 0, 0, {}, false},
        {KDBUS_ITEM_NAME_ADD, any, any, "a.other", false},
        {KDBUS_ITEM_NAME_ADD, any, any, "", false},
        {KDBUS_ITEM_NAME_ADD, any, any, "a.nam", false},
        {KDBUS_ITEM_NAME_ADD, any, any, "a.name2", false},
        {KDBUS_ITEM_NAME_ADD, any, any, "not valid", false},
        {KDBUS_ITEM_NAME_CHANGE, any, any, {}, true},
        {KDBUS_ITEM_NAME_CHANGE, s, r, name, true},
        {KDBUS_ITEM_NAME_CHANGE, r, s, name, false},
        {KDBUS_ITEM_NAME_CHANGE, s, any, {}, true},
        {KDBUS_ITEM_NAME_CHANGE, any, s, {}, false},
        {KDBUS_ITEM_NAME_REMOVE, any, any, {}, true},
        {KDBUS_ITEM_NAME_REMOVE, r, 0, name, true},
        {KDBUS_ITEM_NAME_REMOVE, r, any, name, true},
        {KDBUS_ITEM_NAME_REMOVE, s, any, {}, false},
        {KDBUS_ITEM_NAME_REMOVE, any, r, {}, false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.type, row.old_id, row.new_id, row.name.value_or("-"));
        const Bytes rule = name_rule(row.old_id, row.new_id, row.name, 0xffff);
        p.subscribe(match().item(row.type, rule.data(), rule.size()));
        CHECK((play() == (row.passes ? std::vector{row.type} : std::vector<u64>{})));
        CHECK(!p.gets(broadcast(all_ones)));
        REQUIRE(p.receiver.unmatch(1) == 0);
    }
}

TEST_CASE("abi 10.1 all rules of a match must pass, one match is enough") {
    Pair p;
    auto bits = [](u64 value) {
        return match().word(KDBUS_ITEM_BLOOM_MASK, value);
    };
    SECTION("AND") {
        p.subscribe(bits(1).word(KDBUS_ITEM_ID, p.sender.id()).word(KDBUS_ITEM_BLOOM_MASK, 2));
        CHECK(!p.gets(broadcast(1)));
        CHECK(!p.gets(broadcast(2)));
        CHECK(p.gets(broadcast(3)));
        REQUIRE(p.receiver.send(broadcast(3)) == 0);
        CHECK(p.receiver.empty());
    }
    SECTION("OR, delivered once") {
        p.subscribe(bits(1));
        p.subscribe(bits(2));
        p.subscribe(match(9));
        CHECK(p.gets(broadcast(1)));
        CHECK(p.gets(broadcast(3)));
        REQUIRE(p.receiver.unmatch(9) == 0);
        CHECK(p.gets(broadcast(2)));
        CHECK(p.gets(broadcast(3)));
        CHECK(!p.gets(broadcast(4)));
    }
    SECTION("two different ids never pass") {
        p.subscribe(
            match().word(KDBUS_ITEM_ID, p.sender.id()).word(KDBUS_ITEM_ID, p.receiver.id()));
        CHECK(!p.gets(broadcast()));
        p.subscribe(match().word(KDBUS_ITEM_ID, p.sender.id()).word(KDBUS_ITEM_ID, p.sender.id()));
        CHECK(p.gets(broadcast()));
    }
    SECTION("signal and notification rules together never pass") {
        p.subscribe(match().word(KDBUS_ITEM_ID, any).words(KDBUS_ITEM_ID_ADD, {any, 0}));
        p.subscribe(match().word(KDBUS_ITEM_BLOOM_MASK, 0).words(KDBUS_ITEM_ID_ADD, {any, 0}));
        p.subscribe(
            match().words(KDBUS_ITEM_ID_REMOVE, {any, 0}).words(KDBUS_ITEM_ID_ADD, {any, 0}));
        const Bytes rule = name_rule(any, any);
        p.subscribe(match()
                        .item(KDBUS_ITEM_NAME_ADD, rule.data(), rule.size())
                        .item(KDBUS_ITEM_NAME_REMOVE, rule.data(), rule.size()));
        CHECK(!p.gets(broadcast(all_ones)));
        Connection other = p.bus.connect();
        REQUIRE(other.acquire("a.b") == 0);
        other.close();
        CHECK(p.receiver.empty());
    }
    SECTION("signal rules never pass notifications") {
        p.subscribe(match().word(KDBUS_ITEM_BLOOM_MASK, 0));
        p.subscribe(match().word(KDBUS_ITEM_DST_ID, any));
        p.subscribe(match().word(KDBUS_ITEM_ID, 0));
        Connection other = p.bus.connect();
        CHECK(p.receiver.empty());
    }
    SECTION("two rules for one notification") {
        p.subscribe(match()
                        .words(KDBUS_ITEM_ID_ADD, {any, 0})
                        .words(KDBUS_ITEM_ID_ADD, {p.sender.id() + 1, 0}));
        Connection a = p.bus.connect(), b = p.bus.connect();
        expect_id_notification(p.receiver, KDBUS_ITEM_ID_ADD, a.id(), 0);
        CHECK(p.receiver.empty());
    }
}

TEST_CASE("abi 10.3 cookies are not unique; REMOVE removes all with the cookie") {
    Pair p;
    const u64 cookie = 0xfeedfacecafebeef;
    for (u64 bit : {1, 2, 4})
        p.subscribe(match(cookie).word(KDBUS_ITEM_BLOOM_MASK, bit));
    p.subscribe(match(0).word(KDBUS_ITEM_BLOOM_MASK, 8));
    for (u64 bit : {1, 2, 4, 8})
        CHECK(p.gets(broadcast(bit)));
    CHECK(p.receiver.unmatch(cookie + 1) == EBADSLT);
    CHECK(p.sender.unmatch(cookie) == EBADSLT);
    CHECK(p.receiver.unmatch(cookie) == 0);
    CHECK(p.receiver.unmatch(cookie) == EBADSLT);
    for (u64 bit : {1, 2, 4})
        CHECK(!p.gets(broadcast(bit)));
    CHECK(p.gets(broadcast(8)));
    CHECK(p.receiver.unmatch(0) == 0);
    CHECK(!p.gets(broadcast(all_ones)));
}

TEST_CASE("abi 10.3/13.30 REPLACE") {
    Pair p;
    for (u64 bit : {1, 2})
        p.subscribe(match(7).word(KDBUS_ITEM_BLOOM_MASK, bit));
    p.subscribe(match(8).word(KDBUS_ITEM_BLOOM_MASK, 4));
    p.subscribe(match(7, KDBUS_MATCH_REPLACE).word(KDBUS_ITEM_BLOOM_MASK, 8));
    CHECK(!p.gets(broadcast(1)));
    CHECK(!p.gets(broadcast(2)));
    CHECK(p.gets(broadcast(4)));
    CHECK(p.gets(broadcast(8)));
    // Of a cookie nobody has: just an addition.
    p.subscribe(match(9, KDBUS_MATCH_REPLACE).word(KDBUS_ITEM_BLOOM_MASK, 16));
    CHECK(p.gets(broadcast(16)));
    CHECK(p.receiver.unmatch(7) == 0);
    CHECK(p.receiver.unmatch(8) == 0);
    CHECK(p.receiver.unmatch(9) == 0);

    p.subscribe(match(1).words(KDBUS_ITEM_ID_ADD, {any, 0}));
    p.subscribe(match(1, KDBUS_MATCH_REPLACE).words(KDBUS_ITEM_ID_REMOVE, {any, 0}));
    Connection other = p.bus.connect();
    const u64 id = other.id();
    CHECK(p.receiver.empty());
    other.close();
    expect_id_notification(p.receiver, KDBUS_ITEM_ID_REMOVE, id, 0);
}

TEST_CASE("abi 10.3/12 256 matches, inclusive; a REPLACE that removes something always fits") {
    Pair p;
    for (u64 i = 0; i < KDBUS_MATCH_MAX; i++)
        REQUIRE(p.receiver.match(match(i).word(KDBUS_ITEM_BLOOM_MASK, u64{1} << (i % 64))) == 0);
    CHECK(p.receiver.match(match(1000)) == EMFILE);
    CHECK(p.receiver.match(match(1000, KDBUS_MATCH_REPLACE)) == EMFILE);
    CHECK(p.receiver.match(match(3, KDBUS_MATCH_REPLACE)) == 0);
    CHECK(p.receiver.match(match(1000)) == EMFILE);
    // Validation comes before the limit.
    CHECK(p.receiver.match(match(1000).item(KDBUS_ITEM_BLOOM_MASK, nullptr, 0)) == EDOM);
    CHECK(p.gets(broadcast(0)));
    REQUIRE(p.receiver.unmatch(200) == 0);
    CHECK(p.receiver.match(match(1000)) == 0);
    CHECK(p.receiver.match(match(1001)) == EMFILE);
    // The limit is each connection's own.
    CHECK(p.sender.match(match()) == 0);
}

TEST_CASE("abi 10.3 matches vanish on disconnect, and queued messages stay when one is removed") {
    Pair p;
    p.subscribe(match());
    REQUIRE(p.sender.send(broadcast()) == 0);
    REQUIRE(p.receiver.unmatch(1) == 0);
    CHECK(drain(p.receiver) == 1);
    p.subscribe(match());
    p.receiver.close();
    CHECK(p.sender.send(broadcast()) == 0);
}

TEST_CASE("abi 10.1/13.43 a sender receives its own broadcast if it matches") {
    Bus bus;
    Connection c = bus.connect();
    CHECK(c.send(broadcast()) == 0);
    CHECK(c.empty());
    REQUIRE(c.match_all() == 0);
    CHECK(c.send(broadcast(0, 9)) == 0);
    CHECK(c.take()->cookie == 9);
    CHECK(c.empty());
}

TEST_CASE("abi 10 many subscribers with different rules: each gets exactly what it asked for") {
    Bus bus({.bloom_size = 64});
    Connection sender = bus.connect();
    std::vector<Connection> receivers;
    std::vector<std::vector<u64>> masks;
    for (u64 i = 0; i < 64; i++) {
        receivers.push_back(bus.connect({.pool_size = 16 * page}));
        std::vector<u64> mask(8, 0);
        mask[i % 8] |= u64{1} << (i % 64);
        mask[(i / 8) % 8] |= u64{1} << (63 - i % 32);
        masks.push_back(mask);
        REQUIRE(receivers.back().match(match().words(KDBUS_ITEM_BLOOM_MASK, mask)) == 0);
    }
    u64 seed = 12345;
    for (int round = 0; round < 40; round++) {
        std::vector<u64> filter(8);
        for (u64& word : filter) {
            word = 0;
            for (int i = 0; i < 3; i++) {
                seed = seed * 6364136223846793005 + 1442695040888963407;
                word |= seed;
            }
        }
        Message m(KDBUS_DST_ID_BROADCAST);
        m.flags(KDBUS_MSG_SIGNAL).bloom(0, filter);
        REQUIRE(sender.send(m) == 0);
        for (std::size_t i = 0; i < receivers.size(); i++) {
            bool wanted = true;
            for (std::size_t w = 0; w < 8; w++)
                wanted = wanted && (filter[w] & masks[i][w]) == masks[i][w];
            CAPTURE(round, i);
            CHECK(drain(receivers[i]) == (wanted ? 1 : 0));
        }
    }
}

TEST_CASE("design: a signal that is sent again reaches whoever subscribed or left since") {
    Pair p(64);
    // So many masks that the bus keeps in mind what a filter has found.
    auto bits = [](u64 n) {
        std::vector<u64> mask(8, 0);
        mask[n % 7] = u64{1} << (n % 64);
        mask[7] = 1;
        return mask;
    };
    for (u64 i = 0; i < 200; i++)
        p.subscribe(match(1000 + i).words(KDBUS_ITEM_BLOOM_MASK, bits(i)));
    Connection other = p.bus.connect();
    const std::vector<u64> filter = {0, 0, 0, 0, 0, 0, 6, 8};
    auto send = [&](u64 generation = 0) {
        Message m(KDBUS_DST_ID_BROADCAST);
        m.flags(KDBUS_MSG_SIGNAL).bloom(generation, filter);
        REQUIRE(p.sender.send(m) == 0);
        return std::pair(drain(p.receiver), drain(other));
    };
    const std::vector<u64> wanted = {0, 0, 0, 0, 0, 0, 2, 8}, unwanted = {0, 0, 0, 0, 0, 0, 1, 8};
    for (int round = 0; round < 3; round++)
        CHECK(send() == std::pair(0, 0));
    p.subscribe(match(1).words(KDBUS_ITEM_BLOOM_MASK, wanted));
    for (int round = 0; round < 3; round++)
        CHECK(send() == std::pair(1, 0));
    REQUIRE(other.match(match(1).words(KDBUS_ITEM_BLOOM_MASK, wanted)) == 0);
    REQUIRE(other.match(match(2).words(KDBUS_ITEM_BLOOM_MASK, wanted)) == 0);
    for (int round = 0; round < 3; round++)
        CHECK(send() == std::pair(1, 1));
    // Another generation of the same filter is another signal.
    REQUIRE(other.unmatch(2) == 0);
    std::vector<u64> both = unwanted;
    both.insert(both.end(), wanted.begin(), wanted.end());
    p.subscribe(match(1, KDBUS_MATCH_REPLACE).words(KDBUS_ITEM_BLOOM_MASK, both));
    for (int round = 0; round < 3; round++) {
        CHECK(send(0) == std::pair(0, 1));
        CHECK(send(1) == std::pair(1, 1));
    }
    // Other rules of a match count each time.
    Match named;
    named.head().cookie = 3;
    named.words(KDBUS_ITEM_BLOOM_MASK, wanted).text(KDBUS_ITEM_NAME, "com.example.sender");
    REQUIRE(other.unmatch(1) == 0);
    REQUIRE(other.match(named) == 0);
    CHECK(send() == std::pair(0, 0));
    REQUIRE(p.sender.acquire("com.example.sender") == 0);
    CHECK(send() == std::pair(0, 1));
    REQUIRE(p.sender.release("com.example.sender") == 0);
    CHECK(send() == std::pair(0, 0));
    other.close();
    CHECK(drain(p.receiver) == 0);
    Message m(KDBUS_DST_ID_BROADCAST);
    m.flags(KDBUS_MSG_SIGNAL).bloom(1, filter);
    REQUIRE(p.sender.send(m) == 0);
    CHECK(drain(p.receiver) == 1);
}

TEST_CASE("design: more masks let a signal through than the bus keeps in mind") {
    Bus bus({.bloom_size = 64});
    Connection sender = bus.connect();
    std::vector<Connection> receivers;
    for (int i = 0; i < 80; i++) {
        receivers.push_back(bus.connect({.pool_size = 16 * page}));
        REQUIRE(receivers.back().match(
                    match().words(KDBUS_ITEM_BLOOM_MASK, {1, 0, 0, 0, 0, 0, 0, 0})) == 0);
    }
    for (int round = 0; round < 3; round++) {
        Message m(KDBUS_DST_ID_BROADCAST);
        m.flags(KDBUS_MSG_SIGNAL).bloom(0, {3, 0, 0, 0, 0, 0, 0, 0});
        REQUIRE(sender.send(m) == 0);
        for (const Connection& c : receivers)
            CHECK(drain(c) == 1);
    }
}
