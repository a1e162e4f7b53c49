// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/result.hpp>
#include <kdbus/wire/error.hpp>
#include <kdbus/wire/error_names.hpp>

#include <string>
#include <utility>

namespace kdbus {
namespace {

std::string describe(std::string_view what, const std::error_code& code) {
    return std::string(what) + ": " + code.message();
}

const char* wire_error_name(wire::Errc code) noexcept {
    switch (code) {
    case wire::Errc::no_memory:
        return error_names::no_memory;
    case wire::Errc::array_too_long:
    case wire::Errc::message_too_long:
    case wire::Errc::match_rule_limit:
        return error_names::limits_exceeded;
    default:
        return error_names::invalid_args;
    }
}

} // namespace

Error Error::from_errno(int value, std::string_view what) {
    return {wire::error_name_from_errno(value),
            describe(what, std::error_code(value, std::generic_category()))};
}

Error Error::from_code(std::error_code code, std::string_view what) {
    if (code.category() == wire::wire_category()) {
        return {wire_error_name(static_cast<wire::Errc>(code.value())), describe(what, code)};
    }
    if (code.category() == std::generic_category() || code.category() == std::system_category())
        return {wire::error_name_from_errno(code.value()), describe(what, code)};
    return {error_names::failed, describe(what, code)};
}

Exception::Exception(Error error)
    : std::runtime_error(error.message.empty() ? error.name : error.name + ": " + error.message),
      error_(std::move(error)) {}

Exception::~Exception() = default;

} // namespace kdbus
