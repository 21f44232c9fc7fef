"""Coverage of the sweep: which subscriptions it can read, and how many backup instances are in them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Coverage:
    """Subscriptions and instances as the last sweep found them; None where Azure did not say."""

    watched: int | None = None
    """Subscriptions that are to be swept: those of `SWEEP_SUBSCRIPTIONS`, or all that the identity can read."""
    readable: int | None = None
    """How many of them the identity can read."""
    refused: tuple[str, ...] = ()
    """Ids of watched subscriptions that it cannot read."""
    refused_count: int = 0
    """How many there are, also where not all are named."""
    instances: int | None = None
    """Backup instances in the watched subscriptions."""
    names: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Of the subscriptions that the identity can read, by their ids in lower case."""


UNKNOWN = Coverage()
"""Before the first sweep."""


def coverage_of(wanted: Sequence[str], readable: Mapping[str, str] | None, instances: int | None) -> Coverage:
    """The coverage of a sweep.

    Args:
        wanted: ids of the subscriptions that are to be swept, in lower case; empty for all that can be read.
        readable: names by the ids, in lower case, of those that the identity can read.
    """
    if readable is None:
        return Coverage(watched=len(wanted) or None, instances=instances)
    refused = tuple(each for each in wanted if each not in readable)
    watched = len(wanted) or len(readable)
    return Coverage(watched, watched - len(refused), refused, len(refused), instances, readable)
