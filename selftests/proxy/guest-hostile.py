#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that lie, flood, stall and die: only they notice, and nothing of them is left."""
import array
import os
import random
import socket
import time

import harness
from dbus1 import (CALL, ERROR, PATIENCE, RETURN, SIGNAL, NO_REPLY, DRIVER, DRIVER_PATH, Client,
                   Closed, Message, Timeout, Variant)

E = 'org.freedesktop.DBus.Error.'
AUTH = b'\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n'
HELLO = Message(CALL, 1, 0, path=DRIVER_PATH, interface=DRIVER, member='Hello',
                destination=DRIVER).encode()


class Watched:
    """A bus with a well-behaved pair of clients, which must notice nothing."""

    def __init__(self, *options):
        self.bus = harness.bus_proxy(*options)
        self.a, self.b = self.bus.client(timeout=60), self.bus.client(timeout=60)
        self.works()
        self.fds = self.bus.fds()
        self.memory = self.bus.memory()

    def works(self):
        serial = self.b.send_call('Works', 's', 'x', dest=self.a.name)
        m = self.a.receive()
        while m.member != 'Works':  # what the others sent
            m = self.a.receive()
        self.a.answer(m, 's', 'y')
        assert self.b.reply_to(serial).args == ['y']

    def nothing_left(self):
        harness.wait_for(lambda: self.bus.fds() == self.fds,
                         'descriptors: %d, not %d' % (self.bus.fds(), self.fds))
        self.works()
        grown = self.bus.memory() - self.memory
        # The allocator may keep what one full client took, but no more.
        assert grown < 16 << 20, 'grown by %d KiB' % (grown >> 10)
        names = self.a.call('ListNames').args[0]
        assert len(names) == 3, names
        # And it rests when nobody wants anything.
        self.bus.comes_to_rest()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.nothing_left()
        status = self.bus.stop()
        assert kind is not None or status == 0, status


def raw(bus, data=b'', fds=()):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30 * PATIENCE)
    s.connect(bus.socket)
    if fds:
        s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))])
    elif data:
        s.sendall(data)
    return s


def hung_up(s):
    try:
        while s.recv(65536):
            pass
        return True
    except socket.timeout:
        return False
    except ConnectionError:
        return True


def edited(at, *values):
    data = bytearray(HELLO)
    data[at:at + len(values)] = bytes(values)
    return bytes(data)


