// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_SASL_SERVER_HPP
#define KDBUS_LIB_BUS_SASL_SERVER_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kdbus::detail {

/// The server's part of the authentication conversation (D-Bus specification,
/// "Authentication Protocol"; dbus-on-kdbus.md 7.1). Text in, text out: no
/// I/O and no clock.
///
/// The one mechanism is EXTERNAL: the peer is whoever the socket says it is,
/// and may only claim to be that user.
class SaslServer {
public:
    enum class State {
        nul,     ///< the leading NUL byte has not come yet
        waiting, ///< for AUTH
        data,    ///< an empty challenge was sent, its answer is due
        begin,   ///< authenticated, BEGIN is due
        done,    ///< what follows are messages
        failed,  ///< the peer must be disconnected
    };

    /// A line may be that long; the peer has only 16 KiB to say what it wants.
    static constexpr std::size_t max_line = 16 * 1024;
    /// So many attempts, then the peer is disconnected.
    static constexpr unsigned max_rejections = 6;

    /// @p guid: 32 hex digits, the server's id; @p uid: the peer's, from the
    /// socket; @p offer_fds: agree to pass file descriptors.
    SaslServer(std::string guid, std::uint32_t uid, bool offer_fds);

    /// Handles the complete lines in @p input, appends the answers to @p output
    /// and gives the number of bytes used. The rest is to be presented again,
    /// with what follows it. Uses nothing behind BEGIN.
    std::size_t feed(std::string_view input, std::string& output);

    [[nodiscard]] State state() const noexcept { return state_; }
    /// File descriptors may be passed, in both directions.
    [[nodiscard]] bool fds_agreed() const noexcept { return fds_agreed_; }

private:
    void line(std::string_view text, std::string& output);
    void authenticate(std::string_view arguments, std::string& output);
    void check_identity(std::string_view hex, std::string& output);
    void accept(std::string& output);
    void reject(std::string& output);

    std::string guid_;
    std::uint32_t uid_;
    bool offer_fds_;
    State state_ = State::nul;
    bool fds_agreed_ = false;
    unsigned rejections_ = 0;
};

} // namespace kdbus::detail

#endif
