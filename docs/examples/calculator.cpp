// SPDX-License-Identifier: LGPL-2.1-or-later
// A service with several results, an error of its own, and answers that come later.
#include <iostream>
#include <kdbus/bus.hpp>
#include <stdexcept>
#include <vector>

namespace {

kdbus::Result<std::tuple<std::int32_t, std::int32_t>> divide(std::int32_t a, std::int32_t b) {
    if (b == 0)
        return kdbus::Error{"org.example.Error.DivisionByZero", "There is no answer"};
    return std::tuple(a / b, a % b);
}

double root(double x) {
    if (x < 0)
        throw std::domain_error(
            "x is negative"); // the caller gets org.freedesktop.DBus.Error.Failed
    double guess = 1;
    for (int i = 0; i < 60; i++)
        guess = (guess + x / guess) / 2;
    return guess;
}

} // namespace

int main() try {
    auto bus = kdbus::Connection::session().value();
    std::vector<kdbus::Responder> waiting;

    kdbus::Interface calculator("org.example.Calculator");
    calculator.method("Divide", divide, {.in = {"a", "b"}, .out = {"quotient", "remainder"}});
    calculator.method("Root", root);
    calculator.deferred_method<std::string>(
        "WaitForNews", [&](kdbus::Responder answer) { waiting.push_back(std::move(answer)); });
    calculator.method("Tell",
                      [&](const kdbus::Message& call, const std::string& news) {
                          for (auto& answer : waiting)
                              answer.send(news);
                          std::cout << call.sender() << " told " << waiting.size() << std::endl;
                          waiting.clear();
                      },
                      {.no_reply = true});
    auto object = bus.add_object("/org/example/Calculator", std::move(calculator)).value();

    bus.request_name("org.example.Calculator").value();
    std::cout << "serving as " << bus.unique_name() << std::endl;
    bus.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
