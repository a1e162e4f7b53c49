// SPDX-License-Identifier: LGPL-2.1-or-later
#include "addresses.hpp"
#include "core.hpp"
#include "kernel_transport.hpp"
#include "socket_bus.hpp"
#include "socket_peer.hpp"
#include "unix_socket.hpp"

#include <kdbus/bus.hpp>
#include <kdbus/wire/address.hpp>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <unistd.h>
#include <utility>

namespace kdbus {
namespace {

/// No such bus, or a device that is none: the next address may be tried whatever its transport.
bool is_absent(const std::error_code& error) {
    return error.value() == ENOENT || error.value() == ENOTTY || error.value() == ENXIO ||
           error.value() == ENODEV;
}

std::string variable(const char* name) {
    const char* value = secure_getenv(name);
    return value == nullptr ? std::string() : value;
}

using TransportResult = Result<std::unique_ptr<detail::Transport>>;

/// @p refused: set if there is a bus that does not want us.
TransportResult open_kernel(const wire::Address& address, const ConnectionOptions& options,
                            bool& refused) {
    const std::string* path = address.find("path");
    if (path == nullptr || path->empty())
        return Error{error_names::bad_address, "No path in " + address.text()};
    auto transport = detail::KernelTransport::open(*path, options);
    if (transport)
        return std::move(*transport);
    refused = !is_absent(transport.error());
    return Error::from_code(transport.error(), "Connecting to " + *path);
}

TransportResult open_unix(const wire::Address& address, const ConnectionOptions& options) {
    auto socket = detail::connect_unix(address);
    if (!socket)
        return std::move(socket).error();
    const std::string* guid = address.find("guid");
    auto transport =
        detail::SocketBus::open(std::move(*socket), guid ? *guid : std::string(), options);
    if (!transport)
        return Error{transport.error().name,
                     "Connecting to " + address.text() + ": " + transport.error().message};
    return transport;
}

} // namespace

Result<Connection> Connection::open(std::string_view addresses, const ConnectionOptions& options) {
    const auto parsed = wire::parse_addresses(addresses);
    if (!parsed)
        return Error{error_names::bad_address,
                     "Not an address: " + std::string(addresses) + ": " + parsed.error().message()};
    std::optional<Error> failure;
    bool kernel_only = false;
    for (const wire::Address& address : *parsed) {
        // A client that the kernel bus turned away must not sneak in by another way.
        if (kernel_only && address.transport != "kernel")
            continue;
        bool refused = false;
        auto transport =
            address.transport == "kernel" ? open_kernel(address, options, refused)
            : address.transport == "unix"
                ? open_unix(address, options)
                : TransportResult(Error{error_names::not_supported,
                                        "Transport " + address.transport + " is not supported"});
        if (transport)
            return detail::ConnectionCore::make(std::move(*transport));
        kernel_only = kernel_only || refused;
        const Error& error = transport.error();
        if (!failure) {
            failure = error;
            continue;
        }
        failure->message += "; " + error.message;
        // That there is no such thing tells the least.
        if (failure->name == error_names::file_not_found)
            failure->name = error.name;
    }
    return std::move(*failure);
}

Result<Connection> Connection::system(const ConnectionOptions& options) {
    return open(detail::default_addresses(variable("DBUS_SYSTEM_BUS_ADDRESS"), "0-system",
                                          "unix:path=/var/run/dbus/system_bus_socket"),
                options);
}

Result<Connection> Connection::session(const ConnectionOptions& options) {
    return open(detail::default_addresses(variable("DBUS_SESSION_BUS_ADDRESS"),
                                          std::to_string(getuid()) + "-user", "unix:runtime=yes"),
                options);
}

Result<Connection> Connection::from_socket(abi::UniqueFd socket, PeerRole role,
                                           const ConnectionOptions& options) {
    auto transport = detail::SocketPeer::open(std::move(socket), role, options);
    if (!transport)
        return std::move(transport).error();
    return detail::ConnectionCore::make(std::move(*transport));
}

Connection::Connection(std::shared_ptr<detail::ConnectionCore> core) noexcept
    : core_(std::move(core)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

const std::string& Connection::unique_name() const noexcept {
    return core_->transport().unique_name();
}

const std::string& Connection::bus_id() const noexcept {
    return core_->transport().bus_id();
}

Result<Message> Connection::call_raw(const Method& method, const detail::ArgumentsRef& args) {
    return core_->call(method, args);
}

Result<Slot> Connection::call_async_raw(const Method& method, ReplyCallback callback,
                                        const detail::ArgumentsRef& args) {
    return core_->call_async(method, std::move(callback), args);
}

Result<void> Connection::call_no_reply_raw(const Method& method, const detail::ArgumentsRef& args) {
    return core_->call_no_reply(method, args);
}

Result<Slot> Connection::add_object(std::string_view path, Interface interface) {
    std::vector<Interface> interfaces;
    interfaces.push_back(std::move(interface));
    return add_object(path, std::move(interfaces));
}

Result<Slot> Connection::add_object(std::string_view path, std::vector<Interface> interfaces) {
    return core_->add_object(path, std::move(interfaces));
}

Result<Slot> Connection::add_object_manager(std::string_view path) {
    return core_->add_object_manager(path);
}

Result<void> Connection::emit_properties_changed(std::string_view path, std::string_view interface,
                                                 std::span<const std::string_view> properties) {
    return core_->emit_properties_changed(path, interface, properties);
}

Result<void> Connection::emit_raw(std::string_view destination, const Signal& signal,
                                  const detail::ArgumentsRef& args) {
    return core_->emit(destination, signal, args);
}

Result<Slot> Connection::subscribe_raw(std::string_view rule, SignalHandler handler,
                                       EndHandler ended) {
    return core_->subscribe(rule, std::move(handler), std::move(ended));
}

Result<Slot> Connection::start_timer(std::chrono::nanoseconds duration, const std::stop_token& stop,
                                     ReplyCallback callback) {
    return core_->start_timer(duration, stop, std::move(callback));
}

Slot Connection::spawn(Task<void> task) {
    return core_->spawn(std::move(task));
}

Result<Slot> Connection::subscribe_raw(const Match& match, SignalHandler handler,
                                       EndHandler ended) {
    auto rule = match.rule();
    if (!rule)
        return std::move(rule).error();
    return core_->subscribe(*std::move(rule), std::move(handler), std::move(ended));
}

Result<NameState> Connection::request_name(std::string_view name, NameFlags flags) {
    return core_->request_name(name, flags);
}

Result<void> Connection::release_name(std::string_view name) {
    return core_->release_name(name);
}

Result<std::string> Connection::name_owner(std::string_view name) {
    return core_->name_owner(name);
}

Result<Slot> Connection::watch_name(
    std::string_view name,
    std::move_only_function<void(std::string_view old_owner, std::string_view new_owner)> handler) {
    return core_->watch_name(name, std::move(handler));
}

Result<std::vector<std::string>> Connection::list_names() {
    return core_->list_names();
}

Result<Credentials> Connection::credentials(std::string_view name) {
    auto known = info(name, KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS);
    if (!known)
        return std::move(known).error();
    if (!known->credentials)
        return Error{error_names::failed,
                     "The credentials of " + std::string(name) + " are not known"};
    return *known->credentials;
}

Result<Credentials> Connection::credentials(const Message& message) {
    if (auto attached = message.credentials())
        return *attached;
    return credentials(message.sender());
}

Result<ConnectionInfo> Connection::info(std::string_view name, std::uint64_t what) {
    return core_->info(name, what);
}

Result<bool> Connection::sender_changed(const Message& message) {
    const bool ids = message.metadata().creds().has_value();
    const bool process = message.metadata().pids().has_value();
    const auto sender = message.credentials();
    if (!sender)
        return false;
    const auto opener = credentials(message.sender());
    if (!opener)
        return opener.error();
    if ((ids && opener->euid == Credentials::unknown_uid) ||
        (process && opener->pid == 0 && sender->pid != 0))
        return Error{error_names::failed,
                     std::string(message.sender()) + " does not let others know who opened it"};
    const auto ids_of = [](const Credentials& of) {
        return std::tuple(of.uid, of.euid, of.suid, of.fsuid, of.gid, of.egid, of.sgid, of.fsgid);
    };
    return (ids && ids_of(*sender) != ids_of(*opener)) || (process && sender->pid != opener->pid);
}

int Connection::fd() const noexcept {
    return core_->transport().fd();
}

short Connection::events() const noexcept {
    return core_->transport().events();
}

std::optional<std::chrono::steady_clock::time_point> Connection::timeout() const noexcept {
    using std::chrono::steady_clock;
    const auto deadline = core_->timeout_ns();
    if (!deadline)
        return std::nullopt;
    return steady_clock::time_point(std::chrono::duration_cast<steady_clock::duration>(
        std::chrono::nanoseconds(static_cast<std::int64_t>(*deadline))));
}

Result<bool> Connection::process() {
    return core_->process();
}

void Connection::on_change(std::move_only_function<void()> callback) {
    core_->on_change(std::move(callback));
}

Result<bool> Connection::wait(std::chrono::nanoseconds limit) {
    return core_->wait(limit);
}

Result<void> Connection::run() {
    return core_->run();
}

void Connection::stop() noexcept {
    core_->stop();
}

std::uint64_t Connection::lost_signals() const noexcept {
    return core_->transport().lost_signals();
}

} // namespace kdbus
