// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's half of authentication, alone and against the server's half.
#include "../../userspace/lib/bus/sasl_client.hpp"
#include "../../userspace/lib/bus/sasl_server.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>
#include <vector>

using kdbus::detail::SaslClient;
using kdbus::detail::SaslServer;
using State = SaslClient::State;
using namespace std::string_literals;

namespace {

const std::string guid = "0123456789abcdef0123456789abcdef";
const std::string ok = "OK " + guid + "\r\n";

/// What came of a server's words.
struct Outcome {
    State state;
    std::string said;
    bool fds_agreed;
    std::size_t used;
};

Outcome hear(std::string_view words, bool want_fds = true, const std::string& expected = {}) {
    std::string said;
    SaslClient client(1000, want_fds, expected, said);
    said.clear();
    const auto used = client.feed(words, said);
    return {client.state(), said, client.fds_agreed(), used};
}

} // namespace

TEST_CASE("SASL client: the opening says everything at once") {
    std::string said;
    const SaslClient client(1000, true, {}, said);
    CHECK(said == "\0AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\n"s);
    said.clear();
    const SaslClient shy(0, false, {}, said);
    CHECK(said == "\0AUTH EXTERNAL 30\r\n"s);
}

TEST_CASE("SASL client: what servers say") {
    struct Row {
        std::string words;
        State state;
        bool begins;
        bool fds;
    };
    const std::vector<Row> rows = {
        {"", State::authenticating, false, false},
        {ok, State::negotiating, false, false},
        {ok + "AGREE_UNIX_FD\r\n", State::done, true, true},
        {ok + "AGREE_UNIX_FD trailing\r\n", State::done, true, true},
        {ok + "ERROR\r\n", State::done, true, false},
        {ok + "ERROR \"not here\"\r\n", State::done, true, false},
        {ok + "OK\r\n", State::failed, false, false},
        {ok + "REJECTED EXTERNAL\r\n", State::failed, false, false},
        {"REJECTED EXTERNAL\r\n", State::failed, false, false},
        {"ERROR\r\n", State::failed, false, false},
        {"DATA\r\n", State::failed, false, false},
        {"OK\r\n", State::failed, false, false},
        {"OK 0123\r\n", State::failed, false, false},
        {"OK " + std::string(32, 'x') + "\r\n", State::failed, false, false},
        {"\r\n", State::failed, false, false},
        {"AGREE_UNIX_FD\r\n", State::failed, false, false},
        {std::string(SaslClient::max_line - 1, 'O'), State::authenticating, false, false},
        {std::string(SaslClient::max_line, 'O'), State::failed, false, false},
        {std::string(SaslClient::max_line, '\n'), State::failed, false, false},
    };
    for (const Row& row : rows) {
        INFO(row.words);
        const auto outcome = hear(row.words);
        CHECK(outcome.state == row.state);
        CHECK(outcome.said == (row.begins ? "BEGIN\r\n" : ""));
        CHECK(outcome.fds_agreed == row.fds);
    }
    // Without the question there is no answer to wait for.
    const auto shy = hear(ok, false);
    CHECK(shy.state == State::done);
    CHECK(shy.said == "BEGIN\r\n");
    CHECK_FALSE(shy.fds_agreed);
}

TEST_CASE("SASL client: the server's id may be known before") {
    CHECK(hear(ok, false, guid).state == State::done);
    CHECK(hear(ok, false, "f" + guid.substr(1)).state == State::failed);
    std::string said;
    SaslClient client(0, false, {}, said);
    client.feed(ok, said);
    CHECK(client.guid() == guid);
}

TEST_CASE("SASL client: messages behind the last line are left alone") {
    const auto outcome = hear(ok + "AGREE_UNIX_FD\r\nl\1\0\1"s);
    CHECK(outcome.state == State::done);
    CHECK(outcome.used == ok.size() + 15);
}

TEST_CASE("SASL client: gets on with the server's half, byte by byte") {
    const bool offer = GENERATE(false, true);
    std::string to_server;
    SaslClient client(1000, true, {}, to_server);
    SaslServer server(guid, 1000, offer);
    std::string to_client;
    std::string arrived_at_server;
    std::string arrived_at_client;
    while (!to_server.empty() || !to_client.empty()) {
        if (!to_server.empty()) {
            arrived_at_server += to_server.front();
            to_server.erase(0, 1);
            arrived_at_server.erase(0, server.feed(arrived_at_server, to_client));
        }
        if (!to_client.empty()) {
            arrived_at_client += to_client.front();
            to_client.erase(0, 1);
            arrived_at_client.erase(0, client.feed(arrived_at_client, to_server));
        }
    }
    CHECK(client.state() == State::done);
    CHECK(server.state() == SaslServer::State::done);
    CHECK(client.fds_agreed() == offer);
    CHECK(server.fds_agreed() == offer);
    CHECK(client.guid() == guid);
}