def invalid_messages():
    """What is no valid message ends the connection at once"""
    def message(**kw):
        fields = dict(path='/x', interface='x.y', member='M', destination=DRIVER)
        fields.update(kw.pop('fields', {}))
        extra = kw.pop('extra', [])
        m = Message(kw.pop('type', CALL), kw.pop('serial', 9), 0, **kw, **fields)
        m.extra = extra
        return m.encode()
    bad = {
        'byte order': edited(0, ord('x')),
        'type 0': edited(1, 0),
        'version': edited(3, 2),
        'serial 0': edited(8, 0, 0, 0, 0),
        'field code 0': message(extra=[(0, Variant('s', 'x'))]),
        'field twice': message(extra=[(3, Variant('s', 'N'))]),
        'field of wrong type': message(extra=[(7, Variant('u', 1))]),
        'no member': message(fields=dict(member=None)),
        'no path': message(fields=dict(path=None)),
        'signal without interface': message(type=SIGNAL, fields=dict(interface=None)),
        'error without name': message(type=ERROR, fields=dict(reply_serial=1)),
        'reply without serial': message(type=RETURN),
        'reply serial 0': message(type=RETURN, fields=dict(reply_serial=0)),
        'path': message(fields=dict(path='x')),
        'path/': message(fields=dict(path='/x/')),
        'interface': message(fields=dict(interface='x')),
        'member': message(fields=dict(member='a.b')),
        'destination': message(fields=dict(destination='x')),
        'sender': message(fields=dict(sender='x')),
        'local path': message(fields=dict(path='/org/freedesktop/DBus/Local')),
        'local interface': message(fields=dict(interface='org.freedesktop.DBus.Local')),
        'body without signature': message(sig='s', args=['x']).replace(b'\1g\0\1s\0', b'\1g\0\0\0\0'),
        'utf-8': message(sig='s', args=[b'\xff\xff']),
        'boolean': message(sig='b', args=[2]),
        'signature': message(extra=[(8, Variant('g', 'a'))]),
        'signature of nothing': message(extra=[(8, Variant('g', '()'))]),
        'body too short': message(sig='ss', args=['x']),
        'body too long': message(sig='y', args=[1, 2]) + b'',
        'array beyond body': message(sig='ay', args=[b'']).replace(b'\0\0\0\0', b'\1\0\0\0'),
        'descriptors announced': message(extra=[(9, Variant('u', 1))]),
        'index without descriptor': message(sig='h', args=[0]),
        'field array too long': edited(12, 0, 0, 0, 5),
        'field array beyond all': edited(12, 0xff, 0xff, 0xff, 0xff),
        'body beyond all': edited(4, 0xff, 0xff, 0xff, 0xff),
        '200 MiB': edited(4, 0, 0, 0x80, 0x0c),
        'garbage': b'\xde\xad\xbe\xef' * 100,
        'text': b'GET / HTTP/1.0\r\n\r\n',
        'zeros': bytes(1000),
    }
    bad['body too long'] = Message(CALL, 9, 0, 'yy', [1, 2], path='/x', member='M',
                                   destination=DRIVER).encode().replace(b'\2yy\0', b'\1y\0\0')
    with Watched() as w:
        for what, data in bad.items():
            for greeting in (AUTH, AUTH + HELLO):
                with raw(w.bus, greeting + data) as s:
                    assert hung_up(s), what


def authentication():
    """Bad authentication: too long, wrong, with descriptors, rejected six times"""
    with Watched() as w:
        r, wr = os.pipe()
        for data in (b'X', b'\0BEGIN\r\n', b'\0' + b'A' * 20000, b'\0' + b'AUTH\r\n' * 6,
                     b'\0AUTH EXTERNAL\r\nBEGIN\r\n', os.urandom(50000)):
            try:
                with raw(w.bus, data) as s:
                    assert hung_up(s), data[:40]
            except ConnectionError:
                pass  # it hung up while we were writing
        for data in (b'\0', b'\0AUTH EXTERNAL 30\r\n', b'\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\n',
                     b'\0AUTH EXTERNAL 30\r\nBEGIN\r\n'):
            with raw(w.bus, data, [r, wr, r]) as s:
                assert hung_up(s), data
        # Not agreed on, so not taken.
        with raw(w.bus, b'\0AUTH EXTERNAL 30\r\nBEGIN\r\n' + HELLO) as s:
            s.sendmsg([HELLO], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [r]))])
            assert hung_up(s)
        os.close(r), os.close(wr)


def descriptor_floods():
    """Descriptors without message, more than announced, thousands of them"""
    with Watched() as w:
        r, wr = os.pipe()
        with raw(w.bus, AUTH + HELLO) as s:
            try:
                for _ in range(50):
                    s.sendmsg([b'l'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                        array.array('i', [r] * 253))])
                    time.sleep(0.01)
            except OSError:
                pass
            assert hung_up(s)
        # Some left over wait for their message as long as there is one to come, then go.
        c = w.bus.client()
        c.sock.sendmsg([b'l'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [r] * 20))])
        harness.wait_for(lambda: w.bus.fds() > w.fds + 20, 'descriptors arrived')
        c.close()
        os.close(r), os.close(wr)


