// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <utility>

namespace kdbus::proxy {

namespace {

/// The kernel wants the maker's uid in front of each bus's name.
std::string with_prefix(const std::string& name, unsigned uid) {
    const auto prefix = fmt::format("{}-", uid);
    return name.starts_with(prefix) ? name : prefix + name;
}

/// The descriptor given with such an option, standard output if none.
std::optional<int> printed_to(const CLI::Option& option) {
    if (option.count() == 0)
        return std::nullopt;
    const auto& values = option.results();
    if (values.empty() || values.front().empty() || values.front() == "{}")
        return STDOUT_FILENO;
    return option.as<int>();
}

Finished usage_error(const std::string& text) {
    return {EXIT_FAILURE, fmt::format("bus-proxy: {}\nTry bus-proxy --help.\n", text)};
}

} // namespace

std::variant<Options, Finished> parse_options(int argc, const char* const* argv,
                                              const Environment& environment) {
    CLI::App app("Lets D-Bus programs use a kernel bus: a message bus on a UNIX socket,\n"
                 "in front of /dev/kdbus.",
                 "bus-proxy");
    Options options;
    bool system = false;
    bool session = false;
    bool accepted = false;
    std::string make_name;
    std::string address;
    std::string access;
    int fd = 0; // only for its type: see printed_to()

    auto* system_flag = app.add_flag("--system", system,
                                     "Make the system bus: --make-bus=system --access=world\n"
                                     "--address=unix:path=/run/dbus/system_bus_socket");
    auto* session_flag =
        app.add_flag("--session", session,
                     "Make the session bus: --make-bus=user --access=owner\n"
                     "--address=unix:runtime=yes (unix:tmpdir=/tmp without XDG_RUNTIME_DIR)");
    auto* join_option = app.add_option("--bus", options.bus, "Join the bus with that node");
    auto* make_option =
        app.add_option("--make-bus", make_name,
                       "Make the bus /dev/kdbus/<uid>-NAME/bus, and remove it at the end");
    app.add_option("--address", address,
                   "Listen there: unix: with path, abstract, dir, tmpdir or runtime;\n"
                   "systemd: for the sockets passed; several with ; between them");
    app.add_option("--access", access,
                   "Who may connect: owner (the bus's own user, and root) or world")
        ->check(CLI::IsMember({"owner", "world"}));
    auto* print_address_option =
        app.add_option("--print-address", fd, "Print the address, to a descriptor [stdout]")
            ->expected(0, 1)
            ->type_name("[FD]");
    auto* print_pid_option =
        app.add_option("--print-pid", fd, "Print the process id, to a descriptor [stdout]")
            ->expected(0, 1)
            ->type_name("[FD]");
    app.add_flag("--nofork", accepted, "Accepted; it never forks");
    app.add_flag("--nopidfile", accepted, "Accepted; it never writes one");
    app.add_flag("--verbose", options.verbose, "Say what clients do wrong");
    app.set_version_flag("--version", "bus-proxy " KDBUS_VERSION);
    system_flag->excludes(session_flag);
    join_option->excludes(make_option)->type_name("PATH");
    make_option->type_name("NAME");
    app.get_option("--address")->type_name("ADDRESS");
    app.get_option("--access")->type_name("WHO");

    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        return Finished{EXIT_SUCCESS, app.help()};
    } catch (const CLI::CallForVersion& version) {
        return Finished{EXIT_SUCCESS, fmt::format("{}\n", version.what())};
    } catch (const CLI::ParseError& error) {
        return usage_error(error.what());
    }

    options.print_address = printed_to(*print_address_option);
    options.print_pid = printed_to(*print_pid_option);
    for (const auto& given : {options.print_address, options.print_pid})
        if (given && *given < 0)
            return usage_error(fmt::format("{} is not a descriptor", *given));

    if (join_option->count() == 0) {
        if (make_option->count() == 0)
            make_name = system ? "system" : session ? "user" : "";
        if (make_name.empty())
            return usage_error("one of --system, --session, --bus and --make-bus is needed");
        options.make_bus = true;
        options.bus = with_prefix(make_name, environment.uid);
    }
    options.everybody = access.empty() ? system : access == "world";

    if (address.empty()) {
        if (environment.sockets_passed)
            address = "systemd:";
        else if (system)
            address = "unix:path=/run/dbus/system_bus_socket";
        else if (session)
            address = environment.runtime_dir ? "unix:runtime=yes" : "unix:tmpdir=/tmp";
        else
            return usage_error("--address is needed");
    }
    auto parsed = wire::parse_addresses(address);
    if (!parsed)
        return usage_error(fmt::format("\"{}\" is not a valid address", address));
    for (auto& entry : *parsed) {
        if (entry.transport == "systemd") {
            if (!environment.sockets_passed)
                return usage_error("no sockets were passed for the address systemd:");
            options.passed_sockets = true;
        } else if (entry.transport == "unix" && wire::check_transport(entry, true)) {
            options.addresses.push_back(std::move(entry));
        } else {
            return usage_error(fmt::format("cannot listen on \"{}\"", entry.text()));
        }
    }
    return options;
}

} // namespace kdbus::proxy
