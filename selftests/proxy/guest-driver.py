#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same conversation with the reference daemon and with bus-proxy: the same answers."""
import difflib
import os
import subprocess
import sys

import harness

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'transcript.py')


def transcript(daemon):
    done = subprocess.run([sys.executable, SCRIPT, daemon.socket], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300)
    text = done.stdout.decode()
    assert done.returncode == 0, text[-3000:]
    return text.splitlines()


def same_transcripts():
    """bus-proxy answers as the reference daemon does"""
    with harness.dbus_daemon() as reference, harness.bus_proxy() as proxy:
        expected, found = transcript(reference), transcript(proxy)
    assert len(expected) > 300, expected
    difference = list(difflib.unified_diff(expected, found, 'dbus-daemon', 'bus-proxy', n=3,
                                           lineterm=''))
    assert not difference, '\n' + '\n'.join(line[:300] for line in difference)


harness.main([same_transcripts])
