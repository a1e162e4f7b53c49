// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.hpp"
#include "listener.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

using namespace kdbus;
using namespace kdbus::proxy;

namespace {

std::variant<Options, Finished> parse(std::vector<const char*> arguments,
                                      Environment environment = {}) {
    arguments.insert(arguments.begin(), "bus-proxy");
    return parse_options(static_cast<int>(arguments.size()), arguments.data(), environment);
}

Options accepted(const std::vector<const char*>& arguments, Environment environment = {}) {
    const auto parsed = parse(arguments, std::move(environment));
    if (const auto* finished = std::get_if<Finished>(&parsed))
        FAIL(finished->text);
    return std::get<Options>(parsed);
}

bool refused(const std::vector<const char*>& arguments, Environment environment = {}) {
    const auto parsed = parse(arguments, std::move(environment));
    const auto* finished = std::get_if<Finished>(&parsed);
    return finished != nullptr && finished->status != 0 && !finished->text.empty();
}

struct Directory {
    std::string path;
    Directory() {
        char name[] = "/tmp/bus-proxy-test-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path = name;
    }
    ~Directory() { std::filesystem::remove_all(path); }
};

wire::Address address(const std::string& text) {
    const auto parsed = wire::parse_addresses(text);
    REQUIRE(parsed);
    return parsed->front();
}

unsigned mode_of(const std::string& path) {
    struct stat status {};
    REQUIRE(stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

} // namespace

TEST_CASE("the presets") {
    const auto system = accepted({"--system"});
    CHECK(system.make_bus);
    CHECK(system.bus == "0-system");
    CHECK(system.everybody);
    REQUIRE(system.addresses.size() == 1);
    CHECK(system.addresses[0].text() == "unix:path=/run/dbus/system_bus_socket");

    const auto session = accepted({"--session"}, {.uid = 1000, .runtime_dir = "/run/user/1000"});
    CHECK(session.make_bus);
    CHECK(session.bus == "1000-user");
    CHECK_FALSE(session.everybody);
    CHECK(session.addresses.at(0).text() == "unix:runtime=yes");
    CHECK(accepted({"--session"}).addresses.at(0).text() == "unix:tmpdir=/tmp");
    CHECK_FALSE(accepted({"--system", "--access=owner"}).everybody);
}

TEST_CASE("the bus: made, with the uid in its name, or joined") {
    CHECK(accepted({"--make-bus=x", "--address=unix:path=/s"}, {.uid = 7}).bus == "7-x");
    CHECK(accepted({"--make-bus=7-x", "--address=unix:path=/s"}, {.uid = 7}).bus == "7-x");
    CHECK(accepted({"--make-bus", "8-x", "--address", "unix:path=/s"}, {.uid = 7}).bus == "7-8-x");
    const auto joined = accepted({"--bus=/dev/kdbus/0-x/bus", "--address=unix:abstract=s"});
    CHECK_FALSE(joined.make_bus);
    CHECK(joined.bus == "/dev/kdbus/0-x/bus");
    CHECK_FALSE(joined.everybody);
    CHECK(accepted({"--system", "--bus=/n"}).everybody);
    CHECK(accepted({"--bus=/n", "--access=world", "--address=unix:path=/s"}).everybody);
}

TEST_CASE("addresses") {
    const auto two = accepted({"--session", "--address=unix:path=/a;unix:abstract=b"});
    REQUIRE(two.addresses.size() == 2);
    CHECK(*two.addresses[1].find("abstract") == "b");
    const Environment passed{.sockets_passed = true};
    CHECK(accepted({"--system"}, passed).passed_sockets);
    CHECK(accepted({"--system"}, passed).addresses.empty());
    CHECK(accepted({"--system", "--address=systemd:"}, passed).passed_sockets);
    const auto both = accepted({"--system", "--address=systemd:;unix:path=/a"}, passed);
    CHECK(both.passed_sockets);
    CHECK(both.addresses.size() == 1);
    CHECK_FALSE(accepted({"--system", "--address=unix:path=/a"}, passed).passed_sockets);
}

TEST_CASE("printing, and what other daemons take") {
    const auto options = accepted(
        {"--system", "--print-address", "--print-pid=5", "--nofork", "--nopidfile", "--verbose"});
    CHECK(options.print_address == 1);
    CHECK(options.print_pid == 5);
    CHECK(options.verbose);
    CHECK_FALSE(accepted({"--system"}).print_address);
    CHECK(accepted({"--print-address=7", "--system"}).print_address == 7);
}

TEST_CASE("what makes no sense is refused with a sentence") {
    CHECK(refused({}));
    CHECK(refused({"--make-bus=x"}));
    CHECK(refused({"--bus=/n"}));
    CHECK(refused({"--system", "--session"}));
    CHECK(refused({"--bus=/n", "--make-bus=x", "--address=unix:path=/s"}));
    CHECK(refused({"--system", "--access=nobody"}));
    CHECK(refused({"--system", "--address="}));
    CHECK(refused({"--system", "--address=nonsense"}));
    CHECK(refused({"--system", "--address=tcp:host=localhost"}));
    CHECK(refused({"--system", "--address=unix:"}));
    CHECK(refused({"--system", "--address=unix:path=/a,abstract=b"}));
    CHECK(refused({"--system", "--address=systemd:"}));
    CHECK(refused({"--system", "--print-address=-1"}));
    CHECK(refused({"--system", "--print-pid=x"}));
    CHECK(refused({"--system", "--unknown"}));
    CHECK(refused({"--system", "argument"}));
}

TEST_CASE("help and version") {
    const auto help = std::get<Finished>(parse({"--help"}));
    CHECK(help.status == 0);
    for (const char* option : {"--system", "--session", "--bus", "--make-bus", "--address",
                               "--access", "--print-address", "--print-pid", "--nofork",
                               "--nopidfile", "--verbose", "--version", "--help"}) {
        CAPTURE(option);
        CHECK(help.text.find(option) != std::string::npos);
    }
    const auto version = std::get<Finished>(parse({"--version"}));
    CHECK(version.status == 0);
    CHECK(version.text.starts_with("bus-proxy "));
}

TEST_CASE("sockets are made with the wanted mode, and removed") {
    const Directory directory;
    const auto path = directory.path + "/bus";
    {
        const Listener listener(address("unix:path=" + path), 0666);
        CHECK(mode_of(path) == 0666);
        CHECK(listener.address().text() == "unix:path=" + path);
        // Somebody listens there: it is not taken away from them.
        CHECK_THROWS_AS(Listener(address("unix:path=" + path), 0600), std::system_error);
        CHECK(std::filesystem::exists(path));
    }
    CHECK_FALSE(std::filesystem::exists(path));
    const Listener owner_only(address("unix:path=" + path), 0600);
    CHECK(mode_of(path) == 0600);
}

TEST_CASE("a socket left behind is replaced, other files are not") {
    const Directory directory;
    const auto path = directory.path + "/bus";
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof(name.sun_path) - 1);
    {
        const abi::UniqueFd dead(socket(AF_UNIX, SOCK_STREAM, 0));
        REQUIRE(bind(dead.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0);
    }
    REQUIRE(std::filesystem::exists(path));
    CHECK_NOTHROW(Listener(address("unix:path=" + path), 0600));
    REQUIRE_FALSE(std::filesystem::exists(path));
    std::filesystem::create_directory(path);
    CHECK_THROWS_AS(Listener(address("unix:path=" + path), 0600), std::system_error);
    CHECK(std::filesystem::is_directory(path));
}

TEST_CASE("the other kinds of addresses") {
    const Directory directory;
    for (const std::string key : {"dir", "tmpdir"}) {
        const Listener listener(address("unix:" + key + "=" + directory.path), 0600);
        const auto* path = listener.address().find("path");
        REQUIRE(path != nullptr);
        CHECK(path->starts_with(directory.path + "/dbus-"));
        CHECK(std::filesystem::exists(*path));
    }
    CHECK(std::filesystem::is_empty(directory.path));
    {
        const auto name = "bus-proxy-test-" + std::to_string(getpid());
        const Listener listener(address("unix:abstract=" + name), 0600);
        CHECK(listener.address().text() == "unix:abstract=" + name);
        CHECK_THROWS_AS(Listener(address("unix:abstract=" + name), 0600), std::system_error);
    }
    setenv("XDG_RUNTIME_DIR", directory.path.c_str(), 1);
    const Listener runtime(address("unix:runtime=yes"), 0600);
    CHECK(*runtime.address().find("path") == directory.path + "/bus");
    unsetenv("XDG_RUNTIME_DIR");
    CHECK_THROWS_AS(Listener(address("unix:runtime=yes"), 0600), std::system_error);
    CHECK_THROWS_AS(Listener(address("unix:path=/" + std::string(200, 'x')), 0600),
                    std::system_error);
    CHECK_THROWS_AS(Listener(address("unix:path=" + directory.path + "/no/such"), 0600),
                    std::system_error);
}

TEST_CASE("a passed socket must listen") {
    CHECK_THROWS_AS(Listener(abi::UniqueFd(socket(AF_UNIX, SOCK_STREAM, 0))), std::system_error);
    CHECK_THROWS_AS(Listener(abi::UniqueFd(socket(AF_INET, SOCK_STREAM, 0))), std::system_error);
    CHECK_THROWS_AS(Listener(abi::UniqueFd(-1)), std::system_error);
}
