#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What travels through bus-proxy: sizes, descriptors, order, rules, slow readers."""
import os
import socket
import threading

import harness
from dbus1 import (CALL, ERROR, RETURN, SIGNAL, NO_REPLY, DRIVER, Client, Message, Variant)

E = 'org.freedesktop.DBus.Error.'


def big_call_both_ways():
    """20 MiB there and 20 MiB back"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(timeout=60), bus.client(timeout=60)
        there, back = os.urandom(1 << 20) * 20, os.urandom(1 << 20) * 20
        serial = b.send_call('M', 'sayu', 'before', there, 7, dest=a.name)
        m = a.receive()
        assert m.args == ['before', there, 7], m.args[0]
        a.answer(m, 'aya{sv}', back, {'k': Variant('ay', b'x' * 100)})
        m = b.reply_to(serial)
        assert m.args == [back, {'k': b'x' * 100}]
        # Sizes around the limit for inline bodies, to and fro.
        for size in (0, 1, 524287, 524288, 524289, 2097152, 2097153, 3000000):
            serial = b.send_call('M', 'ay', bytes(size), dest=a.name)
            m = a.receive()
            assert len(m.args[0]) == size
            a.answer(m, 'ay', bytes(size))
            assert len(b.reply_to(serial).args[0]) == size
        # Many elements, whose framing is large in the kernel's form.
        texts = ['text %d' % i for i in range(20000)]
        serial = b.send_call('M', 'as', texts, dest=a.name)
        assert a.receive().args[0] == texts


def big_broadcasts():
    """Broadcasts of 1 and 3 MiB arrive"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(timeout=60), bus.client(timeout=60)
        a.call('AddMatch', 's', "type='signal'")
        for size in (1 << 20, 3 << 20):
            b.signal('Big', 'ay', bytes(size))
            m = a.receive()
            assert m.member == 'Big' and len(m.args[0]) == size


def too_big():
    """A message above 128 MiB disconnects its sender, and only that"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(), bus.client()
        b.sock.sendall(Message(CALL, 5, 0, path='/', member='M', destination=a.name,
                               interface='a.b').encode()[:4] +
                       (200 << 20).to_bytes(4, 'little') + (5).to_bytes(4, 'little') +
                       (100).to_bytes(4, 'little'))
        assert b.closed()
        assert a.call('GetId').type == RETURN


def descriptors():
    """Descriptors keep order, number and indices"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(), bus.client()
        before = bus.fds()
        files = []
        for i in range(16):
            f = os.memfd_create('f%d' % i)
            os.write(f, b'%d' % i)
            files.append(f)
        # Indices in any order, shared and not used.
        serial = b.send_call('M', 'hahv', 5, [3, 3, 0], Variant('h', 15), dest=a.name, fds=files)
        m = a.receive()
        assert m.args == [5, [3, 3, 0], 15], m.args
        assert [os.pread(f, 9, 0) for f in m.fds] == [b'%d' % i for i in range(16)]
        a.answer(m, 'h', 1, fds=m.fds[:2])
        reply = b.reply_to(serial)
        assert reply.args == [1] and [os.pread(f, 9, 0) for f in reply.fds] == [b'0', b'1']
        b.signal('S', 'h', 0, dest=a.name, fds=files[7:8])
        s = a.receive()
        assert s.member == 'S' and os.pread(s.fds[0], 9, 0) == b'7'
        for f in m.fds + reply.fds + s.fds + files:
            os.close(f)
        harness.wait_for(lambda: bus.fds() == before, 'descriptors closed')


def sockets():
    """Sockets pass and work"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(), bus.client()
        ours, theirs = socket.socketpair()
        serial = b.send_call('M', 'h', 0, dest=a.name, fds=[theirs.fileno()])
        theirs.close()
        m = a.receive()
        received = socket.socket(fileno=m.fds[0])
        received.sendall(b'through the bus')
        assert ours.recv(64) == b'through the bus'
        a.answer(m)
        assert b.reply_to(serial).type == RETURN
        ours.close(), received.close()


def refused_descriptors():
    """Descriptors that cannot be passed: an error for the caller, and nothing is left"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(), bus.client()
        n = bus.client(fds=False)
        before = bus.fds()
        r, w = os.pipe()
        node = os.open('/dev/kdbus/control', os.O_RDWR | os.O_CLOEXEC)
        call = lambda fds, dest: b.call('M', 'h', 0, dest=dest, fds=fds)
        assert call([node], a.name).error_name == E + 'NotSupported'
        os.close(node)
        assert call([r] * 17, a.name).error_name == E + 'LimitsExceeded'
        assert call([r], n.name).error_name == E + 'NotSupported'
        serial = b.signal('S', 'h', 0, fds=[r])
        assert b.reply_to(serial).error_name == E + 'NotSupported'
        # A reply with descriptors to a caller without: caller and callee learn of it.
        serial = n.send_call('M', dest=a.name)
        m = a.receive()
        a.answer(m, 'h', 0, fds=[r])
        assert n.reply_to(serial).error_name == E + 'NotSupported'
        assert a.receive().error_name == E + 'NotSupported'
        assert n.call('GetId').type == RETURN
        os.close(r), os.close(w)
        harness.wait_for(lambda: bus.fds() == before, 'descriptors closed')


