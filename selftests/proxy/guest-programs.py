#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs as they are: libdbus, GDBus, sd-bus and python3-dbus through bus-proxy."""
import os
import re
import signal
import socket
import subprocess
import sys

import harness

SERVICE = '''
import dbus, dbus.service, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName('org.example.Echo', bus)
class Echo(dbus.service.Object):
    @dbus.service.method('org.example.Echo', in_signature='v', out_signature='v')
    def Echo(self, value):
        return value
    @dbus.service.method('org.example.Echo', in_signature='s', out_signature='s',
                         sender_keyword='sender')
    def Emit(self, text, sender=None):
        self.Happened(text, 7)
        return sender
    @dbus.service.method('org.example.Echo', in_signature='', out_signature='')
    def Fail(self):
        raise dbus.DBusException('on purpose', name='org.example.Error.Purpose')
    @dbus.service.method('org.example.Echo', in_signature='h', out_signature='s')
    def ReadFd(self, fd):
        import os
        f = fd.take()
        text = os.read(f, 100).decode()
        os.close(f)
        return text
    @dbus.service.signal('org.example.Echo', signature='su')
    def Happened(self, text, number):
        pass
echo = Echo(bus, '/org/example/Echo')
print('ready', flush=True)
GLib.MainLoop().run()
'''

CLIENT = '''
import dbus, dbus.mainloop.glib, os
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
loop = GLib.MainLoop()
heard = []
def happened(*args, **kw):
    heard.append((args, kw['sender']))
    loop.quit()
bus.add_signal_receiver(happened, signal_name='Happened', dbus_interface='org.example.Echo',
                        bus_name='org.example.Echo', sender_keyword='sender')
obj = bus.get_object('org.example.Echo', '/org/example/Echo')
echo = dbus.Interface(obj, 'org.example.Echo')
for value in (dbus.String('text'), dbus.Int64(-5), dbus.Boolean(True), dbus.Double(1.5),
              dbus.Array(['a', 'b'], 's'), dbus.Dictionary({'k': dbus.UInt32(1)}, 'sv'),
              dbus.Struct((1, 'x', dbus.Byte(3)), signature='isy'), dbus.ObjectPath('/a/b'),
              dbus.Signature('a{sv}'), dbus.Array([], 'a{sv}'), dbus.String('x' * 100000)):
    back = echo.Echo(value)
    assert back == value and type(back) == type(value), (value, back)
assert echo.Emit('hello') == bus.get_unique_name()
loop.run()
assert heard == [(('hello', 7), bus.get_name_owner('org.example.Echo'))], heard
try:
    echo.Fail()
    assert False
except dbus.DBusException as e:
    assert e.get_dbus_name() == 'org.example.Error.Purpose', e
r, w = os.pipe()
os.write(w, b'through a pipe')
assert echo.ReadFd(dbus.types.UnixFd(r)) == 'through a pipe'
assert bus.request_name('org.example.Echo', dbus.bus.NAME_FLAG_DO_NOT_QUEUE) == 3
try:
    bus.call_blocking('org.example.Nobody', '/', 'a.b', 'C', '', ())
    assert False
except dbus.DBusException as e:
    assert e.get_dbus_name() == 'org.freedesktop.DBus.Error.ServiceUnknown', e
print('all well')
'''


