# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a kernel log says that must not be there."""

import re

# init.c writes this line; what the kernel says before it is none of our doing.
START = "kdbus-vm: the guest is up"

BAD = re.compile(
    r"""\bWARNING\b | \bBUG\b | \bOops\b | KASAN | KCSAN | UBSAN | KFENCE | kmemleak:
      | possible\ circular\ locking | possible\ recursive\ locking | inconsistent\ lock\ state
      | possible\ irq\ lock\ inversion | lock\ order\ inversion | bad\ unlock\ balance
      | held\ lock\ freed | still\ held | suspicious\ RCU | Invalid\ wait\ context
      | INFO:\ lockdep | turning\ off\ the\ locking\ correctness\ validator
      | sleeping\ function\ called | scheduling\ while\ atomic | bad:\ scheduling
      | general\ protection | refcount_t: | list_(add|del)\ corruption | ODEBUG:
      | unable\ to\ handle | NULL\ pointer\ dereference | stack\ guard\ page | kernel\ stack\ overflow
      | blocked\ for\ more\ than | hung_task | self-detected\ stall | detected\ stalls
      | rcu.*stall | soft\ lockup | hard\ LOCKUP | workqueue\ lockup
      | Kernel\ panic | Call\ Trace | cut\ here | segfault\ at | trap\ invalid\ opcode
      | Out\ of\ memory | invoked\ oom-killer | page\ allocation\ failure
      | Bad\ page | Bad\ rss-counter | usercopy: | memory\ leak | unreferenced\ object
      | sysfs:\ cannot\ create\ duplicate | kobject.*(tried|initialized)
      | \btaint
    """,
    re.VERBOSE,
)

# Every module that is neither part of the kernel's source nor signed by Debian says this once.
EXPECTED = re.compile(
    r"""^(\[\s*[\d.]+\]\ )?(
          kdbus:\ loading\ out-of-tree\ module\ taints\ kernel\.
        | kdbus:\ module\ verification\ failed:\ signature\ and/or\ required\ key\ missing\ -
          \ tainting\ kernel
        )$""",
    re.VERBOSE,
)


RACE = re.compile(r"BUG: KCSAN: ")
RACE_END = re.compile(r"={40,}$")
RACE_ACCESS = re.compile(r"(read|write|marked|assert|race at unknown)\b.* by (task|interrupt)")
INTERRUPT_ENTRY = re.compile(r"\basm_\w+\+0x")


def is_foreign_race(lines: list[str], title: int) -> bool:
    """Whether the KCSAN report that begins at lines[title] is about two accesses of the kernel's own.

    The kernel has races that it knows and does not mind, in its timer tick for one. An access is the
    module's if a frame of the module called it; what an interrupt interrupted did not call it.
    """
    accesses = 0
    interrupted = False
    for line in lines[title + 1 :]:
        if RACE_END.search(line):
            return accesses > 0
        if RACE_ACCESS.search(line):
            accesses += 1
            interrupted = False
        elif "[kdbus]" in line and not interrupted:
            return False
        elif INTERRUPT_ENTRY.search(line):
            interrupted = True
    return False  # cut off


def find_defects(log: str, lines_after: int = 40) -> list[str]:
    """The log's bad lines, each with what follows it; [] for a clean log.

    A log that never reached START is itself a defect.
    """
    lines = [line.rstrip("\r") for line in log.split("\n")]
    start = next((n for n, line in enumerate(lines) if START in line), None)
    if start is None:
        return ["(the kernel log ends before the guest was up)"] + lines[-lines_after:]
    shown: list[str] = []
    until = -1
    for n, line in enumerate(lines[start:], start):
        if RACE.search(line) and is_foreign_race(lines, n):
            continue
        if BAD.search(line) and not EXPECTED.match(line):
            until = max(until, n + lines_after)
            shown.append(line)
        elif n <= until:
            shown.append(line)
    return shown
