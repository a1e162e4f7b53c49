// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_MODEL_HPP
#define KDBUS_XML2CPP_MODEL_HPP

#include <string>
#include <vector>

/// What introspection data say, checked: names and signatures are valid, members unique of their
/// kind.
namespace kdbus::xml2cpp {

/// Where something is written.
struct Location {
    std::string file;
    unsigned line = 0;

    /// The same thing written in two places is the same.
    friend bool operator==(const Location&, const Location&) noexcept { return true; }
};

struct Argument {
    std::string name; ///< any text, or none
    std::string type; ///< one complete type

    friend bool operator==(const Argument&, const Argument&) = default;
};

struct Method {
    std::string name;
    std::vector<Argument> in;
    std::vector<Argument> out;
    bool deprecated = false;
    bool no_reply = false;

    friend bool operator==(const Method&, const Method&) = default;
};

struct Signal {
    std::string name;
    std::vector<Argument> arguments;
    bool deprecated = false;

    friend bool operator==(const Signal&, const Signal&) = default;
};

/// The annotation org.freedesktop.DBus.Property.EmitsChangedSignal.
enum class Emits { change, invalidation, constant, nothing };

struct Property {
    std::string name; ///< any text
    std::string type; ///< one complete type
    bool readable = false;
    bool writable = false;
    bool deprecated = false;
    Emits emits = Emits::change;

    friend bool operator==(const Property&, const Property&) = default;
};

struct Interface {
    Location location;
    std::string name;
    std::vector<Method> methods;
    std::vector<Signal> signals;
    std::vector<Property> properties;
    bool deprecated = false;

    friend bool operator==(const Interface&, const Interface&) = default;
};

} // namespace kdbus::xml2cpp

#endif
