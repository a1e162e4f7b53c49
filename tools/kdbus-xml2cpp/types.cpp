// SPDX-License-Identifier: LGPL-2.1-or-later
#include "types.hpp"

#include <kdbus/wire/signature.hpp>

#include <fmt/format.h>

namespace kdbus::xml2cpp {
namespace {

std::string_view basic_type(char type, Descriptors descriptors) {
    switch (type) {
    case 'y':
        return "::std::uint8_t";
    case 'b':
        return "bool";
    case 'n':
        return "::std::int16_t";
    case 'q':
        return "::std::uint16_t";
    case 'i':
        return "::std::int32_t";
    case 'u':
        return "::std::uint32_t";
    case 'x':
        return "::std::int64_t";
    case 't':
        return "::std::uint64_t";
    case 'd':
        return "double";
    case 's':
        return "::std::string";
    case 'o':
        return "::kdbus::ObjectPath";
    case 'g':
        return "::kdbus::Signature";
    case 'v':
        return "::kdbus::Variant";
    default: // h
        switch (descriptors) {
        case Descriptors::borrowed:
            return "::kdbus::BorrowedFd";
        case Descriptors::owned:
            return "::kdbus::UniqueFd";
        case Descriptors::index:
            break;
        }
        return "::kdbus::UnixFd";
    }
}

/// C++ types of a signature, with commas between them.
std::string list(std::string_view signature, Descriptors descriptors) {
    std::string result;
    for (const auto type : wire::SignatureTypes(signature))
        result.append(result.empty() ? "" : ", ").append(cpp_type(type, descriptors));
    return result;
}

} // namespace

std::string cpp_type(std::string_view type, Descriptors descriptors) {
    if (type.starts_with("a{"))
        return fmt::format("::std::map<{}, {}>", basic_type(type[2], Descriptors::index),
                           cpp_type(type.substr(3, type.size() - 4), descriptors));
    if (type.starts_with('a'))
        return fmt::format("::std::vector<{}>", cpp_type(type.substr(1), descriptors));
    if (type.starts_with('('))
        return fmt::format("::std::tuple<{}>", list(type.substr(1, type.size() - 2), descriptors));
    return std::string(basic_type(type.front(), descriptors));
}

std::string cpp_types(const std::vector<Argument>& arguments, Descriptors descriptors) {
    return list(signature(arguments), descriptors);
}

std::string parameter_type(std::string_view type) {
    if (type == "s")
        return "::std::string_view";
    const auto cpp = cpp_type(type, Descriptors::borrowed);
    constexpr std::string_view by_value = "ybnqiuxtdh";
    return by_value.find(type.front()) != std::string_view::npos ? cpp
                                                                 : fmt::format("const {}&", cpp);
}

std::string parameter_list(const std::vector<Argument>& arguments,
                           const std::vector<std::string>& names) {
    std::string result;
    for (std::size_t i = 0; i < arguments.size(); i++)
        result.append(result.empty() ? "" : ", ")
            .append(parameter_type(arguments[i].type))
            .append(" ")
            .append(names[i]);
    return result;
}

std::string result_type(const std::vector<Argument>& results) {
    const auto types = cpp_types(results, Descriptors::owned);
    if (results.empty())
        return "::kdbus::Result<void>";
    return results.size() == 1 ? fmt::format("::kdbus::Result<{}>", types)
                               : fmt::format("::kdbus::Result<::std::tuple<{}>>", types);
}

std::string signature(const std::vector<Argument>& arguments) {
    std::string result;
    for (const auto& argument : arguments)
        result += argument.type;
    return result;
}

std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            result += '\\';
        // What would end the line.
        result += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return result + '"';
}

} // namespace kdbus::xml2cpp
