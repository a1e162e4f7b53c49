// SPDX-License-Identifier: LGPL-2.1-or-later
// Emits org.example.Hello.Greeted: emit [NAME [DESTINATION]]
#include <iostream>
#include <kdbus/bus.hpp>

int main(int argc, char** argv) try {
    auto bus = kdbus::Connection::session().value();
    const kdbus::Signal greeted{"/org/example/Hello", "org.example.Hello", "Greeted"};
    const char* name = argc > 1 ? argv[1] : "world";
    if (argc > 2)
        bus.emit_to(argv[2], greeted, name).value();
    else
        bus.emit(greeted, name).value();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
