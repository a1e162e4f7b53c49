// SPDX-License-Identifier: LGPL-2.1-or-later
// What goes through the sockets: framing, descriptors, what waits to be written.
#include "inbox.hpp"
#include "outbox.hpp"
#include "socket.hpp"

#include <kdbus/wire/message.hpp>

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

using namespace kdbus;
using namespace kdbus::proxy;

namespace {

/// A signal with a text of that many bytes.
std::vector<std::byte> signal_bytes(std::size_t text_size, std::uint32_t serial = 1) {
    wire::Buffer body;
    std::uint32_t size = static_cast<std::uint32_t>(text_size);
    REQUIRE(body.append(&size, sizeof(size)));
    REQUIRE(body.append(std::string(text_size + 1, '\0').c_str(), 0));
    REQUIRE(body.append(std::string(text_size, 'x').c_str(), text_size + 1));
    wire::Message message;
    message.type = wire::MessageType::signal;
    message.flags = wire::no_reply_expected;
    message.format = wire::dbus1_native;
    message.serial = serial;
    message.path = "/a";
    message.interface = "a.b";
    message.member = "C";
    message.signature = "s";
    message.body = body.bytes();
    wire::Buffer bytes;
    REQUIRE(wire::serialise_dbus1(message, bytes));
    return {bytes.bytes().begin(), bytes.bytes().end()};
}

void feed(Inbox& inbox, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto room = inbox.room();
        const auto count = std::min(room.size(), bytes.size());
        REQUIRE(count > 0);
        std::memcpy(room.data(), bytes.data(), count);
        inbox.commit(count);
        bytes = bytes.subspan(count);
    }
}

std::size_t open_fds() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++count;
    return count;
}

struct Pair {
    abi::UniqueFd near, far;
    Pair() {
        std::array<int, 2> fds;
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) ==
                0);
        near.reset(fds[0]);
        far.reset(fds[1]);
    }
};

abi::UniqueFd some_fd() {
    return abi::UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC));
}

} // namespace

