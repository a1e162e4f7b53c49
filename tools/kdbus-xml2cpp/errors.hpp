// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_XML2CPP_ERRORS_HPP
#define KDBUS_XML2CPP_ERRORS_HPP

#include "model.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace kdbus::xml2cpp {

/// What is wrong with the input, all of it.
class Errors {
public:
    void add(const Location& at, std::string_view text) {
        lines_.push_back(fmt::format("{}:{}: {}\n", at.file, at.line, text));
    }
    [[nodiscard]] bool empty() const noexcept { return lines_.empty(); }
    [[nodiscard]] std::string text() const { return fmt::format("{}", fmt::join(lines_, "")); }

private:
    std::vector<std::string> lines_;
};

} // namespace kdbus::xml2cpp

#endif
