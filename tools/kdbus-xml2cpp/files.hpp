// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_FILES_HPP
#define KDBUS_XML2CPP_FILES_HPP

#include <string>
#include <vector>

namespace kdbus::xml2cpp {

/// The contents of a file. Throws std::system_error.
[[nodiscard]] std::string read_file(const std::string& name);

struct Output {
    std::string name;
    std::string text;
};
/// Writes all files or, but for an error at the very end, none. Throws std::system_error.
void write_files(const std::vector<Output>& outputs);

} // namespace kdbus::xml2cpp

#endif
