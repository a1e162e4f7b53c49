// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages to and from the kernel's form. Their codecs have tests of their own; here is how
// the proxy uses them.
#include "translate.hpp"

#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/match.hpp>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <linux/kdbus.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

using namespace kdbus;
using namespace kdbus::proxy;

namespace {

struct Source {
    wire::Buffer body;
    std::string signature;
    wire::Message message;

    template <class... Args>
    explicit Source(wire::MessageType type, const Args&... args) {
        wire::Writer writer(body, wire::dbus1_native);
        (writer.append(args), ...);
        REQUIRE(writer.finish());
        signature = writer.signature();
        message.type = type;
        message.format = wire::dbus1_native;
        message.serial = 5;
        message.path = "/a";
        message.interface = "a.b";
        message.member = "C";
        message.destination = ":1.9";
        message.signature = signature;
        message.body = body.bytes();
    }
};

std::vector<std::byte> bytes_of(const abi::Part& part) {
    std::vector<std::byte> bytes(part.size());
    if (part.kind() == abi::Part::Kind::bytes)
        std::memcpy(bytes.data(), part.data(), bytes.size());
    else
        REQUIRE(pread(part.fd(), bytes.data(), bytes.size(), static_cast<off_t>(part.start())) ==
                static_cast<ssize_t>(bytes.size()));
    return bytes;
}

/// What a receiver makes of it.
struct Received {
    std::vector<std::vector<std::byte>> pieces;
    wire::Buffer scratch;
    wire::Message message;

    explicit Received(const abi::OutgoingMessage& sent) {
        std::vector<wire::Piece> views;
        for (const auto& part : sent.payload)
            pieces.push_back(bytes_of(part));
        for (std::size_t i = 0; i < pieces.size(); ++i)
            views.push_back({pieces[i].data(), pieces[i].size(),
                             sent.payload[i].kind() == abi::Part::Kind::memfd});
        wire::KernelHead head;
        head.flags = sent.flags;
        head.cookie = sent.cookie;
        head.cookie_reply = sent.cookie_reply;
        head.fds = static_cast<std::uint32_t>(sent.fds.size());
        head.sender = ":1.4";
        head.destination = ":1.9";
        auto parsed = wire::parse_kdbus(views, head, scratch);
        REQUIRE(parsed);
        message = *parsed;
    }
};

constexpr wire::BloomParameter bloom{};

} // namespace

TEST_CASE("calls, replies and signals get the flags the kernel wants") {
    ToKernel to_kernel;
    const auto flags = [&](wire::MessageType type, std::uint8_t dbus_flags) {
        Source source(type, std::string("x"));
        source.message.flags = dbus_flags;
        if (type == wire::MessageType::error)
            source.message.error_name = "a.Error";
        if (type == wire::MessageType::error || type == wire::MessageType::method_return) {
            source.message.reply_serial = 77;
            source.message.path = source.message.interface = source.message.member = {};
        }
        REQUIRE(to_kernel.pack(source.message, bloom));
        const auto& out = to_kernel.message();
        CHECK(out.cookie == 5);
        CHECK(out.bloom.has_value() == (type == wire::MessageType::signal));
        CHECK(out.cookie_reply == source.message.reply_serial);
        // A call has its deadline where the reply cookie would be; the reader is told so.
        const Received received(out);
        CHECK(received.message.type == type);
        CHECK((received.message.flags & ~wire::no_reply_expected) ==
              (dbus_flags & ~wire::no_reply_expected));
        CHECK(received.message.expects_reply() == ((out.flags & KDBUS_MSG_EXPECT_REPLY) != 0));
        return out.flags;
    };
    using enum wire::MessageType;
    CHECK(flags(method_call, 0) == KDBUS_MSG_EXPECT_REPLY);
    CHECK(flags(method_call, wire::no_reply_expected) == 0);
    CHECK(flags(method_call, wire::no_auto_start | wire::allow_interactive_authorization) ==
          (KDBUS_MSG_EXPECT_REPLY | KDBUS_MSG_NO_AUTO_START));
    CHECK(flags(method_return, 0) == 0);
    CHECK(flags(method_return, wire::no_reply_expected) == 0);
    CHECK(flags(error, 0) == 0);
    CHECK(flags(signal, 0) == KDBUS_MSG_SIGNAL);
    CHECK(flags(signal, wire::no_reply_expected | 64) == KDBUS_MSG_SIGNAL);
}

TEST_CASE("a reply serial on a signal or call does not reach the kernel") {
    ToKernel to_kernel;
    for (const auto type : {wire::MessageType::signal, wire::MessageType::method_call}) {
        Source source(type);
        source.message.reply_serial = 9;
        REQUIRE(to_kernel.pack(source.message, bloom));
        CHECK(to_kernel.message().cookie_reply == 0);
        CHECK(Received(to_kernel.message()).message.reply_serial == 0);
    }
}

TEST_CASE("a signal's filter passes the masks of rules that match it") {
    ToKernel to_kernel;
    const Source source(wire::MessageType::signal, std::string("hello"), std::string("again"));
    REQUIRE(to_kernel.pack(source.message, bloom));
    const auto passes = [&](std::string_view text) {
        const auto rule = wire::MatchRule::parse(text);
        REQUIRE(rule);
        const auto compiled = rule->compile(bloom);
        REQUIRE(compiled.signals);
        return wire::bloom_passes(to_kernel.message().bloom->words, compiled.signals->mask);
    };
    CHECK(passes("type='signal',interface='a.b',member='C',path='/a',arg0='hello'"));
    CHECK(passes("path_namespace='/'"));
    CHECK_FALSE(passes("interface='a.c'"));
    CHECK_FALSE(passes("arg0='again'"));
}

