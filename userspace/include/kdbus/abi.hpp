// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_HPP
#define KDBUS_ABI_HPP

/// All of layer 1.
#include <kdbus/abi/bus.hpp>
#include <kdbus/abi/connection.hpp>
#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/abi/item.hpp>
#include <kdbus/abi/match.hpp>
#include <kdbus/abi/memfd.hpp>
#include <kdbus/abi/message.hpp>
#include <kdbus/abi/metadata.hpp>
#include <kdbus/abi/pool.hpp>
#include <kdbus/abi/send.hpp>

#endif
