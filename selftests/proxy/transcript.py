# SPDX-License-Identifier: LGPL-2.1-or-later
"""Talks to a message bus and writes down what it answers.

    transcript.py SOCKET

Run against the reference daemon and against bus-proxy, the two transcripts
must be the same: names, order, types, errors. Unique names are numbered in the
order in which they appear; free text of errors is left out.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dbus1 import (CALL, ERROR, RETURN, SIGNAL, NO_AUTO_START, NO_REPLY, DRIVER, DRIVER_PATH,
                   Client, Closed, Message, Timeout, Variant)

path = sys.argv[1]
names = {}


def stable(value):
    if isinstance(value, str):
        def number(match):
            return names.setdefault(match.group(0), ':1.#%d' % len(names))
        value = re.sub(r':1\.\d+', number, value)
        return re.sub(r'\b[0-9a-f]{32}\b', 'ID', value)
    if isinstance(value, (list, tuple)):
        return [stable(v) for v in value]
    if isinstance(value, dict):
        return {stable(k): stable(v) for k, v in sorted(value.items())}
    return value


def show(m, who=''):
    kind = {CALL: 'call', RETURN: 'return', ERROR: 'error', SIGNAL: 'signal'}[m.type]
    args = m.args
    if m.type == ERROR and m.sig == 's':
        args = ['...']
    fields = ['%s=%s' % (k, stable(v)) for k, v in sorted(m.fields.items())
              if k not in ('reply_serial', 'unix_fds')]
    # A kernel bus has the flag on all that are not calls.
    flags = m.flags if m.type == CALL else m.flags | NO_REPLY
    print('   ', who, kind, 'flags=%d' % flags, *fields, m.sig or '-', stable(args))


def say(*text):
    print(*text)
    sys.stdout.flush()


def ask(c, *args, **kw):
    """A call, and everything that comes with its answer, in order."""
    say('>', *[stable(a) for a in args if not isinstance(a, Variant)],
        *['%s=%s' % (k, stable(v)) for k, v in kw.items()])
    try:
        c.send_call(*args, **kw)
    except OSError:
        pass
    collect(c)


def collect(*clients):
    for i, c in enumerate(clients):
        for m in c.settled():
            show(m, 'abc'[i] if len(clients) > 1 else '')


def is_open(c):
    try:
        c.reply_to(c.send_call('GetId'))
        return True
    except (OSError, Closed):
        return False



P = 'org.freedesktop.DBus.Properties'
PEER = 'org.freedesktop.DBus.Peer'
INTRO = 'org.freedesktop.DBus.Introspectable'

say('# before Hello')
c = Client(path, hello=False)
ask(c, 'ListNames')
ask(c, 'Ping', iface=PEER)
ask(c, 'Hello', path='/any')
ask(c, 'Hello')
c.close()
c = Client(path, hello=False)
ask(c, 'Hello', iface=None)
c.close()
c = Client(path, hello=False)
ask(c, 'Hello', 's', 'x')
ask(c, 'Hello', iface='a.b')
ask(c, 'Hello', flags=NO_REPLY)
c.close()
for what in (dict(dest='a.b'), dict(dest=None), dict(dest=':1.4294967290')):
    c = Client(path, hello=False)
    ask(c, 'Hello', **what)
    say('open' if is_open(c) else 'closed')
    c.close()
c = Client(path, hello=False)
c.signal('S')
say('signal first:', 'open' if is_open(c) else 'closed')
c.close()

a = Client(path)
b = Client(path)
stable(a.name), stable(b.name)

say('# names')
for flags in (0, 0, 4, 1, 3, 0x80):
    ask(a, 'RequestName', 'su', 'x.one', flags)
ask(b, 'RequestName', 'su', 'x.one', 4)
ask(b, 'RequestName', 'su', 'x.one', 0)
ask(b, 'RequestName', 'su', 'x.one', 0)
ask(b, 'ListQueuedOwners', 's', 'x.one')
ask(b, 'RequestName', 'su', 'x.one', 4)
ask(b, 'ListQueuedOwners', 's', 'x.one')
ask(a, 'RequestName', 'su', 'x.one', 1)
ask(b, 'AddMatch', 's', "member='NameOwnerChanged'")
ask(a, 'AddMatch', 's', "member='NameOwnerChanged'")
ask(b, 'RequestName', 'su', 'x.one', 2)
collect(a, b)
ask(b, 'ListQueuedOwners', 's', 'x.one')
ask(b, 'ReleaseName', 's', 'x.one')
collect(a, b)
ask(b, 'ReleaseName', 's', 'x.one')
ask(b, 'ReleaseName', 's', 'x.nobody')
ask(b, 'RequestName', 'su', 'x.one', 0)
ask(b, 'ReleaseName', 's', 'x.one')
ask(b, 'ReleaseName', 's', 'x.one')
ask(a, 'ReleaseName', 's', 'x.one')
collect(a, b)
for name in ('', 'x', ':1.4294967280', ':x', 'x..y', '.x.y', 'x.1y', 'x.-y', '-x.y', 'org.freedesktop.DBus',
             'org.freedesktop.DBus.Local', 'x.' + 'y' * 253, 'x.' + 'y' * 254, 'x.y*', 'x.é'):
    ask(a, 'RequestName', 'su', name, 0)
    ask(a, 'ReleaseName', 's', name)
    collect(b)
ask(a, 'RemoveMatch', 's', "member='NameOwnerChanged'")
ask(b, 'RemoveMatch', 's', "member='NameOwnerChanged'")

say('# queries')
ask(a, 'RequestName', 'su', 'x.two', 0)
subjects = ('x.two', a.name, b.name, 'x.nobody', ':1.4294967295', ':1.x', ':2.1', ':x', 'x', '',
            DRIVER, 'org.freedesktop.DBus.Local')
for member in ('GetNameOwner', 'NameHasOwner', 'ListQueuedOwners', 'GetConnectionUnixUser',
               'GetConnectionSELinuxSecurityContext', 'GetAdtAuditSessionData'):
    for subject in subjects:
        ask(a, member, 's', subject)
for subject in subjects:
    m = a.call('GetConnectionUnixProcessID', 's', subject)
    say('> pid of', stable(subject), m.error_name or 'known', m.sig,
        m.args[0] == os.getpid() if m.type == RETURN and subject != DRIVER else '')
    m = a.call('GetConnectionCredentials', 's', subject)
    say('> credentials of', stable(subject), m.error_name or 'known', m.sig,
        # ProcessFD is newer than the reference daemon, and needs a kernel that has SO_PEERPIDFD.
        sorted(k for k in m.args[0] if k not in ('LinuxSecurityLabel', 'ProcessFD'))
        if m.type == RETURN else '',
        m.args[0].get('UnixUserID') == os.getuid() if m.type == RETURN else '',
        m.args[0].get('UnixGroupIDs') == sorted(set(os.getgroups() + [os.getgid()]))
        if m.type == RETURN and subject != DRIVER else '',
        m.args[0].get('ProcessID') == os.getpid()
        if m.type == RETURN and subject != DRIVER else '')
# Of names that are owned the reference daemon says that it cannot start them, which is left out.
for flags in (0, 7):
    for subject in subjects:
        if subject not in ('x.two', DRIVER):
            ask(a, 'StartServiceByName', 'su', subject, flags)
say('> ListNames', sorted(stable(a.call('ListNames').args[0])))
ask(a, 'ListActivatableNames')
ask(a, 'GetId')

say('# arguments, interfaces, paths')
ask(a, 'RequestName', 's', 'x.y')
ask(a, 'RequestName', 'us', 0, 'x.y')
ask(a, 'RequestName', 'sus', 'x.y', 0, '')
ask(a, 'ListNames', 's', '')
ask(a, 'GetNameOwner')
ask(a, 'GetNameOwner', 'o', '/x')
ask(a, 'Nothing')
ask(a, 'ListNames', iface='x.y')
ask(a, 'ListNames', iface=PEER)
ask(a, 'Ping', iface=PEER)
ask(a, 'Ping', iface=None)
ask(a, 'Ping')
ask(a, 'GetId', iface=None)
ask(a, 'GetMachineId', iface=PEER)
ask(a, 'GetMachineId', iface=PEER, path='/x')
ask(a, 'Ping', 's', 'x', iface=PEER)
ask(a, 'Nothing', iface=PEER)
ask(a, 'Nothing', iface=None)
ask(a, 'Ping', iface=PEER, path='/x')
ask(a, 'GetId', path='/x')
ask(a, 'Introspect', 's', 'x', iface=INTRO)
for where in (DRIVER_PATH, '/', '/org', '/org/freedesktop', '/x'):
    m = a.call('Introspect', iface=INTRO, path=where)
    say('> Introspect', where, m.type, m.sig, 'name="Hello"' in m.args[0],
        'node name="org/freedesktop/DBus"' in m.args[0])
ask(a, 'Hello')
ask(a, 'Hello', flags=NO_REPLY)
ask(a, 'GetId', flags=NO_REPLY)
ask(a, 'Nothing', flags=NO_REPLY)
for dest in (None,):
    ask(a, 'GetId', dest=None)
    ask(a, 'Ping', iface=PEER, dest=None)
    ask(a, 'Ping', iface=PEER, dest=None, path='/x')
    ask(a, 'GetMachineId', iface=PEER, dest=None)
    ask(a, 'Nothing', iface='x.y', dest=None)
    ask(a, 'Nothing', iface=None, dest=None)

say('# properties')
for arguments in (('ss', DRIVER, 'Nothing'), ('ss', 'x.y', 'Features'), ('s', DRIVER)):
    ask(a, 'Get', *arguments, iface=P)
ask(a, 'Get', 'ss', '', 'Features', iface=P, path='/x')
ask(a, 'Get', 'ss', DRIVER, 'Features', iface=P, path='/x')
ask(a, 'GetAll', 's', 'x.y', iface=P)
ask(a, 'GetAll', iface=P)
ask(a, 'GetAll', 's', DRIVER, iface=P, path='/x')
ask(a, 'Set', 'ssv', DRIVER, 'Features', Variant('s', 'x'), iface=P)
ask(a, 'Set', 'ssv', DRIVER, 'Nothing', Variant('s', 'x'), iface=P)
ask(a, 'Set', 'ssv', 'x.y', 'Features', Variant('s', 'x'), iface=P)
ask(a, 'Set', 'ss', DRIVER, 'Features', iface=P)
ask(a, 'Nothing', iface=P)
say('> Features has HeaderFiltering',
    'HeaderFiltering' in a.call('Get', 'ss', DRIVER, 'Features', iface=P).args[0])
say('> GetAll', sorted(a.call('GetAll', 's', DRIVER, iface=P).args[0]))

say('# privileged methods elsewhere')
ask(a, 'UpdateActivationEnvironment', 'a{ss}', {}, path='/x')
ask(a, 'UpdateActivationEnvironment', 's', 'x')

say('# match rules')
for rule in ('', ',', "type='signal',", "type='signal'", 'type=signal', "type='nothing'", "member",
             "sender=':1'", "sender='x'", "sender='x.y'", "interface='x'", "interface='x.y'",
             "member='x.y'", "path='x'", "path='/x/'", "path='/'", "path_namespace='/a/'",
             "path_namespace='/a'", "path='/a',path_namespace='/a'", "destination='x.y'",
             "destination=':1.4294967280'", "destination='x'", "arg0='x'", "arg63='x'", "arg64='x'", "arg00='x'",
             "argx='x'", "arg0path='/x'", "arg0path='x'", "arg1namespace='x.y'",
             "arg0namespace='x'", "arg0namespace='x..y'", "arg0namespace=''", "arg0='a',arg0='a'",
             "arg0='a',arg0path='/b'", "arg0has='x'", "eavesdrop='true'", "eavesdrop=true",
             "eavesdrop='maybe'", "foo='bar'", "type='signal',type='signal'", "arg0='it'\\''s'",
             "arg0='unfinished", " type='signal'", "type = 'signal'", "type='signal' ",
             "arg0='" + 'x' * 1017 + "'", "arg0='" + 'x' * 1018 + "'", "member=''", "arg0=''", "sender=''"):
    shown = rule if len(rule) < 100 else rule[:10] + '...%d' % len(rule)
    m = a.call('AddMatch', 's', rule)
    r = a.call('RemoveMatch', 's', rule)
    s = a.call('RemoveMatch', 's', rule)
    say('> rule', shown, m.error_name or 'ok', r.error_name or 'ok', s.error_name or 'ok')
a.settled()  # what eavesdrop let through
ask(a, 'AddMatch', 's', "type='signal',member='Two'")
ask(a, 'AddMatch', 's', "member='Two',type='signal'")
b.signal('Two')
b.signal('Three')
collect(a)
ask(a, 'RemoveMatch', 's', "member='Two',type='signal'")
b.signal('Two')
collect(a)
ask(a, 'RemoveMatch', 's', "type='signal',member='Two'")
b.signal('Two')
collect(a)
ask(a, 'RemoveMatch', 's', "type='signal',member='Two'")

say('# signals')
def heard(rule, *signals):
    a.call('AddMatch', 's', rule)
    for signal in signals:
        b.signal(*signal[0], **signal[1])
    b.call('GetId')
    say('> heard with', stable(rule))
    collect(a)
    a.call('RemoveMatch', 's', rule)
b.call('RequestName', 'su', 'x.sender', 0)
b.settled()
S = lambda *args, **kw: (args, kw)
heard("sender='x.sender'", S('One'))
heard("sender='%s'" % b.name, S('One'))
heard("sender='x.two'", S('One'))
heard("arg0='a'", S('A', 's', 'a'), S('A', 's', 'b'), S('A', 'o', '/a'), S('A', 'u', 1), S('A'))
heard("arg1='a'", S('A', 'ss', 'b', 'a'), S('A', 'us', 1, 'a'), S('A', 'ass', ['a'], 'a'))
heard("arg0path='/a/'", *(S('A', 's', v) for v in ('/', '/a', '/a/', '/a/b', '/b', 'x')),
      S('A', 'o', '/a/b'))
heard("arg0path='/a/b'", *(S('A', 's', v) for v in ('/', '/a', '/a/', '/a/b', '/a/b/c', 'x')))
heard("arg0namespace='a.b'", *(S('A', 's', v) for v in ('a', 'a.b', 'a.b.c', 'a.bc', '')))
heard("path_namespace='/a'", *(S('A', path=v) for v in ('/', '/a', '/a/b', '/ab')))
heard("path='/a'", *(S('A', path=v) for v in ('/', '/a', '/a/b', '/ab')))
heard("interface='x.y'", S('A'), S('A', iface='x.z'))
heard("type='method_call'", S('A'))
heard("destination='%s'" % a.name, S('A'), S('B', dest=a.name), S('B', dest='x.two'))
heard("type='signal'", S('A'), S('B', dest=a.name), S('B', dest='x.two'), S('C', flags=0))
say('# unicast signals without a rule')
b.signal('U', dest=a.name)
b.signal('U', dest='x.two')
b.signal('U', 's', 'text', dest='x.two', flags=0)
b.call('GetId')
collect(a, b)
say('# own broadcast')
b.call('AddMatch', 's', "member='Own'")
b.signal('Own')
collect(b)
say('# to nobody')
b.signal('U', dest='x.nobody')
b.signal('U', dest=':1.4294967295')
b.signal('U', dest='x.nobody', flags=0)
collect(b)
for flags in (0, NO_REPLY, NO_AUTO_START, NO_REPLY | NO_AUTO_START):
    for dest in ('x.nobody', ':1.4294967295', ':2.3', ':x', ':1.01'):
        ask(b, 'M', dest=dest, flags=flags)
b.send(Message(RETURN, 0, NO_REPLY, destination='x.nobody', reply_serial=7))
b.send(Message(RETURN, 0, NO_REPLY, destination=':1.4294967295', reply_serial=7))
b.send(Message(ERROR, 0, NO_REPLY, destination=':1.4294967295', reply_serial=7, error_name='x.y'))
b.send(Message(RETURN, 0, NO_REPLY, reply_serial=7))
b.send(Message(RETURN, 0, NO_REPLY, reply_serial=7, destination=DRIVER))
b.send(Message(SIGNAL, 0, 0, destination=DRIVER, path='/x', interface='x.y', member='Z'))
collect(b)

say('# calls')
serial = b.send_call('M', 's', 'x', dest='x.two', path='/p', iface='i.f')
m = a.receive()
show(m, 'a')
a.answer(m, 'u', 7)
show(b.receive(), 'b')
b.send_call('M', dest=a.name, path='/p', iface=None, flags=NO_AUTO_START | 4 | 64)
m = a.receive()
show(m, 'a')
a.send(Message(ERROR, 0, 0, 's', ['no'], error_name='x.Error', destination=m.sender,
               reply_serial=m.serial))
show(b.receive(), 'b')
b.send_call('M', dest=a.name, flags=NO_REPLY)
m = a.receive()
show(m, 'a')
say('# forged sender, unknown fields')
forged = Message(CALL, 0, 0, path='/p', member='M', destination=a.name, sender='x.forged')
forged.extra = [(10, Variant('o', '/field/ten')), (77, Variant('u', 7))]
b.send(forged)
m = a.receive()
show(m, 'a')
say('# call to oneself')
serial = a.send_call('M', dest=a.name)
m = a.receive()
show(m, 'a')
a.answer(m)
show(a.receive(), 'a')
say('# other byte order')
b.send_call('M', 'sa{sv}uas', 'x', {'k': Variant('(ny)', (-2, 3))}, 7, ['p', 'q'], dest=a.name,
            order='>')
m = a.receive()
show(m, 'a')
a.send(Message(RETURN, 0, NO_REPLY, 'i', [-5], order='>', destination=m.sender,
               reply_serial=m.serial))
show(b.receive(), 'b')
say('# descriptors')
r, w = os.pipe()
b.send_call('M', 'hhs', 1, 0, 'x', dest=a.name, fds=[r, w])
m = a.receive()
show(m, 'a')
say(len(m.fds))
os.write(m.fds[1], b'through')
say(os.read(r, 100), m.args)
for fd in m.fds:
    os.close(fd)
n = Client(path, fds=False)
stable(n.name)
serial = b.send_call('M', 'h', 0, dest=n.name, fds=[r])
show(b.reply_to(serial), 'b')
n.send_call('M', dest=a.name)
m = a.receive()
say('# callee goes')
c = Client(path)
stable(c.name)
c.call('RequestName', 'su', 'x.goes', 0)
b.call('AddMatch', 's', "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'")
b.settled()
serial = b.send_call('M', dest='x.goes')
c.settled()
c.close()
# How soon the bus notices is its own affair.
goes = [b.receive() for _ in range(3)] + b.settled()
# The bus daemon reports the name, the connection and the call in this order, the kernel the call
# before the connection.
goes.sort(key=lambda m: m.type == ERROR)
for m in goes:
    show(m, 'b')
b.send_call('M', dest='x.goes')
collect(b)
for client in (a, b, n):
    client.close()
