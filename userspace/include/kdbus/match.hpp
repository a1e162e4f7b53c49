// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_MATCH_HPP
#define KDBUS_MATCH_HPP

#include <kdbus/export.hpp>
#include <kdbus/result.hpp>
#include <kdbus/wire/match.hpp>

#include <optional>
#include <string>
#include <utility>

namespace kdbus {

/// Which signals to subscribe to (D-Bus specification, "Match Rules"): all conditions must hold.
///
///     bus.subscribe(kdbus::Match::signal().sender("org.example.Hello").member("Greeted"), ...)
///
/// No text has to be quoted. What cannot be (a name that is none, a condition given twice, a path
/// together with a path namespace) is an error of subscribe() and rule(), not here. A value: may be
/// copied, kept and used again.
class KDBUS_EXPORT Match {
public:
    /// All signals.
    [[nodiscard]] static Match signal();

    /// From who owns this name, unique or well-known, when it sends.
    Match& sender(std::string name);
    /// To this unique name: signals that were not sent to all.
    Match& destination(std::string name);
    /// Of the object at this path.
    Match& path(std::string path);
    /// Of the object at this path and of those below it.
    Match& path_namespace(std::string path);
    /// Of a member of this interface.
    Match& interface(std::string name);
    /// Of this name.
    Match& member(std::string name);

    /// With this text as argument @p index, 0 to 63.
    Match& arg(unsigned index, std::string text);
    /// With such a path, or text, as argument @p index: equal, or one of both ends in "/" and the
    /// other begins with it.
    Match& arg_path(unsigned index, std::string path);
    /// With a name in this namespace as the first argument: "org.example" takes in org.example and
    /// org.example.X, not org.examples.
    Match& arg_namespace(std::string prefix) { return arg_namespace(0, std::move(prefix)); }
    /// Same for any argument, which the D-Bus specification does not have: a daemon sends more than
    /// that, and the library sorts it out.
    Match& arg_namespace(unsigned index, std::string prefix);
    /// With an array that contains this text as argument @p index; likewise.
    Match& arg_has(unsigned index, std::string element);

    /// The rule. Fails with MatchRuleInvalid, saying which condition is wrong; LimitsExceeded if
    /// its text would be longer than a bus accepts, 1024 bytes.
    [[nodiscard]] Result<wire::MatchRule> rule() const;

private:
    Match() = default;
    Match& set(std::string wire::MatchRule::*key, const char* what, std::string value);
    Match& add(unsigned index, wire::MatchRule::ArgKind kind, std::string value);

    wire::MatchRule rule_;
    std::optional<Error> error_; ///< the first one
};

} // namespace kdbus

#endif
