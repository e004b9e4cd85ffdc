"""Run the benchmarks and print one table: the usual ones, or those named, as in `python -m benchmarks core edit`."""

import argparse
import importlib
import sys
import time

from harness.ratios import table

IN_HARNESS = ("faults", "load")  # the tests run a short form of these
HAND = ("edit", "typing", "pace", "drag", "pages")
SERVER = ("arrivals", "load")
CORE = ("core", "descend", "doctor", "dump")
LONG = ("faults",)  # takes as long as all others together: by its name alone
NAMES = (*HAND, *SERVER, *CORE, *LONG)

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", help=f"which: {', '.join(NAMES)} (default: all but {', '.join(LONG)})")
chosen = parser.parse_args().names
if unknown := set(chosen) - set(NAMES):
    parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")

results = []
for name in chosen or (*HAND, *SERVER, *CORE):
    begun = time.monotonic()
    module = f"harness.{name}" if name in IN_HARNESS else f"benchmarks.bench_{name}"
    results += importlib.import_module(module).measure()
    print(f"{name} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
print(table(results))
if not chosen:
    print(f"Left out: {', '.join(LONG)}. It takes a quarter of an hour: python -m benchmarks {' '.join(LONG)}")
sys.exit(not all(result.passed for result in results))
