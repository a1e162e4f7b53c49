// SPDX-License-Identifier: LGPL-2.1-or-later
#include "test-buses.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <system_error>
#include <tuple>
#include <unistd.h>

namespace abi = kdbus::abi;

namespace {

int checked(int result, const char* what) {
    if (result < 0)
        throw std::system_error(errno, std::generic_category(), what);
    return result;
}

/// The first line that a command prints.
std::string output_of(const std::string& command) {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::array<char, 4096> line{};
    if (!pipe || fgets(line.data(), line.size(), pipe.get()) == nullptr)
        throw std::runtime_error("no output of " + command);
    std::string text(line.data());
    text.erase(text.find_last_not_of('\n') + 1);
    return text;
}

abi::UniqueFd listen_at(const std::string& path) {
    // (dbus-broker accepts until there is nobody left.)
    abi::UniqueFd socket(
        checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    checked(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            "bind");
    checked(listen(socket.get(), 100), "listen");
    return socket;
}

std::pair<abi::UniqueFd, abi::UniqueFd> socket_pair() {
    std::array<int, 2> fds{};
    checked(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), "socketpair");
    return {abi::UniqueFd(fds[0]), abi::UniqueFd(fds[1])};
}

/// dbus-broker's policy, as its launcher would make it of configuration files: everybody may do
/// everything.
kdbus::Variant broker_policy() {
    constexpr bool allow = true;
    constexpr std::uint64_t priority = 1;
    using Own = std::tuple<bool, std::uint64_t, bool, std::string>; // a prefix, which one
    using Transmit =                                                // with name, path, interface,
        std::tuple<bool, std::uint64_t, std::string, std::string, std::string, std::string,
                   std::uint32_t, std::uint32_t, std::uint64_t, // member, type, broadcast, from
                   std::uint64_t>;                              // and up to so many descriptors
    using Batch = std::tuple<bool, std::uint64_t, std::vector<Own>, std::vector<Transmit>,
                             std::vector<Transmit>>;
    using ForUser = std::tuple<std::uint32_t, Batch>;
    using ForGroup = std::tuple<bool, std::uint32_t, std::uint32_t, Batch>;
    const std::vector<Transmit> anything{
        {allow, priority, "", "", "", "", 0, 0, 0, std::numeric_limits<std::uint64_t>::max()}};
    const Batch batch{allow, priority, {{allow, priority, true, ""}}, anything, anything};
    constexpr std::uint32_t any_user = std::numeric_limits<std::uint32_t>::max();
    return kdbus::Variant(std::tuple(
        std::vector<ForUser>{{any_user, batch}}, std::vector<ForGroup>(),
        std::vector<std::tuple<std::string, std::string>>(), false, std::string("session")));
}

} // namespace

Child::Child(const std::vector<std::string>& command, int kept) {
    std::vector<char*> arguments;
    for (const std::string& argument : command)
        arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    pid_ = checked(fork(), "fork");
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fcntl(kept, F_SETFD, 0);
        execvp(arguments[0], arguments.data());
        _exit(127);
    }
}

Child::~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

TemporaryFolder::TemporaryFolder()
    : path_(std::filesystem::temp_directory_path() / "kdbus-test-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr)
        throw std::system_error(errno, std::generic_category(), "mkdtemp");
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

DaemonBus::DaemonBus() {
    const std::string configuration = folder_.path() + "/configuration";
    std::ofstream(configuration) << "<busconfig><type>session</type><listen>" << address()
                                 << "</listen><auth>EXTERNAL</auth><policy context='default'>"
                                    "<allow user='*'/><allow own='*'/><allow send_type='signal'/>"
                                    "<allow send_destination='*' eavesdrop='true'/>"
                                    "<allow eavesdrop='true'/></policy></busconfig>";
    std::array<int, 2> fds{};
    checked(pipe2(fds.data(), O_CLOEXEC), "pipe");
    const abi::UniqueFd reader(fds[0]);
    abi::UniqueFd writer(fds[1]);
    daemon_.emplace(std::vector<std::string>{"dbus-daemon", "--config-file=" + configuration,
                                             "--nofork", "--nopidfile", "--nosyslog",
                                             "--print-address=" + std::to_string(writer.get())},
                    writer.get());
    writer.reset();
    char byte = 0; // it prints its address when it is ready
    if (read(reader.get(), &byte, 1) != 1)
        throw std::runtime_error("dbus-daemon did not start");
}

kdbus::Connection DaemonBus::connect(const kdbus::ConnectionOptions& options) {
    return kdbus::Connection::open(address(), options).value();
}

BrokerBus::BrokerBus() {
    auto [ours, theirs] = socket_pair();
    static const std::string program = output_of(DBUS_BROKER_SCRIPT);
    broker_.emplace(std::vector<std::string>{program,
                                             "--controller=" + std::to_string(theirs.get()),
                                             "--machine-id=0123456789abcdef0123456789abcdef"},
                    theirs.get());
    theirs.reset();
    controller_.emplace(
        kdbus::Connection::from_socket(std::move(ours), kdbus::PeerRole::client).value());
    const abi::UniqueFd listener = listen_at(folder_.path() + "/bus");
    const std::array fds{listener.get()};
    controller_
        ->call({.path = "/org/bus1/DBus/Broker",
                .interface = "org.bus1.DBus.Broker",
                .member = "AddListener",
                .fds = fds},
               kdbus::ObjectPath("/org/bus1/DBus/Listener/0"), kdbus::UnixFd{0}, broker_policy())
        .value();
}

kdbus::Connection BrokerBus::connect(const kdbus::ConnectionOptions& options) {
    return kdbus::Connection::open(address(), options).value();
}

PeerPair::PeerPair() {
    std::tie(server_, client_) = socket_pair();
}

kdbus::Connection PeerPair::connect(const kdbus::ConnectionOptions& options) {
    const auto role = server_ ? kdbus::PeerRole::server : kdbus::PeerRole::client;
    return kdbus::Connection::from_socket(std::move(server_ ? server_ : client_), role, options)
        .value();
}

KernelBus::KernelBus()
    : bus_([] {
          static std::atomic<unsigned> count;
          auto bus =
              abi::Bus::make({.name = std::to_string(geteuid()) + "-transports-" +
                                      std::to_string(getpid()) + "-" + std::to_string(++count)});
          if (!bus)
              throw std::system_error(bus.error(), "making a bus");
          return std::move(*bus);
      }()) {}

kdbus::Connection KernelBus::connect(const kdbus::ConnectionOptions& options) {
    return kdbus::Connection::open(address(), options).value();
}
