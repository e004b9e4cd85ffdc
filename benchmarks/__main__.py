"""Run the benchmarks and print one table: all of them, or those named, as in `python -m benchmarks core edit`."""

import argparse
import importlib
import sys

from harness.ratios import table

IN_HARNESS = ("faults", "load")  # the tests run a short form of these
NAMES = ("arrivals", "core", "descend", "doctor", "drag", "dump", "edit", "faults", "load", "pace", "sessions")

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", help=f"which: {', '.join(NAMES)} (default: all)")
names = parser.parse_args().names or NAMES
if unknown := set(names) - set(NAMES):
    parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")

results = []
for name in names:
    print(f"measuring {name} …", file=sys.stderr)
    module = f"harness.{name}" if name in IN_HARNESS else f"benchmarks.bench_{name}"
    results += importlib.import_module(module).measure()
print(table(results))
sys.exit(not all(result.passed for result in results))