class Echo:
    """The Python service, on a bus."""

    def __init__(self, bus):
        self.process = bus.start(sys.executable, '-c', SERVICE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b'ready\n'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def ok(result, *patterns):
    status, text = result
    assert status == 0, text
    for pattern in patterns:
        assert re.search(pattern, text, re.S), (pattern, text)
    return text


def python_service_and_client():
    """python3-dbus: service and client"""
    with harness.bus_proxy() as bus, Echo(bus):
        ok(bus.run(sys.executable, '-c', CLIENT), 'all well')


def dbus_send():
    """dbus-send: calls with and without reply, signals, errors"""
    with harness.bus_proxy() as bus, Echo(bus):
        send = lambda *args: bus.run('dbus-send', '--session', *args)
        ok(send('--print-reply', '--dest=org.freedesktop.DBus', '/', 'org.freedesktop.DBus.ListNames'),
           'org.example.Echo')
        ok(send('--print-reply', '--dest=org.example.Echo', '/org/example/Echo', 'org.example.Echo.Echo',
                'variant:string:hello'), 'variant .*string "hello"')
        ok(send('--dest=org.example.Echo', '--type=method_call', '/org/example/Echo',
                'org.example.Echo.Echo', 'variant:int32:1'))
        status, text = send('--print-reply', '--dest=org.example.Nobody', '/', 'a.b.C')
        assert status == 1 and 'ServiceUnknown' in text, text
        status, text = send('--print-reply', '--dest=org.example.Echo', '/org/example/Echo',
                            'org.example.Echo.Fail')
        assert status == 1 and 'org.example.Error.Purpose: on purpose' in text, text
        # Sends and leaves at once: nothing is lost.
        c = bus.client()
        c.call('AddMatch', 's', "type='signal',interface='a.b'")
        for i in range(10):
            ok(send('/x', 'a.b.Tick', 'int32:%d' % i))
        assert [c.receive().args[0] for _ in range(10)] == list(range(10))


def gdbus():
    """gdbus: introspect, call, emit, monitor, wait"""
    with harness.bus_proxy() as bus:
        monitor = bus.start('gdbus', 'monitor', '--session', '--dest', 'org.example.Echo',
                            stdout=subprocess.PIPE)
        wait = bus.start('gdbus', 'wait', '--session', '--timeout', '120', 'org.example.Echo')
        assert b'Monitoring signals' in monitor.stdout.readline()
        monitor.stdout.readline()  # "does not exist yet"
        with Echo(bus):
            assert wait.wait(120) == 0
            run = lambda *args: bus.run('gdbus', *args)
            to = ('--session', '--dest', 'org.example.Echo', '--object-path', '/org/example/Echo')
            ok(run('introspect', *to), 'ReadFd', 'Happened')
            ok(run('call', *to, '--method', 'org.example.Echo.Echo', '<[1, 2, 3]>'), r'\(<\[1, 2, 3\]>,\)')
            ok(run('call', *to, '--method', 'org.example.Echo.Emit', 'monitored'), r":1\.\d+")
            ok(run('introspect', '--session', '--dest', 'org.freedesktop.DBus', '--object-path',
                   '/org/freedesktop/DBus'), 'GetConnectionCredentials', 'Features')
            seen = b''
            while b'Happened' not in seen:
                line = monitor.stdout.readline()
                assert line, seen
                seen += line
            assert b"('monitored', uint32 7)" in seen, seen
        monitor.kill()
        monitor.wait()
        monitor.stdout.close()


def busctl():
    """busctl: list, status, tree, call, get-property"""
    with harness.bus_proxy() as bus, Echo(bus):
        run = lambda *args: bus.run('busctl', '--address=' + bus.address.split(',guid')[0], *args)
        ok(run('list', '--no-pager'), 'org.example.Echo +[0-9]+ python3', r'org.freedesktop.DBus +[0-9]+ bus-proxy')
        ok(run('status', 'org.example.Echo', '--no-pager'), r'PID=\d+', 'UID=0')
        ok(run('tree', 'org.example.Echo', '--no-pager'), '/org/example/Echo')
        ok(run('call', 'org.example.Echo', '/org/example/Echo', 'org.example.Echo', 'Echo', 'v', 'as', '2',
               'a', 'b'), 'v as 2 "a" "b"')
        ok(run('get-property', 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
               'Features'), 'as 1 "HeaderFiltering"')
        ok(run('introspect', 'org.example.Echo', '/org/example/Echo', '--no-pager'), r'\.ReadFd')


def dbus_test_tool():
    """dbus-test-tool: spam at an echo, and at a black hole"""
    with harness.bus_proxy() as bus:
        echo = bus.start('dbus-test-tool', 'echo', '--session', '--name=org.example.Tool')
        hole = bus.start('dbus-test-tool', 'black-hole', '--session', '--name=org.example.Hole')
        c = bus.client()
        for name in ('org.example.Tool', 'org.example.Hole'):
            harness.wait_for(lambda: c.call('NameHasOwner', 's', name).args[0], name)
        ok(bus.run('dbus-test-tool', 'spam', '--session', '--dest=org.example.Tool', '--count=200',
                   '--queue=10', '--bytes'))
        ok(bus.run('dbus-test-tool', 'spam', '--session', '--dest=org.example.Tool', '--count=5',
                   '--payload=' + 'x' * 100000))
        # Nobody answers: the program leaves, the bus does not care.
        ok(bus.run('dbus-test-tool', 'spam', '--session', '--dest=org.example.Hole', '--no-reply',
                   '--count=300'))
        echo.send_signal(signal.SIGTERM)
        hole.send_signal(signal.SIGTERM)
        echo.wait(60), hole.wait(60)
        harness.wait_for(lambda: len(c.call('ListNames').args[0]) == 2, 'all left')


def life_of_the_daemon():
    """Start, notification, printing, socket activation, end"""
    proxy = os.environ.get('BUS_PROXY', 'bus-proxy')
    # Ready is told, and everything goes at the end.
    note = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    note.bind('\0proxy-test-%d' % os.getpid())
    note.settimeout(60)
    with harness.bus_proxy('--print-pid', '--nofork',
                           env=dict(os.environ, NOTIFY_SOCKET='@proxy-test-%d' % os.getpid())) as bus:
        pid = int(bus.process.stdout.readline())
        assert pid == bus.process.pid
        assert note.recv(1000).startswith(b'READY=1')
        assert re.match(r'unix:path=.*,guid=[0-9a-f]{32}$', bus.address), bus.address
        client = bus.client()
        assert client.call('GetId').args[0] == bus.address[-32:]
        nodes = os.listdir('/dev/kdbus')
        assert bus.stop() == 0
        assert note.recv(1000) == b'STOPPING=1'
        assert client.closed()
        assert not os.path.exists(bus.socket)
        assert len(os.listdir('/dev/kdbus')) == len(nodes) - 1
    # SIGINT ends it as well; abstract sockets; another bus of the same name cannot be made.
    with harness.bus_proxy(bus='--make-bus=once', socket='@proxy-test-%d' % os.getpid()) as bus:
        assert bus.client().call('GetId').args
        second = subprocess.run([proxy, '--make-bus=once', '--address=unix:path=/tmp/once'],
                                stderr=subprocess.PIPE)
        assert second.returncode == 1 and b'exists already' in second.stderr, second.stderr
        assert not os.path.exists('/tmp/once')
        bus.process.send_signal(signal.SIGINT)
        assert bus.process.wait(60) == 0
    for options in (['--bus=/dev/kdbus/0-nothing/bus'], ['--bus=/dev/null']):
        done = subprocess.run([proxy, '--address=unix:path=/tmp/never'] + options, stderr=subprocess.PIPE)
        assert done.returncode == 1 and done.stderr.startswith(b'bus-proxy: '), done
    # A socket passed by a service manager, with a client that was there first.
    path = '/tmp/proxy-passed-%d' % os.getpid()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    early = socket.socket(socket.AF_UNIX)
    early.settimeout(60)
    early.connect(path)
    early.sendall(b'\0AUTH EXTERNAL 30\r\n')
    script = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec %s --system --access=owner --make-bus=passed ' \
             '--print-address 3<&%d' % (proxy, listening.fileno())
    process = subprocess.Popen(['bash', '-c', script], stdout=subprocess.PIPE,
                               pass_fds=[listening.fileno()])
    address = process.stdout.readline().decode()
    assert address.startswith('unix:path=%s,guid=' % path), address
    assert early.recv(100).startswith(b'OK ')
    process.terminate()
    assert process.wait(60) == 0
    assert os.path.exists(path), 'the socket is not ours to remove'
    os.unlink(path)


harness.main([python_service_and_client, dbus_send, gdbus, busctl, dbus_test_tool, life_of_the_daemon])
