"""Attempts that are brought forward, while others change what is brought forward."""

from datetime import timedelta

from shared.domain import lifecycle
from shared.domain.remediation import Remediation
from shared.healing.early_attempts import bring_forward, waiting
from tests.support.memory_table import damage
from tests.support.storm import Storm


def test_one_whose_row_cannot_be_read_any_more_keeps_no_other_from_it() -> None:
    storm = Storm(4)
    storm.go_on(minutes=1)
    found = list(waiting(storm.store))
    row = storm.row(found[0].remediation)
    damage(storm.store.table, row["PartitionKey"], row["RowKey"], Document0="{}")
    now = storm.clock()

    def earlier(remediation: Remediation) -> Remediation:
        return lifecycle.bring_forward(remediation, now + timedelta(seconds=1), now, "it is mended")

    assert bring_forward(storm.store, found, earlier) == len(found) - 1
