// SPDX-License-Identifier: LGPL-2.1-or-later
// messages.md 5 (synchronous calls) and the sync column of 4.3.
#include "support.hpp"

#include <atomic>
#include <pthread.h>
#include <sys/eventfd.h>

using namespace test;

namespace {

constexpr u64 poison = 0xdeadbeefdeadbeef;

std::atomic<int> handled = 0;

void on_signal(int) {
    handled++;
}

void install_handler(int flags) {
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
    handled = 0;
}

// A synchronous call in a thread of its own.
class Call {
public:
    Call(const Connection& c, Message m, int cancel = -1)
        : connection_(c), message_(std::move(m)), cancel_(cancel) {
        std::promise<pthread_t> id;
        auto started = id.get_future();
        // (The promise must be there until it has been kept entirely.)
        result_ = std::async(std::launch::async, [this, id = std::move(id)]() mutable {
            id.set_value(pthread_self());
            return run();
        });
        thread_ = started.get();
    }
    Received get() { return result_.get(); }
    bool done(int ms = 0) {
        return result_.wait_for(std::chrono::milliseconds(ms)) == std::future_status::ready;
    }
    void interrupt() const { pthread_kill(thread_, SIGUSR1); }
    // A signal before the thread waits in the kernel interrupts nothing.
    void interrupt_until_done() {
        do
            interrupt();
        while (!done(20));
    }
    // The same command once more, in the calling thread.
    Received again(std::optional<u64> deadline = {}) {
        if (deadline)
            message_->timeout_ns = *deadline;
        return run();
    }

private:
    Received run() { return connection_.call(message_, cancel_); }

    const Connection& connection_;
    Message message_;
    int cancel_;
    std::future<Received> result_;
    pthread_t thread_{};
};

struct Pair {
    Bus bus;
    Connection caller = bus.connect(), callee = bus.connect();

