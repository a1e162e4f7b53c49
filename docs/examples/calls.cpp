// SPDX-License-Identifier: LGPL-2.1-or-later
// The ways to call, with calculator.cpp at the other end.
#include <iostream>
#include <kdbus/bus.hpp>

namespace {

kdbus::Method calculator(std::string_view member) {
    return {.destination = "org.example.Calculator",
            .path = "/org/example/Calculator",
            .interface = "org.example.Calculator",
            .member = member};
}

} // namespace

int main() try {
    using namespace std::chrono_literals;
    auto bus = kdbus::Connection::session().value();

    // Wait for the answer. Several results are a std::tuple.
    const auto [quotient, remainder] =
        bus.call(calculator("Divide"), 17, 5).value().get<std::int32_t, std::int32_t>().value();
    std::cout << "17 / 5 = " << quotient << ", remainder " << remainder << '\n';

    // Look at the error instead of having it thrown.
    if (auto reply = bus.call(calculator("Divide"), 17, 0); !reply)
        std::cout << reply.error().name << ": " << reply.error().message << '\n';
    if (auto reply = bus.call(calculator("Root"), -1.0); !reply)
        std::cout << reply.error().name << ": " << reply.error().message << '\n';
    if (auto reply = bus.call(calculator("Root"), "text"); !reply)
        std::cout << reply.error().name << '\n';

    // Not for ever.
    auto method = calculator("WaitForNews");
    method.timeout = 1s;
    if (auto reply = bus.call(method); !reply)
        std::cout << reply.error().name << '\n';

    // Go on while the answer is on its way: the callback runs from process(), wait() or run().
    auto pending = bus.call_async(calculator("WaitForNews"),
                                  [&](const kdbus::Result<kdbus::Message>& reply) {
                                      std::cout
                                          << "news: " << reply.value().get<std::string>().value()
                                          << '\n';
                                      bus.stop();
                                  })
                       .value();
    // Nobody waits for an answer to this.
    bus.call_no_reply(calculator("Tell"), "spring").value();
    bus.run().value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
