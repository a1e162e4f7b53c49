// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 1 (SEND): every check, and that of two failures the earlier one decides.
#include "support.hpp"

#include <sys/eventfd.h>

using namespace test;

namespace {

constexpr u64 poison = 0xdeadbeefdeadbeef;
constexpr u64 max_vec = KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE;

// Everything a message of these tests may refer to.
struct Setup {
    Bus bus;
    Connection sender = bus.connect(), receiver = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}),
               without_fds = bus.connect(), stranger = connect_as(bus, 1000);
    Fd sealed = make_memfd("0123456789abcdef"), unsealed = make_memfd("0123456789abcdef", 0);
    Pipe pipe;
    Fd file = open_node("/dev/null");
    Fd path = open_node("/dev/null", O_PATH | O_CLOEXEC);
    Fd socket = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    Fd regular = open_node("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    Setup() { REQUIRE(receiver.acquire("a.receiver") == 0); }
};

// A message in the making.
struct Draft {
    u64 command_flags = 0;
    std::function<void(Command<kdbus_cmd_send>&)> command_items = [](auto&) {
    };
    u64 flags = 0, destination = 0, source = 0, type = payload_type, last_word = 0;
    std::vector<std::function<void(Message&)>> items;

    int send(const Connection& c) const {
        Message m(destination);
        m.flags(flags);
        m->src_id = source;
        m->payload_type = type;
        m->timeout_ns = last_word;
        for (const auto& add : items)
            add(m);
        Command<kdbus_cmd_send> cmd;
        command_items(cmd);
        cmd->flags = command_flags;
        cmd->msg_address = reinterpret_cast<u64>(m.address());
        cmd->return_flags = cmd->reply.offset = cmd->reply.msg_size = poison;
        const int error = c.run(KDBUS_CMD_SEND, cmd.address());
        // 1.6: on failure return_flags 0, the reply untouched.
        CHECK(cmd->return_flags == 0);
        if (error != 0)
            CHECK(cmd->reply.offset == poison);
        return error;
    }
    void item(std::function<void(Message&)> add) { items.push_back(std::move(add)); }
};

// What a fault occupies of the draft; faults that share a part are not combined.
enum Part : unsigned {
    CommandFlags = 1,
    CommandItem = 2,
    Flags = 4,
    Destination = 8,
    Source = 16,
    Type = 32,
    LastWord = 64,
    Name = 128,
    Files = 256,
    Filter = 512,
};

struct Fault {
    const char* name;
    int phase; // rows of one phase in order of the table: phase * 10 + row
    unsigned parts;
    int error;
    std::function<void(Setup&, Draft&)> apply;
};

void add_item(Draft& d, u64 type, Bytes payload) {
    d.item([type, payload](Message& m) { m.item(type, payload.data(), payload.size()); });
}

