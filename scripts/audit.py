"""Ask a public database which packages of the app have known weaknesses: python -m scripts.audit.

A report and not a check: it needs the network, and whether a weakness matters here is for a person to say.
"""

import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SECONDS = 120


def packages() -> dict[str, str]:
    """What the app needs, with what that needs, as it is installed here: names and versions."""
    lines = REQUIREMENTS.read_text("utf-8").splitlines()
    waiting = [name[0] for line in lines if (name := NAME.match(line))]
    found: dict[str, str] = {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # for another system, or another Python
        if name not in found:
            found[name] = package.version.partition("+")[0]
            needed = (text for text in package.requires or () if "extra ==" not in text)
            waiting += [match[0] for text in needed if (match := NAME.match(text))]
    return dict(sorted(found.items()))


def report(audited: dict[str, Any]) -> str:
    """What pip-audit found, as text, and what it could not look up."""
    dependencies = audited["dependencies"]
    known = [one for one in dependencies if "skip_reason" not in one]
    if not known:
        return f"No audit: none of {len(dependencies)} packages could be looked up."
    lines = []
    for one in known:
        for weakness in one["vulns"]:
            mended = ", ".join(weakness["fix_versions"]) or "no version"
            lines.append(f"{one['name']} {one['version']}: {weakness['id']}, mended in {mended}")
    lines.append(f"{len(known)} of {len(dependencies)} packages looked up, {len(lines)} known weaknesses.")
    if len(known) < len(dependencies):
        missing = ", ".join(one["name"] for one in dependencies if "skip_reason" in one)
        lines.append(f"Nothing is known about: {missing}.")
    return "\n".join(lines)


def main() -> None:
    """Print the report, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        pinned, answer = Path(folder) / "requirements.txt", Path(folder) / "answer.json"
        pinned.write_text("".join(f"{name}=={version}\n" for name, version in packages().items()), "utf-8")
        command = [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(pinned), "--no-deps", "--disable-pip"),
            *("--format", "json", "--output", str(answer), "--progress-spinner", "off", "--timeout", "5"),
        ]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            print(f"No audit: the database did not answer within {SECONDS} s.")
            return
        if not answer.exists():
            print(f"No audit: {(ended.stderr.strip().splitlines() or ['no reason given'])[-1]}")
            return
        print(report(json.loads(answer.read_text("utf-8"))))


if __name__ == "__main__":
    main()