def many_rules():
    """512 rules, all of which work; each can be removed"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(), bus.client()
        rule = lambda i: "type='signal',interface='x.i%d'" % i
        for i in range(512):
            assert a.call('AddMatch', 's', rule(i)).type == RETURN, i
        assert a.call('AddMatch', 's', 'member=X').error_name == E + 'LimitsExceeded'
        heard = lambda: [m.interface for m in a.settled() if m.type == SIGNAL]

        def emit(numbers):
            for i in numbers:
                b.signal('S', iface='x.i%d' % i)
            b.call('GetId')
        emit((0, 255, 256, 511, 512))
        assert heard() == ['x.i0', 'x.i255', 'x.i256', 'x.i511']
        # Names still change as they should, and nothing comes that no rule asks for.
        a.call('RequestName', 'su', 'x.name', 0)
        b.call('RequestName', 'su', 'x.other', 0)
        assert [m.member for m in a.settled()] == ['NameAcquired']
        for i in range(511, 9, -1):
            assert a.call('RemoveMatch', 's', rule(i)).type == RETURN, i
            assert a.call('RemoveMatch', 's', rule(i)).error_name == E + 'MatchRuleNotFound'
        emit((0, 9, 10, 511))
        assert heard() == ['x.i0', 'x.i9']


def slow_reader_loses_nothing():
    """4000 signals wait for a client that does not read"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(timeout=60), bus.client(timeout=60)
        a.call('AddMatch', 's', "type='signal',member='Tick'")
        for i in range(4000):
            b.signal('Tick', 'u', i)
        b.call('GetId')
        numbers = [a.receive().args[0] for _ in range(4000)]
        assert numbers == list(range(4000))


def bursts_lose_nothing():
    """Bursts from several senders at once reach several receivers"""
    with harness.bus_proxy() as bus:
        senders = [bus.client(timeout=60) for _ in range(5)]
        receivers = [bus.client(timeout=60) for _ in range(5)]
        for r in receivers:
            r.call('AddMatch', 's', "type='signal',member='Tick'")

        def send(s):
            data = b''.join(Message(SIGNAL, i + 10, NO_REPLY, 'u', [i], path='/x', interface='x.y',
                                    member='Tick').encode() for i in range(400))
            s.sock.sendall(data)
        threads = [threading.Thread(target=send, args=(s,)) for s in senders]
        for t in threads:
            t.start()
        for r in receivers:
            counts = {}
            for _ in range(5 * 400):
                m = r.receive()
                assert m.args[0] == counts.get(m.sender, 0), (m.sender, m.args, counts)
                counts[m.sender] = m.args[0] + 1
        for t in threads:
            t.join()


