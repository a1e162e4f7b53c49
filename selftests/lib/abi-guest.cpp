// SPDX-License-Identifier: LGPL-2.1-or-later
// Layer 1 on a real bus.
#include "guest-bus.hpp"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

namespace abi = kdbus::abi;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t all_metadata =
    KDBUS_ATTACH_TIMESTAMP | KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_NAMES;

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string text_of(const abi::MessageView& message) {
    std::string text;
    message.for_each_piece([&](const abi::Piece& piece) {
        if (piece.kind == abi::Piece::Kind::bytes)
            text.append(reinterpret_cast<const char*>(piece.data.data()), piece.data.size());
        else if (piece.kind == abi::Piece::Kind::zeros)
            text.append(piece.size, '\0');
        else if (const auto mapping = piece.map())
            text.append(reinterpret_cast<const char*>(mapping->bytes().data()),
                        mapping->bytes().size());
    });
    return text;
}

struct Pair {
    abi::Bus bus = make_bus();
    abi::Connection a =
        must(abi::Connection::open(bus.node_path(), {.attach_flags_recv = all_metadata}));
    abi::Connection b =
        must(abi::Connection::open(bus.node_path(), {.attach_flags_recv = all_metadata}));
};

/// Sends a text.
abi::Result<void> send_text(const abi::Connection& from, abi::OutgoingMessage message,
                            std::string_view text) {
    const std::array parts{abi::Part::bytes(bytes_of(text))};
    message.payload = parts;
    return from.send(message);
}

abi::ReceivedMessage take(const abi::Connection& connection) {
    auto received = must(connection.recv());
    REQUIRE(received.message);
    return std::move(*received.message);
}

abi::OutgoingMessage call_to(const abi::Connection& to, std::uint64_t cookie,
                             std::chrono::nanoseconds timeout = 20s) {
    abi::OutgoingMessage call;
    call.dst_id = to.id();
    call.cookie = cookie;
    call.flags = KDBUS_MSG_EXPECT_REPLY;
    call.timeout_ns = abi::deadline_after(timeout);
    return call;
}

/// Waits until a connection has something to receive.
bool wait_readable(const abi::Connection& connection, int milliseconds = 30'000) {
    pollfd entry{.fd = connection.fd(), .events = POLLIN, .revents = 0};
    return poll(&entry, 1, milliseconds) == 1 && (entry.revents & POLLIN) != 0;
}

std::atomic<int> handled = 0;

void count_signal(int) {
    ++handled;
}

} // namespace

TEST_CASE("abi: a bus and its connections", "[guest]") {
    std::string path;
    {
        const Pair pair;
        path = pair.bus.node_path();
        CHECK(pair.a.id() != pair.b.id());
        CHECK(pair.a.bus_uuid() == pair.b.bus_uuid());
        CHECK((pair.a.bus_uuid()[6] & 0xf0) == 0x40);
        CHECK(pair.a.bloom().size == 64);
        CHECK(pair.a.bloom().n_hash == 8);
        CHECK(pair.a.pool_size() == 16 * 1024 * 1024);
        CHECK(errno_of(abi::Bus::make({.name = path.substr(11, path.size() - 15)})) == EEXIST);
    }
    CHECK(errno_of(abi::Connection::open(path)) == ENOENT);
    CHECK(errno_of(abi::Bus::make({.name = "bad name"})) == EINVAL);
    CHECK(errno_of(abi::Bus::make({.name = std::to_string(geteuid()) + "-x", .bloom_size = 7})) ==
          EINVAL);
    const auto world = make_bus(KDBUS_MAKE_ACCESS_WORLD);
    const auto connection =
        must(abi::Connection::open(world.node_path(), {.description = "test.1"}));
    CHECK(connection.bus_flags() == KDBUS_MAKE_ACCESS_WORLD);
    const auto info = must(connection.info(connection.id(), _KDBUS_ATTACH_ALL));
    CHECK(info.first()->metadata().description() == "test.1");
    CHECK(errno_of(abi::Connection::open(world.node_path(), {.pool_size = 4097})) == EINVAL);
    CHECK(errno_of(abi::Connection::open(world.node_path(), {.description = "a b"})) == EINVAL);
}

