"""``python -m dawlink`` does what the program ``dawlink`` does."""

import sys

from dawlink.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
