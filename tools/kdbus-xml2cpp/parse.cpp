// SPDX-License-Identifier: LGPL-2.1-or-later
#include "parse.hpp"

#include <kdbus/wire/names.hpp>
#include <kdbus/wire/signature.hpp>

#include <fmt/format.h>
#include <pugixml.hpp>

#include <algorithm>
#include <concepts>
#include <optional>
#include <utility>

namespace kdbus::xml2cpp {
namespace {

constexpr std::string_view annotations = "org.freedesktop.DBus.";

bool is_supplied(std::string_view interface) noexcept {
    return interface == "org.freedesktop.DBus.Introspectable" ||
           interface == "org.freedesktop.DBus.Peer" ||
           interface == "org.freedesktop.DBus.Properties";
}

class Parser {
public:
    Parser(const std::string& file, std::string_view text, std::vector<Interface>& interfaces,
           Errors& errors)
        : file_(file), text_(text), interfaces_(interfaces), errors_(errors) {}

    void parse() {
        pugi::xml_document document;
        const auto result = document.load_buffer(text_.data(), text_.size());
        if (!result) {
            error_at(result.offset, result.description());
            return;
        }
        const auto root = document.document_element();
        if (std::string_view(root.name()) != "node")
            error(root, fmt::format("<{}> where <node> is expected", root.name()));
        else
            parse_node(root);
    }

private:
    [[nodiscard]] Location location(std::ptrdiff_t offset) const {
        const auto before =
            text_.substr(0, static_cast<std::size_t>(std::max<std::ptrdiff_t>(offset, 0)));
        return {file_, 1 + static_cast<unsigned>(std::count(before.begin(), before.end(), '\n'))};
    }
    void error_at(std::ptrdiff_t offset, std::string_view what) {
        errors_.add(location(offset), what);
    }
    void error(pugi::xml_node at, std::string_view what) { error_at(at.offset_debug(), what); }

    /// Elements with a prefix are somebody else's.
    template <class Handle>
    void each_element(pugi::xml_node parent, Handle handle) {
        for (const auto child : parent.children()) {
            const std::string_view name = child.name();
            if (child.type() != pugi::node_element || name.find(':') != std::string_view::npos)
                continue;
            if (name != "annotation" && !handle(child, name))
                error(child, fmt::format("<{}> is not known in <{}>", name, parent.name()));
        }
    }

    std::string attribute(pugi::xml_node node, const char* name) {
        const auto found = node.attribute(name);
        if (!found)
            error(node, fmt::format("<{}> has no attribute {}", node.name(), name));
        return found.value();
    }

    /// The value of an annotation that the specification knows.
    std::optional<std::string> annotation(pugi::xml_node node, std::string_view name) {
        std::optional<std::string> value;
        for (const auto child : node.children("annotation")) {
            const std::string_view full = child.attribute("name").value();
            if (full.starts_with(annotations) && full.substr(annotations.size()) == name)
                value = attribute(child, "value");
        }
        return value;
    }
    bool flag(pugi::xml_node node, std::string_view name) {
        const auto value = annotation(node, name);
        if (value && *value != "true" && *value != "false")
            error(node, fmt::format("the annotation {}{} is \"{}\", neither true nor false",
                                    annotations, name, *value));
        return value == "true";
    }
    std::optional<Emits> emits(pugi::xml_node node) {
        const auto value = annotation(node, "Property.EmitsChangedSignal");
        if (!value)
            return std::nullopt;
        if (*value == "true")
            return Emits::change;
        if (*value == "invalidates")
            return Emits::invalidation;
        if (*value == "const")
            return Emits::constant;
        if (*value != "false")
            error(node, fmt::format("the annotation {}Property.EmitsChangedSignal is \"{}\", none "
                                    "of true, invalidates, const and false",
                                    annotations, *value));
        return Emits::nothing;
    }

    /// The name of a member, of which there shall be one only.
    template <class Member>
    std::string member_name(pugi::xml_node node, const std::vector<Member>& others) {
        auto name = attribute(node, "name");
        // "Strictly speaking", any text is a property's name.
        const bool is_valid =
            std::same_as<Member, Property> ? !name.empty() : wire::is_member(name);
        if (node.attribute("name") && !is_valid)
            error(node, fmt::format("\"{}\" is not a valid member name", name));
        if (std::ranges::find(others, name, &Member::name) != others.end())
            error(node, fmt::format("the {} {} is described twice", node.name(), name));
        return name;
    }

    std::string type(pugi::xml_node node) {
        auto type = attribute(node, "type");
        if (node.attribute("type") && !wire::is_single_type(type))
            error(node, fmt::format("\"{}\" is not one complete type", type));
        return type;
    }

