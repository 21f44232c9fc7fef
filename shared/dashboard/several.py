"""Actions on several remediations of the list at once, and the result of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared import logs
from shared.api.errors import ApiError, storage_unavailable
from shared.api.signed_in_request import AN_OPERATOR
from shared.dashboard.formatting import drop_reason_text
from shared.dashboard.forms import invalid_request, read_days, read_force, read_reason
from shared.domain.remediation_json import CorruptDocument
from shared.domain.resource_ids import BackupInstanceId, InvalidResourceId
from shared.domain.signal import REQUEST, Signal, forced_reason
from shared.domain.summary import Summary
from shared.healing.acknowledge import Acknowledge
from shared.healing.intake import Dropped, Intake
from shared.storage.conflicts import WriteConflict

MAX_SEVERAL = 100
"""Instances in one request, as for `POST /api/sync`: each takes storage some 20 ms."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one instance."""

    instance: str
    text: str
    remediation_id: str
    is_done: bool
    """Whether it is as the operator asked."""


@dataclass(frozen=True, slots=True)
class Several:
    """Does the same with several instances."""

    intake: Callable[[], Intake]
    acknowledgement: Callable[[], Acknowledge]
    now: datetime
    by: str | None
    """Who asks for it, as they signed in."""

    def sync(self, rows: Iterable[Summary], fields: Mapping[str, str], jobs: list[str]) -> list[Result]:
        """Ask for a sync of each instance; the messages of those that were opened go into `jobs`.

        Raises:
            ApiError: 400, a field cannot be used.
        """
        is_forced, reason = read_force(fields), read_reason(fields, "requested on the dashboard")
        said = forced_reason(reason) if is_forced else reason

        def sync(row: Summary) -> Result:
            instance = BackupInstanceId.parse(row.instance)
            accepted = self.intake().accept(Signal(instance, REQUEST, said, self.now, by=self.by, is_forced=is_forced))
            if isinstance(accepted, Dropped):
                return Result(row.instance, f"{drop_reason_text(accepted.code)} {accepted.reason}", row.id, False)
            if accepted.job:
                jobs.append(accepted.job.to_message())
            text = "The sync is queued." if accepted.job else "It is already being healed."
            return Result(row.instance, text, accepted.remediation.id, True)

        return _each(rows, sync)

    def acknowledge(self, rows: Iterable[Summary], fields: Mapping[str, str]) -> list[Result]:
        """Acknowledge each instance that needs a person.

        Raises:
            ApiError: 400, a field cannot be used.
        """
        until = self.now + timedelta(days=read_days(fields))
        reason = read_reason(fields, "acknowledged on the dashboard")

        def acknowledge(row: Summary) -> Result:
            instance = BackupInstanceId.parse(row.instance)
            latest = self.acknowledgement().run(instance, self.by or AN_OPERATOR, reason, until)
            if latest is None:
                return Result(row.instance, "Nothing is known of it any more.", row.id, False)
            if latest.attention is None:
                return Result(row.instance, "It needs nobody; there was nothing to acknowledge.", latest.id, False)
            return Result(row.instance, "Acknowledged.", latest.id, True)

        return _each(rows, acknowledge)


def picked(rows: Sequence[Summary], ids: Sequence[str], takes_all: bool) -> list[Summary]:
    """Those that the form names, of these in their order, each instance once.

    Args:
        takes_all: the first `MAX_SEVERAL` of them, whatever the ids.

    Raises:
        ApiError: 409, there is none of them; 400, there are too many.
    """
    wanted = {*ids}
    by_instance = {row.instance.lower(): row for row in reversed(rows) if takes_all or row.id in wanted}
    found = list(reversed(by_instance.values()))
    if not found:
        message = "Select one remediation or more; what is not in the list any more cannot be selected"
        raise ApiError(409, "NothingSelected", message)
    if len(found) > MAX_SEVERAL and not takes_all:
        raise invalid_request(f"At most {MAX_SEVERAL} can be selected")
    return found[:MAX_SEVERAL]


def _each(rows: Iterable[Summary], act: Callable[[Summary], Result]) -> list[Result]:
    """The result of each; once storage fails, the rest are not tried."""
    results: list[Result] = []
    failed = ""
    for row in rows:
        if failed:
            results.append(Result(row.instance, "Not tried.", row.id, False))
            continue
        try:
            results.append(act(row))
        except InvalidResourceId as invalid:
            # An older version of the app took names that no resource can have.
            results.append(Result(row.instance, str(invalid), row.id, False))
        except CorruptDocument as corrupt:
            results.append(Result(row.instance, f"Its record cannot be read: {corrupt}", row.id, False))
        except (AzureError, WriteConflict) as cause:
            failed = storage_unavailable(cause).message
            logs.error("request.failed", reason=failed)
            results.append(Result(row.instance, failed, row.id, False))
    return results
