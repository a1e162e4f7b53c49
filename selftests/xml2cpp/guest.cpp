// SPDX-License-Identifier: LGPL-2.1-or-later
// Generated classes on a real bus: descriptors, and the example.
#include "../lib/guest-bus.hpp"

#include <org.example.Descriptors-adaptor.hpp>
#include <org.example.Descriptors-proxy.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <optional>
#include <sys/mman.h>
#include <system_error>
#include <thread>

namespace abi = kdbus::abi;
using org::example::DescriptorsAdaptor;
using org::example::DescriptorsProxy;

namespace {

constexpr const char* path = "/org/example/Descriptors";

kdbus::UniqueFd file_with(std::string_view text) {
    kdbus::UniqueFd file(memfd_create("text", MFD_CLOEXEC));
    if (!file || pwrite(file.get(), text.data(), text.size(), 0) < 0)
        throw std::system_error(errno, std::generic_category());
    return file;
}

std::string contents(const kdbus::UniqueFd& file) {
    std::string text(100, '\0');
    text.resize(static_cast<std::size_t>(
        std::max(pread(file.get(), text.data(), text.size(), 0), ssize_t{0})));
    return text;
}

class Files {
public:
    using Named = std::vector<std::tuple<kdbus::UniqueFd, std::string>>;

    std::vector<std::string> Read(const kdbus::UniqueFd& file,
                                  const std::map<std::string, Named>& more) {
        std::vector<std::string> texts{contents(file)};
        for (const auto& [key, files] : more)
            for (const auto& [named, text] : files)
                texts.push_back(key + text + contents(named));
        return texts;
    }

    std::tuple<std::uint32_t, Named> Open(const std::vector<std::string>& texts) {
        Named files;
        for (const auto& text : texts)
            files.emplace_back(file_with(text), text);
        return {static_cast<std::uint32_t>(files.size()), std::move(files)};
    }
};

/// Serves Files in a thread until destroyed.
class Service {
public:
    explicit Service(const std::string& address)
        : connection_(kdbus::Connection::open(address).value()), adaptor_(connection_, path) {
        adaptor_.serve(files_).value();
        thread_ = std::jthread([this](const std::stop_token& stop) {
            while (!stop.stop_requested())
                (void)connection_.wait(std::chrono::milliseconds(50));
        });
    }
    const std::string& name() const { return connection_.unique_name(); }

private:
    kdbus::Connection connection_;
    Files files_;
    DescriptorsAdaptor adaptor_;
    std::jthread thread_;
};

/// A program on a bus, and what it prints.
class Program {
public:
    Program(const std::string& address, const std::string& file)
        : pipe_(popen(("DBUS_SYSTEM_BUS_ADDRESS='" + address + "' exec '" + file + "'").c_str(),
                      "re")) {}
    ~Program() { pclose(pipe_); }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    std::string line() {
        std::string text(200, '\0');
        return std::fgets(text.data(), static_cast<int>(text.size()), pipe_) == nullptr
                   ? "the end"
                   : text.substr(0, text.find('\n'));
    }

private:
    FILE* pipe_;
};

} // namespace

TEST_CASE("descriptors are values") {
    const auto bus = make_bus();
    const auto address = "kernel:path=" + bus.node_path();
    Service service(address);
    auto client = kdbus::Connection::open(address).value();
    DescriptorsProxy proxy(client, service.name(), path);
    const auto before = open_descriptors();
    {
        const auto a = file_with("a");
        const auto b = file_with("b");
        const auto c = file_with("c");
        CHECK(proxy.Read(a, {{"1", {{b, "x"}, {c.get(), "y"}}}, {"2", {}}}).value() ==
              std::vector<std::string>{"a", "1xb", "1yc"});

        const auto [count, files] = proxy.Open({"one", "two"}).value();
        CHECK(count == 2);
        REQUIRE(files.size() == 2);
        for (const auto& [file, text] : files)
            CHECK(contents(file) == text);

        std::size_t got = 0;
        auto call =
            proxy
                .async_Open({"three"},
                            [&](const auto& reply) { got = std::get<1>(reply.value()).size(); })
                .value();
        while (got == 0)
            client.wait().value();
        CHECK(got == 1);
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("signals carry descriptors to one receiver") {
    const auto bus = make_bus();
    const auto address = "kernel:path=" + bus.node_path();
    auto sender = kdbus::Connection::open(address).value();
    auto receiver = kdbus::Connection::open(address).value();
    DescriptorsAdaptor adaptor(sender, path);
    DescriptorsProxy proxy(receiver, sender.unique_name(), path);
    std::string got;
    auto opened = proxy
                      .on_Opened([&](const kdbus::Message& signal, std::string_view text,
                                     kdbus::UnixFd file) {
                          got = std::string(text) + contents(signal.take_fd(file).value());
                      })
                      .value();
    CHECK(adaptor.emit_Opened_to(receiver.unique_name(), "a ", file_with("file")));
    receiver.wait(std::chrono::seconds(5)).value();
    CHECK(got == "a file");
}

TEST_CASE("the example") {
    std::optional<abi::Bus> bus(make_bus());
    const auto address = "kernel:path=" + bus->node_path();
    Program service(address, EXAMPLE_SERVICE);
    CHECK(service.line().starts_with("serving as :1."));
    Program client(address, EXAMPLE_CLIENT);
    CHECK(client.line() == "2 apples");
    CHECK(client.line() == "wrapped to -2147483647");
    CHECK(client.line() == "That was too much");
    CHECK(client.line() == "the end");
    bus.reset(); // which ends the service
    CHECK(service.line() == "the end");
}