TEST_CASE("messages come out of the inbox whole, aligned and in order, however they came in") {
    std::vector<std::byte> stream;
    std::vector<std::vector<std::byte>> messages;
    for (const std::size_t size : {0, 1, 2, 3, 5, 100, 4000, 0, 200'000, 7, 1})
        messages.push_back(signal_bytes(size, static_cast<std::uint32_t>(messages.size() + 1)));
    for (const auto& message : messages)
        stream.insert(stream.end(), message.begin(), message.end());

    for (const std::size_t step : {1u, 7u, 15u, 16u, 17u, 1000u, 65536u, 1000000u}) {
        CAPTURE(step);
        Inbox inbox;
        std::size_t next = 0;
        for (std::size_t at = 0; at < stream.size(); at += step) {
            feed(inbox, std::span(stream).subspan(at, std::min(step, stream.size() - at)));
            for (;;) {
                const auto message = inbox.message();
                REQUIRE(message);
                if (!*message)
                    break;
                REQUIRE(next < messages.size());
                REQUIRE(reinterpret_cast<std::uintptr_t>((*message)->data()) % 8 == 0);
                REQUIRE(std::equal((*message)->begin(), (*message)->end(), messages[next].begin(),
                                   messages[next].end()));
                inbox.consume((*message)->size());
                ++next;
            }
        }
        CHECK(next == messages.size());
        CHECK(inbox.bytes().empty());
    }
}

TEST_CASE("what cannot begin a message is found at once") {
    const auto good = signal_bytes(4);
    const auto broken = [&](std::size_t at, std::initializer_list<int> values) {
        auto bytes = good;
        for (const int value : values)
            bytes[at++] = static_cast<std::byte>(value);
        Inbox inbox;
        feed(inbox, std::span(bytes).first(16));
        const auto message = inbox.message();
        return message ? std::error_code() : message.error();
    };
    CHECK_FALSE(broken(0, {'l'}));
    CHECK(broken(0, {'x'}) == make_error_code(wire::Errc::bad_endian));
    CHECK(broken(1, {0}) == make_error_code(wire::Errc::bad_message_type));
    CHECK(broken(3, {2}) == make_error_code(wire::Errc::bad_version));
    CHECK(broken(8, {0, 0, 0, 0}) == make_error_code(wire::Errc::bad_serial));
    CHECK(broken(4, {0, 0, 0x80, 0x0c}) ==
          make_error_code(wire::Errc::message_too_long)); // 200 MiB
    CHECK(broken(4, {0xff, 0xff, 0xff, 0xff}) == make_error_code(wire::Errc::message_too_long));
    CHECK(broken(12, {0, 0, 0x80, 0x0c}) == make_error_code(wire::Errc::array_too_long));
    CHECK(broken(12, {0xff, 0xff, 0xff, 0xff}) == make_error_code(wire::Errc::array_too_long));
}

TEST_CASE("an announced size costs no memory before the bytes come") {
    auto bytes = signal_bytes(4);
    const std::uint32_t announced = 100 * 1024 * 1024;
    std::memcpy(bytes.data() + 4, &announced, sizeof(announced));
    Inbox inbox;
    feed(inbox, bytes);
    const auto message = inbox.message();
    REQUIRE(message);
    CHECK_FALSE(*message);
    CHECK(inbox.room().size() <= 2 * Inbox::chunk);
}

TEST_CASE("descriptors come with the bytes, and none is lost or left open") {
    const auto before = open_fds();
    {
        Pair pair;
        Outbox outbox;
        for (const std::size_t count : {0, 1, 3, 0, 16}) {
            Outgoing outgoing;
            const auto bytes = signal_bytes(10);
            REQUIRE(outgoing.head.append(bytes.data(), bytes.size()));
            for (std::size_t i = 0; i < count; ++i)
                outgoing.fds.push_back(some_fd());
            outbox.push(std::move(outgoing));
        }
        CHECK(outbox.fds() == 20);
        CHECK(outbox.flush(pair.near.get()).value() == Outbox::Flushed::all);
        CHECK(outbox.fds() == 0);
        CHECK(outbox.bytes() == 0);

        Inbox inbox;
        std::size_t messages = 0;
        std::vector<std::size_t> fd_counts;
        while (receive(pair.far.get(), inbox).value() == Receipt::data) {
            for (;;) {
                const auto message = inbox.message();
                REQUIRE(message);
                if (!*message)
                    break;
                inbox.consume((*message)->size());
                ++messages;
            }
            fd_counts.push_back(inbox.fd_count());
            for (const auto& fd : inbox.take_fds(inbox.fd_count()))
                CHECK((fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
        }
        CHECK(messages == 5);
        std::erase(fd_counts, 0u);
        CHECK(fd_counts == std::vector<std::size_t>{1, 3, 16});

        // Some never taken.
        Outgoing outgoing;
        REQUIRE(outgoing.head.append("x", 1));
        outgoing.fds.push_back(some_fd());
        outbox.push(std::move(outgoing));
        CHECK(outbox.flush(pair.near.get()).value() == Outbox::Flushed::all);
        CHECK(receive(pair.far.get(), inbox).value() == Receipt::data);
        CHECK(inbox.fd_count() == 1);
    }
    CHECK(open_fds() == before);
}

TEST_CASE("a full socket keeps what it does not take, and loses nothing") {
    Pair pair;
    Outbox outbox;
    std::string expected;
    for (int i = 0; i < 400; ++i) {
        Outgoing outgoing;
        const std::string head = "head" + std::to_string(i) + std::string(777, 'h');
        const std::string body(i % 7 == 0 ? 5000 : 0, 'b');
        REQUIRE(outgoing.head.append(head.data(), head.size()));
        REQUIRE(outgoing.body.append(body.data(), body.size()));
        expected += head + body;
        outbox.push(std::move(outgoing));
    }
    outbox.push_text("end");
    expected += "end";
    CHECK(outbox.bytes() == expected.size());

    std::string received;
    std::array<char, 3001> part;
    bool blocked = false;
    while (!outbox.empty()) {
        const auto flushed = outbox.flush(pair.near.get());
        REQUIRE(flushed);
        blocked = blocked || *flushed == Outbox::Flushed::blocked;
        const auto count = read(pair.far.get(), part.data(), part.size());
        REQUIRE(count > 0);
        received.append(part.data(), static_cast<std::size_t>(count));
    }
    for (ssize_t count; (count = read(pair.far.get(), part.data(), part.size())) > 0;)
        received.append(part.data(), static_cast<std::size_t>(count));
    CHECK(blocked);
    CHECK(received == expected);
    CHECK(outbox.bytes() == 0);
}

TEST_CASE("a peer that is gone is noticed, without a signal") {
    Pair pair;
    Outbox outbox;
    outbox.push_text("last words");
    Inbox inbox;
    CHECK(receive(pair.near.get(), inbox).value() == Receipt::nothing);
    REQUIRE(write(pair.far.get(), "bye", 3) == 3);
    pair.far.reset();
    CHECK_FALSE(outbox.flush(pair.near.get()));
    CHECK(receive(pair.near.get(), inbox).value() == Receipt::data);
    CHECK(inbox.bytes().size() == 3);
    CHECK(receive(pair.near.get(), inbox).value() == Receipt::end);
    outbox.clear();
    CHECK(outbox.empty());
    CHECK(outbox.bytes() == 0);
}

TEST_CASE("the kernel tells who is at the other end") {
    Pair pair;
    const auto peer = peer_identity(pair.near.get());
    REQUIRE(peer);
    CHECK(peer->uid == geteuid());
    CHECK(peer->gid == getegid());
    CHECK(peer->pid == static_cast<std::uint32_t>(getpid()));
    std::vector<gid_t> groups(static_cast<std::size_t>(getgroups(0, nullptr)));
    REQUIRE(getgroups(static_cast<int>(groups.size()), groups.data()) >= 0);
    groups.push_back(getegid());
    std::sort(groups.begin(), groups.end());
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    REQUIRE(peer->groups);
    CHECK(*peer->groups == groups);
    if (peer->label)
        CHECK(peer->label->find('\0') == std::string::npos);
    CHECK_FALSE(peer_identity(some_fd().get()));
}
