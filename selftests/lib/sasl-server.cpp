// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../../userspace/lib/bus/sasl_server.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>
#include <vector>

using kdbus::detail::SaslServer;
using State = SaslServer::State;
using namespace std::string_literals;

namespace {

constexpr std::string_view guid = "0123456789abcdef0123456789abcdef";
const std::string ok = "OK 0123456789abcdef0123456789abcdef\r\n";
const std::string rejected = "REJECTED EXTERNAL\r\n";
const std::string root = "30";        // "0"
const std::string other = "31303030"; // "1000"

/// How a conversation goes: error texts are cut off, they are free.
struct Outcome {
    std::string replies;
    State state;
    std::size_t used;
};

std::string without_texts(std::string replies) {
    for (std::size_t at = 0; (at = replies.find("ERROR \"", at)) != std::string::npos; at += 7)
        replies.erase(at + 5, replies.find("\r\n", at) - at - 5);
    return replies;
}

Outcome talk(std::string_view input, std::uint32_t uid = 0, bool offer_fds = true) {
    SaslServer auth(std::string(guid), uid, offer_fds);
    std::string replies;
    const auto used = auth.feed(input, replies);
    return {without_texts(replies), auth.state(), used};
}

} // namespace

TEST_CASE("SASL server: each line gets its answer in each state (dbus-on-kdbus.md 7.1)") {
    struct Row {
        std::string input;
        std::string replies;
        State state;
    };
    const std::string error = "ERROR\r\n";
    const std::string to_data = "\0AUTH EXTERNAL\r\n"s;
    const std::string to_begin = "\0AUTH EXTERNAL 30\r\n"s;
    const std::vector<Row> rows = {
        {"X", "", State::failed},
        {"", "", State::nul},
        {"\0"s, "", State::waiting},
        // waiting for AUTH
        {"\0AUTH\r\n"s, rejected, State::waiting},
        {"\0AUTH FOO\r\n"s, rejected, State::waiting},
        {"\0AUTH FOO 30\r\n"s, rejected, State::waiting},
        {"\0AUTH external 30\r\n"s, rejected, State::waiting},
        {"\0AUTH ANONYMOUS\r\n"s, rejected, State::waiting},
        {"\0AUTH ANONYMOUS 6162\r\n"s, rejected, State::waiting},
        {"\0AUTH DBUS_COOKIE_SHA1 30\r\n"s, rejected, State::waiting},
        {"\0AUTH EXTERNAL 30\r\n"s, ok, State::begin},
        {"\0AUTH  EXTERNAL \t 30\r\n"s, ok, State::begin},
        {"\0AUTH EXTERNAL 31303030\r\n"s, rejected, State::waiting},
        {"\0AUTH EXTERNAL 726f6f74\r\n"s, rejected, State::waiting},             // root
        {"\0AUTH EXTERNAL 2d30\r\n"s, rejected, State::waiting},                 // -0
        {"\0AUTH EXTERNAL 2030\r\n"s, rejected, State::waiting},                 // " 0"
        {"\0AUTH EXTERNAL 3000\r\n"s, rejected, State::waiting},                 // "0\0"
        {"\0AUTH EXTERNAL 34323934393637323936\r\n"s, rejected, State::waiting}, // 2^32
        {"\0AUTH EXTERNAL zz\r\n"s, error, State::waiting},
        {"\0AUTH EXTERNAL 3\r\n"s, error, State::waiting},
        {"\0AUTH EXTERNAL 30 30\r\n"s, error, State::waiting},
        {"\0AUTH EXTERNAL\r\n"s, "DATA\r\n", State::data},
        {"\0CANCEL\r\n"s, error, State::waiting},
        {"\0ERROR what\r\n"s, rejected, State::waiting},
        {"\0DATA\r\n"s, error, State::waiting},
        {"\0DATA 30\r\n"s, error, State::waiting},
        {"\0NEGOTIATE_UNIX_FD\r\n"s, error, State::waiting},
        {"\0BEGIN\r\n"s, "", State::failed},
        {"\0FOO\r\n"s, error, State::waiting},
        {"\0\r\n"s, error, State::waiting},
        {"\0auth EXTERNAL 30\r\n"s, error, State::waiting},
        {"\0 AUTH EXTERNAL 30\r\n"s, error, State::waiting},
        {"\0AUTH\rEXTERNAL 30\r\n"s, error, State::waiting},
        {"\0AUTH EXTERNAL \xff\r\n"s, error, State::waiting},
        {"\0AUTH EXTERNAL \0\r\n"s, error, State::waiting},
        // in the conversation
        {to_data + "DATA\r\n", "DATA\r\n" + ok, State::begin},
        {to_data + "DATA \r\n", "DATA\r\n" + ok, State::begin},
        {to_data + "DATA 30\r\n", "DATA\r\n" + ok, State::begin},
        {to_data + "DATA 31303030\r\n", "DATA\r\n" + rejected, State::waiting},
        {to_data + "DATA zz\r\n", "DATA\r\n" + error, State::data},
        {to_data + "DATA zz\r\nDATA 30\r\n", "DATA\r\n" + error + ok, State::begin},
        {to_data + "CANCEL\r\n", "DATA\r\n" + rejected, State::waiting},
        {to_data + "ERROR\r\n", "DATA\r\n" + rejected, State::waiting},
        {to_data + "AUTH EXTERNAL 30\r\n", "DATA\r\n" + error, State::data},
        {to_data + "NEGOTIATE_UNIX_FD\r\n", "DATA\r\n" + error, State::data},
        {to_data + "BEGIN\r\n", "DATA\r\n", State::failed},
        {to_data + "FOO\r\n", "DATA\r\n" + error, State::data},
        // authenticated
        {to_begin + "NEGOTIATE_UNIX_FD\r\n", ok + "AGREE_UNIX_FD\r\n", State::begin},
        {to_begin + "NEGOTIATE_UNIX_FD\r\nNEGOTIATE_UNIX_FD\r\n",
         ok + "AGREE_UNIX_FD\r\nAGREE_UNIX_FD\r\n", State::begin},
        {to_begin + "AUTH EXTERNAL 30\r\n", ok + error, State::begin},
        {to_begin + "DATA\r\n", ok + error, State::begin},
        {to_begin + "CANCEL\r\n", ok + rejected, State::waiting},
        {to_begin + "ERROR\r\n", ok + rejected, State::waiting},
        {to_begin + "CANCEL\r\nBEGIN\r\n", ok + rejected, State::failed},
        {to_begin + "FOO\r\n", ok + error, State::begin},
        {to_begin + "BEGIN\r\n", ok, State::done},
        {to_begin + "BEGIN now\r\n", ok, State::done},
        // lines in pieces, and wrong ends of lines
        {"\0AUTH EXTERNAL 30"s, "", State::waiting},
        {"\0AUTH EXTERNAL 30\r"s, "", State::waiting},
        {"\0AUTH EXTERNAL 30\n"s, "", State::waiting},
    };
    for (const auto& row : rows) {
        CAPTURE(row.input);
        const auto outcome = talk(row.input);
        CHECK(outcome.replies == row.replies);
        CHECK(outcome.state == row.state);
    }
}

