// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ABI_CONNECTION_HPP
#define KDBUS_ABI_CONNECTION_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/fd.hpp>
#include <kdbus/abi/match.hpp>
#include <kdbus/abi/message.hpp>
#include <kdbus/abi/metadata.hpp>
#include <kdbus/abi/pool.hpp>
#include <kdbus/abi/send.hpp>
#include <kdbus/export.hpp>

#include <linux/kdbus.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace kdbus::abi {

/// How to say HELLO (abi.md 6.4).
struct HelloOptions {
    /// KDBUS_HELLO_*. With ACCEPT_FD, peers may pass descriptors.
    std::uint64_t flags = KDBUS_HELLO_ACCEPT_FD;
    /// KDBUS_ATTACH_*: what others may see of this connection; all by default.
    std::uint64_t attach_flags_send = _KDBUS_ATTACH_ANY;
    /// KDBUS_ATTACH_*: what received messages shall carry. Ask for what is used only.
    std::uint64_t attach_flags_recv = 0;
    /// Bytes of receive memory, a multiple of the page size; memory is used as needed.
    std::uint64_t pool_size = 16 * 1024 * 1024;
    /// Label for debugging, at most 63 characters (abi.md 2.2); none if empty.
    std::string_view description;
    /// Identity to report instead of the own one, for proxies; bus owners only. Ids of
    /// unknown_id and pids of 0 mean "unknown". If any of the three is given, the others
    /// are unknown altogether.
    std::optional<kdbus_creds> creds;
    std::optional<kdbus_pids> pids;           ///< as above
    std::optional<std::string_view> seclabel; ///< as above
};

/// Result of asking for a name (abi.md 9.2).
struct NameOutcome {
    std::uint64_t flags = 0; ///< KDBUS_NAME_*
    /// We own the name now. Success alone does not mean that.
    [[nodiscard]] bool primary() const noexcept { return (flags & KDBUS_NAME_PRIMARY) != 0; }
    /// We wait for it.
    [[nodiscard]] bool in_queue() const noexcept { return (flags & KDBUS_NAME_IN_QUEUE) != 0; }
    /// We did not own it, or wait for it, before.
    [[nodiscard]] bool acquired() const noexcept { return (flags & KDBUS_NAME_ACQUIRED) != 0; }
};

/// One record of a connection list or query: a view (abi.md 6.8, 6.10).
struct InfoView {
    std::uint64_t id = 0;    ///< of the connection
    std::uint64_t flags = 0; ///< KDBUS_HELLO_* of that connection
    ItemRange items;         ///< what was asked for
    /// The items by name.
    [[nodiscard]] Metadata metadata() const noexcept { return Metadata(items); }
};

/// A list of records in the pool; given back on destruction.
class KDBUS_EXPORT InfoList {
public:
    InfoList() noexcept = default;
    /// Takes the list over.
    explicit InfoList(Slice slice) noexcept : slice_(std::move(slice)) {}

    /// Calls @p visit(const InfoView&) for each record; ends at one that is malformed.
    template <class Visitor>
    void for_each(Visitor&& visit) const {
        auto rest = slice_.bytes();
        while (auto record = next(rest))
            visit(*record);
    }
    /// The first record: the answer to a query for one connection.
    [[nodiscard]] std::optional<InfoView> first() const noexcept {
        auto rest = slice_.bytes();
        return next(rest);
    }

    /// Cuts the first record off @p rest; nothing at the end or if it is malformed.
    [[nodiscard]] static std::optional<InfoView> next(std::span<const std::byte>& rest) noexcept;

private:
    Slice slice_;
};

/// What RECV gave (messages.md 6.2).
struct Received {
    /// The message; nothing if none was suitable, or with KDBUS_RECV_DROP.
    std::optional<ReceivedMessage> message;
    /// With KDBUS_RECV_DROP: whether there was a message to discard.
    bool discarded = false;
    /// Signals and notifications lost since the last report, whether or not there is a message.
    std::uint64_t dropped = 0;
};

/// How to wait for the reply of a synchronous call.
struct CallOptions {
    /// The wait ends with ECANCELED when this becomes readable (an eventfd, say); -1: none.
    int cancel_fd = -1;
    /// Keep waiting when a signal handler ran. If false, EINTR is returned and calling
    /// again with the same cookie goes on waiting without sending again (messages.md 5.3).
    bool resume_interrupted = true;
};

/// A peer on a bus.
///
/// Movable, not copyable. All operations are const and may be used from several
/// threads at once on one object: it holds nothing that changes after HELLO, and
/// the kernel serialises. Moving, assigning and destroying need exclusive use.
/// No operation allocates memory unless it says so.
///
/// Destruction ends the connection at once, even if slices or messages of it
/// still live (those stay readable).
class KDBUS_EXPORT Connection {
public:
    /// Opens an endpoint's node and says HELLO. Allocates. Errors: those of open
    /// (ENOENT no such bus, EACCES, ESHUTDOWN), of HELLO (abi.md 6.4: EINVAL, EPERM,
    /// EMFILE, ENOMEM, ...), of mmap; EPROTO if the kernel's answer makes no sense.
    [[nodiscard]] static Result<Connection> open(const std::string& node_path,
                                                 const HelloOptions& options = {});
    /// Says HELLO on a handle that is already open. Allocates. On failure the handle is
    /// closed. Same errors.
    [[nodiscard]] static Result<Connection> hello(UniqueFd handle,
                                                  const HelloOptions& options = {});

