// SPDX-License-Identifier: LGPL-2.1-or-later
#include "header.hpp"

#include <array>
#include <filesystem>

namespace kdbus::xml2cpp {

Header::Header(const Source& source, std::string_view base) {
    std::string files;
    // Without their folders: the same input gives the same header anywhere.
    for (const auto& file : source.files)
        files.append(files.empty() ? "" : ", ")
            .append(std::filesystem::path(file).filename().string());
    line("// Made by kdbus-xml2cpp of {}; changes will be lost.", files);
    line("#pragma once\n");
    line("#include <kdbus/{}>\n", base);
    for (const auto* standard :
         {"cstdint", "map", "string", "string_view", "tuple", "utility", "vector"})
        line("#include <{}>", standard);
}

void Header::open_namespace(const ClassName& name) {
    line("");
    if (!name.scope.empty())
        line("namespace {} {{\n", name.scope);
}

void Header::close_namespace(const ClassName& name) {
    if (!name.scope.empty())
        line("\n}} // namespace {}", name.scope);
}

std::string_view deprecated_attribute(bool deprecated) noexcept {
    return deprecated ? "[[deprecated]] " : "";
}

std::string describe(const std::vector<Argument>& arguments) {
    const auto names = name_parameters(arguments);
    std::string text;
    for (std::size_t i = 0; i < arguments.size(); i++)
        text.append(text.empty() ? "" : ", ")
            .append(arguments[i].type)
            .append(" ")
            .append(names[i]);
    return text;
}

} // namespace kdbus::xml2cpp
