// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of match rules (D-Bus specification, "Match Rules"; dbus-on-kdbus.md 4.1).
#include <kdbus/wire/match.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include <kdbus/wire/names.hpp>

namespace kdbus::wire {

namespace {

struct ArgumentKey {
    MatchRule::ArgKind kind;
    std::string_view suffix;
};

constexpr ArgumentKey argument_keys[] = {
    {MatchRule::ArgKind::equal, ""},
    {MatchRule::ArgKind::path, "path"},
    {MatchRule::ArgKind::name_namespace, "namespace"},
    {MatchRule::ArgKind::has, "has"},
};

/// A key whose value is text with a syntax of its own.
struct TextKey {
    std::string_view name;
    std::string MatchRule::*value;
    bool (*valid)(std::string_view) noexcept;
};

constexpr TextKey text_keys[] = {
    {"sender", &MatchRule::sender, is_bus_name},
    {"interface", &MatchRule::interface, is_interface},
    {"member", &MatchRule::member, is_member},
    {"path", &MatchRule::path, is_object_path},
    {"path_namespace", &MatchRule::path_namespace, is_object_path},
    {"destination", &MatchRule::destination, is_bus_name},
};

constexpr bool is_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void skip_spaces(std::string_view& text) noexcept {
    while (!text.empty() && is_space(text.front()))
        text.remove_prefix(1);
}

/// Takes "key =" off the front of `text`. Nothing if there is no "=".
std::optional<std::string_view> take_key(std::string_view& text) noexcept {
    const auto* end =
        std::find_if(text.begin(), text.end(), [](char c) { return c == '=' || is_space(c); });
    const std::string_view key = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(key.size());
    skip_spaces(text);
    if (!text.starts_with('='))
        return std::nullopt;
    text.remove_prefix(1);
    return key;
}

/// Takes a value and the comma behind it off the front of `text`, and its quoting off the value.
/// Nothing if an apostrophe stays open.
std::optional<std::string> take_value(std::string_view& text) {
    std::string value;
    bool quoted = false;
    std::size_t at = 0;
    for (; at < text.size() && (quoted || text[at] != ','); at++) {
        if (text[at] == '\'')
            quoted = !quoted;
        else if (!quoted && text.substr(at).starts_with("\\'"))
            value += text[++at];
        else
            value += text[at];
    }
    if (quoted)
        return std::nullopt;
    text.remove_prefix(std::min(at + 1, text.size()));
    return value;
}

bool set_type(MatchRule& rule, std::string_view value) {
    for (const auto type : {MessageType::method_call, MessageType::method_return,
                            MessageType::error, MessageType::signal}) {
        if (value == message_type_name(type) && rule.type == MessageType::invalid) {
            rule.type = type;
            return true;
        }
    }
    return false;
}

/// "arg<N>" and what may follow.
bool set_argument(MatchRule& rule, std::string_view key, std::string value, MatchSyntax syntax) {
    key.remove_prefix(3);
    unsigned index = 0;
    const auto digits = std::from_chars(key.data(), key.data() + key.size(), index);
    if (digits.ec != std::errc() || index > max_match_argument)
        return false;
    key.remove_prefix(static_cast<std::size_t>(digits.ptr - key.data()));
    const auto* found = std::find_if(std::begin(argument_keys), std::end(argument_keys),
                                     [&](const ArgumentKey& k) { return k.suffix == key; });
    if (found == std::end(argument_keys))
        return false;
    return rule.add({static_cast<std::uint8_t>(index), found->kind, std::move(value)}, syntax)
        .has_value();
}

bool set_key(MatchRule& rule, std::string_view key, std::string value, MatchSyntax syntax) {
    if (key == "type")
        return set_type(rule, value);
    if (key.starts_with("arg"))
        return set_argument(rule, key, std::move(value), syntax);
    for (const TextKey& text_key : text_keys)
        if (key == text_key.name)
            return rule.set(text_key.value, std::move(value)).has_value();
    return false;
}

void append(std::string& text, std::string_view key, std::string_view value) {
    if (!text.empty())
        text += ',';
    text.append(key).append("='");
    for (char c : value) {
        if (c == '\'')
            text += "'\\''";
        else
            text += c;
    }
    text += '\'';
}

} // namespace

Result<MatchRule> MatchRule::parse(std::string_view text, MatchSyntax syntax) {
    if (text.size() > max_match_rule_length)
        return fail(Errc::match_rule_limit);
    if (!is_text(text))
        return fail(Errc::match_rule_invalid);
    MatchRule rule;
    bool eavesdrop_given = false;
    for (skip_spaces(text); !text.empty(); skip_spaces(text)) {
        const auto key = take_key(text);
        if (!key)
            return fail(Errc::match_rule_invalid);
        auto value = take_value(text);
        if (!value)
            return fail(Errc::match_rule_invalid);
        if (*key == "eavesdrop") {
            if (eavesdrop_given || (*value != "true" && *value != "false"))
                return fail(Errc::match_rule_invalid);
            eavesdrop_given = true;
            rule.eavesdrop = *value == "true";
        } else if (!set_key(rule, *key, std::move(*value), syntax)) {
            return fail(Errc::match_rule_invalid);
        }
    }
    return rule;
}

Result<void> MatchRule::set(std::string MatchRule::*key, std::string value) {
    const auto* found = std::find_if(std::begin(text_keys), std::end(text_keys),
                                     [&](const TextKey& k) { return k.value == key; });
    if (!(this->*key).empty() || !found->valid(value))
        return fail(Errc::match_rule_invalid);
    this->*key = std::move(value);
    if (!path.empty() && !path_namespace.empty())
        return fail(Errc::match_rule_invalid);
    return {};
}

Result<void> MatchRule::add(Argument argument, MatchSyntax syntax) {
    if (argument.index > max_match_argument || !is_text(argument.value))
        return fail(Errc::match_rule_invalid);
    const bool extended = argument.kind == ArgKind::has ||
                          (argument.kind == ArgKind::name_namespace && argument.index != 0);
    if (extended && syntax == MatchSyntax::dbus)
        return fail(Errc::match_rule_invalid);
    if (argument.kind == ArgKind::name_namespace && !is_name_namespace(argument.value))
        return fail(Errc::match_rule_invalid);
    const auto place = std::lower_bound(
        arguments.begin(), arguments.end(), argument.index,
        [](const Argument& before, unsigned index) { return before.index < index; });
    if (place != arguments.end() && place->index == argument.index)
        return fail(Errc::match_rule_invalid);
    arguments.insert(place, std::move(argument));
    return {};
}

std::string MatchRule::canonical() const {
    std::string text;
    if (type != MessageType::invalid)
        append(text, "type", message_type_name(type));
    for (const TextKey& key : text_keys)
        if (const std::string& value = this->*key.value; !value.empty())
            append(text, key.name, value);
    for (const Argument& argument : arguments) {
        std::string key = "arg" + std::to_string(argument.index);
        for (const auto& [kind, suffix] : argument_keys)
            if (kind == argument.kind)
                key += suffix;
        append(text, key, argument.value);
    }
    if (eavesdrop)
        append(text, "eavesdrop", "true");
    return text;
}

} // namespace kdbus::wire
