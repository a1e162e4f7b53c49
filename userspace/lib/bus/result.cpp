// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/result.hpp>
#include <kdbus/wire/error.hpp>
#include <kdbus/wire/error_names.hpp>

#include <exception>
#include <new>
#include <string>
#include <system_error>
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
    case wire::Errc::fd_lost:
    case wire::Errc::too_many_fds:
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

Error Error::from_current_exception() {
    try {
        throw;
    } catch (const Exception& error) {
        return error.error();
    } catch (const std::system_error& error) {
        return from_code(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        return {error_names::no_memory, "Out of memory"};
    } catch (const std::exception& error) {
        return {error_names::failed, error.what()};
    } catch (...) {
        return {error_names::failed, "Unknown exception"};
    }
}

Exception::Exception(Error error)
    : std::runtime_error(error.message.empty() ? error.name : error.name + ": " + error.message),
      error_(std::move(error)) {}

Exception::~Exception() = default;

} // namespace kdbus
