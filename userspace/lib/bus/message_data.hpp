// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_MESSAGE_DATA_HPP
#define KDBUS_LIB_BUS_MESSAGE_DATA_HPP

#include <kdbus/abi/message.hpp>
#include <kdbus/message.hpp>
#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/names.hpp>

#include <vector>

namespace kdbus::detail {

/// A received message and everything its view points to. Stays where it is.
struct MessageData {
    wire::Message view;
    abi::ReceivedMessage slice;         ///< of the kernel transport; empty otherwise
    std::vector<abi::Mapping> mappings; ///< pieces that came as memory files
    std::vector<abi::UniqueFd> fds;     ///< in order; none for one that could not be received
    bool incomplete_fds = false;        ///< there is such a one
    wire::Buffer storage;               ///< bytes that had to be gathered or made up
    wire::UniqueName sender_name{0};
    wire::UniqueName destination_name{0};
};

using MessagePointer = std::unique_ptr<MessageData, MessageDataDeleter>;

inline MessagePointer make_message_data() {
    return MessagePointer(new MessageData);
}

/// What an error reply says.
[[nodiscard]] Error error_of(const wire::Message& reply);

} // namespace kdbus::detail

#endif