def death_at_any_byte():
    """Clients that die at any point of a conversation"""
    with Watched() as w:
        r, wr = os.pipe()
        talk = AUTH + HELLO
        for i, (member, sig, args) in enumerate([
                ('RequestName', 'su', ['x.dies', 0]), ('AddMatch', 's', ["type='signal'"]),
                ('ListNames', '', []), ('ReleaseName', 's', ['x.dies'])], 2):
            talk += Message(CALL, i, 0, sig, args, path='/', interface=DRIVER, member=member,
                            destination=DRIVER).encode()
        talk += Message(CALL, 50, 0, 'sayv', ['text', b'bytes', Variant('(us)', (1, 'x'))], path='/x',
                        member='Unanswered', destination=w.a.name).encode()
        for end in range(0, len(talk) + 1, 7):
            raw(w.bus, talk[:end]).close()
            if end % 70 == 0:
                s = raw(w.bus, talk[:end])
                s.shutdown(socket.SHUT_WR)
                s.close()
        # With descriptors on the way, in both directions.
        for _ in range(20):
            c = w.bus.client()
            c.send_call('Fds', 'h', 0, dest=w.a.name, fds=[r])
            c.close()
            c = w.bus.client()
            w.a.send_call('Fds', 'h', 0, dest=c.name, fds=[r], flags=NO_REPLY)
            c.close()
        os.close(r), os.close(wr)
        for m in w.a.settled():
            for fd in m.fds:
                os.close(fd)


def noise():
    """Random edits of a conversation"""
    random.seed(1)
    with Watched() as w:
        talk = bytearray(HELLO)
        talk += Message(CALL, 2, 0, 'su', ['x.noise', 0], path='/', interface=DRIVER,
                        member='RequestName', destination=DRIVER).encode()
        talk += Message(SIGNAL, 3, 1, 'a{sv}as', [{'k': Variant('ai', [1, 2])}, ['x', 'y']], path='/x',
                        interface='x.y', member='S').encode()
        talk += Message(CALL, 4, 1, 'a(yv)', [[(1, Variant('s', 'x'))]], path='/x', interface='x.y',
                        member='M', destination=w.a.name).encode()
        for _ in range(300):
            data = bytearray(talk)
            for _ in range(random.randint(1, 6)):
                data[random.randrange(len(data))] = random.choice((0, 1, 2, 0x7f, 0x80, 0xff,
                                                                   random.randrange(256)))
            s = raw(w.bus, AUTH + bytes(data))
            if random.random() < 0.5:
                s.shutdown(socket.SHUT_WR)
            s.close()


def announced_but_not_sent():
    """50 clients that announce 127 MiB and send little cost little"""
    with Watched() as w:
        size = 127 << 20
        start = edited(4, *size.to_bytes(4, 'little'))
        idle = [raw(w.bus, AUTH + HELLO + start + bytes(1000)) for _ in range(50)]
        w.works()
        grown = w.bus.memory() - w.memory
        assert grown < 50 * 512 * 1024, grown
        for s in idle:
            s.close()


def call_without_reading(w):
    call = Message(CALL, 7, 0, path='/', interface='org.freedesktop.DBus.Introspectable',
                   member='Introspect', destination=DRIVER).encode()
    s = raw(w.bus, AUTH + HELLO)
    s.settimeout(0.5)
    sent, stopped = 0, False
    while not stopped:
        before = sent
        try:
            while sent < 60 << 20:
                sent += s.send(call * 200)
        except socket.timeout:
            pass
        assert sent < 30 << 20, 'never stopped'
        # It may just have been slow.
        w.bus.comes_to_rest()
        stopped = sent == before
    w.works()
    assert w.bus.memory() - w.memory < 40 << 20, w.bus.memory() - w.memory
    w.bus.comes_to_rest()
    # It goes on when the client reads, and no answer is missing.
    s.settimeout(30 * PATIENCE)
    received = bytearray()
    calls = sent // len(call)
    while received.count(b'</node>\n\0') < calls:
        received += s.recv(1 << 22)
    assert len(received) > 8 << 20, 'the limit was not reached'
    s.close()


def calls_without_reading():
    """A client that calls and calls and never reads is stopped, others are served"""
    with Watched() as w:
        call_without_reading(w)
        # The allocator may keep what this took, but takes no more the second time.
        harness.wait_for(lambda: w.bus.fds() == w.fds, 'client gone')
        w.memory = w.bus.memory()
        call_without_reading(w)


