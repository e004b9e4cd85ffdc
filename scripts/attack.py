"""Attack a public server as strangers would, beside neighbours who edit: `python -m scripts.attack [NAME …]`.

hosted.py is started here, and nginx with the shipped template before two of them where it is installed.
Every attack is measured by what four neighbours wait, by /healthz and by memory, and judged by docs/security.md.
The exit code is 1 if something must not be at all, or is five times what is promised.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from harness.attacks.catalogue import ATTACKS, QUICK, Times, run_all
from harness.attacks.verdict import table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them, print one table, and say whether all passed."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.attack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="an attack or a family (default: all)")
    parser.add_argument("--list", action="store_true", help="say what there is, and attack nothing")
    parser.add_argument("--quick", action="store_true", help="seconds instead of a minute for each")
    parser.add_argument("--seconds", type=float, help="of each attack, at most")
    parser.add_argument("--after", type=float, help="seconds until memory must be back")
    parser.add_argument("--without-nginx", action="store_true", help="the app alone")
    given = parser.parse_args(arguments)
    families = {attack.family for attack in ATTACKS.values()}
    if unknown := set(given.names) - set(ATTACKS) - families:
        parser.error(f"there is no attack {', '.join(sorted(unknown))}; --list shows them")
    names = [
        attack.name
        for attack in ATTACKS.values()
        if not given.names or attack.name in given.names or attack.family in given.names
    ]
    if given.list:
        print("\n".join(f"{ATTACKS[name].family:<12}{name:<22}{ATTACKS[name].sends}" for name in names))
        return 0
    times = QUICK if given.quick else Times()
    times = replace(times, attack=given.seconds or times.attack, after=given.after or times.after)
    results = []
    # a visit that was left is forgotten in time for the look at memory
    options = [f"--server.disconnectedSessionTTL={max(times.after / 5, 1):.0f}"] if times.after < Times().after else []
    try:
        for measured in run_all(names, times, with_nginx=not given.without_nginx, options=options):
            print(f"{measured.attack.name} at the {measured.place}: {measured.verdict}", file=sys.stderr, flush=True)
            results.append(measured)
    finally:  # what was measured is shown, whatever ends it
        print(table(results))
    return int(not all(result.passed for result in results))


if __name__ == "__main__":
    sys.exit(main())
