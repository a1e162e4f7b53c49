// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sasl_server.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "../wire/hex.hpp"

namespace kdbus::detail {

namespace {

constexpr std::string_view blanks = " \t";

/// Splits off the first word; the rest has its leading blanks removed.
std::pair<std::string_view, std::string_view> split_word(std::string_view text) {
    const auto word_end = std::min(text.find_first_of(blanks), text.size());
    auto rest = text.substr(word_end);
    rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
    return {text.substr(0, word_end), rest};
}

std::optional<std::string> decode_hex(std::string_view hex) {
    if (hex.size() % 2 != 0)
        return std::nullopt;
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        const auto high = wire::hex_digit(hex[i]), low = wire::hex_digit(hex[i + 1]);
        if (!high || !low)
            return std::nullopt;
        bytes.push_back(static_cast<char>(*high << 4 | *low));
    }
    return bytes;
}

std::optional<std::uint32_t> parse_uid(std::string_view text) {
    std::uint32_t uid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), uid);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return uid;
}

void answer(std::string& output, std::string_view text) {
    output.append(text);
    output.append("\r\n");
}

} // namespace

SaslServer::SaslServer(std::string guid, std::uint32_t uid, bool offer_fds)
    : guid_(std::move(guid)), uid_(uid), offer_fds_(offer_fds) {}

std::size_t SaslServer::feed(std::string_view input, std::string& output) {
    std::size_t used = 0;
    if (state_ == State::nul && !input.empty()) {
        if (input.front() != '\0') {
            state_ = State::failed;
            return used;
        }
        state_ = State::waiting;
        used = 1;
    }
    while (state_ != State::nul && state_ != State::done && state_ != State::failed) {
        const auto rest = input.substr(used);
        // A line's end may lie right at the limit, so look at two bytes more.
        const auto end = rest.substr(0, max_line + 2).find("\r\n");
        if (end == std::string_view::npos) {
            if (rest.size() > max_line)
                state_ = State::failed;
            break;
        }
        used += end + 2;
        line(rest.substr(0, end), output);
    }
    return used;
}

void SaslServer::line(std::string_view text, std::string& output) {
    const auto plain = [](unsigned char c) {
        return c > 0 && c < 0x80;
    };
    if (!std::all_of(text.begin(), text.end(), plain)) {
        answer(output, "ERROR \"Not plain ASCII\"");
        return;
    }
    const auto [command, arguments] = split_word(text);

    if (command == "AUTH") {
        if (state_ == State::waiting)
            authenticate(arguments, output);
        else
            answer(output, "ERROR \"Not the time for AUTH\"");
    } else if (command == "DATA") {
        if (state_ == State::data)
            check_identity(arguments, output);
        else
            answer(output, "ERROR \"No conversation that needs DATA\"");
    } else if (command == "CANCEL") {
        if (state_ == State::waiting)
            answer(output, "ERROR \"Nothing to cancel\"");
        else
            reject(output);
    } else if (command == "ERROR") {
        reject(output);
    } else if (command == "NEGOTIATE_UNIX_FD") {
        if (state_ != State::begin) {
            answer(output, "ERROR \"Authenticate first\"");
        } else if (!offer_fds_) {
            answer(output, "ERROR \"File descriptors cannot be passed here\"");
        } else {
            fds_agreed_ = true;
            answer(output, "AGREE_UNIX_FD");
        }
    } else if (command == "BEGIN") {
        state_ = state_ == State::begin ? State::done : State::failed;
    } else {
        answer(output, "ERROR \"Unknown command\"");
    }
}

void SaslServer::authenticate(std::string_view arguments, std::string& output) {
    const auto [mechanism, response] = split_word(arguments);
    if (mechanism != "EXTERNAL") {
        reject(output);
    } else if (response.empty()) {
        // Without an initial response the client answers a challenge, an empty one here.
        state_ = State::data;
        answer(output, "DATA");
    } else {
        check_identity(response, output);
    }
}

void SaslServer::check_identity(std::string_view hex, std::string& output) {
    const auto identity = decode_hex(hex);
    if (!identity) {
        answer(output, "ERROR \"Invalid hex encoding\"");
        return;
    }
    // No identity means: whoever the socket says I am.
    if (identity->empty() || parse_uid(*identity) == uid_)
        accept(output);
    else
        reject(output);
}

void SaslServer::accept(std::string& output) {
    state_ = State::begin;
    answer(output, "OK " + guid_);
}

void SaslServer::reject(std::string& output) {
    answer(output, "REJECTED EXTERNAL");
    fds_agreed_ = false;
    state_ = ++rejections_ < max_rejections ? State::waiting : State::failed;
}

} // namespace kdbus::detail
