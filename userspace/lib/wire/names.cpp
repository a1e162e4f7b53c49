// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/names.hpp>

#include <bit>
#include <charconv>
#include <cstring>

namespace kdbus::wire {

namespace {

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

constexpr bool is_word(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

struct ElementRules {
    bool hyphen;        // elements may contain '-'
    bool leading_digit; // elements may start with a digit
    unsigned least;     // how many elements there must be
};

bool is_dotted(std::string_view name, ElementRules rules) noexcept {
    unsigned elements = 0;
    bool at_start = true;
    for (char c : name) {
        if (c == '.') {
            if (at_start)
                return false;
            at_start = true;
            continue;
        }
        if (!is_word(c) && !(c == '-' && rules.hyphen))
            return false;
        if (at_start) {
            if (is_digit(c) && !rules.leading_digit)
                return false;
            elements++;
        }
        at_start = false;
    }
    return !at_start && elements >= rules.least;
}

} // namespace

bool is_unique_name(std::string_view name) noexcept {
    return name.size() <= max_name_length && name.starts_with(':') &&
           is_dotted(name.substr(1), {.hyphen = true, .leading_digit = true, .least = 1});
}

bool is_well_known_name(std::string_view name) noexcept {
    return name.size() <= max_name_length &&
           is_dotted(name, {.hyphen = true, .leading_digit = false, .least = 2});
}

bool is_bus_name(std::string_view name) noexcept {
    return name.starts_with(':') ? is_unique_name(name) : is_well_known_name(name);
}

bool is_name_namespace(std::string_view name) noexcept {
    return is_unique_name(name) ||
           (name.size() <= max_name_length &&
            is_dotted(name, {.hyphen = true, .leading_digit = false, .least = 1}));
}

bool is_interface(std::string_view name) noexcept {
    return name.size() <= max_name_length &&
           is_dotted(name, {.hyphen = false, .leading_digit = false, .least = 2});
}

bool is_error_name(std::string_view name) noexcept {
    return is_interface(name);
}

bool is_member(std::string_view name) noexcept {
    if (name.empty() || name.size() > max_name_length || is_digit(name[0]))
        return false;
    for (char c : name)
        if (!is_word(c))
            return false;
    return true;
}

bool is_object_path(std::string_view path) noexcept {
    if (!path.starts_with('/'))
        return false;
    if (path.size() == 1)
        return true;
    char previous = '\0';
    for (char c : path) {
        if (c == '/' ? previous == '/' : !is_word(c))
            return false;
        previous = c;
    }
    return previous != '/';
}

bool is_text(std::string_view text) noexcept {
    const auto* at = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = at + text.size();
    const auto continues = [&](int ahead, unsigned low, unsigned high) {
        return end - at > ahead && at[ahead] >= low && at[ahead] <= high;
    };
    while (at < end) {
        if (end - at >= 8) { // eight ASCII characters, none of them NUL, at a time
            std::uint64_t eight;
            std::memcpy(&eight, at, sizeof eight);
            constexpr std::uint64_t high = 0x8080808080808080, ones = 0x0101010101010101;
            if (((eight | (eight - ones)) & high) == 0) {
                at += 8;
                continue;
            }
        }
        const unsigned c = *at;
        if (c == 0)
            return false;
        if (c < 0x80) {
            at += 1;
        } else if (c >= 0xC2 && c <= 0xDF && continues(1, 0x80, 0xBF)) {
            at += 2;
        } else if ((c & 0xF0) == 0xE0 &&
                   continues(1, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF) &&
                   continues(2, 0x80, 0xBF)) {
            at += 3;
        } else if (c >= 0xF0 && c <= 0xF4 &&
                   continues(1, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF) &&
                   continues(2, 0x80, 0xBF) && continues(3, 0x80, 0xBF)) {
            at += 4;
        } else {
            return false;
        }
    }
    return true;
}

UniqueName::UniqueName(std::uint64_t id) noexcept {
    std::memcpy(text_.data(), ":1.", 3);
    const auto done = std::to_chars(text_.data() + 3, text_.data() + text_.size(), id);
    length_ = static_cast<std::uint8_t>(done.ptr - text_.data());
}

std::optional<std::uint64_t> unique_name_id(std::string_view name) noexcept {
    if (!name.starts_with(":1."))
        return std::nullopt;
    const std::string_view digits = name.substr(3);
    if (digits.empty() || !is_digit(digits[0]) || (digits[0] == '0' && digits.size() > 1))
        return std::nullopt;
    std::uint64_t id = 0;
    const auto done = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    if (done.ec != std::errc() || done.ptr != digits.data() + digits.size())
        return std::nullopt;
    return id;
}

} // namespace kdbus::wire