const std::vector<Fault>& faults() {
    static const std::vector<Fault> all = {
        {"unknown command flag", 10, CommandFlags, EINVAL,
         [](Setup&, Draft& d) {
             d.command_flags = 1 << 5;
         }},
        {"unknown command item", 11, CommandItem, EINVAL,
         [](Setup&, Draft& d) {
             d.command_items = [](auto& c) {
                 c.item(0x4444);
             };
         }},
        {"unknown message flag", 20, Flags, EINVAL,
         [](Setup&, Draft& d) {
             d.flags = 1 << 9;
         }},
        {"memfd below 0", 21, 0, EBADF,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.memfd(-1, 0, 1); });
         }},
        {"negotiation only in the message", 22, Flags, EINVAL,
         [](Setup&, Draft& d) {
             d.flags = KDBUS_FLAG_NEGOTIATE;
         }},
        {"cancel fd not open", 30, CommandItem, EBADF,
         [](Setup&, Draft& d) {
             d.command_items = [](auto& c) {
                 c.object(KDBUS_ITEM_CANCEL_FD, int{8000});
             };
         }},
        {"cancel fd O_PATH", 30, CommandItem, EBADF,
         [](Setup& s, Draft& d) {
             d.command_items = [fd = s.path.get()](auto& c) {
                 c.object(KDBUS_ITEM_CANCEL_FD, fd);
             };
         }},
        {"cancel fd negative", 30, CommandItem, EBADF,
         [](Setup&, Draft& d) {
             d.command_items = [](auto& c) {
                 c.object(KDBUS_ITEM_CANCEL_FD, int{-1});
             };
         }},
        {"cancel fd without poll", 31, CommandItem, EINVAL,
         [](Setup& s, Draft& d) {
             d.command_items = [fd = s.regular.get()](auto& c) {
                 c.object(KDBUS_ITEM_CANCEL_FD, fd);
             };
         }},
        {"wrong src_id", 40, Source, EINVAL,
         [](Setup& s, Draft& d) {
             d.source = s.receiver.id();
         }},
        {"payload_type 0", 50, Type, EINVAL,
         [](Setup&, Draft& d) {
             d.type = 0;
         }},
        {"broadcast without SIGNAL", 51, Destination | Flags, EBADMSG,
         [](Setup&, Draft& d) {
             d.destination = all_ones;
         }},
        {"broadcast with a last word", 52, Destination | Flags | LastWord | Filter, ENOTUNIQ,
         [](Setup&, Draft& d) {
             d.destination = all_ones;
             d.flags = KDBUS_MSG_SIGNAL;
             d.last_word = 1;
             d.item([](Message& m) { m.bloom(0, {0}); });
         }},
        {"call without timeout", 53, Flags | LastWord, EINVAL,
         [](Setup&, Draft& d) {
             d.flags = KDBUS_MSG_EXPECT_REPLY;
         }},
        {"call and signal", 54, Flags | LastWord, ENOTUNIQ,
         [](Setup&, Draft& d) {
             d.flags = KDBUS_MSG_EXPECT_REPLY | KDBUS_MSG_SIGNAL;
             d.last_word = all_ones >> 1;
         }},
        {"synchronous without EXPECT_REPLY", 55, CommandFlags | Flags, EINVAL,
         [](Setup&, Draft& d) {
             d.command_flags = KDBUS_SEND_SYNC_REPLY;
         }},
        {"signal with cookie_reply", 56, Flags | LastWord, EINVAL,
         [](Setup&, Draft& d) {
             d.flags = KDBUS_MSG_SIGNAL;
             d.last_word = 5;
         }},
        {"vector too large", 60, 0, EMSGSIZE,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.hole(max_vec + 1); });
         }},
        {"vector in kernel memory", 60, 0, EFAULT,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.vec(reinterpret_cast<void*>(u64{0xffff888000000000}), 8); });
         }},
        {"memfd that wraps", 60, 0, EMSGSIZE,
         [](Setup& s, Draft& d) {
             d.item([fd = s.sealed.get()](Message& m) { m.memfd(fd, all_ones - 3, 8); });
         }},
        {"17 memfds", 60, 0, E2BIG,
         [](Setup& s, Draft& d) {
             d.item([fd = s.sealed.get()](Message& m) {
                 for (int i = 0; i < 17; i++)
                     m.memfd(fd, 0, 1);
             });
         }},
        {"17 fds", 60, Files, EMFILE,
         [](Setup& s, Draft& d) {
             d.item([fd = s.file.get()](Message& m) { m.fds(std::vector<int>(17, fd)); });
         }},
        {"filter of odd size", 60, Filter, EFAULT,
         [](Setup&, Draft& d) {
             add_item(d, KDBUS_ITEM_BLOOM_FILTER, Bytes(8 + 12));
         }},
        {"filter of wrong size", 60, Filter, EDOM,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.bloom(0, {0, 0}); });
         }},
        {"empty filter", 60, Filter, EDOM,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.bloom(0, {}); });
         }},
        {"malformed name", 60, Name, EINVAL,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.to("malformed"); });
         }},
        {"wildcard name", 60, Name, EINVAL,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.to("a.b.*"); });
         }},
        {"broadcast to a name", 60, Destination | Flags | Name | Filter, EBADMSG,
         [](Setup&, Draft& d) {
             d.destination = all_ones;
             d.flags = KDBUS_MSG_SIGNAL;
             d.item([](Message& m) { m.to("a.receiver").bloom(0, {0}); });
         }},
        {"NEGOTIATE item", 60, 0, EINVAL,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.item(KDBUS_ITEM_NEGOTIATE); });
         }},
        {"signal without filter", 70, Flags | Filter, EBADMSG,
         [](Setup&, Draft& d) {
             d.flags = KDBUS_MSG_SIGNAL;
         }},
        {"filter without signal", 70, Flags | Filter, EBADMSG,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.bloom(0, {0}); });
         }},
        {"no destination", 71, Destination | Name, EDESTADDRREQ,
         [](Setup&, Draft& d) {
             d.destination = 0;
         }},
        {"broadcast with fds", 72, Destination | Flags | Filter | Files, ENOTUNIQ,
         [](Setup& s, Draft& d) {
             d.destination = all_ones;
             d.flags = KDBUS_MSG_SIGNAL;
             d.item([fd = s.file.get()](Message& m) { m.bloom(0, {0}).fds({fd}); });
         }},
        {"fd not open", 80, Files, EBADF,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.fds({8000}); });
         }},
        {"fd negative", 80, Files, EBADF,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.fds({-1}); });
         }},
        {"kdbus fd", 80, Files, EOPNOTSUPP,
         [](Setup& s, Draft& d) {
             d.item([fd = s.sender.fd()](Message& m) { m.fds({fd}); });
         }},
        {"UNIX socket", 80, Files, EOPNOTSUPP,
         [](Setup& s, Draft& d) {
             d.item([fd = s.socket.get()](Message& m) { m.fds({fd}); });
         }},
        {"memfd not open", 80, 0, EBADF,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.memfd(8000, 0, 1); });
         }},
        {"memfd O_PATH", 80, 0, EBADF,
         [](Setup& s, Draft& d) {
             d.item([fd = s.path.get()](Message& m) { m.memfd(fd, 0, 1); });
         }},
        {"memfd is a pipe", 80, 0, EMEDIUMTYPE,
         [](Setup& s, Draft& d) {
             d.item([fd = s.pipe.read.get()](Message& m) { m.memfd(fd, 0, 1); });
         }},
        {"memfd unsealed", 80, 0, ETXTBSY,
         [](Setup& s, Draft& d) {
             d.item([fd = s.unsealed.get()](Message& m) { m.memfd(fd, 0, 1); });
         }},
        {"memfd too short", 80, 0, EFAULT,
         [](Setup& s, Draft& d) {
             d.item([fd = s.sealed.get()](Message& m) { m.memfd(fd, 1, 16); });
         }},
        {"unknown id", 90, Destination | Name, ENXIO,
         [](Setup&, Draft& d) {
             d.destination = 1234567;
         }},
        {"unknown name", 90, Destination | Name, ESRCH,
         [](Setup&, Draft& d) {
             d.destination = 0;
             d.item([](Message& m) { m.to("no.body"); });
         }},
        {"name of somebody else", 90, Destination | Name, EREMCHG,
         [](Setup& s, Draft& d) {
             d.destination = s.without_fds.id();
             d.item([](Message& m) { m.to("a.receiver"); });
         }},
        {"reply nobody waits for", 91, Flags | LastWord, EBADSLT,
         [](Setup&, Draft& d) {
             d.last_word = 4711;
         }},
        {"unreadable payload", 102, 0, EFAULT,
         [](Setup&, Draft& d) {
             static void* hidden =
                 mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
             d.item([](Message& m) { m.vec(hidden, 8); });
         }},
        {"too much for the quota", 101, 0, ENOBUFS,
         [](Setup&, Draft& d) {
             d.item([](Message& m) { m.filler(200'000); });
         }},
    };
    return all;
}

} // namespace

