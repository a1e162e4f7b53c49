// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_ERROR_HPP
#define KDBUS_ABI_ERROR_HPP

#include <cerrno>
#include <kdbus/expected.hpp>
#include <system_error>

/// Layer 1: the kernel interface as C++ objects, without any D-Bus.
///
/// Every failure is a std::error_code of the generic category whose value() is
/// the errno the kernel gave (abi.md 4 to 6, messages.md 1 to 6); compare with
/// `error.value() == EBADSLT` or, where one exists, with a std::errc. Nothing
/// in this layer throws, except std::bad_alloc where a function says that it
/// allocates.
namespace kdbus::abi {

/// A value, or the errno.
template <class T>
using Result = std::expected<T, std::error_code>;

/// The error for an errno value.
[[nodiscard]] inline std::error_code errno_code(int value = errno) noexcept {
    return {value, std::generic_category()};
}

/// The error for an errno value, ready to be returned from a function that gives a Result.
[[nodiscard]] inline std::unexpected<std::error_code> fail(int value = errno) noexcept {
    return std::unexpected(errno_code(value));
}

} // namespace kdbus::abi

#endif