def order_of_answers():
    """Pipelined driver calls are answered in order, with the signals in their place"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(), bus.client()
        a.call('AddMatch', 's', "member='NameOwnerChanged',arg0='x.name'")
        b.signal('Before', dest=a.name)
        b.call('GetId')
        data = b''
        for serial, (member, sig, args) in enumerate(
                [('RequestName', 'su', ['x.name', 0]), ('GetNameOwner', 's', ['x.name']),
                 ('ReleaseName', 's', ['x.name']), ('NameHasOwner', 's', ['x.name']),
                 ('GetId', '', [])], 100):
            data += Message(CALL, serial, 0, sig, args, path='/', interface=DRIVER, member=member,
                            destination=DRIVER).encode()
        a.sock.sendall(data)
        seen = [m.member or m.reply_serial for m in (a.receive() for _ in range(10))]
        assert seen == ['Before', 'NameOwnerChanged', 'NameAcquired', 100, 101, 'NameLost',
                        'NameOwnerChanged', 102, 103, 104], seen


def old_news_first():
    """Before an answer comes everything that was queued before it"""
    with harness.bus_proxy() as bus:
        a, b = bus.client(), bus.client()
        a.call('AddMatch', 's', "type='signal'")
        for i in range(50):
            b.signal('S', 'u', i)
            b.call('RequestName', 'su', 'x.n%d' % i, 0)
            serial = a.send_call('NameHasOwner', 's', 'x.n%d' % i)
            before = []
            while True:
                m = a.receive()
                if m.reply_serial == serial:
                    break
                before.append(m.member)
            assert m.args == [True] and before == ['S', 'NameOwnerChanged'], (i, before)


def fate_of_calls():
    """Every call gets an answer: callee gone, callee gone unread, too many calls"""
    with harness.bus_proxy() as bus:
        a, b, c = bus.client(), bus.client(), bus.client()
        serials = [b.send_call('M', dest=c.name) for _ in range(10)]
        for _ in range(5):
            c.receive()
        c.close()
        for serial in serials:
            assert b.reply_to(serial).error_name == E + 'NoReply'
        serials = [b.send_call('M', dest=a.name) for _ in range(130)]
        refused = [m for m in b.settled() if m.type == ERROR]
        assert [m.error_name for m in refused] == [E + 'LimitsExceeded'] * 2
        assert [m.reply_serial for m in refused] == serials[128:]
        for _ in range(128):
            a.answer(a.receive())
        for serial in serials[:128]:
            assert b.reply_to(serial).type == RETURN
        # Replies nobody asked for, and second ones, do no harm.
        serial = b.send_call('M', dest=a.name)
        m = a.receive()
        a.answer(m)
        a.answer(m)
        m.serial = 12345
        a.answer(m)
        assert b.reply_to(serial).type == RETURN
        assert b.settled() == [] and a.settled() == []


def joined_bus():
    """A second proxy joins the bus of the first: their clients talk"""
    with harness.bus_proxy() as first:
        id = first.client().call('GetId').args[0]
        path = [os.path.join('/dev/kdbus', d, 'bus') for d in os.listdir('/dev/kdbus')
                if d.startswith('0-test-%d-' % os.getpid())]
        assert len(path) == 1, path
        with harness.bus_proxy(bus='--bus=' + path[0]) as second:
            a, b = first.client(), second.client()
            assert b.call('GetId').args[0] == id
            a.call('RequestName', 'su', 'x.name', 0)
            serial = b.send_call('M', 's', 'hello', dest='x.name')
            m = a.receive()
            while m.member != 'M':
                m = a.receive()
            assert m.sender == b.name and m.args == ['hello']
            a.answer(m, 's', 'world')
            assert b.reply_to(serial).args == ['world']
            # The client that asked for the id is gone.
            harness.wait_for(lambda: len(b.call('ListNames').args[0]) <= 5, 'clients')
            names = b.call('ListNames').args[0]
            # And the first proxy's own connection, which only the first can tell from others.
            assert len(names) == 5 and {DRIVER, a.name, b.name, 'x.name'} < set(names), names
            # The bus dies with its maker; the second proxy leaves, and says so.
            first.stop()
            assert b.closed()
            assert second.process.wait(60) == 1
        assert not os.path.exists(path[0])


def identities():
    """Clients have their own identity on the kernel bus, whatever the proxy's is"""
    with harness.bus_proxy('--access=world') as bus:
        a = bus.client()
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setgroups([7, 8])
            os.setgid(9)
            os.setuid(65534)
            c = bus.client()
            os.write(w, c.name.encode())
            c.receive(60)
            os._exit(0)
        name = os.read(r, 100).decode()
        assert a.call('GetConnectionUnixUser', 's', name).args == [65534]
        assert a.call('GetConnectionUnixProcessID', 's', name).args == [pid]
        credentials = a.call('GetConnectionCredentials', 's', name).args[0]
        assert credentials['UnixUserID'] == 65534 and credentials['ProcessID'] == pid
        assert credentials['UnixGroupIDs'] == [7, 8, 9], credentials
        a.signal('Go', dest=name)
        os.waitpid(pid, 0)


def owners_only():
    """Without --access=world, other users are not let in"""
    with harness.bus_proxy() as bus:
        os.chmod(bus.socket, 0o666)
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            try:
                bus.client()
                os._exit(1)
            except Exception:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert bus.client().call('GetId').type == RETURN


harness.main([big_call_both_ways, big_broadcasts, too_big, descriptors, sockets,
              refused_descriptors, many_rules, slow_reader_loses_nothing,
              bursts_lose_nothing, order_of_answers, old_news_first, fate_of_calls,
              joined_bus, identities, owners_only])
