// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_TYPES_HPP
#define KDBUS_XML2CPP_TYPES_HPP

#include "model.hpp"

#include <string>
#include <string_view>
#include <vector>

/// C++ types for D-Bus types. Names begin with colons: a class may lie in a namespace `kdbus` or
/// `std` of its own.
namespace kdbus::xml2cpp {

/// What type h becomes.
enum class Descriptors {
    index,    ///< kdbus::UnixFd
    borrowed, ///< kdbus::BorrowedFd
    owned,    ///< kdbus::UniqueFd
};

/// The C++ type for one complete type.
[[nodiscard]] std::string cpp_type(std::string_view type, Descriptors descriptors);
/// Those of several arguments, with commas between them.
[[nodiscard]] std::string cpp_types(const std::vector<Argument>& arguments,
                                    Descriptors descriptors);

/// The type of a parameter for a value that is sent.
[[nodiscard]] std::string parameter_type(std::string_view type);
/// Parameters with their types, with commas between them.
[[nodiscard]] std::string parameter_list(const std::vector<Argument>& arguments,
                                         const std::vector<std::string>& names);

/// What a call with these results returns.
[[nodiscard]] std::string result_type(const std::vector<Argument>& results);

/// The types of arguments in a row.
[[nodiscard]] std::string signature(const std::vector<Argument>& arguments);

/// A string literal.
[[nodiscard]] std::string quoted(std::string_view text);

} // namespace kdbus::xml2cpp

#endif