    /// Each type may be valid, and all together too long.
    void check_length(pugi::xml_node node, const std::vector<Argument>& arguments) {
        std::size_t length = 0;
        for (const auto& argument : arguments)
            length += argument.type.size();
        if (length > wire::max_signature_length)
            error(node, fmt::format("the arguments of {} have a signature of more than {} letters",
                                    node.attribute("name").value(), wire::max_signature_length));
    }

    void parse_node(pugi::xml_node node) {
        each_element(node, [&](pugi::xml_node child, std::string_view name) {
            if (name == "interface")
                parse_interface(child);
            else if (name == "node")
                parse_node(child);
            return name == "interface" || name == "node" || name == "doc";
        });
    }

    void parse_interface(pugi::xml_node node) {
        Interface interface {
            .location = location(node.offset_debug()), .name = attribute(node, "name"),
            .deprecated = flag(node, "Deprecated")
        };
        if (is_supplied(interface.name))
            return;
        if (node.attribute("name") && !wire::is_interface(interface.name))
            error(node, fmt::format("\"{}\" is not a valid interface name", interface.name));
        const auto emits_of_all = emits(node).value_or(Emits::change);
        each_element(node, [&](pugi::xml_node child, std::string_view name) {
            if (name == "method")
                interface.methods.push_back(method(child, interface.methods));
            else if (name == "signal")
                interface.signals.push_back(signal(child, interface.signals));
            else if (name == "property")
                interface.properties.push_back(property(child, interface.properties, emits_of_all));
            else
                return name == "doc";
            return true;
        });
        add(node, std::move(interface));
    }

    void add(pugi::xml_node node, Interface interface) {
        const auto known = std::ranges::find(interfaces_, interface.name, &Interface::name);
        if (known == interfaces_.end())
            interfaces_.push_back(std::move(interface));
        else if (*known != interface)
            error(node, fmt::format("the interface {} is described differently at {}:{}",
                                    interface.name, known->location.file, known->location.line));
    }

    Method method(pugi::xml_node node, const std::vector<Method>& others) {
        Method method{.name = member_name(node, others),
                      .deprecated = flag(node, "Deprecated"),
                      .no_reply = flag(node, "Method.NoReply")};
        each_element(node, [&](pugi::xml_node child, std::string_view name) {
            if (name != "arg")
                return name == "doc";
            const std::string_view direction = child.attribute("direction").as_string("in");
            if (direction != "in" && direction != "out")
                error(child, fmt::format("the direction is \"{}\", neither in nor out", direction));
            auto& arguments = direction == "in" ? method.in : method.out;
            arguments.push_back({child.attribute("name").value(), type(child)});
            return true;
        });
        check_length(node, method.in);
        check_length(node, method.out);
        if (method.no_reply && !method.out.empty())
            error(node, fmt::format("the method {} has results and no reply", method.name));
        return method;
    }

    Signal signal(pugi::xml_node node, const std::vector<Signal>& others) {
        Signal signal{.name = member_name(node, others), .deprecated = flag(node, "Deprecated")};
        each_element(node, [&](pugi::xml_node child, std::string_view name) {
            if (name != "arg")
                return name == "doc";
            const std::string_view direction = child.attribute("direction").as_string("out");
            if (direction != "out")
                error(child,
                      fmt::format("the direction in a signal is \"{}\", not out", direction));
            signal.arguments.push_back({child.attribute("name").value(), type(child)});
            return true;
        });
        check_length(node, signal.arguments);
        return signal;
    }

    Property property(pugi::xml_node node, const std::vector<Property>& others,
                      Emits emits_of_all) {
        Property property{.name = member_name(node, others),
                          .type = type(node),
                          .deprecated = flag(node, "Deprecated"),
                          .emits = emits(node).value_or(emits_of_all)};
        const auto access = attribute(node, "access");
        property.readable = access == "read" || access == "readwrite";
        property.writable = access == "write" || access == "readwrite";
        if (node.attribute("access") && !property.readable && !property.writable)
            error(node,
                  fmt::format("the access is \"{}\", none of read, write and readwrite", access));
        each_element(node, [](pugi::xml_node, std::string_view name) { return name == "doc"; });
        return property;
    }

    const std::string& file_;
    std::string_view text_;
    std::vector<Interface>& interfaces_;
    Errors& errors_;
};

} // namespace

void parse(const std::string& file, std::string_view text, std::vector<Interface>& interfaces,
           Errors& errors) {
    Parser(file, text, interfaces, errors).parse();
}

} // namespace kdbus::xml2cpp
