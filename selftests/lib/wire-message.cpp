// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages in both encodings (dbus-on-kdbus.md 1, 2, 7.2 to 7.6, 8).
#include <catch2/catch.hpp>

#include <functional>

#include <linux/kdbus.h>

#include <kdbus/wire/convert.hpp>
#include <kdbus/wire/names.hpp>

#include "wire-support.hpp"

using namespace kdbus::wire;
using namespace std::literals;
using wire_test::Body;
using wire_test::body_of;
using wire_test::bytes_of;
using wire_test::error_of;
using wire_test::hex;

namespace {

/// A message in its two pieces, and the bytes of the whole.
struct Sent {
    Buffer head, tail;
    std::vector<std::byte> all() const {
        std::vector<std::byte> bytes(head.bytes().begin(), head.bytes().end());
        bytes.insert(bytes.end(), tail.bytes().begin(), tail.bytes().end());
        return bytes;
    }
};

Sent send(const Message& message) {
    Sent sent;
    REQUIRE(serialise_kdbus(message, sent.head, sent.tail));
    return sent;
}

/// What the kernel would say about a message.
KernelHead head_of(const Message& message) {
    KernelHead head;
    head.cookie = message.serial;
    head.fds = message.unix_fds;
    if ((message.flags & no_reply_expected) == 0)
        head.flags |= KDBUS_MSG_EXPECT_REPLY;
    else
        head.cookie_reply = message.reply_serial;
    if ((message.flags & no_auto_start) != 0)
        head.flags |= KDBUS_MSG_NO_AUTO_START;
    if (message.type == MessageType::signal)
        head.flags |= KDBUS_MSG_SIGNAL;
    head.sender = message.sender;
    head.destination = message.destination;
    return head;
}

Piece piece(std::span<const std::byte> bytes, bool memfd = false) {
    return {bytes.data(), bytes.size(), memfd};
}

void check_same(const Message& a, const Message& b) {
    CHECK(a.type == b.type);
    CHECK(+a.flags == +b.flags);
    CHECK(a.serial == b.serial);
    CHECK(a.reply_serial == b.reply_serial);
    CHECK(a.path == b.path);
    CHECK(a.interface == b.interface);
    CHECK(a.member == b.member);
    CHECK(a.error_name == b.error_name);
    CHECK(a.destination == b.destination);
    CHECK(a.sender == b.sender);
    CHECK(a.signature == b.signature);
    CHECK(a.unix_fds == b.unix_fds);
    CHECK(a.format == b.format);
    CHECK(hex(a.body) == hex(b.body));
}

Message ping() {
    Message message;
    message.type = MessageType::method_call;
    message.serial = 1;
    message.path = "/";
    message.interface = "org.freedesktop.DBus.Peer";
    message.member = "Ping";
    message.destination = ":1.5";
    return message;
}

constexpr std::string_view ping_head = R"(
    6c 01 00 02 00 00 00 00 01 00 00 00 00 00 00 00
    01 00 00 00 00 00 00 00 2f 00 00 6f   00 00 00 00
    03 00 00 00 00 00 00 00 50 69 6e 67 00 00 73   00
    02 00 00 00 00 00 00 00 6f 72 67 2e 66 72 65 65
    64 65 73 6b 74 6f 70 2e 44 42 75 73 2e 50 65 65
    72 00 00 73   00 00 00 00 06 00 00 00 00 00 00 00
    3a 31 2e 35 00 00 73   0c 1f 44 57   00 00 00 00 00)";
constexpr std::string_view ping_tail = "00   00 28 29   6b";

constexpr std::string_view hello_bytes = R"(
    6c 01 00 01 00 00 00 00 01 00 00 00 6e 00 00 00
    01 01 6f 00 15 00 00 00 2f 6f 72 67 2f 66 72 65
    65 64 65 73 6b 74 6f 70 2f 44 42 75 73 00 00 00
    06 01 73 00 14 00 00 00 6f 72 67 2e 66 72 65 65
    64 65 73 6b 74 6f 70 2e 44 42 75 73 00 00 00 00
    02 01 73 00 14 00 00 00 6f 72 67 2e 66 72 65 65
    64 65 73 6b 74 6f 70 2e 44 42 75 73 00 00 00 00
    03 01 73 00 05 00 00 00 48 65 6c 6c 6f 00 00 00)";

/// A D-Bus 1 message (little-endian) put together by hand, so that it can be wrong.
struct Raw {
    char endian = 'l';
    std::uint8_t type = 1, flags = 0, version = 1;
    std::uint32_t serial = 1;
    std::string fields =
        "01016f00 01000000 2f00 000000000000 03017300 01000000 4d00"; // PATH /, MEMBER M
    std::string body = {};
    std::int64_t claim_body = -1; // length to put into the header instead of the true one

