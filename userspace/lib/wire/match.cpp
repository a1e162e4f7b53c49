// SPDX-License-Identifier: LGPL-2.1-or-later
// What match rules select, here and in the kernel (dbus-on-kdbus.md 3.4, 4.1, 4.2).
#include <kdbus/wire/match.hpp>

#include <algorithm>

#include <linux/kdbus.h>

#include <kdbus/wire/names.hpp>

namespace kdbus::wire {

namespace {

using Argument = MatchRule::Argument;
using ArgKind = MatchRule::ArgKind;

/// `prefix` equals `value`, or ends where an element of it does.
bool is_prefix(std::string_view prefix, std::string_view value, char separator) noexcept {
    return value.starts_with(prefix) &&
           (value.size() == prefix.size() || prefix.ends_with(separator) ||
            value[prefix.size()] == separator);
}

bool argument_path_matches(std::string_view wanted, std::string_view value) noexcept {
    return wanted == value || (wanted.ends_with('/') && value.starts_with(wanted)) ||
           (value.ends_with('/') && wanted.starts_with(value));
}

/// Checks `wanted` against the argument that is next in `reader`, and moves over it.
bool argument_matches(const Argument& wanted, Reader& reader) noexcept {
    if (wanted.kind == ArgKind::has) {
        const auto array = reader.peek_signature();
        if (array != "as" && array != "ao" && array != "ag")
            return false;
        if (!reader.enter_array())
            return false;
        bool found = false;
        while (!reader.at_end()) {
            const auto text = reader.read_text(array[1]);
            found = found || (text && *text == wanted.value);
        }
        return reader.exit() && found;
    }
    const char type = reader.peek_type();
    if (type != 's' && !(type == 'o' && wanted.kind == ArgKind::path))
        return false;
    const auto text = reader.read_text(type);
    if (!text)
        return false;
    if (wanted.kind == ArgKind::path)
        return argument_path_matches(wanted.value, *text);
    if (wanted.kind == ArgKind::name_namespace)
        return is_prefix(wanted.value, *text, '.');
    return *text == wanted.value;
}

/// No message on a kernel bus can have this: a unique name that no kernel connection has, or what
/// libraries send to themselves.
bool names_nobody(const MatchRule& rule) noexcept {
    const auto foreign = [](std::string_view name) {
        return name.starts_with(':') && !unique_name_id(name);
    };
    return foreign(rule.sender) || foreign(rule.destination) || rule.sender == local_name ||
           rule.interface == local_name || rule.path == local_path;
}

SignalMatch compile_signals(const MatchRule& rule, const BloomParameter& parameter) {
    SignalMatch match;
    match.sender_id = unique_name_id(rule.sender);
    match.destination_id = unique_name_id(rule.destination);
    if (!match.sender_id)
        match.sender_name = rule.sender;

    const auto add = [&](std::string_view label, std::string_view value) {
        match.mask.resize(parameter.words());
        bloom_add(match.mask, parameter, label, value);
    };
    const auto add_given = [&](std::string_view label, std::string_view value) {
        if (!value.empty())
            add(label, value);
    };
    add_given("message-type", message_type_name(rule.type));
    add_given("interface", rule.interface);
    add_given("member", rule.member);
    add_given("path", rule.path);
    add_given("path-slash-prefix", rule.path_namespace);
    // Historical senders leave later arguments out of their filters.
    if (!rule.arguments.empty() && rule.arguments.front().index == 0) {
        const Argument& first = rule.arguments.front();
        if (first.kind == ArgKind::equal)
            add("arg0", first.value);
        else if (first.kind == ArgKind::name_namespace)
            add("arg0-dot-prefix", first.value);
        else if (first.kind == ArgKind::has)
            add("arg0-has", first.value);
    }
    return match;
}

bool may_select_owner_changes(const MatchRule& rule) noexcept {
    const auto absent_or = [](std::string_view value, std::string_view wanted) {
        return value.empty() || value == wanted;
    };
    return (rule.type == MessageType::invalid || rule.type == MessageType::signal) &&
           absent_or(rule.sender, driver_name) && absent_or(rule.interface, driver_name) &&
           absent_or(rule.member, "NameOwnerChanged") && absent_or(rule.path, driver_path) &&
           rule.destination.empty();
}

/// The value that a rule demands of an argument of NameOwnerChanged; an empty one counts as none.
std::string_view demanded(const MatchRule& rule, unsigned index) noexcept {
    for (const Argument& argument : rule.arguments)
        if (argument.index == index && argument.kind == ArgKind::equal)
            return argument.value;
    return {};
}

std::vector<NotificationMatch> compile_notifications(const MatchRule& rule) {
    using Kind = NotificationMatch::Kind;
    std::vector<NotificationMatch> matches;
    if (!may_select_owner_changes(rule))
        return matches;
    const std::string_view name = demanded(rule, 0), old_owner = demanded(rule, 1),
                           new_owner = demanded(rule, 2);
    const auto name_id = unique_name_id(name), old_id = unique_name_id(old_owner),
               new_id = unique_name_id(new_owner);
    if ((!old_owner.empty() && !old_id) || (!new_owner.empty() && !new_id))
        return matches;
    if (name_id && ((old_id && old_id != name_id) || (new_id && new_id != name_id)))
        return matches;
    const std::uint64_t any = KDBUS_MATCH_ID_ANY;
    // The kernel refuses a name that is none; no notification carries one either.
    if (name.empty() || is_well_known_name(name)) {
        if (!old_id)
            matches.push_back({Kind::name_add, any, new_id.value_or(any), std::string(name)});
        if (!new_id)
            matches.push_back({Kind::name_remove, old_id.value_or(any), any, std::string(name)});
        matches.push_back(
            {Kind::name_change, old_id.value_or(any), new_id.value_or(any), std::string(name)});
    }
    if (name.empty() || name_id) {
        if (!old_id)
            matches.push_back({Kind::id_add, 0, new_id.value_or(name_id.value_or(any)), {}});
        if (!new_id)
            matches.push_back({Kind::id_remove, 0, old_id.value_or(name_id.value_or(any)), {}});
    }
    return matches;
}

} // namespace

bool MatchRule::matches(const Message& message,
                        std::span<const std::string_view> sender_names) const noexcept {
    if ((type != MessageType::invalid && type != message.type) ||
        (!interface.empty() && interface != message.interface) ||
        (!member.empty() && member != message.member) || (!path.empty() && path != message.path) ||
        (!path_namespace.empty() && !is_prefix(path_namespace, message.path, '/')) ||
        (!destination.empty() && destination != message.destination))
        return false;
    if (!sender.empty() && sender != message.sender &&
        std::find(sender_names.begin(), sender_names.end(), sender) == sender_names.end())
        return false;
    if (arguments.empty())
        return true;

    Reader reader = message.reader();
    unsigned index = 0;
    for (const Argument& wanted : arguments) {
        for (; index < wanted.index; index++)
            if (!reader.skip())
                return false;
        if (!argument_matches(wanted, reader))
            return false;
        index++;
    }
    return true;
}

KernelMatches MatchRule::compile(const BloomParameter& parameter) const {
    KernelMatches matches;
    if (names_nobody(*this))
        return matches;
    matches.signals = compile_signals(*this, parameter);
    matches.notifications = compile_notifications(*this);
    return matches;
}

} // namespace kdbus::wire
