// SPDX-License-Identifier: LGPL-2.1-or-later
// design.md, "Safety": commands either happen or don't. Every allocation and every access to user
// memory that a command makes fails once, one after the other, until nothing is left to fail;
// after each the bus still works, and nothing stays behind (main.cpp compares the counters).
// Registered for kernels with fault injection only.
#include "support.hpp"

#include <atomic>
#include <fstream>
#include <functional>
#include <poll.h>
#include <thread>

using namespace test;

namespace {

bool write_file(const char* path, std::string_view value) {
    std::ofstream file(path);
    file << value << std::flush;
    return file.good();
}

bool can_inject() {
    // Allocations that may sleep are to fail, too; and reports of failures are no defects.
    return write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") &&
           write_file("/sys/kernel/debug/failslab/verbose", "0") &&
           write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") &&
           write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0") &&
           write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0") &&
           write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

// Makes the n-th thing that can fail in this thread fail.
class Injector {
public:
    Injector() : fd_(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC)) { REQUIRE(fd_); }

    void arm(int n) {
        const std::string text = std::to_string(n);
        // Writing accesses user memory, too, and may be what fails.
        while (pwrite(fd_.get(), text.data(), text.size(), 0) < 0)
            REQUIRE(errno == EFAULT);
    }
    // Whether it happened, other than to this very question.
    bool disarm() {
        char text[16] = {};
        const bool answered = pread(fd_.get(), text, sizeof text - 1, 0) > 0;
        const bool happened = answered && std::atoi(text) == 0;
        arm(0);
        return happened;
    }

private:
    Fd fd_;
};

// Runs `attempt` with its first, second, third ... failure. It returns an errno; `after` sees to
// what it may have left, and is given that errno.
void fail_each(const std::function<int()>& attempt, const std::function<void(int)>& after) {
    Injector injector;
    for (int n = 1; n < 2000; n++) {
        CAPTURE(n);
        injector.arm(n);
        const int error = attempt();
        const bool injected = injector.disarm();
        if (!injected)
            CHECK(error == 0);
        else
            CHECK((error == 0 || error == ENOMEM || error == EFAULT));
        after(error);
        if (!injected) {
            CHECK(n > 1);
            return;
        }
    }
    FAIL("there is no end of failures");
}

struct Peers {
    Bus bus;
    HelloOptions options{.flags = KDBUS_HELLO_ACCEPT_FD, .recv = known_attach_flags};
    Connection a = bus.connect(options), b = bus.connect(options);

    // The bus works: a message gets from one to the other.
    void works() {
        drain(a);
        drain(b);
        REQUIRE(a.send(Message(b.id(), 4711).body("still here")) == 0);
        const Received r = b.take();
        CHECK(r->cookie == 4711);
        CHECK(r.body() == "still here");
    }
};

} // namespace

TEST_CASE("design Safety: BUS_MAKE fails cleanly") {
    REQUIRE(can_inject());
    Fd control = open_control();
    auto make = bus_command(unique_bus_name());
    fail_each([&] { return command(control.get(), KDBUS_CMD_BUS_MAKE, make.address()); },
              [&](int error) {
                  // What failed can be done again, with the same name; what succeeded goes.
                  if (error == 0)
                      control = open_control();
              });
    CHECK(command(control.get(), KDBUS_CMD_BUS_MAKE, make.address()) == 0);
}

TEST_CASE("design Safety: open and HELLO fail cleanly") {
    REQUIRE(can_inject());
    Peers p;
    Fd fd;
    fail_each(
        [&] {
            const int n = open(p.bus.path().c_str(), O_RDWR | O_CLOEXEC);
            fd = Fd(n);
            return n < 0 ? errno : 0;
        },
        [&](int) { p.works(); });
    auto hello = hello_command({.description = "unlucky"});
    fd = p.bus.open();
    fail_each([&] { return command(fd.get(), KDBUS_CMD_HELLO, hello.address()); },
              [&](int error) {
                  if (error == 0)
                      fd = p.bus.open();
                  p.works();
              });
}

