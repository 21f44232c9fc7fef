"""Wake: a repair in Azure brings the next attempts of those who may have waited for it forward. Pure.

A woken attempt is one more than the ladder has. Should it fail before the time at which the ladder would have made
its own, that one is made then: a repair that was none costs an attempt, and no patience.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from shared.domain import lifecycle
from shared.domain.arm_scope import group_of, is_within, read_scope, subscription_of
from shared.domain.duration_text import duration_text
from shared.domain.remediation import Remediation, Status
from shared.domain.repair import Repair

MAX_WAKES_A_DAY = 3
"""Of one remediation."""
_DAY = timedelta(hours=24)


Groups = frozenset[tuple[str, str | None]]
"""Resource groups, each with its subscription first."""


def groups_of(remediation: Remediation) -> Groups:
    """The resource groups of the instance's vault, datasource and snapshots, as far as they are known."""
    scopes = filter(None, (read_scope(each) for each in _resources(remediation)))
    return frozenset((subscription_of(scope), group_of(scope)) for scope in scopes)


def is_about(repair: Repair, remediation: Remediation) -> bool:
    """Whether a repair acts on the instance's vault, datasource or snapshot resource group."""
    vault, datasource, snapshot_group = (read_scope(each) for each in _resources(remediation))
    if repair.acts_below:
        return any(each and is_within(each, repair.scope) for each in (vault, datasource, snapshot_group))
    # Of a datasource its parts count too: a firewall rule of its server, an extension of its cluster.
    return repair.scope in (vault, snapshot_group) or (datasource is not None and is_within(repair.scope, datasource))


def wake(remediation: Remediation, repair: Repair, delay: timedelta, now: datetime) -> Remediation | None:
    """The remediation with its next attempt brought forward.

    Returns:
        None if it waits for nothing that this repair could have mended, would be tried as soon anyhow, was tried after
        the repair already, or was woken too often today.
    """
    retry_at = lifecycle.retry_at_of(remediation)
    if remediation.status is not Status.WAITING_TO_RETRY or retry_at is None or now + delay >= retry_at:
        return None
    submitted_at = remediation.attempt.submitted_at or remediation.opened_at
    was_tried_since = repair.occurred_at + delay <= submitted_at
    budget = MAX_WAKES_A_DAY * (1 + (now - remediation.opened_at) // _DAY)
    if was_tried_since or remediation.wakes >= budget or not is_about(repair, remediation):
        return None
    reason = f"{repair.operation}: next attempt in {duration_text(delay)}"
    return lifecycle.bring_forward(remediation, now + delay, now, reason)


def _resources(remediation: Remediation) -> Iterable[str | None]:
    return str(remediation.instance.vault_id), remediation.datasource_id, remediation.snapshot_group_id
