// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_MESSAGE_DATA_HPP
#define KDBUS_LIB_BUS_MESSAGE_DATA_HPP

#include <kdbus/abi/message.hpp>
#include <kdbus/message.hpp>
#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/names.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kdbus::detail {

class MessagePool;

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
    std::shared_ptr<MessagePool> home; ///< where it goes afterwards, if anywhere
};

using MessagePointer = std::unique_ptr<MessageData, MessageDataDeleter>;

inline MessagePointer make_message_data() {
    return MessagePointer(new MessageData);
}

/// Messages that were used up, with their memory, so that receiving allocates nothing once it is
/// going. Belongs to a connection and to the messages that came from it, which may outlive it and
/// may end in any thread.
class MessagePool {
public:
    MessagePool() = default;
    MessagePool(const MessagePool&) = delete;
    ~MessagePool() {
        for (auto& place : places_)
            delete place.load(std::memory_order_acquire);
    }

    /// An empty message, which returns to @p pool.
    [[nodiscard]] static MessagePointer take(const std::shared_ptr<MessagePool>& pool) {
        MessagePointer message;
        for (auto& place : pool->places_) {
            if (place.load(std::memory_order_relaxed) == nullptr)
                continue;
            message.reset(place.exchange(nullptr, std::memory_order_acquire));
            if (message)
                break;
        }
        if (!message)
            message = make_message_data();
        message->home = pool;
        return message;
    }

    /// Empties a message and keeps it, or deletes it.
    static void give_back(MessageData* message) noexcept;

private:
    /// So many are used at once where it matters: a call and the signals that come meanwhile.
    static constexpr std::size_t max_idle = 8;
    /// One large message shall not occupy memory for ever.
    static constexpr std::size_t max_kept = std::size_t{64} * 1024;

    std::array<std::atomic<MessageData*>, max_idle> places_{};
};

/// Hands out a descriptor, once. Errors: no_such_fd, fd_lost.
[[nodiscard]] wire::Result<int> take_fd(MessageData& data, std::uint32_t index) noexcept;

/// "su[o]": types for people, those behind the first @p required letters optional.
[[nodiscard]] std::string describe_arguments(std::string_view types, std::size_t required);

/// What an error reply says.
[[nodiscard]] Error error_of(const wire::Message& reply);

} // namespace kdbus::detail

#endif
