// SPDX-License-Identifier: LGPL-2.1-or-later
#include "names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace kdbus::xml2cpp {
namespace {

/// Keywords, alternative tokens, and macros that standard headers or the compiler define.
constexpr auto words = std::to_array<std::string_view>({
    "EOF",           "NULL",        "alignas",
    "alignof",       "and",         "and_eq",
    "asm",           "assert",      "auto",
    "bitand",        "bitor",       "bool",
    "break",         "case",        "catch",
    "char",          "char16_t",    "char32_t",
    "char8_t",       "class",       "co_await",
    "co_return",     "co_yield",    "compl",
    "concept",       "const",       "const_cast",
    "consteval",     "constexpr",   "constinit",
    "continue",      "decltype",    "default",
    "delete",        "do",          "double",
    "dynamic_cast",  "else",        "enum",
    "errno",         "explicit",    "export",
    "extern",        "false",       "float",
    "for",           "friend",      "goto",
    "i386",          "if",          "inline",
    "int",           "linux",       "long",
    "mutable",       "namespace",   "new",
    "noexcept",      "not",         "not_eq",
    "nullptr",       "operator",    "or",
    "or_eq",         "private",     "protected",
    "public",        "register",    "reinterpret_cast",
    "requires",      "return",      "short",
    "signed",        "sizeof",      "static",
    "static_assert", "static_cast", "stderr",
    "stdin",         "stdout",      "struct",
    "switch",        "template",    "this",
    "thread_local",  "throw",       "true",
    "try",           "typedef",     "typeid",
    "typename",      "typeof",      "union",
    "unix",          "unsigned",    "using",
    "virtual",       "void",        "volatile",
    "wchar_t",       "while",       "xor",
    "xor_eq",
});

constexpr bool is_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

/// Text as a name: "session-handle" becomes session_handle. Names of properties may be any text.
std::string identifier(std::string_view text) {
    std::string name;
    for (const char c : text)
        name += is_letter(c) || is_digit(c) ? c : '_';
    if (!name.empty() && is_digit(name.front()))
        return fmt::format("_{}", name);
    return name;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos)
            return parts;
        text.remove_prefix(end + separator.size());
    }
}

} // namespace

std::string Scope::claim(std::string name) {
    while (std::ranges::find(words, name) != words.end() || names_.contains(name))
        name += '_';
    names_.insert(name);
    return name;
}

MemberNames name_members(const Interface& interface) {
    const auto class_name = name_class(interface, "");
    const auto proxy = class_name.proxy();
    const auto adaptor = class_name.adaptor();
    // What the base classes have, and the classes themselves.
    Scope scope{proxy,
                adaptor,
                "Adaptor",
                "Proxy",
                "add",
                "call",
                "call_async",
                "call_no_reply",
                "co_call",
                "co_get_property",
                "co_set_property",
                "destination",
                "emit",
                "emit_changed",
                "emit_properties_changed",
                "emit_to",
                "get_property",
                "get_property_async",
                "interface",
                "interface_name",
                "on_properties_changed",
                "path",
                "properties",
                "serve",
                "set_options",
                "set_property",
                "set_property_async",
                "subscribe"};
    MemberNames names;
    for (const auto& method : interface.methods)
        names.methods.push_back({scope.claim(method.name), scope.claim("async_" + method.name),
                                 scope.claim("co_" + method.name)});
    for (const auto& property : interface.properties) {
        const auto name = identifier(property.name);
        names.properties.push_back({scope.claim("get_" + name), scope.claim("set_" + name),
                                    scope.claim("async_get_" + name),
                                    scope.claim("async_set_" + name), scope.claim("co_get_" + name),
                                    scope.claim("co_set_" + name),
                                    scope.claim("emit_" + name + "_changed")});
    }
    for (const auto& signal : interface.signals)
        names.signals.push_back({scope.claim("on_" + signal.name),
                                 scope.claim("emit_" + signal.name),
                                 scope.claim("emit_" + signal.name + "_to")});
    return names;
}

std::vector<std::string> name_parameters(const std::vector<Argument>& arguments) {
    // Other parameters, those of templates, and what the base classes keep.
    Scope scope{"callback",   "Callback", "to",    "connection_", "destination_",
                "interface_", "options_", "path_", "slot_"};
    std::vector<std::string> names;
    for (const auto& argument : arguments) {
        auto name = identifier(argument.name);
        if (name.find_first_not_of('_') == std::string::npos)
            name = fmt::format("arg{}", names.size());
        names.push_back(scope.claim(std::move(name)));
    }
    return names;
}

ClassName name_class(const Interface& interface, const std::string& scope) {
    auto elements = split(interface.name, ".");
    ClassName name{scope, std::string(elements.back())};
    if (!scope.empty())
        return name;
    elements.pop_back();
    for (const auto element : elements) {
        if (!name.scope.empty())
            name.scope += "::";
        name.scope += Scope{}.claim(std::string(element));
    }
    return name;
}

bool is_namespace(std::string_view name) {
    return std::ranges::all_of(split(name, "::"), [](std::string_view part) {
        return !part.empty() && identifier(part) == part &&
               Scope{}.claim(std::string(part)) == part;
    });
}

void check_classes(const std::vector<Interface>& interfaces, const std::string& scope,
                   Errors& errors) {
    // Who has each name.
    std::map<std::string, const Interface*> namespaces;
    for (const auto& interface : interfaces) {
        const auto class_name = name_class(interface, scope);
        std::string name;
        for (const auto part : split(class_name.scope, "::")) {
            name.append(name.empty() ? "" : "::").append(part);
            namespaces.emplace(name, &interface);
        }
    }
    std::map<std::string, const Interface*> classes;
    for (const auto& interface : interfaces) {
        const auto name = name_class(interface, scope);
        for (const auto& last : {name.proxy(), name.adaptor()}) {
            const auto full = fmt::format("{}::{}", name.scope, last);
            const auto [taken, is_new] = classes.emplace(full, &interface);
            const Interface* other = is_new ? nullptr : taken->second;
            if (const auto found = namespaces.find(full); found != namespaces.end())
                other = found->second;
            if (other == nullptr)
                continue;
            errors.add(interface.location,
                       fmt::format("the interface {} gives the name {}, and so does {} at {}:{}",
                                   interface.name, full, other->name, other->location.file,
                                   other->location.line));
            break;
        }
    }
}

} // namespace kdbus::xml2cpp