    std::vector<std::byte> bytes() const {
        const auto field_bytes = bytes_of(fields), body_bytes = bytes_of(body);
        std::vector<std::byte> out;
        for (int value : {static_cast<int>(endian), +type, +flags, +version})
            out.push_back(static_cast<std::byte>(value));
        const auto put = [&](std::uint64_t value) {
            for (int i = 0; i < 4; i++)
                out.push_back(static_cast<std::byte>(value >> (8 * i)));
        };
        put(claim_body < 0 ? body_bytes.size() : static_cast<std::uint64_t>(claim_body));
        put(serial);
        put(field_bytes.size());
        out.insert(out.end(), field_bytes.begin(), field_bytes.end());
        out.resize((out.size() + 7) / 8 * 8);
        out.insert(out.end(), body_bytes.begin(), body_bytes.end());
        return out;
    }
    std::error_code error() const {
        const auto whole = bytes(); // exactly this big, so that the sanitizer sees reads beyond
        return error_of(parse_dbus1(whole));
    }
};

} // namespace

TEST_CASE("worked example: call (1.9)", "[message]") {
    const Sent sent = send(ping());
    CHECK(hex(sent.head) == hex(bytes_of(ping_head)));
    CHECK(hex(sent.tail) == hex(bytes_of(ping_tail)));
    CHECK(sent.head.size() == 112);

    Message by_name = ping();
    by_name.destination = "org.example.Peer";
    const Sent named = send(by_name);
    const std::array pieces{piece(named.head.bytes()), piece(named.tail.bytes())};
    Buffer scratch;
    const auto parsed = parse_kdbus(pieces, head_of(by_name), scratch);
    REQUIRE(parsed);
    CHECK(parsed->destination == "org.example.Peer");
}

TEST_CASE("worked example: return (1.9)", "[message]") {
    Message message;
    message.type = MessageType::method_return;
    message.flags = no_reply_expected;
    message.serial = 1;
    message.reply_serial = 9;
    message.destination = ":1.5";
    const Sent sent = send(message);
    CHECK(hex(sent.head) == hex(bytes_of("6c 02 01 02 00000000 0100000000000000"
                                         "0500000000000000 0900000000000000 00 74 000000000000"
                                         "0600000000000000 3a 31 2e 35 00 00 73"
                                         "12 27   00000000000000")));
    CHECK(hex(sent.tail) == hex(bytes_of("00   00 28 29   39")));
    // The flag is set even if the message lacks it.
    message.flags = 0;
    CHECK(hex(send(message).head) == hex(sent.head));
}