    Connection(Connection&&) noexcept = default;
    Connection& operator=(Connection&& other) noexcept;
    ~Connection();

    /// Our unique id.
    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
    /// The bus's UUID.
    [[nodiscard]] const std::array<std::uint8_t, 16>& bus_uuid() const noexcept { return uuid_; }
    /// KDBUS_MAKE_* of the bus.
    [[nodiscard]] std::uint64_t bus_flags() const noexcept { return bus_flags_; }
    /// Size and number of hash functions of the bus's Bloom filters.
    [[nodiscard]] const kdbus_bloom_parameter& bloom() const noexcept { return bloom_; }
    /// Bytes of receive memory.
    [[nodiscard]] std::uint64_t pool_size() const noexcept { return pool_->size(); }

    /// To be polled for POLLIN: a message waits or some were lost. POLLHUP: the
    /// connection has ended (abi.md 8). Belongs to the connection.
    [[nodiscard]] int fd() const noexcept { return pool_->fd(); }

    /// Sends without waiting. When it returns, the message is queued at its receiver, or
    /// (signals) was legally dropped. Errors: messages.md 1.1 to 1.5, see
    /// dbus-on-kdbus.md 6.1; EMSGSIZE, EINVAL from encode().
    Result<void> send(const OutgoingMessage& message) const noexcept;

    /// Sends a call and waits for its reply (messages.md 5). The message needs
    /// KDBUS_MSG_EXPECT_REPLY, a deadline, and a cookie no other open call of this
    /// connection has. Only this thread waits. Errors: as send(), and ETIMEDOUT;
    /// EPIPE callee died or dropped the call; ECANCELED; EREMOTEIO the reply carried
    /// descriptors we do not accept; EINTR only if not resumed; ECONNRESET own
    /// connection ended or callee disconnecting.
    Result<ReceivedMessage> call(const OutgoingMessage& message,
                                 const CallOptions& options = {}) const noexcept;

    /// Takes the next message (messages.md 6); does not wait. @p flags: KDBUS_RECV_*;
    /// @p priority: bound for KDBUS_RECV_USE_PRIORITY. A peeked message must be destroyed
    /// before the same message is received. An empty queue is no error. Errors: EINVAL flags,
    /// EOPNOTSUPP kind of connection, ECONNRESET ended, EBADMSG the kernel's message
    /// makes no sense (it is freed).
    Result<Received> recv(std::uint64_t flags = 0, std::int64_t priority = 0) const noexcept;

    /// Asks for a well-known name. @p flags: KDBUS_NAME_REPLACE_EXISTING,
    /// _ALLOW_REPLACEMENT, _QUEUE. Errors (abi.md 6.11): EEXIST owned by somebody else;
    /// EINVAL bad name; EPERM policy; E2BIG 256 names.
    Result<NameOutcome> acquire_name(std::string_view name, std::uint64_t flags = 0) const noexcept;
    /// Gives up a name, or waiting for it. Errors (abi.md 6.12): ESRCH no such name;
    /// EADDRINUSE not ours.
    Result<void> release_name(std::string_view name) const noexcept;

    /// Connections and names (abi.md 6.10). @p flags: KDBUS_LIST_*. Errors: EXFULL pool full.
    Result<InfoList> list(std::uint64_t flags) const noexcept;

    /// Asks about a connection; use first() of the result (abi.md 6.8). @p attach_flags:
    /// KDBUS_ATTACH_*. Errors: ENXIO no such id, ESRCH no such name, EXFULL pool full.
    Result<InfoList> info(std::uint64_t id, std::uint64_t attach_flags) const noexcept;
    /// Same by name; if @p id is not 0, the owner must have that id, else ESRCH.
    Result<InfoList> info(std::string_view name, std::uint64_t attach_flags,
                          std::uint64_t id = 0) const noexcept;

    /// Installs a match under a cookie of the caller's choice (abi.md 6.13). @p flags:
    /// KDBUS_MATCH_REPLACE. No rules: everything matches. Errors: EDOM Bloom mask of the
    /// wrong size; EMFILE 256 matches; EINVAL bad name; EMSGSIZE rules exceed 32 KiB.
    Result<void> add_match(std::uint64_t cookie, std::span<const match::Rule> rules,
                           std::uint64_t flags = 0) const noexcept;
    /// Removes all matches with that cookie. Errors: EBADSLT none.
    Result<void> remove_match(std::uint64_t cookie) const noexcept;

    /// Ends the connection if nothing is queued for it (abi.md 6.6). Errors: EBUSY
    /// messages wait; ECONNRESET already ended.
    Result<void> byebye() const noexcept;

private:
    Connection() noexcept = default;
    void end() noexcept;

    std::shared_ptr<const Pool> pool_;
    std::uint64_t id_ = 0;
    std::uint64_t bus_flags_ = 0;
    kdbus_bloom_parameter bloom_{};
    std::array<std::uint8_t, 16> uuid_{};
};

} // namespace kdbus::abi

#endif
