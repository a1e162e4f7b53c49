// SPDX-License-Identifier: LGPL-2.1-or-later
// The service of serve.cpp in an sd-event loop.
#include <iostream>
#include <kdbus/bus.hpp>
#include <kdbus/loop/sd_event.hpp>

int main() try {
    auto bus = kdbus::Connection::session().value();
    kdbus::Interface hello("org.example.Hello");
    hello.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; },
                 {.in = {"name"}, .out = {"greeting"}});
    auto object = bus.add_object("/org/example/Hello", std::move(hello)).value();
    bus.request_name("org.example.Hello").value();

    sd_event* loop = nullptr;
    if (sd_event_default(&loop) < 0)
        return 1;
    {
        auto attached = kdbus::attach_to_sd_event(loop, bus, [&](kdbus::Error) {
                            sd_event_exit(loop, 1);
                        }).value();
        sd_event_loop(loop);
    }
    sd_event_unref(loop);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
