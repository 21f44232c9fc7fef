"""Sets aside a remediation whose change storage will not take."""

from contextlib import suppress
from datetime import datetime, timedelta

from shared import logs
from shared.storage.conflicts import WriteConflict
from shared.storage.remediation_store import RemediationStore
from shared.storage.table_rows import Unsaved

SET_ASIDE_INTERVAL = timedelta(hours=1)
"""Between two tries of a remediation that cannot be read or stored: it stays so until a person looks at it."""


def set_aside(store: RemediationStore, unsaved: Unsaved, now: datetime) -> None:
    """Report a change that storage will not take, and try it no sooner than in an hour.

    Raises:
        azure.core.exceptions.AzureError: storage cannot be reached.
    """
    logs.error("remediation.not_stored", remediationId=unsaved.change.after.id, reason=unsaved.reason)
    with suppress(WriteConflict):
        store.put_off(unsaved.change.stored.due_entry, now + SET_ASIDE_INTERVAL)
