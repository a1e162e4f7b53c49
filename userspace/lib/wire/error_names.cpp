// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/error_names.hpp>

#include <cerrno>
#include <cstring>

namespace kdbus::wire {

namespace {

constexpr std::string_view standard_prefix = "org.freedesktop.DBus.Error.";
constexpr std::string_view system_prefix = "System.Error.";

struct Pair {
    int error;
    std::string_view name;
};

constexpr Pair to_name[] = {
    {ENOMEM, "NoMemory"},
    {EPERM, "AccessDenied"},
    {EACCES, "AccessDenied"},
    {EINVAL, "InvalidArgs"},
    {ESRCH, "UnixProcessIdUnknown"},
    {ENOENT, "FileNotFound"},
    {EEXIST, "FileExists"},
    {ETIMEDOUT, "Timeout"},
    {ETIME, "Timeout"},
    {EIO, "IOError"},
    {ENETRESET, "Disconnected"},
    {ECONNABORTED, "Disconnected"},
    {ECONNRESET, "Disconnected"},
    {EOPNOTSUPP, "NotSupported"},
    {EADDRNOTAVAIL, "BadAddress"},
    {ENOBUFS, "LimitsExceeded"},
    {EADDRINUSE, "AddressInUse"},
    {EBADMSG, "InconsistentMessage"},
};

constexpr Pair from_name[] = {
    {EACCES, "Failed"},
    {ENOMEM, "NoMemory"},
    {EHOSTUNREACH, "ServiceUnknown"},
    {ENXIO, "NameHasNoOwner"},
    {ETIMEDOUT, "NoReply"},
    {ETIMEDOUT, "Timeout"},
    {ETIMEDOUT, "TimedOut"},
    {EIO, "IOError"},
    {EADDRNOTAVAIL, "BadAddress"},
    {EOPNOTSUPP, "NotSupported"},
    {ENOBUFS, "LimitsExceeded"},
    {EACCES, "AccessDenied"},
    {EACCES, "AuthFailed"},
    {EACCES, "InteractiveAuthorizationRequired"},
    {EHOSTDOWN, "NoServer"},
    {ENONET, "NoNetwork"},
    {EADDRINUSE, "AddressInUse"},
    {ECONNRESET, "Disconnected"},
    {EINVAL, "InvalidArgs"},
    {EINVAL, "InvalidSignature"},
    {EINVAL, "MatchRuleInvalid"},
    {EINVAL, "InvalidFileContent"},
    {ENOENT, "FileNotFound"},
    {ENOENT, "MatchRuleNotFound"},
    {EEXIST, "FileExists"},
    {EBADR, "UnknownMethod"},
    {EBADR, "UnknownObject"},
    {EBADR, "UnknownInterface"},
    {EBADR, "UnknownProperty"},
    {EROFS, "PropertyReadOnly"},
    {ESRCH, "UnixProcessIdUnknown"},
    {ESRCH, "SELinuxSecurityContextUnknown"},
    {EBADMSG, "InconsistentMessage"},
    {EBUSY, "ObjectPathInUse"},
};

constexpr int highest_errno = 4095; // the kernel's convention

} // namespace

std::string error_name_from_errno(int error) {
    for (const Pair& pair : to_name)
        if (pair.error == error)
            return std::string(standard_prefix).append(pair.name);
    const char* name = error > 0 ? strerrorname_np(error) : nullptr;
    if (name == nullptr)
        return std::string(standard_prefix).append("Failed");
    return std::string(system_prefix).append(name);
}

int errno_from_error_name(std::string_view name) noexcept {
    if (name.empty())
        return 0;
    if (name.starts_with(standard_prefix)) {
        for (const Pair& pair : from_name)
            if (pair.name == name.substr(standard_prefix.size()))
                return pair.error;
    } else if (name.starts_with(system_prefix)) {
        for (int error = 1; error <= highest_errno; error++)
            if (const char* known = strerrorname_np(error);
                known != nullptr && name.substr(system_prefix.size()) == known)
                return error;
    }
    return EIO;
}

} // namespace kdbus::wire
