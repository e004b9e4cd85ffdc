"""Run the benchmarks of the hand and the server, or those named, and print one table: `python -m benchmarks core`."""

import argparse
import importlib
import sys
import time

from harness.ratios import table

IN_HARNESS = ("faults", "load")  # the tests run a short form of these
HAND = ("edit", "typing", "pace", "drag", "pages")
SERVER = ("arrivals", "load")
BY_NAME = ("core", "descend", "doctor", "dump", "faults")  # the last takes as long as all others together
NAMES = (*HAND, *SERVER, *BY_NAME)

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", help=f"which: {', '.join(NAMES)} (default: {', '.join((*HAND, *SERVER))})")
chosen = parser.parse_args().names
if unknown := set(chosen) - set(NAMES):
    parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")

results = []
try:
    for name in chosen or (*HAND, *SERVER):
        begun = time.monotonic()
        module = f"harness.{name}" if name in IN_HARNESS else f"benchmarks.bench_{name}"
        results += importlib.import_module(module).measure()
        print(f"{name} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
finally:  # what was measured is worth its minutes, though another benchmark fails
    print(table(results))
if not chosen:
    print(f"Left out: {', '.join(BY_NAME)}. python -m benchmarks {' '.join(BY_NAME)} measures them.")
sys.exit(not all(result.passed for result in results))
