#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""python-service.py NAME: the service written with python3-dbus, on the session bus."""
import os
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

PATH, INTERFACE = '/org/example/Interop', 'org.example.Interop'
PROPERTIES = 'org.freedesktop.DBus.Properties'


class Service(dbus.service.Object):
    value = 5

    @dbus.service.method(INTERFACE, 'ybnqiuxtdsog', 'ybnqiuxtdsog')
    def Basics(self, y, b, n, q, i, u, x, t, d, s, o, g):
        return y, b, n, q, i, u, x, t, d, s, o, g

    @dbus.service.method(INTERFACE, 'asa{sv}(is)ay', 'asa{sv}(is)ay')
    def Containers(self, texts, values, pair, numbers):
        return texts, values, pair, numbers

    @dbus.service.method(INTERFACE, 'v', 'v')
    def Echo(self, value):
        return value

    @dbus.service.method(INTERFACE, 'h', 's')
    def ReadFd(self, fd):
        with os.fdopen(fd.take(), 'rb') as file:
            return file.read(100).decode()

    @dbus.service.method(INTERFACE, 's', 'h')
    def MakeFd(self, text):
        reader, writer = os.pipe()
        os.write(writer, text.encode())
        os.close(writer)
        fd = dbus.types.UnixFd(reader)
        os.close(reader)
        return fd

    @dbus.service.method(INTERFACE, '', '')
    def Fail(self):
        raise dbus.DBusException('on purpose', name='org.example.Error.Purpose')

    @dbus.service.method(INTERFACE, 's', '')
    def Emit(self, text):
        self.Happened(text, len(text))

    @dbus.service.signal(INTERFACE, 'su')
    def Happened(self, text, length):
        pass

    @dbus.service.method(PROPERTIES, 'ss', 'v')
    def Get(self, interface, name):
        return self.GetAll(interface)[name]

    @dbus.service.method(PROPERTIES, 's', 'a{sv}')
    def GetAll(self, interface):
        return {'Value': dbus.Int32(self.value), 'Name': 'Interop'}

    @dbus.service.method(PROPERTIES, 'ssv', '')
    def Set(self, interface, name, value):
        if name != 'Value':
            raise dbus.DBusException(name, name='org.freedesktop.DBus.Error.PropertyReadOnly')
        self.value = value
        self.PropertiesChanged(INTERFACE, {'Value': value}, [])

    @dbus.service.signal(PROPERTIES, 'sa{sv}as')
    def PropertiesChanged(self, interface, changed, invalidated):
        pass


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
service = Service(bus, PATH)
name = dbus.service.BusName(sys.argv[1], bus)
print('ready', flush=True)
GLib.MainLoop().run()
