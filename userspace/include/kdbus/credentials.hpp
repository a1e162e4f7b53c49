// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_CREDENTIALS_HPP
#define KDBUS_CREDENTIALS_HPP

#include <kdbus/abi/metadata.hpp>
#include <kdbus/export.hpp>

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kdbus {

/// Who a process is, as the kernel says, in our own namespaces (messages.md 9.2). To decide what it
/// may do, look at the effective ids: on a bus that is not the kernel's they are all that is known.
struct Credentials {
    /// Not told.
    static constexpr auto unknown_uid = static_cast<uid_t>(-1);
    /// Not told.
    static constexpr auto unknown_gid = static_cast<gid_t>(-1);

    /// Real, effective, saved and file-system ids.
    ///@{
    uid_t uid = unknown_uid, euid = unknown_uid, suid = unknown_uid, fsuid = unknown_uid;
    gid_t gid = unknown_gid, egid = unknown_gid, sgid = unknown_gid, fsgid = unknown_gid;
    ///@}
    /// Process, thread and parent; 0: unknown.
    ///@{
    pid_t pid = 0, tid = 0, ppid = 0;
    ///@}
};

using abi::Capabilities;

/// The audit identity of a process.
struct AuditIdentity {
    /// Of a process that no login stands behind; also if it cannot be told in our user namespace.
    static constexpr std::uint32_t unset = 0xFFFFFFFF;
    std::uint32_t session = unset;   ///< number of the session
    std::uint32_t login_uid = unset; ///< user that logged in
};

/// What is known of a connection and of the process behind it. Each part is absent if it was not
/// asked for, if it is withheld, and if there is no such thing (a security label without a security
/// module, say); over sockets there are only those that say so.
///
/// Credentials, groups, names and the security label may decide what somebody may do. The rest is
/// information: a process chooses its name and command line itself, and its executable and
/// capabilities may have been taken over by whoever traced it.
struct ConnectionInfo {
    /// Unique name (over sockets, too); empty from peer to peer.
    std::string unique_name;
    /// KDBUS_ATTACH_CREDS, KDBUS_ATTACH_PIDS. Over sockets: effective ids and process.
    std::optional<Credentials> credentials;
    /// KDBUS_ATTACH_NAMES: well-known names it owns (over sockets, too). Empty as well if it does
    /// not let others know.
    std::optional<std::vector<std::string>> names;
    /// KDBUS_ATTACH_AUXGROUPS: supplementary groups. Over sockets, if the bus tells, with the
    /// effective group among them.
    std::optional<std::vector<gid_t>> groups;
    std::optional<std::string> thread_name;  ///< KDBUS_ATTACH_TID_COMM: of the thread that sent
    std::optional<std::string> process_name; ///< KDBUS_ATTACH_PID_COMM
    /// KDBUS_ATTACH_EXE: absolute path, " (deleted)" behind it if the file is gone; absent if the
    /// process has another root directory.
    std::optional<std::string> executable;
    /// KDBUS_ATTACH_CMDLINE: arguments; maybe the first one only.
    std::optional<std::vector<std::string>> command_line;
    std::optional<std::string> cgroup; ///< KDBUS_ATTACH_CGROUP: path in the cgroup hierarchy
    /// KDBUS_ATTACH_SECLABEL (over sockets, too, if the bus tells).
    std::optional<std::string> security_label;
    /// KDBUS_ATTACH_CAPS: as seen in our user namespace.
    std::optional<Capabilities> capabilities;
    std::optional<AuditIdentity> audit; ///< KDBUS_ATTACH_AUDIT
    /// KDBUS_ATTACH_CONN_DESCRIPTION: the label it chose (ConnectionOptions::description).
    std::optional<std::string> description;
};

/// The credentials in a message's or connection's metadata; nothing if there are none.
[[nodiscard]] KDBUS_EXPORT std::optional<Credentials>
credentials_of(const abi::Metadata& metadata) noexcept;

/// All that a message's or connection's metadata says, but for its unique name and the time. @p
/// names_asked: whether names were asked for, so that no name means that it owns none.
[[nodiscard]] KDBUS_EXPORT ConnectionInfo info_of(const abi::Metadata& metadata, bool names_asked);

} // namespace kdbus

#endif
