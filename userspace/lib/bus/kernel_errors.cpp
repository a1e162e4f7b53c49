// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel_errors.hpp"

#include "cancellation.hpp"

#include <cerrno>
#include <string>

namespace kdbus::detail {

Error send_error(int value, const wire::Message& message, bool disconnected) {
    const std::string destination(message.destination);
    switch (value) {
    case ENXIO:
    case ESRCH:
        return {error_names::service_unknown, "Nobody on the bus has the name " + destination};
    case EADDRNOTAVAIL:
        return {error_names::name_has_no_owner,
                "The service " + destination + " does not run and was not to be started"};
    case EPERM:
        return {error_names::access_denied, "Not allowed to talk to " + destination};
    case ENOBUFS:
        return {error_names::limits_exceeded, "Too much is waiting at the receiver"};
    case EXFULL:
        return {error_names::limits_exceeded, "No room for the message at the receiver"};
    case EMFILE:
        return {error_names::limits_exceeded, "Too many descriptors on their way"};
    case EMLINK:
        return {error_names::limits_exceeded, "Too many calls without an answer"};
    case EMSGSIZE:
    case E2BIG:
        return {error_names::limits_exceeded, "The message is too large"};
    case ECOMM:
        return {error_names::not_supported, destination + " does not accept descriptors"};
    case EOPNOTSUPP:
        return {error_names::not_supported, "Descriptors of this kind cannot be passed"};
    case ENOTUNIQ:
        return {error_names::not_supported, "Descriptors cannot be broadcast"};
    case ETIMEDOUT:
        return {error_names::no_reply, "No answer in time from " + destination};
    case EPIPE:
        return {error_names::no_reply, destination + " went away without an answer"};
    case EREMOTEIO:
        return {error_names::no_reply,
                destination + " answered with descriptors, which are not accepted here"};
    case ECANCELED:
        return cancelled("The call");
    case ECONNRESET:
        // The receiver was disconnecting, or ourselves (dbus-on-kdbus.md 12.12).
        if (disconnected)
            return {error_names::disconnected, "The connection has ended"};
        return {error_names::no_reply, destination + " is disconnecting"};
    default:
        return Error::from_errno(value, "Sending");
    }
}

Error request_name_error(int value, std::string_view name) {
    switch (value) {
    case EEXIST:
        return Error::from_errno(value, "The name " + std::string(name) + " is taken");
    case EPERM:
        return {error_names::access_denied, "Not allowed to own " + std::string(name)};
    case E2BIG:
        return {error_names::limits_exceeded, "Too many names"};
    case EINVAL:
        return {error_names::invalid_args, "Not a name: " + std::string(name)};
    default:
        return Error::from_errno(value, "Requesting " + std::string(name));
    }
}

Error release_name_error(int value, std::string_view name) {
    switch (value) {
    case ESRCH:
        return {error_names::name_has_no_owner, "Nobody owns " + std::string(name)};
    case EADDRINUSE:
        return Error::from_errno(value, "Somebody else owns " + std::string(name));
    default:
        return Error::from_errno(value, "Releasing " + std::string(name));
    }
}

Error lookup_error(int value, std::string_view name) {
    if (value == ESRCH || value == ENXIO)
        return {error_names::name_has_no_owner, "Nobody has the name " + std::string(name)};
    return Error::from_errno(value, "Looking up " + std::string(name));
}

} // namespace kdbus::detail
