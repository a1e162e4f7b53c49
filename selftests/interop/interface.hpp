// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_INTEROP_INTERFACE_HPP
#define KDBUS_SELFTESTS_INTEROP_INTERFACE_HPP

/// What all services here serve and all clients call, whatever they are written with;
/// `interop_test` has it in Python:
///
///     Basics(ybnqiuxtdsog) -> the same       Containers(as, a{sv}, (is), ay) -> the same
///     Echo(v) -> v                           ReadFd(h) -> s, MakeFd(s) -> h: what a pipe holds
///     Fail(): error_name, error_text         Emit(s): emits Happened(s, u), the text's length
///     Value: i, read and written, announces changes; Name: s, "Interop", read
namespace interop {

inline constexpr const char* path = "/org/example/Interop";
inline constexpr const char* interface_name = "org.example.Interop";
inline constexpr const char* error_name = "org.example.Error.Purpose";
inline constexpr const char* error_text = "on purpose";

} // namespace interop

#endif