TEST_CASE("messages 1.1 each check alone") {
    Setup s;
    for (const Fault& f : faults()) {
        INFO(f.name);
        Draft d;
        d.destination = s.receiver.id();
        f.apply(s, d);
        CHECK(d.send(s.sender) == f.error);
    }
    Draft good;
    good.destination = s.receiver.id();
    CHECK(good.send(s.sender) == 0);
    CHECK(drain(s.receiver) == 1);
    CHECK(s.sender.empty());
}

TEST_CASE("messages 1.1 of two failures the earlier one decides") {
    Setup s;
    int pairs = 0;
    for (const Fault& first : faults()) {
        for (const Fault& second : faults()) {
            // Rows of one number are decided by item order: tested elsewhere.
            if (first.phase >= second.phase || (first.parts & second.parts) != 0)
                continue;
            INFO(first.name << " before " << second.name);
            // Whichever item comes first in the list.
            for (bool swap : {false, true}) {
                Draft d;
                d.destination = s.receiver.id();
                first.apply(s, d);
                second.apply(s, d);
                if (swap)
                    std::reverse(d.items.begin(), d.items.end());
                CHECK(d.send(s.sender) == first.error);
            }
            pairs++;
        }
    }
    CHECK(pairs > 400);
    CHECK(s.receiver.empty());
    CHECK(s.sender.empty());
}

