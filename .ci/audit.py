"""Looks the pins of requirements.lock up among known vulnerabilities, at an address that speaks OSV's query API.

An audit of nothing must not look like a clean one, and a mirror or a proxy may answer every question with "none". So
the service is first asked about a release that is known to be vulnerable.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

PIP_AUDIT = "pip-audit==2.10.1"
# PYSEC-2019-133: it accepts certificates that it should refuse.
VULNERABLE = {"package": {"name": "urllib3", "ecosystem": "PyPI"}, "version": "1.24.1"}


def main(address: str) -> int:
    """0 where nothing is known against any pin; 1 where something is, or where that can not be found out."""
    question = urllib.request.Request(address, json.dumps(VULNERABLE).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(question, timeout=30) as answer:
            knows = bool(json.load(answer).get("vulns"))
    except (OSError, ValueError, AttributeError) as error:
        return _not_passed(f"{address} gives no answer ({error}), so nothing is known. OSV_URL names another address")
    if not knows:
        return _not_passed(f"{address} knows nothing against urllib3 1.24.1: it has no advisories, or not all of them")
    command = [str(Path(sys.executable).with_name("uv")), "tool", "run", "--from", PIP_AUDIT, "pip-audit", "--strict"]
    command += ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", "30", "--desc", "off"]
    command += ["--vulnerability-service", "osv", "--osv-url", address, "--requirement", "requirements.lock"]
    if subprocess.run(command).returncode:
        return _not_passed("what is listed above is vulnerable, or could not all be looked up")
    return 0


def _not_passed(why: str) -> int:
    print(f"make audit: NOT PASSED: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
