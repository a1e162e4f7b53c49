// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 2 (nodes) and 6.1 (BUS_MAKE).
#include "nodes.hpp"
#include "support.hpp"

#include <sys/sysmacros.h>

using namespace test;

namespace {

int make(int fd, Plain c) {
    return command(fd, KDBUS_CMD_BUS_MAKE, c.address());
}

int make(const std::string& name, u64 flags = 0) {
    Fd fd = open_control();
    return make(fd.get(), bus_command(name, flags));
}

// BUS_MAKE with a MAKE_NAME item of exactly these bytes.
int make_bytes(const std::string& payload) {
    Plain c;
    c.item(KDBUS_ITEM_MAKE_NAME, payload.data(), payload.size())
        .words(KDBUS_ITEM_BLOOM_PARAMETER, {8, 1});
    Fd fd = open_control();
    return make(fd.get(), std::move(c));
}

} // namespace

TEST_CASE("abi 2.1/2.3 the control node is a character device, root's, 0666") {
    const struct stat st = stat_of("/dev/kdbus/control");
    CHECK(S_ISCHR(st.st_mode));
    CHECK((st.st_mode & 07777) == 0666);
    CHECK(st.st_uid == 0);
    CHECK(st.st_gid == 0);
    CHECK((stat_of("/dev/kdbus").st_mode & 07777) == 0755);
}

TEST_CASE("abi 2.1/13.1 the node is there when BUS_MAKE returns and gone when close returns") {
    for (int i = 0; i < 20; i++) {
        const std::string name = unique_bus_name();
        const std::string path = "/dev/kdbus/" + name + "/bus";
        Fd owner = open_control();
        REQUIRE(make(owner.get(), bus_command(name)) == 0);
        check_life_of_node(path, std::move(owner));
        CHECK(access(("/dev/kdbus/" + name).c_str(), F_OK) == -1);
    }
}

TEST_CASE("abi 2.1 a name is free for reuse when close has returned") {
    const std::string name = unique_bus_name();
    for (int i = 0; i < 20; i++)
        CHECK(make(name) == 0);
}

TEST_CASE("abi 2.1 the bus lives until the last copy of its owner handle is closed") {
    Bus bus;
    Fd copy(fcntl(bus.owner.get(), F_DUPFD_CLOEXEC, 0));
    REQUIRE(copy);
    bus.close();
    CHECK(open_error(bus.path()) == 0);
    Pipe pipe;
    Child child([&] {
        pipe.write.reset();
        char c = 0;
        return static_cast<int>(read(pipe.read.get(), &c, 1));
    });
    copy.reset();
    CHECK(open_error(bus.path()) == 0);
    pipe.write.reset();
    CHECK(child.wait() == 0);
    CHECK(open_error(bus.path()) == ENOENT);
}

TEST_CASE("abi 2.2/1-4 form of names") {
    check_forms_of_names(make_bytes);
}

TEST_CASE("abi 2.2/4 every byte value inside a name") {
    const std::string own = std::to_string(geteuid()) + "-";
    for (int c = 1; c < 256; c++) {
        const bool valid = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.';
        CAPTURE(c);
        CHECK(make(own + "x" + static_cast<char>(c) + "x") == (valid ? 0 : EINVAL));
    }
}

TEST_CASE("abi 2.2/5 the prefix is the effective uid, without leading zeros, for root too") {
    const std::string tail = "t" + std::to_string(getpid());
    for (const char* prefix :
         {"", "-", "1-", "1000-", "00-", "+0-", "0x0-", "0_", "0.", "4294967295-", "4294967296-"}) {
        CAPTURE(prefix);
        CHECK(make(prefix + tail) == EINVAL);
    }
    CHECK(make("0" + tail) == EINVAL);
    AsUser user(1000);
    CHECK(make("0-" + tail) == EINVAL);
    CHECK(make("01000-" + tail) == EINVAL);
    CHECK(make("1000" + tail) == EINVAL);
    CHECK(make("10001-" + tail) == EINVAL);
    CHECK(make("1000-" + tail) == 0);
}