TEST_CASE("SASL server: the identity is the socket's, not the claimed one") {
    CHECK(talk("\0AUTH EXTERNAL 31303030\r\n"s, 1000).replies == ok);
    CHECK(talk("\0AUTH EXTERNAL 30\r\n"s, 1000).replies == rejected);
    CHECK(talk("\0AUTH EXTERNAL\r\nDATA\r\n"s, 1000).replies == "DATA\r\n" + ok);
    CHECK(talk("\0AUTH EXTERNAL 34323934393637323935\r\n"s, 0xffffffff).replies == ok);
}

TEST_CASE("SASL server: descriptors are agreed on only after OK, and only if offered") {
    const auto agreed = [](std::string_view input, bool offer) {
        SaslServer auth(std::string(guid), 0, offer);
        std::string replies;
        auth.feed(input, replies);
        return auth.fds_agreed();
    };
    CHECK(agreed("\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"s, true));
    CHECK_FALSE(agreed("\0AUTH EXTERNAL 30\r\nBEGIN\r\n"s, true));
    CHECK_FALSE(agreed("\0NEGOTIATE_UNIX_FD\r\nAUTH EXTERNAL 30\r\nBEGIN\r\n"s, true));
    CHECK_FALSE(agreed("\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"s, false));
    CHECK_FALSE(agreed("\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nCANCEL\r\n"
                       "AUTH EXTERNAL 30\r\nBEGIN\r\n"s,
                       true));
    CHECK(talk("\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\n"s, 0, false).replies ==
          ok + "ERROR\r\n");
}

