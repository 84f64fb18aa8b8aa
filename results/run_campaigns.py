"""Run the campaigns, and store how many inputs each tried and what was found.

python results/run_campaigns.py [PYTEST_ARGUMENT ...]
"""

import base64
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from diffattn.files import write_json
from diffattn.provenance import provenance

ROOT = Path(__file__).parents[1]
STATISTICS = "hypothesis-statistics-"


def read(report):
    """Read pytest's JUnit report: a dict for each test."""
    (suite,) = ElementTree.parse(report).getroot()
    inputs = {
        item.get("name").removeprefix(STATISTICS): passing_inputs(item.get("value"))
        for item in suite.iter("property")
        if item.get("name").startswith(STATISTICS)
    }
    for case in suite.iter("testcase"):
        path = Path(*case.get("classname").split(".")).with_suffix(".py")
        test = f"{path.as_posix()}::{case.get('name')}"
        own = {p.get("name"): int(p.get("value")) for p in case.iter("property")}
        yield {
            "test": test,
            "inputs": inputs.get(test),
            **own,
            # An error is one of a fixture, before the test or after it.
            "failed": any(case.find(kind) is not None for kind in ("failure", "error")),
            "skipped": case.find("skipped") is not None,
            "seconds": round(float(case.get("time"))),
        }


def passing_inputs(statistics):
    """How many inputs passed, from Hypothesis's statistics in Base64."""
    text = base64.b64decode(statistics).decode()
    return sum(map(int, re.findall(r"(\d+) passing", text)))


def main():
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "tests", "-m", "campaign"]
        command += ["--hypothesis-profile=long", f"--junitxml={report}"]
        command += ["-o", "junit_family=xunit1"]  # the other has no place for kills
        status = subprocess.run([*command, *sys.argv[1:]], cwd=ROOT).returncode
        tests = list(read(report))
    document = {"tests": tests, "provenance": provenance()}
    folder = ROOT / "results" / "reliability"
    folder.mkdir(exist_ok=True)
    write_json(folder / "campaigns.json", document)
    sys.exit(status)


main()
