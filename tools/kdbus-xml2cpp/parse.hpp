// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_PARSE_HPP
#define KDBUS_XML2CPP_PARSE_HPP

#include "errors.hpp"
#include "model.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kdbus::xml2cpp {

/// Reads introspection data (D-Bus specification, "Introspection Data Format"): adds the interfaces
/// of @p text, but for those the library supplies and those that are in @p interfaces already.
/// @p file is the name that @p errors tell.
void parse(const std::string& file, std::string_view text, std::vector<Interface>& interfaces,
           Errors& errors);

} // namespace kdbus::xml2cpp

#endif
