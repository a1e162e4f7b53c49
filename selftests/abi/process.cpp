// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 9.2-9.4: EXE, CMDLINE, CGROUP, CAPS, SECLABEL and AUDIT, which describe a process;
// the order of all kinds; the module parameter that withholds metadata.
#include "support.hpp"

#include <fstream>
#include <iterator>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>

using namespace test;

namespace {

constexpr u64 procish = KDBUS_ATTACH_TID_COMM | KDBUS_ATTACH_PID_COMM | KDBUS_ATTACH_EXE |
                        KDBUS_ATTACH_CMDLINE | KDBUS_ATTACH_CGROUP | KDBUS_ATTACH_CAPS |
                        KDBUS_ATTACH_SECLABEL | KDBUS_ATTACH_AUDIT;
constexpr const char* parameter = "/sys/module/kdbus/parameters/attach_flags_mask";

std::string slurp(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string line(std::string text) {
    return text.substr(0, text.find_first_of(std::string_view("\n\0", 2)));
}

// The value of a line "Key:\tvalue" of /proc/self/status.
std::string status(const std::string& key) {
    std::istringstream lines(slurp("/proc/thread-self/status"));
    for (std::string text; std::getline(lines, text);)
        if (text.rfind(key + ":", 0) == 0)
            return text.substr(text.find_first_not_of(" \t", key.size() + 1));
    return {};
}

std::string own_exe() {
    std::string path(4096, 0);
    path.resize(static_cast<std::size_t>(readlink("/proc/self/exe", path.data(), path.size())));
    return path;
}

// The path in the unified hierarchy, from its root.
std::string own_cgroup() {
    std::istringstream lines(slurp("/proc/self/cgroup"));
    for (std::string text; std::getline(lines, text);)
        if (text.rfind("0::", 0) == 0)
            return text.substr(3);
    return {};
}

// Label of the process, as the security modules that have one tell; empty without.
std::string own_label() {
    return line(slurp("/proc/self/attr/current"));
}

// last_cap, then the four sets.
std::vector<u32> own_caps() {
    u32 last = 0;
    while (prctl(PR_CAPBSET_READ, last + 1) >= 0)
        last++;
    std::vector<u32> words = {last};
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd"}) {
        const u64 value = std::stoull(status(set), nullptr, 16);
        words.push_back(static_cast<u32>(value));
        words.push_back(static_cast<u32>(value >> 32));
    }
    return words;
}

std::vector<u32> words32(const Item& item) {
    std::vector<u32> words;
    for (int value : item.ints())
        words.push_back(static_cast<u32>(value));
    return words;
}

// The sets of a CAPS item: inheritable, permitted, effective, bounding.
std::vector<u64> sets(const Item& item) {
    const auto words = words32(item);
    std::vector<u64> result;
    for (std::size_t i = 1; i + 1 < words.size(); i += 2)
        result.push_back(words[i] | u64{words[i + 1]} << 32);
    return result;
}

u64 known_caps() {
    return (u64{2} << own_caps()[0]) - 1;
}

// What a receiver that asks for `mask` gets from a child that ran `become` before SEND.
template <class F>
Received from_child(const Bus& bus, u64 mask, F become) {
    Connection receiver = bus.connect({.recv = mask});
    const u64 id = receiver.id();
    const int error = in_child([&] {
        Connection sender = bus.connect();
        return become() ? 255 : sender.send(Message(id));
    });
    must(error == 0, "a child that sends");
    return receiver.take();
}

// Where arguments lie in the memory of this process.
std::pair<char*, char*> argument_area() {
    std::istringstream text(slurp("/proc/self/stat"));
    text.ignore(4096, ')');
    std::vector<std::string> fields{std::istream_iterator<std::string>(text), {}};
    // Fields 48 and 49 of proc(5); the first here is field 3.
    return {reinterpret_cast<char*>(std::stoull(fields.at(45))),
            reinterpret_cast<char*>(std::stoull(fields.at(46)))};
}

// Moves this process's argument area to `n` bytes at `at`.
int set_arguments(const void* at, std::size_t n) {
    const unsigned long start = reinterpret_cast<unsigned long>(at);
    if (prctl(PR_SET_MM, PR_SET_MM_ARG_START, start, 0, 0) ||
        prctl(PR_SET_MM, PR_SET_MM_ARG_END, start + n, 0, 0))
        return errno;
    return 0;
}

struct WithheldMetadata {
    explicit WithheldMetadata(u64 mask) : before(slurp(parameter)) {
        std::ofstream(parameter) << mask;
    }
    ~WithheldMetadata() { std::ofstream(parameter) << before; }
    std::string before;
};

} // namespace