TEST_CASE("abi: a message arrives as it was sent", "[guest]") {
    const Pair pair;
    const std::size_t before = open_descriptors();
    must(pair.b.acquire_name("org.example.B"));
    auto file = must(abi::SealedMemfd::copy(bytes_of("....from the memfd")));
    {
        std::array<int, 2> pipe_fds{};
        REQUIRE(pipe2(pipe_fds.data(), O_CLOEXEC) == 0);
        const abi::UniqueFd reader(pipe_fds[0]);
        const abi::UniqueFd writer(pipe_fds[1]);
        const std::array parts{abi::Part::bytes(bytes_of("bytes")), abi::Part::zeros(3),
                               abi::Part::memfd(file.fd(), 4, 14),
                               abi::Part::bytes(bytes_of("end"))};
        const std::array fds{writer.get()};
        abi::OutgoingMessage message;
        message.dst_name = "org.example.B";
        message.cookie = 0x1234;
        message.priority = -5;
        message.payload = parts;
        message.fds = fds;
        must(pair.a.send(message));
        auto received = take(pair.b);
        CHECK(received.header().src_id == pair.a.id());
        CHECK(received.header().dst_id == 0);
        CHECK(received.header().cookie == 0x1234);
        CHECK(received.header().priority == -5);
        CHECK(received.header().payload_type == KDBUS_PAYLOAD_DBUS);
        CHECK(received.dst_name() == "org.example.B");
        CHECK(received.payload_size() == 25);
        CHECK(text_of(received) == std::string("bytes\0\0\0from the memfdend", 25));
        CHECK_FALSE(received.incomplete_fds());
        const auto metadata = received.metadata();
        CHECK(metadata.creds()->euid == geteuid());
        CHECK(metadata.pids()->pid == static_cast<std::uint64_t>(getpid()));
        REQUIRE(metadata.timestamp());
        CHECK(metadata.timestamp()->monotonic_ns != 0);
        CHECK(metadata.timestamp()->monotonic_ns <= abi::deadline_after(0s));
        REQUIRE(received.fds().size() == 1);
        const auto passed = must(received.take_fd(0));
        REQUIRE(write(passed.get(), "x", 1) == 1);
        char c = 0;
        CHECK(read(reader.get(), &c, 1) == 1);
        CHECK(c == 'x');
    }
    file = abi::SealedMemfd();
    CHECK(open_descriptors() == before);
    CHECK_FALSE(must(pair.b.recv()).message);
}

TEST_CASE("abi: the pool does not fill up when messages are dropped by their owner", "[guest]") {
    const auto bus = make_bus();
    const auto a = must(abi::Connection::open(bus.node_path()));
    const auto b = must(abi::Connection::open(bus.node_path(), {.pool_size = 64 * 1024}));
    const std::string text(4000, 'x');
    abi::OutgoingMessage message;
    message.dst_id = b.id();
    for (int i = 0; i < 100; ++i) {
        REQUIRE(send_text(a, message, text));
        CHECK(text_of(take(b)) == text);
        must(b.list(KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES));
        must(b.info(a.id(), 0));
    }
}

TEST_CASE("abi: slices outlive the connection object, which still leaves the bus", "[guest]") {
    Pair pair;
    abi::OutgoingMessage message;
    message.dst_id = pair.b.id();
    must(send_text(pair.a, message, "kept"));
    must(send_text(pair.a, message, "unread"));
    const auto kept = take(pair.b);
    const std::uint64_t id = pair.b.id();
    { const auto gone = std::move(pair.b); }
    CHECK(errno_of(pair.a.info(id, 0)) == ENXIO);
    CHECK(text_of(kept) == "kept");
}

