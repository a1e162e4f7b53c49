// SPDX-License-Identifier: LGPL-2.1-or-later
// with-bus daemon|broker|kernel COMMAND...: runs a command whose system and session bus is a new
// one that nobody else uses.
#include "../lib/test-buses.hpp"

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

namespace {

template <class Bus>
int run_with(char** command) {
    const Bus bus;
    const pid_t pid = fork();
    if (pid == 0) {
        setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address().c_str(), 1);
        setenv("DBUS_SESSION_BUS_ADDRESS", bus.address().c_str(), 1);
        execvp(command[0], command);
        std::cerr << "cannot run " << command[0] << '\n';
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

} // namespace

int main(int argc, char** argv) try {
    const std::string_view kind = argc > 2 ? argv[1] : "";
    if (kind == "daemon")
        return run_with<DaemonBus>(argv + 2);
    if (kind == "broker")
        return run_with<BrokerBus>(argv + 2);
    if (kind == "kernel")
        return run_with<KernelBus>(argv + 2);
    std::cerr << "usage: with-bus daemon|broker|kernel COMMAND...\n";
    return 1;
} catch (const std::exception& error) {
    std::cerr << "with-bus: " << error.what() << '\n';
    return 1;
}
