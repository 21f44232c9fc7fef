"""The browser of the browser tests: the machine's own Chromium, because a downloaded one would be 150 MB more."""

import os
import shutil
from collections.abc import Mapping

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Its names on Debian and Fedora, on Ubuntu, and as Google's package."""


def find_chromium(environment: Mapping[str, str] = os.environ) -> str | None:
    """The executable of Chromium, None where there is none on PATH."""
    path = environment.get("PATH", os.defpath)
    return next(filter(None, (shutil.which(name, path=path) for name in NAMES)), None)