TEST_CASE("abi: blocking calls", "[guest]") {
    const Pair pair;
    SECTION("are answered") {
        std::thread callee([&] {
            if (!wait_readable(pair.b))
                return;
            const auto call = std::move(*pair.b.recv()->message);
            abi::OutgoingMessage reply;
            reply.dst_id = call.header().src_id;
            reply.cookie = 77;
            reply.cookie_reply = call.header().cookie;
            (void)send_text(pair.b, reply, "answer");
        });
        const auto reply = pair.a.call(call_to(pair.b, 5));
        callee.join();
        REQUIRE(reply);
        CHECK(text_of(*reply) == "answer");
        CHECK(reply->header().cookie_reply == 5);
        CHECK(reply->metadata().pids());
        CHECK_FALSE(must(pair.a.recv()).message);
    }
    SECTION("end with their deadline") {
        const std::uint64_t start = abi::deadline_after(0s);
        CHECK(errno_of(pair.a.call(call_to(pair.b, 5, 50ms))) == ETIMEDOUT);
        CHECK(abi::deadline_after(0s) - start >= 50'000'000);
        CHECK(errno_of(pair.a.call(call_to(pair.b, 6, -1s))) == ETIMEDOUT);
    }
    SECTION("end when the callee dies or drops the call") {
        const std::uint64_t flags = GENERATE(as<std::uint64_t>(), 0, KDBUS_RECV_DROP);
        auto victim =
            std::make_unique<abi::Connection>(must(abi::Connection::open(pair.bus.node_path())));
        const auto call = call_to(*victim, 5);
        std::thread callee([&] {
            if (!wait_readable(*victim))
                return;
            if (flags == KDBUS_RECV_DROP)
                (void)victim->recv(flags);
            else
                victim.reset();
        });
        const int result = errno_of(pair.a.call(call));
        callee.join();
        CHECK(result == EPIPE);
    }
    SECTION("end when they are cancelled") {
        const abi::UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
        std::thread canceller([&] {
            if (wait_readable(pair.b))
                eventfd_write(cancel.get(), 1);
        });
        const int result = errno_of(pair.a.call(call_to(pair.b, 5), {.cancel_fd = cancel.get()}));
        canceller.join();
        CHECK(result == ECANCELED);
    }
    SECTION("need what the kernel needs") {
        abi::OutgoingMessage message;
        message.dst_id = pair.b.id();
        CHECK(errno_of(pair.a.call(message)) == EINVAL);
        CHECK(errno_of(pair.a.call(call_to(pair.b, 1), {.cancel_fd = 12345})) == EBADF);
    }
}

TEST_CASE("abi: an interrupted call is sent once and goes on waiting", "[guest]") {
    const Pair pair;
    struct sigaction action {};
    action.sa_handler = count_signal; // without SA_RESTART
    REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
    handled = 0;
    const bool resume = GENERATE(true, false);
    const pthread_t caller = pthread_self();
    std::atomic<int> requests = 0;
    std::thread callee([&] {
        if (!wait_readable(pair.b))
            return;
        const auto call = std::move(*pair.b.recv()->message);
        ++requests;
        // The answer must not overtake a signal.
        for (int i = 1; i <= 3; ++i) {
            std::this_thread::sleep_for(20ms);
            pthread_kill(caller, SIGUSR1);
            while (handled < i)
                std::this_thread::sleep_for(1ms);
        }
        std::this_thread::sleep_for(20ms);
        abi::OutgoingMessage reply;
        reply.dst_id = call.header().src_id;
        reply.cookie_reply = call.header().cookie;
        (void)send_text(pair.b, reply, "late");
        if (wait_readable(pair.b, 50))
            ++requests;
    });
    const auto message = call_to(pair.b, 5);
    int interruptions = 0;
    auto reply = pair.a.call(message, {.resume_interrupted = resume});
    while (errno_of(reply) == EINTR) {
        ++interruptions;
        reply = pair.a.call(message, {.resume_interrupted = resume});
    }
    callee.join();
    REQUIRE(reply);
    CHECK(text_of(*reply) == "late");
    CHECK(requests == 1);
    CHECK((interruptions > 0) == !resume);
}