TEST_CASE("design Safety: SEND fails cleanly") {
    REQUIRE(can_inject());
    Peers p;
    REQUIRE(p.a.acquire("org.example.Name") == 0);
    Pipe pipe;
    const Fd memfd = make_memfd("payload");
    const std::vector<std::function<Message()>> messages{
        [&] { return Message(p.b.id()).body("short"); },
        [&] { return Message(p.b.id()).filler(100'000); },
        [&] { return Message(p.b.id()).body("x").fds({pipe.read.get(), pipe.write.get()}); },
        [&] { return Message(p.b.id()).body("x").memfd(memfd.get(), 0, 7).body("y"); },
        [&] { return Message(0).to("org.example.Name").body("to myself"); },
        [&] { return Message(p.b.id()).body("call").call(in_ms(60'000)); },
        // More items than are kept on the stack.
        [&] {
            Message m(p.b.id());
            for (int i = 0; i < 40; i++)
                m.body("many");
            return m;
        },
    };
    for (std::size_t i = 0; i < messages.size(); i++) {
        CAPTURE(i);
        fail_each(
            [&] {
                Message m = messages[i]();
                return p.a.send(m);
            },
            [&](int) {
                for (Connection* c : {&p.a, &p.b})
                    for (Received r = c->recv(); r.error == 0; r = c->recv()) {
                        if (r->flags & KDBUS_MSG_EXPECT_REPLY)
                            c->send(reply_to(r->src_id, r->cookie));
                        close_descriptors(r);
                        c->free(r.cmd.msg.offset);
                    }
                p.works();
            });
    }
}

TEST_CASE("design Safety: pool pages that cannot be had") {
    REQUIRE(can_inject());
    Peers p;
    // A new receiver each time, so that each attempt has pages to allocate.
    std::optional<Connection> fresh(p.bus.connect(p.options));
    fail_each([&] { return p.a.send(Message(fresh->id()).filler(40'000)); },
              [&](int) {
                  fresh.emplace(p.bus.connect(p.options));
                  p.works();
              });
}

TEST_CASE("design Safety: broadcasts are lost and counted, never half delivered") {
    REQUIRE(can_inject());
    Peers p;
    REQUIRE(p.a.match_all() == 0);
    REQUIRE(p.b.match_all() == 0);
    fail_each([&] { return p.a.send(broadcast(0, 42).body("to all")); },
              [&](int) {
                  for (Connection* c : {&p.a, &p.b})
                      for (Received r = c->recv(); r.error == 0; r = c->recv()) {
                          CHECK(r->cookie == 42);
                          CHECK(r.body() == "to all");
                          c->free(r.cmd.msg.offset);
                      }
                  p.works();
              });
}

// Threads beside the one that checks use nothing that checks.
int raw_call(int fd, Message& m, u64* offset = nullptr) {
    Command<kdbus_cmd_send> c;
    c->flags = KDBUS_SEND_SYNC_REPLY;
    c->msg_address = reinterpret_cast<u64>(m.address());
    const int error = command(fd, KDBUS_CMD_SEND, c.address());
    if (offset)
        *offset = c->reply.offset;
    return error;
}

void raw_free(int fd, u64 offset) {
    Command<kdbus_cmd_free> c;
    c->offset = offset;
    command(fd, KDBUS_CMD_FREE, c.address());
}

TEST_CASE("design Safety: synchronous calls fail cleanly") {
    REQUIRE(can_inject());
    Peers p;
    std::atomic<bool> done = false;
    std::thread callee([&, fd = p.b.fd(), pool = p.b.pool_size()] {
        while (!done) {
            pollfd ready{fd, POLLIN, 0};
            poll(&ready, 1, 100);
            Command<kdbus_cmd_recv> recv;
            if (command(fd, KDBUS_CMD_RECV, recv.address()) != 0)
                continue;
            Message answer = reply_to(p.a.id(), 7).body("answer");
            Command<kdbus_cmd_send> send;
            send->msg_address = reinterpret_cast<u64>(answer.address());
            command(fd, KDBUS_CMD_SEND, send.address());
            raw_free(fd, recv->msg.offset);
        }
    });
    u64 offset = 0;
    fail_each(
        [&] {
            Message m(p.b.id(), 7);
            m.call(in_ms(60'000));
            return raw_call(p.a.fd(), m, &offset);
        },
        [&](int error) {
            if (error == 0)
                p.a.free(offset);
        });
    done = true;
    callee.join();
    p.works();
}

TEST_CASE("design Safety: replies to synchronous calls fail cleanly") {
    REQUIRE(can_inject());
    Peers p;
    std::atomic<bool> done = false;
    std::thread caller([&, fd = p.a.fd()] {
        for (u64 cookie = 1; !done; cookie++) {
            Message m(p.b.id(), cookie);
            m.call(in_ms(60'000));
            u64 offset = 0;
            if (raw_call(fd, m, &offset) == 0)
                raw_free(fd, offset);
        }
    });
    u64 cookie = 0;
    auto next = [&] {
        REQUIRE(p.b.readable(60'000));
        cookie = p.b.take()->cookie;
    };
    next();
    fail_each([&] { return p.b.send(reply_to(p.a.id(), cookie).body("answer")); },
              [&](int) {
                  // An attempt that did not get as far as the slot can be made again.
                  p.b.send(reply_to(p.a.id(), cookie));
                  next();
              });
    done = true;
    REQUIRE(p.b.send(reply_to(p.a.id(), cookie)) == 0);
    caller.join();
    p.works();
}

TEST_CASE("design Safety: RECV fails cleanly") {
    REQUIRE(can_inject());
    Peers p;
    Pipe pipe;
    const Fd memfd = make_memfd("payload");
    auto refill = [&] {
        drain(p.b);
        REQUIRE(p.a.send(Message(p.b.id())
                             .body("x")
                             .memfd(memfd.get(), 0, 7)
                             .body("y")
                             .fds({pipe.read.get(), pipe.write.get()})) == 0);
    };
    refill();
    fail_each(
        [&] {
            Command<kdbus_cmd_recv> recv;
            return p.b.run(KDBUS_CMD_RECV, recv.address());
        },
        [&](int) {
            // What was received may not have been reported; it goes with the pool.
            for (int fd = 3; fd < 200; fd++)
                if (same_description(fd, memfd.get()) && fd != memfd.get())
                    close(fd);
                else if (fd != pipe.read.get() && fd != pipe.write.get() &&
                         (same_description(fd, pipe.read.get()) ||
                          same_description(fd, pipe.write.get())))
                    close(fd);
            refill();
        });
    p.works();
}

TEST_CASE("design Safety: names, matches, lists and infos fail cleanly") {
    REQUIRE(can_inject());
    Peers p;
    REQUIRE(p.b.match_all(9) == 0);
    SECTION("names") {
        fail_each([&] { return p.a.acquire("org.example.Name"); },
                  [&](int) {
                      p.a.release("org.example.Name");
                      p.works();
                  });
        REQUIRE(p.b.acquire("org.example.Name", KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
        fail_each([&] { return p.a.acquire("org.example.Name", KDBUS_NAME_QUEUE); },
                  [&](int) {
                      p.a.release("org.example.Name");
                      p.works();
                  });
        fail_each([&] { return p.a.acquire("org.example.Name", KDBUS_NAME_REPLACE_EXISTING); },
                  [&](int) {
                      p.a.release("org.example.Name");
                      p.b.release("org.example.Name");
                      REQUIRE(p.b.acquire("org.example.Name", KDBUS_NAME_ALLOW_REPLACEMENT) == 0);
                      p.works();
                  });
    }
    SECTION("releasing a name works without memory") {
        REQUIRE(p.a.acquire("org.example.Name") == 0);
        fail_each([&] { return p.a.release("org.example.Name"); },
                  [&](int) {
                      u64 flags = 0;
                      p.a.acquire("org.example.Name", 0, &flags);
                      CHECK((flags & KDBUS_NAME_PRIMARY) != 0);
                      p.works();
                  });
    }
    SECTION("matches") {
        fail_each([&] { return p.a.match_all(7); },
                  [&](int) {
                      p.a.unmatch(7);
                      p.works();
                  });
        fail_each(
            [&] {
                Command<kdbus_cmd_match> c;
                c->flags = KDBUS_MATCH_REPLACE;
                c->cookie = 8;
                c.word(KDBUS_ITEM_ID, 1);
                return p.a.match(c);
            },
            [&](int) { p.works(); });
    }
    SECTION("LIST and CONN_INFO") {
        REQUIRE(p.a.acquire("org.example.Name") == 0);
        Command<kdbus_cmd_list> list;
        list->flags = KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES;
        fail_each([&] { return p.a.run(KDBUS_CMD_LIST, list.address()); },
                  [&](int error) {
                      if (error == 0)
                          p.a.free(list->offset);
                      p.works();
                  });
        Command<kdbus_cmd_info> info;
        info->id = p.a.id();
        info->attach_flags = known_attach_flags;
        fail_each([&] { return p.a.run(KDBUS_CMD_CONN_INFO, info.address()); },
                  [&](int error) {
                      if (error == 0)
                          p.a.free(info->offset);
                      p.works();
                  });
    }
}

TEST_CASE("design Safety: ending works without memory") {
    REQUIRE(can_inject());
    Peers p;
    REQUIRE(p.b.match_all() == 0);
    auto next = [&] {
        Connection c = p.bus.connect(p.options);
        REQUIRE(c.acquire("org.example.Going") == 0);
        REQUIRE(p.a.send(Message(c.id(), 5).call(in_ms(60'000))) == 0);
        drain(p.b);
        return c;
    };
    SECTION("close") {
        std::optional<Connection> c(next());
        const auto attempt = [&] {
            c->close();
            return 0;
        };
        fail_each(attempt, [&](int) {
            CHECK(p.a.info(0, 0, "org.example.Going").error == ESRCH);
            drain(p.a);
            c.emplace(next());
        });
    }
    SECTION("BYEBYE") {
        std::optional<Connection> c(p.bus.connect(p.options));
        fail_each([&] { return c->bye(); },
                  [&](int) {
                      drain(p.b);
                      c.emplace(p.bus.connect(p.options));
                  });
    }
    p.works();
}

TEST_CASE("design Safety: ENDPOINT_MAKE and ENDPOINT_UPDATE fail cleanly") {
    REQUIRE(can_inject());
    Peers p;
    const std::string name = "0-unlucky";
    Fd fd = p.bus.open();
    Plain make;
    make.text(KDBUS_ITEM_MAKE_NAME, name);
    fail_each([&] { return command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, make.address()); },
              [&](int error) {
                  if (error == 0)
                      fd = p.bus.open();
                  CHECK(open_error(p.bus.directory() + "/" + name) == ENOENT);
                  p.works();
              });

    REQUIRE(command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, make.address()) == 0);
    Connection c(open_node(p.bus.directory() + "/" + name), {});
    const Grants see = {for_world(KDBUS_POLICY_SEE)};
    Plain old = policy_command({{"a.old", see}, {"a.both", see}}),
          updated = policy_command({{"a.new", see}, {"a.both", see}, {"b.*", see}});
    REQUIRE(p.a.acquire("a.old") == 0);
    REQUIRE(p.a.acquire("a.new") == 0);
    auto sees = [&](const char* n) { return c.info(0, 0, n).error == 0; };
    REQUIRE(command(fd.get(), KDBUS_CMD_ENDPOINT_UPDATE, old.address()) == 0);
    fail_each([&] { return command(fd.get(), KDBUS_CMD_ENDPOINT_UPDATE, updated.address()); },
              [&](int error) {
                  // All or nothing; only telling of it may fail afterwards.
                  if (error != EFAULT)
                      CHECK(sees("a.new") == (error == 0));
                  if (sees("a.new"))
                      CHECK(command(fd.get(), KDBUS_CMD_ENDPOINT_UPDATE, old.address()) == 0);
                  CHECK(sees("a.old"));
                  CHECK(!sees("a.new"));
              });
    p.works();
}

TEST_CASE("design Safety: HELLO of special connections and UPDATE fail cleanly") {
    REQUIRE(can_inject());
    Peers p;
    const Grants grants = {for_world(KDBUS_POLICY_TALK)};
    const HelloOptions kinds[] = {
        {.flags = KDBUS_HELLO_ACTIVATOR, .name = "a.b", .grants = grants},
        {.flags = KDBUS_HELLO_POLICY_HOLDER, .name = "a.*", .grants = grants},
        {.flags = KDBUS_HELLO_MONITOR},
    };
    for (const HelloOptions& kind : kinds) {
        CAPTURE(kind.flags);
        Fd fd = p.bus.open();
        auto hello = hello_command(kind);
        fail_each([&] { return command(fd.get(), KDBUS_CMD_HELLO, hello.address()); },
                  [&](int error) {
                      if (error == 0)
                          fd = p.bus.open();
                      // What it would have brought is free again.
                      CHECK(p.a.info(0, 0, "a.b").error == ESRCH);
                      p.works();
                  });
    }
    Connection holder = hold(p.bus, "a.first", grants);
    Plain update = policy_command({{"a.second", {for_world(KDBUS_POLICY_OWN)}}});
    fail_each([&] { return holder.run(KDBUS_CMD_UPDATE, update.address()); },
              [&](int) { p.works(); });
    Plain masks;
    masks.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, 1).word(KDBUS_ITEM_ATTACH_FLAGS_RECV, all_ones);
    fail_each([&] { return p.a.run(KDBUS_CMD_UPDATE, masks.address()); }, [&](int) { p.works(); });
}

TEST_CASE("design Safety: mail that cannot pass to or from an activator is counted") {
    REQUIRE(can_inject());
    Peers p;
    Connection activator = p.bus.connect({.flags = KDBUS_HELLO_ACTIVATOR, .name = "a.b"});
    constexpr int sent = 3;
    auto send = [&] {
        for (int i = 0; i < sent; i++)
            REQUIRE(p.a.send(Message(0).to("a.b").body("mail")) == 0);
    };
    // Whoever has the mail now; with what it lost, that is all.
    auto received = [&](const Connection& c) {
        int n = 0;
        for (;;) {
            const Received r = c.recv();
            n += static_cast<int>(r.cmd.dropped_msgs);
            if (r.error)
                return n;
            CHECK(r.body() == "mail");
            c.free(r.offset());
            n++;
        }
    };
    send();
    fail_each([&] { return p.b.acquire("a.b"); },
              [&](int) {
                  p.b.acquire("a.b");
                  CHECK(received(p.b) == sent);
                  REQUIRE(p.b.release("a.b") == 0);
                  send();
              });
    CHECK(received(activator) == sent);
    REQUIRE(p.b.acquire("a.b") == 0);
    send();
    fail_each([&] { return p.b.release("a.b"); },
              [&](int) {
                  p.b.release("a.b");
                  CHECK(received(activator) == sent);
                  REQUIRE(p.b.acquire("a.b") == 0);
                  send();
              });
    p.works();
}

TEST_CASE("design Safety: SEND with a monitor and BUS_CREATOR_INFO fail cleanly") {
    REQUIRE(can_inject());
    Peers p;
    Connection monitor = p.bus.connect({.flags = KDBUS_HELLO_MONITOR, .recv = known_attach_flags});
    fail_each([&] { return p.a.send(Message(p.b.id()).body("watched")); },
              [&](int) {
                  drain(monitor);
                  p.works();
                  // The monitor gets what the others get.
                  CHECK(drain(monitor) >= 1);
              });
    Command<kdbus_cmd_info> info;
    fail_each([&] { return p.a.run(KDBUS_CMD_BUS_CREATOR_INFO, info.address()); },
              [&](int error) {
                  if (error == 0)
                      p.a.free(info->offset);
                  p.works();
              });
}
