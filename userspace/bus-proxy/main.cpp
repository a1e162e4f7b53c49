// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bus.hpp"
#include "event.hpp"
#include "limits.hpp"
#include "listener.hpp"
#include "log.hpp"
#include "options.hpp"
#include "proxy.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <variant>
#include <vector>

using namespace kdbus;
using namespace kdbus::proxy;

namespace {

/// Each client takes two descriptors, and more while it passes some.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log::warning("cannot raise the limit of descriptors: {}", std::strerror(errno));
}

/// Termination is an event, not an interruption.
void block_termination() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
}

bool print_line(int fd, const std::string& text) {
    const auto line = text + "\n";
    std::size_t done = 0;
    while (done < line.size()) {
        const auto written = write(fd, line.data() + done, line.size() - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            log::error("cannot print to descriptor {}: {}", fd, std::strerror(errno));
            return false;
        }
        done += static_cast<std::size_t>(written);
    }
    return true;
}

abi::Result<Bus> open_bus(const Options& options) {
    auto bus =
        options.make_bus ? Bus::make(options.bus, options.everybody) : Bus::join(options.bus);
    if (bus)
        return bus;
    const auto error = bus.error();
    const auto what =
        fmt::format("cannot {} the bus {}", options.make_bus ? "make" : "join", options.bus);
    if (error.value() == EEXIST)
        log::error("{}: it exists already; join it with --bus", what);
    else if (error.value() == ENOENT && options.make_bus)
        log::error("{}: there is no /dev/kdbus/control; is the module kdbus loaded?", what);
    else if (error.value() == EPERM)
        log::error("{}: it belongs to another user", what);
    else
        log::error("{}: {}", what, error.message());
    return bus;
}

int run(const Options& options) {
    block_termination();
    raise_descriptor_limit();
    Loop loop;
    loop.on_termination([&loop] { loop.quit(EXIT_SUCCESS); });

    std::vector<std::unique_ptr<Listener>> listeners;
    auto bus = open_bus(options);
    if (!bus)
        return EXIT_FAILURE;
    const unsigned mode = options.everybody ? 0666 : 0600;
    for (const auto& address : options.addresses)
        listeners.push_back(std::make_unique<Listener>(address, mode));
    if (options.passed_sockets)
        for (auto& socket : passed_sockets())
            listeners.push_back(std::make_unique<Listener>(std::move(socket)));

    std::string addresses;
    for (const auto& listener : listeners) {
        auto address = listener->address();
        address.parameters.emplace_back("guid", bus->id());
        addresses += (addresses.empty() ? "" : ";") + address.text();
    }
    Proxy proxy(loop, std::move(*bus), Limits{}, options.everybody);
    for (const auto& listener : listeners)
        listener->start(loop, [&proxy](abi::UniqueFd socket) { proxy.accept(std::move(socket)); });

    if (options.print_address && !print_line(*options.print_address, addresses))
        return EXIT_FAILURE;
    if (options.print_pid && !print_line(*options.print_pid, std::to_string(getpid())))
        return EXIT_FAILURE;
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", proxy.bus().node_path().c_str());
    const int status = loop.run();
    (void)sd_notify(0, "STOPPING=1");
    return status;
}

} // namespace

int main(int argc, char** argv) {
    try {
        Environment environment;
        environment.uid = geteuid();
        if (const char* directory = std::getenv("XDG_RUNTIME_DIR"))
            environment.runtime_dir = directory;
        environment.sockets_passed = sd_listen_fds(0) > 0;
        const auto parsed = parse_options(argc, argv, environment);
        if (const auto* finished = std::get_if<Finished>(&parsed)) {
            fmt::print(finished->status == EXIT_SUCCESS ? stdout : stderr, "{}", finished->text);
            return finished->status;
        }
        const auto& options = std::get<Options>(parsed);
        log::set_verbose(options.verbose);
        return run(options);
    } catch (const std::exception& error) {
        log::error("{}", error.what());
        return EXIT_FAILURE;
    }
}
