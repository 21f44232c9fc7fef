"""`python3 -m dev demo | up | test | bench`: the project's commands, for any Python from 3.11 on.

This file alone must also be readable by older Pythons, so that they can say what is missing.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python must get as far as this message
    found = sys.version.split()[0] + " (" + sys.executable + ")"
    sys.exit(
        "Backup Autoheal needs Python 3.11 or later, and this is " + found + "."
        " Install a newer one and call it by its name, such as: python3.13 -m dev demo"
    )
if sys.platform == "win32":
    sys.exit("These commands need Linux or macOS. On Windows use WSL or the dev container.")

from dev.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
