# SPDX-License-Identifier: LGPL-2.1-or-later
"""Running test programs and counting their cases.

Tests are registered with CMake's add_test(); a test's label says where it runs: "host" or "guest".
More labels of guest tests: "fault-injection" needs a kernel that has it; "stock" takes too long on one
with sanitizers, "sanitized" is for no other; "concurrent" is what a kernel that looks for data races
runs.
Three kinds of programs are understood: Catch2 programs (a case is a TEST_CASE), programs that
print TAP (a case is a line "ok" or "not ok"), and others (one case: the exit status).
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from dataclasses import asdict, dataclass, field
from pathlib import Path

DEFAULT_TIMEOUT = 300.0
# A test's timeout is for one that hangs; on a machine with other things to do all take longer.
PATIENCE = 4
# Properties of tests that this runner obeys, and those that change nothing for it.
KNOWN = {"ENVIRONMENT", "LABELS", "TIMEOUT", "WORKING_DIRECTORY"}
LABELS = {"host", "guest", "fault-injection", "stock", "sanitized", "concurrent"}
WITHOUT_EFFECT = {"RUN_SERIAL", "PROCESSORS", "SKIP_RETURN_CODE", "COST"}


@dataclass
class Test:
    name: str
    command: list[str]
    label: str
    directory: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    timeout: float = DEFAULT_TIMEOUT
    labels: list[str] = field(default_factory=list)


@dataclass
class Case:
    name: str
    passed: bool
    text: str = ""  # why it failed


def registered(build: Path, label: str) -> list[Test]:
    """The tests of a CMake build tree with that label; commands are empty as long as programs are not
    built. Raises ValueError for a test that could not be run as meant.
    """
    done = subprocess.run(
        ["ctest", "--test-dir", build, "--show-only=json-v1"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    tests = []
    for entry in json.loads(done.stdout)["tests"]:
        name = entry["name"]
        properties = {item["name"]: item["value"] for item in entry.get("properties", [])}
        if unknown := set(properties) - KNOWN - WITHOUT_EFFECT:
            raise ValueError(f"test {name}: this runner does not know {', '.join(sorted(unknown))}")
        labels = set(properties.get("LABELS", []))
        if unknown := labels - LABELS:
            raise ValueError(f"test {name}: this runner does not know {', '.join(sorted(unknown))}")
        if len(labels & {"host", "guest"}) != 1:
            raise ValueError(f"test {name} must carry one of the labels host and guest")
        if label not in labels:
            continue
        test = Test(name, entry.get("command", []), label, properties["WORKING_DIRECTORY"])
        test.environment = dict(item.split("=", 1) for item in properties.get("ENVIRONMENT", []))
        test.timeout = properties.get("TIMEOUT", DEFAULT_TIMEOUT)
        test.labels = sorted(labels)
        tests.append(test)
    return tests


def suits(test: Test, kernel: str) -> bool:
    """Whether a guest test is for that kernel."""
    if kernel.endswith("-kcsan"):
        return "concurrent" in test.labels
    if kernel.endswith("-kasan"):
        return "stock" not in test.labels
    return not {"fault-injection", "sanitized"} & set(test.labels)


def save(tests: list[Test], path: Path) -> None:
    path.write_text(json.dumps([asdict(test) for test in tests]))


def load(path: Path) -> list[Test]:
    return [Test(**entry) for entry in json.loads(path.read_text())]


def uses_catch2(program: str) -> bool:
    """Whether the program holds Catch2's XML reporter: the name of its type, which no option of the
    compiler removes.
    """
    try:
        with open(program, "rb") as file:
            return file.read(4) == b"\x7fELF" and b"N5Catch11XmlReporterE" in file.read()
    except OSError:
        return False


def failure_text(case: xml.Element) -> str:
    """What a Catch2 test case in XML says about why it failed."""
    lines = []
    for element in case.iter():
        where = f"{element.get('filename')}:{element.get('line')}: "
        text = (element.text or "").strip()
        if element.tag == "Expression" and element.get("success") == "false":
            original = (element.findtext("Original") or "").strip()
            expanded = (element.findtext("Expanded") or "").strip()
            lines.append(f"{where}{element.get('type')}( {original} )  is  {expanded}")
        elif element.tag in ("Failure", "Exception", "FatalErrorCondition"):
            lines.append(f"{where}{element.tag}: {text}")
        elif element.tag in ("Info", "Warning"):
            lines.append(f"  {text}")
    return "\n".join(lines)


def catch2_cases(report: str) -> list[Case]:
    """The cases in a Catch2 XML report, which may end anywhere."""
    parser = xml.XMLPullParser(events=("start", "end"))
    cases: list[Case] = []
    running = None
    try:
        parser.feed(report)
        for event, element in parser.read_events():
            if element.tag != "TestCase":
                continue
            if event == "start":
                running = element.get("name")
                continue
            running = None
            result = element.find("OverallResult")
            passed = result is not None and result.get("success") == "true"
            cases.append(Case(element.get("name"), passed, "" if passed else failure_text(element)))
    except xml.ParseError as error:
        cases.append(Case("the report", False, f"not readable: {error}"))
    if running is not None:
        cases.append(Case(running, False, "the program ended within this case"))
    return cases


TAP_LINE = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:-\s*)?([^#]*)(#.*)?$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)\s*(#.*)?$")


def tap_cases(output: str) -> list[Case] | None:
    """The cases in TAP output; None if there is no plan, hence no TAP."""
    cases: list[Case] = []
    plan = None
    notes: list[str] = []
    for line in output.splitlines():
        if found := TAP_PLAN.match(line):
            plan = int(found[1])
        elif found := TAP_LINE.match(line):
            passed, text = not found[1], "\n".join(notes)
            # A test that was skipped has not shown anything.
            if passed and "skip" in (found[4] or "").lower():
                passed, text = False, f"skipped: {found[4]}"
            name = found[3].strip() or f"case {len(cases) + 1}"
            cases.append(Case(name, passed, "" if passed else text))
            notes = []
        else:
            notes.append(line)
    if plan is None:
        return None
    if plan != len(cases):
        cases.append(Case("the plan", False, f"{plan} cases planned, {len(cases)} reported"))
    return cases


def end_session(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def execute(test: Test) -> list[Case]:
    """Run one test program; at least one case."""
    if not test.command:
        return [Case("start", False, "the program is not built")]
    command = list(test.command)
    catch2 = uses_catch2(command[0])
    with tempfile.TemporaryDirectory(prefix="kdbus-test-") as directory:
        report = Path(directory) / "report.xml"
        if catch2:
            command += ["--reporter", "xml", "--out", str(report)]
        with open(Path(directory) / "output", "w+b") as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=test.directory,
                    env={**os.environ, **test.environment},
                    start_new_session=True,
                )
            except OSError as error:
                return [Case("start", False, str(error))]
            late = False
            try:
                status = process.wait(test.timeout * PATIENCE)
            except subprocess.TimeoutExpired:
                late = True
                status = None
            finally:
                end_session(process)
                process.wait()
            output.seek(0)
            text = output.read().decode(errors="replace")
        cases: list[Case] | None = None
        if catch2:
            cases = catch2_cases(report.read_text(errors="replace") if report.exists() else "")
        else:
            cases = tap_cases(text)

    tail = "\n".join(text.splitlines()[-150:])
    if late:
        seconds = test.timeout * PATIENCE
        cases = (cases or []) + [Case("time", False, f"not done in {seconds:.0f} s\n{tail}")]
    elif cases is None:
        cases = [Case(test.name, status == 0, "" if status == 0 else f"{ending(status)}\n{tail}")]
    elif not cases:
        cases = [Case("cases", False, f"the program ran no cases, {ending(status)}\n{tail}")]
    elif status != 0 and all(case.passed for case in cases):
        cases.append(Case("exit status", False, f"{ending(status)}\n{tail}"))
    elif tail and (failed := [case for case in cases if not case.passed]):
        failed[-1].text += f"\nOutput of {test.name}:\n{tail}"
    return cases


def ending(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def run_and_show(test: Test) -> list[Case]:
    began = time.monotonic()
    cases = execute(test)
    show(test.name, cases, time.monotonic() - began)
    return cases


def show(name: str, cases: list[Case], seconds: float) -> None:
    failed = [case for case in cases if not case.passed]
    verdict = f"{len(cases) - len(failed):4} passed" + (f", {len(failed)} FAILED" if failed else "")
    print(f"  {name:<24}{verdict}  ({seconds:.1f} s)", flush=True)
    for case in failed:
        print(f"    FAILED {name}: {case.name}")
        for line in case.text.strip().splitlines():
            print(f"        {line}")
    sys.stdout.flush()
