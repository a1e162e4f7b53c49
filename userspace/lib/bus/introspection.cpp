// SPDX-License-Identifier: LGPL-2.1-or-later
#include "introspection.hpp"

#include <kdbus/wire/signature.hpp>

#include <string>
#include <vector>

namespace kdbus::detail {
namespace {

constexpr std::string_view doctype =
    "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
    " \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n";

constexpr std::string_view standard_interfaces =
    " <interface name=\"org.freedesktop.DBus.Peer\">\n"
    "  <method name=\"Ping\"/>\n"
    "  <method name=\"GetMachineId\">\n"
    "   <arg type=\"s\" name=\"machine_uuid\" direction=\"out\"/>\n"
    "  </method>\n"
    " </interface>\n"
    " <interface name=\"org.freedesktop.DBus.Introspectable\">\n"
    "  <method name=\"Introspect\">\n"
    "   <arg type=\"s\" name=\"xml_data\" direction=\"out\"/>\n"
    "  </method>\n"
    " </interface>\n";

constexpr std::string_view properties_interface =
    " <interface name=\"org.freedesktop.DBus.Properties\">\n"
    "  <method name=\"Get\">\n"
    "   <arg type=\"s\" name=\"interface_name\" direction=\"in\"/>\n"
    "   <arg type=\"s\" name=\"property_name\" direction=\"in\"/>\n"
    "   <arg type=\"v\" name=\"value\" direction=\"out\"/>\n"
    "  </method>\n"
    "  <method name=\"GetAll\">\n"
    "   <arg type=\"s\" name=\"interface_name\" direction=\"in\"/>\n"
    "   <arg type=\"a{sv}\" name=\"properties\" direction=\"out\"/>\n"
    "  </method>\n"
    "  <method name=\"Set\">\n"
    "   <arg type=\"s\" name=\"interface_name\" direction=\"in\"/>\n"
    "   <arg type=\"s\" name=\"property_name\" direction=\"in\"/>\n"
    "   <arg type=\"v\" name=\"value\" direction=\"in\"/>\n"
    "  </method>\n"
    "  <signal name=\"PropertiesChanged\">\n"
    "   <arg type=\"s\" name=\"interface_name\"/>\n"
    "   <arg type=\"a{sv}\" name=\"changed_properties\"/>\n"
    "   <arg type=\"as\" name=\"invalidated_properties\"/>\n"
    "  </signal>\n"
    " </interface>\n";

/// Names of arguments and properties are free text; all other names are checked when an interface is
/// added.
std::string escaped(std::string_view text) {
    std::string result;
    for (char c : text) {
        switch (c) {
        case '&':
            result += "&amp;";
            break;
        case '<':
            result += "&lt;";
            break;
        case '>':
            result += "&gt;";
            break;
        case '"':
            result += "&quot;";
            break;
        default:
            result += c;
        }
    }
    return result;
}

void add_arguments(std::string& xml, std::string_view signature,
                   const std::vector<std::string>& names, std::string_view direction) {
    std::size_t index = 0;
    for (std::string_view type : wire::SignatureTypes(signature)) {
        xml.append("   <arg type=\"").append(type).append("\"");
        if (index < names.size() && !names[index].empty())
            xml.append(" name=\"").append(escaped(names[index])).append("\"");
        if (!direction.empty())
            xml.append(" direction=\"").append(direction).append("\"");
        xml.append("/>\n");
        ++index;
    }
}

void add_annotation(std::string& xml, std::string_view name, std::string_view value) {
    xml.append("   <annotation name=\"")
        .append(name)
        .append("\" value=\"")
        .append(value)
        .append("\"/>\n");
}

void add_deprecated(std::string& xml, bool deprecated) {
    if (deprecated)
        add_annotation(xml, "org.freedesktop.DBus.Deprecated", "true");
}

/// "true" is what the absence of the annotation means.
std::string_view emits_value(Emits emits) noexcept {
    switch (emits) {
    case Emits::change:
        return "true";
    case Emits::invalidation:
        return "invalidates";
    case Emits::constant:
        return "const";
    case Emits::nothing:
        break;
    }
    return "false";
}

std::string_view access_value(const Interface::Property& property) noexcept {
    if (!property.getter)
        return "write";
    return property.setter ? "readwrite" : "read";
}

void add_interface(std::string& xml, const Interface& interface) {
    xml.append(" <interface name=\"").append(interface.name()).append("\">\n");
    for (const auto& [name, method] : interface.methods()) {
        xml.append("  <method name=\"").append(name).append("\">\n");
        add_arguments(xml, method.in_signature, method.options.in, "in");
        add_arguments(xml, method.out_signature, method.options.out, "out");
        add_deprecated(xml, method.options.deprecated);
        if (method.options.no_reply)
            add_annotation(xml, "org.freedesktop.DBus.Method.NoReply", "true");
        xml.append("  </method>\n");
    }
    for (const auto& [name, signal] : interface.signals()) {
        xml.append("  <signal name=\"").append(name).append("\">\n");
        add_arguments(xml, signal.signature, signal.names, "");
        add_deprecated(xml, signal.options.deprecated);
        xml.append("  </signal>\n");
    }
    for (const auto& [name, property] : interface.properties()) {
        xml.append("  <property name=\"")
            .append(escaped(name))
            .append("\" type=\"")
            .append(property.signature)
            .append("\" access=\"")
            .append(access_value(property))
            .append("\">\n");
        if (property.options.emits != Emits::change)
            add_annotation(xml, "org.freedesktop.DBus.Property.EmitsChangedSignal",
                           emits_value(property.options.emits));
        add_deprecated(xml, property.options.deprecated);
        xml.append("  </property>\n");
    }
    xml.append(" </interface>\n");
}

} // namespace

std::string introspection_xml(std::span<const Interface* const> interfaces,
                              const std::set<std::string_view>& children) {
    std::string xml(doctype);
    xml.append("<node>\n").append(standard_interfaces);
    if (!interfaces.empty())
        xml.append(properties_interface);
    for (const Interface* interface : interfaces)
        add_interface(xml, *interface);
    for (std::string_view child : children)
        xml.append(" <node name=\"").append(child).append("\"/>\n");
    xml.append("</node>\n");
    return xml;
}

} // namespace kdbus::detail
