// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sasl_client.hpp"

#include <algorithm>
#include <utility>

namespace kdbus::detail {
namespace {

bool is_guid(std::string_view text) noexcept {
    return text.size() == 32 && text.find_first_not_of("0123456789abcdefABCDEF") == text.npos;
}

/// The word a line begins with, and what follows the blank behind it.
std::pair<std::string_view, std::string_view> split_word(std::string_view line) noexcept {
    const auto end = std::min(line.find(' '), line.size());
    return {line.substr(0, end), line.substr(std::min(end + 1, line.size()))};
}

} // namespace

SaslClient::SaslClient(std::uint32_t uid, bool want_fds, std::string guid, std::string& output)
    : guid_(std::move(guid)), want_fds_(want_fds) {
    output += '\0';
    output += "AUTH EXTERNAL ";
    for (char digit : std::to_string(uid)) // in hexadecimal, each
        (output += '3') += digit;
    output += "\r\n";
    if (want_fds)
        output += "NEGOTIATE_UNIX_FD\r\n";
}

std::size_t SaslClient::feed(std::string_view input, std::string& output) {
    std::size_t used = 0;
    while (state_ != State::done && state_ != State::failed) {
        const auto rest = input.substr(used);
        const auto end = rest.substr(0, max_line).find("\r\n");
        if (end == std::string_view::npos) {
            if (rest.size() >= max_line)
                state_ = State::failed;
            break;
        }
        used += end + 2;
        line(rest.substr(0, end), output);
    }
    return used;
}

void SaslClient::line(std::string_view text, std::string& output) {
    const auto [command, arguments] = split_word(text);
    if (state_ == State::authenticating) {
        if (command == "OK" && is_guid(arguments))
            accepted(arguments, output);
        else
            state_ = State::failed; // EXTERNAL is all there is to offer
    } else if (command == "AGREE_UNIX_FD") {
        fds_agreed_ = true;
        begin(output);
    } else if (command == "ERROR") {
        begin(output);
    } else {
        state_ = State::failed;
    }
}

void SaslClient::accepted(std::string_view guid, std::string& output) {
    const bool expected = guid_.empty() || guid_ == guid;
    guid_ = guid;
    if (!expected)
        state_ = State::failed;
    else if (want_fds_)
        state_ = State::negotiating;
    else
        begin(output);
}

void SaslClient::begin(std::string& output) {
    output += "BEGIN\r\n";
    state_ = State::done;
}

} // namespace kdbus::detail
