// SPDX-License-Identifier: LGPL-2.1-or-later
#include <array>
#include <iostream>
#include <kdbus/bus.hpp>
#include <optional>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <variant>

namespace {

enum class Quality : std::uint8_t { draft, fine };

// (dds): the members, in their order.
struct Point {
    double x, y;
    std::string label;
};

// (yah): a struct with an array of descriptors.
struct Drawing {
    Quality quality;
    std::vector<kdbus::UniqueFd> pages;
};

kdbus::Interface canvas() {
    kdbus::Interface interface("org.example.Canvas");
    // a(dds), v and, if the caller wants to, s.
    interface.method("Scale", [](std::vector<Point> points,
                                 const std::variant<std::int32_t, double>& by,
                                 const std::optional<std::string>& label) {
        const double factor = std::visit([](auto number) -> double { return number; }, by);
        for (Point& point : points)
            point = {point.x * factor, point.y * factor, label.value_or(point.label)};
        return points;
    });
    // An array of numbers is looked at where it lies in the message.
    interface.method("Sum", [](std::span<const double> numbers) {
        double sum = 0;
        for (const double number : numbers)
            sum += number;
        return sum;
    });
    // What is returned is closed after it was sent.
    interface.method("Draw", [](Quality quality) {
        Drawing drawing{quality, {}};
        std::array<int, 2> ends{};
        if (pipe(ends.data()) < 0)
            throw std::system_error(errno, std::generic_category(), "pipe");
        drawing.pages.emplace_back(ends[0]);
        const kdbus::UniqueFd writer(ends[1]);
        if (write(writer.get(), "ink", 3) != 3)
            throw std::system_error(errno, std::generic_category(), "write");
        return drawing;
    });
    return interface;
}

} // namespace

int main() try {
    // Both ends in one program: a service in a thread of its own, and who calls it.
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
        throw std::system_error(errno, std::generic_category(), "socketpair");
    std::thread service([end = kdbus::UniqueFd(ends[0])]() mutable {
        auto peer = kdbus::Connection::from_socket(std::move(end), kdbus::PeerRole::server).value();
        const auto object = peer.add_object("/canvas", canvas()).value();
        (void)peer.run(); // until the other end is gone
    });
    {
        auto peer =
            kdbus::Connection::from_socket(kdbus::UniqueFd(ends[1]), kdbus::PeerRole::client)
                .value();
        const auto method = [](std::string_view member) {
            return kdbus::Method{
                .path = "/canvas", .interface = "org.example.Canvas", .member = member};
        };

        const std::vector<Point> points{{1, 2, "a"}, {3, 4, "b"}};
        auto scaled = peer.call(method("Scale"), points, kdbus::Variant(2.5)).value();
        auto result = scaled.get<std::vector<Point>>().value();
        for (const Point& point : result)
            std::cout << point.label << ": " << point.x << ", " << point.y << '\n';
        scaled = peer.call(method("Scale"), points, kdbus::Variant(2), "new").value();
        result = scaled.get<std::vector<Point>>().value();
        std::cout << result.front().label << '\n';

        const std::array numbers{1.5, 2.5, 3.0};
        std::cout << peer.call(method("Sum"), numbers).value().get<double>().value() << '\n';

        const auto reply = peer.call(method("Draw"), Quality::fine).value();
        const auto drawing = reply.get<Drawing>().value();
        std::array<char, 3> text{};
        if (read(drawing.pages.at(0).get(), text.data(), text.size()) == 3)
            std::cout << std::string_view(text.data(), text.size()) << '\n';
    }
    service.join();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