TEST_CASE("short bodies travel inline, long ones in a memory file, with the end behind it") {
    ToKernel to_kernel;
    for (const std::size_t size : {0ul, 100ul, 100'000ul, ToKernel::inline_limit,
                                   ToKernel::inline_limit + 1, 3'000'000ul, 20ul << 20}) {
        CAPTURE(size);
        const Source source(wire::MessageType::method_call, std::vector<std::uint8_t>(size, 7));
        REQUIRE(to_kernel.pack(source.message, bloom));
        const auto payload = to_kernel.message().payload;
        const bool in_file = size > ToKernel::inline_limit;
        REQUIRE(payload.size() == (in_file ? 3u : 2u));
        CHECK((payload[1].kind() == abi::Part::Kind::memfd) == in_file);
        for (const auto& part : payload)
            CHECK((part.kind() == abi::Part::Kind::memfd ||
                   part.size() <= KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE));
        CHECK(payload.back().kind() == abi::Part::Kind::bytes);

        const Received received(to_kernel.message());
        auto reader = received.message.reader();
        const auto array = reader.read_fixed_array('y');
        REQUIRE(array);
        CHECK(array->size() == size);
        CHECK(std::all_of(array->begin(), array->end(),
                          [](std::byte b) { return b == std::byte{7}; }));
    }
}

TEST_CASE("a body can move to a memory file for a second attempt") {
    ToKernel to_kernel;
    const Source small(wire::MessageType::method_call, std::string("x"));
    REQUIRE(to_kernel.pack(small.message, bloom));
    CHECK_FALSE(to_kernel.use_memfd());
    const Source medium(wire::MessageType::method_call, std::string(ToKernel::worth_memfd, 'x'));
    REQUIRE(to_kernel.pack(medium.message, bloom));
    CHECK(to_kernel.message().payload.size() == 2);
    CHECK(to_kernel.use_memfd());
    CHECK(to_kernel.message().payload.size() == 3);
    CHECK_FALSE(to_kernel.use_memfd());
    const Received received(to_kernel.message());
    auto reader = received.message.reader();
    CHECK(reader.read_text('s').value().size() == ToKernel::worth_memfd);
}

TEST_CASE("foreign byte order becomes native, and comes to the client as D-Bus 1") {
    // sa{sv}: "ab", {"k": variant (u 7)}, written the other way round.
    const auto be = [](std::uint32_t value) {
        return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                           static_cast<char>(value >> 8), static_cast<char>(value)};
    };
    std::string body = be(2) + std::string("ab\0\0", 4);
    body += be(16);
    body += std::string(4, '\0');
    body += be(1) + std::string("k\0", 2) + std::string("\1u\0", 3) + std::string(3, '\0') + be(7);
    wire::Message message;
    message.type = wire::MessageType::method_call;
    message.format = wire::Format::dbus1_be;
    message.serial = 1;
    message.path = "/a";
    message.member = "C";
    message.destination = ":1.9";
    message.signature = "sa{sv}";
    message.body = std::as_bytes(std::span(body));
    ToKernel to_kernel;
    REQUIRE(to_kernel.pack(message, bloom));
    Received received(to_kernel.message());
    const auto outgoing = to_client(received.message);
    REQUIRE(outgoing);
    const auto parsed = wire::parse_dbus1(outgoing->head.bytes());
    REQUIRE(parsed);
    CHECK(parsed->sender == ":1.4");
    CHECK(parsed->signature == "sa{sv}");
    auto reader = parsed->reader();
    CHECK(reader.read_text('s').value() == "ab");
    REQUIRE(reader.enter_array());
    REQUIRE(reader.enter_dict_entry());
    CHECK(reader.read_text('s').value() == "k");
    CHECK(reader.enter_variant().value() == "u");
    CHECK(reader.read_fixed('u').value() == 7);
}

TEST_CASE("a long body is kept apart from its header on the way to the client") {
    const Source source(wire::MessageType::signal, std::string(1'000'000, 'x'));
    const auto outgoing = to_client(source.message);
    REQUIRE(outgoing);
    CHECK(outgoing->body.size() == source.message.body.size());
    wire::Buffer whole;
    REQUIRE(whole.append(outgoing->head.data(), outgoing->head.size()));
    REQUIRE(whole.append(outgoing->body.data(), outgoing->body.size()));
    CHECK(wire::parse_dbus1(whole.bytes()));
}

TEST_CASE("released memory is given back, descriptors too") {
    ToKernel to_kernel;
    const Source source(wire::MessageType::method_call, std::vector<std::uint8_t>(1 << 20, 1));
    REQUIRE(to_kernel.pack(source.message, bloom));
    const int fd = to_kernel.message().payload[1].fd();
    REQUIRE(fcntl(fd, F_GETFD) >= 0);
    to_kernel.release();
    CHECK(fcntl(fd, F_GETFD) < 0);
    CHECK(to_kernel.message().payload.empty());
}
