"""python -m xent_core: the entry point of the command line, which is in `xent_core.cli`."""

import sys

from xent_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
