// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_STREAM_HPP
#define KDBUS_LIB_BUS_STREAM_HPP

namespace kdbus::detail {

/// The interface of the receiver's object, see <kdbus/stream.hpp>.
inline constexpr const char* stream_interface = "org.kdbus.Stream1";

} // namespace kdbus::detail

#endif
