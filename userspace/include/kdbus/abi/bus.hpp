// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_BUS_HPP
#define KDBUS_ABI_BUS_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/export.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kdbus::abi {

/// Where the module's nodes live (abi.md 2.1).
inline constexpr const char* node_directory = "/dev/kdbus";

/// What a new bus is like (abi.md 6.1).
struct BusOptions {
    /// Name; must begin with the caller's effective uid and a dash: "1000-user" (abi.md 2.2).
    std::string_view name;
    /// KDBUS_MAKE_ACCESS_GROUP, KDBUS_MAKE_ACCESS_WORLD: who may open its node;
    /// KDBUS_MAKE_ALLOW_UNIX_FDS: AF_UNIX sockets may be passed, if the module knows this flag.
    std::uint64_t flags = 0;
    /// Bytes of a Bloom filter, 8 to 4096 in steps of 8;
    /// the value all historical buses used (dbus-on-kdbus.md 3.1).
    std::uint64_t bloom_size = 64;
    std::uint64_t bloom_hashes = 8; ///< number of hash functions, likewise
    /// KDBUS_ATTACH_*: what peers may learn about the creator; nothing sent if empty.
    std::optional<std::uint64_t> attach_flags_send;
};

/// A bus made by this process. It lives as long as this object (strictly: as
/// the last copy of its descriptor); then all its connections are cut off.
/// The maker is not a peer: to talk, open a Connection on node_path().
class KDBUS_EXPORT Bus {
public:
    /// Makes a bus: its node exists and can be opened when this returns. Allocates.
    /// @p directory is where the control node is found. Errors (abi.md 6.1):
    /// EINVAL bad name, prefix or parameter; ENAMETOOLONG; EEXIST; EMFILE 16
    /// buses per user; ENOENT, EACCES from opening the control node.
    [[nodiscard]] static Result<Bus> make(const BusOptions& options,
                                          std::string_view directory = node_directory);

    /// Path of the default endpoint's node, "/dev/kdbus/<name>/bus".
    [[nodiscard]] const std::string& node_path() const noexcept { return node_path_; }
    /// The handle; polling it tells nothing (abi.md 8).
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

private:
    Bus(UniqueFd fd, std::string node_path) noexcept
        : fd_(std::move(fd)), node_path_(std::move(node_path)) {}

    UniqueFd fd_;
    std::string node_path_;
};

} // namespace kdbus::abi

#endif
