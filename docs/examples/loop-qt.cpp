// SPDX-License-Identifier: LGPL-2.1-or-later
// The service of serve.cpp in a Qt program.
#define QT_NO_KEYWORDS // or "emit" would be one
#include <QtCore/QCoreApplication>
#include <iostream>
#include <kdbus/bus.hpp>
#include <kdbus/loop/qt.hpp>

int main(int argc, char** argv) try {
    auto bus = kdbus::Connection::session().value();
    kdbus::Interface hello("org.example.Hello");
    hello.method("Greet", [](const std::string& name) { return "Hello, " + name + "!"; },
                 {.in = {"name"}, .out = {"greeting"}});
    auto object = bus.add_object("/org/example/Hello", std::move(hello)).value();
    bus.request_name("org.example.Hello").value();

    const QCoreApplication application(argc, argv);
    auto attached =
        kdbus::attach_to_qt(bus, [](kdbus::Error) { QCoreApplication::exit(1); }).value();
    return QCoreApplication::exec();
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
