// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_LISTENER_HPP
#define KDBUS_PROXY_LISTENER_HPP

#include "event.hpp"

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/wire/address.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kdbus::proxy {

/// A UNIX socket that clients connect to.
class Listener {
public:
    /// Gets each new connection, non-blocking and close-on-exec.
    using Accept = std::function<void(abi::UniqueFd)>;

    /// Binds the address (unix: with path, abstract, dir, tmpdir or runtime). @p mode: permissions
    /// of the socket's file. A file that a dead server left is replaced. Throws std::system_error.
    Listener(const wire::Address& address, unsigned mode);
    /// Takes over a socket that listens already. Throws std::system_error if it does not.
    explicit Listener(abi::UniqueFd socket);
    /// Removes the socket's file, if it was made here.
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    /// Starts accepting. Throws std::system_error.
    void start(Loop& loop, Accept accept);

    /// Where clients connect: a D-Bus address.
    [[nodiscard]] const wire::Address& address() const noexcept { return address_; }

private:
    void find_address();
    void accept_some();

    abi::UniqueFd socket_;
    wire::Address address_;
    std::string unlink_path_;
    Accept accept_;
    std::unique_ptr<Io> io_;
    std::unique_ptr<Timer> retry_;
};

/// The sockets that a service manager passed, if any (sd_listen_fds(3)). Throws
/// std::system_error.
[[nodiscard]] std::vector<abi::UniqueFd> passed_sockets();

} // namespace kdbus::proxy

#endif
