#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An ordinary D-Bus service, as one writes it for dbus-daemon: it knows nothing of kdbus."""

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib


class Greeter(dbus.service.Object):
    @dbus.service.method("org.example.Greeter", in_signature="s", out_signature="s")
    def Greet(self, name):
        return f"Hello, {name}!"

    @dbus.service.method(
        "org.example.Greeter", out_signature="s", async_callbacks=("answer", "fail")
    )
    def Wait(self, answer, fail):
        """Never answers."""
        print("Wait called", flush=True)


DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
greeter = Greeter(bus, "/org/example/Greeter")
name = dbus.service.BusName("org.example.Greeter", bus, do_not_queue=True)
print("serving", flush=True)
GLib.MainLoop().run()
