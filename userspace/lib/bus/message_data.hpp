// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_MESSAGE_DATA_HPP
#define KDBUS_LIB_BUS_MESSAGE_DATA_HPP

#include <kdbus/abi/message.hpp>
#include <kdbus/message.hpp>
#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/names.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
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

/// Hands out a descriptor, once. Errors: no_such_fd, fd_lost.
[[nodiscard]] wire::Result<int> take_fd(MessageData& data, std::uint32_t index) noexcept;

/// "su[o]": types for people, those behind the first @p required letters optional.
[[nodiscard]] std::string describe_arguments(std::string_view types, std::size_t required);

/// What an error reply says.
[[nodiscard]] Error error_of(const wire::Message& reply);

} // namespace kdbus::detail

#endif
