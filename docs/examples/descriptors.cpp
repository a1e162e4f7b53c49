// SPDX-License-Identifier: LGPL-2.1-or-later
// Passes descriptors both ways: `descriptors` serves, `descriptors TEXT` calls.
#include <array>
#include <iostream>
#include <kdbus/bus.hpp>
#include <system_error>
#include <unistd.h>

namespace {

kdbus::Method printer(std::string_view member) {
    return {.destination = "org.example.Printer",
            .path = "/org/example/Printer",
            .interface = "org.example.Printer",
            .member = member};
}

void serve(kdbus::Connection& bus) {
    kdbus::Interface interface("org.example.Printer");
    // What comes is ours, and closed when it goes.
    interface.method("Print", [](const kdbus::UniqueFd& file, const std::string& text) {
        const std::string line = "printed: " + text + "\n";
        if (write(file.get(), line.data(), line.size()) < 0)
            throw std::system_error(errno, std::generic_category(), "writing");
    });
    // What is returned is closed when it has been sent.
    interface.method("OpenPipe", [] {
        std::array<int, 2> fds{};
        if (pipe(fds.data()) < 0)
            throw std::system_error(errno, std::generic_category(), "making a pipe");
        kdbus::UniqueFd reader(fds[0]);
        const kdbus::UniqueFd writer(fds[1]);
        if (write(writer.get(), "through a pipe\n", 15) != 15)
            throw std::system_error(errno, std::generic_category(), "writing");
        return reader;
    });
    auto object = bus.add_object("/org/example/Printer", std::move(interface)).value();
    bus.request_name("org.example.Printer").value();
    std::cout << "serving as " << bus.unique_name() << std::endl;
    bus.run().value();
}

void call(kdbus::Connection& bus, const char* text) {
    bus.call(printer("Print"), kdbus::BorrowedFd(STDOUT_FILENO), text).value();

    const auto file = bus.call(printer("OpenPipe")).value().get<kdbus::UniqueFd>().value();
    std::array<char, 100> buffer{};
    const auto size = read(file.get(), buffer.data(), buffer.size());
    std::cout << std::string_view(buffer.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
}

} // namespace

int main(int argc, char** argv) try {
    auto bus = kdbus::Connection::session().value();
    if (argc > 1)
        call(bus, argv[1]);
    else
        serve(bus);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
