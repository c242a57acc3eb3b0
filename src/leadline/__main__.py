"""``python -m leadline``, where the command is not on the path."""

import sys

from leadline.cli import main

if __name__ == "__main__":
    sys.exit(main())