def signals_to_a_sleeper():
    """A client that never reads its signals is bounded; senders to it learn of it"""
    with Watched() as w:
        sleeper = w.bus.client()
        sleeper.call('AddMatch', 's', "type='signal'")
        text = 'x' * 20000
        for i in range(1500):
            w.b.signal('Flood', 's', text)
        w.b.call('GetId')
        assert w.bus.memory() - w.memory < 24 << 20, w.bus.memory() - w.memory
        w.works()
        # Its queue in the kernel is nearly full, and calls are told when it is.
        for i in range(260):
            w.b.send_call('M', dest=sleeper.name, flags=NO_REPLY)
        errors = w.b.settled()
        assert errors and {m.error_name for m in errors} == {E + 'LimitsExceeded'}, errors
        # What it was sent before is still there, in order, when it wakes up.
        assert sleeper.receive().member == 'Flood'
        sleeper.close()


def sleeper_with_memory_files():
    """Long messages to a client that never reads do not pile up in the proxy"""
    with Watched() as w:
        sleeper = w.bus.client()
        body = bytes(4 << 20)
        errors = 0
        for i in range(12):
            w.b.signal('Long', 'ay', body, dest=sleeper.name)
        w.b.call('GetId')
        assert w.bus.memory() - w.memory < 40 << 20, w.bus.memory() - w.memory
        sleeper.close()
        w.works()


def other_users_flood():
    """Another user's unfinished connections do not keep anybody out"""
    with Watched('--access=world') as w:
        ready, done = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            kept = [raw(w.bus) for _ in range(200)]

            def alive(s):
                s.setblocking(False)
                try:
                    return len(s.recv(1)) > 0
                except BlockingIOError:
                    return True
                except ConnectionError:
                    return False

            def count():
                return sum(map(alive, kept))
            # It may need a while for those that are too many.
            deadline = time.monotonic() + 20
            while count() > 64 and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(0.5)
            os.write(ready[1], b'%d' % count())
            os.read(done[0], 1)
            os._exit(0)
        assert int(os.read(ready[0], 10)) == 64
        for _ in range(5):
            w.bus.client().close()
        w.works()
        os.write(done[1], b'x')
        os.waitpid(pid, 0)
        for fd in ready + done:
            os.close(fd)


def out_of_descriptors():
    """When the proxy has no descriptors left, it goes on with those it serves, and recovers"""
    with Watched() as w:
        import resource
        soft, hard = resource.prlimit(w.bus.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(w.bus.process.pid, resource.RLIMIT_NOFILE, (w.fds + 5, hard))
        kept = [raw(w.bus) for _ in range(20)]
        time.sleep(0.3)
        w.works()
        w.bus.comes_to_rest()
        resource.prlimit(w.bus.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        for s in kept:
            s.close()
        c = w.bus.client()
        assert c.call('GetId').type == RETURN
        c.close()


def names_churn():
    """Clients come, take names and rules, and go"""
    with Watched() as w:
        w.a.call('AddMatch', 's', "member='NameOwnerChanged',arg0='x.churn'")
        for i in range(60):
            c = w.bus.client()
            assert c.call('RequestName', 'su', 'x.churn', 0).args == [1]
            for j in range(5):
                c.call('AddMatch', 's', "member='M%d'" % j)
            c.close()
            harness.wait_for(lambda: not w.b.call('NameHasOwner', 's', 'x.churn').args[0], 'gone')
        changes = [m for m in w.a.settled() if m.member == 'NameOwnerChanged']
        assert len(changes) == 120, len(changes)
        for come, go in zip(changes[::2], changes[1::2]):
            assert come.args[1] == '' and go.args[2] == '' and come.args[2] == go.args[1]


harness.main([invalid_messages, authentication, descriptor_floods, death_at_any_byte, noise,
              announced_but_not_sent, calls_without_reading, signals_to_a_sleeper,
              sleeper_with_memory_files, other_users_flood, out_of_descriptors, names_churn])