TEST_CASE("abi: names", "[guest]") {
    const Pair pair;
    const auto first = must(pair.a.acquire_name("org.example.N", KDBUS_NAME_ALLOW_REPLACEMENT));
    CHECK(first.primary());
    CHECK(first.acquired());
    CHECK_FALSE(
        must(pair.a.acquire_name("org.example.N", KDBUS_NAME_ALLOW_REPLACEMENT)).acquired());
    CHECK(errno_of(pair.b.acquire_name("org.example.N")) == EEXIST);
    const auto queued = must(pair.b.acquire_name("org.example.N", KDBUS_NAME_QUEUE));
    CHECK(queued.in_queue());
    CHECK_FALSE(queued.primary());
    CHECK(must(pair.b.acquire_name("org.example.N", KDBUS_NAME_REPLACE_EXISTING)).primary());
    CHECK(must(pair.a.info("org.example.N", 0)).first()->id == pair.b.id());
    CHECK(errno_of(pair.a.info("org.example.N", 0, pair.a.id())) == ESRCH);
    CHECK(errno_of(pair.a.release_name("org.example.N")) == EADDRINUSE);
    must(pair.b.acquire_name("org.example.M"));
    std::vector<std::string> names;
    must(pair.a.list(KDBUS_LIST_NAMES)).for_each([&](const abi::InfoView& record) {
        CHECK(record.id == pair.b.id());
        record.metadata().for_each_owned_name([&](const abi::OwnedName& owned) {
            CHECK(owned.flags == KDBUS_NAME_PRIMARY);
            names.emplace_back(owned.name);
        });
    });
    CHECK(names == std::vector<std::string>{"org.example.N", "org.example.M"});
    must(pair.b.release_name("org.example.N"));
    CHECK(errno_of(pair.b.release_name("org.example.N")) == ESRCH);
    CHECK(errno_of(pair.a.acquire_name("nodots")) == EINVAL);
    CHECK(errno_of(pair.a.acquire_name(std::string(254, 'a') + ".b")) == EINVAL);
    CHECK(errno_of(pair.a.release_name(std::string(300, 'a'))) == ESRCH);
    CHECK(errno_of(pair.a.info(std::string(300, 'a'), 0)) == ESRCH);
    CHECK(errno_of(pair.a.info(~0ULL - 1, 0)) == ENXIO);
    std::size_t empty = 0;
    must(pair.a.list(0)).for_each([&](const abi::InfoView&) { ++empty; });
    CHECK(empty == 0);
}

TEST_CASE("abi: matches select signals and notifications", "[guest]") {
    const Pair pair;
    const std::array<std::uint64_t, 8> filter{0xf0, 1};
    const std::array<std::uint64_t, 8> mask{0x30};
    const std::array<std::uint64_t, 8> other{0x01};
    abi::OutgoingMessage signal;
    signal.dst_id = KDBUS_DST_ID_BROADCAST;
    signal.flags = KDBUS_MSG_SIGNAL;
    signal.bloom = abi::BloomFilter{0, filter};
    must(send_text(pair.a, signal, "nobody"));
    const std::array<abi::match::Rule, 2> rules{abi::match::BloomMask{mask},
                                                abi::match::SenderId{pair.a.id()}};
    must(pair.b.add_match(1, rules));
    const std::array<abi::match::Rule, 1> never{abi::match::BloomMask{other}};
    must(pair.a.add_match(1, never));
    must(send_text(pair.a, signal, "somebody"));
    CHECK(text_of(take(pair.b)) == "somebody");
    CHECK_FALSE(must(pair.a.recv()).message);
    must(pair.b.remove_match(1));
    CHECK(errno_of(pair.b.remove_match(1)) == EBADSLT);
    const std::array<abi::match::Rule, 1> short_mask{
        abi::match::BloomMask{std::span(mask).first(3)}};
    CHECK(errno_of(pair.b.add_match(1, short_mask)) == EDOM);

    const std::array<abi::match::Rule, 1> names{abi::match::NameChange{
        abi::match::NameChange::Kind::add, KDBUS_MATCH_ID_ANY, pair.a.id(), "org.example.N"}};
    const std::array<abi::match::Rule, 1> ids{abi::match::IdChange{}};
    must(pair.b.add_match(2, names));
    must(pair.b.add_match(2, ids));
    must(pair.a.acquire_name("org.example.Other"));
    must(pair.a.acquire_name("org.example.N"));
    auto message = take(pair.b);
    REQUIRE(message.notification());
    const auto change = std::get<abi::NameNotification>(*message.notification());
    CHECK(change.type == KDBUS_ITEM_NAME_ADD);
    CHECK(change.new_owner.id == pair.a.id());
    CHECK(change.new_owner.flags == KDBUS_NAME_PRIMARY);
    CHECK(change.old_owner.id == 0);
    CHECK(change.name == "org.example.N");
    CHECK(message.metadata().timestamp());
    std::uint64_t gone = 0;
    { gone = must(abi::Connection::open(pair.bus.node_path())).id(); }
    message = take(pair.b);
    REQUIRE(message.notification());
    CHECK(std::get<abi::IdNotification>(*message.notification()).connection.id == gone);
}

