// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fuzz.hpp"

#include <kdbus/wire/bloom.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/match.hpp>

namespace wire = kdbus::wire;

namespace {

/// A signal as the rule wants it, as far as one can be made.
void check_filter(const wire::MatchRule& rule) {
    wire::Buffer buffer;
    wire::Writer body(buffer, wire::Format::gvariant);
    unsigned next = 0;
    for (const auto& argument : rule.arguments) {
        for (; next < argument.index; ++next)
            body.append("other");
        if (argument.kind == wire::MatchRule::ArgKind::has)
            body.append(std::vector<std::string>{"other", argument.value});
        else
            body.append(argument.value);
        ++next;
    }
    if (!body.finish())
        return;
    const auto or_else = [](const std::string& text, const char* otherwise) {
        return text.empty() ? std::string_view(otherwise) : std::string_view(text);
    };
    const wire::Message signal{
        .type = wire::MessageType::signal,
        .serial = 1,
        .path = or_else(rule.path.empty() ? rule.path_namespace : rule.path, "/a"),
        .interface = or_else(rule.interface, "a.b"),
        .member = or_else(rule.member, "C"),
        .destination = rule.destination,
        .sender = or_else(rule.sender, ":1.7"),
        .signature = body.signature(),
        .body = body.body()};
    const std::string_view names[] = {rule.sender};
    if (!rule.matches(signal, names))
        return;
    // What matches, the kernel must let through.
    const wire::BloomParameter parameter;
    std::vector<std::uint64_t> filter(parameter.words());
    REQUIRE(wire::make_signal_filter(signal, parameter, filter));
    const auto compiled = rule.compile(parameter);
    // (Nobody but the kernel and this process speaks for these.)
    if (rule.sender == "org.freedesktop.DBus" || rule.sender == "org.freedesktop.DBus.Local")
        return;
    if (rule.sender.starts_with(":") || rule.destination.starts_with(":"))
        return; // of other buses, perhaps
    REQUIRE(compiled.signals);
    REQUIRE(compiled.signals->mask.empty() || wire::bloom_passes(filter, compiled.signals->mask));
}

void check(std::string_view text, wire::MatchSyntax syntax) {
    const auto rule = wire::MatchRule::parse(text, syntax);
    if (!rule)
        return;
    const auto canonical = rule->canonical();
    // The shortest text may be longer than what it was made of.
    if (canonical.size() <= wire::max_match_rule_length) {
        const auto again = wire::MatchRule::parse(canonical, wire::MatchSyntax::extended);
        REQUIRE(again && *again == *rule);
        REQUIRE(again->canonical() == canonical);
    }
    check_filter(*rule);
}

} // namespace

std::vector<std::string> fuzz::seeds() {
    return {"",
            "type='signal',sender='org.example.A',interface='org.example.B',member='C',path='/d'",
            "path_namespace='/a/b',arg0='it'\\''s',arg1path='/x/',arg63='y'",
            "arg0namespace=org.example,destination=:1.5,eavesdrop=true",
            "type=signal,arg0has='a',arg1namespace='b.c'"};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::Input(data, size).text();
    check(fuzz::view(text), wire::MatchSyntax::dbus);
    check(fuzz::view(text), wire::MatchSyntax::extended);
    return 0;
}
