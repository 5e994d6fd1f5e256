#!/usr/bin/env python3
"""count_tests.py DIR...: sums the results that test.sh (and peers.sh) left there and prints
`N passed, N failed`.

A GoogleTest program counts its cases; one that ended badly without a failed case (a crash, a
time-out, a sanitizer's report) counts as one failure more. Every other ctest test counts one,
every bats test one. Skipped tests are in neither number and are named on a line of their own; with
CI=true each is a failure: there nothing may be missing that a test needs.
Exit status 1 when anything failed, when bats ended before its plan, or when nothing ran.
"""

import os
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def count_ctest(folder):
    """(passed, failed, skipped) of ctest.xml, with the cases of gtest/NAME.xml where they exist."""
    passed = failed = skipped = 0
    report = folder / "ctest.xml"
    if not report.exists():
        return 0, 0, 0
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        good = case.get("status") == "run"
        cases = folder / "gtest" / f"{case.get('name')}.xml"
        if not cases.exists():
            passed += good
            failed += not good
            continue
        suites = ElementTree.parse(cases).getroot()
        bad = int(suites.get("failures", 0)) + int(suites.get("errors", 0))
        left_out = sum(1 for case in suites.iter("testcase") if case.get("result") == "skipped")
        passed += int(suites.get("tests", 0)) - bad - left_out - int(suites.get("disabled", 0))
        skipped += left_out
        failed += bad if good or bad else 1
    return passed, failed, skipped


def count_tap(path):
    """(passed, failed, skipped) of bats' TAP output; tests that never reported are failed."""
    if not path.exists():
        return 0, 0, 0
    passed = failed = skipped = planned = 0
    for line in path.read_text(errors="replace").splitlines():
        if match := re.match(r"1\.\.(\d+)", line):
            planned = int(match.group(1))
        elif line.startswith("not ok "):
            failed += 1
        elif re.match(r"ok .*# skip", line):
            skipped += 1
        elif line.startswith("ok "):
            passed += 1
    return passed, failed + max(0, planned - passed - failed - skipped), skipped


def main():
    counts = []
    for folder in map(pathlib.Path, sys.argv[1:]):
        counts += [count_ctest(folder), count_tap(folder / "e2e.tap")]
    passed, failed, skipped = (sum(column) for column in zip(*counts))
    if skipped:
        print(f"{skipped} skipped")
        if os.environ.get("CI") == "true":
            failed += skipped
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
