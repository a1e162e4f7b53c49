// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_OPTIONS_HPP
#define KDBUS_PROXY_OPTIONS_HPP

#include <kdbus/wire/address.hpp>

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kdbus::proxy {

/// What the command line asks for, with defaults filled in.
struct Options {
    bool make_bus = false;
    std::string bus; ///< name of the bus to make, else path of the node to join
    /// Where to listen; "systemd:" is not among them, see passed_sockets.
    std::vector<wire::Address> addresses;
    /// Take over the sockets that a service manager passed.
    bool passed_sockets = false;
    /// Everybody may connect, not only the bus's own user.
    bool everybody = false;
    std::optional<int> print_address; ///< descriptor to print to
    std::optional<int> print_pid;
    bool verbose = false;
};

/// The environment that defaults depend on.
struct Environment {
    unsigned uid = 0;                       ///< effective
    std::optional<std::string> runtime_dir; ///< XDG_RUNTIME_DIR
    bool sockets_passed = false;            ///< a service manager passed some
};

/// There is nothing more to do: print that text and leave with that status.
struct Finished {
    int status = 0;
    std::string text;
};

/// Reads the command line.
[[nodiscard]] std::variant<Options, Finished> parse_options(int argc, const char* const* argv,
                                                            const Environment& environment);

} // namespace kdbus::proxy

#endif
