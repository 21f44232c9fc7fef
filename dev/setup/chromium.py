"""The browser of the browser tests: the machine's own Chromium, because a downloaded one would be 150 MB more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""What Debian and Fedora, Ubuntu, and Google call it."""


def find_chromium(environment: Mapping[str, str] = os.environ) -> str | None:
    """Its executable, None where there is none on PATH."""
    path = environment.get("PATH", os.defpath)
    return next(filter(None, (shutil.which(name, path=path) for name in NAMES)), None)