TEST_CASE("worked example: signal (1.9)", "[message]") {
    const Body body = body_of(Format::gvariant, "hello", 7u);
    Message message;
    message.type = MessageType::signal;
    message.flags = no_reply_expected;
    message.serial = 4;
    message.path = "/org/example/Obj";
    message.interface = "org.example.Iface";
    message.member = "Changed";
    message.signature = "su";
    message.body = body.bytes;
    const Sent sent = send(message);
    CHECK(hex(sent.all()) == hex(bytes_of(R"(
        6c 04 01 02 00 00 00 00 04 00 00 00 00 00 00 00
        01 00 00 00 00 00 00 00 2f 6f 72 67 2f 65 78 61
        6d 70 6c 65 2f 4f 62 6a 00 00 6f 00 00 00 00 00
        02 00 00 00 00 00 00 00 6f 72 67 2e 65 78 61 6d
        70 6c 65 2e 49 66 61 63 65 00 00 73 00 00 00 00
        03 00 00 00 00 00 00 00 43 68 61 6e 67 65 64 00
        00 73   1b 3c 52   00 00 00   68 65 6c 6c 6f 00   00 00
        07 00 00 00   06   00 28 73 75 29   65)")));
    CHECK(sent.head.size() == 104);
    CHECK(sent.tail.size() == 19);
}

TEST_CASE("worked example: call with fd (1.9)", "[message]") {
    const Body body = body_of(Format::gvariant, "x", true, UnixFd{0});
    Message message = ping();
    message.unix_fds = 1;
    message.signature = "sbh";
    message.body = body.bytes;
    const Sent sent = send(message);
    CHECK(hex(sent.head).find("09000000000000000100000000"
                              "75") != std::string::npos);
    CHECK(hex(sent.tail).starts_with(hex(bytes_of("78 00 01 00 00000000 02 00 28 73 62 68 29"))));
}

TEST_CASE("worked example: large payloads (1.9)", "[message]") {
    const std::vector<std::uint8_t> array(600000, 0xaa);
    Message message = ping();
    message.path = "/org/example/Obj";
    message.interface = "a.b";
    const auto sizes = [&](const auto&... values) {
        const Body body = body_of(Format::gvariant, values...);
        message.signature = body.signature;
        message.body = body.bytes;
        const Sent sent = send(message);
        return std::pair(body.bytes.size(), sent.tail.size() - body.bytes.size());
    };
    CHECK(sizes("abc", array, std::uint64_t{5}) == std::pair<std::size_t, std::size_t>(600024, 11));
    CHECK(
        sizes("abc", std::span<const std::uint8_t>(array).first(524288), std::uint64_t{5}).second ==
        11);
    // y, a memfd of 3 bytes, t: 1 + 3 + 4 (padding) + 8 + one offset, then the footer.
    CHECK(sizes(std::uint8_t{1}, std::array<std::uint8_t, 3>{}, std::uint64_t{5}) ==
          std::pair<std::size_t, std::size_t>(17, 8));
}

TEST_CASE("kernel-bus messages come back as they went", "[message]") {
    const Body body =
        body_of(Format::gvariant, "hello", std::vector{1, 2}, Variant("v"), UnixFd{1});
    for (const MessageType type :
         {MessageType::method_call, MessageType::method_return, MessageType::error,
          MessageType::signal, static_cast<MessageType>(77)}) {
        Message message;
        message.type = type;
        message.flags = 0xfe | (type == MessageType::method_call ? 0 : no_reply_expected);
        message.serial = 0x123456789abcdef0;
        if (type == MessageType::method_return || type == MessageType::error)
            message.reply_serial = UINT64_MAX;
        else
            message.path = "/a/b";
        if (type == MessageType::signal)
            message.interface = "a.b";
        if (type == MessageType::method_call || type == MessageType::signal)
            message.member = "M";
        if (type == MessageType::error)
            message.error_name = "a.b.E";
        message.destination = ":1.9";
        message.unix_fds = 2;
        message.signature = body.signature;
        message.body = body.bytes;
        const Sent sent = send(message);
        KernelHead head = head_of(message);
        head.sender = ":1.7";
        Buffer scratch;
        const std::array pieces{piece(sent.head.bytes()), piece(sent.tail.bytes())};
        const auto parsed = parse_kdbus(pieces, head, scratch);
        INFO(static_cast<int>(type));
        REQUIRE(error_of(parsed) == std::error_code());
        message.sender = ":1.7";
        check_same(*parsed, message);
        CHECK(scratch.empty()); // in place
        CHECK(parsed->body.data() == sent.tail.data());
    }
}

TEST_CASE("pieces may be cut anywhere after the fields (1.6, 1.7)", "[message]") {
    const Body body = body_of(Format::gvariant, "text", std::uint64_t{5},
                              std::vector<std::uint32_t>{1, 2, 3}, "end");
    Message message = ping();
    message.signature = body.signature;
    message.body = body.bytes;
    const Sent sent = send(message);
    const auto all = sent.all();
    const auto whole = std::span<const std::byte>(all);
    Buffer scratch;
    const std::size_t tail_start = sent.head.size() + body.bytes.size();
    const std::size_t fields_end = static_cast<std::size_t>(all.back());
    for (std::size_t a = fields_end; a <= tail_start; a++) {
        for (std::size_t b = a; b <= tail_start; b++) {
            // The three parts in memory of their own: nothing is in a row.
            const std::vector<std::byte> first(whole.begin(), whole.begin() + static_cast<long>(a));
            const std::vector<std::byte> middle(whole.begin() + static_cast<long>(a),
                                                whole.begin() + static_cast<long>(b));
            const std::vector<std::byte> last(whole.begin() + static_cast<long>(b), whole.end());
            std::vector<Piece> pieces{piece(first), piece(middle, true), piece(last)};
            const auto parsed = parse_kdbus(pieces, head_of(message), scratch);
            REQUIRE(error_of(parsed) == std::error_code());
            REQUIRE(hex(parsed->body) == hex(body.bytes));
        }
    }
    // Pieces that follow each other in memory are not copied.
    std::vector<Piece> row;
    for (std::size_t at = 0; at < all.size();) {
        const std::size_t size =
            at == 0 ? sent.head.size() : std::min<std::size_t>(8, tail_start - at);
        row.push_back(piece(whole.subspan(at, at < tail_start ? size : all.size() - at)));
        at += row.back().size;
    }
    const auto parsed = parse_kdbus(row, head_of(message), scratch);
    REQUIRE(parsed);
    CHECK(scratch.empty());
    CHECK(hex(parsed->body) == hex(body.bytes));

    // Wherever they lie, numbers can be read in place.
    std::vector<std::byte> shifted(all.size() + 8);
    for (std::size_t by = 0; by < 8; by++) {
        std::copy(all.begin(), all.end(), shifted.begin() + static_cast<long>(by));
        const std::array moved{piece(std::span(shifted).subspan(by, all.size()))};
        const auto again = parse_kdbus(moved, head_of(message), scratch);
        REQUIRE(again);
        Reader reader = again->reader();
        REQUIRE((reader.skip() && reader.skip()));
        CHECK(reader.read<std::span<const std::uint32_t>>()->size() == 3);
        CHECK(scratch.empty() == (by == 0));
    }

    // Zero bytes that were never stored (1.6.5): the padding in front of the number.
    const std::vector<std::byte> text(body.bytes.begin(), body.bytes.begin() + 5);
    const std::vector<std::byte> rest(whole.begin() + static_cast<long>(sent.head.size() + 8),
                                      whole.end());
    const std::vector<Piece> padded{
        piece(sent.head.bytes()), piece(text), {nullptr, 3}, piece(rest)};
    const auto with_zeros = parse_kdbus(padded, head_of(message), scratch);
    REQUIRE(with_zeros);
    CHECK(hex(with_zeros->body) == hex(body.bytes));
}

TEST_CASE("a reader drops what contradicts the kernel or itself (1.7)", "[message]") {
    const Body body = body_of(Format::gvariant, "x");
    Message call = ping();
    call.signature = "s";
    call.body = body.bytes;
    const Sent sent = send(call);
    const KernelHead good = head_of(call);
    Buffer scratch;
    const auto parse = [&](std::span<const std::byte> head_bytes,
                           std::span<const std::byte> tail_bytes, const KernelHead& head) {
        // Copies of the exact size, so that the sanitizer sees reads beyond.
        const std::vector<std::byte> first(head_bytes.begin(), head_bytes.end()),
            last(tail_bytes.begin(), tail_bytes.end());
        const std::array pieces{piece(first), piece(last)};
        return error_of(parse_kdbus(pieces, head, scratch));
    };
    const auto with_head = [&](std::function<void(KernelHead&)> change) {
        KernelHead head = good;
        change(head);
        return parse(sent.head.bytes(), sent.tail.bytes(), head);
    };
    const auto with_byte = [&](std::size_t at, int value, bool in_tail = false) {
        Sent copy = send(call);
        (in_tail ? copy.tail : copy.head).data()[at] = static_cast<std::byte>(value);
        return parse(copy.head.bytes(), copy.tail.bytes(), good);
    };
    CHECK(with_head([](KernelHead&) {}) == std::error_code());
    CHECK(with_head([](KernelHead& h) { h.cookie = 2; }) == Errc::head_mismatch);
    CHECK(with_head([](KernelHead& h) { h.flags = 0; }) == Errc::head_mismatch);
    CHECK(with_head([](KernelHead& h) { h.flags |= KDBUS_MSG_NO_AUTO_START; }) ==
          Errc::head_mismatch);
    CHECK(with_head([](KernelHead& h) { h.fds = 1; }) == Errc::fds_mismatch);
    CHECK(with_head([](KernelHead& h) { h.cookie_reply = 7; }) ==
          std::error_code()); // a timeout then

    CHECK(with_byte(0, 'B') == Errc::bad_endian);
    CHECK(with_byte(0, 'x') == Errc::bad_endian);
    CHECK(with_byte(1, 0) == Errc::bad_message_type);
    CHECK(with_byte(1, 4) == Errc::head_mismatch); // has all that a signal needs, but was none
    CHECK(with_head([](KernelHead& h) { h.flags |= KDBUS_MSG_SIGNAL; }) == Errc::head_mismatch);
    CHECK(with_byte(1, 2) == Errc::missing_field);
    CHECK(with_byte(2, 1) == Errc::head_mismatch);
    CHECK(with_byte(3, 1) == Errc::bad_version);
    CHECK(with_byte(8, 0) == Errc::bad_serial);
    CHECK(with_byte(8, 2) == Errc::head_mismatch);
    CHECK(with_byte(4, 0xff) == std::error_code());   // reserved, not checked
    CHECK(with_byte(16, 0) == Errc::bad_field);       // key 0
    CHECK(with_byte(16, 3) == Errc::bad_field);       // PATH's value as MEMBER
    CHECK(with_byte(16, 8) == Errc::bad_field);       // SIGNATURE, of the wrong type too
    CHECK(with_byte(16, 200) == Errc::missing_field); // an unknown key is passed over
    CHECK(with_byte(24, 'x') == Errc::bad_object_path);
    CHECK(with_byte(25, 'x') == Errc::bad_string);
    CHECK(with_byte(27, 's') == Errc::bad_field);
    CHECK(with_byte(28, 1) == Errc::bad_padding);
    CHECK(with_byte(32, 2) == Errc::duplicate_field);
    CHECK(with_byte(32, 4) == Errc::bad_error_name); // "Ping"
    CHECK(with_byte(48, 3) == Errc::duplicate_field);
    CHECK(with_byte(40, '1') == Errc::bad_member);
    CHECK(with_byte(96, '_') == Errc::bad_bus_name); // "_1.5"
    CHECK(with_byte(107, 1) == Errc::bad_padding);   // between fields and body
    CHECK(with_byte(103, 0xff) == Errc::bad_offset);

    Sent with_signature = send(call); // PATH "/" becomes a well-formed SIGNATURE "s"
    for (const auto& [at, value] : {std::pair(16, 8), {24, 's'}, {27, 'g'}})
        with_signature.head.data()[at] = static_cast<std::byte>(value);
    CHECK(parse(with_signature.head.bytes(), with_signature.tail.bytes(), good) == Errc::bad_field);

    const std::size_t end = sent.tail.size() - 1;
    CHECK(with_byte(end, 15, true) == Errc::bad_offset);
    CHECK(with_byte(end, 0xff, true) == Errc::bad_offset);
    CHECK(with_byte(end - 1, '(', true) == Errc::bad_signature);
    CHECK(with_byte(end - 2, 'm', true) == Errc::bad_signature);
    CHECK(with_byte(end - 3, 's', true) == Errc::bad_signature);
    CHECK(with_byte(end - 4, 'x', true) == Errc::bad_signature);

    for (std::size_t cut = 0; cut < sent.head.size(); cut++)
        CHECK(parse(sent.head.bytes().first(cut), sent.tail.bytes(), good) != std::error_code());
    for (std::size_t cut = 0; cut < sent.tail.size(); cut++)
        CHECK(parse(sent.head.bytes(), sent.tail.bytes().first(cut), good) != std::error_code());

    const auto pieces_error = [&](std::vector<Piece> pieces) {
        return error_of(parse_kdbus(pieces, good, scratch));
    };
    const Piece first = piece(sent.head.bytes()), last = piece(sent.tail.bytes());
    CHECK(pieces_error({}) == Errc::bad_pieces);
    CHECK(pieces_error({{first.data, first.size, true}, last}) == Errc::bad_pieces);
    CHECK(pieces_error({first, {last.data, last.size, true}}) == Errc::bad_pieces);
    CHECK(pieces_error({first, {nullptr, 5}}) == Errc::bad_pieces);
    CHECK(pieces_error({first, {nullptr, 65537}, last}) == Errc::message_too_long);
    CHECK(pieces_error({first, {nullptr, 65536}, {nullptr, 1}, last}) == Errc::message_too_long);
    CHECK(pieces_error({first, {nullptr, 65536}, last}) != Errc::message_too_long);
    CHECK(pieces_error({first}) != std::error_code());
    CHECK(pieces_error({first, {nullptr, SIZE_MAX}, last}) == Errc::message_too_long);
    CHECK(pieces_error({first, {nullptr, (64 << 10) + 1}, last}) == Errc::message_too_long);
    CHECK(pieces_error({first, {nullptr, 64 << 10}, {nullptr, 1, true}, last}) ==
          Errc::message_too_long);
    CHECK(pieces_error({first, {nullptr, 64 << 10}, last}) != Errc::message_too_long);
    CHECK(pieces_error({first, {nullptr, max_message_size}, last}) == Errc::message_too_long);
    CHECK(pieces_error({{first.data, 15}, last}) == Errc::truncated);
    CHECK(pieces_error({{first.data, 64}, {first.data + 64, first.size - 64}, last}) ==
          Errc::bad_pieces);
    CHECK(pieces_error({first, {last.data, last.size - 3}, {last.data + last.size - 3, 3}}) !=
          std::error_code());

    // Replies: the cookie that is answered must agree.
    Message reply;
    reply.type = MessageType::method_return;
    reply.flags = no_reply_expected;
    reply.serial = 3;
    reply.reply_serial = 9;
    const Sent answer = send(reply);
    KernelHead reply_head = head_of(reply);
    CHECK(parse(answer.head.bytes(), answer.tail.bytes(), reply_head) == std::error_code());
    // A call that poses as an answer.
    reply.flags = 0;
    Sent call_like = send(reply);
    call_like.head.data()[2] = std::byte{0};
    KernelHead call_head = head_of(reply);
    CHECK(parse(call_like.head.bytes(), call_like.tail.bytes(), call_head) == Errc::head_mismatch);
    reply.flags = no_reply_expected;
    reply_head.cookie_reply = 8;
    CHECK(parse(answer.head.bytes(), answer.tail.bytes(), reply_head) == Errc::head_mismatch);
    // A reply cookie on a call or signal.
    Sent as_signal = send(reply);
    as_signal.head.data()[1] = std::byte{4};
    // A reply that wants a reply, and a reply cookie on a type that is none.
    Sent wanting = send(reply);
    wanting.head.data()[2] = std::byte{0};
    KernelHead wanting_head = head_of(reply);
    wanting_head.flags = KDBUS_MSG_EXPECT_REPLY;
    CHECK(parse(wanting.head.bytes(), wanting.tail.bytes(), wanting_head) == Errc::head_mismatch);
    Sent unknown = send(reply);
    unknown.head.data()[1] = std::byte{9};
    CHECK(parse(unknown.head.bytes(), unknown.tail.bytes(), head_of(reply)) == Errc::bad_field);
    CHECK(parse(as_signal.head.bytes(), as_signal.tail.bytes(), head_of(reply)) ==
          Errc::missing_field);
    Message forged = ping();
    forged.interface = local_name;
    Buffer head_buffer;
    CHECK(error_of(write_kdbus_head(forged, head_buffer)) == Errc::local_message);
    CHECK(head_buffer.empty());
}

TEST_CASE("writers refuse unfit headers", "[message]") {
    Buffer head, tail;
    const auto kdbus_error = [&](auto change) {
        Message message = ping();
        change(message);
        const auto error = error_of(serialise_kdbus(message, head, tail));
        CHECK(head.empty() == static_cast<bool>(error));
        CHECK(tail.empty() == static_cast<bool>(error));
        head.clear();
        tail.clear();
        return error;
    };
    CHECK(kdbus_error([](Message&) {}) == std::error_code());
    CHECK(kdbus_error([](Message& m) { m.type = MessageType::invalid; }) == Errc::bad_message_type);
    CHECK(kdbus_error([](Message& m) { m.serial = 0; }) == Errc::bad_serial);
    CHECK(kdbus_error([](Message& m) { m.path = {}; }) == Errc::missing_field);
    CHECK(kdbus_error([](Message& m) { m.member = {}; }) == Errc::missing_field);
    CHECK(kdbus_error([](Message& m) { m.path = "x"; }) == Errc::bad_object_path);
    CHECK(kdbus_error([](Message& m) { m.destination = "x"; }) == Errc::bad_bus_name);
    CHECK(kdbus_error([](Message& m) { m.path = local_path; }) == Errc::local_message);
    CHECK(kdbus_error([](Message& m) { m.format = dbus1_native; }) == Errc::wrong_format);
    CHECK(kdbus_error([](Message& m) { m.signature = "()"; }) == Errc::bad_signature);
    CHECK(kdbus_error([](Message& m) { m.type = MessageType::error; }) == Errc::missing_field);

    const auto dbus1_error = [&](auto change) {
        Message message = ping();
        message.format = dbus1_native;
        change(message);
        const auto error = error_of(serialise_dbus1(message, head));
        CHECK(head.empty() == static_cast<bool>(error));
        head.clear();
        return error;
    };
    CHECK(dbus1_error([](Message&) {}) == std::error_code());
    CHECK(dbus1_error([](Message& m) { m.format = Format::gvariant; }) == Errc::wrong_format);
    CHECK(dbus1_error([](Message& m) { m.serial = 0x100000000; }) == Errc::not_convertible);
    CHECK(dbus1_error([](Message& m) { m.reply_serial = 0x100000000; }) == Errc::not_convertible);
    CHECK(dbus1_error([](Message& m) { m.serial = 0; }) == Errc::bad_serial);
    CHECK(dbus1_error([](Message& m) {
              m.body = {m.body.data(), max_message_size};
          }) == Errc::message_too_long);
}

TEST_CASE("the Hello call of libdbus (7.2)", "[message]") {
    const auto bytes = bytes_of(hello_bytes);
    CHECK(dbus1_message_size(std::span(bytes).first(16)) == std::size_t{128});
    const auto hello = parse_dbus1(bytes);
    REQUIRE(hello);
    CHECK(hello->type == MessageType::method_call);
    CHECK(hello->serial == 1);
    CHECK(hello->path == driver_path);
    CHECK(hello->interface == driver_name);
    CHECK(hello->destination == driver_name);
    CHECK(hello->member == "Hello");
    CHECK(hello->signature.empty());
    CHECK(hello->expects_reply());
    Buffer again;
    REQUIRE(serialise_dbus1(*hello, again));
    CHECK(hex(again) == hex(bytes));
}

TEST_CASE("D-Bus 1 messages in both byte orders", "[message]") {
    const Body body = body_of(dbus1_native, "text", std::vector<std::uint16_t>{1, 2}, UnixFd{0});
    Message message;
    message.type = MessageType::error;
    message.flags = 0xff;
    message.serial = 0xffffffff;
    message.reply_serial = 0xfffffffe;
    message.error_name = "a.b.E";
    message.destination = ":1.9";
    message.sender = "a.b";
    message.unix_fds = 1;
    message.signature = body.signature;
    message.format = dbus1_native;
    message.body = body.bytes;
    Buffer bytes;
    REQUIRE(serialise_dbus1(message, bytes));
    const auto parsed = parse_dbus1(bytes.bytes());
    REQUIRE(parsed);
    check_same(*parsed, message);

    // The other order, as a relay keeps it: header here, body from elsewhere.
    const Format foreign = dbus1_native == Format::dbus1_le ? Format::dbus1_be : Format::dbus1_le;
    const auto foreign_body = bytes_of(
        foreign == Format::dbus1_be ? "00000004 74657874 00 000000 00000004 0001 0002 00000000"
                                    : "04000000 74657874 00 000000 04000000 0100 0200 00000000");
    message.format = foreign;
    message.body = foreign_body;
    bytes.clear();
    REQUIRE(serialise_dbus1(message, bytes));
    CHECK(dbus1_message_size(bytes.bytes()) == bytes.size());
    const auto foreign_parsed = parse_dbus1(bytes.bytes());
    REQUIRE(foreign_parsed);
    check_same(*foreign_parsed, message);
    Buffer converted;
    const auto native = convert_message(*foreign_parsed, dbus1_native, converted);
    REQUIRE(native);
    CHECK(hex(native->body) == hex(body.bytes));
}

TEST_CASE("sizes are judged by the first 16 bytes (7.3)", "[message]") {
    const auto size = [](std::string_view hex_bytes) {
        return dbus1_message_size(bytes_of(hex_bytes));
    };
    CHECK(size("6c010001 00000000 01000000 00000000") == std::size_t{16});
    CHECK(size("6c010001 05000000 01000000 01000000") == std::size_t{16 + 8 + 5});
    CHECK(size("42010001 00000005 00000001 00000001") == std::size_t{16 + 8 + 5});
    CHECK(size("6c010001 f0ffff07 01000000 00000000") == std::size_t{max_message_size});
    CHECK(error_of(size("6c010001 f1ffff07 01000000 00000000")) == Errc::message_too_long);
    CHECK(error_of(size("6c010001 0000800c 01000000 00000000")) ==
          Errc::message_too_long); // 200 MiB
    CHECK(error_of(size("6c010001 ffffffff 01000000 00000000")) == Errc::message_too_long);
    CHECK(size("6c010001 00000000 01000000 00000004") == std::size_t{16 + max_array_size});
    CHECK(error_of(size("6c010001 00000000 01000000 01000004")) == Errc::array_too_long);
    CHECK(error_of(size("6c010001 00000000 01000000 ffffffff")) == Errc::array_too_long);
    CHECK(error_of(size("6c010001 ffffff07 01000000 00000004")) == Errc::message_too_long);
    CHECK(error_of(size("6d010001 00000000 01000000 00000000")) == Errc::bad_endian);
    CHECK(error_of(size("6c000001 00000000 01000000 00000000")) == Errc::bad_message_type);
    CHECK(error_of(size("6c010002 00000000 01000000 00000000")) == Errc::bad_version);
    CHECK(error_of(size("6c010001 00000000 00000000 00000000")) == Errc::bad_serial);
    CHECK(error_of(size("6c010001 00000000 01000000 000000")) == Errc::truncated);
    CHECK(error_of(size("")) == Errc::truncated);
}

TEST_CASE("invalid D-Bus 1 messages (7.6)", "[message]") {
    const std::string path = "01016f00 01000000 2f00 000000000000 ";
    const std::string interface = "02017300 03000000 612e6200 00000000 ";
    CHECK(Raw{}.error() == std::error_code());
    CHECK(Raw{.endian = 'b'}.error() == Errc::bad_endian);
    CHECK(Raw{.type = 0}.error() == Errc::bad_message_type);
    CHECK(Raw{.type = 5}.error() == std::error_code()); // to be ignored by whoever does not know it
    CHECK(Raw{.type = 255}.error() == std::error_code());
    CHECK(Raw{.flags = 0xff}.error() == std::error_code());
    CHECK(Raw{.version = 0}.error() == Errc::bad_version);
    CHECK(Raw{.version = 2}.error() == Errc::bad_version);
    CHECK(Raw{.serial = 0}.error() == Errc::bad_serial);
    CHECK(Raw{.fields = ""}.error() == Errc::missing_field);
    CHECK(Raw{.fields = path}.error() == Errc::truncated); // trailing padding is no field
    const std::string last_member = "03017300 01000000 4d00";
    const auto call_with = [&](const std::string& extra) {
        return Raw{.fields = path + extra + last_member}.error();
    };
    CHECK(call_with("") == std::error_code());
    CHECK(call_with(interface) == std::error_code());
    CHECK(call_with("00017300 01000000 6100 000000000000 ") == Errc::bad_field);   // code 0
    CHECK(call_with("63017300 01000000 6100 000000000000 ") == std::error_code()); // unknown code
    CHECK(call_with("0a017300 01000000 6100 000000000000 ") == std::error_code());
    CHECK(call_with("ff017600 01790005 ") == std::error_code());
    CHECK(call_with("ff016200 02000000 ") == Errc::bad_boolean); // unknown, but not valid
    CHECK(call_with(path) == Errc::duplicate_field);
    CHECK(call_with("02016f00 01000000 2f00 000000000000 ") == Errc::bad_field); // interface as o
    CHECK(call_with("02017300 01000000 6100 000000000000 ") == Errc::bad_interface);
    CHECK(call_with("02017300 00000000 00 00000000000000 ") == Errc::bad_field); // empty
    CHECK(call_with("04017300 01000000 6100 000000000000 ") == Errc::bad_error_name);
    CHECK(call_with("06017300 01000000 6100 000000000000 ") == Errc::bad_bus_name);
    CHECK(call_with("07017300 01000000 6100 000000000000 ") == Errc::bad_bus_name);
    CHECK(call_with("05017500 00000000 ") == Errc::bad_serial);
    CHECK(call_with("05017500 01000000 ") == std::error_code()); // ignored on a call
    CHECK(call_with("05017400 00000000 0100000000000000 ") == Errc::bad_field);
    CHECK(call_with("08016700 01 6d 00 00 ") == Errc::bad_signature);
    CHECK(call_with("08017300 01000000 7900 000000000000 ") == Errc::bad_field);
    CHECK(call_with("08016700 00 00 0000 ") == std::error_code()); // an empty signature is one
    CHECK(call_with("02027373 00000000 ") == Errc::bad_signature);
    CHECK(call_with("09017500 05000000 ") == std::error_code());
    CHECK(Raw{.fields = "01016f00 01000000 78 00 000000000000 " + last_member}.error() ==
          Errc::bad_object_path);
    CHECK(Raw{.fields = "01016f00 01000000 2f00 000000000001 " + last_member}.error() ==
          Errc::bad_padding);
    CHECK(Raw{.fields = path + "03017300 01000000 3100"}.error() == Errc::bad_member);
    CHECK(Raw{.fields = path + "03017300 02000000 c32800"}.error() == Errc::bad_string);
    CHECK(Raw{.fields = path + "03017300 ff000000 4d00"}.error() == Errc::truncated);
    CHECK(Raw{.type = 4}.error() == Errc::missing_field); // a signal wants an interface
    CHECK(Raw{.type = 4, .fields = path + interface + last_member}.error() == std::error_code());
    CHECK(Raw{.type = 2}.error() == Errc::missing_field);
    CHECK(Raw{.type = 2, .fields = "05017500 01000000"}.error() == std::error_code());
    CHECK(Raw{.type = 3, .fields = "05017500 01000000"}.error() == Errc::missing_field);
    CHECK(Raw{.type = 3, .fields = "05017500 01000000 04017300 03000000 612e6200"}.error() ==
          std::error_code());

    // Body and signature.
    const std::string sig_y = "08016700 01 7900 00 ", sig_h = "08016700 01 6800 00 ",
                      sig_b = "08016700 01 6200 00 ", sig_s = "08016700 01 7300 00 ",
                      two_fds = "09017500 02000000 ";
    const auto body_with = [&](const std::string& extra, const std::string& body) {
        return Raw{.fields = path + extra + last_member, .body = body}.error();
    };
    CHECK(body_with("", "00") == Errc::trailing_bytes); // body without signature
    CHECK(body_with(sig_y, "") == Errc::truncated);
    CHECK(body_with(sig_y, "05") == std::error_code());
    CHECK(body_with(sig_y, "0505") == Errc::trailing_bytes);
    CHECK(body_with(sig_b, "02000000") == Errc::bad_boolean);
    CHECK(body_with(sig_s, "02000000 c328 00") == Errc::bad_string);
    CHECK(body_with(sig_h, "00000000") == Errc::fds_mismatch);
    CHECK(body_with(sig_h + two_fds, "01000000") == std::error_code());
    CHECK(body_with(sig_h + two_fds, "02000000") == Errc::fds_mismatch);
    CHECK(body_with(sig_h + two_fds, "ffffffff") == Errc::fds_mismatch);

    // Lengths that lie.
    Raw lying;
    lying.claim_body = 5;
    CHECK(lying.error() == Errc::truncated);
    auto padded = Raw{}.bytes();
    padded.back() = std::byte{1}; // between fields and body
    CHECK(error_of(parse_dbus1(padded)) == Errc::bad_padding);
    auto longer = Raw{}.bytes();
    longer.push_back(std::byte{0});
    CHECK(error_of(parse_dbus1(longer)) == Errc::trailing_bytes);

    // The reserved path and interface.
    const auto text_field = [](int code, char type, std::string_view text) {
        std::vector<std::byte> field{static_cast<std::byte>(code),
                                     std::byte{1},
                                     static_cast<std::byte>(type),
                                     std::byte{0},
                                     static_cast<std::byte>(text.size()),
                                     std::byte{0},
                                     std::byte{0},
                                     std::byte{0}};
        for (char c : text)
            field.push_back(static_cast<std::byte>(c));
        field.push_back(std::byte{0});
        field.resize((field.size() + 7) / 8 * 8);
        return hex(field) + " ";
    };
    CHECK(Raw{.fields = text_field(1, 'o', local_path) + last_member}.error() ==
          Errc::local_message);
    CHECK(call_with(text_field(2, 's', local_name)) == Errc::local_message);
    CHECK(call_with(text_field(7, 's', ":1.5")) == std::error_code());
}

TEST_CASE("a reply serial on a call or signal is ignored (7.6)", "[message]") {
    const auto bytes =
        Raw{.fields =
                "01016f00 01000000 2f00 000000000000 05017500 09000000 03017300 01000000 4d00"}
            .bytes();
    const auto message = parse_dbus1(bytes);
    REQUIRE(message);
    CHECK(message->reply_serial == 0);
}

TEST_CASE("whole messages convert both ways (8)", "[message]") {
    const Body body = body_of(dbus1_native, "text", true,
                              std::map<std::string, Variant>{{"k", Variant(UnixFd{1})}}, UnixFd{1},
                              UnixFd{0}, UnixFd{1});
    Message message = ping();
    message.flags = 0xf6 | no_reply_expected; // all bits
    message.unix_fds = 3;                     // one of them is not referred to
    message.format = dbus1_native;
    message.signature = body.signature;
    message.body = body.bytes;
    Buffer to_kernel, to_socket;
    const auto converted = convert_message(message, Format::gvariant, to_kernel);
    REQUIRE(converted);
    CHECK(converted->flags == message.flags);
    CHECK(converted->unix_fds == 3);
    const auto back = convert_message(*converted, dbus1_native, to_socket);
    REQUIRE(back);
    check_same(*back, message);

    message.unix_fds = 1;
    const std::size_t before = to_kernel.size();
    CHECK(error_of(convert_message(message, Format::gvariant, to_kernel)) == Errc::fds_mismatch);
    CHECK(to_kernel.size() == before);

    Message native = *converted;
    native.serial = 0x100000000;
    CHECK(error_of(convert_message(native, dbus1_native, to_socket)) == Errc::not_convertible);
    native.serial = 1;
    native.reply_serial = 0x100000000;
    CHECK(error_of(convert_message(native, dbus1_native, to_socket)) == Errc::not_convertible);

    Message empty = ping();
    empty.format = dbus1_native;
    Buffer unit;
    const auto unit_body = convert_message(empty, Format::gvariant, unit);
    REQUIRE(unit_body);
    CHECK(hex(unit_body->body) == "00");
    const auto nothing = convert_message(*unit_body, dbus1_native, unit);
    REQUIRE(nothing);
    CHECK(nothing->body.empty());
    CHECK(error_of(convert_body(Format::gvariant, "s", bytes_of("ff00"), dbus1_native, unit)) ==
          Errc::bad_string);
    CHECK(error_of(convert_body(Format::gvariant, "b", bytes_of("0100"), dbus1_native, unit)) ==
          Errc::trailing_bytes);
}
