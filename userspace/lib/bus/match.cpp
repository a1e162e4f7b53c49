// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/match.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

namespace kdbus {
namespace {

using Rule = wire::MatchRule;

Error invalid(std::string_view what, std::string_view value) {
    return {error_names::match_rule_invalid,
            "Not possible in a match: " + std::string(what) + " '" + std::string(value) + "'"};
}

} // namespace

Match Match::signal() {
    Match match;
    match.rule_.type = wire::MessageType::signal;
    return match;
}

Match& Match::set(std::string Rule::*key, const char* what, std::string value) {
    if (!error_ && !rule_.set(key, value))
        error_ = invalid(what, value);
    return *this;
}

Match& Match::add(unsigned index, Rule::ArgKind kind, std::string value) {
    // An index that is too large for a byte is too large anyway.
    const auto narrow = static_cast<std::uint8_t>(
        std::min<unsigned>(index, std::numeric_limits<std::uint8_t>::max()));
    if (!error_ && !rule_.add({narrow, kind, value}, wire::MatchSyntax::extended))
        error_ = invalid("argument " + std::to_string(index), value);
    return *this;
}

Match& Match::sender(std::string name) {
    return set(&Rule::sender, "sender", std::move(name));
}

Match& Match::destination(std::string name) {
    return set(&Rule::destination, "destination", std::move(name));
}

Match& Match::path(std::string path) {
    return set(&Rule::path, "path", std::move(path));
}

Match& Match::path_namespace(std::string path) {
    return set(&Rule::path_namespace, "path namespace", std::move(path));
}

Match& Match::interface(std::string name) {
    return set(&Rule::interface, "interface", std::move(name));
}

Match& Match::member(std::string name) {
    return set(&Rule::member, "member", std::move(name));
}

Match& Match::arg(unsigned index, std::string text) {
    return add(index, Rule::ArgKind::equal, std::move(text));
}

Match& Match::arg_path(unsigned index, std::string path) {
    return add(index, Rule::ArgKind::path, std::move(path));
}

Match& Match::arg_namespace(unsigned index, std::string prefix) {
    return add(index, Rule::ArgKind::name_namespace, std::move(prefix));
}

Match& Match::arg_has(unsigned index, std::string element) {
    return add(index, Rule::ArgKind::has, std::move(element));
}

Result<wire::MatchRule> Match::rule() const {
    if (error_)
        return *error_;
    if (rule_.canonical().size() > wire::max_match_rule_length)
        return Error{error_names::limits_exceeded, "The match is too long"};
    return rule_;
}

} // namespace kdbus