TEST_CASE("messages 9.2/6-11 what describes a process, against what /proc says of it") {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.recv = all_ones});
    REQUIRE(sender.send(Message(receiver.id())) == 0);
    const Received r = receiver.take();
    CHECK(r.get(KDBUS_ITEM_EXE).text() == own_exe());
    CHECK(r.get(KDBUS_ITEM_CMDLINE).text() == line(slurp("/proc/self/cmdline")));
    CHECK(r.get(KDBUS_ITEM_CGROUP).text() == own_cgroup());
    CHECK(r.get(KDBUS_ITEM_CAPS).size == 36);
    CHECK(words32(r.get(KDBUS_ITEM_CAPS)) == own_caps());
    CHECK(r.count(KDBUS_ITEM_SECLABEL) == (own_label().empty() ? 0 : 1));
    if (!own_label().empty())
        CHECK(r.get(KDBUS_ITEM_SECLABEL).text() == own_label());
    CHECK(r.get(KDBUS_ITEM_AUDIT).size == 8);
    CHECK(words32(r.get(KDBUS_ITEM_AUDIT)) ==
          std::vector<u32>{static_cast<u32>(std::stoul(slurp("/proc/self/sessionid"))),
                           static_cast<u32>(std::stoul(slurp("/proc/self/loginuid")))});
}

TEST_CASE("messages 9.2 all kinds, in order") {
    Bus bus;
    Connection sender = bus.connect({.description = "d"}),
               receiver = bus.connect({.recv = all_ones});
    REQUIRE(sender.acquire("a.b") == 0);
    REQUIRE(sender.send(Message(receiver.id())) == 0);
    std::vector<u64> expected = {KDBUS_ITEM_CREDS,
                                 KDBUS_ITEM_PIDS,
                                 KDBUS_ITEM_AUXGROUPS,
                                 KDBUS_ITEM_TID_COMM,
                                 KDBUS_ITEM_PID_COMM,
                                 KDBUS_ITEM_EXE,
                                 KDBUS_ITEM_CMDLINE,
                                 KDBUS_ITEM_CGROUP,
                                 KDBUS_ITEM_CAPS,
                                 KDBUS_ITEM_SECLABEL,
                                 KDBUS_ITEM_AUDIT,
                                 KDBUS_ITEM_OWNED_NAME,
                                 KDBUS_ITEM_CONN_DESCRIPTION,
                                 KDBUS_ITEM_TIMESTAMP};
    if (own_label().empty())
        expected.erase(std::find(expected.begin(), expected.end(), u64{KDBUS_ITEM_SECLABEL}));
    CHECK(types(receiver.take().items()) == expected);
}

TEST_CASE("abi 6.8/4-11 CONN_INFO tells what was recorded at HELLO") {
    Bus bus;
    Connection target = bus.connect({.send = all_ones}), caller = bus.connect();
    const std::string cgroup = own_cgroup(), label = own_label(), exe = own_exe();
    const auto caps = own_caps();
    // A process without capabilities that uses the handle changes nothing.
    CHECK(in_child([&] {
              AsUser user(1000);
              const auto items = target.info(target.id(), KDBUS_ATTACH_CAPS).items();
              return items.size() == 1 && words32(items[0]) == caps ? 0 : 1;
          }) == 0);
    const auto items = caller.info(target.id(), procish).items();
    CHECK(find_item(items, KDBUS_ITEM_EXE)->text() == exe);
    CHECK(find_item(items, KDBUS_ITEM_CMDLINE)->text() == line(slurp("/proc/self/cmdline")));
    CHECK(find_item(items, KDBUS_ITEM_CGROUP)->text() == cgroup);
    CHECK(words32(*find_item(items, KDBUS_ITEM_CAPS)) == caps);
    CHECK(count_items(items, KDBUS_ITEM_SECLABEL) == (label.empty() ? 0 : 1));
    CHECK(count_items(items, KDBUS_ITEM_AUDIT) == 1);
    // Only what the target permits.
    Connection closed = bus.connect({.send = KDBUS_ATTACH_CGROUP});
    CHECK(types(caller.info(closed.id(), procish).items()) == std::vector<u64>{KDBUS_ITEM_CGROUP});
}

