// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_NAMES_HPP
#define KDBUS_XML2CPP_NAMES_HPP

#include "errors.hpp"
#include "model.hpp"

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// What things of the bus are called in C++.
namespace kdbus::xml2cpp {

/// Names in use in one place of a program.
class Scope {
public:
    Scope(std::initializer_list<std::string_view> reserved)
        : names_(reserved.begin(), reserved.end()) {}

    /// Takes a name, with as many underscores behind it as make it free.
    std::string claim(std::string name);

private:
    std::set<std::string, std::less<>> names_;
};

struct MethodNames {
    std::string call, async, co;
};
struct PropertyNames {
    std::string get, set, async_get, async_set, co_get, co_set, changed;
};
struct SignalNames {
    std::string on, emit, emit_to;
};

/// The members of an interface, in its order; the same in a proxy and an adaptor.
struct MemberNames {
    std::vector<MethodNames> methods;
    std::vector<PropertyNames> properties;
    std::vector<SignalNames> signals;
};
[[nodiscard]] MemberNames name_members(const Interface& interface);

/// The parameters for some arguments; they differ from what else is named in a function.
[[nodiscard]] std::vector<std::string> name_parameters(const std::vector<Argument>& arguments);

/// The namespace of an interface's classes without leading colons, and the beginning of their
/// names.
struct ClassName {
    std::string scope; ///< may be empty
    std::string base;

    [[nodiscard]] std::string proxy() const { return base + "Proxy"; }
    [[nodiscard]] std::string adaptor() const { return base + "Adaptor"; }
};
/// @p scope, if not empty, instead of what the name of the interface says.
[[nodiscard]] ClassName name_class(const Interface& interface, const std::string& scope);

/// Whether all names in a namespace, such as "a::b", are free.
[[nodiscard]] bool is_namespace(std::string_view name);

/// Finds classes that have the name of another one or of a namespace.
void check_classes(const std::vector<Interface>& interfaces, const std::string& scope,
                   Errors& errors);

} // namespace kdbus::xml2cpp

#endif
