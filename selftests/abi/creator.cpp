// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 6.9 (BUS_CREATOR_INFO).
#include "support.hpp"

#include <grp.h>

using namespace test;

namespace {

constexpr u64 process = 0x3fff & ~u64{KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_NAMES |
                                      KDBUS_ATTACH_CONN_DESCRIPTION};

struct MadeBus {
    explicit MadeBus(std::optional<u64> attach, u64 flags = 0)
        : name(unique_bus_name()), owner(open_control()) {
        auto c = bus_command(name, flags);
        if (attach)
            c.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, *attach);
        must(command(owner.get(), KDBUS_CMD_BUS_MAKE, c.address()) == 0, "BUS_MAKE");
    }
    Connection connect(const HelloOptions& options = {}) const {
        return Connection(open_node("/dev/kdbus/" + name + "/bus"), options);
    }
    std::string name;
    Fd owner;
};

Info creator(const Connection& c, u64 mask, u64 id = 0) {
    Command<kdbus_cmd_info> cmd;
    cmd->id = id;
    cmd->attach_flags = mask;
    Info r;
    r.error = c.run(KDBUS_CMD_BUS_CREATOR_INFO, cmd.address());
    if (r.error == 0) {
        r.offset = cmd->offset;
        r.size = cmd->info_size;
        r.record.resize(r.size / 8);
        std::memcpy(r.record.data(), c.at(r.offset), r.size);
        must(c.free(r.offset) == 0, "FREE");
    }
    return r;
}

} // namespace

TEST_CASE("abi 6.9/13.19 MAKE_NAME comes first, whatever the creator permitted") {
    MadeBus bus({}, KDBUS_MAKE_ACCESS_GROUP);
    Connection c = bus.connect();
    for (u64 mask : {u64{0}, process, all_ones}) {
        const Info info = creator(c, mask, 12345);
        CHECK(types(info) == std::vector<u64>{KDBUS_ITEM_MAKE_NAME});
        CHECK(info.items()[0].text() == bus.name);
        CHECK(info.head().flags == KDBUS_MAKE_ACCESS_GROUP);
        // A bus and its connections draw from one counter.
        CHECK(info.head().id > 0);
        CHECK(info.head().id < c.id());
        CHECK(info.head().size == info.size);
        CHECK(info.size % 8 == 0);
        // Empty before, the pool yields its start.
        CHECK(info.offset == 0);
    }
}

TEST_CASE("abi 6.9 what was asked for and the creator permitted, in the order of 6.8") {
    MadeBus all(all_ones), some(KDBUS_ATTACH_CREDS | KDBUS_ATTACH_CGROUP | KDBUS_ATTACH_NAMES |
                                KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_CONN_DESCRIPTION);
    Connection c = all.connect(), d = some.connect({.description = "d"});
    auto full = types(creator(c, all_ones));
    // Without a security module there is no label.
    full.erase(std::remove(full.begin(), full.end(), u64{KDBUS_ITEM_SECLABEL}), full.end());
    CHECK(full == std::vector<u64>{KDBUS_ITEM_MAKE_NAME, KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS,
                                   KDBUS_ITEM_AUXGROUPS, KDBUS_ITEM_TID_COMM, KDBUS_ITEM_PID_COMM,
                                   KDBUS_ITEM_EXE, KDBUS_ITEM_CMDLINE, KDBUS_ITEM_CGROUP,
                                   KDBUS_ITEM_CAPS, KDBUS_ITEM_AUDIT});
    CHECK(types(creator(c, KDBUS_ATTACH_PIDS | KDBUS_ATTACH_CREDS)) ==
          std::vector<u64>{KDBUS_ITEM_MAKE_NAME, KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS});
    CHECK(types(creator(d, all_ones)) ==
          std::vector<u64>{KDBUS_ITEM_MAKE_NAME, KDBUS_ITEM_CREDS, KDBUS_ITEM_CGROUP});
}

TEST_CASE("abi 6.9 recorded at BUS_MAKE, of the task that ran it") {
    Fd control = open_control();
    const std::string name = "0-creator" + std::to_string(getpid());
    u64 pid = 0;
    Pipe pids;
    REQUIRE(in_child([&] {
                const u64 own = static_cast<u64>(getpid());
                auto c = bus_command(name);
                c.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, all_ones);
                const gid_t groups[] = {7};
                return write(pids.write.get(), &own, 8) != 8 || setgroups(1, groups) != 0 ||
                       setresgid(5, 6, 5) != 0 ||
                       command(control.get(), KDBUS_CMD_BUS_MAKE, c.address()) != 0;
            }) == 0);
    REQUIRE(read(pids.read.get(), &pid, 8) == 8);
    Connection c(open_node("/dev/kdbus/" + name + "/bus"), {});
    const auto items =
        creator(c, KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_AUXGROUPS).items();
    REQUIRE(items.size() == 4);
    CHECK(items[1].words() == std::vector<u64>{0, 0, 0, 0, 5, 6, 5, 6});
    // The process is gone by now, its numbers are not.
    CHECK(items[2].word(0) != static_cast<u64>(getpid()));
    CHECK(items[3].words() == std::vector<u64>{7});
}

TEST_CASE("abi 6.9 errors: a mask with unknown bits, no room") {
    MadeBus bus(all_ones);
    Connection c = bus.connect({.pool_size = page});
    CHECK(creator(c, u64{1} << 14).error == EINVAL);
    CHECK(creator(c, all_ones - 1).error == EINVAL);
    std::vector<u64> offsets;
    for (;;) {
        Command<kdbus_cmd_info> cmd;
        const int error = c.run(KDBUS_CMD_BUS_CREATOR_INFO, cmd.address());
        if (error) {
            CHECK(error == EXFULL);
            break;
        }
        offsets.push_back(cmd->offset);
        REQUIRE(offsets.size() < 1000);
    }
    CHECK(offsets.size() > 10);
    for (u64 offset : offsets)
        CHECK(c.free(offset) == 0);
    CHECK(creator(c, 0).error == 0);
}
