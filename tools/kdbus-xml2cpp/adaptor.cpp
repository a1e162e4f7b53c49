// SPDX-License-Identifier: LGPL-2.1-or-later
#include "generate.hpp"
#include "header.hpp"
#include "names.hpp"
#include "types.hpp"

#include <algorithm>
#include <string>

namespace kdbus::xml2cpp {
namespace {

/// "{"a", "b"}": names as introspection data shall show them.
std::string name_list(const std::vector<Argument>& arguments) {
    std::string text;
    for (const auto& argument : arguments)
        text.append(text.empty() ? "{" : ", ").append(quoted(argument.name));
    return text + (text.empty() ? "{}" : "}");
}

/// ", T..." to stand behind other arguments, or nothing.
std::string after_comma(const std::string& text) {
    return text.empty() ? "" : ", " + text;
}

/// Checks that the object has a member function with this signature on the bus.
void check_member(Header& header, const std::string& member, const std::string& function,
                  const std::string& in, const std::string& out) {
    header.line("        static_assert(requires {{ &Object::{}; }},", function);
    header.line("                      \"{}: one public member function {} is needed\");", member,
                function);
    header.line("        static_assert(::kdbus::detail::takes<decltype(&Object::{})>(\"{}\"),",
                function, in);
    header.line("                      \"{}: {} takes ({})\");", member, function, in);
    header.line("        static_assert(::kdbus::detail::returns<decltype(&Object::{})>(\"{}\"),",
                function, out);
    header.line("                      \"{}: {} returns ({})\");", member, function, out);
}

std::string bound(const std::string& function) {
    return fmt::format("::kdbus::detail::bound(object, &Object::{})", function);
}

void serve_method(Header& header, const Interface& interface, const Method& method,
                  const MethodNames& names) {
    check_member(header, interface.name + "." + method.name, names.call, signature(method.in),
                 signature(method.out));
    header.line("        ::kdbus::detail::add_method<{}>(",
                cpp_types(method.out, Descriptors::index));
    header.line("            served, {}, {},", quoted(method.name), bound(names.call));
    header.line("            {{.in = {}, .out = {}, .deprecated = {}, .no_reply = {}}});",
                name_list(method.in), name_list(method.out), method.deprecated, method.no_reply);
}

std::string_view emits_value(Emits emits) noexcept {
    switch (emits) {
    case Emits::change:
        return "::kdbus::Emits::change";
    case Emits::invalidation:
        return "::kdbus::Emits::invalidation";
    case Emits::constant:
        return "::kdbus::Emits::constant";
    case Emits::nothing:
        break;
    }
    return "::kdbus::Emits::nothing";
}

void serve_property(Header& header, const Interface& interface, const Property& property,
                    const PropertyNames& names) {
    const auto member = interface.name + "." + property.name;
    std::string functions;
    if (property.readable) {
        check_member(header, member, names.get, "", property.type);
        functions += ", " + bound(names.get);
    }
    if (property.writable) {
        check_member(header, member, names.set, property.type, "");
        functions += ", " + bound(names.set);
    }
    header.line("        served.{}({}{},", property.readable ? "property" : "write_only_property",
                quoted(property.name), functions);
    header.line("            ::kdbus::PropertyOptions{{.emits = {}, .deprecated = {}}});",
                emits_value(property.emits), property.deprecated);
}

void add_serve(Header& header, const Interface& interface, const MemberNames& names) {
    header.line("\n    /// Exports the interface with the member functions of @p object.");
    header.line("    template <class Object>");
    header.line("    ::kdbus::Result<void> serve([[maybe_unused]] Object& object) {{");
    header.line("        ::kdbus::Interface served(interface_name);");
    for (std::size_t i = 0; i < interface.methods.size(); i++)
        serve_method(header, interface, interface.methods[i], names.methods[i]);
    for (std::size_t i = 0; i < interface.properties.size(); i++)
        serve_property(header, interface, interface.properties[i], names.properties[i]);
    for (const auto& signal : interface.signals)
        header.line("        served.signal<{}>({}, {}, {{.deprecated = {}}});",
                    cpp_types(signal.arguments, Descriptors::index), quoted(signal.name),
                    name_list(signal.arguments), signal.deprecated);
    header.line("        return this->add(::std::move(served));\n    }}");
}

void add_emitters(Header& header, const Signal& signal, const SignalNames& names) {
    const auto parameters = name_parameters(signal.arguments);
    const auto list = parameter_list(signal.arguments, parameters);
    const auto arguments = fmt::format("{}", fmt::join(parameters, ", "));
    const auto name = quoted(signal.name);

    header.line("\n    /// Signal {}({})", signal.name, describe(signal.arguments));
    // Only one connection can get descriptors.
    if (signature(signal.arguments).find('h') == std::string::npos) {
        header.line("    ::kdbus::Result<void> {}({}) {{", names.emit, list);
        header.line("        return this->emit({}{});\n    }}", name, after_comma(arguments));
    }
    header.line("    ::kdbus::Result<void> {}(::std::string_view to{}) {{", names.emit_to,
                after_comma(list));
    header.line("        return this->emit_to(to, {}{});\n    }}", name, after_comma(arguments));
}

void add_announcement(Header& header, const Property& property, const PropertyNames& names) {
    if (property.emits == Emits::constant || property.emits == Emits::nothing)
        return;
    header.line("\n    /// The property {} {} changed.", property.type, property.name);
    header.line("    ::kdbus::Result<void> {}() {{", names.changed);
    header.line("        return this->emit_changed({});\n    }}", quoted(property.name));
}

void add_adaptor(Header& header, const Interface& interface, const ClassName& name) {
    const auto names = name_members(interface);
    header.line("/// The interface {} of an object of ours.", interface.name);
    header.line("class {} : public ::kdbus::Adaptor {{", name.adaptor());
    header.line("public:");
    header.line("    static constexpr const char* interface_name = {};\n", quoted(interface.name));
    header.line("    {}(::kdbus::Connection& connection, ::std::string path)", name.adaptor());
    header.line("        : ::kdbus::Adaptor(connection, ::std::move(path), interface_name) {{}}");
    add_serve(header, interface, names);
    for (std::size_t i = 0; i < interface.signals.size(); i++)
        add_emitters(header, interface.signals[i], names.signals[i]);
    for (std::size_t i = 0; i < interface.properties.size(); i++)
        add_announcement(header, interface.properties[i], names.properties[i]);
    header.line("}};");
}

} // namespace

std::string generate_adaptors(const Source& source) {
    Header header(source, "adaptor.hpp");
    for (const auto& interface : source.interfaces) {
        const auto name = name_class(interface, source.scope);
        header.open_namespace(name);
        add_adaptor(header, interface, name);
        header.close_namespace(name);
    }
    return header.text();
}

} // namespace kdbus::xml2cpp
