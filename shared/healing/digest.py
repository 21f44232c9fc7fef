"""The digest goes into the outbox of notices when its timer runs, and covers what happened since the last one.

Its id, the row that says when it was made, and the notice itself are one transaction: of two hosts, and of a run that
is repeated after a crash, one makes it. A run that fails is made up for by the next, which covers its time, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import logs
from shared.domain.digest import Digest, digest_of
from shared.domain.notice import digest_notice
from shared.domain.policy import Policy
from shared.storage.notice_outbox import NoticeOutbox
from shared.storage.remediation_list import RemediationReader

MIN_INTERVAL = timedelta(minutes=30)
"""A run sooner after a digest than that repeats one: a timer runs again whose host died before it said so."""
_FIRST_PERIOD = timedelta(days=1)
_MAX_PERIOD = timedelta(days=31)
_TWO_INTERVALS = timedelta(days=14)
"""Of a weekly policy: how long a recovery point is waited for without `RECOVERY_TIMEOUT`."""
_MAX_RECOVERIES = 1_000
"""That are loaded for their times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestWriter:
    """Makes digests."""

    outbox: NoticeOutbox
    reader: Callable[[], RemediationReader]
    policy: Policy
    recovery_timeout: timedelta | None
    """The setting `RECOVERY_TIMEOUT`."""
    retention_days: int
    now: Callable[[], datetime]

    def run(self) -> None:
        """Put the digest into the outbox, unless it is there.

        Raises:
            azure.core.exceptions.AzureError: storage cannot be reached.
        """
        now, last = self.now(), self.outbox.last_digest()
        made_at = last.at if last and last.at <= now + MIN_INTERVAL else None
        if made_at is not None and now - made_at < MIN_INTERVAL:
            logs.info("digest.repeated", madeAt=made_at)
            return
        since = max(made_at or now - _FIRST_PERIOD, now - _MAX_PERIOD)
        if self.outbox.put_digest(digest_notice(self._digest(since, now)), last, now):
            logs.info("digest.made", since=since)

    def _digest(self, since: datetime, now: datetime) -> Digest:
        reader = self.reader()
        summaries = reader.summaries(now - timedelta(days=self.retention_days))
        # A recovery ends that long after its heal at the latest, and somewhat later where polls were late.
        earliest = since - (self.recovery_timeout or _TWO_INTERVALS) - timedelta(days=1)
        ended = [each for each in summaries if each.status.ends_recovery]
        ids = [each.id for each in ended if each.ended_at and each.ended_at > earliest]
        recoveries = [stored.remediation for stored in reader.load(ids[:_MAX_RECOVERIES])]
        return digest_of(summaries, recoveries, since, now, self.policy.error_codes, self._is_in_scope)

    def _is_in_scope(self, instance: str) -> bool:
        return self.policy.out_of_scope(instance) is None
