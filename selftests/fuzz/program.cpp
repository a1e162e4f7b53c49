// SPDX-License-Identifier: LGPL-2.1-or-later
#include "program.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <stdexcept>

namespace fuzz {

namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Symbol::count)> symbol_names{
    "", "id", "peer", "cookie", "slice", "now", "memory", "message", "file", "files"};
constexpr std::array<std::string_view, static_cast<std::size_t>(Action::count)> action_names{
    "open", "ioctl", "fork", "close", "dup", "map", "poll", "scribble"};

std::string hex(u64 value) {
    char text[20];
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
    return text;
}

std::string to_text(const Block& block) {
    std::string text;
    for (const Word& word : block) {
        if (!text.empty())
            text += ',';
        if (word.symbol != Symbol::literal)
            text.append(symbol_names[static_cast<std::size_t>(word.symbol)]) += ':';
        text += hex(word.value);
    }
    return text;
}

u64 parse_number(std::string_view text) {
    u64 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc{} || end != text.data() + text.size())
        throw std::invalid_argument("not a number: " + std::string(text));
    return value;
}

template <std::size_t N>
std::size_t parse_name(const std::array<std::string_view, N>& names, std::string_view text) {
    const auto found = std::find(names.begin(), names.end(), text);
    if (found == names.end())
        throw std::invalid_argument("unknown word: " + std::string(text));
    return static_cast<std::size_t>(found - names.begin());
}

// The text up to the separator, which is removed as well.
std::string_view take(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view taken = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return taken;
}

Block parse_block(std::string_view text) {
    Block block;
    while (!text.empty()) {
        std::string_view word = take(text, ',');
        Symbol symbol = Symbol::literal;
        if (word.find(':') != word.npos)
            symbol = static_cast<Symbol>(parse_name(symbol_names, take(word, ':')));
        block.push_back({parse_number(word), symbol});
    }
    return block;
}

Place parse_place(u64 value) {
    if (value >= static_cast<u64>(Place::count))
        throw std::invalid_argument("no such place");
    return static_cast<Place>(value);
}

Op parse_op(std::string_view line) {
    Op op;
    op.action = static_cast<Action>(parse_name(action_names, take(line, ' ')));
    while (!line.empty()) {
        std::string_view value = take(line, ' ');
        const std::string_view key = take(value, '=');
        if (key == "command" || key == "message") {
            (key == "command" ? op.command : op.message) = parse_block(value);
            continue;
        }
        const u64 n = parse_number(value);
        if (key == "slot")
            op.slot = static_cast<u8>(n % slots);
        else if (key == "argument")
            op.argument = static_cast<u8>(n);
        else if (key == "user")
            op.user = static_cast<u8>(n);
        else if (key == "race")
            op.race = n != 0;
        else if (key == "fail")
            op.fail = static_cast<u16>(n);
        else if (key == "number")
            op.number = static_cast<u32>(n);
        else if (key == "place")
            op.place = parse_place(n);
        else if (key == "message_place")
            op.message_place = parse_place(n);
        else
            throw std::invalid_argument("unknown key: " + std::string(key));
    }
    return op;
}

std::string to_text(const Op& op) {
    std::string text(action_names[static_cast<std::size_t>(op.action)]);
    const auto add = [&](const char* key, u64 value) {
        if (value != 0)
            text.append(" ").append(key).append("=").append(hex(value));
    };
    text.append(" slot=").append(hex(op.slot));
    add("argument", op.argument);
    add("user", op.user);
    add("race", op.race);
    add("fail", op.fail);
    add("number", op.number);
    add("place", static_cast<u64>(op.place));
    add("message_place", static_cast<u64>(op.message_place));
    if (!op.command.empty())
        text.append(" command=").append(to_text(op.command));
    if (!op.message.empty())
        text.append(" message=").append(to_text(op.message));
    return text;
}

} // namespace

std::string to_text(const Program& program) {
    std::string text;
    for (const Op& op : program)
        text.append(to_text(op)).append("\n");
    return text;
}

std::vector<Program> parse_programs(std::string_view text) {
    std::vector<Program> programs;
    bool inside = false;
    while (!text.empty()) {
        const std::string_view line = take(text, '\n');
        if (line.empty() || line.front() == '#') {
            inside = false;
            continue;
        }
        if (!inside)
            programs.emplace_back();
        inside = true;
        programs.back().push_back(parse_op(line));
    }
    return programs;
}

} // namespace fuzz
