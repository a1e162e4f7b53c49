# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the guest tests share: a bus-proxy (or dbus-daemon) of their own, and TAP output."""
import atexit
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dbus1  # noqa: E402

_numbers = itertools.count(1)
_directory = tempfile.mkdtemp(prefix='proxy-test-')
os.chmod(_directory, 0o755)  # for clients of other users
_owner = os.getpid()
atexit.register(lambda: os.getpid() == _owner and shutil.rmtree(_directory, True))


def wait_for(condition, what, timeout=60):
    deadline = time.monotonic() + dbus1.PATIENCE * timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError('timed out: ' + what)
        time.sleep(0.01)


class Daemon:
    """A bus on a socket of its own, until stop() or the end of a with block."""

    def __init__(self, command, socket, **popen):
        self.socket = socket
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, **popen)
        self.address = self.process.stdout.readline().decode().strip()
        if not self.address:
            raise AssertionError('%s did not start: %s' % (command, self.process.wait()))
        self.environment = dict(os.environ, DBUS_SESSION_BUS_ADDRESS=self.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(dbus1.PATIENCE * 60)
        self.process.stdout.close()
        return status

    def client(self, **options):
        return dbus1.Client(self.socket, **options)

    def run(self, *command, timeout=120, **options):
        """A program that uses this bus: its status and all it says."""
        done = subprocess.run(command, env=self.environment, timeout=dbus1.PATIENCE * timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, **options)
        return done.returncode, done.stdout.decode(errors='replace')

    def start(self, *command, **options):
        return subprocess.Popen(command, env=self.environment, **options)

    def fds(self):
        """Descriptors the daemon has open."""
        return len(os.listdir('/proc/%d/fd' % self.process.pid))

    def memory(self):
        """Resident bytes, without what is mapped from files (the pools)."""
        for line in open('/proc/%d/status' % self.process.pid):
            if line.startswith('RssAnon:'):
                return int(line.split()[1]) * 1024

    def processor_seconds(self):
        fields = open('/proc/%d/stat' % self.process.pid).read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def comes_to_rest(self):
        """Waits until it hardly does anything any more, and goes on so."""
        def rests():
            for _ in range(3):
                before = self.processor_seconds()
                time.sleep(0.5)
                if self.processor_seconds() - before >= 0.2:
                    return False
            return True
        wait_for(rests, 'busy')


def bus_proxy(*options, bus=None, socket=None, **popen):
    """bus-proxy on a bus and a socket (path, or @ and abstract name) of its own."""
    number = next(_numbers)
    socket = socket or '%s/proxy-%d' % (_directory, number)
    bus = bus or '--make-bus=test-%d-%d' % (os.getpid(), number)
    address = 'unix:abstract=' + socket[1:] if socket[0] == '@' else 'unix:path=' + socket
    return Daemon([os.environ.get('BUS_PROXY', 'bus-proxy'), bus, '--address=' + address,
                   '--print-address', *options], socket, **popen)


def dbus_daemon():
    """The reference daemon, with a policy that allows everything."""
    number = next(_numbers)
    socket = '%s/reference-%d' % (_directory, number)
    config = socket + '.conf'
    with open(config, 'w') as f:
        f.write('<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" '
                '"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
                '<busconfig><type>session</type><listen>unix:path=%s</listen>'
                '<policy context="default"><allow send_destination="*" eavesdrop="true"/>'
                '<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>' % socket)
    return Daemon(['dbus-daemon', '--nofork', '--config-file=' + config, '--print-address'], socket)


def main(tests):
    """Runs test functions, one TAP line each; those named on the command line, or all."""
    chosen = [t for t in tests if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    print('1..%d' % len(chosen), flush=True)
    failed = 0
    for number, test in enumerate(chosen, 1):
        name = (test.__doc__ or test.__name__).strip().splitlines()[0]
        start = time.monotonic()
        try:
            test()
            print('ok %d - %s # %.1f s' % (number, name, time.monotonic() - start), flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print('# ' + line)
            print('not ok %d - %s' % (number, name), flush=True)
    sys.exit(1 if failed else 0)
