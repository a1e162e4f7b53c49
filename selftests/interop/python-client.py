#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""python-client.py NAME: a client written with python3-dbus, on the session bus."""
import os
import sys

import dbus
import dbus.mainloop.glib
from gi.repository import GLib

PATH, INTERFACE = '/org/example/Interop', 'org.example.Interop'
PROPERTIES = 'org.freedesktop.DBus.Properties'


def pipe_with(text):
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    return reader


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = sys.argv[1]
loop = GLib.MainLoop()
heard, announced = [], []


def happened(*arguments):
    heard.append(arguments)


def changed(interface, values, invalidated):
    announced.append((interface, values, invalidated))


bus.add_signal_receiver(happened, 'Happened', INTERFACE, name, PATH)
bus.add_signal_receiver(changed, 'PropertiesChanged', PROPERTIES, name, PATH)
# Introspects: arguments are converted as the service says.
thing = bus.get_object(name, PATH)
service, properties = dbus.Interface(thing, INTERFACE), dbus.Interface(thing, PROPERTIES)

basics = (200, True, -3, 65000, -70000, 4000000000, -5000000000, 18000000000000000000, 1.5,
          'ä€', dbus.ObjectPath('/a/b'), dbus.Signature('a{sv}'))
back = service.Basics(*basics)
assert tuple(back) == basics, back
assert [type(value).__name__ for value in back] == [
    'Byte', 'Boolean', 'Int16', 'UInt16', 'Int32', 'UInt32', 'Int64', 'UInt64', 'Double', 'String',
    'ObjectPath', 'Signature'], back
for containers in (
        (['a', '', 'x' * 70000], {'one': dbus.UInt32(1), 'two': dbus.Array(['x', 'y'], 's')},
         (7, 'seven'), [dbus.Byte(1), dbus.Byte(2)]),
        (dbus.Array([], 's'), dbus.Dictionary({}, 'sv'), (0, ''), dbus.Array([], 'y'))):
    back = service.Containers(*containers)
    assert tuple(back) == containers, back
for value in (dbus.Double(1.5), dbus.Array([], 'a{sv}'), dbus.Struct((1, dbus.Byte(2)), signature='iy')):
    back = service.Echo(value)
    assert back == value and type(back) is type(value), back

fd = pipe_with(b'to the service')
assert service.ReadFd(dbus.types.UnixFd(fd)) == 'to the service'
os.close(fd)
assert os.read(service.MakeFd('from the service').take(), 100) == b'from the service'

for member, error in (('Fail', 'org.example.Error.Purpose'),
                      ('Missing', 'org.freedesktop.DBus.Error.UnknownMethod')):
    try:
        service.get_dbus_method(member)()
        raise AssertionError(member)
    except dbus.DBusException as exception:
        assert exception.get_dbus_name() == error, exception
        assert member != 'Fail' or exception.get_dbus_message() == 'on purpose', exception

for text in ('hello', ''):
    service.Emit(text)
assert properties.Get(INTERFACE, 'Name') == 'Interop'
value = properties.Get(INTERFACE, 'Value')
properties.Set(INTERFACE, 'Value', dbus.Int32(value + 1))
assert properties.GetAll(INTERFACE) == {'Name': 'Interop', 'Value': value + 1}
try:
    properties.Set(INTERFACE, 'Name', 'other')
    raise AssertionError('Name')
except dbus.DBusException:
    pass
GLib.timeout_add(10, lambda: loop.quit() if len(heard) == 2 and announced else True)
GLib.timeout_add_seconds(60, loop.quit)
loop.run()
assert heard == [('hello', 5), ('', 0)], heard
assert announced == [(INTERFACE, {'Value': value + 1}, [])], announced
print('all well')
