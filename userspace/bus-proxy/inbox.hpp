// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_INBOX_HPP
#define KDBUS_PROXY_INBOX_HPP

#include <kdbus/abi/fd.hpp>
#include <kdbus/wire/error.hpp>

#include <cstddef>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace kdbus::proxy {

/// What came in from a client and was not used yet: bytes and descriptors.
///
/// Memory grows with what really arrived, never with what a header announces,
/// and is given back when everything is used.
class Inbox {
public:
    /// Bytes that room() offers, unless a longer message is on its way.
    static constexpr std::size_t chunk = 64 * 1024;

    /// Space to receive into, then commit(). Never empty. Throws std::bad_alloc.
    [[nodiscard]] std::span<std::byte> room();
    /// That many bytes of room() were filled.
    void commit(std::size_t count) noexcept { end_ += count; }
    void add_fd(abi::UniqueFd fd) { fds_.push_back(std::move(fd)); }

    /// Received and not used. Valid until the next call that is not const.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return {memory_.get() + begin_, end_ - begin_};
    }
    /// Marks the first bytes as used.
    void consume(std::size_t count) noexcept;

    /// The first message in D-Bus 1 form; nothing as long as it is incomplete. It starts on an
    /// 8-byte boundary. Valid until the next call that is not const. Errors: what
    /// wire::dbus1_message_size() finds wrong with its beginning. Throws std::bad_alloc.
    [[nodiscard]] wire::Result<std::optional<std::span<const std::byte>>> message();

    /// Descriptors received and not taken.
    [[nodiscard]] std::size_t fd_count() const noexcept { return fds_.size(); }
    /// Takes the oldest @p count descriptors, of which there must be so many.
    [[nodiscard]] std::vector<abi::UniqueFd> take_fds(std::size_t count);

private:
    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };

    std::unique_ptr<std::byte, Free> memory_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::vector<std::max_align_t> aligned_;
    std::deque<abi::UniqueFd> fds_;
};

} // namespace kdbus::proxy

#endif