    Message request(u64 cookie, u64 ms = 60'000) const {
        Message m(callee.id(), cookie);
        m.call(in_ms(ms));
        return m;
    }
    int reply(u64 cookie) const { return callee.send(reply_to(caller.id(), cookie)); }
    // Waits until the request is there, which means that the caller waits or is about to.
    Received arrived() const {
        REQUIRE(callee.readable(10'000));
        return callee.take();
    }
    // Afterwards both still work: 13.52.
    void check_alive() const {
        drain(callee);
        CHECK(caller.send(Message(callee.id(), 999)) == 0);
        CHECK(callee.take()->cookie == 999);
        Call call(caller, request(998));
        CHECK(arrived()->cookie == 998);
        CHECK(reply(998) == 0);
        CHECK(call.get().error == 0);
        CHECK(caller.empty());
    }
};

// A call that is not answered. Where a deadline is over before the call is even sent, a later one
// is tried. The request is at the callee; the deadline.
u64 time_out(const Connection& caller, const Connection& callee, u64 cookie) {
    for (u64 ms = 100;; ms *= 4) {
        const u64 deadline = in_ms(ms);
        REQUIRE(caller.call(Message(callee.id(), cookie).call(deadline)).error == ETIMEDOUT);
        if (callee.readable())
            return deadline;
        REQUIRE(ms < 60'000);
    }
}

// A call that is interrupted before its deadline, which is `ms` away, or later where that is too
// soon. Its request is taken; the deadline.
u64 interrupt_before_deadline(const Connection& caller, const Connection& callee, u64 cookie,
                              u64& ms) {
    for (;; ms *= 4) {
        REQUIRE(ms < 60'000);
        const u64 deadline = in_ms(ms);
        Call call(caller, Message(callee.id(), cookie).call(deadline));
        while (!callee.readable(20) && !call.done()) {
        }
        if (!call.done())
            call.interrupt_until_done();
        const int error = call.get().error;
        drain(callee);
        if (error == EINTR)
            return deadline;
        REQUIRE(error == ETIMEDOUT);
    }
}

} // namespace

TEST_CASE("messages 5.1 success: the reply is returned, not queued") {
    Bus bus;
    Connection caller = bus.connect({.recv = KDBUS_ATTACH_CREDS}), callee = bus.connect();
    Call call(caller, Message(callee.id(), 5).call(in_ms(60'000)).body("question"));
    REQUIRE(callee.readable(10'000));
    const Received request = callee.take();
    CHECK(request->flags == KDBUS_MSG_EXPECT_REPLY);
    CHECK(request.body() == "question");
    Message answer = reply_to(caller.id(), 5, 6);
    REQUIRE(callee.send(answer.body("answer")) == 0);
    const Received r = call.get();
    REQUIRE(r.error == 0);
    CHECK(r->cookie == 6);
    CHECK(r->cookie_reply == 5);
    CHECK(r->src_id == callee.id());
    CHECK(r.body() == "answer");
    CHECK(r.find(KDBUS_ITEM_CREDS));
    CHECK(r.cmd.msg.msg_size == r.slice.size() * 8);
    CHECK(r.cmd.msg.return_flags == 0);
    CHECK(caller.empty());
    CHECK(callee.send(reply_to(caller.id(), 5)) == EBADSLT);
}

TEST_CASE("messages 5.1 the reply may overtake queued messages of the same peer") {
    Pair p;
    Call call(p.caller, p.request(5));
    p.arrived();
    REQUIRE(p.callee.send(Message(p.caller.id(), 77)) == 0);
    REQUIRE(p.reply(5) == 0);
    CHECK(call.get()->cookie_reply == 5);
    CHECK(p.caller.take()->cookie == 77);
}

TEST_CASE("messages 5 the connection stays usable while a thread waits") {
    Pair p;
    Call call(p.caller, p.request(5));
    p.arrived();
    CHECK(p.caller.send(Message(p.callee.id(), 6)) == 0);
    CHECK(p.callee.take()->cookie == 6);
    CHECK(p.callee.send(Message(p.caller.id(), 7)) == 0);
    CHECK(p.caller.take()->cookie == 7);
    CHECK(p.caller.acquire("a.b") == 0);
    // A second call of another thread, answered first.
    Call other(p.caller, p.request(8));
    p.arrived();
    CHECK(p.reply(8) == 0);
    CHECK(other.get()->cookie_reply == 8);
    CHECK(!call.done());
    CHECK(p.reply(5) == 0);
    CHECK(call.get()->cookie_reply == 5);
}

TEST_CASE("messages 5.1/2.5 descriptors arrive in the calling process; too few: INCOMPLETE_FDS") {
    Bus bus;
    Connection caller = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}), callee = bus.connect();
    Fd file = open_node("/dev/null"), memfd = make_memfd("memory");
    Call call(caller, Message(callee.id(), 5).call(in_ms(60'000)));
    REQUIRE(callee.readable(10'000));
    Message answer = reply_to(caller.id(), 5);
    REQUIRE(callee.send(answer.fds({file.get()}).memfd(memfd.get(), 0, 6)) == 0);
    const Received r = call.get();
    REQUIRE(r.error == 0);
    const auto fds = descriptors_of(r);
    REQUIRE(fds.size() == 2);
    CHECK(same_file(fds[0], file.get()));
    CHECK(same_file(fds[1], memfd.get()));
    CHECK((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    close_descriptors(r);
}

TEST_CASE("messages 5.2 the deadline: ETIMEDOUT, not early, and the slot is closed") {
    Pair p;
    const u64 deadline = time_out(p.caller, p.callee, 5);
    CHECK(now_ns() >= deadline);
    CHECK(p.callee.take()->cookie == 5);
    CHECK(p.reply(5) == EBADSLT);
    CHECK(p.caller.empty());
    Message m(p.callee.id(), 6);
    Command<kdbus_cmd_send> c;
    c->flags = KDBUS_SEND_SYNC_REPLY;
    c->msg_address = address_of(m.call(in_ms(100)).address());
    c->return_flags = c->reply.offset = c->reply.msg_size = poison;
    CHECK(p.caller.run(KDBUS_CMD_SEND, c.address()) == ETIMEDOUT);
    CHECK(c->return_flags == 0);
    CHECK(c->reply.offset == poison);
    CHECK(c->reply.msg_size == poison);
    p.check_alive();
}

TEST_CASE("messages 5.2 a deadline already past: ETIMEDOUT, and nothing is sent") {
    Pair p;
    for (u64 deadline : {u64{1}, now_ns() - 1, u64{1} << 63, all_ones}) {
        CAPTURE(deadline);
        CHECK(p.caller.call(Message(p.callee.id(), 5).call(deadline)).error == ETIMEDOUT);
        CHECK(p.callee.empty());
    }
    p.check_alive();
}

TEST_CASE("messages 4.3/5.2 the callee dies or drops the request: EPIPE, without notification") {
    Pair p;
    Call call(p.caller, p.request(5));
    REQUIRE(p.callee.readable(10'000));
    SECTION("close, the request unread") {
        p.callee.close();
    }
    SECTION("close, the request read") {
        p.callee.take();
        p.callee.close();
    }
    SECTION("BYEBYE") {
        p.callee.take();
        REQUIRE(p.callee.bye() == 0);
    }
    SECTION("DROP") {
        REQUIRE(p.callee.recv(KDBUS_RECV_DROP).error == 0);
        CHECK(call.get().error == EPIPE);
        CHECK(p.reply(5) == EBADSLT);
        p.check_alive();
        return;
    }
    CHECK(call.get().error == EPIPE);
    CHECK(p.caller.empty());
}

TEST_CASE("messages 5.2/13.49 BYEBYE and the death of the bus wake the caller: ECONNRESET") {
    Pair p;
    Call call(p.caller, p.request(5));
    p.arrived();
    SECTION("BYEBYE") {
        REQUIRE(p.caller.bye() == 0);
        CHECK(call.get().error == ECONNRESET);
        CHECK(p.reply(5) == ENXIO);
    }
    SECTION("death of the bus") {
        p.bus.close();
        CHECK(call.get().error == ECONNRESET);
    }
}

TEST_CASE("messages 5 a caller whose last other descriptor is closed keeps waiting") {
    Pair p;
    const u64 id = p.caller.id();
    Fd copy(dup(p.caller.fd()));
    Call call(p.caller, p.request(5));
    p.arrived();
    copy.reset();
    CHECK(p.callee.info(id).error == 0);
    CHECK(p.reply(5) == 0);
    CHECK(call.get().error == 0);
}

TEST_CASE("messages 5.2 the reply's delivery fails") {
    Bus bus;
    Connection caller = bus.connect({.pool_size = 16 * page}), callee = bus.connect();
    auto ask = [&](u64 cookie) {
        return Message(callee.id(), cookie).call(in_ms(60'000));
    };
    SECTION("fds refused: EREMOTEIO, and ECOMM at the replier") {
        Call call(caller, ask(5));
        REQUIRE(callee.readable(10'000));
        Fd file = open_node("/dev/null");
        Message answer = reply_to(caller.id(), 5);
        CHECK(callee.send(answer.fds({file.get()})) == ECOMM);
        CHECK(call.get().error == EREMOTEIO);
    }
    SECTION("quota: ENOBUFS on both sides") {
        Call call(caller, ask(5));
        REQUIRE(callee.readable(10'000));
        Message answer = reply_to(caller.id(), 5);
        CHECK(callee.send(answer.filler(60'000)) == ENOBUFS);
        CHECK(call.get().error == ENOBUFS);
    }
    SECTION("fault: EFAULT on both sides") {
        Call call(caller, ask(5));
        REQUIRE(callee.readable(10'000));
        GuardedPages pages(1);
        Message answer = reply_to(caller.id(), 5);
        CHECK(callee.send(answer.vec(pages.end(), 8)) == EFAULT);
        CHECK(call.get().error == EFAULT);
    }
    SECTION("space: EXFULL on both sides") {
        while (caller.info(caller.id(), 0, {}, true).error == 0) {
        }
        Call call(caller, ask(5));
        REQUIRE(callee.readable(10'000));
        CHECK(callee.send(reply_to(caller.id(), 5)) == EXFULL);
        CHECK(call.get().error == EXFULL);
        caller.free(0);
    }
    CHECK(callee.send(reply_to(caller.id(), 5)) == EBADSLT);
    CHECK(caller.empty());
    CHECK(drain(callee) == 1);
}

TEST_CASE("messages 5.2 the reply exceeds the caller's fd quota: EMFILE on both sides") {
    Bus bus;
    Connection caller = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}), callee = bus.connect();
    Fd file = open_node("/dev/null");
    Call call(caller, Message(callee.id(), 5).call(in_ms(60'000)));
    REQUIRE(callee.readable(10'000));
    REQUIRE(callee.send(Message(caller.id()).fds(std::vector(16, file.get()))) == 0);
    CHECK(callee.send(reply_to(caller.id(), 5).fds({file.get()})) == EMFILE);
    CHECK(call.get().error == EMFILE);
    CHECK(callee.send(reply_to(caller.id(), 5)) == EBADSLT);
    CHECK(drain(caller) == 1);
}

TEST_CASE("messages 3.4/5.3 the name moves while a call is interrupted: resumed all the same") {
    install_handler(0);
    Bus bus;
    Connection caller = bus.connect(), service = bus.connect();
    Connection activator = bus.connect({.flags = KDBUS_HELLO_ACTIVATOR, .name = "a.name"});
    Message request(0, 5);
    request.to("a.name").call(in_ms(60'000));
    Call call(caller, std::move(request));
    REQUIRE(activator.readable(10'000));
    call.interrupt();
    REQUIRE(call.get().error == EINTR);
    REQUIRE(service.acquire("a.name") == 0);
    CHECK(service.take()->cookie == 5);
    SECTION("answered by the new owner before it is resumed") {
        CHECK(service.send(reply_to(caller.id(), 5, 6)) == 0);
        CHECK(call.again()->cookie == 6);
    }
    SECTION("back at the activator, which ends") {
        REQUIRE(service.release("a.name") == 0);
        CHECK(service.send(reply_to(caller.id(), 5)) == EBADSLT);
        activator.close();
        CHECK(call.again().error == EPIPE);
    }
    CHECK(caller.empty());
    CHECK(service.empty());
}

TEST_CASE("messages 5.2 the request's delivery fails as for asynchronous calls") {
    Pair p;
    Fd file = open_node("/dev/null");
    CHECK(p.caller.call(p.request(5).fds({file.get()})).error == ECOMM);
    CHECK(p.caller.call(p.request(5).filler(300'000)).error == ENOBUFS);
    CHECK(p.caller.call(Message(99999999).call(in_ms(60'000))).error == ENXIO);
    CHECK(p.caller.call(Message(0).to("un.known").call(in_ms(60'000))).error == ESRCH);
    p.check_alive();
}

TEST_CASE("messages 5.2 the cancel descriptor") {
    Pair p;
    Fd event(eventfd(0, EFD_CLOEXEC));
    const u64 one = 1;
    SECTION("readable while waiting: ECANCELED, the request stays") {
        Call call(p.caller, p.request(5), event.get());
        REQUIRE(p.callee.readable(10'000));
        CHECK(!call.done(50));
        REQUIRE(write(event.get(), &one, 8) == 8);
        CHECK(call.get().error == ECANCELED);
        CHECK(p.callee.take()->cookie == 5);
        CHECK(p.reply(5) == EBADSLT);
    }
    SECTION("readable on entry: the request is sent") {
        REQUIRE(write(event.get(), &one, 8) == 8);
        CHECK(p.caller.call(p.request(5), event.get()).error == ECANCELED);
        CHECK(p.callee.take()->cookie == 5);
    }
    SECTION("a reply wins") {
        Call call(p.caller, p.request(5), event.get());
        p.arrived();
        CHECK(p.reply(5) == 0);
        CHECK(call.get().error == 0);
    }
    SECTION("only POLLIN counts") {
        Pipe pipe;
        Call call(p.caller, p.request(5), pipe.write.get()); // always POLLOUT
        p.arrived();
        CHECK(!call.done(50));
        pipe.read.reset(); // POLLERR
        CHECK(!call.done(50));
        CHECK(p.reply(5) == 0);
        CHECK(call.get().error == 0);
    }
    SECTION("several calls share one descriptor") {
        Call first(p.caller, p.request(5), event.get()),
            second(p.caller, p.request(6), event.get());
        p.arrived();
        p.arrived();
        REQUIRE(write(event.get(), &one, 8) == 8);
        CHECK(first.get().error == ECANCELED);
        CHECK(second.get().error == ECANCELED);
    }
    p.check_alive();
}

TEST_CASE("messages 5.3 a handler with SA_RESTART: the wait goes on, the request is sent once") {
    install_handler(SA_RESTART);
    Pair p;
    Call call(p.caller, p.request(5));
    REQUIRE(p.callee.readable(10'000));
    for (int i = 1; i <= 5; i++) {
        call.interrupt();
        REQUIRE(eventually([&] { return handled == i; }));
    }
    CHECK(!call.done(50));
    CHECK(p.callee.take()->cookie == 5);
    CHECK(p.callee.empty());
    CHECK(p.reply(5) == 0);
    CHECK(call.get().error == 0);
    p.check_alive();
}

TEST_CASE("messages 5.3 without a handler the wait goes on") {
    Pair p;
    Child child([&] { return p.caller.call(p.request(5)).error; });
    REQUIRE(p.callee.readable(10'000));
    for (int i = 0; i < 3; i++) {
        kill(child.pid(), SIGSTOP);
        sleep_ms(20);
        kill(child.pid(), SIGCONT);
        sleep_ms(20);
    }
    CHECK(p.callee.take()->cookie == 5);
    CHECK(p.callee.empty());
    CHECK(p.reply(5) == 0);
    CHECK(child.wait() == 0);
}

TEST_CASE("messages 5.3 a handler without SA_RESTART: EINTR, and the same cookie resumes") {
    install_handler(0);
    Pair p;
    Call call(p.caller, p.request(5));
    REQUIRE(p.callee.readable(10'000));
    call.interrupt();
    const Received interrupted = call.get();
    CHECK(interrupted.error == EINTR);
    SECTION("and gets the reply, the request sent once") {
        auto resumed = std::async(std::launch::async, [&] { return call.again(); });
        CHECK(resumed.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
        CHECK(p.arrived()->cookie == 5);
        CHECK(p.callee.empty());
        CHECK(p.reply(5) == 0);
        CHECK(resumed.get()->cookie_reply == 5);
    }
    SECTION("destination and payload are not compared, but validated") {
        CHECK(p.caller.call(Message(all_ones, 5).call(in_ms(60'000))).error == EBADMSG);
        auto resumed = std::async(std::launch::async, [&] {
            return p.caller.call(Message(p.caller.id(), 5).body("other").call(in_ms(60'000)));
        });
        CHECK(p.arrived()->cookie == 5);
        CHECK(p.reply(5) == 0);
        CHECK(resumed.get().error == 0);
        CHECK(p.callee.empty());
    }
    SECTION("the resumed wait uses the new deadline") {
        const u64 deadline = in_ms(60);
        CHECK(call.again(deadline).error == ETIMEDOUT);
        CHECK(now_ns() >= deadline);
        CHECK(p.reply(5) == EBADSLT);
    }
    SECTION("another cookie is a new call") {
        Call other(p.caller, p.request(6));
        CHECK(p.arrived()->cookie == 5);
        CHECK(p.arrived()->cookie == 6);
        CHECK(p.reply(6) == 0);
        CHECK(other.get()->cookie_reply == 6);
        CHECK(p.reply(5) == 0);
        CHECK(call.again()->cookie_reply == 5);
    }
    SECTION("an asynchronous call with the cookie is a new call") {
        CHECK(p.caller.send(p.request(5)) == 0);
        CHECK(p.arrived()->cookie == 5);
        CHECK(p.arrived()->cookie == 5);
    }
    SECTION("not if it is not the most recent open slot with the cookie") {
        CHECK(p.caller.send(p.request(5)) == 0);
        p.arrived();
        p.arrived();
        Call fresh(p.caller, p.request(5));
        CHECK(p.arrived()->cookie == 5);
        CHECK(p.reply(5) == 0);
        CHECK(fresh.get().error == 0);
    }
    SECTION("interrupted again and again") {
        for (int i = 0; i < 5; i++) {
            Call resumed(p.caller, p.request(5));
            resumed.interrupt_until_done();
            CHECK(resumed.get().error == EINTR);
        }
        CHECK(p.arrived()->cookie == 5);
        CHECK(p.callee.empty());
        CHECK(p.reply(5) == 0);
        CHECK(call.again().error == 0);
    }
}

TEST_CASE("messages 5.3/14.5 a reply between interruption and resumption is kept") {
    install_handler(0);
    Bus bus;
    Connection caller = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}), callee = bus.connect();
    Call call(caller, Message(callee.id(), 5).call(in_ms(60'000)));
    REQUIRE(callee.readable(10'000));
    call.interrupt();
    REQUIRE(call.get().error == EINTR);
    Fd file = open_node("/dev/null");
    SECTION("reply") {
        callee.take();
        Message answer = reply_to(caller.id(), 5);
        REQUIRE(callee.send(answer.body("kept").fds({file.get()})) == 0);
        CHECK(callee.send(reply_to(caller.id(), 5)) == EBADSLT);
        CHECK(caller.empty());
        const Received r = call.again();
        REQUIRE(r.error == 0);
        CHECK(r.body() == "kept");
        CHECK(same_file(descriptors_of(r).at(0), file.get()));
        close_descriptors(r);
        CHECK(callee.empty());
        // Resumed once: the next one is a new call.
        Call fresh(caller, Message(callee.id(), 5).call(in_ms(60'000)));
        REQUIRE(callee.readable(10'000));
        CHECK(callee.take()->cookie == 5);
        CHECK(callee.send(reply_to(caller.id(), 5)) == 0);
        CHECK(fresh.get().error == 0);
    }
    SECTION("death") {
        callee.close();
        CHECK(caller.empty());
        CHECK(call.again().error == EPIPE);
    }
    SECTION("DROP") {
        REQUIRE(callee.recv(KDBUS_RECV_DROP).error == 0);
        CHECK(caller.empty());
        CHECK(call.again().error == EPIPE);
        CHECK(callee.empty());
    }
}

TEST_CASE("messages 5.3/14.5 what was kept is discarded at the deadline") {
    install_handler(0);
    Bus bus;
    Connection caller = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD}), callee = bus.connect();
    Pipe pipe;
    for (u64 ms = 400;; ms *= 4) {
        interrupt_before_deadline(caller, callee, 5, ms);
        Message answer = reply_to(caller.id(), 5);
        const int replied = callee.send(answer.filler(1000).fds({pipe.write.get()}));
        if (replied == 0)
            break;
        REQUIRE(replied == EBADSLT); // too late
    }
    pipe.write.reset();
    pollfd poll{pipe.read.get(), POLLIN, 0};
    CHECK(::poll(&poll, 1, 90'000) == 1);
    CHECK(poll.revents == POLLHUP);
    // A new call, and the pool is free again.
    Call again(caller, Message(callee.id(), 5).call(in_ms(60'000)));
    REQUIRE(callee.readable(10'000));
    CHECK(callee.take()->cookie == 5);
    CHECK(callee.send(reply_to(caller.id(), 5)) == 0);
    const Received r = again.get();
    REQUIRE(r.error == 0);
    CHECK(r.offset() == 0);
}

TEST_CASE("messages 5.2 a reply that was attached wins over what happens later") {
    Pair p;
    Fd event(eventfd(0, EFD_CLOEXEC));
    Child child([&] { return p.caller.call(p.request(5), event.get()).error; });
    p.arrived();
    // The caller cannot look before all of it has happened.
    kill(child.pid(), SIGSTOP);
    int status = 0;
    REQUIRE(waitpid(child.pid(), &status, WUNTRACED) == child.pid());
    REQUIRE(p.reply(5) == 0);
    SECTION("cancellation") {
        const u64 one = 1;
        REQUIRE(write(event.get(), &one, 8) == 8);
    }
    SECTION("death of the callee") {
        p.callee.close();
    }
    kill(child.pid(), SIGCONT);
    CHECK(child.wait() == 0);
    CHECK(p.caller.empty());
}

TEST_CASE("messages 5.3 an interrupted slot never resumed vanishes silently at its deadline") {
    install_handler(0);
    Pair p;
    u64 ms = 300;
    const u64 deadline = interrupt_before_deadline(p.caller, p.callee, 5, ms);
    // Deadlines end in their order.
    REQUIRE(p.caller.send(Message(p.callee.id(), 6).call(deadline + 1)) == 0);
    REQUIRE(p.caller.readable(90'000));
    expect_reply_notification(p.caller, KDBUS_ITEM_REPLY_TIMEOUT, 6);
    CHECK(p.caller.empty());
    CHECK(p.reply(5) == EBADSLT);
    p.check_alive();
}

TEST_CASE("messages 5.3 interrupted slots count, and end with the connection") {
    install_handler(0);
    Pair p;
    Call call(p.caller, p.request(5));
    REQUIRE(p.callee.readable(10'000));
    call.interrupt();
    REQUIRE(call.get().error == EINTR);
    for (u64 i = 1; i < KDBUS_CONN_MAX_REQUESTS_PENDING; i++)
        REQUIRE(p.caller.send(p.request(100 + i)) == 0);
    CHECK(p.caller.send(p.request(300)) == EMLINK);
    p.caller.close();
    CHECK(p.reply(5) == ENXIO);
}

TEST_CASE("messages 3.1/5 a synchronous call to oneself") {
    Bus bus;
    Connection c = bus.connect();
    time_out(c, c, 3);
    CHECK(drain(c) == 1);
    Call call(c, Message(c.id(), 4).call(in_ms(60'000)));
    REQUIRE(c.readable(10'000));
    CHECK(c.take()->cookie == 4);
    CHECK(c.send(reply_to(c.id(), 4)) == 0);
    CHECK(call.get()->cookie_reply == 4);
}

TEST_CASE("messages 5 the caller is killed while waiting") {
    Pair p;
    const u64 id = p.caller.id();
    Child child([&] { return p.caller.call(p.request(5)).error; });
    REQUIRE(p.callee.readable(10'000));
    p.caller.close(); // the child holds the last copy
    child.kill();
    CHECK(eventually([&] { return p.callee.info(id).error == ENXIO; }));
    CHECK(p.callee.send(reply_to(id, 5)) == ENXIO);
    CHECK(p.callee.take()->cookie == 5);
}
