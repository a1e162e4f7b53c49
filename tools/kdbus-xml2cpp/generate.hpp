// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_GENERATE_HPP
#define KDBUS_XML2CPP_GENERATE_HPP

#include "model.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kdbus::xml2cpp {

/// What a header is made of.
struct Source {
    std::vector<Interface> interfaces;
    std::vector<std::string> files; ///< where they come from
    std::string scope;              ///< namespace of all classes; empty: as the interfaces say
};

/// A header with a proxy for each interface.
[[nodiscard]] std::string generate_proxies(const Source& source);
/// A header with an adaptor for each interface.
[[nodiscard]] std::string generate_adaptors(const Source& source);

} // namespace kdbus::xml2cpp

#endif
