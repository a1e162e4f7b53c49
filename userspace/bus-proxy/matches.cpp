// SPDX-License-Identifier: LGPL-2.1-or-later
#include "matches.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace kdbus::proxy {

namespace match = abi::match;

namespace {

// Cookies below 16 are not those of rules.
constexpr std::uint64_t first_standing_cookie = 1;
constexpr std::uint64_t catch_all_cookie = 15;

std::uint64_t item_type(wire::NotificationMatch::Kind kind) {
    using Kind = wire::NotificationMatch::Kind;
    switch (kind) {
    case Kind::name_add:
        return KDBUS_ITEM_NAME_ADD;
    case Kind::name_remove:
        return KDBUS_ITEM_NAME_REMOVE;
    case Kind::name_change:
        return KDBUS_ITEM_NAME_CHANGE;
    case Kind::id_add:
        return KDBUS_ITEM_ID_ADD;
    case Kind::id_remove:
        return KDBUS_ITEM_ID_REMOVE;
    }
    return 0;
}

} // namespace

abi::Result<void> Matches::install_standing(MatchInstaller& installer, std::uint64_t own_id) {
    using match::NameChange;
    const match::Rule standing[] = {
        match::DestinationId{own_id},
        NameChange{NameChange::Kind::add, KDBUS_MATCH_ID_ANY, own_id, std::nullopt},
        NameChange{NameChange::Kind::remove, own_id, KDBUS_MATCH_ID_ANY, std::nullopt},
        NameChange{NameChange::Kind::change, KDBUS_MATCH_ID_ANY, own_id, std::nullopt},
        NameChange{NameChange::Kind::change, own_id, KDBUS_MATCH_ID_ANY, std::nullopt},
    };
    std::uint64_t cookie = first_standing_cookie;
    for (const auto& rule : standing)
        if (auto added = installer.add_match(cookie++, std::span(&rule, 1)); !added)
            return added;
    return {};
}

std::vector<Matches::Key> Matches::keys(const wire::KernelMatches& matches) {
    std::vector<Key> keys;
    if (matches.signals) {
        Key key;
        key.has_sender_id = matches.signals->sender_id.has_value();
        key.old_id = matches.signals->sender_id.value_or(0);
        key.has_destination_id = matches.signals->destination_id.has_value();
        key.new_id = matches.signals->destination_id.value_or(0);
        key.mask = matches.signals->mask;
        key.name = matches.signals->sender_name;
        keys.push_back(std::move(key));
    }
    for (const auto& notification : matches.notifications) {
        Key key;
        key.type = item_type(notification.kind);
        key.old_id = notification.old_id;
        key.new_id = notification.new_id;
        key.name = notification.name;
        keys.push_back(std::move(key));
    }
    return keys;
}

abi::Result<void> Matches::install(MatchInstaller& installer, const Key& key, Entry& entry) {
    std::vector<match::Rule> rules;
    if (key.type == KDBUS_ITEM_ID_ADD || key.type == KDBUS_ITEM_ID_REMOVE) {
        rules.push_back(match::IdChange{static_cast<match::IdChange::Kind>(key.type), key.new_id});
    } else if (key.type != 0) {
        match::NameChange change{static_cast<match::NameChange::Kind>(key.type), key.old_id,
                                 key.new_id, std::nullopt};
        if (!key.name.empty())
            change.name = key.name;
        rules.push_back(change);
    } else {
        if (key.has_sender_id)
            rules.push_back(match::SenderId{key.old_id});
        if (key.has_destination_id)
            rules.push_back(match::DestinationId{key.new_id});
        if (!key.mask.empty())
            rules.push_back(match::BloomMask{key.mask});
        if (!key.name.empty())
            rules.push_back(match::SenderName{key.name});
        // An entry without rules would let notifications through as well.
        if (rules.empty())
            rules.push_back(match::SenderId{KDBUS_MATCH_ID_ANY});
    }
    auto added = installer.add_match(entry.cookie, rules);
    entry.installed = added.has_value();
    return added;
}

abi::Result<void> Matches::add(MatchInstaller& installer, wire::MatchRule rule) {
    Rule added{std::move(rule), {}};
    auto undo = [&](std::error_code error) {
        drop(installer, added.entries);
        return std::unexpected(error);
    };
    for (auto& key : keys(added.rule.compile(bloom_))) {
        const auto [entry, is_new] = entries_.try_emplace(std::move(key));
        added.entries.push_back(entry);
        ++entry->second.users;
        if (!is_new)
            continue;
        entry->second.cookie = next_cookie_++;
        if (catch_all_)
            continue;
        auto result = entries_.size() > budget ? abi::Result<void>(abi::fail(EMFILE))
                                               : install(installer, entry->first, entry->second);
        if (!result && result.error().value() == EMFILE)
            result = catch_all(installer);
        if (!result)
            return undo(result.error());
    }
    rules_.push_back(std::move(added));
    return {};
}

bool Matches::remove(MatchInstaller& installer, const wire::MatchRule& rule) {
    const auto found = std::find_if(rules_.rbegin(), rules_.rend(),
                                    [&](const Rule& own) { return own.rule == rule; });
    if (found == rules_.rend())
        return false;
    const auto entries = std::move(found->entries);
    rules_.erase(std::next(found).base());
    drop(installer, entries);
    // Not at once when it fits again, or a client at the edge would swap all entries each time.
    if (catch_all_ && entries_.size() <= budget / 4 * 3)
        catch_selected(installer);
    return true;
}

void Matches::drop(MatchInstaller& installer, std::span<const Entries::iterator> entries) {
    for (const auto entry : entries) {
        if (--entry->second.users > 0)
            continue;
        if (entry->second.installed)
            (void)installer.remove_match(entry->second.cookie);
        entries_.erase(entry);
    }
}

abi::Result<void> Matches::catch_all(MatchInstaller& installer) {
    // First the wide entry, then the removal: nothing slips through in between, and the kernel
    // delivers once however many entries match.
    if (auto added = installer.add_match(catch_all_cookie, {}); !added)
        return added;
    catch_all_ = true;
    for (auto& [key, entry] : entries_)
        if (std::exchange(entry.installed, false))
            (void)installer.remove_match(entry.cookie);
    return {};
}

void Matches::catch_selected(MatchInstaller& installer) {
    for (auto& [key, entry] : entries_) {
        if (install(installer, key, entry))
            continue;
        // No harm: the wide entry stays.
        for (auto& [other_key, other] : entries_)
            if (std::exchange(other.installed, false))
                (void)installer.remove_match(other.cookie);
        return;
    }
    if (installer.remove_match(catch_all_cookie))
        catch_all_ = false;
}

bool Matches::wanted(const wire::Message& message,
                     std::span<const std::string_view> sender_names) const noexcept {
    return std::any_of(rules_.begin(), rules_.end(),
                       [&](const Rule& own) { return own.rule.matches(message, sender_names); });
}

} // namespace kdbus::proxy
