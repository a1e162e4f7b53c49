// SPDX-License-Identifier: LGPL-2.1-or-later
#include "generate.hpp"
#include "header.hpp"
#include "names.hpp"
#include "types.hpp"

#include <string>

namespace kdbus::xml2cpp {
namespace {

constexpr std::string_view slot = "::kdbus::Result<::kdbus::Slot>";

/// ", a, b" for more arguments of a call.
std::string more(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names)
        text.append(", ").append(name);
    return text;
}

void add_method(Header& header, const Method& method, const MethodNames& names) {
    const auto parameters = name_parameters(method.in);
    const auto list = parameter_list(method.in, parameters);
    const auto deprecated = deprecated_attribute(method.deprecated);
    const auto name = quoted(method.name);

    header.line("\n    /// Method {}({}){}{}", method.name, describe(method.in),
                method.out.empty() ? "" : " -> " + describe(method.out),
                method.no_reply ? ", without a reply" : "");
    header.line("    {}{} {}({}) {{", deprecated, result_type(method.out), names.call, list);
    if (method.no_reply) {
        header.line("        return this->call_no_reply({}{});\n    }}", name, more(parameters));
        return;
    }
    const auto out = cpp_types(method.out, Descriptors::owned);
    header.line("        return this->call<{}>({}{});\n    }}", out, name, more(parameters));
    header.line("    template <class Callback>");
    header.line("    {}[[nodiscard]] {} {}({}{}Callback callback) {{", deprecated, slot,
                names.async, list, list.empty() ? "" : ", ");
    header.line("        return this->call_async<{}>({}, ::std::move(callback){});\n    }}", out,
                name, more(parameters));
    header.line("    {}[[nodiscard]] auto {}({}) {{", deprecated, names.co, list);
    header.line("        return this->co_call<{}>({}{});\n    }}", out, name, more(parameters));
}

std::string_view describe(Emits emits) noexcept {
    switch (emits) {
    case Emits::change:
        return "changes are announced";
    case Emits::invalidation:
        return "changes are announced without the value";
    case Emits::constant:
        return "never changes";
    case Emits::nothing:
        break;
    }
    return "changes silently";
}

void add_property(Header& header, const Property& property, const PropertyNames& names) {
    const auto deprecated = deprecated_attribute(property.deprecated);
    const auto received = cpp_type(property.type, Descriptors::owned);
    const auto sent = parameter_type(property.type);
    const auto name = quoted(property.name);

    header.line("\n    /// Property {} {}; {}", property.type, property.name,
                describe(property.emits));
    if (property.readable) {
        header.line("    {}::kdbus::Result<{}> {}() {{", deprecated, received, names.get);
        header.line("        return this->get_property<{}>({});\n    }}", received, name);
        header.line("    template <class Callback>");
        header.line("    {}[[nodiscard]] {} {}(Callback callback) {{", deprecated, slot,
                    names.async_get);
        header.line(
            "        return this->get_property_async<{}>({}, ::std::move(callback));\n    }}",
            received, name);
        header.line("    {}[[nodiscard]] auto {}() {{", deprecated, names.co_get);
        header.line("        return this->co_get_property<{}>({});\n    }}", received, name);
    }
    if (property.writable) {
        header.line("    {}::kdbus::Result<void> {}({} value) {{", deprecated, names.set, sent);
        header.line("        return this->set_property({}, value);\n    }}", name);
        header.line("    template <class Callback>");
        header.line("    {}[[nodiscard]] {} {}({} value, Callback callback) {{", deprecated, slot,
                    names.async_set, sent);
        header.line(
            "        return this->set_property_async({}, ::std::move(callback), value);\n    }}",
            name);
        header.line("    {}[[nodiscard]] auto {}({} value) {{", deprecated, names.co_set, sent);
        header.line("        return this->co_set_property({}, value);\n    }}", name);
    }
}

void add_signal(Header& header, const Signal& signal, const SignalNames& names) {
    header.line("\n    /// Signal {}({})", signal.name, describe(signal.arguments));
    header.line("    template <class Handler>");
    header.line("    {}[[nodiscard]] {} {}(Handler handler) {{",
                deprecated_attribute(signal.deprecated), slot, names.on);
    header.line("        return this->subscribe<{}>({}, ::std::move(handler));\n    }}",
                cpp_types(signal.arguments, Descriptors::index), quoted(signal.name));
}

void add_proxy(Header& header, const Interface& interface, const ClassName& name) {
    const auto names = name_members(interface);
    header.line("/// The interface {} of an object of somebody else.", interface.name);
    header.line("class {}{} : public ::kdbus::Proxy {{", deprecated_attribute(interface.deprecated),
                name.proxy());
    header.line("public:");
    header.line("    static constexpr const char* interface_name = {};\n", quoted(interface.name));
    header.line("    {}(::kdbus::Connection& connection, ::std::string destination, ::std::string "
                "path,\n        const ::kdbus::ProxyOptions& options = {{}})",
                name.proxy());
    header.line("        : ::kdbus::Proxy(connection, ::std::move(destination), "
                "::std::move(path), interface_name,\n              options) {{}}");
    for (std::size_t i = 0; i < interface.methods.size(); i++)
        add_method(header, interface.methods[i], names.methods[i]);
    for (std::size_t i = 0; i < interface.properties.size(); i++)
        add_property(header, interface.properties[i], names.properties[i]);
    for (std::size_t i = 0; i < interface.signals.size(); i++)
        add_signal(header, interface.signals[i], names.signals[i]);
    header.line("}};");
}

} // namespace

std::string generate_proxies(const Source& source) {
    Header header(source, "proxy.hpp");
    for (const auto& interface : source.interfaces) {
        const auto name = name_class(interface, source.scope);
        header.open_namespace(name);
        add_proxy(header, interface, name);
        header.close_namespace(name);
    }
    return header.text();
}

} // namespace kdbus::xml2cpp