TEST_CASE("abi: asynchronous calls end with a notification", "[guest]") {
    const Pair pair;
    {
        const auto victim = must(abi::Connection::open(pair.bus.node_path()));
        must(pair.a.send(call_to(victim, 41)));
    }
    auto message = take(pair.a);
    REQUIRE(message.notification());
    auto end = std::get<abi::ReplyNotification>(*message.notification());
    CHECK(end.type == KDBUS_ITEM_REPLY_DEAD);
    CHECK(end.cookie == 41);
    must(pair.a.send(call_to(pair.b, 42, 30ms)));
    REQUIRE(wait_readable(pair.a));
    message = take(pair.a);
    REQUIRE(message.notification());
    end = std::get<abi::ReplyNotification>(*message.notification());
    CHECK(end.type == KDBUS_ITEM_REPLY_TIMEOUT);
    CHECK(end.cookie == 42);
    abi::OutgoingMessage late;
    late.dst_id = pair.a.id();
    late.cookie_reply = 42;
    CHECK(errno_of(pair.b.send(late)) == EBADSLT);
}

TEST_CASE("abi: receiving by priority, peeking and dropping", "[guest]") {
    const Pair pair;
    abi::OutgoingMessage message;
    message.dst_id = pair.b.id();
    for (int priority : {5, -5, 0}) {
        message.priority = priority;
        must(send_text(pair.a, message, std::to_string(priority)));
    }
    CHECK(must(pair.b.recv(KDBUS_RECV_USE_PRIORITY, -6)).message == std::nullopt);
    CHECK(text_of(*must(pair.b.recv(KDBUS_RECV_USE_PRIORITY, 10)).message) == "-5");
    CHECK(text_of(*must(pair.b.recv(KDBUS_RECV_PEEK)).message) == "5");
    CHECK(text_of(take(pair.b)) == "5");
    CHECK(must(pair.b.recv(KDBUS_RECV_DROP)).discarded);
    CHECK_FALSE(must(pair.b.recv(KDBUS_RECV_DROP)).discarded);
    CHECK(errno_of(pair.b.recv(KDBUS_RECV_DROP | KDBUS_RECV_USE_PRIORITY)) == EINVAL);
}

TEST_CASE("abi: a peeked message keeps its descriptors for the one who receives it", "[guest]") {
    const Pair pair;
    const abi::UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::array fds{null.get()};
    abi::OutgoingMessage message;
    message.dst_id = pair.b.id();
    message.fds = fds;
    must(pair.a.send(message));
    {
        auto peeked = std::move(*must(pair.b.recv(KDBUS_RECV_PEEK)).message);
        REQUIRE(peeked.fds().size() == 1);
        CHECK(peeked.fds()[0] == -1);
        CHECK(errno_of(peeked.take_fd(0)) == ENOENT);
    }
    auto received = take(pair.b);
    CHECK(must(received.take_fd(0)).get() >= 0);
}

