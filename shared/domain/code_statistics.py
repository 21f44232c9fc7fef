"""How often remediations met each error code, and how many of them healed: counted from summaries. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from shared.domain.error_codes import ErrorCodes
from shared.domain.remediation import Status
from shared.domain.summary import Summary

MAX_UNKNOWN_CODES = 100
"""The most frequent ones."""


@dataclass(slots=True)
class CodeCount:
    """The remediations that met one code."""

    seen: int = 0
    ended: int = 0
    """Of those; without what was cancelled or only observed, which neither healed nor failed."""
    healed: int = 0

    @property
    def success_rate(self) -> float | None:
        """0 to 1; None where none has ended."""
        return self.healed / self.ended if self.ended else None

    def add(self, summary: Summary) -> None:
        """Count one more."""
        self.seen += 1
        self.ended += summary.status.is_result
        self.healed += summary.status is Status.HEALED


@dataclass(frozen=True, slots=True)
class CodeCounts:
    """Counts by code."""

    known: Mapping[str, CodeCount]
    """By a code or glob of the catalogue; those that were not met are missing."""
    unknown: Mapping[str, CodeCount]
    """By the code in the spelling that was met last, the most frequent first."""


@dataclass(slots=True)
class _Unknown:
    spelling: str
    count: CodeCount = field(default_factory=CodeCount)


def count_codes(summaries: Iterable[Summary], error_codes: ErrorCodes) -> CodeCounts:
    """Count these remediations, which come newest first."""
    find = cache(error_codes.find)
    known: dict[str, CodeCount] = {}
    unknown: dict[str, _Unknown] = {}
    for summary in summaries:
        if not (code := summary.azure_code):
            continue
        if found := find(code):
            known.setdefault(found[0], CodeCount()).add(summary)
        else:
            unknown.setdefault(code.lower(), _Unknown(code)).count.add(summary)
    frequent = Counter({folded: each.count.seen for folded, each in unknown.items()}).most_common(MAX_UNKNOWN_CODES)
    return CodeCounts(known, {unknown[folded].spelling: unknown[folded].count for folded, _ in frequent})