TEST_CASE("messages 9.2/6 EXE only where sender and receiver share the root directory") {
    Bus bus;
    const u64 mask = KDBUS_ATTACH_EXE | KDBUS_ATTACH_CMDLINE;
    CHECK(types(from_child(bus, mask, [] { return chroot("/tmp"); }).items()) ==
          std::vector<u64>{KDBUS_ITEM_CMDLINE});
    CHECK(types(from_child(bus, mask, [] { return chroot("/"); }).items()) ==
          std::vector<u64>{KDBUS_ITEM_EXE, KDBUS_ITEM_CMDLINE});
    // CONN_INFO: the querying task's root against its connection's at HELLO.
    Connection c = bus.connect({.send = all_ones});
    CHECK(c.info(c.id(), KDBUS_ATTACH_EXE).items().size() == 1);
    CHECK(in_child([&] {
              return chroot("/tmp") ? 1 : c.info(c.id(), KDBUS_ATTACH_EXE).items().empty() ? 0 : 2;
          }) == 0);
}

TEST_CASE("messages 9.4/14.9 CMDLINE: the first argument as it is now, or nothing") {
    Bus bus;
    const auto [begin, end] = argument_area();
    REQUIRE(begin < end);
    REQUIRE(std::string(begin) == line(slurp("/proc/self/cmdline")));
    auto sent_after = [&](auto become) {
        const Received r = from_child(bus, KDBUS_ATTACH_CMDLINE, become);
        auto item = r.find(KDBUS_ITEM_CMDLINE);
        return item ? std::optional(item->text()) : std::nullopt;
    };
    char *from = begin, *to = end;
    CHECK(sent_after([&] { return std::strcpy(from, "x y") == nullptr; }) == "x y");
    CHECK(sent_after([&] { return (*from = 0); }) == "");
    // No NUL in the argument area.
    CHECK(sent_after([&] {
              std::fill(from, to, 'x');
              return 0;
          }) == std::nullopt);
    // An argument area that cannot be read: gone, or there without access.
    const u64 first = address_of(from) & ~(page - 1), size = address_of(to) - first;
    void* const area = reinterpret_cast<void*>(first);
    CHECK(sent_after([&] { return munmap(area, size); }) == std::nullopt);
    CHECK(sent_after([&] { return mprotect(area, size, PROT_NONE); }) == std::nullopt);
}

TEST_CASE("messages 9.3 CAPS of a sender without capabilities") {
    Bus bus;
    const Received r = from_child(bus, KDBUS_ATTACH_CAPS, [] {
        // Real: the handle was opened before, and stays the bus owner's.
        return syscall(SYS_setresuid, 1000, 1000, 1000) != 0;
    });
    CHECK(sets(r.get(KDBUS_ITEM_CAPS)) == std::vector<u64>{0, 0, 0, known_caps()});
}