TEST_CASE("messages 1.1/6 and 8 the first bad item of one phase decides") {
    Setup s;
    const auto& all = faults();
    for (int phase : {60, 80}) {
        for (const Fault& first : all) {
            for (const Fault& second : all) {
                if (first.phase != phase || second.phase != phase || &first == &second ||
                    ((first.parts | second.parts) & (Destination | Flags)) != 0 ||
                    (first.parts & second.parts) != 0)
                    continue;
                INFO(first.name << " before " << second.name);
                Draft d;
                d.destination = s.receiver.id();
                first.apply(s, d);
                second.apply(s, d);
                CHECK(d.send(s.sender) == first.error);
            }
        }
    }
    // Within one FDS item too.
    Draft d;
    d.destination = s.receiver.id();
    d.item([&](Message& m) { m.fds({s.file.get(), s.socket.get(), 8000}); });
    CHECK(d.send(s.sender) == EOPNOTSUPP);
    d.items.clear();
    d.item([&](Message& m) { m.fds({s.file.get(), 8000, s.socket.get()}); });
    CHECK(d.send(s.sender) == EBADF);
}

TEST_CASE("messages 1.2 combinations of broadcast and call") {
    Setup s;
    auto attempt = [&](u64 flags, u64 last_word) {
        Draft d;
        d.destination = all_ones;
        d.flags = flags;
        d.last_word = last_word;
        d.item([](Message& m) { m.bloom(0, {0}); });
        return d.send(s.sender);
    };
    const u64 both = KDBUS_MSG_SIGNAL | KDBUS_MSG_EXPECT_REPLY;
    CHECK(attempt(both, in_ms(1000)) == ENOTUNIQ);
    CHECK(attempt(both, 0) == EINVAL);
    CHECK(attempt(KDBUS_MSG_EXPECT_REPLY, 5) == EBADMSG);
    CHECK(attempt(KDBUS_MSG_SIGNAL, 0) == 0);
    CHECK(attempt(KDBUS_MSG_SIGNAL | KDBUS_MSG_NO_AUTO_START, 0) == 0);
}