TEST_CASE("abi: lost signals are counted", "[guest]") {
    const auto bus = make_bus();
    const auto a = must(abi::Connection::open(bus.node_path()));
    const auto b = must(abi::Connection::open(bus.node_path(), {.pool_size = 4096}));
    must(b.add_match(0, {}));
    const std::array<std::uint64_t, 8> filter{};
    abi::OutgoingMessage signal;
    signal.dst_id = KDBUS_DST_ID_BROADCAST;
    signal.flags = KDBUS_MSG_SIGNAL;
    signal.bloom = abi::BloomFilter{0, filter};
    const std::string text(3000, 'x');
    must(send_text(a, signal, text));
    must(send_text(a, signal, text));
    CHECK(wait_readable(b));
    const auto received = must(b.recv());
    CHECK_FALSE(received.message);
    CHECK(received.dropped == 2);
    CHECK(must(b.recv()).dropped == 0);
}

TEST_CASE("abi: saying goodbye", "[guest]") {
    const Pair pair;
    abi::OutgoingMessage message;
    message.dst_id = pair.b.id();
    must(pair.a.send(message));
    CHECK(errno_of(pair.b.byebye()) == EBUSY);
    take(pair.b);
    must(pair.b.byebye());
    CHECK(errno_of(pair.b.byebye()) == ECONNRESET);
    CHECK(errno_of(pair.b.recv()) == ECONNRESET);
    CHECK(errno_of(pair.a.send(message)) == ENXIO);
    pollfd entry{.fd = pair.b.fd(), .events = POLLIN, .revents = 0};
    CHECK(poll(&entry, 1, 0) == 1);
    CHECK(entry.revents == (POLLHUP | POLLERR));
}

TEST_CASE("abi: a proxy shows its client's identity", "[guest]") {
    const Pair pair;
    const kdbus_creds creds{.uid = 1234,
                            .euid = 1234,
                            .suid = abi::unknown_id,
                            .fsuid = abi::unknown_id,
                            .gid = 5678,
                            .egid = 5678,
                            .sgid = abi::unknown_id,
                            .fsgid = abi::unknown_id};
    const auto client = must(abi::Connection::open(
        pair.bus.node_path(), {.creds = creds, .pids = kdbus_pids{.pid = 1}, .seclabel = "label"}));
    const auto info = must(pair.a.info(client.id(), _KDBUS_ATTACH_ALL));
    const auto metadata = info.first()->metadata();
    CHECK(metadata.creds()->euid == 1234);
    CHECK(metadata.creds()->egid == 5678);
    CHECK(metadata.creds()->suid == abi::unknown_id);
    CHECK(metadata.pids()->pid == 1);
    CHECK(metadata.seclabel() == "label");
    CHECK_FALSE(metadata.exe());
}

TEST_CASE("abi: one connection serves several threads", "[guest]") {
    const Pair pair;
    constexpr int threads = 4;
    constexpr int calls = 200;
    std::atomic<bool> done = false;
    std::thread callee([&] {
        while (!done) {
            if (!wait_readable(pair.b, 20))
                continue;
            while (true) {
                auto received = pair.b.recv();
                if (!received || !received->message)
                    break;
                abi::OutgoingMessage reply;
                reply.dst_id = received->message->header().src_id;
                reply.cookie_reply = received->message->header().cookie;
                (void)send_text(pair.b, reply, text_of(*received->message));
            }
        }
    });
    std::atomic<int> right = 0;
    std::vector<std::thread> callers;
    for (int t = 0; t < threads; ++t)
        callers.emplace_back([&, t] {
            for (int i = 0; i < calls; ++i) {
                const std::string text = std::to_string(t * calls + i + 1);
                auto call = call_to(pair.b, static_cast<std::uint64_t>(t * calls + i + 1));
                const std::array parts{abi::Part::bytes(bytes_of(text))};
                call.payload = parts;
                const auto reply = pair.a.call(call);
                if (reply && text_of(*reply) == text)
                    ++right;
            }
        });
    for (auto& caller : callers)
        caller.join();
    done = true;
    callee.join();
    CHECK(right == threads * calls);
}
