"""The host's output: stdout is for the ready line alone, everything else is a plain line on stderr."""

import logging
import os
import sys
import time
from typing import TextIO


class LineFormatter(logging.Formatter):
    """`[2026-01-01T00:00:00.000Z] LEVEL logger: message`, a traceback on the lines below."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("[%(asctime)s] %(levelname)s %(name)s: %(message)s")
        self.converter = time.gmtime


def reserve_stdout() -> TextIO:
    """Return the real stdout and send everything else that is written to stdout to stderr.

    The file descriptor itself is redirected: an app may print, and so may a library written in C.
    """
    sys.stdout.flush()
    reserved = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return reserved


def configure_logging() -> None:
    """Log to stderr at INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
