"""The host's output: stdout is for the ready line alone, everything else is a plain line on stderr."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import TextIO

# host.json's words (Microsoft Learn "Configure monitoring for Azure Functions: configure log levels").
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}


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


def configure_logging(levels: Mapping[str, str]) -> None:
    """Log to stderr at INFO; `levels` is host.json's logLevel: `default`, and categories of the host.

    Other categories are the app's loggers, which Azure's worker does not filter by host.json either.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    default = _LEVELS.get(levels.get("default", "").lower(), logging.INFO)
    logging.basicConfig(level=default, handlers=[handler])
    for category, level in levels.items():
        if category.split(".")[0] in ("Function", "Host"):
            logging.getLogger(category).setLevel(_LEVELS.get(level.lower(), logging.INFO))
