// SPDX-License-Identifier: LGPL-2.1-or-later
// Connections whose other end lies, floods, trickles or falls silent.
#include "../../userspace/lib/bus/cancellation.hpp"
#include "../../userspace/lib/bus/socket_inbox.hpp"
#include "../../userspace/lib/bus/socket_peer.hpp"
#include "../../userspace/lib/bus/unix_socket.hpp"

#include <kdbus/bus.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <poll.h>
#include <random>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

// What the address sanitizer counts; absent without it.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace abi = kdbus::abi;
namespace wire = kdbus::wire;
namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

constexpr const char* path = "/org/example/Test";
constexpr const char* interface_name = "org.example.Test";

std::size_t allocated() {
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::string opening(bool fds = true) {
    std::string text = "\0AUTH EXTERNAL "s;
    for (char digit : std::to_string(geteuid()))
        (text += '3') += digit;
    return text + (fds ? "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" : "\r\nBEGIN\r\n");
}

/// The bytes of a message with a body that is in place.
std::string bytes_of(const wire::Message& message) {
    wire::Buffer buffer;
    REQUIRE(wire::serialise_dbus1(message, buffer));
    return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

wire::Message call_header(std::string_view member, std::uint32_t serial = 1) {
    wire::Message message;
    message.type = kdbus::MessageType::method_call;
    message.format = wire::dbus1_native;
    message.serial = serial;
    message.path = path;
    message.interface = interface_name;
    message.member = member;
    return message;
}

/// A call with one text.
std::string call_with(std::string_view member, std::string_view text, std::uint32_t serial = 1) {
    wire::Buffer body;
    wire::Writer writer(body, wire::dbus1_native);
    writer.append(text);
    REQUIRE(writer.finish());
    wire::Message message = call_header(member, serial);
    message.signature = "s";
    message.body = writer.body();
    return bytes_of(message);
}

/// Our connection, and an end that is not ours to trust.
struct Situation {
    std::optional<kdbus::Connection> ours;
    abi::UniqueFd theirs;
    std::vector<std::string> heard;
    int calls = 0;
    kdbus::Slot object;

    explicit Situation(kdbus::PeerRole role = kdbus::PeerRole::server,
                       const kdbus::ConnectionOptions& options = {}) {
        std::array<int, 2> fds{};
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
        theirs.reset(fds[1]);
        ours.emplace(kdbus::Connection::from_socket(abi::UniqueFd(fds[0]), role, options).value());
        kdbus::Interface interface(interface_name);
        interface.method("Say", [this](const std::string& text) { heard.push_back(text); });
        interface.method("Count", [this] { return ++calls; });
        interface.method("Take", [this](const kdbus::Message& call, kdbus::UnixFd index) {
            const auto fd = call.take_fd(index);
            heard.push_back(fd ? "descriptor" : fd.error().name);
        });
        object = ours->add_object(path, std::move(interface)).value();
    }

    void write(std::string_view bytes, std::span<const int> fds = {}) const {
        iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
        msghdr message{.msg_iov = &piece, .msg_iovlen = 1};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(253 * sizeof(int))> control{};
        if (!fds.empty()) {
            message.msg_control = control.data();
            message.msg_controllen = CMSG_SPACE(fds.size_bytes());
            cmsghdr* header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(fds.size_bytes());
            std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
        }
        REQUIRE(sendmsg(theirs.get(), &message, MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    /// What our side wrote and was not read yet.
    [[nodiscard]] std::string read_all() const {
        std::string text;
        std::array<char, 65536> part{};
        ssize_t got = 0;
        while ((got = recv(theirs.get(), part.data(), part.size(), MSG_DONTWAIT)) > 0)
            text.append(part.data(), static_cast<std::size_t>(got));
        return text;
    }
    /// Lets our side do everything there is to do. How it ended, or nothing.
    std::string settle() {
        for (;;) {
            const auto done = ours->process();
            if (!done)
                return done.error().name;
            if (!*done && ours->timeout().value_or(std::chrono::steady_clock::now() + 1h) >
                              std::chrono::steady_clock::now())
                return {};
        }
    }
    void authenticate() {
        write(opening());
        REQUIRE(settle().empty());
        REQUIRE(read_all().find("AGREE_UNIX_FD\r\n") != std::string::npos);
    }
};

} // namespace

TEST_CASE("hostile: nonsense instead of authentication") {
    const std::vector<std::string> openings = {
        "x"s,
        "GET / HTTP/1.1\r\n\r\n"s,
        "\0BEGIN\r\n"s,
        "\0"s + std::string(20'000, 'A'),
        "\0AUTH EXTERNAL 39393939\r\nBEGIN\r\n"s, // somebody else
        "\0"s + "AUTH\r\nAUTH\r\nAUTH\r\nAUTH\r\nAUTH\r\nAUTH\r\n",
        opening() + "rubbish, not a message",
    };
    for (const std::string& text : openings) {
        INFO(text.substr(0, 60));
        Situation it;
        CHECK(it.ours->timeout());
        it.write(text);
        CHECK(it.settle() == error_names::disconnected);
        CHECK(it.ours->call({.path = path, .member = "X"}).error().name ==
              error_names::disconnected);
        CHECK(it.ours->emit({path, interface_name, "X"}).error().name == error_names::disconnected);
        // They are told, too.
        std::array<char, 4096> rest{};
        while (recv(it.theirs.get(), rest.data(), rest.size(), MSG_DONTWAIT) > 0) {
        }
        CHECK(recv(it.theirs.get(), rest.data(), rest.size(), MSG_DONTWAIT) == 0);
    }
    for (const std::string& text : {"REJECTED EXTERNAL\r\n"s, "OK 12\r\n"s,
                                    "HTTP/1.1 400 Bad Request\r\n"s, std::string(100'000, 'x')}) {
        INFO(text.substr(0, 60));
        Situation it(kdbus::PeerRole::client);
        CHECK(it.read_all() == opening().substr(0, opening().size() - 7));
        it.write(text);
        CHECK(it.settle() == error_names::disconnected);
    }
}

TEST_CASE("hostile: a peer that says nothing keeps nobody waiting beyond a deadline") {
    const auto role = GENERATE(kdbus::PeerRole::client, kdbus::PeerRole::server);
    Situation it(role);
    const auto result =
        it.ours->call({.path = path, .member = "X", .timeout = std::chrono::milliseconds(30)});
    CHECK(result.error().name == error_names::no_reply);
    REQUIRE(it.ours->timeout());
    CHECK(*it.ours->timeout() < std::chrono::steady_clock::now() + 31s);
}

TEST_CASE("hostile: everything arrives byte by byte") {
    Situation it;
    for (char byte : opening() + call_with("Say", "slowly") + call_with("Say", "and again", 2)) {
        it.write({&byte, 1});
        REQUIRE(it.settle().empty());
    }
    CHECK(it.heard == std::vector<std::string>{"slowly", "and again"});
}

TEST_CASE("hostile: everything arrives at once") {
    Situation it;
    std::string all = opening();
    for (int i = 1; i <= 1000; ++i)
        all += call_with("Say", std::string(static_cast<std::size_t>(i % 97), 'x'),
                         static_cast<std::uint32_t>(i));
    std::thread writer([&] { it.write(all); });
    while (it.heard.size() < 1000)
        it.ours->wait(30s).value();
    writer.join();
    for (std::size_t i = 0; i < 1000; ++i)
        CHECK(it.heard[i].size() == (i + 1) % 97);
}

TEST_CASE("hostile: messages cut anywhere are no messages") {
    const std::string whole = call_with("Say", "text");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Situation it;
        it.authenticate();
        it.write(whole.substr(0, size));
        CHECK(it.settle().empty());
        it.theirs.reset();
        CHECK(it.settle() == error_names::disconnected);
        CHECK(it.heard.empty());
    }
}

TEST_CASE("hostile: what came before the end is still delivered") {
    Situation it;
    it.authenticate();
    it.write(call_with("Say", "last words"));
    it.theirs.reset();
    CHECK(it.settle() == error_names::disconnected);
    CHECK(it.heard == std::vector<std::string>{"last words"});
}

TEST_CASE("hostile: malformed messages end the connection") {
    const std::string good = call_with("Say", "text");
    const auto with = [&](std::size_t at, std::string_view bytes) {
        return std::string(good).replace(at, bytes.size(), bytes);
    };
    std::string local = bytes_of(call_header("X"));
    local.replace(local.find("org.example.Test"), 16, "org.freedesktop\0"s);
    const std::vector<std::string> bad = {
        with(0, "x"),                         // byte order
        with(1, "\0"s),                       // type
        with(3, "\2"),                        // version
        with(4, "\xff\xff\xff\x7f"),          // body of 2 GiB
        with(4, "\1\0\0\x08"s),               // of 128 MiB and more
        with(8, "\0\0\0\0"s),                 // serial
        with(12, "\1\0\0\4"s),                // fields of more than 64 MiB
        with(good.size() - 1, "x"),           // no NUL behind the text
        with(good.size() - 5, "\xff"),        // not UTF-8
        with(good.size() - 9, "\5"),          // a text longer than the body
        with(good.find("/org"), "x"),         // path
        with(good.find(interface_name), "."), // interface
        local,
    };
    for (std::size_t i = 0; i < bad.size(); ++i) {
        INFO(i);
        Situation it;
        it.authenticate();
        it.write(bad[i]);
        CHECK(it.settle() == error_names::disconnected);
        CHECK(it.heard.empty());
        CHECK(it.ours->process().error().name == error_names::disconnected);
    }
}

TEST_CASE("hostile: changed bytes do no harm") {
    std::mt19937 random(20'150'807);
    const std::string good = call_with("Say", "text") + bytes_of(call_header("Count", 2));
    for (int round = 0; round < 1500; ++round) {
        Situation it;
        std::string bytes = good;
        for (int changes = 1 + static_cast<int>(random() % 4); changes > 0; --changes)
            bytes[random() % bytes.size()] = static_cast<char>(random());
        it.write(opening() + bytes);
        (void)it.settle();
        it.theirs.reset();
        CHECK(it.settle() == error_names::disconnected);
    }
}

TEST_CASE("hostile: memory follows what came, not what is announced") {
    Situation it;
    it.authenticate();
    std::string head = call_with("Say", "text");
    const std::uint32_t announced = 120U << 20;
    std::memcpy(head.data() + 4, &announced, sizeof announced);
    const std::size_t before = allocated();
    it.write(head);
    CHECK(it.settle().empty());
    CHECK(allocated() < before + 512 * 1024);
    it.write(std::string(100'000, 'x'));
    CHECK(it.settle().empty());
    CHECK(allocated() < before + 1024 * 1024);
}

TEST_CASE("hostile: answers to what was never asked") {
    Situation it;
    it.authenticate();
    std::vector<std::string> answers;
    auto slot = it.ours
                    ->call_async({.path = path, .interface = interface_name, .member = "Ask"},
                                 [&](const kdbus::Result<kdbus::Message>& reply) {
                                     answers.push_back(reply ? "answer" : reply.error().name);
                                 })
                    .value();
    const auto sent = it.read_all();
    REQUIRE(sent.size() > 12);
    std::uint32_t serial = 0;
    std::memcpy(&serial, sent.data() + 8, sizeof serial);
    wire::Message reply;
    reply.type = kdbus::MessageType::method_return;
    reply.format = wire::dbus1_native;
    reply.serial = 7;
    for (std::uint64_t wrong : {serial + 1U, serial - 1U, 0x80000000U, 0xFFFFFFFFU}) {
        if (wrong == 0)
            continue;
        reply.reply_serial = wrong;
        it.write(bytes_of(reply));
        CHECK(it.settle().empty());
    }
    CHECK(answers.empty());
    // A call that has a reply serial is none.
    auto call = call_header("Count", serial);
    call.reply_serial = serial;
    it.write(bytes_of(call));
    CHECK(it.settle().empty());
    CHECK(answers.empty());
    reply.reply_serial = serial;
    it.write(bytes_of(reply) + bytes_of(reply));
    CHECK(it.settle().empty());
    CHECK(answers == std::vector<std::string>{"answer"});
    CHECK(it.calls == 1);
}

TEST_CASE("hostile: a name that a peer gives itself means nothing") {
    Situation it;
    it.authenticate();
    std::vector<std::string> senders;
    auto slot =
        it.ours
            ->subscribe(
                "", [&](const kdbus::Message& signal) { senders.emplace_back(signal.sender()); })
            .value();
    auto trusted =
        it.ours->subscribe("sender='org.freedesktop.DBus'", [&] { senders.emplace_back("!"); })
            .value();
    wire::Message signal = call_header("NameOwnerChanged");
    signal.type = kdbus::MessageType::signal;
    signal.interface = "org.freedesktop.DBus";
    signal.sender = "org.freedesktop.DBus";
    it.write(bytes_of(signal));
    CHECK(it.settle().empty());
    CHECK(senders == std::vector<std::string>{""});
}

TEST_CASE("hostile: types and fields yet to be invented are passed over") {
    Situation it;
    it.authenticate();
    std::string strange = bytes_of(call_header("Count"));
    strange[1] = 9;
    // A header field of code 77 behind the others, which end on an 8-byte boundary.
    std::string call = bytes_of(call_header("Count", 2));
    std::uint32_t fields = 0;
    std::memcpy(&fields, call.data() + 12, sizeof fields);
    const std::string field = "\x4d\1y\0x"s;
    fields = static_cast<std::uint32_t>(call.size() - 16 + field.size());
    std::memcpy(call.data() + 12, &fields, sizeof fields);
    call += field + "\0\0\0"s;
    it.write(strange + call);
    CHECK(it.settle().empty());
    CHECK(it.calls == 1);
}

TEST_CASE("hostile: the other byte order is understood") {
    Situation it;
    it.authenticate();
    std::vector<double> seen;
    std::string name;
    auto slot = it.ours
                    ->subscribe("member='Numbers'",
                                [&](std::span<const double> numbers, std::string_view text) {
                                    seen.assign(numbers.begin(), numbers.end());
                                    name = text;
                                })
                    .value();
    // By hand: the numbers 1.5 and 2.0, then "hi".
    const auto big = [](std::uint64_t value, int size) {
        std::string bytes;
        for (int i = size - 1; i >= 0; --i)
            bytes += static_cast<char>(value >> (8 * i));
        return bytes;
    };
    const std::string body = big(16, 4) + big(0, 4) + big(0x3ff8000000000000, 8) +
                             big(0x4000000000000000, 8) + big(2, 4) + "hi\0"s;
    wire::Message signal = call_header("Numbers");
    signal.type = kdbus::MessageType::signal;
    signal.format = wire::Format::dbus1_be;
    signal.signature = "ads";
    signal.body = std::as_bytes(std::span(body));
    it.write(bytes_of(signal));
    CHECK(it.settle().empty());
    CHECK(seen == std::vector<double>{1.5, 2.0});
    CHECK(name == "hi");
}

TEST_CASE("hostile: descriptors") {
    const std::size_t before = open_descriptors();
    const abi::UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::vector<int> many(253, null.get());
    const auto some = [&](std::size_t count) {
        return std::span(many).first(count);
    };
    wire::Buffer body;
    wire::Writer writer(body, wire::dbus1_native);
    writer.append(kdbus::UnixFd{0});
    REQUIRE(writer.finish());
    wire::Message take = call_header("Take");
    take.signature = "h";
    take.body = writer.body();
    take.unix_fds = 1;
    const std::string good = bytes_of(take);
    {
        Situation it;
        it.authenticate();
        SECTION("as they should be") {
            it.write(good, some(1));
            CHECK(it.settle().empty());
            CHECK(it.heard == std::vector<std::string>{"descriptor"});
        }
        SECTION("with the last byte, or among the bytes") {
            it.write(good.substr(0, good.size() - 1));
            CHECK(it.settle().empty());
            it.write(good.substr(good.size() - 1), some(1));
            CHECK(it.settle().empty());
            CHECK(it.heard.size() == 1);
        }
        SECTION("less than announced") {
            it.write(good);
            CHECK(it.settle() == error_names::disconnected);
        }
        SECTION("far less than announced") {
            take.unix_fds = 0xFFFFFFFF;
            it.write(bytes_of(take), some(3));
            CHECK(it.settle() == error_names::disconnected);
        }
        SECTION("a flood without a message") {
            std::string result;
            int sent = 0;
            for (; result.empty() && sent < 10; ++sent) {
                it.write(good.substr(static_cast<std::size_t>(sent), 1), many);
                result = it.settle();
            }
            CHECK(result == error_names::disconnected);
            CHECK(sent == 3);
        }
        SECTION("more than this process may have") {
            rlimit limit{};
            REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
            rlimit few = limit;
            few.rlim_cur = open_descriptors() + 2; // counting takes one itself
            take.unix_fds = 5;
            REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
            it.write(bytes_of(take), some(5));
            const auto result = it.settle();
            const auto first = it.heard;
            take.serial = 2;
            take.unix_fds = 1;
            // The second message must not get what belongs to the first.
            REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
            it.write(bytes_of(take), some(1));
            CHECK(result.empty());
            CHECK(first.size() == 1);
            CHECK(it.settle().empty());
            CHECK(it.heard.size() == 2);
            CHECK(it.heard.back() == "descriptor");
        }
    }
    {
        SECTION("without having agreed on them") {
            Situation it;
            it.write(opening(false));
            CHECK(it.settle().empty());
            it.write(good, some(1));
            CHECK(it.settle() == error_names::disconnected);
        }
        SECTION("to somebody who does not want them") {
            Situation it(kdbus::PeerRole::server, {.accept_fds = false});
            it.write(opening());
            CHECK(it.settle().empty());
            CHECK(it.read_all().find("AGREE") == std::string::npos);
            it.write(good, some(1));
            CHECK(it.settle() == error_names::disconnected);
        }
        SECTION("during authentication") {
            Situation it;
            it.write(opening().substr(0, 5), some(2));
            CHECK(it.settle() == error_names::disconnected);
        }
        SECTION("sent before the other end refuses them") {
            Situation it;
            const kdbus::Signal signal{path, interface_name, "X", some(1)};
            CHECK(it.ours->emit(signal));
            it.write(opening(false));
            CHECK(it.settle() == error_names::disconnected);
        }
        SECTION("sent after the other end refused them") {
            Situation it;
            it.write(opening(false));
            CHECK(it.settle().empty());
            const kdbus::Signal signal{path, interface_name, "X", some(1)};
            CHECK(it.ours->emit(signal).error().name == error_names::not_supported);
            CHECK(it.ours->emit({path, interface_name, "X"}));
        }
    }
    CHECK(open_descriptors() == before + 1);
}

TEST_CASE("hostile: a peer that reads nothing is given up some time") {
    Situation it;
    it.authenticate();
    const std::string large(8'000'000, 'x');
    std::string result;
    int sent = 0;
    for (; result.empty() && sent < 100; ++sent)
        if (const auto done = it.ours->emit({path, interface_name, "X"}, large); !done)
            result = done.error().name;
    CHECK(result == error_names::limits_exceeded);
    CHECK(sent > 10);
    CHECK(sent < 20);
    CHECK((it.ours->events() & POLLOUT) != 0);
    // When it reads again, everything that was accepted comes, whole.
    std::size_t read = 0;
    while ((it.ours->events() & POLLOUT) != 0) {
        CHECK(it.settle().empty());
        read += it.read_all().size();
    }
    read += it.read_all().size();
    CHECK(read > static_cast<std::size_t>(sent - 1) * large.size());
    CHECK(read < static_cast<std::size_t>(sent - 1) * (large.size() + 1000));
    CHECK(it.ours->emit({path, interface_name, "X"}, large));
}

TEST_CASE("hostile: queued messages keep their order and descriptors") {
    Situation it;
    it.authenticate();
    const abi::UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::array fds{null.get()};
    for (int i = 0; i < 20; ++i) {
        it.ours->emit({path, interface_name, "Large"}, std::string(100'000, 'x')).value();
        it.ours->emit({path, interface_name, "Fd", fds}, kdbus::UnixFd{0}).value();
    }
    kdbus::detail::SocketInbox inbox;
    std::vector<std::string> members;
    while (members.size() < 40) {
        REQUIRE(it.settle().empty());
        REQUIRE(inbox.fill(it.theirs.get()));
        for (auto bytes = inbox.next(); bytes.value(); bytes = inbox.next()) {
            const auto message = wire::parse_dbus1((*bytes)->bytes());
            REQUIRE(message);
            members.emplace_back(message->member);
            std::vector<abi::UniqueFd> received;
            REQUIRE(inbox.take_fds(message->unix_fds, received));
            CHECK(received.size() == (message->member == "Fd" ? 1 : 0));
        }
    }
    CHECK(inbox.fd_count() == 0);
    for (std::size_t i = 0; i < 40; ++i)
        CHECK(members[i] == (i % 2 == 0 ? "Large" : "Fd"));
}

TEST_CASE("hostile: a flood while a call waits for its answer") {
    Situation it;
    it.authenticate();
    wire::Message signal = call_header("Flood");
    signal.type = kdbus::MessageType::signal;
    SECTION("does not keep the call from its deadline") {
        std::atomic<bool> stop = false;
        std::thread flood([&, bytes = bytes_of(signal)] {
            while (!stop)
                if (send(it.theirs.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0)
                    break;
        });
        const auto start = std::chrono::steady_clock::now();
        CHECK(it.ours->call({.path = path, .member = "X", .timeout = 100ms}).error().name ==
              error_names::no_reply);
        CHECK(std::chrono::steady_clock::now() - start < 30s);
        stop = true;
        it.ours.reset();
        flood.join();
    }
    SECTION("does not keep it from being cancelled") {
        std::array<int, 2> fds{};
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
        it.theirs.reset(fds[1]);
        const auto transport =
            kdbus::detail::SocketPeer::open(abi::UniqueFd(fds[0]), kdbus::PeerRole::server, {})
                .value();
        // There is always something to be read before the answer.
        wire::Message answer = call_header({});
        answer.type = kdbus::MessageType::method_return;
        answer.path = answer.interface = {};
        answer.reply_serial = 5;
        it.write(opening() + bytes_of(signal) + bytes_of(answer));
        std::stop_source stop;
        std::optional<kdbus::detail::CancelFd> cancel;
        REQUIRE(kdbus::detail::CancelFd::make(stop.get_token(), cancel));
        stop.request_stop();
        const wire::Message call = call_header("X", 5);
        wire::Buffer body;
        const auto outcome = transport->call(
            {.message = call, .body = &body, .deadline_ns = ~std::uint64_t{0}, .cancel = &*cancel});
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error().name == error_names::cancelled);
    }
    SECTION("does not take all memory") {
        std::string body(4U << 20, 'x');
        const auto length = static_cast<std::uint32_t>(body.size() - 5);
        std::memcpy(body.data(), &length, sizeof length);
        body.back() = '\0';
        signal.signature = "s";
        signal.body = std::as_bytes(std::span(body));
        std::thread flood([&, bytes = bytes_of(signal)] {
            for (;;)
                if (send(it.theirs.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0)
                    break;
        });
        CHECK(it.ours->call({.path = path, .member = "X", .timeout = 60s}).error().name ==
              error_names::disconnected);
        flood.join();
        // What came before is there.
        int seen = 0;
        auto slot = it.ours->subscribe("member='Flood'", [&] { ++seen; });
        CHECK(it.settle() == error_names::disconnected);
    }
}

TEST_CASE("unix addresses lead to sockets") {
    const auto listen_at = [](std::string_view name) {
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        name.copy(address.sun_path, sizeof address.sun_path);
        abi::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())) == 0);
        REQUIRE(listen(socket.get(), 1) == 0);
        return socket;
    };
    const auto connect = [](const std::string& address) {
        return kdbus::detail::connect_unix(wire::parse_addresses(address).value().front());
    };
    const std::string abstract = "kdbus test, " + std::to_string(getpid());
    const auto hidden = listen_at('\0' + abstract);
    CHECK(connect("unix:abstract=" + wire::escape_address_value(abstract)));
    CHECK(connect("unix:abstract=" + wire::escape_address_value(abstract + "x")).error().name ==
          "System.Error.ECONNREFUSED");

    std::string folder = "/tmp/kdbus-test-XXXXXX";
    REQUIRE(mkdtemp(folder.data()) != nullptr);
    const auto visible = listen_at(folder + "/bus");
    CHECK(connect("unix:path=" + folder + "/bus"));
    const char* runtime = getenv("XDG_RUNTIME_DIR");
    const std::string saved = runtime ? runtime : "";
    setenv("XDG_RUNTIME_DIR", folder.c_str(), 1);
    CHECK(connect("unix:runtime=yes"));
    unsetenv("XDG_RUNTIME_DIR");
    CHECK(connect("unix:runtime=yes").error().name == error_names::file_not_found);
    if (runtime)
        setenv("XDG_RUNTIME_DIR", saved.c_str(), 1);
    CHECK(connect("unix:runtime=no").error().name == error_names::bad_address);
    CHECK(connect("unix:path=/a,abstract=b").error().name == error_names::bad_address);
    CHECK(connect("unix:dir=/tmp").error().name == error_names::bad_address);
    std::filesystem::remove_all(folder);
}

TEST_CASE("peers: what is special without a bus") {
    std::array<int, 2> fds{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    auto server =
        kdbus::Connection::from_socket(abi::UniqueFd(fds[0]), kdbus::PeerRole::server).value();
    auto client =
        kdbus::Connection::from_socket(abi::UniqueFd(fds[1]), kdbus::PeerRole::client).value();
    auto object =
        server
            .add_object(
                path,
                std::move(kdbus::Interface(interface_name).method("Answer", [] { return 42; })))
            .value();
    CHECK(client.unique_name().empty());
    CHECK(client.bus_id().empty());
    CHECK(server.bus_id().size() == 32);
    for (auto* end : {&server, &client}) {
        CHECK(end->request_name("a.b").error().name == error_names::not_supported);
        CHECK(end->release_name("a.b").error().name == error_names::not_supported);
        CHECK(end->name_owner("a.b").error().name == error_names::not_supported);
        CHECK(end->list_names().error().name == error_names::not_supported);
        CHECK(end->credentials("a.b").error().name == error_names::not_supported);
        CHECK(end->credentials("").value().pid == getpid());
        CHECK(end->credentials("").value().egid == getegid());
    }
    // No destination is needed, none is minded, and one thread may have both ends.
    int answer = 0;
    for (const char* destination : {"", "org.example.Whoever"}) {
        answer = 0;
        auto slot = client
                        .call_async({destination, path, interface_name, "Answer"},
                                    [&](const kdbus::Result<kdbus::Message>& reply) {
                                        answer = reply.value().get<int>().value();
                                    })
                        .value();
        for (int i = 0; i < 10 && answer == 0; ++i) {
            server.process().value();
            client.process().value();
        }
        CHECK(answer == 42);
    }
    CHECK(client.bus_id() == server.bus_id());
    CHECK_FALSE(client.timeout());
    CHECK(client.events() == POLLIN);

    CHECK(kdbus::Connection::from_socket(abi::UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)),
                                         kdbus::PeerRole::client)
              .error()
              .name == error_names::invalid_args);
    CHECK(kdbus::Connection::from_socket(abi::UniqueFd(), kdbus::PeerRole::server).error().name ==
          error_names::invalid_args);
}