TEST_CASE("messages 9.3 CAPS, translated into the receiver's user namespace") {
    Bus bus;
    // The receiver's namespace belongs to uid 1000, or to 1001.
    for (uid_t owner : {1000u, 1001u}) {
        CAPTURE(owner);
        Pipe ids;
        Child receiver([&] {
            if (syscall(SYS_setresgid, owner, owner, owner) ||
                syscall(SYS_setresuid, owner, owner, owner) || unshare(CLONE_NEWUSER))
                return 1;
            Connection c = bus.connect({.recv = KDBUS_ATTACH_CAPS});
            const u64 id = c.id();
            if (write(ids.write.get(), &id, 8) != 8)
                return 2;
            auto next = [&] {
                return c.readable(10'000) ? sets(c.take().get(KDBUS_ITEM_CAPS))
                                          : std::vector<u64>{};
            };
            const u64 all = known_caps();
            // From effective uid 1000: all ones if the namespace is its own, else verbatim.
            if (next() != (owner == 1000 ? std::vector<u64>{0, all, all, all}
                                         : std::vector<u64>{0, 0, 0, all}))
                return 3;
            return 0;
        });
        u64 id = 0;
        REQUIRE(read(ids.read.get(), &id, 8) == 8);
        Connection sender = bus.connect();
        CHECK(in_child([&] {
                  return syscall(SYS_setresuid, 1000, 1000, 1000) ? 255 : sender.send(Message(id));
              }) == 0);
        CHECK(receiver.wait() == 0);
    }
    // A sender in a child of the receiver's namespace has none.
    const Received r =
        from_child(bus, KDBUS_ATTACH_CAPS, [] { return unshare(CLONE_NEWUSER) != 0; });
    CHECK(sets(r.get(KDBUS_ITEM_CAPS)) == std::vector<u64>(4, 0));
}

TEST_CASE("messages 9.2/11 AUDIT: a login id that is not mapped is unset") {
    Bus bus;
    Pipe ids;
    Child receiver([&] {
        if (unshare(CLONE_NEWUSER))
            return 1;
        Connection c = bus.connect({.recv = KDBUS_ATTACH_AUDIT});
        const u64 id = c.id();
        if (write(ids.write.get(), &id, 8) != 8 || !c.readable(10'000))
            return 2;
        return words32(c.take().get(KDBUS_ITEM_AUDIT)).at(1) == 0xffffffff ? 0 : 3;
    });
    u64 id = 0;
    REQUIRE(read(ids.read.get(), &id, 8) == 8);
    Connection sender = bus.connect();
    REQUIRE(in_child([&] {
                std::ofstream("/proc/self/loginuid") << 1234;
                return slurp("/proc/self/loginuid") == "1234" ? sender.send(Message(id)) : 255;
            }) == 0);
    CHECK(receiver.wait() == 0);
}

TEST_CASE("messages 9.1 what a procfs of the receiver would not show, the sender must permit") {
    Bus bus;
    Connection denies = bus.connect(), permits = bus.connect({.send = all_ones});
    // What is known of this process, as it sees it itself.
    Connection own = bus.connect({.recv = all_ones});
    REQUIRE(denies.send(Message(own.id())) == 0);
    const std::vector<u64> whole = types(own.take().items());
    CHECK(whole.size() > 10);
    // A receiver in a child pid namespace cannot see this process.
    Pipe ids;
    Child child([&] {
        if (unshare(CLONE_NEWPID))
            return 1;
        return in_child([&] {
            Connection c = bus.connect({.recv = all_ones});
            const u64 id = c.id();
            if (write(ids.write.get(), &id, 8) != 8)
                return 2;
            if (!eventually([&] { return c.list(KDBUS_LIST_NAMES).size() == 1; }, 60'000))
                return 3;
            const std::vector<u64> base{KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS, KDBUS_ITEM_AUXGROUPS,
                                        KDBUS_ITEM_TIMESTAMP};
            if (types(c.take().items()) != base)
                return 4;
            return types(c.take().items()) == whole ? 0 : 5;
        });
    });
    u64 id = 0;
    REQUIRE(read(ids.read.get(), &id, 8) == 8);
    REQUIRE(denies.send(Message(id)) == 0);
    REQUIRE(permits.send(Message(id)) == 0);
    REQUIRE(denies.acquire("both.sent") == 0);
    CHECK(child.wait() == 0);
}

TEST_CASE("messages 9.2/6 EXE and CMDLINE of a program that was executed, and deleted") {
    Bus bus;
    Connection c =
        bus.connect({.recv = KDBUS_ATTACH_EXE | KDBUS_ATTACH_CMDLINE | KDBUS_ATTACH_TID_COMM});
    const std::string copy = "/tmp/kdbus-" + std::to_string(getpid());
    // Sends an empty message over an inherited connection.
    const std::string script =
        "import ctypes,os,struct,sys\n"
        "if sys.argv[3]=='gone': os.unlink('" +
        copy +
        "')\n"
        "m=ctypes.create_string_buffer(struct.pack('=QQqQQQQQ',64,0,0,int(sys.argv[2]),0," +
        std::to_string(payload_type) +
        ",1,0))\n"
        "s=ctypes.create_string_buffer(struct.pack('=7Q',56,0,0,ctypes.addressof(m),0,0,0))\n"
        "send=ctypes.c_ulong(" +
        std::to_string(KDBUS_CMD_SEND) +
        ")\n"
        "sys.exit(ctypes.CDLL(None).ioctl(int(sys.argv[1]),send,s) != 0)\n";
    REQUIRE(sizeof(kdbus_msg) == 64);
    REQUIRE(sizeof(kdbus_cmd_send) == 56);
    REQUIRE(std::system(("cp -L /usr/bin/python3 " + copy).c_str()) == 0);
    for (const char* mode : {"there", "gone"}) {
        REQUIRE(in_child([&] {
                    const std::string fd = std::to_string(dup(c.fd())), id = std::to_string(c.id());
                    execl(copy.c_str(), "the first", "-I", "-c", script.c_str(), fd.c_str(),
                          id.c_str(), mode, nullptr);
                    return 1;
                }) == 0);
        const Received r = c.take();
        CHECK(r.get(KDBUS_ITEM_EXE).text() ==
              copy + (mode == std::string("gone") ? " (deleted)" : ""));
        CHECK(r.get(KDBUS_ITEM_CMDLINE).text() == "the first");
        CHECK(r.get(KDBUS_ITEM_TID_COMM).text() == copy.substr(5, 15));
    }
    CHECK(access(copy.c_str(), F_OK) != 0);
}

TEST_CASE("messages 9.2/6 EXE only if it can be reached from the shared root directory") {
    Bus bus;
    const u64 wanted = KDBUS_ATTACH_EXE | KDBUS_ATTACH_CMDLINE;
    const std::vector<u64> rest{KDBUS_ITEM_CMDLINE};
    Connection c = bus.connect();
    CHECK(in_child([&] {
              Fd fd = bus.open();
              Fd root = open_node("/", O_RDONLY | O_DIRECTORY);
              if (chroot("/proc"))
                  return 1;
              Connection other(std::move(fd), {.recv = wanted});
              // Shared, but the executable is not below it.
              if (c.send(Message(other.id())) || types(other.take().items()) != rest)
                  return 2;
              // The receiver's root is the one it had at HELLO.
              if (fchdir(root.get()) || chroot(".") || c.send(Message(other.id())))
                  return 3;
              return types(other.take().items()) == rest ? 0 : 4;
          }) == 0);
}

TEST_CASE("messages 9.4/14.9 an odd argument area makes nothing fail, and nothing is cut") {
    Bus bus;
    Connection c = bus.connect({.recv = KDBUS_ATTACH_CMDLINE});
    const std::string just(4094, 'x'), big(2 * page, 'x');
    const std::vector<std::pair<std::string, std::optional<std::string>>> areas{
        {std::string("one\0two\0", 8), "one"},
        {std::string("\0one\0", 5), ""},
        {just + '\0' + "two", just},
        {"", std::nullopt},
        {"no end", std::nullopt},
        {big, std::nullopt},
        {big + '\0', std::nullopt}};
    for (const auto& [area, seen] : areas) {
        CAPTURE(area.size());
        CHECK(in_child([&, &area = area, &seen = seen] {
                  void* at = mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                  std::memcpy(at, area.data(), area.size());
                  if (set_arguments(at, area.size()))
                      return 1;
                  auto right = [&](const std::vector<Item>& items) {
                      return seen ? items.size() == 1 && items[0].text() == *seen : items.empty();
                  };
                  // BUS_MAKE, HELLO and SEND.
                  Bus other;
                  Connection target = bus.connect({.send = all_ones});
                  const Info info = c.info(target.id(), KDBUS_ATTACH_CMDLINE);
                  if (!right(info.items()))
                      return 2;
                  if (c.send(Message(c.id())))
                      return 3;
                  const Received r = c.take();
                  return right(r.items()) ? 0 : 4;
              }) == 0);
    }
}

TEST_CASE("messages 9.2/8 CGROUP is the sender's own, from the root of the hierarchy") {
    Bus bus;
    Connection c = bus.connect({.recv = KDBUS_ATTACH_CGROUP});
    const std::string mount = "/sys/fs/cgroup", path = "/kdbus-" + std::to_string(getpid());
    REQUIRE(mkdir((mount + path).c_str(), 0755) == 0);
    const int rc = in_child([&] {
        std::ofstream(mount + path + "/cgroup.procs") << getpid() << std::flush;
        if (c.send(Message(c.id())))
            return 1;
        // Not translated to a cgroup namespace.
        return unshare(CLONE_NEWCGROUP) ? 2 : c.send(Message(c.id()));
    });
    CHECK(eventually([&] { return rmdir((mount + path).c_str()) == 0; }));
    REQUIRE(rc == 0);
    CHECK(c.take().get(KDBUS_ITEM_CGROUP).text() == path);
    CHECK(c.take().get(KDBUS_ITEM_CGROUP).text() == path);
    REQUIRE(c.send(Message(c.id())) == 0);
    CHECK(c.take().get(KDBUS_ITEM_CGROUP).text() == own_cgroup());
}

TEST_CASE("messages 9.3 CAPS: the owner of the namespace below the sender's decides, not that of "
          "the reader's") {
    Bus bus;
    Connection sender = bus.connect();
    const u64 known = known_caps();
    const std::vector<u64> all{0, known, known, known};
    Pipe up, down;
    auto signal = [](const Pipe& to, u64 value) {
        return write(to.write.get(), &value, 8) == 8;
    };
    auto await = [](const Pipe& from) {
        u64 value = 0;
        must(read(from.read.get(), &value, 8) == 8, "peer");
        return value;
    };
    // Receivers in a namespace of user 1000 and in one of user 1001 below that.
    Child child([&] {
        if (syscall(SYS_setresgid, 1000, 1000, 1000) || syscall(SYS_setresuid, 1000, 1000, 1000) ||
            unshare(CLONE_NEWUSER) || !signal(up, 1))
            return 1;
        await(down);
        Connection first = bus.connect({.recv = KDBUS_ATTACH_CAPS});
        if (syscall(SYS_setresuid, 1, 1, 1) || unshare(CLONE_NEWUSER))
            return 2;
        Connection second = bus.connect({.recv = KDBUS_ATTACH_CAPS});
        if (!signal(up, first.id()) || !signal(up, second.id()))
            return 3;
        await(down);
        const u64 euids[] = {0, 1000, 1001};
        for (const Connection* c : {&first, &second}) {
            for (u64 euid : euids) {
                // Nothing is effective for users but root; permitted stays.
                const std::vector<u64> own{0, known, euid == 0 ? known : 0, known};
                const Received r = c->take();
                if (sets(r.get(KDBUS_ITEM_CAPS)) != (euid == 1000 ? all : own))
                    return 10 + static_cast<int>(euid % 10) + (c == &second ? 2 : 0);
            }
        }
        return 0;
    });
    await(up);
    std::ofstream("/proc/" + std::to_string(child.pid()) + "/uid_map") << "0 1000 2" << std::flush;
    std::ofstream("/proc/" + std::to_string(child.pid()) + "/gid_map") << "0 1000 2" << std::flush;
    REQUIRE(signal(down, 1));
    const u64 first = await(up), second = await(up);
    for (u64 id : {first, second}) {
        for (uid_t euid : {0u, 1000u, 1001u}) {
            CAPTURE(euid);
            // Send with root's connection, to which everything is allowed.
            AsUser user(0, euid);
            REQUIRE(sender.send(Message(id)) == 0);
        }
    }
    REQUIRE(signal(down, 1));
    CHECK(child.wait() == 0);
}

TEST_CASE("design: the module parameter attach_flags_mask withholds metadata from everybody") {
    Bus bus;
    Connection sender = bus.connect({.send = all_ones}), receiver = bus.connect({.recv = all_ones});
    auto seen = [&] {
        REQUIRE(sender.send(Message(receiver.id())) == 0);
        return types(receiver.take().items());
    };
    {
        WithheldMetadata mask(KDBUS_ATTACH_PIDS | KDBUS_ATTACH_EXE);
        CHECK(seen() == std::vector<u64>{KDBUS_ITEM_PIDS, KDBUS_ITEM_EXE});
        CHECK(types(receiver.info(sender.id(), all_ones).items()) ==
              std::vector<u64>{KDBUS_ITEM_PIDS, KDBUS_ITEM_EXE});
        // The time of a notification is no metadata about anybody.
        REQUIRE(receiver.match_all() == 0);
        REQUIRE(sender.acquire("a.b") == 0);
        CHECK(receiver.take().count(KDBUS_ITEM_TIMESTAMP) == 1);
        REQUIRE(receiver.unmatch(1) == 0);
    }
    CHECK(seen().size() > 10);
}
