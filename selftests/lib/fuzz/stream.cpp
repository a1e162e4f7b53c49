// SPDX-License-Identifier: LGPL-2.1-or-later
// What comes out of a socket: how it is cut into messages, and both ends of a connection.
#include "messages.hpp"

#include "lib/bus/socket_inbox.hpp"
#include "lib/bus/socket_stream.hpp"

#include <sys/socket.h>
#include <unistd.h>

namespace wire = kdbus::wire;
using kdbus::abi::UniqueFd;
using kdbus::detail::SocketInbox;
using kdbus::detail::SocketStream;

namespace {

constexpr const char* guid = "0123456789abcdef0123456789abcdef";
constexpr std::string_view client_opening("\0AUTH EXTERNAL 30\r\nBEGIN\r\n", 26);
constexpr std::string_view server_opening = "OK 0123456789abcdef0123456789abcdef\r\n";

struct Pair {
    UniqueFd ours, theirs;
    Pair() {
        int fds[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
        ours = UniqueFd(fds[0]);
        theirs = UniqueFd(fds[1]);
    }
    void say(std::string_view text) const {
        // Nothing is lost: it is short, and either everything was read or the reader gave up.
        (void)!::send(theirs.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
};

/// Messages and, at the end, whether the rest cannot begin one.
struct Cut {
    std::vector<std::string> messages;
    bool broken = false;
};

Cut cut(std::string_view text) {
    Cut cut;
    while (text.size() >= wire::dbus1_fixed_header_size) {
        const auto size = wire::dbus1_message_size(std::as_bytes(std::span(text)));
        cut.broken = !size;
        if (!size || *size > text.size())
            break;
        cut.messages.emplace_back(text.substr(0, *size));
        text.remove_prefix(*size);
    }
    return cut;
}

void check_inbox(std::string_view text, std::size_t step) {
    const Cut expected = cut(text);
    const Pair pair;
    SocketInbox inbox;
    Cut got;
    for (std::size_t at = 0; at < text.size() && !got.broken; at += step) {
        pair.say(text.substr(at, step));
        REQUIRE(inbox.fill(pair.ours.get()) == SocketInbox::Receipt::data);
        for (;;) {
            auto next = inbox.next();
            got.broken = !next;
            if (!next || !*next)
                break;
            got.messages.emplace_back(fuzz::view((*next)->bytes()));
        }
    }
    REQUIRE(got.messages == expected.messages);
    REQUIRE(got.broken == expected.broken);
}

void check_stream(SocketStream stream, const Pair& pair, std::string_view text, std::size_t step) {
    bool ended = false;
    for (std::size_t at = 0; at < text.size() && !ended; at += step) {
        pair.say(text.substr(at, step));
        for (;;) {
            auto next = stream.next();
            ended = !next;
            if (!next || !*next)
                break;
            const wire::Message& message = (**next)->view;
            REQUIRE(wire::validate_header(message));
            REQUIRE(wire::validate_body(message.format, message.signature, message.body));
        }
    }
    // For good.
    if (ended)
        REQUIRE(!stream.next());
}

} // namespace

std::vector<std::string> fuzz::seeds() {
    std::vector<std::string> seeds;
    wire::Buffer body, all;
    for (auto message : fuzz::example_messages(wire::dbus1_native, body)) {
        REQUIRE(wire::serialise_dbus1(message, all));
        message.unix_fds = 0;
        for (const int mode : {0, 1, 2, 3})
            seeds.push_back(fuzz::seed(mode, 40, fuzz::view(all.bytes())));
    }
    return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, std::min<std::size_t>(size, 8192));
    const auto mode = input.byte();
    const std::size_t step = 16 * input.byte() + 1;
    const auto text = input.text();
    if ((mode & 3) == 3) {
        check_inbox(fuzz::view(text), step);
        return 0;
    }
    Pair pair;
    const bool server = (mode & 1) != 0, opened = (mode & 2) == 0;
    if (opened)
        pair.say(server ? client_opening : server_opening);
    auto stream = server ? SocketStream::server(std::move(pair.ours), 0, true, guid)
                         : SocketStream::client(std::move(pair.ours), false, "");
    check_stream(std::move(stream), pair, fuzz::view(text), step);
    return 0;
}
