// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/credentials.hpp>

#include <string_view>
#include <utility>

namespace kdbus {
namespace {

/// The kernel's 64-bit ids say "unknown" with 32 set bits (messages.md 13.35).
std::uint32_t narrow_id(std::uint64_t id) noexcept {
    return id >= abi::unknown_id ? ~std::uint32_t{0} : static_cast<std::uint32_t>(id);
}

std::optional<std::string> copy_of(std::optional<std::string_view> text) {
    if (!text)
        return std::nullopt;
    return std::string(*text);
}

/// Strings with a NUL behind each.
std::vector<std::string> split(std::string_view strings) {
    std::vector<std::string> result;
    while (!strings.empty()) {
        const auto end = strings.find('\0');
        result.emplace_back(strings.substr(0, end));
        strings.remove_prefix(end == std::string_view::npos ? strings.size() : end + 1);
    }
    return result;
}

} // namespace

std::optional<Credentials> credentials_of(const abi::Metadata& metadata) noexcept {
    const auto creds = metadata.creds();
    const auto pids = metadata.pids();
    if (!creds && !pids)
        return std::nullopt;
    Credentials result;
    if (creds) {
        result.uid = narrow_id(creds->uid);
        result.euid = narrow_id(creds->euid);
        result.suid = narrow_id(creds->suid);
        result.fsuid = narrow_id(creds->fsuid);
        result.gid = narrow_id(creds->gid);
        result.egid = narrow_id(creds->egid);
        result.sgid = narrow_id(creds->sgid);
        result.fsgid = narrow_id(creds->fsgid);
    }
    if (pids) {
        result.pid = static_cast<pid_t>(pids->pid);
        result.tid = static_cast<pid_t>(pids->tid);
        result.ppid = static_cast<pid_t>(pids->ppid);
    }
    return result;
}

ConnectionInfo info_of(const abi::Metadata& metadata, bool names_asked) {
    ConnectionInfo info;
    info.credentials = credentials_of(metadata);
    if (names_asked) {
        auto& names = info.names.emplace();
        metadata.for_each_owned_name(
            [&](const abi::OwnedName& owned) { names.emplace_back(owned.name); });
    }
    if (const auto groups = metadata.auxgroups()) {
        auto& narrow = info.groups.emplace();
        for (const std::uint64_t group : *groups)
            narrow.push_back(narrow_id(group));
    }
    info.thread_name = copy_of(metadata.tid_comm());
    info.process_name = copy_of(metadata.pid_comm());
    info.executable = copy_of(metadata.exe());
    if (const auto arguments = metadata.cmdline())
        info.command_line = split(*arguments);
    info.cgroup = copy_of(metadata.cgroup());
    info.security_label = copy_of(metadata.seclabel());
    info.capabilities = metadata.capabilities();
    if (const auto audit = metadata.audit())
        info.audit = AuditIdentity{audit->sessionid, audit->loginuid};
    info.description = copy_of(metadata.description());
    return info;
}

} // namespace kdbus
