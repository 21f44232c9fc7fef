"""Lists of summaries: conditions, orders, places and groups."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.remediation import Resolution, Status
from shared.domain.resource_ids import BackupInstanceId
from shared.domain.summary import Summary
from shared.domain.summary_list import Conditions, Facet, Listing, Order, group_by, is_place, list_summaries
from tests.support.dashboard_parts import newest_first, summary
from tests.support.remediations import INSTANCE, NOW

OTHER = BackupInstanceId("11111111-2222-4333-8444-555555555555", "Payments", "VaultNorth", "Ledger")
DISK = "Microsoft.Compute/disks"


def names(listing: Listing) -> list[str]:
    return [row.instance.rpartition("/")[2] for row in listing.rows]


def listed(summaries: Sequence[Summary], conditions: Conditions | None = None, order: Order = Order.NEWEST) -> Listing:
    return list_summaries(newest_first(summaries), conditions or Conditions(), order, NOW)


@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(statuses=frozenset({Status.FAILED})),
        Conditions(needs_attention=True),
        Conditions(code="usererrordisk"),
        Conditions(vault="vaultnorth"),
        Conditions(vault=str(OTHER.vault_id).upper()),
        Conditions(vault=f"{OTHER.vault_id}/"),
        Conditions(subscription_id=OTHER.subscription_id.upper()),
        Conditions(instance=OTHER),
        Conditions(source="alert"),
        Conditions(resource_type=DISK.lower()),
        Conditions(text="ledg"),
        Conditions(text="ErrorDisk"),
        Conditions(text="north/backupInst"),
        Conditions(since=NOW - timedelta(minutes=30)),
    ],
    ids=str,
)
def test_each_condition_finds_what_it_names_and_nothing_else(conditions: Conditions) -> None:
    wanted = summary(
        Status.FAILED,
        instance=OTHER,
        opened_at=NOW - timedelta(minutes=20),
        error_code="UserErrorDisk",
        source="Alert",
        datasource_type=DISK,
    )
    assert listed([summary(name="other"), wanted], conditions).rows == [wanted]


def test_a_resolution_is_a_condition() -> None:
    assert not listed([summary()], Conditions(resolution=Resolution.REPAIRED)).rows


def test_conditions_are_joined_by_and() -> None:
    rows = [summary(Status.FAILED, "a", error_code="A"), summary(Status.FAILED, "b", error_code="B")]
    assert names(listed(rows, Conditions(statuses=frozenset({Status.FAILED}), code="B"))) == ["b"]


@pytest.mark.parametrize("text", ["backup", "subscriptions", "microsoft"])
def test_the_fixed_words_of_an_id_are_not_searched(text: str) -> None:
    assert not listed([summary()], Conditions(text=text)).rows


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.ATTENTION, ["b", "c", "a"]),
        (Order.NEWEST, ["c", "a", "b"]),
        (Order.OLDEST, ["b", "a", "c"]),
        (Order.INSTANCE, ["a", "b", "c"]),
        (Order.CODE, ["b", "c", "a"]),
        (Order.ATTEMPTS, ["a", "c", "b"]),
    ],
)
def test_a_list_has_its_order(order: Order, expected: list[str]) -> None:
    rows = [
        summary(Status.HEALED, "a", NOW - timedelta(hours=2), attempts=5),
        summary(Status.FAILED, "b", NOW - timedelta(hours=3), error_code="A"),
        summary(Status.RUNNING, "c", NOW - timedelta(hours=1), error_code="B", attempts=2),
    ]
    assert names(listed(rows, order=order)) == expected


def test_an_older_remediation_of_an_instance_that_was_healed_since_needs_nobody() -> None:
    rows = [summary(Status.FAILED, opened_at=NOW - timedelta(hours=2)), summary(opened_at=NOW - timedelta(hours=1))]
    assert listed(rows).needing_attention == frozenset()


def some_rows(count: int) -> list[Summary]:
    statuses = [*Status]
    return [
        summary(
            statuses[number % len(statuses)],
            f"bi{number % 7}",
            NOW - timedelta(minutes=number),
            error_code=[None, "A", "b"][number % 3],
            attempts=number % 4 + 1,
        )
        for number in range(1, count)
    ]


@given(st.sampled_from(Order), st.integers(1, 20))
def test_pages_follow_each_other_without_gap_or_repeat(order: Order, size: int) -> None:
    listing = listed(some_rows(60), order=order)
    seen: list[Summary] = []
    place = ""
    while page := listing.rows[listing.behind(place) :][:size]:
        seen += page
        place = listing.place_of(page[-1])
        assert is_place(place)
    assert seen == listing.rows


@pytest.mark.parametrize("order", Order)
def test_a_place_stays_one_when_its_row_is_gone(order: Order) -> None:
    rows = some_rows(30)
    before = listed(rows, order=order)
    place = before.place_of(before.rows[9])
    after = listed([row for row in rows if row.id != before.rows[9].id], order=order)
    assert after.rows[after.behind(place) :] == before.rows[10:]


@pytest.mark.parametrize("text", ["", "x", "~", f"{summary().id}~", "1~2"])
def test_another_text_is_no_place(text: str) -> None:
    assert not is_place(text)


def test_groups_count_what_shares_a_value_and_those_that_need_attention_come_first() -> None:
    rows = [
        *(summary(name=f"well{number}", error_code="Frequent") for number in range(3)),
        summary(Status.FAILED, "a", error_code="Rare"),
        summary(Status.FAILED, "b", NOW - timedelta(minutes=5), error_code="RARE"),
    ]
    listing = listed(rows)
    groups = group_by(listing.rows, Facet.CODE, listing.needing_attention)
    assert [(each.value, each.count, each.needing_attention) for each in groups] == [("RARE", 2, 2), ("Frequent", 3, 0)]


@pytest.mark.parametrize(
    ("facet", "value"),
    [
        (Facet.VAULT, str(INSTANCE.vault_id)),
        (Facet.SUBSCRIPTION, INSTANCE.subscription_id),
        (Facet.SOURCE, "Event"),
        (Facet.RESOURCE_TYPE, ""),
        (Facet.CODE, ""),
    ],
)
def test_the_value_of_a_group_is_what_its_condition_takes(facet: Facet, value: str) -> None:
    [group] = group_by([summary()], facet)
    assert group.value == value


@given(st.text(max_size=30), st.sampled_from(["code", "vault", "subscription_id", "source", "resource_type", "text"]))
def test_any_text_is_a_condition(text: str, name: str) -> None:
    condition: dict[str, Any] = {name: text}
    listed([summary(Status.FAILED, error_code="A")], Conditions(**condition))
