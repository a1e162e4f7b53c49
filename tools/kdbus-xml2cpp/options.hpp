// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_OPTIONS_HPP
#define KDBUS_XML2CPP_OPTIONS_HPP

#include <string>
#include <variant>
#include <vector>

namespace kdbus::xml2cpp {

struct Options {
    std::string proxy;   ///< header to write, if not empty
    std::string adaptor; ///< likewise
    std::string scope;   ///< namespace of all classes; empty: as the interfaces say
    std::vector<std::string> inputs;
};

/// There is nothing more to do: print that text and leave with that status.
struct Finished {
    int status = 0;
    std::string text;
};

/// Reads the command line.
[[nodiscard]] std::variant<Options, Finished> parse_options(int argc, const char* const* argv);

} // namespace kdbus::xml2cpp

#endif
