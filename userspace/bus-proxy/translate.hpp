// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_TRANSLATE_HPP
#define KDBUS_PROXY_TRANSLATE_HPP

#include <kdbus/abi/memfd.hpp>
#include <kdbus/abi/message.hpp>
#include <kdbus/abi/send.hpp>
#include <kdbus/wire/bloom.hpp>
#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/message.hpp>
#include <kdbus/wire/names.hpp>

#include "outbox.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

/// The two forms of a message, one at a time: D-Bus 1 bytes on a client's
/// socket, GVariant in items on the kernel bus. Who gets a message is decided
/// elsewhere.
namespace kdbus::proxy {

/// A message on its way to the kernel bus. One object serves many messages, one
/// after the other, and keeps its memory.
class ToKernel {
public:
    /// Bodies above this travel as memory files (dbus-on-kdbus.md 1.6).
    static constexpr std::size_t inline_limit = 512 * 1024;
    /// Below this, a memory file is not worth a second attempt.
    static constexpr std::size_t worth_memfd = 16 * 1024;

    /// Converts @p message, which must be valid, in either format. Its descriptors, cookie and
    /// flags are set as the kernel wants them: replies and signals expect no reply, signals
    /// have a Bloom filter. The destination, the descriptors and a call's deadline are the
    /// caller's to fill in. Errors: those of wire::convert_message() and the message writers;
    /// those of memory files.
    [[nodiscard]] wire::Result<> pack(const wire::Message& message,
                                      const wire::BloomParameter& bloom);

    /// Moves the body to a memory file, if it is not there and long enough: to be sent again when
    /// the receiver's pool is too full for it. False if that changes nothing.
    [[nodiscard]] bool use_memfd();

    /// The result of pack(). Points into this object and at what the caller filled in.
    [[nodiscard]] abi::OutgoingMessage& message() noexcept { return outgoing_; }

    /// Lets go of the message's memory. Short buffers are kept.
    void release() noexcept;

private:
    [[nodiscard]] std::error_code move_body();
    void lay_out();

    wire::Buffer head_;
    wire::Buffer body_; ///< body and footer, or the body alone
    wire::Buffer tail_; ///< the footer if the body is in a memory file
    std::size_t body_size_ = 0;
    abi::SealedMemfd memfd_;
    std::vector<abi::Part> parts_;
    std::vector<std::uint64_t> filter_;
    abi::OutgoingMessage outgoing_;
};

/// A message that came from the kernel bus.
class FromKernel {
public:
    /// Understands @p received, of payload type KDBUS_PAYLOAD_DBUS, as the connection @p own_id
    /// gets it. The sender is the driver if @p received comes from who owns its name. Errors:
    /// those of wire::parse_kdbus(); message_too_long; EBADF for a lost memory file, those of mmap.
    [[nodiscard]] wire::Result<wire::Message> unpack(const abi::ReceivedMessage& received,
                                                     std::uint64_t own_id);

    /// Well-known names the sender of the message unpacked last owned when it sent.
    [[nodiscard]] std::span<const std::string_view> sender_names() const noexcept {
        return sender_names_;
    }

    /// Lets go of the message's memory: unpack()'s result is used up. Short buffers are kept.
    void release() noexcept;

private:
    wire::UniqueName sender_{0};
    wire::UniqueName destination_{0};
    std::vector<std::string_view> sender_names_;
    std::vector<abi::Mapping> mappings_;
    std::vector<wire::Piece> pieces_;
    wire::Buffer scratch_;
};

/// Bytes for a client's socket: @p message in D-Bus 1 form, in whatever format its body is, which
/// is validated. Errors: those of wire::convert_message() and wire::write_dbus1_header().
[[nodiscard]] wire::Result<Outgoing> to_client(const wire::Message& message);

} // namespace kdbus::proxy

#endif
