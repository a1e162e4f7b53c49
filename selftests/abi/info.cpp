// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 6.8 (CONN_INFO) and 6.10 (LIST).
#include "support.hpp"

#include <sched.h>

using namespace test;

namespace {

constexpr u64 offered = KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_AUXGROUPS |
                        KDBUS_ATTACH_NAMES | KDBUS_ATTACH_TID_COMM | KDBUS_ATTACH_PID_COMM |
                        KDBUS_ATTACH_CONN_DESCRIPTION;

} // namespace

TEST_CASE("abi 6.8/13.14-15 without metadata: a bare record") {
    Bus bus;
    Connection c = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD, .send = all_ones});
    const Info r = c.info(c.id(), 0);
    CHECK(r.size == 24);
    CHECK(r.head().size == 24);
    CHECK(r.head().id == c.id());
    CHECK(r.head().flags == KDBUS_HELLO_ACCEPT_FD);
}

TEST_CASE("abi 6.8 lookup") {
    Bus bus;
    Connection a = bus.connect(), b = bus.connect();
    REQUIRE(b.acquire("b.name") == 0);
    CHECK(a.info(0, 0, "b.name").head().id == b.id());
    CHECK(a.info(b.id(), 0, "b.name").head().id == b.id());
    CHECK(a.info(a.id(), 0, "b.name").error == ESRCH);
    CHECK(a.info(12345678, 0, "b.name").error == ESRCH);
    CHECK(a.info(0, 0, "unknown.name").error == ESRCH);
    CHECK(a.info(b.id(), 0, "unknown.name").error == ESRCH);
    CHECK(a.info(0, 0, "malformed").error == ESRCH);
    CHECK(a.info(b.id()).head().id == b.id());
    CHECK(a.info(a.id()).head().id == a.id());
    CHECK(a.info(0).error == EINVAL);
    CHECK(a.info(12345678).error == ENXIO);
    CHECK(a.info(all_ones).error == ENXIO);
    Command<kdbus_cmd_info> empty_name;
    empty_name.text(KDBUS_ITEM_NAME, "");
    CHECK(a.run(KDBUS_CMD_CONN_INFO, empty_name.address()) == ESRCH);
}

TEST_CASE("abi 6.8 the attach mask is checked before the lookup") {
    Bus bus;
    Connection c = bus.connect();
    for (u64 mask : {known_attach_flags + 1, u64{1} << 63, all_ones - 1}) {
        CHECK(c.info(c.id(), mask).error == EINVAL);
        CHECK(c.info(12345678, mask).error == EINVAL);
        CHECK(c.info(0, mask, "unknown.name").error == EINVAL);
    }
    CHECK(c.info(c.id(), all_ones).error == 0);
    CHECK(c.info(c.id(), known_attach_flags).error == 0);
}

TEST_CASE("abi 6.8 another bus's connections are unknown") {
    Bus bus, other;
    Connection a = bus.connect(), b = other.connect();
    CHECK(a.info(b.id()).error == ENXIO);
}

TEST_CASE("abi 6.8 items: requested and permitted by the target's send mask") {
    Bus bus;
    Connection asker = bus.connect();
    for (u64 permitted : {u64{0}, u64{KDBUS_ATTACH_CREDS}, u64{KDBUS_ATTACH_PIDS}, offered}) {
        Connection target = bus.connect({.send = permitted, .description = "label"});
        REQUIRE(target.acquire("a.name") == 0);
        for (u64 bit = 1; bit <= KDBUS_ATTACH_CONN_DESCRIPTION; bit <<= 1) {
            if (!(bit & offered))
                continue;
            CAPTURE(permitted, bit);
            const auto items = asker.info(target.id(), bit).items();
            CHECK(items.size() == (permitted & bit ? 1 : 0));
        }
        REQUIRE(target.release("a.name") == 0);
    }
}

