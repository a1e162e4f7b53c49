// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_MATCH_HPP
#define KDBUS_WIRE_MATCH_HPP

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <kdbus/export.hpp>
#include <kdbus/wire/bloom.hpp>
#include <kdbus/wire/error.hpp>
#include <kdbus/wire/message.hpp>

/// Match rules (D-Bus specification, "Match Rules"; dbus-on-kdbus.md 4).
namespace kdbus::wire {

/// Longest rule text in bytes.
inline constexpr std::size_t max_match_rule_length = 1024;
/// Highest argument index in a rule.
inline constexpr unsigned max_match_argument = 63;

/// Which rule language is accepted.
enum class MatchSyntax {
    dbus,     ///< that of the specification and the reference daemon (what a bus driver offers)
    extended, ///< with argNhas (element of an array of text) and argNnamespace for every N
};

/// An entry of the kernel's match set that selects signals: all members given must hold.
struct SignalMatch {
    std::optional<std::uint64_t> sender_id;      ///< KDBUS_ITEM_ID
    std::optional<std::uint64_t> destination_id; ///< KDBUS_ITEM_DST_ID
    std::vector<std::uint64_t> mask;             ///< KDBUS_ITEM_BLOOM_MASK; empty: none
    std::string sender_name;                     ///< KDBUS_ITEM_NAME; empty: none
};

/// An entry that selects kernel notifications. Ids may be KDBUS_MATCH_ID_ANY.
struct NotificationMatch {
    /// Which notifications.
    enum class Kind { name_add, name_remove, name_change, id_add, id_remove };
    Kind kind;            ///< what happened
    std::uint64_t old_id; ///< name_*: old owner; unused for id_*
    std::uint64_t new_id; ///< name_*: new owner; id_*: the id
    std::string name;     ///< name_*: the name, empty for any
    friend bool operator==(const NotificationMatch&, const NotificationMatch&) = default;
};

/// What a rule needs installed in the kernel: each entry is one MATCH_ADD, all with one cookie.
/// Both absent: nothing on this bus can match (org.freedesktop.DBus.Local, unique names of other
/// buses).
struct KernelMatches {
    std::optional<SignalMatch> signals;           ///< for signals
    std::vector<NotificationMatch> notifications; ///< for what the kernel tells itself
};

/// A parsed match rule. Const members are thread-safe.
class KDBUS_EXPORT MatchRule {
public:
    /// How an argument is compared: argN, argNpath, argNnamespace, argNhas.
    enum class ArgKind : std::uint8_t { equal, path, name_namespace, has };
    /// A condition on one argument.
    struct Argument {
        std::uint8_t index; ///< the N of argN
        ArgKind kind;       ///< how it is compared
        std::string value;  ///< with what
        friend bool operator==(const Argument&, const Argument&) = default;
        friend auto operator<=>(const Argument&, const Argument&) = default;
    };

    /// The rule that matches everything (same as parsing "").
    MatchRule() = default;

    /// Parses with the specification's quoting (4.1). match_rule_limit if longer than 1024 bytes;
    /// match_rule_invalid for everything malformed: unknown or repeated keys, values that cannot be
    /// (bad names, paths, types), path together with path_namespace, several keys for one argument.
    [[nodiscard]] static Result<MatchRule> parse(std::string_view text,
                                                 MatchSyntax syntax = MatchSyntax::dbus);

    /// Sets a key whose value is text (`rule.set(&MatchRule::sender, "a.b")`), with the checks of
    /// parse(): match_rule_invalid if the key is set already, the value cannot be one, or if both
    /// path and path_namespace are set.
    Result<void> set(std::string MatchRule::*key, std::string value);
    /// Adds a condition on an argument, with the checks of parse().
    Result<void> add(Argument argument, MatchSyntax syntax = MatchSyntax::dbus);

    /// Whether `message` matches (4.1, "Local re-check"; argN looks at type s only, argNpath at s
    /// and o, arg0namespace at s, as the specification says; arguments of other types are passed
    /// over). `sender_names` are the well-known names that the sender owned when it sent. A
    /// malformed body does not match rules that look at arguments. `eavesdrop` is ignored: whether
    /// a message not addressed to the rule's owner may be seen is the caller's decision. Does not
    /// allocate.
    [[nodiscard]] bool matches(const Message& message,
                               std::span<const std::string_view> sender_names = {}) const noexcept;

    /// What to install in the kernel (3.4, 4.1, 4.2). It lets through everything that matches and
    /// maybe more: always re-check with matches(). Arguments 1 and up stay out of the mask (3.3).
    /// `parameter` must be acceptable().
    [[nodiscard]] KernelMatches compile(const BloomParameter& parameter) const;

    /// The rule in one spelling: equal rules have equal text, and parsing it (extended syntax)
    /// gives an equal rule.
    [[nodiscard]] std::string canonical() const;

    /// Same meaning, key by key, whatever the order and quoting (RemoveMatch).
    friend bool operator==(const MatchRule&, const MatchRule&) = default;

    // The components; empty or invalid if the key is not given.
    MessageType type = MessageType::invalid; ///< key type
    bool eavesdrop = false;                  ///< key eavesdrop
    std::string sender;                      ///< key sender
    std::string interface;                   ///< key interface
    std::string member;                      ///< key member
    std::string path;                        ///< key path
    std::string path_namespace;              ///< key path_namespace
    std::string destination;                 ///< key destination
    std::vector<Argument> arguments;         ///< sorted by index, then kind
};

} // namespace kdbus::wire

#endif
