"""The error of everything that can be expected to go wrong on a developer's machine."""


class Failure(Exception):
    """The message names the thing that failed, the reason, and a way out; it is shown without a traceback."""