TEST_CASE("abi 2.2/5 the prefix follows the current effective uid, not the opener's") {
    Fd fd = open_control();
    const std::string tail = "t" + std::to_string(getpid());
    AsUser user(1001, 1000);
    CHECK(make(fd.get(), bus_command("0-" + tail)) == EINVAL);
    CHECK(make(fd.get(), bus_command("1001-" + tail)) == EINVAL);
    CHECK(make(fd.get(), bus_command("1000-" + tail)) == 0);
    const struct stat st = stat_of("/dev/kdbus/1000-" + tail + "/bus");
    CHECK(st.st_uid == 1000);
    CHECK(st.st_gid == 1000);
}

TEST_CASE("abi 2.2/5 in a child user namespace the prefix is the outside uid") {
    const int rc = in_child([] {
        if (syscall(SYS_setresgid, 1000, 1000, 1000) || syscall(SYS_setresuid, 1000, 1000, 1000))
            return 1;
        if (unshare(CLONE_NEWUSER))
            return 2;
        const std::string tail = "t" + std::to_string(getpid());
        auto attempt = [&](const std::string& name) {
            Fd fd(::open("/dev/kdbus/control", O_RDWR | O_CLOEXEC));
            return make(fd.get(), bus_command(name));
        };
        if (attempt("65534-" + tail) != EINVAL)
            return 3;
        if (attempt("0-" + tail) != EINVAL)
            return 4;
        return attempt("1000-" + tail) == 0 ? 0 : 5;
    });
    CHECK(rc == 0);
}

TEST_CASE("abi 2.2/6 a name in use is EEXIST, after the prefix check") {
    Bus bus;
    CHECK(make(bus.name) == EEXIST);
    AsUser user(1000);
    CHECK(make(bus.name) == EINVAL);
}

TEST_CASE("abi 2.3 owner, group and mode of the default endpoint") {
    struct Row {
        u64 flags;
        mode_t mode;
    };
    const Row rows[] = {
        {0, 0600},
        {KDBUS_MAKE_ACCESS_GROUP, 0660},
        {KDBUS_MAKE_ACCESS_WORLD, 0666},
        {KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD, 0666},
    };
    const mode_t old_mask = umask(0777);
    for (const Row& row : rows) {
        CAPTURE(row.flags);
        Bus bus({.flags = row.flags});
        const struct stat st = stat_of(bus.path());
        CHECK((st.st_mode & 07777) == row.mode);
        CHECK(st.st_uid == 0);
        CHECK(st.st_gid == 0);
        CHECK((stat_of(bus.directory()).st_mode & 07777) == 0755);
        Connection c = bus.connect();
        CHECK(c.hello.bus_flags == row.flags);
    }
    umask(old_mask);
}

TEST_CASE("abi 2.3 open is decided by the mode: EACCES") {
    for (u64 flags : {u64{0}, u64{KDBUS_MAKE_ACCESS_GROUP}, u64{KDBUS_MAKE_ACCESS_WORLD}}) {
        CAPTURE(flags);
        std::string path;
        std::unique_ptr<Bus> bus;
        {
            AsUser user(1000);
            bus = std::make_unique<Bus>(BusOptions{.flags = flags});
            path = bus->path();
            CHECK(open_error(path) == 0);
        }
        const bool world = flags == KDBUS_MAKE_ACCESS_WORLD;
        const bool group = flags == KDBUS_MAKE_ACCESS_GROUP;
        {
            AsUser user(1001);
            CHECK(open_error(path) == (world ? 0 : EACCES));
            CHECK(open_error(path, O_RDONLY) == (world ? 0 : EACCES));
        }
        {
            AsUser user(1001, 1001, {1000});
            CHECK(open_error(path) == (world || group ? 0 : EACCES));
        }
        CHECK(open_error(path) == 0);
    }
}