TEST_CASE("abi 6.8 order and content of the items") {
    Bus bus;
    Connection asker = bus.connect();
    u64 id = 0;
    Connection target = bus.connect({.send = all_ones, .description = "some-label"});
    id = target.id();
    REQUIRE(target.acquire("z.one") == 0);
    REQUIRE(target.acquire("a.two", KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
    const Info r = asker.info(id, offered | KDBUS_ATTACH_TIMESTAMP);
    CHECK(r.size % 8 == 0);
    CHECK(r.head().size == r.size);
    CHECK(types(r) == std::vector<u64>{KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS, KDBUS_ITEM_AUXGROUPS,
                                       KDBUS_ITEM_TID_COMM, KDBUS_ITEM_PID_COMM,
                                       KDBUS_ITEM_OWNED_NAME, KDBUS_ITEM_OWNED_NAME,
                                       KDBUS_ITEM_CONN_DESCRIPTION});
    const auto items = r.items();
    CHECK(items[0].words() == std::vector<u64>(8, 0));
    const u64 pid = static_cast<u64>(getpid());
    CHECK(items[1].words() == std::vector<u64>{pid, pid, static_cast<u64>(getppid())});
    CHECK(items[3].text() == "abi-info");
    CHECK(items[4].text() == "abi-info");
    CHECK(items[5].word(0) == KDBUS_NAME_PRIMARY);
    CHECK(items[5].text(8) == "z.one");
    CHECK(items[6].word(0) == (KDBUS_NAME_PRIMARY | KDBUS_NAME_ALLOW_REPLACEMENT));
    CHECK(items[6].text(8) == "a.two");
    CHECK(items[7].text() == "some-label");
}

TEST_CASE("abi 13.17 OWNED_NAME follows the present; queued names never appear") {
    Bus bus;
    Connection asker = bus.connect(), target = bus.connect({.send = all_ones});
    auto count = [&] {
        return asker.info(target.id(), KDBUS_ATTACH_NAMES).items().size();
    };
    CHECK(count() == 0);
    REQUIRE(asker.acquire("taken.name") == 0);
    REQUIRE(target.acquire("taken.name", KDBUS_NAME_QUEUE) == 0);
    CHECK(count() == 0);
    REQUIRE(target.acquire("a.b") == 0);
    CHECK(count() == 1);
    REQUIRE(asker.release("taken.name") == 0);
    CHECK(count() == 2);
    // A name it had to wait for keeps its place: messages.md 9.2/12.
    CHECK(asker.info(target.id(), KDBUS_ATTACH_NAMES).items()[0].text(8) == "taken.name");
    REQUIRE(target.release("a.b") == 0);
    CHECK(count() == 1);
}

TEST_CASE("abi 13.16 process data is what was recorded at HELLO") {
    Bus bus;
    Connection asker = bus.connect(), target = bus.connect({.send = all_ones});
    const u64 pid = static_cast<u64>(getpid());
    CHECK(in_child([&] {
              if (syscall(SYS_setresuid, 1000, 1000, 1000))
                  return 1;
              const auto items =
                  target.info(target.id(), KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS).items();
              return items.size() == 2 && items[0].words() == std::vector<u64>(8, 0) &&
                             items[1].word(0) == pid
                         ? 0
                         : 2;
          }) == 0);
}

TEST_CASE("abi 5.3 metadata of HELLO comes from the task running it, not from the opener") {
    Bus bus;
    Connection asker = bus.connect();
    Fd fd = bus.open();
    std::optional<Connection> target;
    {
        AsUser user(1000, 1001, {7, 8, 9});
        target.emplace(std::move(fd), HelloOptions{.send = all_ones});
    }
    const auto items =
        asker.info(target->id(), KDBUS_ATTACH_CREDS | KDBUS_ATTACH_AUXGROUPS).items();
    REQUIRE(items.size() == 2);
    CHECK(items[0].words() == std::vector<u64>{1000, 1001, 0, 1001, 1000, 1001, 0, 1001});
    CHECK(items[1].words() == std::vector<u64>{7, 8, 9});
}

TEST_CASE("abi 6.8/3 AUXGROUPS is present with no groups") {
    Bus bus;
    Connection asker = bus.connect(), target = connect_as(bus, 1000, {.send = all_ones});
    const auto items = asker.info(target.id(), KDBUS_ATTACH_AUXGROUPS).items();
    REQUIRE(items.size() == 1);
    CHECK(items[0].size == 0);
}

TEST_CASE("abi 6.4/6.8 faked metadata: only what was supplied") {
    Bus bus;
    Connection asker = bus.connect();
    const u64 pid = static_cast<u64>(getpid());
    SECTION("CREDS") {
        kdbus_creds creds{1, 2, 3, 4, 5, 6, 7, 0xffffffff};
        Connection c = bus.connect({.send = all_ones, .creds = creds});
        const Info r = asker.info(c.id(), known_attach_flags);
        CHECK(types(r) == std::vector<u64>{KDBUS_ITEM_CREDS});
        CHECK(r.items()[0].words() == std::vector<u64>{1, 2, 3, 4, 5, 6, 7, 0xffffffff});
    }
    SECTION("PIDS") {
        Connection c = bus.connect({.send = all_ones, .pids = kdbus_pids{1, pid, 0}});
        const Info r = asker.info(c.id(), known_attach_flags);
        CHECK(types(r) == std::vector<u64>{KDBUS_ITEM_PIDS});
        CHECK(r.items()[0].words() == std::vector<u64>{1, pid, 0});
    }
    SECTION("SECLABEL") {
        Connection c = bus.connect({.send = all_ones, .seclabel = "a label"});
        const Info r = asker.info(c.id(), known_attach_flags);
        CHECK(types(r) == std::vector<u64>{KDBUS_ITEM_SECLABEL});
        CHECK(r.items()[0].text() == "a label");
    }
    SECTION("all, with a name and a description") {
        Connection c = bus.connect({.send = all_ones,
                                    .description = "d",
                                    .creds = creds_of(77),
                                    .pids = kdbus_pids{pid, pid, 1},
                                    .seclabel = "l"});
        REQUIRE(c.acquire("a.b") == 0);
        const Info r = asker.info(c.id(), known_attach_flags);
        CHECK(types(r) == std::vector<u64>{KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS, KDBUS_ITEM_SECLABEL,
                                           KDBUS_ITEM_OWNED_NAME, KDBUS_ITEM_CONN_DESCRIPTION});
        CHECK(r.items()[0].words() == std::vector<u64>(8, 77));
    }
    SECTION("the send mask still decides") {
        Connection c = bus.connect({.send = KDBUS_ATTACH_PIDS, .creds = creds_of(77)});
        CHECK(asker.info(c.id(), known_attach_flags).items().empty());
    }
}

TEST_CASE("abi 6.8 ids in the caller's namespaces: overflow ids and pid 0") {
    Bus bus;
    Connection target = bus.connect({.send = all_ones});
    const u64 id = target.id();
    const int rc = in_child([&] {
        if (syscall(SYS_setresgid, 1000, 1000, 1000) || syscall(SYS_setresuid, 1000, 1000, 1000))
            return 1;
        if (unshare(CLONE_NEWUSER | CLONE_NEWPID))
            return 2;
        return in_child([&] {
            Connection c = bus.connect();
            const auto items = c.info(id, KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS).items();
            if (items.size() != 2)
                return 3;
            if (items[0].words() != std::vector<u64>(8, 65534))
                return 4;
            return items[1].words() == std::vector<u64>(3, 0) ? 0 : 5;
        });
    });
    CHECK(rc == 0);
}

TEST_CASE("abi 6.8 CONN_INFO needs no permission") {
    Bus bus;
    Connection root = bus.connect({.send = all_ones}), user = connect_as(bus, 1000);
    REQUIRE(root.acquire("a.b") == 0);
    CHECK(user.info(root.id(), KDBUS_ATTACH_CREDS).items().size() == 1);
    CHECK(user.info(0, 0, "a.b").head().id == root.id());
}

TEST_CASE("abi 6.10 LIST: one record per connection or per selected name") {
    Bus bus;
    Connection a = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}), b = bus.connect(),
               c = bus.connect();
    REQUIRE(a.acquire("a.first") == 0);
    REQUIRE(b.acquire("b.first", KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
    REQUIRE(a.acquire("b.first", KDBUS_NAME_QUEUE) == 0);
    REQUIRE(a.acquire("a.second") == 0);
    struct Row {
        u64 id, flags;
        std::string name;
        u64 name_flags;
        auto operator<=>(const Row&) const = default;
    };
    auto list = [&](u64 flags) {
        std::vector<Row> rows;
        for (const Info& r : c.list(flags)) {
            const auto items = r.items();
            REQUIRE(items.size() <= 1);
            if (items.empty()) {
                CHECK(r.size == 24);
                rows.push_back({r.head().id, r.head().flags, "", 0});
            } else {
                CHECK(items[0].type == KDBUS_ITEM_OWNED_NAME);
                CHECK(r.head().size == align8(24 + 24 + items[0].text(8).size() + 1));
                rows.push_back({r.head().id, r.head().flags, items[0].text(8), items[0].word(0)});
            }
        }
        // Connections in any order, but each one's records together and in order of request.
        for (std::size_t i = 1; i < rows.size(); i++)
            if (rows[i].id != rows[i - 1].id)
                for (std::size_t j = i + 1; j < rows.size(); j++)
                    CHECK(rows[j].id != rows[i - 1].id);
        std::stable_sort(rows.begin(), rows.end(),
                         [](const Row& x, const Row& y) { return x.id < y.id; });
        return rows;
    };
    const Row a_plain{a.id(), 1, "", 0}, b_plain{b.id(), 0, "", 0}, c_plain{c.id(), 0, "", 0};
    const Row a_first{a.id(), 1, "a.first", 0x20}, a_queued{a.id(), 1, "b.first", 0x0c},
        a_second{a.id(), 1, "a.second", 0x20}, b_first{b.id(), 0, "b.first", 0x22};
    using Rows = std::vector<Row>;
    const u64 unique = KDBUS_LIST_UNIQUE, names = KDBUS_LIST_NAMES, queued = KDBUS_LIST_QUEUED,
              activators = KDBUS_LIST_ACTIVATORS;
    CHECK((list(0) == Rows{}));
    CHECK((list(unique) == Rows{a_plain, b_plain, c_plain}));
    CHECK((list(names) == Rows{a_first, a_second, b_first}));
    CHECK((list(queued) == Rows{a_queued}));
    CHECK((list(names | queued) == Rows{a_first, a_queued, a_second, b_first}));
    CHECK((list(unique | names) == Rows{a_first, a_second, b_first, c_plain}));
    CHECK((list(unique | queued) == Rows{a_queued, b_plain, c_plain}));
    CHECK((list(unique | names | queued) == Rows{a_first, a_queued, a_second, b_first, c_plain}));
    CHECK((list(activators) == Rows{}));
    CHECK((list(activators | unique) == Rows{a_plain, b_plain, c_plain}));
}

TEST_CASE("abi 6.10 the example record, byte for byte") {
    Bus bus;
    Connection c = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});
    REQUIRE(c.acquire("foo.bar.baz") == 0);
    const auto records = c.list(KDBUS_LIST_NAMES);
    REQUIRE(records.size() == 1);
    std::vector<u64> expected{64, c.id(), 1, 36, 0x1004, 0x20, 0, 0};
    std::memcpy(&expected[6], "foo.bar.baz", 12);
    CHECK(records[0].record == expected);
}

