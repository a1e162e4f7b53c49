// SPDX-License-Identifier: LGPL-2.1-or-later
// The service of serve.cpp in a GLib main loop.
#include <iostream>
#include <kdbus/bus.hpp>
#include <kdbus/loop/glib.hpp>

int main() try {
    auto bus = kdbus::Connection::session().value();
    kdbus::Interface hello("org.example.Hello");
    hello.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; },
                 {.in = {"name"}, .out = {"greeting"}});
    auto object = bus.add_object("/org/example/Hello", std::move(hello)).value();
    bus.request_name("org.example.Hello").value();

    GMainLoop* loop = g_main_loop_new(nullptr, FALSE);
    {
        auto attached = kdbus::attach_to_glib(nullptr, bus, [&](kdbus::Error) {
                            g_main_loop_quit(loop);
                        }).value();
        g_main_loop_run(loop);
    }
    g_main_loop_unref(loop);
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
