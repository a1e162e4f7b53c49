// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_HEADER_HPP
#define KDBUS_XML2CPP_HEADER_HPP

#include "generate.hpp"
#include "names.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace kdbus::xml2cpp {

/// A header that is being written, line by line.
class Header {
public:
    /// @p base is the header of the library that has the classes' base.
    Header(const Source& source, std::string_view base);

    /// Adds formatted text and ends the line.
    template <class... A>
    void line(fmt::format_string<const A&...> format, const A&... args) {
        fmt::format_to(std::back_inserter(text_), format, args...);
        text_ += '\n';
    }

    void open_namespace(const ClassName& name);
    void close_namespace(const ClassName& name);

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

/// An attribute for what is deprecated, with a space behind it; nothing for the rest.
[[nodiscard]] std::string_view deprecated_attribute(bool deprecated) noexcept;

/// Types and names for a comment, as the bus has them: "s name, u flags".
[[nodiscard]] std::string describe(const std::vector<Argument>& arguments);

} // namespace kdbus::xml2cpp

#endif