TEST_CASE("abi 2.3 no ioctl looks at the open mode") {
    Bus bus;
    Connection reader(bus.open(O_RDONLY | O_CLOEXEC), {});
    CHECK(reader.acquire("a.reader") == 0);
    CHECK(reader.send(Message(reader.id()).body("to myself")) == 0);
    CHECK(reader.take().body() == "to myself");

    Fd writer = bus.open(O_WRONLY | O_CLOEXEC);
    auto c = hello_command();
    CHECK(command(writer.get(), KDBUS_CMD_HELLO, c.address()) == 0);
    CHECK(mmap(nullptr, c->pool_size, PROT_READ, MAP_SHARED, writer.get(), 0) == MAP_FAILED);
    CHECK(errno == EACCES);

    const std::string name = unique_bus_name();
    Fd control = open_node("/dev/kdbus/control", O_RDONLY | O_CLOEXEC);
    CHECK(make(control.get(), bus_command(name)) == 0);
}

TEST_CASE("abi 6.1 bloom parameters") {
    struct Row {
        u64 size, n_hash;
        int error;
    };
    const Row rows[] = {
        {0, 1, EINVAL},
        {7, 1, EINVAL},
        {8, 1, 0},
        {8, 0, EINVAL},
        {9, 1, EINVAL},
        {12, 1, EINVAL},
        {16, all_ones, 0},
        {64, 8, 0},
        {4096, 1, 0},
        {4097, 1, EINVAL},
        {4104, 1, EINVAL},
        {u64{1} << 32, 1, EINVAL},
        {all_ones, 1, EINVAL},
        {(u64{1} << 32) + 8, 1, EINVAL},
    };
    for (const Row& row : rows) {
        CAPTURE(row.size, row.n_hash);
        Fd fd = open_control();
        CHECK(make(fd.get(), bus_command(unique_bus_name(), 0, row.size, row.n_hash)) == row.error);
    }
}

TEST_CASE("abi 6.1 the attach mask of the creator") {
    struct Row {
        u64 mask;
        int error;
    };
    for (const Row& row : {Row{0, 0}, Row{known_attach_flags, 0}, Row{all_ones, 0},
                           Row{known_attach_flags + 1, EINVAL}, Row{u64{1} << 63, EINVAL},
                           Row{all_ones - 1, EINVAL}}) {
        CAPTURE(row.mask);
        auto c = bus_command(unique_bus_name());
        c.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, row.mask);
        Fd fd = open_control();
        CHECK(make(fd.get(), std::move(c)) == row.error);
    }
}

TEST_CASE("abi 6.1 a bad bloom or mask comes before EEXIST") {
    Bus bus;
    Fd fd = open_control();
    CHECK(make(fd.get(), bus_command(bus.name, 0, 4, 1)) == EINVAL);
    auto c = bus_command(bus.name);
    c.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, u64{1} << 40);
    CHECK(make(fd.get(), std::move(c)) == EINVAL);
    CHECK(make(fd.get(), bus_command(bus.name)) == EEXIST);
}

TEST_CASE("abi 6.1 MAKE_NAME and BLOOM_PARAMETER are mandatory, in any order") {
    const std::string name = unique_bus_name();
    Fd fd = open_control();
    CHECK(make(fd.get(), Plain()) == EINVAL);
    Plain no_bloom;
    no_bloom.text(KDBUS_ITEM_MAKE_NAME, name);
    CHECK(make(fd.get(), std::move(no_bloom)) == EINVAL);
    Plain no_name;
    no_name.words(KDBUS_ITEM_BLOOM_PARAMETER, {8, 1});
    CHECK(make(fd.get(), std::move(no_name)) == EINVAL);
    Plain reverse;
    reverse.words(KDBUS_ITEM_BLOOM_PARAMETER, {8, 1}).text(KDBUS_ITEM_MAKE_NAME, name);
    CHECK(make(fd.get(), std::move(reverse)) == 0);
}

