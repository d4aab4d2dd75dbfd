"""`python -m tui` is `vramp`."""

import sys

if __name__ == "__main__":
    from tui.cli import main

    sys.exit(main())