TEST_CASE("SASL server: the sixth rejection ends it") {
    const std::string attempt = "AUTH\r\n";
    std::string input(1, '\0');
    for (unsigned i = 1; i <= 5; ++i)
        input += attempt;
    CHECK(talk(input).state == State::waiting);
    CHECK(talk(input + "AUTH EXTERNAL 30\r\n").state == State::begin);
    const auto sixth = talk(input + attempt + "AUTH EXTERNAL 30\r\n");
    CHECK(sixth.state == State::failed);
    CHECK(sixth.replies.size() == 6 * rejected.size());
}

TEST_CASE("SASL server: errors do not count as rejections") {
    std::string input(1, '\0');
    for (unsigned i = 0; i < 100; ++i)
        input += "FOO\r\n";
    CHECK(talk(input + "AUTH EXTERNAL 30\r\n").state == State::begin);
}

TEST_CASE("SASL server: 16 KiB without end of line is too much") {
    CHECK(talk("\0"s + std::string(SaslServer::max_line, 'A')).state == State::waiting);
    CHECK(talk("\0"s + std::string(SaslServer::max_line, 'A') + "\r\n").replies == "ERROR\r\n");
    CHECK(talk("\0"s + std::string(SaslServer::max_line + 1, 'A')).state == State::failed);
    CHECK(talk("\0"s + std::string(SaslServer::max_line + 1, 'A') + "\r\n").state == State::failed);
    CHECK(talk("\0"s + std::string(10 * SaslServer::max_line, '\n')).state == State::failed);
}

TEST_CASE("SASL server: the handshakes of real clients (dbus-on-kdbus.md 7.1)") {
    struct Row {
        std::string name;
        std::vector<std::pair<std::string, std::string>> turns; // what it writes, what it expects
    };
    const std::string agree = "AGREE_UNIX_FD\r\n";
    const std::vector<Row> rows = {
        {"libdbus",
         {{"\0"s, ""},
          {"AUTH EXTERNAL 30\r\n", ok},
          {"NEGOTIATE_UNIX_FD\r\n", agree},
          {"BEGIN\r\n", ""}}},
        {"GDBus",
         {{"\0"s, ""},
          {"AUTH\r\n", rejected},
          {"AUTH EXTERNAL 30\r\n", ok},
          {"NEGOTIATE_UNIX_FD\r\n", agree},
          {"BEGIN\r\n", ""}}},
        {"sd-bus, new",
         {{"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"s, "DATA\r\n" + ok + agree}}},
        {"sd-bus, v221 to v232",
         {{"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"s, ok + agree}}},
        {"sd-bus, v221 to v232, rejected first",
         {{"\0AUTH ANONYMOUS 64627573\r\n"s, rejected},
          {"AUTH EXTERNAL 30\r\n", ok},
          {"BEGIN\r\n", ""}}},
    };
    for (const auto& row : rows) {
        for (const bool byte_by_byte : {false, true}) {
            CAPTURE(row.name, byte_by_byte);
            SaslServer auth(std::string(guid), 0, true);
            std::string pending;
            for (const auto& [line, expected] : row.turns) {
                std::string replies;
                if (byte_by_byte) {
                    for (const char c : line) {
                        pending.push_back(c);
                        pending.erase(0, auth.feed(pending, replies));
                    }
                } else {
                    pending += line;
                    pending.erase(0, auth.feed(pending, replies));
                }
                CHECK(replies == expected);
                CHECK(pending.empty());
            }
            CHECK(auth.state() == State::done);
        }
    }
}

TEST_CASE("SASL server: what follows BEGIN is left alone") {
    const std::string begin = "\0AUTH EXTERNAL 30\r\nBEGIN\r\n"s;
    const auto outcome = talk(begin + "l\1\0\1AUTH\r\n"s);
    CHECK(outcome.state == State::done);
    CHECK(outcome.used == begin.size());
    CHECK(outcome.replies == ok);

    SaslServer auth(std::string(guid), 0, true);
    std::string replies;
    auth.feed(begin, replies);
    CHECK(auth.feed("FOO\r\n", replies) == 0);
    CHECK(replies == ok);
}
