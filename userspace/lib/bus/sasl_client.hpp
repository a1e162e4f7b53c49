// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_SASL_CLIENT_HPP
#define KDBUS_LIB_BUS_SASL_CLIENT_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kdbus::detail {

/// The client's part of the authentication conversation (D-Bus specification, "Authentication
/// Protocol"): EXTERNAL, then perhaps descriptors, then BEGIN. Text in, text out: no I/O and no
/// clock.
///
/// Everything up to BEGIN is said at once, so that it takes one round trip.
class SaslClient {
public:
    enum class State {
        authenticating, ///< OK is due
        negotiating,    ///< the answer about descriptors is due
        done,           ///< BEGIN is said, what follows are messages
        failed,         ///< refused, or the server speaks another language
    };

    /// No line of a server is as long as that.
    static constexpr std::size_t max_line = 16 * 1024;

    /// Appends the client's opening to @p output. @p uid: the identity to claim, which must be
    /// what the socket says; @p want_fds: ask to pass file descriptors; @p guid: the server's id if
    /// it is known, else empty.
    SaslClient(std::uint32_t uid, bool want_fds, std::string guid, std::string& output);

    /// Handles the complete lines in @p input, appends what is to be said to @p output and gives
    /// the number of bytes used. The rest is to be presented again, with what follows it.
    std::size_t feed(std::string_view input, std::string& output);

    [[nodiscard]] State state() const noexcept { return state_; }
    /// File descriptors may be passed, in both directions.
    [[nodiscard]] bool fds_agreed() const noexcept { return fds_agreed_; }
    /// The server's id, 32 hexadecimal digits, once it accepted us.
    [[nodiscard]] const std::string& guid() const noexcept { return guid_; }

private:
    void line(std::string_view text, std::string& output);
    void accepted(std::string_view guid, std::string& output);
    void begin(std::string& output);

    std::string guid_;
    bool want_fds_;
    bool fds_agreed_ = false;
    State state_ = State::authenticating;
};

} // namespace kdbus::detail

#endif