TEST_CASE("messages 1.2 what is not checked") {
    Setup s;
    for (u64 cookie : {u64{0}, u64{1}, all_ones}) {
        CHECK(s.sender.send(Message(s.receiver.id(), cookie)) == 0);
        CHECK(s.sender.send(Message(s.receiver.id(), cookie).call(in_ms(60'000))) == 0);
    }
    for (u64 type : {u64{1}, payload_type, all_ones, u64{1} << 63}) {
        Message m(s.receiver.id());
        m->payload_type = type;
        CHECK(s.sender.send(m) == 0);
    }
    for (s64 priority : {INT64_MIN, s64{-1}, INT64_MAX})
        CHECK(s.sender.send(Message(s.receiver.id()).priority(priority)) == 0);
    CHECK(s.sender.send(Message(s.receiver.id()).flags(KDBUS_MSG_NO_AUTO_START)) == 0);
    CHECK(s.sender.send(
              Message(s.receiver.id()).flags(KDBUS_MSG_NO_AUTO_START).call(in_ms(60'000))) == 0);
    // 13.5: src_id 0 or the own id.
    Message own(s.receiver.id());
    own->src_id = s.sender.id();
    CHECK(s.sender.send(own) == 0);
    CHECK(own->src_id == s.sender.id());
    Message other(s.receiver.id());
    other->src_id = all_ones;
    CHECK(s.sender.send(other) == EINVAL);
    CHECK(drain(s.receiver) == 16);
}

TEST_CASE("messages 1.4 limits are inclusive") {
    Setup s;
    Connection large = s.bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD, .pool_size = u64{16} << 20});
    const u64 id = large.id();
    CHECK(s.sender.send(Message(id).hole(max_vec)) == 0);
    CHECK(s.sender.send(Message(id).filler(max_vec)) == 0);
    CHECK(s.sender.send(Message(id).filler(max_vec + 1)) == EMSGSIZE);
    CHECK(s.sender.send(Message(id).hole(u64{1} << 40)) == EMSGSIZE);
    Message memfds(id);
    for (int i = 0; i < KDBUS_MSG_MAX_MEMFD_ITEMS; i++)
        memfds.memfd(s.sealed.get(), 0, 16);
    CHECK(s.sender.send(memfds) == 0);
    CHECK(s.sender.send(Message(id).fds(std::vector<int>(16, s.file.get()))) == 0);
    drain(large);
    // The sum of several vectors is bounded by the quota alone.
    Connection huge = s.bus.connect({.pool_size = u64{64} << 20});
    static const std::string block(max_vec, 'b');
    Message sum(huge.id());
    for (int i = 0; i < 4; i++)
        sum.vec(block.data(), block.size());
    CHECK(s.sender.send(sum) == 0);
    CHECK(huge.take().body().size() == 4 * max_vec);
}

TEST_CASE("messages 1.4 an illegal user address range is EFAULT, whatever the destination") {
    Setup s;
    for (u64 address : {u64{0xffff888000000000}, all_ones - 7, u64{1} << 63}) {
        CAPTURE(address);
        for (u64 destination : {s.receiver.id(), u64{1234567}})
            CHECK(s.sender.send(Message(destination).vec(reinterpret_cast<void*>(address), 4096)) ==
                  EFAULT);
        CHECK(s.sender.send(broadcast().vec(reinterpret_cast<void*>(address), 4096)) == EFAULT);
    }
}

TEST_CASE("messages 1.1/3 the cancel fd is checked on asynchronous sends and otherwise ignored") {
    Setup s;
    Fd event(eventfd(1, EFD_CLOEXEC));
    auto attempt = [&](int fd) {
        Draft d;
        d.destination = s.receiver.id();
        d.command_items = [fd](auto& c) {
            c.object(KDBUS_ITEM_CANCEL_FD, fd);
        };
        return d.send(s.sender);
    };
    CHECK(attempt(event.get()) == 0);
    CHECK(attempt(s.pipe.read.get()) == 0);
    CHECK(attempt(s.sender.fd()) == 0);
    CHECK(attempt(s.path.get()) == EBADF);
    CHECK(attempt(s.regular.get()) == EINVAL);
    CHECK(attempt(INT32_MAX) == EBADF);
    CHECK(drain(s.receiver) == 3);
}

TEST_CASE("messages 1.5 order at the destination") {
    Setup s;
    const u64 small_pool = page;
    SECTION("ECOMM before the quota") {
        CHECK(s.sender.send(Message(s.without_fds.id()).filler(200'000).fds({s.file.get()})) ==
              ECOMM);
        CHECK(s.sender.send(Message(s.without_fds.id()).fds({s.file.get()})) == ECOMM);
    }
    SECTION("memory quota before the fd quota") {
        std::vector<int> sixteen(16, s.file.get());
        REQUIRE(s.sender.send(Message(s.receiver.id()).fds(sixteen)) == 0);
        CHECK(s.sender.send(Message(s.receiver.id()).fds({s.file.get()})) == EMFILE);
        CHECK(s.sender.send(Message(s.receiver.id()).filler(200'000).fds({s.file.get()})) ==
              ENOBUFS);
        drain(s.receiver);
    }
    SECTION("quota before space before the payload's fault") {
        Connection full = s.bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD, .pool_size = small_pool});
        while (full.info(full.id(), 0, {}, true).error == 0) {
        }
        void* hidden = mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(s.sender.send(Message(full.id()).vec(hidden, 2000)) == ENOBUFS);
        CHECK(s.sender.send(Message(full.id()).vec(hidden, 8)) == EXFULL);
        CHECK(s.sender.send(Message(s.receiver.id()).vec(hidden, 8)) == EFAULT);
        munmap(hidden, page);
    }
    SECTION("policy before delivery") {
        AsUser user(1000);
        CHECK(s.stranger.send(Message(s.without_fds.id()).fds({s.file.get()})) == EPERM);
        CHECK(s.stranger.send(Message(s.receiver.id()).filler(200'000)) == EPERM);
        CHECK(s.stranger.send(Message(1234567)) == ENXIO);
        CHECK(s.stranger.send(Message().to("no.body")) == ESRCH);
        CHECK(s.stranger.send(Message(s.sender.id()).to("a.receiver")) == EREMCHG);
    }
}

TEST_CASE("messages 1.5 a fault half-way leaves no trace") {
    Setup s;
    GuardedPages pages(1);
    for (int i = 0; i < 300; i++)
        REQUIRE(s.sender.send(Message(s.receiver.id()).vec(pages.end() - 8, 16)) == EFAULT);
    // Neither quota nor pool were used up.
    CHECK(s.receiver.empty());
    CHECK(s.sender.send(Message(s.receiver.id()).filler(100'000)) == 0);
    CHECK(s.receiver.take().offset() == 0);
}

TEST_CASE("messages 1.6 written back on success") {
    Setup s;
    Message m(s.receiver.id(), 77);
    m.body("x");
    const Bytes before(m.bytes(), m.bytes() + align8(m->size));
    Command<kdbus_cmd_send> c;
    c->msg_address = reinterpret_cast<u64>(m.address());
    c->return_flags = c->reply.offset = c->reply.msg_size = c->reply.return_flags = poison;
    CHECK(s.sender.run(KDBUS_CMD_SEND, c.address()) == 0);
    CHECK(c->return_flags == 0);
    CHECK(c->reply.offset == s.sender.pool_size());
    CHECK(c->reply.msg_size == 0);
    CHECK(c->reply.return_flags == 0);
    // The message is untouched: no src_id.
    CHECK(Bytes(m.bytes(), m.bytes() + before.size()) == before);
    auto b = broadcast();
    c->msg_address = reinterpret_cast<u64>(b.address());
    c->reply.offset = c->reply.msg_size = poison;
    CHECK(s.sender.run(KDBUS_CMD_SEND, c.address()) == 0);
    CHECK(c->reply.offset == s.sender.pool_size());
    CHECK(c->reply.msg_size == 0);
}

TEST_CASE("messages 13.1 sizes that are not multiples of 8") {
    Setup s;
    for (std::size_t n = 1; n <= 8; n++) {
        const std::string name = "a." + std::string(n, 'x');
        REQUIRE(s.receiver.acquire(name) == 0);
        for (u64 pad = 0; pad <= align8(16 + name.size() + 1) - (16 + name.size() + 1); pad++) {
            Message m;
            m.to(name);
            m->size += pad;
            CHECK(s.sender.send(m) == 0);
            CHECK(s.receiver.take().get(KDBUS_ITEM_DST_NAME).text() == name);
        }
    }
}