TEST_CASE("abi 6.10 an empty list takes no slice") {
    Bus bus;
    Connection c = bus.connect({.pool_size = page});
    while (c.info(c.id(), 0, {}, true).error == 0) {
    }
    Command<kdbus_cmd_list> list;
    list->return_flags = 0x99;
    CHECK(c.run(KDBUS_CMD_LIST, list.address()) == 0);
    CHECK(list->offset == c.pool_size());
    CHECK(list->list_size == 0);
    CHECK(list->return_flags == 0);
    list->flags = KDBUS_LIST_NAMES;
    CHECK(c.run(KDBUS_CMD_LIST, list.address()) == 0);
    CHECK(list->offset == c.pool_size());
    list->flags = KDBUS_LIST_UNIQUE;
    CHECK(c.run(KDBUS_CMD_LIST, list.address()) == EXFULL);
    CHECK(c.info(c.id()).error == EXFULL);
}

TEST_CASE("abi 6.10/13.35 LIST shows everybody to everybody") {
    Bus bus;
    Connection root = bus.connect(), user = connect_as(bus, 1000);
    REQUIRE(root.acquire("a.b") == 0);
    CHECK(user.list(KDBUS_LIST_UNIQUE).size() == 2);
    CHECK(user.list(KDBUS_LIST_NAMES).size() == 1);
}
