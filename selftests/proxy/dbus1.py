# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bare D-Bus 1 client for tests: it can say what no library would let it say.

Messages are built and taken apart here, byte by byte, so that headers, flags,
order and errors can be looked at as they are on the socket.
"""
import array
import os
import socket
import struct
import time

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY, NO_AUTO_START = 1, 2
# Kernels with sanitizers are slow.
PATIENCE = 5 if os.environ.get('KDBUS_KERNEL', '').endswith('-kasan') else 1
DRIVER = 'org.freedesktop.DBus'
DRIVER_PATH = '/org/freedesktop/DBus'

FIXED = {'y': 'B', 'b': 'I', 'n': 'h', 'q': 'H', 'i': 'i', 'u': 'I',
         'x': 'q', 't': 'Q', 'd': 'd', 'h': 'I'}
ALIGN = {'y': 1, 'b': 4, 'n': 2, 'q': 2, 'i': 4, 'u': 4, 'x': 8, 't': 8, 'd': 8, 'h': 4,
         's': 4, 'o': 4, 'g': 1, 'a': 4, 'v': 1, '(': 8, '{': 8}


def first_type(sig):
    if sig[0] == 'a':
        return 'a' + first_type(sig[1:])
    if sig[0] in '({':
        depth = 0
        for i, c in enumerate(sig):
            depth += c in '({'
            depth -= c in ')}'
            if depth == 0:
                return sig[:i + 1]
    return sig[0]


def types(sig):
    while sig:
        t = first_type(sig)
        yield t
        sig = sig[len(t):]


class Variant:
    def __init__(self, sig, value):
        self.sig, self.value = sig, value


class Writer:
    def __init__(self, order='<'):
        self.data, self.order = bytearray(), order

    def pad(self, n):
        self.data += b'\0' * (-len(self.data) % n)

    def put(self, t, v):
        c = t[0]
        self.pad(ALIGN[c])
        if c in FIXED:
            self.data += struct.pack(self.order + FIXED[c], v)
        elif c in 'so':
            v = v if isinstance(v, bytes) else v.encode()
            self.data += struct.pack(self.order + 'I', len(v)) + v + b'\0'
        elif c == 'g':
            v = v.encode()
            self.data += bytes([len(v)]) + v + b'\0'
        elif c == 'v':
            self.put('g', v.sig)
            self.put(v.sig, v.value)
        elif c == 'a':
            at = len(self.data)
            self.data += b'\0\0\0\0'
            self.pad(ALIGN[t[1]])
            start = len(self.data)
            if t == 'ay':
                self.data += bytes(v)
            else:
                for item in (v.items() if isinstance(v, dict) else v):
                    self.put(t[1:], item)
            struct.pack_into(self.order + 'I', self.data, at, len(self.data) - start)
        else:
            for member, value in zip(types(t[1:-1]), v):
                self.put(member, value)


class Reader:
    def __init__(self, data, order='<', at=0):
        self.data, self.order, self.at = data, order, at

    def pad(self, n):
        self.at += -self.at % n

    def get(self, t):
        c = t[0]
        self.pad(ALIGN[c])
        if c in FIXED:
            f = self.order + FIXED[c]
            v, = struct.unpack_from(f, self.data, self.at)
            self.at += struct.calcsize(f)
            return bool(v) if c == 'b' else v
        if c in 'so':
            n = self.get('u')
            v = self.data[self.at:self.at + n].decode()
            self.at += n + 1
            return v
        if c == 'g':
            n = self.get('y')
            v = self.data[self.at:self.at + n].decode()
            self.at += n + 1
            return v
        if c == 'v':
            return self.get(self.get('g'))
        if c == 'a':
            n = self.get('u')
            self.pad(ALIGN[t[1]])
            end = self.at + n
            if t == 'ay':
                self.at = end
                return bytes(self.data[end - n:end])
            items = []
            while self.at < end:
                items.append(self.get(t[1:]))
            return dict(items) if t[1] == '{' else items
        return tuple(self.get(m) for m in types(t[1:-1]))


FIELD_TYPES = {1: 'o', 2: 's', 3: 's', 4: 's', 5: 'u', 6: 's', 7: 's', 8: 'g', 9: 'u'}
FIELD_NAMES = {1: 'path', 2: 'interface', 3: 'member', 4: 'error_name', 5: 'reply_serial',
               6: 'destination', 7: 'sender', 8: 'signature', 9: 'unix_fds'}
FIELD_CODES = {v: k for k, v in FIELD_NAMES.items()}


class Message:
    def __init__(self, type, serial=0, flags=0, sig='', args=(), fds=(), order='<', **fields):
        self.type, self.serial, self.flags, self.order = type, serial, flags, order
        self.sig, self.args, self.fds, self.fields = sig, list(args), list(fds), fields
        self.extra = []

    def __getattr__(self, name):
        if name in FIELD_CODES:
            return self.fields.get(name)
        raise AttributeError(name)

    def encode(self):
        body = Writer(self.order)
        for t, v in zip(types(self.sig), self.args):
            body.put(t, v)
        fields = [(FIELD_CODES[k], Variant(FIELD_TYPES[FIELD_CODES[k]], v))
                  for k, v in self.fields.items() if v is not None]
        if self.sig:
            fields.append((8, Variant('g', self.sig)))
        if self.fds:
            fields.append((9, Variant('u', len(self.fds))))
        head = Writer(self.order)
        for t, v in zip('yyyyuu', (ord('l' if self.order == '<' else 'B'), self.type, self.flags,
                                   1, len(body.data), self.serial)):
            head.put(t, v)
        head.put('a(yv)', fields + self.extra)
        head.pad(8)
        return bytes(head.data + body.data)

    def __repr__(self):
        return 'Message(%d, %r, %r, %r)' % (self.type, self.fields, self.sig, self.args)


def decode(data):
    order = '<' if data[:1] == b'l' else '>'
    r = Reader(data, order)
    _, kind, flags, _, length, serial = (r.get(t) for t in 'yyyyuu')
    fields = dict(r.get('a(yv)'))
    r.pad(8)
    m = Message(kind, serial, flags, order=order)
    m.fields = {FIELD_NAMES.get(k, k): v for k, v in fields.items()}
    m.sig = m.fields.pop('signature', '')
    body = Reader(data[r.at:], order)
    m.args = [body.get(t) for t in types(m.sig)]
    assert body.at == length, (body.at, length, m)
    return m


class Closed(Exception):
    pass


class Timeout(Exception):
    pass


class Client:
    """One connection; says Hello unless told otherwise."""

    def __init__(self, path, fds=True, hello=True, auth=True, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE * timeout)
        if path.startswith('@'):
            path = '\0' + path[1:]
        self.sock.connect(path)
        self.timeout = timeout
        self.buffer, self.fds, self.serial = b'', [], 0
        self.queue, self.name = [], None
        if auth:
            self.authenticate(fds)
            if hello:
                self.hello()

    def authenticate(self, fds=True):
        uid = str(os.geteuid()).encode().hex().encode()
        self.sock.sendall(b'\0AUTH EXTERNAL ' + uid + b'\r\n' +
                          (b'NEGOTIATE_UNIX_FD\r\n' if fds else b'') + b'BEGIN\r\n')
        for expected in [b'OK '] + ([b'AGREE_UNIX_FD'] if fds else []):
            line = self.line()
            assert line.startswith(expected), line

    def line(self):
        while b'\r\n' not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b'\r\n', 1)
        return line

    def fill(self, timeout=None):
        self.sock.settimeout(PATIENCE * (self.timeout if timeout is None else timeout))
        try:
            data, ancillary, _, _ = self.sock.recvmsg(1 << 20, socket.CMSG_SPACE(253 * 4))
        except (socket.timeout, BlockingIOError):
            raise Timeout()
        except ConnectionError:
            raise Closed()
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array('i')
                fds.frombytes(content[:len(content) - len(content) % 4])
                self.fds += fds
        if not data:
            raise Closed()
        self.buffer += data

    def hello(self):
        self.name = self.call('Hello').args[0]
        acquired = self.receive()
        assert acquired.member == 'NameAcquired', acquired

    def next_serial(self):
        self.serial += 1
        return self.serial

    def send(self, message, raw=None):
        if not message.serial:
            message.serial = self.next_serial()
        data = message.encode()
        self.sock.settimeout(PATIENCE * self.timeout)
        if message.fds:
            sent = self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                               array.array('i', message.fds))])
            self.sock.sendall(data[sent:])
        else:
            self.sock.sendall(data)
        return message.serial

    def send_call(self, member, sig='', *args, dest=DRIVER, path=DRIVER_PATH, iface=DRIVER,
                  flags=0, fds=(), order='<'):
        return self.send(Message(CALL, 0, flags, sig, args, fds, order, path=path,
                                 interface=iface, member=member, destination=dest))

    def receive(self, timeout=None):
        """The next message, of those set aside first."""
        if self.queue:
            return self.queue.pop(0)
        return self.receive_new(timeout)

    def receive_new(self, timeout=None):
        deadline = time.monotonic() + PATIENCE * (self.timeout if timeout is None else timeout)
        while True:
            if len(self.buffer) >= 16:
                order = '<' if self.buffer[:1] == b'l' else '>'
                body, _, fields = struct.unpack_from(order + 'III', self.buffer, 4)
                size = 16 + fields + (-fields % 8) + body
                if len(self.buffer) >= size:
                    m = decode(self.buffer[:size])
                    self.buffer = self.buffer[size:]
                    count = m.unix_fds or 0
                    m.fds, self.fds = self.fds[:count], self.fds[count:]
                    return m
            self.fill(max(deadline - time.monotonic(), 0.001))

    def reply_to(self, serial, timeout=None):
        """The answer to that call; everything else is set aside, in order."""
        while True:
            m = self.receive_new(timeout)
            if m.type in (RETURN, ERROR) and m.reply_serial == serial:
                return m
            self.queue.append(m)

    def call(self, *args, timeout=None, **kw):
        return self.reply_to(self.send_call(*args, **kw), timeout)

    def answer(self, call, sig='', *args, fds=()):
        self.send(Message(RETURN, 0, NO_REPLY, sig, args, fds, destination=call.sender,
                          reply_serial=call.serial))

    def signal(self, member, sig='', *args, dest=None, path='/x', iface='x.y', flags=NO_REPLY,
               fds=()):
        return self.send(Message(SIGNAL, 0, flags, sig, args, fds, path=path, interface=iface,
                                 member=member, destination=dest))

    def settled(self):
        """Everything that the bus had for us before it answers one more call."""
        try:
            serial = self.send_call('GetId')
            while True:
                m = self.receive_new()
                if m.type in (RETURN, ERROR) and m.reply_serial == serial:
                    break
                self.queue.append(m)
        except (Closed, OSError):
            pass
        messages, self.queue = self.queue, []
        return messages

    def closed(self, timeout=30):
        """Whether the server hangs up."""
        try:
            while True:
                self.fill(timeout)
        except Closed:
            return True
        except Timeout:
            return False

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