TEST_CASE("abi 13.2 a failing BUS_MAKE leaves the handle fresh, a success fixes its role") {
    Bus other;
    Fd fd = open_control();
    CHECK(make(fd.get(), bus_command("foo")) == EINVAL);
    CHECK(make(fd.get(), bus_command(other.name)) == EEXIST);
    CHECK(make(fd.get(), bus_command(unique_bus_name())) == 0);
    CHECK(make(fd.get(), bus_command(unique_bus_name())) == EBADFD);
}

TEST_CASE("abi 12 sixteen buses per real uid, inclusive") {
    constexpr uid_t real = 3001, other = 3002, effective = 3003;
    std::vector<std::unique_ptr<Bus>> buses;
    {
        AsUser user(real, effective);
        for (int i = 0; i < KDBUS_USER_MAX_BUSES; i++)
            buses.push_back(std::make_unique<Bus>());
        Fd fd = open_control();
        CHECK(make(fd.get(), bus_command(unique_bus_name())) == EMFILE);
        // The checks before the limit still decide.
        CHECK(make(fd.get(), bus_command(buses[0]->name)) == EEXIST);
        CHECK(make(fd.get(), bus_command("0-x")) == EINVAL);
        buses.pop_back();
        CHECK(make(fd.get(), bus_command(unique_bus_name())) == 0);
        CHECK(make(unique_bus_name()) == EMFILE);
    }
    // Another real uid with the same effective uid is another account.
    AsUser user(other, effective);
    CHECK(make(unique_bus_name()) == 0);
}

TEST_CASE("abi 12 the limit of buses counts the current real uid, not the opener's; root too") {
    std::vector<std::unique_ptr<Bus>> buses;
    for (int i = 0; i < KDBUS_USER_MAX_BUSES; i++)
        buses.push_back(std::make_unique<Bus>());
    CHECK(make(unique_bus_name()) == EMFILE);
    Fd opened_by_root = open_control();
    AsUser user(3004);
    CHECK(make(opened_by_root.get(), bus_command(unique_bus_name())) == 0);
}

TEST_CASE("abi 4.2 BUS_MAKE is undone if its result cannot be written") {
    const std::string name = unique_bus_name();
    GuardedPages pages(1);
    auto c = bus_command(name);
    void* at = pages.place(c.address(), align8(c->size));
    pages.read_only(true);
    Fd fd = open_control();
    CHECK(command(fd.get(), KDBUS_CMD_BUS_MAKE, at) == EFAULT);
    CHECK(open_error("/dev/kdbus/" + name + "/bus") == ENOENT);
    CHECK(make(fd.get(), bus_command(name)) == 0);
}

TEST_CASE("abi 2.4/5.1 two tasks race for one handle or one name: one wins") {
    for (int i = 0; i < 10; i++) {
        const std::string name = unique_bus_name();
        Fd fd = open_control();
        auto attempt = [&] {
            return make(fd.get(), bus_command(name));
        };
        auto other = std::async(std::launch::async, attempt);
        const int mine = attempt(), theirs = other.get();
        CAPTURE(mine, theirs);
        CHECK(((mine == 0 && theirs == EBADFD) || (mine == EBADFD && theirs == 0)));
    }
    for (int i = 0; i < 10; i++) {
        const std::string name = unique_bus_name();
        Fd a = open_control(), b = open_control();
        auto other =
            std::async(std::launch::async, [&] { return make(a.get(), bus_command(name)); });
        const int mine = make(b.get(), bus_command(name)), theirs = other.get();
        CAPTURE(mine, theirs);
        CHECK(((mine == 0 && theirs == EEXIST) || (mine == EEXIST && theirs == 0)));
    }
}
