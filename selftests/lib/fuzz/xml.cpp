// SPDX-License-Identifier: LGPL-2.1-or-later
// Introspection data, and the code that is made of it.
#include "fuzz.hpp"

#include "errors.hpp"
#include "generate.hpp"
#include "names.hpp"
#include "parse.hpp"

namespace xml2cpp = kdbus::xml2cpp;

std::vector<std::string> fuzz::seeds() {
    return {R"xml(<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node name="/a"><interface name="org.example.A"><method name="Add"><arg name="x" type="i"/>
<arg type="a{sv}" direction="out"/><annotation name="org.freedesktop.DBus.Deprecated" value="true"/>
</method><signal name="Changed"><arg name="it" type="(sh)"/></signal>
<property name="Value" type="as" access="readwrite"><annotation
name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="invalidates"/></property></interface>
<node name="child"/></node>)xml",
            R"xml(<node><interface name="a.b"><method name="class"><arg name="int" type="t"/><arg
name="int" type="h"/></method><property name="x y" type="v" access="write"/></interface></node>)xml",
            "<node/>", "<node><!-- - --><![CDATA[x]]>&#65;&amp;</node>"};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::Input(data, size).text();
    xml2cpp::Source source{.files = {"input.xml"}};
    xml2cpp::Errors errors;
    xml2cpp::parse("input.xml", fuzz::view(text), source.interfaces, errors);
    xml2cpp::check_classes(source.interfaces, source.scope, errors);
    if (!errors.empty()) {
        REQUIRE(!errors.text().empty());
        return 0;
    }
    REQUIRE(!generate_proxies(source).empty());
    REQUIRE(!generate_adaptors(source).empty());
    return 0;
}
